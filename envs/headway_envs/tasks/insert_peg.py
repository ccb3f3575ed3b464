"""insert-peg: pick the red peg, carry it over the socket, push it down into the hole and let go. A blue peg distracts.

The hand takes the peg a little above its middle, so that the finger tips stay above the socket's walls.
"""

from dataclasses import replace

import numpy as np

from headway_envs.motion import LEAD, Point, Wish, clamp, heading, journey, lateral
from headway_envs.tasks.base import CUBE, Layout, Situation, Task, scattered
from headway_envs.tasks.grasping import (
    LIFT,
    OPENED,
    at_home,
    between,
    grasped,
    held_opening,
    pressed,
    put_down,
    released_opening,
)

_PEG, _SOCKET = 0, 2
EDGE, REST, WALL = 0.03, 0.05, 0.034
"""Width of a peg, height of its middle where it stands, on the table as in the hole, and height of the socket's walls,
in metres."""
INSIDE, DOWN, UPRIGHT = 0.005, 0.008, 0.99
"""A peg is in when it is within so many metres of the hole's middle and of its final depth, and its tilt's cosine."""
_STANDING = 0.9
"""Cosine of the tilt from which on a peg can be picked and carried: the hand always points down."""
_ALIGNED, _CENTRED = 0.012, 0.005
"""Metres from the hole's middle within which a carried peg is in line with it; the expert lowers it within _CENTRED,
and the walls, which lean outwards, do the rest."""
_GRIP = 0.008
"""How far above the peg's middle the expert takes it, in metres."""
_CARRIED, _HOVER = 0.18, 0.005
"""Metres: height of the carried peg's middle, above the other peg; and how far above the walls its bottom waits."""
_GENTLY = 0.008
"""How far below the hand its target runs while it lowers the peg into the hole, in metres."""
_NEAR, _LOWERING = 0.035, 0.15
"""Metres from the place, seen from above, within which a carried peg may come down; how high it still is when it gets
in line with the hole."""
_CLEAR = 0.2
"""Height in metres to which the hand retreats."""


class InsertPeg(Task):
    id = "insert-peg"
    version = 1
    scene = "insert_peg"
    instructions = (
        "insert the red peg into the socket",
        "put the red peg into the hole of the green socket",
        "plug the red peg into the socket",
        "pick up the red peg and push it down into the square hole",
    )
    stage_names = ("pick-peg", "align-peg", "insert-peg")
    proportions = (0.38, 0.37, 0.25)
    objects = ("red peg", "blue peg", "socket")
    to_place = (_PEG,)
    confusable = (_PEG, 1)

    def layout(self, seed: int, edge: float = CUBE) -> Layout:
        """All three anywhere, the hand above. Pegs have to fit: `edge` is ignored, a layout's is the pegs' width."""
        random = np.random.default_rng([seed, 1])
        red, blue, socket = scattered(random, (-0.16, -0.12), (0.22, 0.12), count=3, apart=0.13).tolist()
        hand = random.uniform((-0.06, -0.08, 0.16), (0.10, 0.08, 0.20))
        return Layout(
            hand=(float(hand[0]), float(hand[1]), float(hand[2])),
            opening=0.06,
            objects=((red[0], red[1], REST), (blue[0], blue[1], REST), (socket[0], socket[1], 0.0)),
            upright=(1.0, 1.0, 1.0),
            edge=EDGE,
            seed=seed,
        )

    def success(self, situation: Situation) -> bool:
        peg = situation.objects[_PEG]
        inside = _off(situation) < INSIDE and abs(peg[2] - REST) < DOWN and situation.upright[_PEG] > UPRIGHT
        return inside and not grasped(situation, _PEG)

    def stage(self, situation: Situation) -> int:
        z = situation.objects[_PEG][2]
        held = grasped(situation, _PEG) and situation.upright[_PEG] > _STANDING
        if _off(situation) < _in_line(z) and (held or _plugged(situation)):
            return 2
        return int(held and (z >= REST + LIFT or _off(situation) < _NEAR))

    def remaining(self, stage: int, situation: Situation) -> float:
        z, off = situation.objects[_PEG][2], _off(situation)
        if stage == 0:
            return _to_pick(situation)
        if stage == 1:
            # the nearer the peg is to the hole, the less it still has to rise
            across = max(0.0, off - _in_line(z))
            return across + min(1.0, across / _NEAR) * max(0.0, _CARRIED - z)
        opened = max(0.0, released_opening(situation) - situation.opening)
        return max(0.0, off - _CENTRED) + max(0.0, z - REST) + opened

    def canonical(self, stage: int, layout: Layout) -> Situation:
        if stage == 0:
            return layout
        x, y, _ = layout.objects[_PEG]
        held = (x, y, REST + LIFT) if stage == 1 else (*layout.objects[_SOCKET][:2], _LOWERING)
        return replace(layout.with_object(_PEG, held), hand=_grip(held), opening=layout.edge)

    def place(self, situation: Situation, number: int) -> Point:
        x, y, _ = situation.objects[_SOCKET]
        return x, y, REST

    def near_miss(self, random: np.random.Generator) -> Point:
        """On top of one of the four walls, where the peg stays if it does not fall."""
        out, along = float(random.uniform(0.026, 0.03)), float(random.uniform(-0.01, 0.01))
        x, y = (out, along) if random.random() < 0.5 else (along, out)
        sign = 1 if random.random() < 0.5 else -1
        return sign * x, sign * y, WALL + 0.002

    def act(self, situation: Situation, offset: Point = (0.0, 0.0, 0.0)) -> Wish:
        x, y, z = self.place(situation, _PEG)
        if self.success(situation) or situation.upright[_PEG] < _STANDING:
            return heading(situation.hand, (x, y, _CLEAR)), 1.0
        if self.stage(situation) == 0 or not grasped(situation, _PEG):
            return _pick(situation)
        return _insert(situation, (x + offset[0], y + offset[1], z + offset[2]))

    def undo(self, situation: Situation, layout: Layout) -> Wish | None:
        """Pull the peg out and stand it up where it came from."""
        home = layout.objects[_PEG]
        if not grasped(situation, _PEG):
            return None if at_home(situation, layout, _PEG) else _pick(situation)
        far = lateral(situation.objects[_PEG], home) > _NEAR
        return _carry(situation, home) if far else put_down(situation, _PEG, home)


def _pick(situation: Situation) -> Wish:
    """Go to the peg, close the fingers on it above its middle and lift it."""
    hand, grip = situation.hand, _grip(situation.objects[_PEG])
    if pressed(situation, _PEG):
        return (hand[0], hand[1], hand[2] + LEAD), -1.0
    if grasped(situation, _PEG) or (lateral(hand, grip) < 0.008 and abs(hand[2] - grip[2]) < 0.004):
        return grip, -1.0
    return heading(hand, grip), 1.0


def _carry(situation: Situation, place: Point) -> Wish:
    """Up, then over to `place`, above all that stands on the table."""
    return heading(situation.hand, _hand_for(situation, (place[0], place[1], _CARRIED))), -1.0


def _insert(situation: Situation, place: Point) -> Wish:
    """Carry the peg over `place`, lower it as long as it is in line, let go at the bottom."""
    hand, peg, (x, y, z) = situation.hand, situation.objects[_PEG], place
    off = lateral(peg, place)
    if off > _NEAR:
        return _carry(situation, place)
    entered = peg[2] < z + WALL - 0.001
    slipped = entered and hand[2] < peg[2]  # the peg is stuck; once it stands in the hole, it can be taken anew
    if (slipped and peg[2] < z + 0.025) or (off < _ALIGNED and peg[2] < z + 0.005):
        return hand, 1.0
    waits = z + WALL + _HOVER
    lowers = entered or (off < _CENTRED and peg[2] < waits + 0.008)
    if slipped or not lowers:
        return heading(hand, _hand_for(situation, (x, y, waits))), -1.0
    x, y, z = _hand_for(situation, place)
    return (x, y, max(z, hand[2] - _GENTLY)), -1.0


def _hand_for(situation: Situation, peg: Point) -> Point:
    """Where the hand has to be for the peg in it to be there."""
    hand, held = situation.hand, situation.objects[_PEG]
    x, y, z = (peg[axis] + hand[axis] - held[axis] for axis in range(3))
    return x, y, z


def _to_pick(situation: Situation) -> float:
    """Metres of travel still to go until the peg is picked; what has fallen over has its way back up added."""
    hand, peg = situation.hand, situation.objects[_PEG]
    reach = 0.0 if grasped(situation, _PEG) else journey(hand, _grip(peg))
    opening = situation.opening if between(hand, peg) else OPENED
    tilt = max(0.0, 1 - situation.upright[_PEG]) * 2 * REST
    return reach + max(0.0, opening - held_opening(situation)) + max(0.0, REST + LIFT - peg[2]) + tilt


def _grip(peg: Point) -> Point:
    """Where the hand takes it."""
    return peg[0], peg[1], peg[2] + _GRIP


def _off(situation: Situation) -> float:
    """Metres, seen from above, between the middles of peg and hole."""
    return lateral(situation.objects[_PEG], situation.objects[_SOCKET])


def _in_line(height: float) -> float:
    """Metres from the hole's middle within which a peg of that height is in line with it: the lower, the more, so that
    a tremble just above the hole is not taken for having to come again."""
    return _ALIGNED + clamp((_LOWERING - height) / 6, 0.0, 0.01)


def _plugged(situation: Situation) -> bool:
    """Whether the peg's lower end is in the hole, however deep."""
    return situation.objects[_PEG][2] < REST + WALL - 0.004 and situation.upright[_PEG] > _STANDING
