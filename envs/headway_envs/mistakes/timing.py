"""Mistakes of timing: to wait, and to give up."""

from typing import TYPE_CHECKING

from headway_envs.mistakes.base import Mistake
from headway_envs.motion import Wish, heading, lateral
from headway_envs.tasks.base import Situation
from headway_envs.tasks.grasping import grasped

if TYPE_CHECKING:
    from headway_envs.acting import Demonstrator


class Hesitate(Mistake):
    """Stand still for `seconds` when progress first reaches `at`."""

    def __init__(self, at: float, seconds: float):
        self._at = at
        self._seconds = seconds
        self._still: Wish | None = None
        self._left = 0

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Wish | None:
        if self._still is None:
            if progress < self._at:
                return None
            self._still = situation.hand, who.last[1]
            self._left = who.steps(self._seconds)
        self._left -= 1
        return self._still if self._left >= 0 else None


class Abandon(Mistake):
    """Stop when progress reaches `at`, let go of what is in the hand, retreat to where the hand was at the start, and
    wait there for `seconds`."""

    def __init__(self, at: float, seconds: float):
        self._at = at
        self._seconds = seconds
        self._grip: float | None = None
        self._waited = 0

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Wish | None:
        if self._grip is None:
            if progress < self._at:
                return None
            carries = any(grasped(situation, number) for number in who.task.to_place)
            self._grip = 1.0 if carries else who.last[1]
        self._waited += lateral(situation.hand, who.layout.hand) < 0.02
        self.ended = self._waited >= who.steps(self._seconds)
        return heading(situation.hand, who.layout.hand), self._grip
