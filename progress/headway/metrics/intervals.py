"""Intervals by resampling episodes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array


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


def bootstrap(figure: Callable[[Array], float], episodes: int, draws: int = 400, seed: int = 0) -> Estimate:
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
    drawn = np.array([figure(rng.integers(episodes, size=episodes)) for _ in range(draws)])
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn.size else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))
