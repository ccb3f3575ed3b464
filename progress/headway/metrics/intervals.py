"""Intervals by resampling episodes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array

DRAWS = 400
# Numbers drawn at once: few enough to need little memory, many enough that nothing else counts.
AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "-"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(figure: Callable[[Array], float], episodes: int, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Percentile bootstrap over episodes (Efron 1979): 95 % interval of `figure(indices)`.

    Args:
        figure: from indices of episodes, int (chosen,), to the figure; NaN where it is not defined.
        episodes: how many episodes there are.
        draws: resamples; those on which the figure is not defined are left out.
        seed: of the resampling.
    """
    if episodes == 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    value = figure(np.arange(episodes))
    return percentiles(value, np.array([figure(rng.integers(episodes, size=episodes)) for _ in range(draws)]))


def bootstrap_mean(values: Array, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """The mean over the episodes at which a figure (episodes,) is defined, with the interval that `bootstrap` gives it.

    The resamples are the same as `bootstrap`'s of those episodes; all at once, they take a fraction of the time.
    """
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    if not known.size:
        return Estimate(float("nan"), float("nan"), float("nan"))
    return percentiles(float(known.mean()), resampled_means(known[:, None], draws, np.random.default_rng(seed))[:, 0])


def resampled_means(values: Array, draws: int, rng: np.random.Generator) -> Array:
    """Means of resamples of the episodes.

    Args:
        values: float (episodes, figures), at least one episode; all figures of an episode are drawn together.
        draws: how many resamples.
        rng: is drawn from.

    Returns:
        float64 (draws, figures).
    """
    episodes, means = len(values), []
    columns = [np.ascontiguousarray(column) for column in np.asarray(values, float).T]
    step = max(1, AT_ONCE // episodes)
    for begin in range(0, draws, step):
        picked = rng.integers(episodes, size=(min(step, draws - begin), episodes))
        means.append(np.stack([column[picked].mean(axis=1) for column in columns], axis=1))
    return np.concatenate(means) if means else np.zeros((0, len(columns)))


def percentiles(value: float, drawn: Array) -> Estimate:
    """A figure with the interval that holds 95 % of its resamples (draws,); those that are NaN are left out."""
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn.size else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))
