"""RA-BC's absolute judgement times AWR's relative one: what moves the task on weighs, what does so best weighs most.

`rabc-auto` gives full weight to all that moves at half the usual speed, so most frames weigh alike and a wrong estimate
has full weight too. AWR (arXiv 1910.00177) ranks frames at like progress, but by factors of a hundred and more: what
has to go slowly, such as closing a gripper, all but vanishes. Here AWR's exponential is bounded on both sides,

    w_t = rabc-auto_t  clip(exp(A_t / s), 1/4, 4) / 4

with A_t the gain beyond the mean gain of frames at like progress and s its spread over the dataset. A usual frame has a
quarter of the best one's weight, the least a sixteenth. Ours; experiments/rabc.md measures it against both.
"""

import numpy as np

from headway.episodes import Array
from headway.signals.weights.exponential import STEADY, advantages
from headway.signals.weights.rabc_auto import rabc_auto
from headway.signals.weights.scored import ScoredFrames

MOST = 4.0
"""How many times as much, or as little, as a usual frame the best and the worst weigh."""


def rabc_awr(frames: ScoredFrames, look_ahead: int) -> Array:
    """Weights of frames: float64 (frames,) in [0, 1], NaN where progress is unknown. See the module.

    Raises InvalidValue where no episode has any progress.
    """
    return rabc_auto(frames, look_ahead) * _standing(advantages(frames, look_ahead)) / MOST


def _standing(advantage: Array) -> Array:
    """By what factor a frame stands out, in [1 / MOST, MOST]; 1 where nobody knows, and where all gain alike."""
    known = advantage[~np.isnan(advantage)]
    spread = float(known.std()) if known.size else 0.0
    if spread < STEADY:
        return np.ones(len(advantage))
    exponent = np.where(np.isnan(advantage), 0.0, advantage / spread)
    return np.exp(np.clip(exponent, -np.log(MOST), np.log(MOST)))
