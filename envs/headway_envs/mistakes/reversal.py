"""Going back: on what is half done, and on what is done."""

from math import dist
from typing import TYPE_CHECKING

from headway_envs.mistakes.base import Mistake
from headway_envs.motion import Wish
from headway_envs.tasks.base import Situation
from headway_envs.tasks.grasping import grasped

if TYPE_CHECKING:
    from headway_envs.acting import Demonstrator


_LONGEST = 15.0
"""Seconds after which who cannot get back gives it up."""

_WORTH = 0.03
"""Metres that something has to have been moved for being worth moving back."""


class GoBack(Mistake):
    """Reverse what has been done until a thing that was in the hand is let go, or one that was not, or a sliding part,
    has moved by `far` metres; entirely, where `far` is infinite."""

    def __init__(self, far: float):
        self._far = far
        self._from: Situation | None = None
        self._carries = False
        self._steps = 0
        self._over = False

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Wish | None:
        if self._over:
            return None
        if self._from is None and not self.begins(who, situation, progress):
            return None
        wish = who.task.undo(situation, who.layout)
        if self._from is None:
            if wish is None:
                return None
            self._from = situation
        self._steps += 1
        late = self._steps > who.steps(_LONGEST)
        self._over = wish is None or late or self._far_enough(who, self._from, situation)
        return None if self._over else wish

    def begins(self, who: "Demonstrator", situation: Situation, progress: float) -> bool:
        """Whether it is time to go back, if there is anything to go back on."""
        raise NotImplementedError

    def _far_enough(self, who: "Demonstrator", before: Situation, now: Situation) -> bool:
        carried, self._carries = self._carries, any(grasped(now, number) for number in who.task.to_place)
        if self._far == float("inf"):
            return False
        away = not (carried or self._carries) and max(_moved(before, now)) > self._far
        return away or (carried and not self._carries)


class Regress(GoBack):
    """Go back when progress has reached `at` and something has been moved, then go on."""

    def __init__(self, at: float, far: float):
        super().__init__(far)
        self._at = at

    def begins(self, who: "Demonstrator", situation: Situation, progress: float) -> bool:
        return progress >= self._at and max(_moved(who.layout, situation)) > _WORTH


class Undo(GoBack):
    """Go back when the task has been done for `pause` seconds; the episode ends with it."""

    def __init__(self, pause: float, far: float):
        super().__init__(far)
        self._pause = pause
        self._done = 0

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Wish | None:
        wish = super().act(who, situation, progress)
        self.pending = self._done > 0 and not self._over
        self.ended = self._over
        return (situation.hand, who.last[1]) if self._over else wish

    def begins(self, who: "Demonstrator", situation: Situation, progress: float) -> bool:
        self._done = self._done + 1 if who.task.success(situation) else 0
        return self._done > who.steps(self._pause)


def _moved(before: Situation, now: Situation) -> list[float]:
    """Metres by which each thing and each sliding part has moved."""
    moved = [dist(a, b) for a, b in zip(before.objects, now.objects, strict=True)]
    return moved + [abs(a - b) for a, b in zip(before.travel, now.travel, strict=True)]
