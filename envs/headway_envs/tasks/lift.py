"""lift: grasp the red cube and hold it up. A blue cube distracts."""

from dataclasses import replace

import numpy as np

from headway_envs.motion import LEAD, Point, Wish, clamp, journey
from headway_envs.tasks.base import CUBE, Layout, Situation, Task, scattered
from headway_envs.tasks.crowding import pick_up_among
from headway_envs.tasks.grasping import OPENED, between, grasped, held_opening, pressed, rest

HIGH = 0.12
"""How far above where it rests the cube is up, in metres."""
_HELD = 0.15
"""How far above it the expert holds it, in metres: the cube sinks and rises a little while the arm is pushed about."""
_OFF_TABLE = 0.01
_PACE = 0.7
"""How fast the expert goes for the cube, against other tasks' experts: this task is short."""
_SLOW = 0.005
"""How far above the hand its target runs as the cube leaves the table, in metres; then more and more, up to LEAD."""
_TARGET, _OTHER = 0, 1


class Lift(Task):
    id = "lift"
    version = 1
    scene = "lift"
    instructions = (
        "lift the red cube",
        "pick up the red cube and hold it in the air",
        "raise the red block off the table",
        "take hold of the red cube and lift it up",
    )
    stage_names = ("grasp-cube", "lift-cube")
    proportions = (0.7, 0.3)
    objects = ("red cube", "blue cube")
    to_place = (_TARGET,)
    confusable = (_TARGET, _OTHER)

    def layout(self, seed: int, edge: float = CUBE) -> Layout:
        """Both cubes anywhere on the table, the open hand anywhere above it but not over the red cube."""
        random = np.random.default_rng([seed, 1])
        places = scattered(random, (-0.17, -0.15), (0.23, 0.16), count=2, apart=0.12)
        while True:
            x, y, z = random.uniform((-0.16, -0.06, 0.15), (0.22, 0.2, 0.24)).tolist()
            if np.hypot(*(places[_TARGET] - (x, y))) >= 0.2:
                break
        return Layout(
            hand=(x, y, z),
            opening=0.06,
            objects=tuple((float(x), float(y), edge / 2) for x, y in places),
            edge=edge,
            seed=seed,
        )

    def success(self, situation: Situation) -> bool:
        return pressed(situation, _TARGET) and situation.objects[_TARGET][2] >= rest(situation) + HIGH

    def stage(self, situation: Situation) -> int:
        carried = grasped(situation, _TARGET) and situation.objects[_TARGET][2] > rest(situation) + _OFF_TABLE
        return int(pressed(situation, _TARGET) or carried)

    def remaining(self, stage: int, situation: Situation) -> float:
        hand, cube = situation.hand, situation.objects[_TARGET]
        opening = situation.opening if between(hand, cube) else OPENED
        closing = max(0.0, opening - held_opening(situation))
        if stage == 1:
            return closing + max(0.0, rest(situation) + HIGH - cube[2])
        return closing + (0.0 if grasped(situation, _TARGET) else journey(hand, cube))

    def canonical(self, stage: int, layout: Layout) -> Situation:
        if stage == 0:
            return layout
        return replace(layout, hand=layout.objects[_TARGET], opening=layout.edge)

    def place(self, situation: Situation, cube: int) -> Point:
        x, y, _ = situation.objects[cube]
        return x, y, rest(situation) + _HELD

    def near_miss(self, random: np.random.Generator) -> Point:
        """Straight below, so that the cube is held too low."""
        return 0.0, 0.0, float(random.uniform(-0.085, -0.05))

    def act(self, situation: Situation, offset: Point = (0.0, 0.0, 0.0)) -> Wish:
        if self.stage(situation) == 0:
            target, grip = pick_up_among(situation, _TARGET, (_OTHER,))
            x, y, z = (at + _PACE * (to - at) for at, to in zip(situation.hand, target, strict=True))
            return (x, y, z), grip
        hand, held, place = situation.hand, situation.objects[_TARGET], self.place(situation, _TARGET)
        x, y, rise = (place[axis] + offset[axis] - held[axis] for axis in range(3))
        lead = clamp(_SLOW + 0.11 * (held[2] - rest(situation)), _SLOW, LEAD)
        return (hand[0] + x, hand[1] + y, hand[2] + clamp(rise, -LEAD, lead)), -1.0
