"""Somebody who acts in an episode: the expert, with whatever mistakes mislead it, take over, or alter what it does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import dist

from headway_envs.mistakes.base import NOWHERE, Mistake
from headway_envs.motion import Point, Wish
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
        self._view = _View(self, self._all, layout.count)
        self._alone = {kind: _View(self, some, layout.count) for kind, some in mistakes.items()}
        self._without = {
            kind: _View(self, [mistake for mistake in self._all if mistake not in some], layout.count)
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

    def __init__(self, who: Demonstrator, mistakes: Sequence[Mistake], count: int):
        self._who = who
        self._mistakes = mistakes
        self._count = count

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
