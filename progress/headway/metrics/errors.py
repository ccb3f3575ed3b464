"""How far estimated progress is from the truth.

Figures of several episodes take curves (time,), one an episode, and give float64 (episodes,), NaN for an episode
without frames or with a NaN on either side.
"""

import numpy as np

from headway.episodes import Array
from headway.metrics.pairs import moments, pair_sums
from headway.metrics.ragged import Curves, end_to_end, lengths_of, per_episode, with_nan
from headway.signals.calibration import MonotoneMap, fit_monotone


def mean_absolute_errors(estimated: Curves, true: Curves) -> Array:
    """Mean of |estimated - true| over each episode's frames."""
    return per_episode(lambda ours, theirs: np.abs(ours - theirs).mean(axis=1), estimated, true)


def root_mean_square_errors(estimated: Curves, true: Curves) -> Array:
    """Root of the mean of (estimated - true)^2 over each episode's frames."""
    return per_episode(lambda ours, theirs: np.sqrt(np.square(ours - theirs).mean(axis=1)), estimated, true)


def pearsons(estimated: Curves, true: Curves) -> Array:
    """Pearson's correlation over each episode's frames; NaN also where either side is constant.

    High for a clock on every episode that succeeds, so it says little alone.
    """
    _, _, _, xx, yy, xy, *ends = moments(estimated, true).T
    spread = np.sqrt(xx * yy)
    defined = (ends[0] < ends[2]) & (ends[1] < ends[3]) & (spread > 0)
    return np.clip(np.divide(xy, spread, out=np.full(len(xy), np.nan), where=defined), -1, 1)


def mean_absolute_error(estimated: Array, true: Array) -> float:
    """`mean_absolute_errors` of one episode's frames (time,)."""
    return float(mean_absolute_errors([estimated], [true])[0])


def root_mean_square_error(estimated: Array, true: Array) -> float:
    """`root_mean_square_errors` of one episode's frames (time,)."""
    return float(root_mean_square_errors([estimated], [true])[0])


def pearson(estimated: Array, true: Array) -> float:
    """`pearsons` of one episode's frames (time,)."""
    return float(pearsons([estimated], [true])[0])


def pooled_pearson(estimated: Curves, true: Curves) -> float:
    """Pearson's correlation over all frames of all episodes together; episodes with a NaN are left out.

    Unlike the mean of the episodes' own, it falls where an estimator is off by a different amount in each episode.
    """
    return pair_sums(estimated, true).correlation()


def isotonic_errors(estimated: Curves, true: Curves, seed: int = 0) -> Array:
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
    lengths = lengths_of(estimated, true)
    unknown = lengths == 0
    for curves in (estimated, true):
        values, episode = end_to_end(curves)
        unknown |= with_nan(values, episode, len(lengths))
    errors = np.full(len(lengths), np.nan)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~unknown))
    for judged, fitted in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        if not fitted.size or not judged.size:
            continue
        to_progress = _map_of([estimated[i] for i in fitted], [true[i] for i in fitted])
        mapped = to_progress(end_to_end([estimated[i] for i in judged])[0])
        by_episode = np.split(mapped, np.cumsum(lengths[judged])[:-1])
        errors[judged] = mean_absolute_errors(by_episode, [true[i] for i in judged])
    return errors


def _map_of(estimated: Curves, true: Curves) -> MonotoneMap:
    lengths = lengths_of(true)
    return fit_monotone(end_to_end(estimated)[0], end_to_end(true)[0], np.repeat(1 / lengths, lengths))
