"""Who acts in Meta-World's tasks: its scripted expert, alone or with mistakes.

Nobody here says whether an episode succeeds or how far it gets: that is read from the simulator afterwards.
"""

from collections.abc import Callable
from zlib import crc32

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_envs.metaworld.mistakes import Abandon, Detour, Drop, Hesitate, Jitter, Mistake, Moment, Overshoot
from headway_envs.metaworld.simulator import Reading
from headway_envs.metaworld.task import MetaWorldTask

EXPERT = "expert"
HOLD = 3
"""Frames for which a demonstrator sees the task done before the episode ends; some tasks do not stay done longer."""

_REACH = ((-0.25, 0.45, 0.15), (0.25, 0.75, 0.35))  # metres: where a detour may lead


def _hesitate(task: MetaWorldTask, random: np.random.Generator) -> tuple[Mistake, ...]:
    count = int(random.integers(1, 3))
    return tuple(Hesitate(float(random.uniform(0.05, 0.95)), int(random.integers(20, 61))) for _ in range(count))


def _jitter(task: MetaWorldTask, random: np.random.Generator) -> tuple[Mistake, ...]:
    at, sigma = float(random.uniform(0, 0.6)), float(random.uniform(0.6, 1.2))
    return (Jitter(at, int(random.integers(30, 91)), sigma, random),)


def _detour(task: MetaWorldTask, random: np.random.Generator) -> tuple[Mistake, ...]:
    count = int(random.integers(1, 3))
    return tuple(Detour(float(random.uniform(0.03, 0.9)), random.uniform(*_REACH)) for _ in range(count))


def _overshoot(task: MetaWorldTask, random: np.random.Generator) -> tuple[Mistake, ...]:
    return (Overshoot(float(random.uniform(0.05, 0.9)), int(random.integers(6, 16))),)


def _abandon(task: MetaWorldTask, random: np.random.Generator) -> tuple[Mistake, ...]:
    return (Abandon(float(random.uniform(0.1, 0.85)), int(random.integers(10, 31))),)


def _drop(task: MetaWorldTask, random: np.random.Generator) -> tuple[Mistake, ...]:
    last = task.proportions[-1]
    return (Drop(1 - last + last * float(random.uniform(0.1, 0.8)), int(random.integers(15, 31))),)


MISTAKES: dict[str, Callable[[MetaWorldTask, np.random.Generator], tuple[Mistake, ...]]] = {
    "hesitate": _hesitate,
    "detour": _detour,
    "overshoot": _overshoot,
    "drop": _drop,
    "abandon": _abandon,
    "jitter": _jitter,  # the last: it trembles on top of whatever the others do
}
"""The imperfections: what each draws for an episode."""

IMPERFECTIONS = tuple(MISTAKES)


def kinds_of(task: MetaWorldTask) -> tuple[str, ...]:
    """The kinds of demonstrators of a task, the expert first; imperfect ones can be joined by `+`."""
    return (EXPERT, *(name for name in MISTAKES if name != "drop" or task.grip is not None))


def check_kind(kind: str, task: MetaWorldTask) -> None:
    """Raises InvalidValue, which names the kinds that the task has, for any other."""
    parts = kind.split("+")
    known = kinds_of(task)
    if kind != EXPERT and (len(set(parts)) < len(parts) or not set(parts) <= set(known[1:])):
        raise InvalidValue(
            f"{task.id} has no demonstrator of kind {kind!r}; there are {', '.join(known)}, "
            "and imperfect ones joined by + as in hesitate+jitter"
        )


class Demonstrator:
    """Acts in one episode of `task` that starts with the reading `start`.

    Attributes:
        at_work: names of the imperfections that shaped the last action.
        finished: it holds the task to be done, or has given up.
    """

    def __init__(self, kind: str, task: MetaWorldTask, start: Reading, seed: int):
        check_kind(kind, task)
        self._task = task
        self._start = start
        self._mistakes = [
            (name, mistake)
            for name, draw in MISTAKES.items()
            if name in kind.split("+")
            for mistake in draw(task, np.random.default_rng([seed, 2, crc32(name.encode())]))
        ]
        self._last = np.array([0, 0, 0, -1], dtype=np.float32)
        self._held = 0
        self.at_work: set[str] = set()
        self.finished = False

    def act(self, now: Reading, stage: int, progress: float, expert_action: Array) -> Array:
        """float32 (4,): the next action, given what the expert would do."""
        self._held = self._held + 1 if now.success else 0
        holding = self._task.grip is not None and stage == len(self._task.stage_names) - 1
        moment = Moment(self._start, now, progress, holding, self._last)
        # whoever sees the task done stops: some experts go on and undo it
        action = moment.still() if now.success else expert_action
        self.at_work = set()
        for name, mistake in self._mistakes:
            changed = None if self.at_work and name != "jitter" else mistake.act(moment, action)
            if changed is not None:
                action = changed
                self.at_work.add(name)
        gave_up = any(mistake.gave_up for _, mistake in self._mistakes)
        self.finished = self._held >= HOLD or gave_up
        self._last = action
        return action
