"""RA-BC without a threshold to tune: what counts as moving on is read off the quickest successes.

The published rule asks for a gain above 0.01 however long the task is, punishes holding still at the end, takes the
jitter of an estimate for movement, and praises every step of a failure whose progress is lost again. Here

    g_t = (z_{t+n} - y_t) / n,   n = min(H, frames until the episode is done or ends)      progress a frame
    w_t = clip(g_t / k, 0, 1),   k = half the 10 % quantile of g over the reference frames
    w_t = 1 from where a success is done                                                   holding still is right there

with y the progress, smoothed just so much that its jitter does not reach k, and z = y in a success. In a failure
z_{t+n} is the lowest progress from t+n on: what is lost again later was not gained. And an estimate that takes a known
failure for all but done is wrong about it, so the weights of that episode shrink to 0 as its final progress goes from
0.8 to 0.95. Reference frames are those of the quicker half of the successes before they are done. k is a speed, so that
no length of task or look-ahead needs another.
"""

from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.signals.weights.gains import done_from, final_value, noise, smoothed
from headway.signals.weights.look_ahead import references
from headway.signals.weights.scored import LIKELY, ScoredFrames

QUANTILE, SHARE = 0.1, 0.5
"""Of the reference frames' speed: the slowest tenth, and half of that, still count in full."""
DOUBTED = 0.8, 0.95
"""Final progress of a failure: up to the first the estimate is believed, from the second on not at all."""
SHORTEST = 0.25
"""Share of the look-ahead below which a gain is not divided by fewer frames, lest jitter be blown up; a success counts
as done that much earlier."""


@dataclass(frozen=True, repr=False)
class Speed:
    """How fast each frame moves the task on.

    Attributes:
        value: float64 (frames,), progress a frame, NaN where unknown.
        held: bool (frames,), whether a success is done by then.
        enough: the speed from which on a frame counts in full, above 0.
        width: frames over which progress was smoothed.
    """

    value: Array
    held: Array
    enough: float
    width: int


def rabc_auto(frames: ScoredFrames, look_ahead: int) -> Array:
    """Weights of frames: float64 (frames,) in [0, 1], NaN where progress is unknown. See the module.

    Raises InvalidValue where no episode has any progress.
    """
    moving = speed(frames, look_ahead)
    weight = np.where(moving.held, 1.0, np.clip(moving.value / moving.enough, 0, 1))
    weight *= frames.over_frames(_believed(frames))
    return np.where(np.isnan(moving.value), np.nan, weight)


def _believed(frames: ScoredFrames) -> Array:
    """How far the estimate of each episode is believed, given how it ended: float64 (episodes,) in [0, 1]."""
    low, high = DOUBTED
    share = np.array([(high - final_value(values)) / (high - low) for _, values in frames.curves()])
    # where nobody knows how it ended nothing contradicts the estimate
    failed = frames.success <= LIKELY
    return np.where(failed, np.nan_to_num(np.clip(share, 0, 1), nan=1.0), 1.0)


def speed(frames: ScoredFrames, look_ahead: int) -> Speed:
    """How fast each frame moves the task on, and how fast is fast enough."""
    reference = references(frames)
    jitter = float(np.median([noise(frames.progress[frames.bounds[number]]) for number in reference]))
    width = 1
    while True:
        value, held = _speeds(frames, look_ahead, width)
        enough = _enough(frames, value, held, reference)
        # a gain is the difference of two means over `width` frames
        if jitter * (2 / width) ** 0.5 <= enough * look_ahead / 2 or width >= look_ahead:
            return Speed(value, held, max(enough, 1e-9), width)
        width += 2


def _speeds(frames: ScoredFrames, look_ahead: int, width: int) -> tuple[Array, Array]:
    value, held = np.full(len(frames), np.nan), np.zeros(len(frames), dtype=bool)
    shortest = max(1.0, SHORTEST * look_ahead)
    for (bound, curve), success in zip(frames.curves(), frames.success, strict=True):
        progress = smoothed(curve, width)
        at = np.arange(len(progress))
        # where nobody knows how it ended the estimate decides
        if success > LIKELY or (np.isnan(success) and final_value(curve) >= DOUBTED[1]):
            end = done_from(progress)
            held[bound] = at >= end - int(shortest)
            later = progress
        else:
            end = len(progress) - 1
            # the lowest from there on; frames without progress are passed over
            later = np.minimum.accumulate(np.where(np.isnan(progress), np.inf, progress)[::-1])[::-1]
            later = np.where(np.isnan(progress), np.nan, later)
        steps = np.minimum(look_ahead, end - at)
        ahead = at + np.maximum(steps, 0)
        value[bound] = (later[ahead] - progress) / np.maximum(steps, shortest)
    return value, held


def _enough(frames: ScoredFrames, value: Array, held: Array, reference: Array) -> float:
    chosen = np.zeros(len(frames.bounds), dtype=bool)
    chosen[reference] = True
    speeds = value[frames.over_frames(chosen) & ~held & ~np.isnan(value)]
    rising = speeds[speeds > 0]
    return SHARE * float(np.quantile(rising, QUANTILE)) if rising.size else 0.0
