"""Who acts: the expert, and demonstrators that make mistakes.

A demonstrator is the expert plus any number of mistakes. A mistake may take over for a while, make the demonstrator
believe something untrue, or alter what it does. Nobody here says whether an episode succeeds or how far it gets: that
is read from the simulator afterwards. What is said here, step by step, is which mistakes are at work.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from zlib import crc32

import numpy as np

from headway.errors import InvalidValue, UnknownName
from headway_envs.acting import Demonstrator
from headway_envs.mistakes.base import Mistake
from headway_envs.mistakes.movement import Detour, Jitter, Overshoot
from headway_envs.mistakes.objects import Drop, NearMiss, WrongObject, WrongOrder
from headway_envs.mistakes.reversal import Regress, Undo
from headway_envs.mistakes.timing import Abandon, Hesitate
from headway_envs.motion import TRAVEL_HEIGHT
from headway_envs.tasks.base import Layout, Task

Draw = Callable[[Task, np.random.Generator], tuple[Mistake, ...]]
"""The mistakes of one kind in an episode."""


def _expert(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    return ()


def _hesitate(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    count = int(random.integers(1, 3))
    return tuple(Hesitate(random.uniform(0.05, 0.95), random.uniform(1, 3)) for _ in range(count))


def _detour(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    def drawn() -> Mistake:
        x, y, z = random.uniform((-0.2, -0.2, TRAVEL_HEIGHT), (0.25, 0.15, TRAVEL_HEIGHT + 0.05)).tolist()
        return Detour(random.uniform(0.03, 0.9), (x, y, z))

    return tuple(drawn() for _ in range(int(random.integers(1, 3))))


def _regress(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    return (Regress(random.uniform(0.1, 0.9), random.uniform(0.05, 0.12)),)


def _drop(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    number = int(random.choice(task.to_place))
    return (Drop(_from(number, task), random.uniform(0.1, 0.6), bool(random.random() < 0.5)),)


def _near_miss(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    numbers = _from(int(random.choice(task.to_place)), task) if task.to_place else ()
    return (NearMiss(numbers, task.near_miss(random)),)


def _from(number: int, task: Task) -> tuple[int, ...]:
    """That thing and those to place after it: who lost one without noticing does not look at the next either."""
    return task.to_place[task.to_place.index(number) :]


def _wrong_object(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    assert task.confusable is not None
    return (WrongObject(*task.confusable),)


def _wrong_order(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    return (WrongOrder(None, task.to_place[0]) if task.slides else WrongOrder(*task.to_place[:2]),)


def _abandon(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    return (Abandon(random.uniform(0.1, 0.85), random.uniform(1.5, 3)),)


def _overshoot(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    early, late = (Overshoot(random.uniform(*at), random.uniform(0.04, 0.08)) for at in ((0, 0.05), (0.3, 0.8)))
    # in a short task nothing may be left to travel to by then
    alone = late if len(task.stage_names) > 3 and random.random() < 0.5 else early
    return (early, late) if random.random() < 0.5 else (alone,)


def _jitter(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    whole = random.random() < 0.5
    begin, length = random.uniform(0, 0.5), random.uniform(0.3, 0.5)
    begin, end = (0.0, inf) if whole else (begin, begin + length)
    return (Jitter(begin, end, 0.008, random),)


def _undo(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    entirely = random.random() < 0.5
    pause, far = random.uniform(0.3, 1), random.uniform(0.05, 0.12)
    return (Undo(pause, inf if entirely else far),)


def _any_task(task: Task) -> bool:
    return True


def _has_parts(task: Task) -> bool:
    """Whether there are two things to place, or one and something to open first."""
    return len(task.to_place) > 1 or (bool(task.to_place) and bool(task.slides))


@dataclass(frozen=True)
class Kind:
    """What a kind of demonstrator draws for an episode; which tasks have it, and why the others have not."""

    draw: Draw
    possible: Callable[[Task], bool] = _any_task
    reason: str = ""


KINDS: dict[str, Kind] = {
    "expert": Kind(_expert),
    "hesitate": Kind(_hesitate),
    "detour": Kind(_detour),
    "regress": Kind(_regress, lambda task: not task.counts, "what has been counted cannot be taken back"),
    "drop": Kind(_drop, lambda task: bool(task.to_place), "nothing is carried"),
    "near-miss": Kind(_near_miss),
    "wrong-object": Kind(_wrong_object, lambda task: task.confusable is not None, "there is nothing to confuse"),
    "wrong-order": Kind(_wrong_order, _has_parts, "it has one part only"),
    "abandon": Kind(_abandon),
    "overshoot": Kind(_overshoot),
    "jitter": Kind(_jitter),
    "undo": Kind(_undo),
}
"""The kinds of demonstrators, by the name that a user writes; joined with `+` where one makes several mistakes.

What never comes about never goes wrong: who drops a thing for good does not `undo` the task later."""

IMPERFECTIONS: tuple[str, ...] = tuple(kind for kind in KINDS if kind != "expert")
"""The kinds of mistakes, in the order of the label's columns."""


def kinds_of(task: Task) -> tuple[str, ...]:
    """The kinds that this task has, `expert` first."""
    return tuple(name for name, kind in KINDS.items() if kind.possible(task))


def check_kind(kind: str, task: Task) -> None:
    """Raises UnknownName for a word that is no kind, InvalidValue for one that the task does not have, that comes
    twice, or for an expert who makes a mistake."""
    words = kind.split("+")
    for word in words:
        if word not in KINDS:
            raise UnknownName("kind of demonstrator", word, KINDS)
        if words.count(word) > 1:
            raise InvalidValue(f"{kind!r} names {word!r} twice; name every mistake once")
        if not KINDS[word].possible(task):
            possible = ", ".join(kinds_of(task))
            raise InvalidValue(f"no {word!r} in {task.id}: {KINDS[word].reason}; possible there: {possible}")
    if len(words) > 1 and "expert" in words:
        mistakes = "+".join(word for word in words if word != "expert")
        raise InvalidValue(f"{kind!r} joins mistakes to an expert, who makes none; write {mistakes!r}")


def demonstrator(kind: str, task: Task, layout: Layout, fps: int) -> Demonstrator:
    """A demonstrator of that kind. Where its mistakes happen is drawn from the layout's seed, for each mistake on its
    own: whichever others come with it.

    Raises what `check_kind` does.
    """
    check_kind(kind, task)
    words = kind.split("+")
    drawn = {
        name: KINDS[name].draw(task, np.random.default_rng([layout.seed, 2, crc32(name.encode())]))
        for name in IMPERFECTIONS
        if name in words
    }
    return Demonstrator(task, layout, fps, drawn)
