"""What can go wrong in a demonstration of any Meta-World task. A mistake knows nothing of the task.

Each happens once in an episode, at a moment that its true progress decides, and can be combined with others.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from headway.episodes import Array
from headway_envs.metaworld.simulator import Reading

_PULL = 10.0  # action per metre of distance, as Meta-World's experts have it
_ARRIVED = 0.03
_DETOUR_STEPS = 60
_FAST, _SLOWED = 0.8, 0.5  # of the full speed
_OPEN = -1.0


@dataclass(frozen=True)
class Moment:
    """What a demonstrator knows when it acts.

    Attributes:
        start: the episode's first reading.
        now: the present one.
        progress: the true one, in [0, 1].
        holding: whether the thing may be in the hand: the last stage of a task that grasps.
        last: float32 (4,), the last action; the hand still and open at first.
    """

    start: Reading
    now: Reading
    progress: float
    holding: bool
    last: Array

    def still(self) -> Array:
        """The action that moves nothing."""
        return np.array([0, 0, 0, self.last[3]], dtype=np.float32)

    def towards(self, place: Array) -> Array:
        """The action that heads for a place of the hand, metres, with whatever is in it."""
        way = np.clip(_PULL * (place - self.now.hand), -1, 1)
        return np.append(way, self.last[3]).astype(np.float32)


class Mistake(Protocol):
    """Something that goes wrong in an episode, once.

    Attributes:
        gave_up: the episode is over.
    """

    gave_up: bool = False

    def act(self, moment: Moment, action: Array) -> Array | None:
        """What to do instead of `action`; None while the mistake is not at work."""
        ...


class Hesitate(Mistake):
    """Stand still for `steps` when progress first reaches `at`."""

    def __init__(self, at: float, steps: int):
        self._at = at
        self._left = steps
        self._begun = False

    def act(self, moment: Moment, action: Array) -> Array | None:
        self._begun = self._begun or moment.progress >= self._at
        if not self._begun or self._left == 0:
            return None
        self._left -= 1
        return moment.still()


class Jitter(Mistake):
    """Tremble for `steps` from progress `at` on: noise of standard deviation `sigma` on every direction's action."""

    def __init__(self, at: float, steps: int, sigma: float, random: np.random.Generator):
        self._at = at
        self._left = steps
        self._sigma = sigma
        self._random = random
        self._begun = False

    def act(self, moment: Moment, action: Array) -> Array | None:
        self._begun = self._begun or moment.progress >= self._at
        if not self._begun or self._left == 0:
            return None
        self._left -= 1
        noise = np.append(self._random.normal(0, self._sigma, 3), 0)
        return np.clip(action + noise, -1, 1).astype(np.float32)


class Detour(Mistake):
    """Visit the place `via`, metres, when progress first reaches `at`; given up after 0.75 s."""

    def __init__(self, at: float, via: Array):
        self._at = at
        self._via = via
        self._left = _DETOUR_STEPS
        self._begun = False

    def act(self, moment: Moment, action: Array) -> Array | None:
        self._begun = self._begun or moment.progress >= self._at
        if not self._begun or self._left == 0:
            return None
        self._left -= 1
        if np.linalg.norm(moment.now.hand - self._via) < _ARRIVED:
            self._left = 0
        return moment.towards(self._via)


class Overshoot(Mistake):
    """Go on at full speed for `steps` where the expert first slows down or turns once progress has reached `at`."""

    def __init__(self, at: float, steps: int):
        self._at = at
        self._left = steps
        self._course: Array | None = None
        self._begun = False

    def act(self, moment: Moment, action: Array) -> Array | None:
        speed = float(np.abs(moment.last[:3]).max())
        if not self._begun and speed > _FAST:
            self._course = moment.last[:3] / speed
        if self._course is None or self._left == 0:
            return None
        kept = float(action[:3] @ self._course / (self._course @ self._course))
        self._begun = self._begun or (moment.progress >= self._at and kept < _SLOWED)
        if not self._begun:
            return None
        self._left -= 1
        return np.append(self._course, moment.last[3]).astype(np.float32)


class Abandon(Mistake):
    """Stop when progress reaches `at`, go back to where the hand was at the start, and wait there for `steps`."""

    def __init__(self, at: float, steps: int):
        self._at = at
        self._left = steps
        self._retreats = False

    def act(self, moment: Moment, action: Array) -> Array | None:
        self._retreats = self._retreats or moment.progress >= self._at
        if not self._retreats:
            return None
        if np.linalg.norm(moment.now.hand - moment.start.hand) < _ARRIVED:
            self._left -= 1
            self.gave_up = self._left <= 0
        return moment.towards(moment.start.hand)


class Drop(Mistake):
    """Open the fingers for `steps` when the thing is in the hand and progress has reached `at`."""

    def __init__(self, at: float, steps: int):
        self._at = at
        self._left = steps
        self._begun = False

    def act(self, moment: Moment, action: Array) -> Array | None:
        self._begun = self._begun or (moment.holding and moment.progress >= self._at)
        if not self._begun or self._left == 0:
            return None
        self._left -= 1
        return np.array([0, 0, 0, _OPEN], dtype=np.float32)
