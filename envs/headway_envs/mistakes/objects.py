"""Mistakes with objects: dropped, put down beside the place, taken for one another, in the wrong order."""

from dataclasses import replace
from typing import TYPE_CHECKING

from headway_envs.mistakes.base import NOWHERE, Mistake
from headway_envs.motion import TRAVEL_HEIGHT, Point, Wish, clamp, heading
from headway_envs.tasks.base import Situation, Task, fraction
from headway_envs.tasks.grasping import grasped, picked, released_opening

if TYPE_CHECKING:
    from headway_envs.acting import Demonstrator

_LETTING_GO = 0.4
"""Seconds the fingers get to open and the thing to fall."""
_IN_THE_AIR = 0.05
"""Metres that a thing has to be up for falling out of the fingers."""
_EDGE, _BEYOND = 0.365, 0.385
"""Of the table, x in metres: what is let go from here on falls off; where to go for that."""
_WITHIN_Y = (-0.15, 0.2)
_SHORT = (0.0, -0.06, 0.04)
"""From where a thing would lie in an open part to where it is let go in front of a closed one, in metres."""


class Unseeing(Mistake):
    """Take each of these things, once let go, for lying in its place, wherever it went."""

    def __init__(self, numbers: tuple[int, ...]):
        self.numbers = numbers
        self.carried: int | None = None
        self.let_go: list[int] = []

    def watch(self, situation: Situation) -> None:
        """Notice what is picked up and let go."""
        if self.carried is not None and not grasped(situation, self.carried):
            self.let_go.append(self.carried)
            self.carried = None
        for number in self.numbers:
            if number not in self.let_go and picked(situation, number):
                self.carried = number

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Wish | None:
        self.watch(situation)
        return None

    def believed(self, who: "Demonstrator", situation: Situation) -> Situation:
        for number in self.let_go:
            situation = _in_place(who.task, situation, number)
        return situation


class NearMiss(Unseeing):
    """Put the first of these things down displaced by `offset` metres, and do not look at any. Where a task has nothing
    to put down, aim so far beside its goal."""

    def __init__(self, numbers: tuple[int, ...], offset: Point):
        super().__init__(numbers)
        self._offset = offset

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Wish | None:
        self.watch(situation)
        aims = not self.numbers or self.carried == self.numbers[0]
        self.offset = self._offset if aims else NOWHERE
        return None

    def done(self, who: "Demonstrator", believed: Situation) -> bool:
        if self.offset == NOWHERE:
            return False
        number = self.numbers[0] if self.numbers else 0
        here = replace(believed, hand=_shifted(believed.hand, self.offset))
        return who.task.success(here.with_object(number, _shifted(believed.objects[number], self.offset)))


class Drop(Unseeing):
    """Let the first of these things go in the air when `share` of the way is done, over the table's edge or where it
    is; go on as if it were still in the hand, and do not look at any of them afterwards."""

    def __init__(self, numbers: tuple[int, ...], share: float, over_edge: bool):
        super().__init__(numbers)
        self._number = numbers[0]
        self._share = share
        self._over_edge = over_edge
        self._leaves = False
        self._dropped: Point | None = None
        self._left = 0
        self._fancied = False

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Wish | None:
        self.watch(situation)
        if self._dropped is None:
            return self._before(who, situation) if self.carried == self._number else None
        if self._left > 0:
            self._left -= 1
            self._fancied = self._left == 0
            return None if self._fancied else (self._dropped, 1.0)
        if self._fancied and who.last[1] > 0 and situation.opening > released_opening(situation):
            self._fancied = False
            self.let_go.append(self._number)
        return None

    def _before(self, who: "Demonstrator", situation: Situation) -> Wish | None:
        """What to do with the thing in the hand."""
        place, home = situation.objects[self._number], who.layout.objects[self._number]
        far = fraction(who.task, situation, who.layout) >= self._share
        self._leaves = self._leaves or (far and place[2] - home[2] > _IN_THE_AIR)
        if not self._leaves:
            return None
        if self._over_edge and abs(place[0]) < _EDGE:
            return heading(situation.hand, _over_edge(situation.hand)), -1.0
        self._dropped = situation.hand
        self._left = who.steps(_LETTING_GO)
        self.numbers, self.carried = self.numbers[1:], None
        return self._dropped, 1.0

    def believed(self, who: "Demonstrator", situation: Situation) -> Situation:
        if self._fancied:
            situation = replace(_upright(situation, self._number), opening=situation.edge)
            return situation.with_object(self._number, situation.hand)
        return super().believed(who, situation)


class WrongObject(Mistake):
    """Take two things, and the sliding parts in them, for each other all the time."""

    def __init__(self, one: int, other: int):
        self._pair = one, other

    def perceived[S: Situation](self, situation: S) -> S:
        return replace(
            situation,
            objects=_swapped(situation.objects, *self._pair),
            upright=_swapped(situation.upright, *self._pair),
            travel=_swapped(situation.travel, *self._pair),
        )


class WrongOrder(Mistake):
    """Begin with what comes later: believe `first`, a thing, or the part to open where that is None, to be done with,
    until `later` has been carried and let go."""

    def __init__(self, first: int | None, later: int):
        self._first = first
        self._later = later
        self._carried = False
        self._over = False

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Wish | None:
        self._carried = self._carried or picked(situation, self._later)
        self._over = self._over or (self._carried and not grasped(situation, self._later))
        self.offset = _SHORT if self._first is None and not self._over else NOWHERE
        return None

    def believed(self, who: "Demonstrator", situation: Situation) -> Situation:
        if self._over:
            return situation
        if self._first is None:
            return replace(situation, travel=who.task.canonical(1, who.layout).travel)
        return _in_place(who.task, situation, self._first)


def _shifted(point: Point, offset: Point) -> Point:
    """Where the point seems to be to somebody who is off by `offset`."""
    return point[0] - offset[0], point[1] - offset[1], point[2] - offset[2]


def _over_edge(hand: Point) -> Point:
    """Beyond the nearer end of the table."""
    return (_BEYOND if hand[0] > 0 else -_BEYOND), clamp(hand[1], *_WITHIN_Y), TRAVEL_HEIGHT


def _in_place(task: Task, situation: Situation, number: int) -> Situation:
    """The same situation with that thing in its place."""
    return _upright(situation, number).with_object(number, task.place(situation, number))


def _upright(situation: Situation, number: int) -> Situation:
    upright = tuple(1.0 if other == number else tilt for other, tilt in enumerate(situation.upright))
    return replace(situation, upright=upright)


def _swapped[T](values: tuple[T, ...], one: int, other: int) -> tuple[T, ...]:
    """The same with two of them exchanged, if there are so many."""
    order = list(range(len(values)))
    if max(one, other) < len(order):
        order[one], order[other] = other, one
    return tuple(values[number] for number in order)
