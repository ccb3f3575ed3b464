"""push-to-goal: push the red puck onto the green mark with the closed hand. A blue puck distracts.

The hand comes down behind the puck, in line with the mark, pushes, and goes away again. Directions on the table are
complex numbers, x + iy, so that a turn is a multiplication.
"""

import cmath
from dataclasses import replace

import numpy as np

from headway_envs.motion import LEAD, Point, Wish, clamp, heading, journey, lateral
from headway_envs.tasks.base import CUBE, Layout, Situation, Task, scattered

_PUCK, _GOAL, _OTHER = 0, 1, 2
_REST = 0.015
"""Height in metres of a puck's middle on the table."""
ON_GOAL, STOP, _LEFT = 0.025, 0.008, 0.02
"""Metres from the mark's middle within which the puck has to be; the expert pushes until it is within STOP, and leaves
it alone within _LEFT once the two have parted."""

_TOUCH, _OVER = 0.042, 0.03
"""Metres from the puck's middle at which the hand touches it, from the side (2 mm less or 4 mm more, as its corners
lie) and from above."""
_CLEAR = 0.012
"""A hand that is so many metres from touching the puck does not push it."""
_BEHIND, _ASIDE, _LOW = (-0.085, -0.025), 0.024, 0.045
"""Where a hand pushes: metres along the way to the mark and to its side, from the puck's middle; below a height."""
_APPROACH, _PUSH_HEIGHT, _RETREAT = -0.06, 0.025, 0.15
"""Where the expert comes down, along the same way, and the hand's heights while it pushes and after."""
_PUSH_LEAD = 0.012
"""How far ahead of the hand its target runs while it pushes, in metres."""
_STEADY, _STEER = 0.016, 1.5
"""Metres out of line at which the hand pushes no more, and by how much it overdoes getting back into line."""
_APART, _ROOM = 0.075, 0.055
"""Metres between the other puck's middle and the way of the pushed one, and the place where the hand comes down."""


class PushToGoal(Task):
    id = "push-to-goal"
    version = 1
    scene = "push_to_goal"
    instructions = (
        "push the red puck onto the green mark",
        "slide the red disc to the green spot",
        "move the red puck to the goal by pushing it",
        "shove the red puck along the table until it lies on the green circle",
    )
    stage_names = ("reach-puck", "push-to-goal")
    proportions = (0.355, 0.645)
    objects = ("red puck", "green mark", "blue puck")
    confusable = (_PUCK, _OTHER)

    def layout(self, seed: int, edge: float = CUBE) -> Layout:
        """All three anywhere, the blue puck not in the way; the hand above. Pucks have one size: `edge` is ignored."""
        random = np.random.default_rng([seed, 1])
        while True:
            red, mark, blue = scattered(random, (-0.17, -0.09), (0.22, 0.13), count=3, apart=0.14).tolist()
            puck, goal, other = (red[0], red[1], _REST), (mark[0], mark[1], 0.001), (blue[0], blue[1], _REST)
            if lateral(puck, goal) > 0.18 and _aim(puck, goal, other) == goal:
                break
        hand = random.uniform((-0.06, -0.08, 0.15), (0.10, 0.08, 0.19))
        return Layout(
            hand=(float(hand[0]), float(hand[1]), float(hand[2])),
            opening=0.02,
            objects=(puck, goal, other),
            edge=edge,
            seed=seed,
        )

    def success(self, situation: Situation) -> bool:
        return _on_goal(situation) and _gap(situation) >= _CLEAR

    def stage(self, situation: Situation) -> int:
        return int(_on_goal(situation) or _to_reach(situation) == 0)

    def remaining(self, stage: int, situation: Situation) -> float:
        if stage == 0:
            return _to_reach(situation)
        push = max(0.0, lateral(situation.objects[_PUCK], situation.objects[_GOAL]) - STOP)
        gap = max(0.0, _gap(situation))
        # before the mark a gap is still to be closed, on the mark it is to be opened
        return push + (max(0.0, _CLEAR - gap) if _on_goal(situation) else gap + _CLEAR)

    def canonical(self, stage: int, layout: Layout) -> Situation:
        if stage == 0:
            return layout
        return replace(layout, hand=_behind(layout, complex(_APPROACH), _LOW - 0.001))

    def place(self, situation: Situation, number: int) -> Point:
        x, y, _ = situation.objects[_GOAL]
        return x, y, _REST

    def near_miss(self, random: np.random.Generator) -> Point:
        """Partly on the mark, but so far from its middle that the puck juts out."""
        angle, distance = random.uniform(0, 2 * np.pi), random.uniform(0.042, 0.055)
        return float(distance * np.cos(angle)), float(distance * np.sin(angle)), 0.0

    def act(self, situation: Situation, offset: Point = (0.0, 0.0, 0.0)) -> Wish:
        x, y, z = situation.objects[_GOAL]
        return _push(situation.with_object(_GOAL, (x + offset[0], y + offset[1], z)))

    def undo(self, situation: Situation, layout: Layout) -> Wish | None:
        """Push the puck back to where it came from."""
        home = situation.with_object(_GOAL, layout.objects[_PUCK])
        return None if _on_goal(home) else _push(home)


def _push(situation: Situation) -> Wish:
    """Push the puck to the mark, going round it where needed; once it is there, step back and go up."""
    hand, puck, goal = situation.hand, situation.objects[_PUCK], situation.objects[_GOAL]
    distance, gap = lateral(puck, goal), _gap(situation)
    left = (_on_goal(situation) and gap >= _CLEAR) or (distance < _LEFT and gap > _CLEAR / 2)
    if distance < STOP or left:
        return _step_back(hand, puck, clamp(gap / _CLEAR, 0.0, 1.0))
    aimed = situation.with_object(_GOAL, _aim(puck, goal, situation.objects[_OTHER]))
    if _to_reach(aimed) == 0:
        relative = _from_puck(aimed)
        # slower where out of line, so as to get back into it, and near the mark: the puck is to stop with the hand
        ahead = min(_PUSH_LEAD, 0.004 + distance / 4) * max(0.0, 1 - abs(relative.imag) / _STEADY)
        return _behind(aimed, relative + complex(ahead, -_STEER * relative.imag), _PUSH_HEIGHT), -1.0
    return heading(hand, _behind(aimed, complex(_APPROACH), _PUSH_HEIGHT)), -1.0


def _step_back(hand: Point, puck: Point, clear: float) -> Wish:
    """Away from the puck, and up as far as the hand is `clear` of it, 0 to 1: fingers that rub would drag it along."""
    away = LEAD * (1 - clear) / max(lateral(hand, puck), 0.001)
    up = clear * LEAD if hand[2] < _RETREAT else 0.0
    return (hand[0] + away * (hand[0] - puck[0]), hand[1] + away * (hand[1] - puck[1]), hand[2] + up), -1.0


def _on_goal(situation: Situation) -> bool:
    return lateral(situation.objects[_PUCK], situation.objects[_GOAL]) < ON_GOAL


def _gap(situation: Situation) -> float:
    """Metres between hand and puck, below 0 where they touch."""
    hand, puck = situation.hand, situation.objects[_PUCK]
    return max(lateral(hand, puck) - _TOUCH, hand[2] - puck[2] - _OVER)


def _to_reach(situation: Situation) -> float:
    """Metres of travel still to go until the hand is behind the puck; 0 where it can push."""
    relative = _from_puck(situation)
    nearest = complex(clamp(relative.real, *_BEHIND), clamp(relative.imag, -_ASIDE, _ASIDE))
    height = situation.objects[_PUCK][2] - _REST + _LOW
    low = situation.hand[2] < height
    if low and nearest == relative:
        return 0.0
    return journey(situation.hand, _behind(situation, nearest, height))


def _from_puck(situation: Situation) -> complex:
    """Where the hand is, from the puck's middle: metres along the way to the mark + i metres to its left."""
    return (_flat(situation.hand) - _flat(situation.objects[_PUCK])) * _way(situation).conjugate()


def _behind(situation: Situation, relative: complex, height: float) -> Point:
    """The point that is there, from the puck's middle."""
    place = _flat(situation.objects[_PUCK]) + relative * _way(situation)
    return place.real, place.imag, height


def _way(situation: Situation) -> complex:
    """The direction from the puck to the mark, of length 1."""
    way = _flat(situation.objects[_GOAL]) - _flat(situation.objects[_PUCK])
    return way / abs(way) if way else 1.0 + 0.0j


def _aim(puck: Point, goal: Point, other: Point) -> Point:
    """Where to push the puck: to `goal`, or to its side as long as `other` is in the way of the puck or the hand."""
    way = _flat(goal) - _flat(puck)
    seen = (_flat(other) - _flat(puck)) * way.conjugate() / max(abs(way), 0.001)
    side = -1 if seen.imag > 0 else 1
    for turn in (0.0, 0.4, -0.4, 0.8, -0.8, 1.2, -1.2, 1.6, -1.6):
        turned = cmath.rect(1, side * turn)
        if _free(seen / turned, abs(way)):
            aim = _flat(puck) + way * turned
            return (aim.real, aim.imag, goal[2]) if turn else goal
    return goal


def _free(other: complex, distance: float) -> bool:
    """Whether the other puck, seen from the first one, leaves room for it ahead and for the hand behind it."""
    ahead = 0 < other.real < distance and abs(other.imag) < _APART
    return not ahead and abs(other - _APPROACH) > _ROOM


def _flat(point: Point) -> complex:
    return complex(point[0], point[1])
