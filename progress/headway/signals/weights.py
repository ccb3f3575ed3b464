"""Weights for behaviour cloning: how much each frame of a demonstration moves the task on.

RA-BC (SARM, arXiv 2509.25358, eq. 5-9), for the gain b_t = y_{t+H} - y_t over a look-ahead of H frames, clipped to
the episode's last frame, with mu = max(mean(b), 0) and s = std(b) over the whole dataset:

    w~_t = clip((b_t - (mu - 2 s)) / (4 s + eps), 0, 1)
    w_t  = 1[b_t > kappa] + 1[0 <= b_t <= kappa] w~_t

On purpose unlike lerobot, a frame without progress gets no weight (NaN) instead of 1.

Two more, from progress that a vision-language model gives; both are divided by their largest value, so that they lie
in [0, 1]:

    AWR (GVL, arXiv 2411.04549, eq. 6)          w_t = exp(tau b_t) / exp(tau)
    TOPReward (arXiv 2602.19313, eq. 3)         w_t = min(tau exp(b_t), d) / d    with tau = d = 2

With those settings of TOPReward's every frame that does not fall back is at the ceiling: `at_ceiling` tells.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.tables import write_table

# The shortest look-ahead, in frames, over which experts at 20 Hz always gain; shorter ones punish letting go.
LOOK_AHEAD = 25
KAPPA = 0.01
EPSILON = 1e-6


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


def rabc(gain: Array, kappa: float = KAPPA, epsilon: float = EPSILON) -> Array:
    """RA-BC weights of gains (frames,): float64 in [0, 1], NaN where the gain is NaN."""
    known = gain[~np.isnan(gain)]
    if not known.size:
        return np.full(len(gain), np.nan)
    mean, spread = max(float(known.mean()), 0.0), max(float(known.std()), epsilon)
    soft = np.clip((gain - (mean - 2 * spread)) / (4 * spread + epsilon), 0, 1)
    weights = np.where(gain > kappa, 1.0, np.where(gain >= 0, soft, 0.0))
    return np.where(np.isnan(gain), np.nan, weights)


def awr(gain: Array, temperature: float = 1.0) -> Array:
    """Advantage-weighted regression of gains (frames,) in [-1, 1]: float64 in (0, 1], NaN where the gain is NaN.

    The paper does not say its tau (`temperature`).
    """
    return np.exp(temperature * (gain - 1))


def topreward(gain: Array, temperature: float = 2.0, most: float = 2.0) -> Array:
    """TOPReward's weights of gains (frames,) in [-1, 1]: float64 in [0, 1], NaN where the gain is NaN."""
    return np.clip(temperature * np.exp(gain), 0, most) / most


def at_ceiling(weight: Array) -> float:
    """The share of known weights (frames,) that are at their largest value; NaN when none is known."""
    known = weight[~np.isnan(weight)]
    return float(np.mean(known >= known.max() - 1e-9)) if known.size else float("nan")


def write_weights(path: Path, index: Array, weight: Array) -> None:
    """Write the table of weights: `index` int64, `weight` float32 in [0, 1], null where there is none."""
    columns = {"index": pa.array(index, pa.int64()), "weight": pa.array(weight, pa.float32(), from_pandas=True)}
    write_table(path, pa.table(columns))
