"""tidy-drawer: open the drawer, pick the red cube, place it in the drawer, close the drawer. A blue cube distracts.

The drawer is opened by hooking the closed hand behind its handle and closed by pushing the handle from the front.
"""

from dataclasses import replace

import numpy as np

from headway_envs.motion import LEAD, Point, Wish, clamp, heading, journey, lateral
from headway_envs.tasks.base import CUBE, Layout, Situation, Task, scattered
from headway_envs.tasks.grasping import (
    LIFT,
    at_home,
    grasped,
    pick_up,
    picked,
    put_down,
    released_opening,
    rest,
    to_pick,
    to_place,
)

OPEN, PULLED, CLOSED, SHUT = 0.135, 0.155, 0.012, 0.005
"""Drawer travel in metres: open from OPEN on, pulled by the expert to PULLED; closed below CLOSED, pushed to SHUT."""

_MIDDLE, _FRONT = -0.12, 0.10
"""Of the cabinet, in the scene's x and y."""
_HOOK_Y = (-0.040, -0.014)
"""Where a hand fits between handle and drawer, from the drawer's front plane."""
_PUSH_Y = (-0.090, -0.072)
"""Where a hand is in front of the handle; at the upper end it touches."""
_HANDLE_HEIGHT = 0.04
_SPOT_Y = 0.068
"""The middle of the place for the cube, behind the drawer's front plane."""
_FLOOR = 0.009
"""Height in metres of the drawer's floor."""
_TARGET = 0


class TidyDrawer(Task):
    id = "tidy-drawer"
    version = 2
    scene = "tidy_drawer"
    instructions = (
        "put the red cube in the drawer and close it",
        "open the drawer, put the red cube inside and shut it",
        "tidy the red cube away into the drawer",
        "store the red block in the drawer, then close the drawer",
    )
    stage_names = ("open-drawer", "pick-cube", "place-in-drawer", "close-drawer")
    proportions = (0.23, 0.29, 0.23, 0.25)
    objects = ("red cube", "blue cube")
    slides = ("drawer",)
    to_place = (_TARGET,)
    confusable = (_TARGET, 1)

    def layout(self, seed: int, edge: float = CUBE) -> Layout:
        """Both objects anywhere on the free half of the table, the hand above its middle, the drawer closed."""
        random = np.random.default_rng([seed, 1])
        places = scattered(random, (0.07, -0.15), (0.27, 0.15), count=2, apart=0.12)
        hand = random.uniform((-0.04, -0.18, 0.15), (0.08, -0.08, 0.19))
        return Layout(
            hand=(float(hand[0]), float(hand[1]), float(hand[2])),
            opening=0.02,
            objects=tuple((float(x), float(y), edge / 2) for x, y in places),
            travel=(0.0,),
            edge=edge,
            seed=seed,
        )

    def success(self, situation: Situation) -> bool:
        return situation.travel[0] < CLOSED and self._stored(situation)

    def stage(self, situation: Situation) -> int:
        if self._stored(situation):
            return 3
        if situation.travel[0] < OPEN:
            return 0
        carried = picked(situation, _TARGET) or (grasped(situation, _TARGET) and self._over(situation))
        return 2 if carried else 1

    def remaining(self, stage: int, situation: Situation) -> float:
        hand, drawer = situation.hand, situation.travel[0]
        if stage == 0:
            return journey(hand, _at_handle(situation, _HOOK_Y)) + max(0.0, OPEN - drawer)
        if stage == 1:
            return to_pick(situation, _TARGET)
        if stage == 2:
            return to_place(situation, _TARGET, self.place(situation, _TARGET), within=0.02)
        return journey(hand, _at_handle(situation, _PUSH_Y)) + max(0.0, drawer - CLOSED)

    def canonical(self, stage: int, layout: Layout) -> Situation:
        if stage == 0:
            return layout
        x, y, _ = layout.objects[_TARGET]
        start = replace(layout, travel=(PULLED,))
        if stage == 1:
            return replace(start, hand=(_MIDDLE, _front(PULLED) + _HOOK_Y[0], _HANDLE_HEIGHT))
        place = (x, y, rest(start) + LIFT) if stage == 2 else self.place(start, _TARGET)
        opening = start.edge if stage == 2 else released_opening(start)
        return replace(start.with_object(_TARGET, place), hand=place, opening=opening)

    def place(self, situation: Situation, cube: int) -> Point:
        """Where the expert puts the cube."""
        return _MIDDLE, _front(situation.travel[0]) + _SPOT_Y, _FLOOR + rest(situation)

    def near_miss(self, random: np.random.Generator) -> Point:
        """Over the table at the left or right wall of the drawer, from a little above the wall."""
        return float(random.choice((-1, 1)) * random.uniform(0.135, 0.15)), 0.0, 0.06

    def act(self, situation: Situation, offset: Point = (0.0, 0.0, 0.0)) -> Wish:
        """The expert: what to do in this situation. `offset` displaces the place where it puts the cube."""
        if self._pulls(situation):
            x, y, _ = situation.hand
            return (x, y - LEAD, _HANDLE_HEIGHT), -1.0
        return (self._open, self._pick, self._place, self._close)[self.stage(situation)](situation, offset)

    def undo(self, situation: Situation, layout: Layout) -> Wish | None:
        """Open the drawer where the cube is shut in, take the cube home, close the drawer."""
        home = situation.with_object(_TARGET, layout.objects[_TARGET])
        if grasped(situation, _TARGET):
            return put_down(situation, _TARGET, layout.objects[_TARGET])
        if at_home(situation, layout, _TARGET):
            stored = situation.with_object(_TARGET, self.place(situation, _TARGET))
            return self.act(stored) if situation.travel[0] > CLOSED else None
        shut_in = self._stored(situation) and (situation.travel[0] < OPEN or self._pulls(home))
        return self.act(home) if shut_in else self._pick(situation, (0.0, 0.0, 0.0))

    def _open(self, situation: Situation, _: Point) -> Wish:
        if grasped(situation, _TARGET):
            return situation.hand, 1.0
        y = _front(situation.travel[0]) + sum(_HOOK_Y) / 2
        hand, cube = situation.hand, situation.objects[_TARGET]
        # fingers that close too early take along the cube that they have just let go
        around = lateral(hand, cube) < 0.04 and hand[2] < cube[2] + 0.07
        return heading(hand, (_MIDDLE, y, _HANDLE_HEIGHT)), 1.0 if around else -1.0

    def _pick(self, situation: Situation, _: Point) -> Wish:
        hand = situation.hand
        clear = hand[2] > 0.09 or lateral(hand, situation.objects[_TARGET]) < 0.06
        return pick_up(situation, _TARGET, clear)

    def _place(self, situation: Situation, offset: Point) -> Wish:
        return put_down(situation, _TARGET, self.place(situation, _TARGET), offset)

    def _close(self, situation: Situation, _: Point) -> Wish:
        hand, drawer = situation.hand, situation.travel[0]
        if _around(situation, (-0.15, _PUSH_Y[1] + 0.008)):
            ahead = LEAD if drawer > SHUT else 0.0
            return (_MIDDLE, hand[1] + ahead, _HANDLE_HEIGHT), -1.0
        inside = hand[2] < 0.09 and hand[1] > _front(drawer)
        target = (_MIDDLE, _front(drawer) + _PUSH_Y[0], _HANDLE_HEIGHT)
        return heading(hand, target), 1.0 if inside else -1.0

    def _pulls(self, situation: Situation) -> bool:
        hooked = _around(situation, (_HOOK_Y[0] - 0.004, -0.004))
        return hooked and self.stage(situation) < 2 and situation.travel[0] < PULLED

    def _over(self, situation: Situation) -> bool:
        x, y, _ = situation.objects[_TARGET]
        return abs(x - _MIDDLE) < 0.077 and 0.02 < y - _front(situation.travel[0]) < 0.15

    def _stored(self, situation: Situation) -> bool:
        low = situation.objects[_TARGET][2] < _FLOOR + rest(situation) + 0.02
        return low and self._over(situation) and not grasped(situation, _TARGET)


def _front(drawer: float) -> float:
    return _FRONT - drawer


def _at_handle(situation: Situation, span: tuple[float, float]) -> Point:
    x, y, _ = situation.hand
    front = _front(situation.travel[0])
    return clamp(x, _MIDDLE - 0.03, _MIDDLE + 0.03), clamp(y, front + span[0], front + span[1]), _HANDLE_HEIGHT


def _around(situation: Situation, span: tuple[float, float]) -> bool:
    x, y, z = situation.hand
    behind = y - _front(situation.travel[0])
    return abs(x - _MIDDLE) < 0.042 and span[0] < behind < span[1] and z < _HANDLE_HEIGHT + 0.018
