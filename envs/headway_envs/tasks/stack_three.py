"""stack-three: pick the red cube, place it on the blue one, pick the green cube, place it on the red one."""

from dataclasses import replace

import numpy as np

from headway_envs.motion import TRAVEL_HEIGHT, Point, Wish, heading, lateral
from headway_envs.tasks.base import CUBE, Layout, Situation, Task
from headway_envs.tasks.grasping import (
    LIFT,
    grasped,
    pick_up,
    picked,
    put_down,
    released_opening,
    rest,
    to_pick,
    to_place,
)

_FIRST, _SECOND = 1, 2
_ALIGNED = 0.02
"""Metres by which a cube may be out of line with the one it stands on."""
_THIRDS_LOW = ((-0.01, -0.10), (-0.21, -0.14), (0.17, -0.14))
_THIRDS_HIGH = ((0.06, 0.08), (-0.11, 0.12), (0.26, 0.12))
"""Corners (x, y) in metres of the part of the table that each cube lies in."""
_CLEAR = 0.19
"""Height in metres to which the hand retreats from the finished tower."""
_ASIDE = ((0.215, 0.0), (0.215, -0.11), (0.215, 0.11))
"""Where a cube that is in the way goes, x and y in metres: the first place that no other cube is close to."""


class StackThree(Task):
    id = "stack-three"
    version = 2
    scene = "stack_three"
    instructions = (
        "put the red cube on the blue cube, then the green cube on top",
        "stack the red cube on the blue one and the green cube on the red one",
        "build a tower: blue at the bottom, red in the middle, green on top",
        "pile up the blocks, blue first, then red, then green",
    )
    stage_names = ("pick-first", "place-first", "pick-second", "place-second")
    proportions = (0.25, 0.235, 0.3, 0.215)
    objects = ("blue cube", "red cube", "green cube")
    to_place = (_FIRST, _SECOND)
    confusable = (_FIRST, _SECOND)

    def layout(self, seed: int, edge: float = CUBE) -> Layout:
        """Red on the left, blue in the middle, green on the right, each anywhere in its third; the hand above."""
        random = np.random.default_rng([seed, 1])
        places = random.uniform(_THIRDS_LOW, _THIRDS_HIGH)
        hand = random.uniform((-0.02, -0.06, 0.15), (0.08, 0.04, 0.19))
        return Layout(
            hand=(float(hand[0]), float(hand[1]), float(hand[2])),
            opening=0.06,
            objects=tuple((float(x), float(y), edge / 2) for x, y in places),
            edge=edge,
            seed=seed,
        )

    def success(self, situation: Situation) -> bool:
        return _placed(situation, _FIRST) and _placed(situation, _SECOND)

    def stage(self, situation: Situation) -> int:
        first = _placed(situation, _FIRST)
        cube = _SECOND if first else _FIRST
        return 2 * first + (_placed(situation, cube) or picked(situation, cube))

    def remaining(self, stage: int, situation: Situation) -> float:
        cube = _FIRST if stage < 2 else _SECOND
        if stage % 2 == 0:
            return to_pick(situation, cube)
        return to_place(situation, cube, self.place(situation, cube), within=0.008, above=_above(situation))

    def canonical(self, stage: int, layout: Layout) -> Situation:
        cube = _FIRST if stage < 2 else _SECOND
        start: Situation = layout
        if cube == _SECOND:
            place = self.place(start, _FIRST)
            start = replace(start.with_object(_FIRST, place), hand=place, opening=released_opening(start))
        if stage % 2 == 0:
            return start
        x, y, _ = start.objects[cube]
        held = (x, y, rest(start) + LIFT)
        return replace(start.with_object(cube, held), hand=held, opening=start.edge)

    def place(self, situation: Situation, cube: int) -> Point:
        x, y, z = situation.objects[cube - 1]
        return x, y, z + situation.edge

    def near_miss(self, random: np.random.Generator) -> Point:
        """Over the edge of the cube below, so far out that what is let go there falls."""
        angle, distance = random.uniform(0, 2 * np.pi), random.uniform(0.033, 0.042)
        return float(distance * np.cos(angle)), float(distance * np.sin(angle)), 0.0

    def act(self, situation: Situation, offset: Point = (0.0, 0.0, 0.0)) -> Wish:
        hand = situation.hand
        if self.success(situation):
            return heading(hand, (hand[0], hand[1], _CLEAR)), 1.0
        stage = self.stage(situation)
        cube = _FIRST if stage < 2 else _SECOND
        held = next((number for number in range(3) if grasped(situation, number)), None)
        blocking = _on_top(situation, cube)
        if held is not None and (held != cube or blocking is not None):
            return put_down(situation, held, _aside(situation, held))
        if stage % 2 == 0:
            return pick_up(situation, cube if blocking is None else blocking)
        return put_down(situation, cube, self.place(situation, cube), offset, _above(situation))


def _above(situation: Situation) -> float:
    """Height in metres at which a cube is carried: larger cubes make a higher tower to pass over."""
    return TRAVEL_HEIGHT + 2 * max(0.0, situation.edge - CUBE)


def _placed(situation: Situation, cube: int) -> bool:
    above, below = situation.objects[cube], situation.objects[cube - 1]
    stands = lateral(above, below) < _ALIGNED and abs(above[2] - below[2] - situation.edge) < 0.01
    return stands and not grasped(situation, cube)


def _on_top(situation: Situation, cube: int) -> int | None:
    """The cube that is where `cube` belongs, on the one below; None when none is."""
    below = situation.objects[cube - 1]
    others = [number for number in range(3) if number not in (cube, cube - 1)]
    for number in others:
        place = situation.objects[number]
        if lateral(place, below) < situation.edge and place[2] - below[2] > situation.edge / 2:
            return number
    return None


def _aside(situation: Situation, cube: int) -> Point:
    """A free place on the table."""
    others = [place for number, place in enumerate(situation.objects) if number != cube]
    free = [(x, y) for x, y in _ASIDE if all(lateral((x, y, 0.0), other) > 0.1 for other in others)]
    x, y = (free or _ASIDE)[0]
    return x, y, rest(situation)
