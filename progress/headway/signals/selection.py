"""Which episodes of a scored dataset stay, which parts of them, and why the others go."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.signals.expression import Unknown, parse
from headway.signals.segments import Cut, Piece, cut_episode, uncut
from headway.tables import Scores

KEEP, TOP, UNSCORED, CUTS = "--keep", "--top", "not among the scores", "--drop-segments"


@dataclass(frozen=True)
class Decision:
    """What becomes of one episode; `rule` says by what it goes and `why` with which values, empty where it stays."""

    episode: int
    length: int
    fps: float
    rule: str = ""
    why: str = ""

    @property
    def kept(self) -> bool:
        return not self.rule


@dataclass(frozen=True, repr=False)
class Selection:
    """What becomes of every episode of a dataset, in order.

    Attributes:
        decisions: one an episode.
        pieces: what stays, in order.
        cuts: what goes of the episodes that were kept.
    """

    decisions: tuple[Decision, ...]
    pieces: tuple[Piece, ...]
    cuts: tuple[Cut, ...]

    def __repr__(self) -> str:
        return f"Selection(episodes={len(self.decisions)}, pieces={len(self.pieces)}, cuts={len(self.cuts)})"


def select(
    scores: Scores,
    lengths: dict[int, int],
    fps: dict[int, float],
    keep: str = "",
    top: str = "",
    segments: Sequence[str] = (),
) -> Selection:
    """Decide by the scores of a dataset.

    Args:
        scores: of this dataset; episodes that are not in them go.
        lengths: frames of each episode of the dataset.
        fps: frames per second of each.
        keep: a condition on the columns of episodes.parquet (`headway.signals.expression`); empty keeps all.
        top: `70%` or `40`: the best by `rank` among those kept.
        segments: which segments are cut out of what is kept (`headway.signals.segments.KINDS`).

    Raises InvalidValue or UnknownName for a condition, a share or a segment that cannot be read.
    """
    rows = {row["episode_index"]: row for row in scores.episodes.to_pylist()}
    gone = {episode: (UNSCORED, "") for episode in lengths if episode not in rows}
    if keep:
        gone |= _failing(keep, scores, [rows[episode] for episode in lengths if episode not in gone])
    if top:
        gone |= _below(top, {episode: rows[episode]["rank"] for episode in lengths if episode not in gone})
    pieces: list[Piece] = []
    cuts: list[Cut] = []
    curves = Curves(scores)
    for episode in [each for each in lengths if each not in gone]:
        stay, go = [uncut(episode, lengths[episode])], list[Cut]()
        if segments:
            progress, success, looked_at = curves.of(episode)
            failed = rows[episode]["success_label"] is False
            stay, go = cut_episode(episode, progress, fps[episode], segments, success, looked_at > 0, failed)
        if not stay:
            gone[episode] = (CUTS, "nothing is left between its cuts")
        pieces += stay
        cuts += go
    decisions = [Decision(each, length, fps[each], *gone.get(each, ())) for each, length in lengths.items()]
    return Selection(tuple(decisions), tuple(pieces), tuple(cuts))


class Curves:
    """The curves of a SCORES folder by episode; `Scores.curve` searches the whole table for each."""

    def __init__(self, scores: Scores):
        episodes = scores.frames["episode_index"].to_numpy()
        found, self._starts, self._lengths = np.unique(episodes, return_index=True, return_counts=True)
        self._place = {int(episode): number for number, episode in enumerate(found)}
        columns = ("progress_sparse", "success", "looked_at")
        self._columns = [scores.frames[name].to_numpy().astype(np.float64) for name in columns]

    def rows(self, episode: int) -> tuple[int, int]:
        """The first row of the frames table that is the episode's, and the one after its last."""
        place = self._place[episode]
        return int(self._starts[place]), int(self._starts[place] + self._lengths[place])

    def of(self, episode: int) -> list[Array]:
        """Progress, success and looked_at of an episode: each float64 (time,), NaN where there is none."""
        start, end = self.rows(episode)
        return [column[start:end] for column in self._columns]


def share_or_number(top: str, of: int) -> int:
    """`70%` or `40` -> how many of `of`: a share is rounded down, but never to nothing."""
    text = top.strip()
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = math.nan
    percent = text.endswith("%")
    if not (0 < value <= 100 if percent else value >= 1 and value.is_integer()):
        raise InvalidValue(f"--top needs a share such as 70%, above 0 and up to 100, or a number such as 40, got {top}")
    return min(of, max(1, math.floor(of * value / 100 + 1e-9))) if percent else min(of, int(value))


def _failing(keep: str, scores: Scores, rows: Sequence[dict[str, Any]]) -> dict[int, tuple[str, str]]:
    """The episodes for which the condition does not hold, and by which values."""
    condition = parse(keep, scores.episodes.schema)
    gone = {}
    for row in rows:
        holds = condition.holds(row)
        if holds is not True:
            why = str(holds) if isinstance(holds, Unknown) else _shown(row, condition.columns)
            gone[row["episode_index"]] = (KEEP, why)
    return gone


def _below(top: str, ranks: dict[int, int | None]) -> dict[int, tuple[str, str]]:
    """The episodes that are not among the best, by the rank of those that are left."""
    best = sorted((rank, episode) for episode, rank in ranks.items() if rank is not None)
    count = share_or_number(top, len(ranks))
    gone = {episode: (TOP, f"rank {rank} is not among the best {count}") for rank, episode in best[count:]}
    return gone | {episode: (TOP, "has no rank") for episode, rank in ranks.items() if rank is None}


def _shown(row: dict[str, Any], columns: Sequence[str]) -> str:
    """The values that a condition was false for."""
    values = (row[name] for name in columns)
    words = (f"{value:.3g}" if isinstance(value, float) else repr(value) for value in values)
    return ", ".join(f"{name} {word}" for name, word in zip(columns, words, strict=True))
