"""Patterns of textures, as fields between two colours, and the textures made of them.

Each is a square that repeats without a seam: it is a function of its two coordinates in turns, with period 1.
"""

from collections.abc import Callable

import numpy as np

from headway.episodes import Array
from headway_envs.variation.appearance import Surface

SIDE = 64
"""Pixels of a texture's edge."""


def texture(surface: Surface) -> Array:
    """uint8 RGB (SIDE, SIDE, 3): always the same one for a surface, as bright as a texture can be, see `shade`."""
    random = np.random.default_rng(surface.seed)
    v, u = np.meshgrid(*[(np.arange(SIDE) + 0.5) / SIDE] * 2, indexing="ij")
    field = PATTERNS[surface.pattern](u, v, random)[..., None]
    low, high = np.array(surface.colours) / shade(surface)
    return np.round(255 * (low + (high - low) * field)).clip(0, 255).astype(np.uint8)


def shade(surface: Surface) -> float:
    """The grey that goes under the texture. OpenGL cuts light off at 1 before it applies a texture, so that on white
    ground a bright light would make no difference."""
    return max(max(colour) for colour in surface.colours)


def _plain(u: Array, v: Array, random: np.random.Generator) -> Array:
    return np.zeros_like(u)


def _speckle(u: Array, v: Array, random: np.random.Generator) -> Array:
    return random.random(u.shape)


def _clouds(u: Array, v: Array, random: np.random.Generator) -> Array:
    field = np.zeros_like(u)
    for _ in range(6):
        along, across = random.integers(-2, 3, size=2)
        field += np.cos(2 * np.pi * (along * u + across * v + random.random()))
    return (field - field.min()) / max(float(np.ptp(field)), 1e-9)


def _checker(u: Array, v: Array, random: np.random.Generator) -> Array:
    return ((u < 0.5) ^ (v < 0.5)).astype(float)


def _stripes(u: Array, v: Array, random: np.random.Generator) -> Array:
    along = random.choice((u, v, u + v))
    return (along % 1 < random.uniform(0.3, 0.7)).astype(float)


def _dots(u: Array, v: Array, random: np.random.Generator) -> Array:
    return (np.hypot(u - 0.5, v - 0.5) < random.uniform(0.2, 0.38)).astype(float)


def _wood(u: Array, v: Array, random: np.random.Generator) -> Array:
    rings = 3 * u + 0.3 * np.sin(2 * np.pi * (v + random.random())) + 0.15 * np.sin(4 * np.pi * (u - v))
    return 0.5 + 0.5 * np.sin(2 * np.pi * rings)


PATTERNS: dict[str, Callable[[Array, Array, np.random.Generator], Array]] = {
    "plain": _plain,
    "speckle": _speckle,
    "clouds": _clouds,
    "checker": _checker,
    "stripes": _stripes,
    "dots": _dots,
    "wood": _wood,
}
"""From coordinates u, v (SIDE, SIDE) in [0, 1] to a field of that shape in [0, 1]."""
