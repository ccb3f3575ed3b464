"""Who says how far along a rollout is: the proxy that a self-improvement loop learns by."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from headway.ensemble import Rule
from headway.episodes import Array
from headway.errors import InvalidValue
from headway.estimator import Estimator
from headway_envs.trajectory import Trajectory

FINAL = 5
"""Frames at the end of an episode over which its final progress is the mean."""


class Scorer(Protocol):
    """Turns recorded episodes into progress, one float (time,) in [0, 1] each, NaN where it is not known."""

    def score(self, episodes: Sequence[Trajectory], /) -> list[Array]: ...


@dataclass(frozen=True, repr=False)
class EstimatorScorer:
    """Any estimator of Headway's, over rollouts that were recorded with its cameras. `stride` is the estimator's.

    It is not shown the truth unless it says that it needs it.
    """

    estimator: Estimator
    stride: int = 1

    def score(self, episodes: Sequence[Trajectory]) -> list[Array]:
        """Raises InvalidValue where it needs pictures and a rollout has none."""
        if any(not episode.frames for episode in episodes):
            raise InvalidValue("these rollouts were recorded without pictures; name the estimator's cameras")
        shown = (episode.episode(index) for index, episode in enumerate(episodes))
        return [np.asarray(curve.values, dtype=np.float64) for curve in self.estimator.estimate(shown, self.stride)]


@dataclass(frozen=True)
class TruthScorer:
    """The simulator's own progress: the best that a scorer can be, and what nobody has on a real robot."""

    def score(self, episodes: Sequence[Trajectory]) -> list[Array]:
        return [np.asarray(episode.truth.progress, dtype=np.float64) for episode in episodes]


@dataclass(frozen=True, repr=False)
class EnsembleScorer:
    """Several scorers as one, by the rule of `headway.ensemble`: mean - k standard deviations, or the minimum.

    An optimised proxy is gamed where it errs upwards. Scorers taught with different data err in different places, so
    their disagreement is taken off (Coste et al. 2023, arXiv 2310.02743).
    """

    scorers: tuple[Scorer, ...]
    rule: Rule = field(default_factory=Rule)

    def __post_init__(self) -> None:
        if len(self.scorers) < 2:
            raise InvalidValue(f"an ensemble needs at least two scorers, got {len(self.scorers)}")

    def score(self, episodes: Sequence[Trajectory]) -> list[Array]:
        members = [scorer.score(episodes) for scorer in self.scorers]
        return [self.rule.progress(np.stack(each)) for each in zip(*members, strict=True)]


def time_averaged(progress: Sequence[Array], steps: int) -> Array:
    """The mean of each episode's progress (time,) over `steps` steps, its final progress held from its end on.

    So who gets there sooner gets more, and ending early costs nothing. float64 (episodes,), NaN where nothing is known.
    """
    finals = final_progress(progress)
    means = np.array([np.nanmean(values) if not np.isnan(values).all() else np.nan for values in progress])
    worked = np.minimum([len(values) for values in progress], steps) / steps
    return worked * means + (1 - worked) * finals


def final_progress(progress: Sequence[Array]) -> Array:
    """Mean of the last FINAL known values of each episode's progress (time,): float64 (episodes,), NaN where none."""
    known = [values[~np.isnan(values)][-FINAL:] for values in progress]
    return np.array([values.mean() if values.size else np.nan for values in known])
