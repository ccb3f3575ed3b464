"""Mistakes of movement: a way round, too far, and with a trembling hand."""

from typing import TYPE_CHECKING

import numpy as np

from headway_envs.mistakes.base import Mistake
from headway_envs.motion import LEAD, TRAVEL_HEIGHT, Point, Wish, clamp, heading, lateral
from headway_envs.tasks.base import Situation

if TYPE_CHECKING:
    from headway_envs.acting import Demonstrator

_ROPE = 0.015
"""Metres: a point towed behind the hand on a rope of this length tells where it is going."""
_SLOWEST = 0.1
"""Metres per second: who cannot get further that fast does not try any longer."""
_WITHIN = ((-0.36, 0.36), (-0.18, 0.24))
"""Where a hand that goes too far still gets, x and y in metres."""


class Detour(Mistake):
    """Visit a place over the table when progress first reaches `at`, with whatever is in the hand."""

    def __init__(self, at: float, via: Point):
        self._at = at
        self._via = via
        self._under_way = False
        self._over = False

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Wish | None:
        self._under_way = self._under_way or progress >= self._at
        arrived = lateral(situation.hand, self._via) < 0.02 and situation.hand[2] > TRAVEL_HEIGHT - 0.02
        self._over = self._over or (self._under_way and arrived)
        if self._over or not self._under_way:
            return None
        return heading(situation.hand, self._via), who.last[1]


class Overshoot(Mistake):
    """Once progress has reached `at`, fly past the next target by `beyond` metres, in the direction of travel."""

    def __init__(self, at: float, beyond: float):
        self._at = at
        self._beyond = beyond
        self._behind: Point | None = None
        self._via: Point | None = None
        self._left = 0

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Wish | None:
        if self._via is None:
            behind = self._arrived(who, situation)
            if behind is None or progress < self._at:
                return None
            self._via = _ahead(behind, situation.hand, self._beyond)
            self._left = who.steps(self._beyond / _SLOWEST)
        self._left -= 1
        if self._left < 0 or lateral(situation.hand, self._via) < 0.01:
            self._left = 0
            return None
        return heading(situation.hand, self._via), who.last[1]

    def _arrived(self, who: "Demonstrator", situation: Situation) -> Point | None:
        """Where the hand comes from that has just travelled to where it has to be; None at all other times."""
        hand, (target, _) = situation.hand, who.wanted()
        if lateral(hand, target) > LEAD / 2:
            self._behind = _towed(self._behind or hand, hand)
            return None
        if target[2] > hand[2] + 0.002:
            return None  # too low: it rises before it goes on
        behind, self._behind = self._behind, None
        return behind if behind is not None and lateral(behind, hand) > 0.8 * _ROPE else None


class Jitter(Mistake):
    """Tremble, by `sigma` metres in each direction, from when progress first reaches `begin` until it reaches `end`."""

    def __init__(self, begin: float, end: float, sigma: float, random: np.random.Generator):
        self._begin = begin
        self._end = end
        self._trembles = False
        self._over = False
        self._sigma = sigma
        self._random = random

    def altered(self, who: "Demonstrator", wish: Wish, progress: float) -> Wish:
        self._trembles = self._trembles or progress >= self._begin
        self._over = self._over or progress >= self._end
        if self._over or not self._trembles:
            return wish
        (x, y, z), grip = wish
        dx, dy, dz = self._random.normal(0, self._sigma, 3).tolist()
        return (x + dx, y + dy, z + dz), grip


def _towed(behind: Point, hand: Point) -> Point:
    """Where a point is that was `behind` before the hand drew it along."""
    x, y, z = hand
    share = min(1.0, _ROPE / max(lateral(behind, hand), 1e-9))
    return x + share * (behind[0] - x), y + share * (behind[1] - y), z


def _ahead(before: Point, now: Point, metres: float) -> Point:
    """The place so far on in the direction from `before` to `now`, a little higher, over the table."""
    stretch = metres / lateral(before, now)
    x, y = (clamp(now[axis] + stretch * (now[axis] - before[axis]), *_WITHIN[axis]) for axis in (0, 1))
    return x, y, now[2] + 0.02
