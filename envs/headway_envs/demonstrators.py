"""Who acts: the expert, and demonstrators that make mistakes.

A demonstrator is the expert plus any number of mistakes. A mistake may take over for a while, or make the demonstrator
believe something untrue and go on with that. Nobody here says whether an episode succeeds or how far it gets: that is
read from the simulator afterwards.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from headway.errors import UnknownName
from headway_envs.mistakes import Abandon, Detour, Drop, Hesitate, PlaceBlindly, PushBack, PutBack, WrongObject
from headway_envs.tasks.base import Action, Layout, Point, Situation, Task

HOLD = 10
"""Steps (0.5 s) a demonstrator keeps still when it believes the task to be done, before the episode ends."""

Belief = Callable[[Situation], Situation]


class Mistake(Protocol):
    """Something that goes wrong in an episode, once."""

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Action | None:
        """What to do instead of the expert's action, or None to leave it to the expert."""
        ...


class Demonstrator:
    """Acts in one episode.

    Attributes:
        beliefs: what it takes the situation for, applied one after the other; empty when it sees what is.
        offset: metres by which it misjudges where to put cubes.
        last: its last action.
        finished: it holds the task to be done, or has given up.
    """

    def __init__(self, task: Task, layout: Layout, mistakes: tuple[Mistake, ...] = ()):
        self.task = task
        self.layout = layout
        self.mistakes = mistakes
        self.beliefs: list[Belief] = []
        self.offset: Point = (0.0, 0.0, 0.0)
        self.last: Action = (layout.hand, -1.0)
        self.finished = False
        self._held = 0

    def believed(self, situation: Situation) -> Situation:
        """What the demonstrator takes the situation for."""
        for belief in self.beliefs:
            situation = belief(situation)
        return situation

    def act(self, situation: Situation, progress: float) -> Action:
        """The next action. `progress`: the true one, which decides when mistakes happen."""
        self.last = self._action(situation, progress)
        return self.last

    def _action(self, situation: Situation, progress: float) -> Action:
        for mistake in self.mistakes:
            action = mistake.act(self, situation, progress)
            if action is not None:
                return action
        believed = self.believed(situation)
        self._held = self._held + 1 if self.task.success(believed) else 0
        self.finished = self.finished or self._held >= HOLD
        return self.task.act(believed, self.offset)


def _expert(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    return ()


def _hesitate(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    count = int(random.integers(1, 3))
    return tuple(Hesitate(float(random.uniform(0.05, 0.95)), int(random.integers(20, 61))) for _ in range(count))


def _detour(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    count = int(random.integers(1, 3))
    return tuple(Detour.drawn(random) for _ in range(count))


def _regress(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    if task.has_drawer and random.random() < 0.5:
        return (PushBack(float(random.uniform(0.2, 0.8)), float(random.uniform(0.02, 0.09))),)
    cube = int(random.choice(task.to_place))
    return (PutBack(cube, float(random.uniform(0.2, 0.9))),)


def _drop(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    cube = int(random.choice(task.to_place))
    return (Drop(cube, float(random.uniform(0.1, 0.4))), *_unseen_after(cube, task))


def _near_miss(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    cube = int(random.choice(task.to_place))
    return (PlaceBlindly(cube, task.near_miss(random)), *_unseen_after(cube, task))


def _unseen_after(cube: int, task: Task) -> tuple[Mistake, ...]:
    """Whoever lost one cube without noticing does not look at the next ones either."""
    return tuple(PlaceBlindly(later) for later in task.to_place if later > cube)


def _abandon(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    return (Abandon(float(random.uniform(0.1, 0.85)), int(random.integers(30, 61))),)


def _wrong_object(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    return (WrongObject(),)


KINDS: dict[str, Callable[[Task, np.random.Generator], tuple[Mistake, ...]]] = {
    "expert": _expert,
    "hesitate": _hesitate,
    "detour": _detour,
    "regress": _regress,
    "drop": _drop,
    "near-miss": _near_miss,
    "abandon": _abandon,
    "wrong-object": _wrong_object,
}
"""The kinds of demonstrators: what each draws for an episode."""


def demonstrator(kind: str, task: Task, layout: Layout) -> Demonstrator:
    """A demonstrator of that kind; where its mistakes happen is drawn from the layout's seed.

    Raises UnknownName, which lists the kinds.
    """
    if kind not in KINDS:
        raise UnknownName("kind of demonstrator", kind, KINDS)
    random = np.random.default_rng([layout.seed, 2, list(KINDS).index(kind)])
    return Demonstrator(task, layout, KINDS[kind](task, random))
