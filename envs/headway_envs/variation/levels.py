"""The levels of variation, and the look that each has for a seed.

What `ood` draws from overlaps nowhere with what `mild` draws from, nor with the plain scene: it is out of distribution
in camera, light, textures, backdrop, size and colour, whatever of `none` and `mild` an estimator was trained on.
"""

from dataclasses import dataclass, replace

import numpy as np

from headway.errors import UnknownName
from headway_envs.motion import Point
from headway_envs.tasks.base import CUBE
from headway_envs.variation.appearance import PLAIN, Colour, Distractor, Light, Look, Surface, Tint, View

Span = tuple[float, float]

AIM = 0.85
"""Metres in front of the front camera of the point about which it moves, in the middle of the table."""
_TINTS = 8
_GREYS = ((0.62, 0.62, 0.60), (0.40, 0.38, 0.36), (0.30, 0.31, 0.33))
"""Of table and floor as they are in the scene, and of a wall that would go with them."""
_SHAPES = ("cylinder", "ellipsoid", "box")


@dataclass(frozen=True)
class Level:
    """How far the looks of a level are from the plain one: at least and at most, either way where nothing else is said.

    Attributes:
        edge: of cubes, metres.
        orbit: radians by which the front camera goes round its aim, sideways and up or down, each.
        roll: of the front camera, radians.
        distance: share by which the front camera is further away.
        wrist_shift, wrist_turn: of the wrist camera along and about each axis, metres and radians.
        lamp_turn: radians about x and y, each.
        brightness: share of the lamp's.
        warmth: share by which the lamp's red exceeds its green and its blue falls short.
        ambient: share of the light from everywhere.
        hue: as in `Tint`.
        saturation: share by which it is lower.
        shade: share of brightness of a colour.
        patterns: families of textures.
        palette: pairs of colours for textures; empty means greys near the plain ones.
        tile: metres of the square that repeats.
        distractors: how many, at least and at most.
        paints: colours of distractors.
    """

    edge: Span
    orbit: Span
    roll: Span
    distance: Span
    wrist_shift: Span
    wrist_turn: Span
    lamp_turn: Span
    brightness: Span
    warmth: Span
    ambient: Span
    hue: Span
    saturation: Span
    shade: Span
    patterns: tuple[str, ...]
    palette: tuple[tuple[Colour, Colour], ...]
    tile: Span
    distractors: tuple[int, int]
    paints: tuple[Colour, ...]


MILD = Level(
    edge=(0.0, 0.003),
    orbit=(0.0, 0.035),
    roll=(0.0, 0.02),
    distance=(0.0, 0.03),
    wrist_shift=(0.0, 0.003),
    wrist_turn=(0.0, 0.02),
    lamp_turn=(0.0, 0.25),
    brightness=(0.0, 0.1),
    warmth=(0.0, 0.03),
    ambient=(0.0, 0.06),
    hue=(0.0, 0.4),
    saturation=(0.0, 0.05),
    shade=(0.0, 0.07),
    patterns=("plain", "speckle", "clouds"),
    palette=(),
    tile=(0.25, 0.6),
    distractors=(1, 2),
    paints=((0.55, 0.53, 0.50), (0.75, 0.72, 0.66), (0.30, 0.29, 0.28), (0.50, 0.42, 0.34)),
)
OOD = Level(
    edge=(0.004, 0.008),
    orbit=(0.08, 0.16),
    roll=(0.035, 0.08),
    distance=(0.06, 0.12),
    wrist_shift=(0.005, 0.01),
    wrist_turn=(0.035, 0.07),
    lamp_turn=(0.4, 0.8),
    brightness=(0.2, 0.35),
    warmth=(0.06, 0.12),
    ambient=(0.12, 0.2),
    hue=(0.6, 0.95),
    saturation=(0.08, 0.16),
    shade=(0.12, 0.22),
    patterns=("checker", "stripes", "dots", "wood"),
    palette=(
        ((0.80, 0.66, 0.45), (0.60, 0.45, 0.28)),
        ((0.42, 0.29, 0.19), (0.27, 0.18, 0.12)),
        ((0.92, 0.91, 0.88), (0.22, 0.22, 0.24)),
        ((0.86, 0.80, 0.62), (0.68, 0.60, 0.38)),
        ((0.20, 0.21, 0.24), (0.38, 0.40, 0.43)),
        ((0.55, 0.75, 0.74), (0.85, 0.92, 0.90)),
        ((0.80, 0.72, 0.86), (0.58, 0.48, 0.66)),
        ((0.95, 0.86, 0.52), (0.98, 0.95, 0.80)),
    ),
    tile=(0.08, 0.2),
    distractors=(3, 5),
    paints=((0.95, 0.85, 0.15), (0.20, 0.75, 0.80), (0.95, 0.50, 0.75), (0.05, 0.05, 0.06), (0.95, 0.95, 0.95)),
)
LEVELS: dict[str, Level | None] = {"none": None, "mild": MILD, "ood": OOD}
"""The levels of variation, by the name that a user writes; None is the plain scene."""

FACTORS = {
    "camera": ("orbit", "roll", "distance", "wrist_shift", "wrist_turn"),
    "light": ("lamp_turn", "brightness", "warmth", "ambient"),
    "texture": ("patterns", "palette", "tile"),
    "colour": ("hue", "saturation", "shade"),
    "size": ("edge",),
    "clutter": ("distractors", "paints"),
}
"""What of a look is out of distribution at the level `ood-FACTOR`; all else is mild there."""

ONE_FACTOR: dict[str, Level | None] = {
    f"ood-{factor}": replace(MILD, **{field: getattr(OOD, field) for field in fields})
    for factor, fields in FACTORS.items()
}
"""Levels that are out of distribution in one respect, to find out what it is that an estimator cannot stand."""

_SPOTS = (
    ((-0.27, 0.36), (-0.15, 0.45), 0.0),
    ((0.17, 0.30), (0.19, 0.45), 0.0),
    ((0.27, 0.30), (0.29, 0.45), 0.0),
    ((-0.62, 0.10), (-0.48, 0.55), -0.4),
    ((0.50, 0.10), (0.66, 0.55), -0.4),
)
"""Where distractors stand: corners (x, y) of a rectangle and the height of what they stand on, metres. Behind or beside
all that hand and things reach, so that they hide nothing."""


def look(level: str, seed: int) -> Look:
    """How the episode of a seed looks at a level of variation: always the same, `PLAIN` at `none`.

    Raises UnknownName for an unknown level.
    """
    levels = LEVELS | ONE_FACTOR
    if level not in levels:
        raise UnknownName("level of variation", level, levels)
    spans = levels[level]
    if spans is None:
        return PLAIN
    random = np.random.default_rng([seed, 7])
    table, floor, wall = _surfaces(random, spans)
    return Look(
        edge=CUBE + _either(random, spans.edge),
        front=_front(random, spans),
        wrist=View(turn=_each(random, spans.wrist_turn), shift=_each(random, spans.wrist_shift)),
        light=_light(random, spans),
        table=table,
        floor=floor,
        wall=wall,
        things=tuple(_tint(random, spans) for _ in range(_TINTS)),
        furniture=_tint(random, spans),
        distractors=_distractors(random, spans),
    )


def _either(random: np.random.Generator, span: Span) -> float:
    """A number that far from 0, above or below."""
    return float(random.choice((-1, 1)) * random.uniform(*span))


def _each(random: np.random.Generator, span: Span) -> Point:
    return _either(random, span), _either(random, span), _either(random, span)


def _front(random: np.random.Generator, level: Level) -> View:
    """Round the middle of the table, and further away rather than nearer, so that all stays in the picture."""
    turn = _either(random, level.orbit), _either(random, level.orbit), _either(random, level.roll)
    return View(turn, AIM, (0.0, 0.0, AIM * float(random.uniform(*level.distance))))


def _light(random: np.random.Generator, level: Level) -> Light:
    brightness, warmth = 1 + _either(random, level.brightness), _either(random, level.warmth)
    return Light(
        turn=(_either(random, level.lamp_turn), _either(random, level.lamp_turn), 0.0),
        lamp=(brightness * (1 + warmth), brightness, brightness * (1 - warmth)),
        ambient=1 + _either(random, level.ambient),
    )


def _tint(random: np.random.Generator, level: Level) -> Tint:
    return Tint(
        hue=_either(random, level.hue),
        saturation=1 - float(random.uniform(*level.saturation)),
        brightness=1 + _either(random, level.shade),
    )


def _surfaces(random: np.random.Generator, level: Level) -> list[Surface]:
    """Of table, floor and wall, no two in the same colours."""
    if level.palette:
        pairs = [level.palette[index] for index in random.permutation(len(level.palette))[:3]]
    else:
        pairs = [_greys(random, grey) for grey in _GREYS]
    return [
        Surface(
            str(random.choice(level.patterns)), pair, float(random.uniform(*level.tile)), int(random.integers(2**31))
        )
        for pair in pairs
    ]


def _greys(random: np.random.Generator, grey: Colour) -> tuple[Colour, Colour]:
    """Two colours near the plain one."""
    base = np.array(grey) * random.uniform(0.9, 1.1) + random.uniform(-0.015, 0.015, size=3)
    low, high = np.clip([base - 0.03, base + 0.03], 0, 1).tolist()
    return tuple(low), tuple(high)


def _distractors(random: np.random.Generator, level: Level) -> tuple[Distractor, ...]:
    low, high = level.distractors
    spots = random.permutation(len(_SPOTS))[: random.integers(low, high + 1)]
    return tuple(_distractor(random, level, *_SPOTS[spot]) for spot in spots)


def _distractor(random: np.random.Generator, level: Level, low: Span, high: Span, ground: float) -> Distractor:
    """A small thing on the table, or a tall one that stands on the floor."""
    x, y = random.uniform(low, high).tolist()
    wide = float(random.uniform(0.018, 0.03)) * (1 if ground == 0 else 2)
    tall = float(random.uniform(0.02, 0.05) if ground == 0 else random.uniform(0.16, 0.25))
    shape = str(random.choice(_SHAPES))
    size = (wide, tall, 0.0) if shape == "cylinder" else (wide, wide * float(random.uniform(0.5, 1)), tall)
    colour = level.paints[random.integers(len(level.paints))]
    return Distractor(shape, size, (x, y, ground + tall), float(random.uniform(0, np.pi)), colour)
