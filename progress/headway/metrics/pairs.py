"""Correlation over the frames of many episodes, at little cost for any resample of the episodes."""

from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.metrics.ragged import Curves, per_episode


@dataclass(frozen=True, repr=False)
class PairSums:
    """What is known of each episode's pairs (x, y), one a frame: enough for a correlation over any choice of episodes.

    An episode with a NaN counts no frames.

    Attributes:
        sums: (episodes, 6): frames, x, y, x x, y y, x y, all with the common mean taken off to keep digits.
        lowest, highest: (episodes, 2) of x and y, to tell a constant from rounding.
    """

    sums: Array
    lowest: Array
    highest: Array

    def correlation(self, picked: Array | None = None) -> float:
        """Pearson's over all frames of the picked episodes, int (picked,), with repeats; of all of them when None.

        NaN when x or y is constant, or nothing is picked.
        """
        chosen = slice(None) if picked is None else picked
        frames, x, y, xx, yy, xy = self.sums[chosen].sum(axis=0)
        if frames == 0 or (self.lowest[chosen].min(axis=0) == self.highest[chosen].max(axis=0)).any():
            return float("nan")
        spread = np.sqrt((xx - x * x / frames) * (yy - y * y / frames))
        return float(np.clip((xy - x * y / frames) / spread, -1, 1)) if spread > 0 else float("nan")


def pair_sums(x: Curves, y: Curves) -> PairSums:
    """Sums of pairs of curves (time,), one an episode."""
    frames, x_mean, y_mean, xx, yy, xy, *ends = moments(x, y).T
    known = ~np.isnan(frames)
    total = frames[known].sum() or 1.0
    dx = x_mean - (frames[known] * x_mean[known]).sum() / total
    dy = y_mean - (frames[known] * y_mean[known]).sum() / total
    sums = [frames, frames * dx, frames * dy, xx + frames * dx**2, yy + frames * dy**2, xy + frames * dx * dy]
    lowest, highest = np.stack(ends[:2], axis=1), np.stack(ends[2:], axis=1)
    lowest[~known], highest[~known] = np.inf, -np.inf
    return PairSums(np.where(known[:, None], np.stack(sums, axis=1), 0.0), lowest, highest)


def moments(x: Curves, y: Curves) -> Array:
    """Of each episode's pairs of x and y, float64 (episodes, 10), NaN for an episode with a NaN or without frames.

    Frames; means of x and y; sums of x x, y y and x y about these means; lowest x and y; highest x and y.
    """
    return per_episode(_moments, x, y, columns=(10,))


def _moments(x: Array, y: Array) -> Array:
    means = x.mean(axis=1), y.mean(axis=1)
    dx, dy = x - means[0][:, None], y - means[1][:, None]
    squares = [np.einsum("et,et->e", *pair) for pair in ((dx, dx), (dy, dy), (dx, dy))]
    ends = [of.min(axis=1) for of in (x, y)] + [of.max(axis=1) for of in (x, y)]
    return np.stack([np.full(len(x), float(x.shape[1])), *means, *squares, *ends], axis=1)
