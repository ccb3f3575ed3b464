"""Random pushes on what a robot carries out, while the clean action is recorded.

Whoever learns from such recordings has seen how to come back (Laskey et al., DART, 2017, arXiv:1703.09327).
"""

import numpy as np

from headway.episodes import Array

DISTURBANCE = 0.004
"""Usual standard deviation in metres of the hand."""
_PERSISTENCE, _REFERENCE_FPS = 0.8, 20


class Disturbance:
    """Pushes that wander: a first-order autoregression that forgets at the same pace at every frame rate.

    Args:
        size: of a push, `Robot.pushes` numbers.
        sigma: standard deviation of each, in metres of the hand.
        fps: control steps per second.
        random: where the pushes are drawn from.
    """

    def __init__(self, size: int, sigma: float, fps: float, random: np.random.Generator):
        self._persistence = _PERSISTENCE ** (_REFERENCE_FPS / fps)
        self._fresh = sigma * (1 - self._persistence**2) ** 0.5  # keeps the standard deviation at sigma
        self._random = random
        self._push = np.zeros(size)

    def next(self) -> Array:
        """The push (size,) of the next step, metres."""
        self._push = self._persistence * self._push + self._fresh * self._random.normal(size=len(self._push))
        return self._push
