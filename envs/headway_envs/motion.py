"""How the hand travels: up, across at a safe height, and down; and how far such a journey still is.

The expert steers by `heading` and the truth measures by `journey`, both functions of where things are now and of
nothing else, so that an interrupted or disturbed movement goes on from wherever the hand is.
Points are (x, y, z) in metres; the hand's point is halfway between its finger tips.
"""

from math import hypot

Point = tuple[float, float, float]

Wish = tuple[Point, float]
"""The hand's target in metres, and its grip from -1 (closed) to 1 (open): what every expert asks of its robot."""

TRAVEL_HEIGHT = 0.15
"""Height at which the hand, also with a cube, passes over everything there is."""
LEAD = 0.018
"""How far ahead of the hand its target runs while it travels: about 0.2 m/s with the hand's lag of 62 ms."""
NEAR, FAR = 0.008, 0.035
"""Within NEAR of the target, seen from above, the hand may be as low as it; beyond FAR it must be at full height."""


def lateral(a: Point, b: Point) -> float:
    """Horizontal distance in metres."""
    return hypot(a[0] - b[0], a[1] - b[1])


def journey(start: Point, target: Point, above: float = TRAVEL_HEIGHT) -> float:
    """Metres of travel from `start` to `target`: the rise to `above`, the way across and the descent."""
    across = lateral(start, target)
    rise = max(0.0, _safe_height(across, target[2], above) - start[2])
    return rise + across + abs(start[2] + rise - target[2])


def heading(hand: Point, target: Point, above: float = TRAVEL_HEIGHT) -> Point:
    """The hand's next target, at most LEAD away in each direction, on the way to `target` at the height `above`."""
    across = lateral(hand, target)
    height = _safe_height(across, target[2], above)
    # still too low: rise first, then let the way across begin gently
    share = min(1.0, LEAD / across if across > LEAD else 1.0) * min(1.0, max(0.0, 1 - (height - hand[2]) / 0.03))
    return (
        hand[0] + share * (target[0] - hand[0]),
        hand[1] + share * (target[1] - hand[1]),
        hand[2] + clamp(height - hand[2], -LEAD, LEAD),
    )


def clamp(value: float, low: float, high: float) -> float:
    """`value`, kept between `low` and `high`."""
    return min(high, max(low, value))


def _safe_height(across: float, target_height: float, above: float) -> float:
    share = clamp((across - NEAR) / (FAR - NEAR), 0.0, 1.0)
    return target_height + share * max(0.0, above - target_height)
