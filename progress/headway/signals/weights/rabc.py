"""RA-BC, reward-aligned behaviour cloning, as published and as lerobot has it (SARM, arXiv 2509.25358, eq. 5-9).

For the gain b_t = y_{t+H} - y_t over a look-ahead of H frames, clipped to the episode's last frame, with
mu = max(mean(b), 0) and s = std(b):

    w~_t = clip((b_t - (mu - 2 s)) / (4 s + eps), 0, 1)
    w_t  = 1[b_t > kappa] + 1[0 <= b_t <= kappa] w~_t

kappa is a threshold of speed: at 0.01, H = 25 and 30 frames a second, whatever would be done within 83 s moves by more,
so that on short tasks nearly every weight is 1 and RA-BC is plain cloning. `rabc_auto` is ours.
"""

import numpy as np

from headway.episodes import Array

KAPPA = 0.01
EPSILON = 1e-6


def rabc(gain: Array, kappa: float = KAPPA, epsilon: float = EPSILON) -> Array:
    """lerobot's form: mean and spread are those of all gains of the dataset.

    Args:
        gain: float (frames,), NaN where unknown.
        kappa: gains above it weigh 1.
        epsilon: keeps divisions finite.

    Returns:
        float64 (frames,) in [0, 1]. On purpose unlike lerobot, a frame without a gain gets no weight (NaN), not 1.
    """
    known = gain[~np.isnan(gain)]
    if not known.size:
        return np.full(len(gain), np.nan)
    mean, spread = max(float(known.mean()), 0.0), max(float(known.std()), epsilon)
    return _weigh(gain, np.full(len(gain), mean), np.full(len(gain), spread), kappa, epsilon)


def rabc_paper(gain: Array, kappa: float = KAPPA, epsilon: float = EPSILON, seed: int = 0) -> Array:
    """The published form: mean and spread are running ones (Welford 1962), over the gains met so far.

    A training meets frames in random order, and a frame's weight then depends on when it is met. Here each frame is met
    once, in an order drawn from `seed`, and its own gain counts already; the first ones are weighed by few.
    """
    order = np.random.default_rng(seed).permutation(len(gain))
    met = order[~np.isnan(gain[order])]
    values = gain[met]
    number = np.arange(1, len(met) + 1)
    mean = np.cumsum(values) / number
    # Welford's sum of squares: each new value adds (x - old mean)(x - new mean)
    before = np.r_[0.0, mean[:-1]]
    spread = np.sqrt(np.cumsum((values - before) * (values - mean)).clip(min=0) / number)
    means, spreads = np.zeros(len(gain)), np.zeros(len(gain))
    means[met], spreads[met] = np.maximum(mean, 0), np.maximum(spread, epsilon)
    return _weigh(gain, means, spreads, kappa, epsilon)


def _weigh(gain: Array, mean: Array, spread: Array, kappa: float, epsilon: float) -> Array:
    soft = np.clip((gain - (mean - 2 * spread)) / (4 * spread + epsilon), 0, 1)
    weights = np.where(gain > kappa, 1.0, np.where(gain >= 0, soft, 0.0))
    return np.where(np.isnan(gain), np.nan, weights)
