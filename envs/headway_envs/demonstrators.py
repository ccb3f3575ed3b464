"""Who acts: the expert, and demonstrators that make mistakes.

A demonstrator is the expert plus any number of mistakes. A mistake may take over for a while, make the demonstrator
believe something untrue, or alter what it does. Nobody here says whether an episode succeeds or how far it gets: that
is read from the simulator afterwards. What is said here, step by step, is which mistakes are at work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import dist, inf
from zlib import crc32

import numpy as np

from headway.errors import InvalidValue, UnknownName
from headway_envs.mistakes.base import NOWHERE, Mistake
from headway_envs.mistakes.movement import Detour, Jitter, Overshoot
from headway_envs.mistakes.objects import Drop, NearMiss, WrongObject, WrongOrder
from headway_envs.mistakes.reversal import Regress, Undo
from headway_envs.mistakes.timing import Abandon, Hesitate
from headway_envs.motion import TRAVEL_HEIGHT, Point, Wish
from headway_envs.tasks.base import Layout, Situation, Task
from headway_envs.tasks.base import progress as task_progress

HOLD = 0.5
"""Seconds a demonstrator goes on after it believes the task to be done, before the episode ends."""
PATIENCE = 8.0
"""Seconds for which it goes on without getting anywhere, as far as it knows, before it gives up."""
_STUCK = 0.03
"""Of progress: who gains or loses no more than that gets nowhere."""
_SAME = 0.001
"""Metres: wishes closer than this come to the same."""

Draw = Callable[[Task, np.random.Generator], tuple[Mistake, ...]]
"""The mistakes of one kind in an episode."""


class Demonstrator:
    """Acts in one episode.

    Attributes:
        task, fps: of the episode.
        layout: of the episode, as it looked.
        mistakes: what it does wrong, by kind. Where several take over at once, the first one does.
        seen: the situation before the present one.
        last: its last wish, before anything altered it.
        at_work: kinds that decided or altered its last action, or that misled it: for what they made it believe the
            expert acted otherwise than it would have seeing the truth.
        finished: it holds the task to be done, or has given up.
    """

    def __init__(self, task: Task, layout: Layout, fps: int, mistakes: Mapping[str, Sequence[Mistake]]):
        self.task = task
        self.fps = fps
        self.mistakes = mistakes
        self.last: Wish = (layout.hand, -1.0)
        self.at_work: frozenset[str] = frozenset()
        self.finished = False
        self._all = [mistake for some in mistakes.values() for mistake in some]
        self._view = _View(self, self._all)
        self._alone = {kind: _View(self, some) for kind, some in mistakes.items()}
        self._without = {
            kind: _View(self, [mistake for mistake in self._all if mistake not in some])
            for kind, some in mistakes.items()
        }
        self.layout = _perceived(layout, self._all)
        self.seen: Situation = self.layout
        self._now: Situation = layout
        self._held = 0
        self._since = 0.0, 0

    def steps(self, seconds: float) -> int:
        """How many control steps that is, at least one."""
        return max(1, round(seconds * self.fps))

    def act(self, situation: Situation, progress: float) -> Wish:
        """The next wish. `progress`: the true one; when mistakes happen goes by what it looks like to be."""
        self._now = situation
        for view in (self._view, *self._alone.values(), *self._without.values()):
            view.look(situation)
        believed = self._view.believed(situation)
        if believed != situation:
            progress = task_progress(self.task, believed, self.layout)
        looks = _perceived(situation, self._all)
        self.last, at_work = self._decided(looks, progress)
        wish = self.last
        for kind, some in self.mistakes.items():
            before = wish
            for mistake in some:
                wish = mistake.altered(self, wish, progress)
            at_work |= {kind} if wish != before else set()
        self.at_work = frozenset(at_work)
        self.finished = self.finished or self._finishes(progress)
        self.seen = looks
        return wish

    def wanted(self) -> Wish:
        """What the expert wishes now, with all that this demonstrator believes."""
        return self._view.wish(self._now)

    def _decided(self, looks: Situation, progress: float) -> tuple[Wish, set[str]]:
        for kind, some in self.mistakes.items():
            for mistake in some:
                wish = mistake.act(self, looks, progress)
                if wish is not None:
                    return wish, {kind}
        self._held = self._held + 1 if self._view.done(self._now) else 0
        return self.wanted(), {kind for kind in self.mistakes if self._misled(kind)}

    def _misled(self, kind: str) -> bool:
        """Whether that kind alone would change what the expert does, or does so together with the others."""
        alone = _differ(self._alone[kind].wish(self._now), self.task.act(self._now))
        return alone or _differ(self._without[kind].wish(self._now), self.wanted())

    def _finishes(self, progress: float) -> bool:
        then, steps = self._since
        self._since = (then, steps + 1) if abs(progress - then) <= _STUCK else (progress, 0)
        if any(mistake.ended for mistake in self._all) or self._since[1] >= self.steps(PATIENCE):
            return True
        return self._held >= self.steps(HOLD) and not any(mistake.pending for mistake in self._all)


class _View:
    """What somebody believes who makes these mistakes, and who also counts by that."""

    def __init__(self, who: Demonstrator, mistakes: Sequence[Mistake]):
        self._who = who
        self._mistakes = mistakes
        self._count = 0

    def look(self, situation: Situation) -> None:
        """To be called once a step."""
        self._count = self._who.task.counted(self.believed(situation), self._offset)

    def believed(self, situation: Situation) -> Situation:
        """What the situation is taken for."""
        situation = _perceived(situation, self._mistakes)
        for mistake in self._mistakes:
            situation = mistake.believed(self._who, situation)
        return replace(situation, count=self._count)

    def wish(self, situation: Situation) -> Wish:
        """What the expert wishes with that belief."""
        return self._who.task.act(self.believed(situation), self._offset)

    def done(self, situation: Situation) -> bool:
        """Whether the task looks done."""
        believed = self.believed(situation)
        return self._who.task.success(believed) or any(mistake.done(self._who, believed) for mistake in self._mistakes)

    @property
    def _offset(self) -> Point:
        return next((mistake.offset for mistake in self._mistakes if mistake.offset != NOWHERE), NOWHERE)


def _perceived[S: Situation](situation: S, mistakes: Sequence[Mistake]) -> S:
    for mistake in mistakes:
        situation = mistake.perceived(situation)
    return situation


def _differ(one: Wish, other: Wish) -> bool:
    return dist(one[0], other[0]) > _SAME or one[1] * other[1] < 0


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
    begin = (random.uniform(0, 0.2), random.uniform(0.3, 0.9))[: int(random.integers(1, 3))]
    return tuple(Overshoot(at, random.uniform(0.04, 0.08)) for at in begin)


def _jitter(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    whole = random.random() < 0.5
    begin, length = random.uniform(0, 0.5), random.uniform(0.3, 0.5)
    begin, end = (0.0, inf) if whole else (begin, begin + length)
    return (Jitter(begin, end, 0.008, random),)


def _undo(task: Task, random: np.random.Generator) -> tuple[Mistake, ...]:
    entirely = random.random() < 0.5
    pause, far = random.uniform(0.3, 1), random.uniform(0.05, 0.12)
    return (Undo(pause, inf if entirely else far),)


def _always(task: Task) -> str | None:
    return None


def _needs(possible: Callable[[Task], object], reason: str) -> Callable[[Task], str | None]:
    return lambda task: None if possible(task) else reason


@dataclass(frozen=True)
class Kind:
    """A kind of demonstrator: what it draws for an episode, and why a task does not have it (None where it does)."""

    draw: Draw
    lacking: Callable[[Task], str | None] = _always


KINDS: dict[str, Kind] = {
    "expert": Kind(_expert),
    "hesitate": Kind(_hesitate),
    "detour": Kind(_detour),
    "regress": Kind(_regress, _needs(lambda task: not task.counts, "what is counted cannot be taken back")),
    "drop": Kind(_drop, _needs(lambda task: task.to_place, "nothing is carried")),
    "near-miss": Kind(_near_miss),
    "wrong-object": Kind(_wrong_object, _needs(lambda task: task.confusable, "there is nothing to confuse")),
    "wrong-order": Kind(
        _wrong_order,
        _needs(lambda task: len(task.to_place) + len(task.slides) * bool(task.to_place) > 1, "it has one part only"),
    ),
    "abandon": Kind(_abandon),
    "overshoot": Kind(_overshoot),
    "jitter": Kind(_jitter),
    "undo": Kind(_undo),
}
"""The kinds of demonstrators, by the name that a user writes; joined with `+` where one makes several mistakes."""

IMPERFECTIONS: tuple[str, ...] = tuple(kind for kind in KINDS if kind != "expert")
"""The kinds of mistakes, in the order of the label's columns."""


def kinds_of(task: Task) -> tuple[str, ...]:
    """The kinds that this task has, `expert` first."""
    return tuple(name for name, kind in KINDS.items() if kind.lacking(task) is None)


def check_kind(kind: str, task: Task) -> None:
    """Raises UnknownName for a word that is no kind, InvalidValue for one that the task does not have, that comes
    twice, or for an expert who makes a mistake."""
    words = kind.split("+")
    for word in words:
        if word not in KINDS:
            raise UnknownName("kind of demonstrator", word, KINDS)
    if len(set(words)) < len(words):
        raise InvalidValue(f"{kind!r} names a mistake twice; each happens in an episode on its own, name it once")
    if len(words) > 1 and "expert" in words:
        raise InvalidValue(f"{kind!r}: an expert makes no mistakes; leave out expert+, every demonstrator is one else")
    for word in words:
        reason = KINDS[word].lacking(task)
        if reason is not None:
            raise InvalidValue(f"no {word} in {task.id}: {reason}; possible there: {', '.join(sorted(kinds_of(task)))}")


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
