"""Correlation over the frames of many episodes, at little cost for any resample of the episodes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array


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


def pair_sums(x: Sequence[Array], y: Sequence[Array]) -> PairSums:
    """Sums of pairs of curves (time,), one an episode."""
    pairs = [np.stack([np.asarray(a, float), np.asarray(b, float)]) for a, b in zip(x, y, strict=True)]
    known = [pair for pair in pairs if pair.size and not np.isnan(pair).any()]
    shift = np.concatenate(known, axis=1).mean(axis=1, keepdims=True) if known else np.zeros((2, 1))
    rows, lowest, highest = [], [], []
    for pair in pairs:
        kept = pair[:, :0] if np.isnan(pair).any() else pair
        a, b = kept - shift
        rows.append([len(a), a.sum(), b.sum(), a @ a, b @ b, a @ b])
        lowest.append(kept.min(axis=1, initial=np.inf))
        highest.append(kept.max(axis=1, initial=-np.inf))
    return PairSums(
        np.array(rows, float).reshape(-1, 6), np.array(lowest).reshape(-1, 2), np.array(highest).reshape(-1, 2)
    )
