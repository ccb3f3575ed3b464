"""press-three-times: press the red button exactly three times, all the way, and let it out in between. A blue one
distracts.

Nothing in the picture tells how often it has been pressed: that takes having watched. The count is of half strokes,
odd while the button is in, even once it is out again; a fourth stroke spoils the task for good. A button comes out
slower than a hand goes up, so that the hand is well above it by then.
"""

from dataclasses import replace
from math import inf

import numpy as np

from headway_envs.motion import LEAD, Point, Wish, clamp, heading, journey, lateral
from headway_envs.tasks.base import CUBE, Layout, Situation, Task, scattered

_BUTTON = 0
HALF_STROKES = 6
PRESSED, RELEASED = 0.024, 0.004
"""Travel in metres from which on a button has been pressed, and below which it is out again; it ends at 0.03."""
_TOUCH = 0.115
"""Height in metres of a hand whose closed fingers touch a button that is out."""
_TOP = 0.015
"""Metres from the button's middle within which a hand is over it."""
_DEEP = 0.036
"""Travel in metres at which the expert aims: beyond the end, so that a hand pushed about gets there."""
_PRESS_LEAD = 0.01
"""How far below the hand its target runs while it presses, in metres."""
_OFF = 0.02
"""Metres above the button's top from which on the hand is off it."""
_RISEN, _UP, _RETREAT = 0.15, 0.165, 0.19
"""Heights in metres: of a hand when the button that it let go is out; how high it goes between presses, and in the end.
"""


class PressThreeTimes(Task):
    id = "press-three-times"
    version = 1
    scene = "press_three_times"
    instructions = (
        "press the red button three times",
        "push the red button exactly three times",
        "press the red button, three presses in all",
        "give the red button three full presses, no more and no less",
    )
    stage_names = ("press-first", "press-second", "press-third")
    proportions = (0.43, 0.285, 0.285)
    objects = ("red button", "blue button")
    slides = ("red button", "blue button")
    counts = True
    confusable = (_BUTTON, 1)

    def layout(self, seed: int, edge: float = CUBE) -> Layout:
        """Both buttons anywhere, the hand above. They have one size: `edge` is ignored."""
        random = np.random.default_rng([seed, 1])
        places = scattered(random, (-0.16, -0.12), (0.22, 0.12), count=2, apart=0.15).tolist()
        hand = random.uniform((-0.06, -0.08, 0.16), (0.10, 0.08, 0.21))
        return Layout(
            hand=(float(hand[0]), float(hand[1]), float(hand[2])),
            opening=0.02,
            objects=tuple((x, y, 0.0) for x, y in places),
            travel=(0.0, 0.0),
            edge=edge,
            seed=seed,
        )

    def success(self, situation: Situation) -> bool:
        released = situation.travel[_BUTTON] < RELEASED
        return situation.count == HALF_STROKES and released and _to_leave(situation) == 0

    def stage(self, situation: Situation) -> int:
        return min(situation.count // 2, 2)

    def remaining(self, stage: int, situation: Situation) -> float:
        """Infinite once the button has been pressed too often: no way leads to the goal any more."""
        if situation.count > HALF_STROKES:
            return inf
        travel = clamp(situation.travel[_BUTTON], RELEASED, PRESSED)
        leave = _to_leave(situation) if stage == 2 else 0.0
        if situation.count > 2 * stage:
            return travel - RELEASED + leave
        down, up = PRESSED - travel, PRESSED - RELEASED
        return _to_touch(situation) + down + up + _OFF * (stage == 2)

    def canonical(self, stage: int, layout: Layout) -> Situation:
        if stage == 0:
            return layout
        x, y, _ = layout.objects[_BUTTON]
        return replace(layout, hand=(x, y, _RISEN), count=2 * stage)

    def counted(self, situation: Situation, offset: Point = (0.0, 0.0, 0.0)) -> int:
        """One more whenever the button gets all the way in, or out again. Whoever presses less deep by `offset`, and
        does not know, counts these presses too."""
        travel = situation.travel[_BUTTON]
        if situation.count % 2 == 1:
            return situation.count + (travel < RELEASED)
        return situation.count + (travel > PRESSED * (1 - offset[2] / _DEEP))

    def place(self, situation: Situation, number: int) -> Point:
        """Where the hand has a button pressed all the way in."""
        x, y, _ = situation.objects[number]
        return x, y, _TOUCH - _DEEP

    def near_miss(self, random: np.random.Generator) -> Point:
        """Straight above, so that the press is not deep enough."""
        return 0.0, 0.0, float(random.uniform(0.02, 0.025))

    def act(self, situation: Situation, offset: Point = (0.0, 0.0, 0.0)) -> Wish:
        x, y, _ = situation.objects[_BUTTON]
        if situation.count >= HALF_STROKES:
            return heading(situation.hand, (x, y, _RETREAT)), -1.0
        if situation.count % 2 == 1:
            return (x, y, min(_UP, situation.hand[2] + LEAD)), -1.0
        return self._press(situation, offset)

    def undo(self, situation: Situation, layout: Layout) -> Wish | None:
        """Press once more: there is no other way to undo three presses."""
        return None if situation.count > HALF_STROKES else self._press(situation, (0.0, 0.0, 0.0))

    def _press(self, situation: Situation, offset: Point) -> Wish:
        hand, (x, y, deepest) = situation.hand, self.place(situation, _BUTTON)
        x, y, deepest = x + offset[0], y + offset[1], deepest + offset[2]
        if lateral(hand, (x, y, deepest)) < _TOP and hand[2] < _TOUCH + 0.03:
            return (x, y, max(deepest, hand[2] - _PRESS_LEAD)), -1.0
        return heading(hand, (x, y, _TOUCH)), -1.0


def _to_touch(situation: Situation) -> float:
    """Metres of travel still to go until the hand touches the button."""
    (x, y, _), (middle, centre, _) = situation.hand, situation.objects[_BUTTON]
    place = clamp(x, middle - _TOP, middle + _TOP), clamp(y, centre - _TOP, centre + _TOP)
    touch = _TOUCH - situation.travel[_BUTTON]
    return journey(situation.hand, (*place, touch))


def _to_leave(situation: Situation) -> float:
    """Metres of travel still to go until the hand is off the button."""
    above = situation.hand[2] - _TOUCH + situation.travel[_BUTTON]
    beside = lateral(situation.hand, situation.objects[_BUTTON]) - 0.045
    return max(0.0, _OFF - max(above, beside))
