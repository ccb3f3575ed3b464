"""Checks that need no model: facts of an episode's data, beside the estimate and never mixed into it.

A defect can exclude an episode; a risk only informs.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from headway.checks.check import Check, Evidence
from headway.checks.defects import DEFECTS
from headway.checks.numbers import Numbers, read_numbers
from headway.checks.pictures import look
from headway.checks.risks import RISKS
from headway.controls import missing_curve
from headway.encoders.cache import FeatureCache
from headway.episodes import Episode, ProgressCurve
from headway.estimator import Needs

__all__ = ["DEFECTS", "NONE", "RISKS", "ChecksAlone", "check_fields", "check_row", "defect_words", "read_numbers"]

VERSION = 1
"""Of the definitions: scores of another one are not resumed."""
NONE = "none"
"""The estimator that says nothing: only the checks are wanted."""


def check_row(episode: Episode, numbers: Numbers, cache: FeatureCache) -> dict[str, Any]:
    """The columns of one episode: `defect_NAME`, `defects` (how many of them are present) and `risk_NAME`.

    `numbers` are those of its dataset (`read_numbers`). None is what cannot be known.
    """
    evidence = Evidence(episode, numbers, look(episode, cache))
    defects = {f"defect_{check.name}": check.measure(evidence) for check in DEFECTS}
    risks = {f"risk_{check.name}": _known(check.measure(evidence)) for check in RISKS}
    return {**defects, "defects": sum(bool(count) for count in defects.values()), **risks}


def check_fields() -> list[pa.Field]:
    """The columns of `check_row`, each with its meaning, unit and source as metadata."""
    defects = [_field(f"defect_{check.name}", pa.int64(), check) for check in DEFECTS]
    risks = [_field(f"risk_{check.name}", pa.float64(), check) for check in RISKS]
    total = {"meaning": "How many kinds of defects are present.", "unit": "kinds", "source": "the columns before it"}
    return [*defects, pa.field("defects", pa.int64(), metadata=total), *risks]


def defect_words(row: Mapping[str, Any]) -> str:
    """The defects in a row of the episodes table, in words; empty when it has none."""
    found = [(check, row.get(f"defect_{check.name}")) for check in DEFECTS]
    return ", ".join(f"{check.words} ({count:,} {_unit(check, count)})" for check, count in found if count)


class ChecksAlone:
    """An estimator that says nothing of any episode (`headway.estimator.Estimator`).

    Attributes:
        at_once: how many episodes are checked at the same time, each in a thread of its own.
    """

    name = fingerprint = NONE
    needs = Needs(pictures=False)
    at_once = os.cpu_count() or 1

    def estimate(self, episodes: Iterable[Episode], stride: int = 1) -> Iterator[ProgressCurve]:
        for episode in episodes:
            yield missing_curve(len(episode), self.fingerprint, "no estimator: checks alone")


def _field(name: str, kind: pa.DataType, check: Check) -> pa.Field:
    return pa.field(name, kind, metadata={"meaning": check.meaning, "unit": check.unit, "source": check.source})


def _known(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else value


def _unit(check: Check, count: int) -> str:
    return check.unit.removesuffix("s") if count == 1 else check.unit
