"""Cubes so close together that an open finger does not fit between them, and how the expert takes one all the same."""

from headway_envs.motion import LEAD, Point, Wish, clamp, heading, lateral
from headway_envs.tasks.base import Situation
from headway_envs.tasks.grasping import OPENED, between, grasped, pick_up, rest

_FINGER_OUTSIDE, _FINGER_SIDE = OPENED / 2 + 0.012, 0.01
"""From the middle of the open hand to the far side of a finger in x, and to its edge in y, in metres."""
_SLACK = 0.004
_ENTRANCE = 0.07
"""From the middle of the nearer cube to where the hand comes down in front of both or behind, in metres."""
_REACH_Y = (-0.22, 0.24)
"""Where the hand may come down, in metres."""
_LANE = 0.016
"""Metres by which an open hand may be off a cube, in x, without a finger touching it."""
_ALONG, _ALMOST = 0.11, 0.03
"""Metres in y within which a low hand goes straight for a cube that has another beside it, and for one that has none:
from _ALMOST on, the fingers have pushed the other away."""
_HIGHER = 0.006
"""How much higher than the cube the hand is as it goes in, and how far ahead its target runs as it lifts a cube that
it holds askew, in metres: slowly, since fingers that close as usual pass through that too."""
_DIAGONAL = 1.45
"""Of a cube's face, a little more, in edges."""


def pick_up_among(situation: Situation, number: int, others: tuple[int, ...]) -> Wish:
    """Pick the cube up. Where one of the `others` is too close beside it, the hand comes down in front of both or
    behind, and its open fingers go in from there, past the cube, pushing away what is in their way."""
    hand, cube = situation.hand, situation.objects[number]
    if grasped(situation, number):
        return pick_up(situation, number)
    if between(hand, cube):
        if around_cube(situation):
            return _turn(situation, number)
        if lateral(hand, cube) < 0.011:
            return pick_up(situation, number)
    close = [other for other in others if _too_close(cube, situation.objects[other], situation.edge)]
    if _astride(hand, cube, _ALONG if close else _ALMOST):
        return (cube[0], hand[1] + clamp(cube[1] - hand[1], -LEAD, LEAD), cube[2] + _HIGHER), 1.0
    if close:
        return heading(hand, _entrance(cube, situation.objects[close[0]])), 1.0
    return pick_up(situation, number)


def around_cube(situation: Situation) -> bool:
    """Whether the fingers, with a cube between them, touch it however it is turned."""
    return situation.opening < _DIAGONAL * situation.edge


def _turn(situation: Situation, number: int) -> Wish:
    """Lift a cube that the fingers hold by two of its edges, and let it fall from high enough to land otherwise."""
    x, y, z = hand = situation.hand
    if situation.objects[number][2] > rest(situation) + situation.edge + 0.03:
        return hand, 1.0
    return (x, y, z + _HIGHER), -1.0


def _astride(hand: Point, cube: Point, within: float) -> bool:
    """Whether the hand is as low as the cube and only has to go straight on, by no more than `within` metres."""
    across, along = abs(hand[0] - cube[0]), abs(hand[1] - cube[1])
    return across < _LANE and along < within and abs(hand[2] - cube[2] - _HIGHER) < 0.014


def _too_close(cube: Point, other: Point, edge: float) -> bool:
    """Whether a finger that comes down beside the cube lands on the other."""
    across, along, above = (abs(a - b) for a, b in zip(cube, other, strict=True))
    beside = edge / 2 < across < _FINGER_OUTSIDE + edge / 2 + _SLACK
    return beside and along < _FINGER_SIDE + edge / 2 + _SLACK and above < edge


def _entrance(cube: Point, other: Point) -> Point:
    """Where the hand comes down: on the side to which the cube stands out, unless that is out of reach."""
    before, behind = min(cube[1], other[1]) - _ENTRANCE, max(cube[1], other[1]) + _ENTRANCE
    stands_out = cube[1] < other[1]
    in_front = before > _REACH_Y[0] and (stands_out or behind > _REACH_Y[1])
    return cube[0], before if in_front else behind, cube[2]
