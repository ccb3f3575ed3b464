"""Figures of one estimator with intervals, and whether controls reach them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headway.episodes import Array, ProgressCurve
from headway.evaluation.figures import FIGURES
from headway.evaluation.reference import Reference
from headway.evaluation.statistics import Statistic, statistics
from headway.metrics.intervals import DRAWS, Estimate, percentiles
from headway.signals.summary import final
from headway.signals.weights import LOOK_AHEAD

UNDEFINED = "it is not defined here: too few of the episodes that it is over, or values that are all alike"
# what tells little or nothing: a figure that one of them reaches says nothing for an estimator
CONTROLS = ("clock", "constant", "random", "pixels", "untrained", "reversed")
# resamples of fewer episodes than this are so alike that their interval would shut out nearly anything
FEWEST = 4
UNINFORMATIVE, WORSE = "≈", "▼"


@dataclass(frozen=True, repr=False)
class Found:
    """One figure of one estimator.

    Attributes:
        estimate: its value and 95 % interval; NaN where it is not known.
        draws: its value on each resample of the episodes, (draws,); the same resamples for every estimator.
        reason: why it is not known.
        few: it is over so few episodes that its interval says nothing.
    """

    estimate: Estimate
    draws: Array
    reason: str = ""
    few: bool = False


@dataclass(frozen=True, repr=False)
class Judged:
    """All figures of one estimator.

    Attributes:
        estimator: its name in tables.
        figures: name, as in `headway.evaluation.figures` -> what was found; of those that were wanted.
        unscored: how many episodes it gave no final progress.
        in_sample: how many episodes it was trained on.
        is_control: it is blind, or nearly.
    """

    estimator: str
    figures: Mapping[str, Found]
    unscored: int
    in_sample: int = 0
    is_control: bool = False

    def __getitem__(self, figure: str) -> Estimate:
        return self.figures[figure].estimate


def judge(
    name: str,
    known: Sequence[Reference],
    curves: Sequence[ProgressCurve],
    look_ahead: int = LOOK_AHEAD,
    figures: Iterable[str] = tuple(FIGURES),
    seed: int = 0,
    made_by: str = "",
) -> Judged:
    """Hold the curves of one estimator against what is known of their episodes.

    Percentile bootstrap over episodes (Efron 1979), 95 %. Of the same number of episodes and the same seed the
    resamples are the same, so that two estimators can be compared draw by draw.

    Args:
        name: of the estimator.
        known: what is known of each episode.
        curves: what the estimator says of each.
        look_ahead: over how many frames gains are taken.
        figures: the names of those that are wanted; each takes up to a second.
        seed: of the resampling.
        made_by: the spec that made the curves, where `name` is not one; it tells controls.
    """
    computed = statistics(known, curves, look_ahead)
    found = {figure: _found(computed[figure], len(known), seed) for figure in figures}
    unscored = sum(bool(np.isnan(final(curve.values))) for curve in curves)
    in_sample = sum(curve.in_sample for curve in curves)
    return Judged(name, found, unscored, in_sample, (made_by or name).partition(":")[0] in CONTROLS)


def _found(statistic: Statistic | str, episodes: int, seed: int) -> Found:
    nothing = Found(Estimate(np.nan, np.nan, np.nan), np.full(DRAWS, np.nan), UNDEFINED)
    if isinstance(statistic, str):
        return replace(nothing, reason=statistic)
    value = statistic(np.arange(episodes))
    if np.isnan(value):
        return nothing
    rng = np.random.default_rng(seed)
    drawn = np.array([statistic(rng.integers(episodes, size=episodes)) for _ in range(DRAWS)])
    # over k of many episodes a figure is undefined on exp(-k) of the resamples, those that hold none of the k
    few = episodes < FEWEST or bool(np.isnan(drawn).mean() > np.exp(-FEWEST))
    return Found(percentiles(float(value), drawn), drawn, few=few)


@dataclass(frozen=True)
class Verdict:
    """Whether a figure says anything for an estimator.

    Attributes:
        control: the best control.
        lead: by how much the estimator is better than it, with its 95 % interval, paired over resamples.
        few: one of the two is over too few episodes for that interval to be believed.
        told: the whole interval is above 0, and can be believed.
        worse: the whole interval is below 0, and can be believed. Where neither holds the figure is uninformative.
    """

    control: str
    lead: Estimate
    few: bool = False

    @property
    def told(self) -> bool:
        return self.lead.low > 0 and not self.few

    @property
    def worse(self) -> bool:
        return self.lead.high < 0 and not self.few

    @property
    def mark(self) -> str:
        """What stands behind the figure in a table: nothing where it speaks for the estimator."""
        return "" if self.told else WORSE if self.worse else UNINFORMATIVE


def verdict(ours: Judged, controls: Sequence[Judged], figure: str) -> Verdict | None:
    """Hold one figure against every control and keep the one that is least clearly beaten.

    None where the figure only describes, is not known of the estimator, or of any control.
    """
    better, mine = FIGURES[figure].better, ours.figures[figure]
    verdicts = []
    for control in controls:
        theirs = control.figures[figure]
        if not better or np.isnan(mine.estimate.value) or np.isnan(theirs.estimate.value):
            continue
        differences = better * (mine.draws - theirs.draws)
        differences = differences[~np.isnan(differences)]
        if not differences.size:
            continue
        low, high = np.quantile(differences, [0.025, 0.975])
        value = better * (mine.estimate.value - theirs.estimate.value)
        lead = Estimate(float(value), float(low), float(high))
        verdicts.append(Verdict(control.estimator, lead, mine.few or theirs.few))
    return min(verdicts, key=lambda each: each.lead.low, default=None)


def to_json(judged: Judged) -> dict[str, Any]:
    """Figure -> value and interval, None where it is not known; and how many episodes have no score, or were seen."""
    figures = {}
    for name, found in judged.figures.items():
        parts = {"value": found.estimate.value, "low": found.estimate.low, "high": found.estimate.high}
        figures[name] = {key: None if np.isnan(value) else value for key, value in parts.items()}
    counts = {"unscored": judged.unscored, "in_sample": judged.in_sample}
    return {"estimator": judged.estimator, **counts, **figures}
