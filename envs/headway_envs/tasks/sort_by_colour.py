"""sort-by-colour: pick the red cube, place it in one bin, pick the blue cube, place it in the other.

Which bin is whose, only the instruction says. A cube in the other's bin is taken out again.
"""

from dataclasses import replace

import numpy as np

from headway_envs.motion import Point, Wish, heading
from headway_envs.tasks.base import CUBE, Layout, Situation, Task, scattered
from headway_envs.tasks.bins import just_missed, over, pick_from, placed, put_in, spot
from headway_envs.tasks.grasping import LIFT, grasped, picked, released_opening, rest, to_pick, to_place

_RED, _BLUE, _LEFT, _RIGHT = range(4)
_BINS = (_LEFT, _RIGHT)
_BINS_LOW, _BINS_HIGH = ((-0.165, 0.08), (0.18, 0.08)), ((-0.12, 0.13), (0.225, 0.13))
"""Corners (x, y) in metres of where the middle of each bin may be."""
_PHRASES = (
    (
        "put the red cube in the left bin and the blue cube in the right bin",
        "sort the cubes: red goes left, blue goes right",
        "the red block belongs in the bin on the left, the blue one in the bin on the right",
        "place red in the left box and blue in the right box",
    ),
    (
        "put the red cube in the right bin and the blue cube in the left bin",
        "sort the cubes: red goes right, blue goes left",
        "the red block belongs in the bin on the right, the blue one in the bin on the left",
        "place red in the right box and blue in the left box",
    ),
)
"""For each variant."""


class SortByColour(Task):
    id = "sort-by-colour"
    version = 1
    scene = "sort_by_colour"
    instructions = _PHRASES[0]
    stage_names = ("pick-red", "place-red", "pick-blue", "place-blue")
    proportions = (0.175, 0.25, 0.32, 0.255)
    objects = ("red cube", "blue cube", "left bin", "right bin")
    variants = len(_PHRASES)
    to_place = (_RED, _BLUE)
    confusable = (_RED, _BLUE)

    def phrases(self, situation: Situation) -> tuple[str, ...]:
        return _PHRASES[situation.variant]

    def layout(self, seed: int, edge: float = CUBE) -> Layout:
        """The bins in the back, left and right; both cubes anywhere in front of them; the hand above the cubes."""
        random = np.random.default_rng([seed, 1])
        bins = random.uniform(_BINS_LOW, _BINS_HIGH)
        cubes = scattered(random, (-0.15, -0.16), (0.21, -0.05), count=2, apart=0.12)
        hand = random.uniform((-0.05, -0.08, 0.16), (0.11, 0.04, 0.22))
        places = [(x, y, edge / 2) for x, y in cubes.tolist()] + [(x, y, 0.0) for x, y in bins.tolist()]
        return Layout(
            hand=(float(hand[0]), float(hand[1]), float(hand[2])),
            opening=0.06,
            objects=tuple(places),
            edge=edge,
            variant=int(random.integers(self.variants)),
            seed=seed,
        )

    def success(self, situation: Situation) -> bool:
        return _placed(situation, _RED) and _placed(situation, _BLUE)

    def stage(self, situation: Situation) -> int:
        first = _placed(situation, _RED)
        cube = _BLUE if first else _RED
        above = over(situation, cube, _bin(situation, cube)) and grasped(situation, cube)
        return 2 * first + (above or picked(situation, cube) or _placed(situation, cube))

    def remaining(self, stage: int, situation: Situation) -> float:
        cube = stage // 2
        if stage % 2 == 0:
            return to_pick(situation, cube)
        return to_place(situation, cube, self.place(situation, cube), within=0.02)

    def canonical(self, stage: int, layout: Layout) -> Situation:
        cube = stage // 2
        start: Situation = layout
        if cube == _BLUE:
            place = self.place(start, _RED)
            start = replace(start.with_object(_RED, place), hand=place, opening=released_opening(start))
        if stage % 2 == 0:
            return start
        x, y, _ = start.objects[cube]
        held = (x, y, rest(start) + LIFT)
        return replace(start.with_object(cube, held), hand=held, opening=start.edge)

    def place(self, situation: Situation, cube: int) -> Point:
        return spot(situation, _bin(situation, cube), other=1 - cube)

    def near_miss(self, random: np.random.Generator) -> Point:
        return just_missed(random)

    def act(self, situation: Situation, offset: Point = (0.0, 0.0, 0.0)) -> Wish:
        if self.success(situation):
            x, y, _ = situation.hand
            return heading(situation.hand, (x, y, 0.19)), 1.0
        stage = self.stage(situation)
        cube = stage // 2
        if stage % 2 == 0:
            return pick_from(situation, cube, 1 - cube, _BINS)
        return put_in(situation, cube, _bin(situation, cube), self.place(situation, cube), offset)


def _bin(situation: Situation, cube: int) -> int:
    """The number of the cube's bin."""
    return _BINS[cube ^ situation.variant]


def _placed(situation: Situation, cube: int) -> bool:
    return placed(situation, cube, _bin(situation, cube))
