"""Bins: when a cube lies in one, where in it the expert puts a cube, and how the fingers reach into it.

A bin stands on the table, its point the middle of its bottom. It has room for two cubes, one in front of the other,
and its sides are so low that the fingers pass over them on the way to a cube that touches one.
"""

import numpy as np

from headway_envs.motion import Point, Wish
from headway_envs.tasks.base import Situation
from headway_envs.tasks.crowding import around_cube, pick_up_among
from headway_envs.tasks.grasping import between, grasped, put_down, rest

HALF = 0.075
"""Metres from the middle of a bin to the inside of each of its four sides."""
CLEAR_X, CLEAR_Y = 0.145, 0.12
"""Metres between the middles of a bin and of a cube beside it from which on the open hand fits between the two."""
_FLOOR = 0.004
"""Height in metres of a bin's floor; its sides end at 0.024."""
_MARGIN = 0.015
"""How far from a side a cube's middle must be, in metres: less than that of a cube that touches it from within."""
_LOW = 0.01
"""Metres by which a cube may be higher than one that lies flat in the bin: more, and it is still falling or leans."""
_SPOT = 0.037
"""From the middle of a bin to each of its two spots, towards and away from the camera, in metres."""
_RAISED = 0.012
"""How much higher than usual a cube near a bin's side is grasped, in metres: the fingers end above the side."""
_LOWEST = 0.026
"""Height in metres of a hand whose fingers all but touch a bin's floor: it lets go, however it holds the cube."""


def over(situation: Situation, cube: int, bin_: int) -> bool:
    """Whether the cube is over or in the bin, at whatever height."""
    at, middle = situation.objects[cube], situation.objects[bin_]
    return max(abs(at[0] - middle[0]), abs(at[1] - middle[1])) < HALF - _MARGIN


def placed(situation: Situation, cube: int, bin_: int) -> bool:
    """Whether the cube lies in the bin and is let go."""
    low = situation.objects[cube][2] < _FLOOR + rest(situation) + _LOW
    return low and over(situation, cube, bin_) and not grasped(situation, cube)


def spot(situation: Situation, bin_: int, other: int) -> Point:
    """Where in the bin the expert puts a cube: in front, unless the `other` cube is there, then behind it."""
    x, y, _ = situation.objects[bin_]
    taken = over(situation, other, bin_) and situation.objects[other][1] < y
    return x, y + (_SPOT if taken else -_SPOT), _FLOOR + rest(situation)


def pick_from(situation: Situation, cube: int, other: int, bins: tuple[int, ...]) -> Wish:
    """Pick the cube up, from the table or out of one of the `bins`, though the `other` may be close to it."""
    hand, here = situation.hand, situation.objects[cube]
    if not any(_near(here, situation.objects[bin_]) for bin_ in bins):
        return pick_up_among(situation, cube, (other,))
    higher = here[0], here[1], here[2] + _RAISED
    if around_cube(situation) and between(hand, higher) and not between(hand, here):
        return hand, 1.0  # so high that it does not count as grasped
    return pick_up_among(situation.with_object(cube, higher), cube, (other,))


def put_in(situation: Situation, cube: int, bin_: int, place: Point, offset: Point) -> Wish:
    """Carry a grasped cube to `place` in the bin, displaced by `offset`, and let it go there."""
    if over(situation, cube, bin_) and situation.hand[2] < _LOWEST:
        return situation.hand, 1.0
    return put_down(situation, cube, place, offset)


def just_missed(random: np.random.Generator) -> Point:
    """A displacement in metres from the front spot to over the table in front of the bin, as high as what is picked."""
    sideways, short = random.uniform((-0.03, 0.12), (0.03, 0.135))
    return float(sideways), float(_SPOT - short), 0.045


def _near(cube: Point, bin_: Point) -> bool:
    """Whether a finger beside the cube, or on its way there, comes over one of the bin's sides."""
    return abs(cube[0] - bin_[0]) < HALF + 0.07 and abs(cube[1] - bin_[1]) < HALF + 0.07
