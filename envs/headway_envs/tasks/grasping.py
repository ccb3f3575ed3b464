"""Cubes in the hand: when one is grasped, how far it still is, and how the expert picks it up and puts it down."""

from headway_envs.motion import LEAD, TRAVEL_HEIGHT, Point, Wish, clamp, heading, journey, lateral
from headway_envs.tasks.base import Layout, Situation

LIFT = 0.04
"""How far above the table a grasped cube must be to be picked, in metres."""
OPENED = 0.09
"""Opening of the open hand in metres."""
HIGH_UP, ABOVE = 0.1, 0.075
"""Metres: a thing higher than HIGH_UP is in the way of a hand that travels as usual; it comes from so far ABOVE."""
AT_HOME = 0.03
"""Metres, seen from above, within which a thing is back where it came from."""


def rest(situation: Situation) -> float:
    """Height in metres of a cube's middle when it lies on the table."""
    return situation.edge / 2


def held_opening(situation: Situation) -> float:
    """Opening in metres below which fingers around a cube press on it."""
    return situation.edge + 0.003


def released_opening(situation: Situation) -> float:
    """Opening in metres above which a cube between the fingers is free."""
    return situation.edge + 0.012


def between(hand: Point, cube: Point) -> bool:
    """Whether the cube is where the fingers would close on it."""
    return lateral(hand, cube) < 0.022 and abs(hand[2] - cube[2]) < 0.02


def grasped(situation: Situation, number: int) -> bool:
    """Whether the fingers are around the cube and not open enough for it to be free."""
    return situation.opening < released_opening(situation) and between(situation.hand, situation.objects[number])


def pressed(situation: Situation, number: int) -> bool:
    """Whether the fingers press on the cube from both sides."""
    return situation.opening < held_opening(situation) and between(situation.hand, situation.objects[number])


def picked(situation: Situation, number: int) -> bool:
    """Whether the cube is grasped and clear of the table."""
    return grasped(situation, number) and situation.objects[number][2] >= rest(situation) + LIFT


def to_pick(situation: Situation, number: int) -> float:
    """Metres of travel still to go until the cube is picked: the reach, the closing of the fingers, the lift."""
    hand, place = situation.hand, situation.objects[number]
    reach = 0.0 if grasped(situation, number) else journey(hand, place)
    opening = situation.opening if between(hand, place) else OPENED
    return reach + max(0.0, opening - held_opening(situation)) + max(0.0, rest(situation) + LIFT - place[2])


def to_place(situation: Situation, number: int, place: Point, within: float, above: float = TRAVEL_HEIGHT) -> float:
    """Metres of travel still to go until a picked cube is let go within `within` metres of `place`, in x and in y."""
    x, y, _ = held = situation.objects[number]
    target = (
        clamp(x, place[0] - within, place[0] + within),
        clamp(y, place[1] - within, place[1] + within),
        place[2],
    )
    return journey(held, target, above) + max(0.0, released_opening(situation) - situation.opening)


def pick_up(situation: Situation, number: int, clear: bool = True) -> Wish:
    """Go to the cube, close the fingers on it and lift it. The fingers stay closed on the way until it is `clear`."""
    hand, place = situation.hand, situation.objects[number]
    if pressed(situation, number):
        return (hand[0], hand[1], hand[2] + LEAD), -1.0
    if grasped(situation, number) or (lateral(hand, place) < 0.011 and abs(hand[2] - place[2]) < 0.009):
        return place, -1.0
    return heading(hand, place), 1.0 if clear else -1.0


def arrived(held: Point, target: Point) -> bool:
    """Whether a carried cube is where the expert lets it go."""
    return lateral(held, target) < 0.012 and held[2] < target[2] + 0.007


def put_down(
    situation: Situation,
    number: int,
    place: Point,
    offset: Point = (0.0, 0.0, 0.0),
    above: float = TRAVEL_HEIGHT,
) -> Wish:
    """Carry a grasped cube, at the height `above`, to `place` displaced by `offset`, and let it go there."""
    hand, held = situation.hand, situation.objects[number]
    target = (place[0] + offset[0], place[1] + offset[1], place[2] + offset[2])
    if arrived(held, target):
        return hand, 1.0
    x, y, z = (target[axis] + hand[axis] - held[axis] for axis in range(3))
    return heading(hand, (x, y, z), above), -1.0


def take_back(situation: Situation, layout: Layout, numbers: tuple[int, ...]) -> Wish | None:
    """Bring things back to where they lie in `layout`, the last of `numbers` first; None when all are there."""
    for number in numbers:
        if grasped(situation, number):
            return put_down(situation, number, layout.objects[number])
    away = [number for number in numbers if not at_home(situation, layout, number)]
    if not away:
        return None
    x, y, z = situation.objects[away[-1]]
    if z > HIGH_UP and lateral(situation.hand, (x, y, z)) > 0.015:
        return heading(situation.hand, (x, y, z + ABOVE)), 1.0
    return pick_up(situation, away[-1])


def at_home(situation: Situation, layout: Layout, number: int) -> bool:
    """Whether the thing lies where it does in `layout`."""
    here, home = situation.objects[number], layout.objects[number]
    return lateral(here, home) < AT_HOME and abs(here[2] - home[2]) < 0.02
