"""Which episode is best."""

from collections.abc import Sequence
from typing import Any


def ranked(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the rank: by final progress in steps of 0.05, then the smaller fall, then the less idle. 1 is the best."""
    scored = [row for row in rows if row.get("final") is not None]
    order = sorted(scored, key=_standing)
    ranks = {row["episode_index"]: rank for rank, row in enumerate(order, start=1)}
    return [{**row, "rank": ranks.get(row["episode_index"])} for row in rows]


def _standing(row: dict[str, Any]) -> tuple[float, ...]:
    """What a scored episode is ranked by, the best first; one known at its end alone comes after its equals."""
    fall, idle = row.get("drawdown"), row.get("idle")
    return -round(row["final"] * 20), 1.0 if fall is None else round(fall, 2), 1.0 if idle is None else idle
