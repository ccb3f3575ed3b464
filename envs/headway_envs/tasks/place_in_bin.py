"""place-in-bin: pick the red cube and let it go in the bin. A blue cube distracts."""

from dataclasses import replace

import numpy as np

from headway_envs.motion import Point, Wish, heading
from headway_envs.tasks.base import CUBE, Layout, Situation, Task, scattered
from headway_envs.tasks.bins import CLEAR_X, CLEAR_Y, just_missed, over, pick_from, placed, put_in, spot
from headway_envs.tasks.grasping import LIFT, grasped, picked, rest, to_pick, to_place

_TARGET, _OTHER, _BIN = 0, 1, 2


class PlaceInBin(Task):
    id = "place-in-bin"
    version = 1
    scene = "place_in_bin"
    instructions = (
        "put the red cube in the bin",
        "pick up the red cube and place it in the bin",
        "drop the red block into the open box",
        "the red cube belongs in the bin: put it there",
    )
    stage_names = ("pick-cube", "place-in-bin")
    proportions = (0.43, 0.57)
    objects = ("red cube", "blue cube", "bin")
    to_place = (_TARGET,)
    confusable = (_TARGET, _OTHER)

    def layout(self, seed: int, edge: float = CUBE) -> Layout:
        """The bin and, well beside it, both cubes anywhere on the table; the hand above its middle."""
        random = np.random.default_rng([seed, 1])
        middle = random.uniform((-0.14, -0.03), (0.2, 0.12))
        while True:
            cubes = scattered(random, (-0.17, -0.15), (0.235, 0.17), count=2, apart=0.12)
            clear = (np.abs(cubes - middle) > (CLEAR_X, CLEAR_Y)).any(axis=-1).all()
            if clear and np.hypot(*(cubes[_TARGET] - middle)) > 0.22:
                break
        hand = random.uniform((-0.05, -0.08, 0.16), (0.11, 0.04, 0.22))
        places = (*((x, y, edge / 2) for x, y in cubes.tolist()), (float(middle[0]), float(middle[1]), 0.0))
        return Layout(
            hand=(float(hand[0]), float(hand[1]), float(hand[2])), opening=0.06, objects=places, edge=edge, seed=seed
        )

    def success(self, situation: Situation) -> bool:
        return placed(situation, _TARGET, _BIN)

    def stage(self, situation: Situation) -> int:
        above = over(situation, _TARGET, _BIN) and grasped(situation, _TARGET)
        return int(above or picked(situation, _TARGET) or self.success(situation))

    def remaining(self, stage: int, situation: Situation) -> float:
        if stage == 0:
            return to_pick(situation, _TARGET)
        return to_place(situation, _TARGET, self.place(situation, _TARGET), within=0.02)

    def canonical(self, stage: int, layout: Layout) -> Situation:
        if stage == 0:
            return layout
        x, y, _ = layout.objects[_TARGET]
        held = (x, y, rest(layout) + LIFT)
        return replace(layout.with_object(_TARGET, held), hand=held, opening=layout.edge)

    def place(self, situation: Situation, cube: int) -> Point:
        return spot(situation, _BIN, _OTHER)

    def near_miss(self, random: np.random.Generator) -> Point:
        return just_missed(random)

    def act(self, situation: Situation, offset: Point = (0.0, 0.0, 0.0)) -> Wish:
        if self.success(situation):
            x, y, _ = situation.hand
            return heading(situation.hand, (x, y, 0.19)), 1.0
        if self.stage(situation) == 0:
            return pick_from(situation, _TARGET, _OTHER, (_BIN,))
        return put_in(situation, _TARGET, _BIN, self.place(situation, _TARGET), offset)
