"""Weights that are exponential in a return, an advantage or a gain. Each is divided by its largest possible value, so
that it lies in [0, 1]; a training normalises anyway.

    GVL        (arXiv 2411.04549, eq. 6)   exp(tau b_t) / exp(tau)
    TOPReward  (arXiv 2602.19313, eq. 3)   min(tau exp(b_t), d) / d,  tau = d = 2
    RWR        (Peters, Schaal 2007)       exp((R - 1) / tau),  R the episode's final progress
    AWR        (arXiv 1910.00177)          min(exp(A_t / (beta s)), w) / w,  A_t = b_t - mean of b at that progress
    AW-BC      (ARM, arXiv 2604.03037)     clip((c_t - (mu - 2 s)) / 4 s, 0, 1),  c_t = b_t L / mean L

b_t is the gain over the look-ahead, L an episode's length, mu and s mean and spread over the dataset. With TOPReward's
own settings every frame that does not fall back is at the ceiling: `diagnose` tells.
"""

import numpy as np

from headway.episodes import Array
from headway.signals.weights.gains import gains
from headway.signals.weights.scored import ScoredFrames

BINS = 20
"""Of progress, for AWR's baseline."""
STEADY = 1e-6
"""A smaller spread of advantages is rounding."""


def gvl(gain: Array, temperature: float = 1.0) -> Array:
    """GVL's weights of gains (frames,) in [-1, 1]: float64 in (0, 1], NaN where the gain is NaN.

    The paper does not say its tau (`temperature`).
    """
    return np.exp(temperature * (gain - 1))


def topreward(gain: Array, temperature: float = 2.0, most: float = 2.0) -> Array:
    """TOPReward's weights of gains (frames,) in [-1, 1]: float64 in [0, 1], NaN where the gain is NaN."""
    return np.clip(temperature * np.exp(gain), 0, most) / most


def rwr(frames: ScoredFrames, temperature: float = 0.25) -> Array:
    """Every frame by its episode's final progress, float64 (frames,) in (0, 1]; NaN where that is unknown.

    The final progress is the mean of the last five frames that are known. On purpose unlike the original, which weighs
    whole trajectories by any return: this one is in [0, 1], so that no division by the highest is needed.
    """
    finals = []
    for _, values in frames.curves():
        known = values[~np.isnan(values)]
        finals.append(known[-5:].mean() if known.size else np.nan)
    return frames.over_frames(np.exp((np.array(finals).clip(0, 1) - 1) / temperature))


def awr(frames: ScoredFrames, look_ahead: int, beta: float = 0.5, most: float = 20.0) -> Array:
    """Advantage-weighted regression: float64 (frames,) in (0, 1], NaN where the gain is unknown.

    The advantage is what a frame gains beyond the mean gain of all frames at like progress (20 bins), the value
    baseline: gains differ along a task, and no part of it must be forgotten for being slow. `beta` is in spreads of it.
    """
    advantage = advantages(frames, look_ahead)
    known = advantage[~np.isnan(advantage)]
    spread = float(known.std()) if known.size else 0.0
    if spread < STEADY:
        return np.where(np.isnan(advantage), np.nan, 1 / most)
    return np.minimum(np.exp(np.minimum(advantage / (beta * spread), 700)), most) / most


def advantages(frames: ScoredFrames, look_ahead: int) -> Array:
    """The gain beyond the mean gain of frames at like progress, float64 (frames,); NaN where either is unknown."""
    gain = gains(frames.progress, frames.episode, look_ahead)
    known = ~np.isnan(gain)
    place = np.zeros(len(gain), dtype=int)
    place[known] = np.minimum(np.asarray(frames.progress)[known] * BINS, BINS - 1).clip(0).astype(int)
    number = np.bincount(place[known], minlength=BINS)
    baseline = np.bincount(place[known], gain[known], minlength=BINS) / np.maximum(number, 1)
    return gain - baseline[place]


def aw_bc(frames: ScoredFrames, look_ahead: int) -> Array:
    """Length-scaled gains, linear within two spreads of their mean: float64 (frames,) in [0, 1], NaN where unknown.

    A long episode gains little a frame, and not because it is bad. Mean and spread are those of the dataset; the paper
    takes a batch's.
    """
    scaled = gains(frames.progress, frames.episode, look_ahead) * frames.over_frames(
        frames.lengths / max(frames.lengths.mean() if len(frames.lengths) else 1, 1)
    )
    known = scaled[~np.isnan(scaled)]
    if not known.size:
        return scaled
    mean, spread = float(known.mean()), max(float(known.std()), 1e-9)
    return np.clip((scaled - (mean - 2 * spread)) / (4 * spread), 0, 1)
