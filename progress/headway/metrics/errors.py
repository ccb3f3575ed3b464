"""How far estimated progress is from the truth."""

from collections.abc import Sequence

import numpy as np

from headway.episodes import Array
from headway.metrics.pairs import pair_sums
from headway.signals.calibration import MonotoneMap, fit_monotone


def mean_absolute_error(estimated: Array, true: Array) -> float:
    """Mean of |estimated - true| over one episode's frames (time,); NaN when any frame is, or there are none."""
    return float(np.abs(_difference(estimated, true)).mean()) if len(true) else float("nan")


def root_mean_square_error(estimated: Array, true: Array) -> float:
    """Root of the mean of (estimated - true)^2 over one episode's frames (time,); NaN as for the mean error."""
    return float(np.sqrt(np.square(_difference(estimated, true)).mean())) if len(true) else float("nan")


def pearson(estimated: Array, true: Array) -> float:
    """Pearson's correlation over one episode's frames (time,); NaN when either is constant or has a NaN.

    High for a clock on every episode that succeeds, so it says little alone.
    """
    return pair_sums([estimated], [true]).correlation()


def pooled_pearson(estimated: Sequence[Array], true: Sequence[Array]) -> float:
    """Pearson's correlation over all frames of all episodes together; episodes with a NaN are left out.

    Unlike the mean of the episodes' own, it falls where an estimator is off by a different amount in each episode.
    """
    return pair_sums(estimated, true).correlation()


def isotonic_errors(estimated: Sequence[Array], true: Sequence[Array], seed: int = 0) -> Array:
    """Mean absolute error of each episode after the best monotone map: what is left once the scale is put right.

    The episodes are split into halves at random, and each half is mapped by the isotonic regression of the other: a map
    fitted on the episodes that it is judged on would flatter, most of all an estimator that knows nothing. Within
    the fit each episode weighs the same, as in the mean over episodes.

    Args:
        estimated: curves (time,), one an episode.
        true: true progress (time,) in [0, 1].
        seed: of the split.

    Returns:
        float64 (episodes,): NaN for an episode with a NaN, and where the other half has no episode without.
    """
    errors = np.full(len(true), np.nan)
    known = [i for i, (e, t) in enumerate(zip(estimated, true, strict=True)) if len(t) and not _unknown(e, t)]
    order = np.random.default_rng(seed).permutation(known).astype(int)
    for judged, fitted in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        if not fitted.size:
            continue
        to_progress = _map_of([estimated[i] for i in fitted], [true[i] for i in fitted])
        for i in judged:
            errors[i] = mean_absolute_error(to_progress(estimated[i]), true[i])
    return errors


def _map_of(estimated: Sequence[Array], true: Sequence[Array]) -> MonotoneMap:
    weight = np.concatenate([np.full(len(t), 1 / len(t)) for t in true])
    return fit_monotone(np.concatenate(estimated), np.concatenate(true), weight)


def _unknown(estimated: Array, true: Array) -> bool:
    return bool(np.isnan(estimated).any() or np.isnan(true).any())


def _difference(estimated: Array, true: Array) -> Array:
    return np.asarray(estimated, float) - np.asarray(true, float)
