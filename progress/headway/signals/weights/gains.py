"""How much progress the next frames make: what weights are made of."""

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue

LOOK_AHEAD = 25
"""The shortest look-ahead, in frames, over which simulated experts at 20 Hz always gain; shorter ones punish letting
go. For other data `choose_look_ahead` finds one."""
DONE_WITHIN = 0.02
"""A successful episode is done from where progress stays within this of its end."""


def gains(progress: Array, episode: Array, look_ahead: int) -> Array:
    """How much progress is made over the next `look_ahead` frames, clipped to the end of each episode.

    Args:
        progress: float (frames,), all episodes one after another, NaN where unknown.
        episode: int (frames,), the episode of each frame; frames of one episode lie together.
        look_ahead: H, in frames, at least 1.

    Returns:
        float64 (frames,), NaN where either end is unknown.
    """
    if look_ahead < 1:
        raise InvalidValue(f"the look-ahead must be at least 1 frame, got {look_ahead}")
    progress = np.asarray(progress, dtype=np.float64)
    if not len(progress):
        return progress
    starts = np.flatnonzero(np.r_[True, episode[1:] != episode[:-1]])
    lasts = np.r_[starts[1:], len(progress)] - 1
    last = np.repeat(lasts, lasts - starts + 1)
    ahead = np.minimum(np.arange(len(progress)) + min(look_ahead, len(progress)), last)
    return progress[ahead] - progress


def done_from(values: Array) -> int:
    """The frame from which progress (time,) stays within DONE_WITHIN of its final value, or above; at most the last.

    Frames without progress do not count.
    """
    known = np.flatnonzero(~np.isnan(values))
    if not known.size:
        return len(values) - 1
    below = known[values[known] < final_value(values) - DONE_WITHIN]
    return min(int(below[-1]) + 1, len(values) - 1) if below.size else 0


def final_value(values: Array) -> float:
    """The median of the last five known values of progress (time,), which one frame's noise does not move; or NaN."""
    known = values[~np.isnan(values)]
    return float(np.median(known[-5:])) if known.size else float("nan")


def noise(values: Array) -> float:
    """Standard deviation of the frame-to-frame jitter of progress (time,), from its second differences.

    A smooth curve has next to none. Robust: from the median of their absolute value, over the 0.6745 and the root of 6
    that normal noise, independent from frame to frame, would give. 0 where fewer than three frames are known.
    """
    second = np.diff(values, n=2)
    second = second[~np.isnan(second)]
    return float(np.median(np.abs(second)) / (0.6745 * 6**0.5)) if second.size else 0.0


def smoothed(values: Array, width: int) -> Array:
    """The mean of the `width` frames (odd) around each of (time,), of those that are known; NaN stays NaN.

    At the ends the window shrinks on both sides alike, so that the first and last value stay what they are.
    """
    if width <= 1:
        return values
    known = ~np.isnan(values)
    sums = np.r_[0.0, np.cumsum(np.where(known, values, 0.0))]
    counts = np.r_[0, np.cumsum(known)]
    at = np.arange(len(values))
    reach = np.minimum(np.minimum(at, len(values) - 1 - at), width // 2)
    low, high = at - reach, at + reach + 1
    number = np.maximum(counts[high] - counts[low], 1)
    return np.where(known, (sums[high] - sums[low]) / number, np.nan)
