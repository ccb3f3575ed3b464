"""Weights for behaviour cloning: how much each frame of a demonstration moves the task on.

`scored.py` is what a scheme is given, `schemes.py` lists them, `look_ahead.py` says how far to look, `diagnostics.py`
what to know before training.
"""

from headway.signals.weights.gains import LOOK_AHEAD, gains
from headway.signals.weights.rabc import KAPPA, rabc
from headway.signals.weights.table import read_weights, weights_of, write_weights

__all__ = ["KAPPA", "LOOK_AHEAD", "gains", "rabc", "read_weights", "weights_of", "write_weights"]
