"""All that decides how one episode looks. What is left at its default is as the scene's file has it."""

from dataclasses import dataclass

from headway_envs.motion import Point
from headway_envs.tasks.base import CUBE

Colour = tuple[float, float, float]
"""Red, green and blue, each in [0, 1]."""


@dataclass(frozen=True)
class View:
    """How a camera stands off its place.

    Attributes:
        turn: rotation vector in radians, in the camera's own axes (right, up, backwards).
        about: metres in front of the camera of the point round which it turns.
        shift: metres along the turned axes.
    """

    turn: Point = (0.0, 0.0, 0.0)
    about: float = 0.0
    shift: Point = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Light:
    """How the light differs.

    Attributes:
        turn: of the lamp's direction, about the world's x, y and z, a rotation vector in radians.
        lamp: factors of the lamp's red, green and blue.
        ambient: factor of the light from everywhere.
    """

    turn: Point = (0.0, 0.0, 0.0)
    lamp: Colour = (1.0, 1.0, 1.0)
    ambient: float = 1.0


@dataclass(frozen=True)
class Surface:
    """A texture.

    Attributes:
        pattern: its family, a name of `patterns.PATTERNS`.
        colours: what it runs between.
        tile: edge in metres of the square that repeats.
        seed: what is random in the pattern is drawn with it.
    """

    pattern: str
    colours: tuple[Colour, Colour]
    tile: float
    seed: int


@dataclass(frozen=True)
class Tint:
    """How a colour changes within its name, see `colours.tinted`.

    Attributes:
        hue: from -1 to 1, the share of the way to the lowest or highest hue that has the same name.
        saturation, brightness: factors.
    """

    hue: float = 0.0
    saturation: float = 1.0
    brightness: float = 1.0


@dataclass(frozen=True)
class Distractor:
    """A thing that can be seen and not touched: `shape` as MuJoCo names it, `size` in metres as MuJoCo reads it,
    `place` of its middle in metres, `turn` about the vertical in radians."""

    shape: str
    size: Point
    place: Point
    turn: float
    colour: Colour


@dataclass(frozen=True)
class Look:
    """How one episode looks.

    Attributes:
        edge: of a cube, metres.
        front, wrist: the two cameras.
        light: the lamp and what comes from everywhere.
        table, floor, wall: what they are covered with; without one the wall behind the table is not there.
        things: tints of object_0, object_1, ..., from the first again when there are more; empty leaves them.
        furniture: tint of what a task has put there for good.
        distractors: what else there is.
    """

    edge: float = CUBE
    front: View = View()
    wrist: View = View()
    light: Light = Light()
    table: Surface | None = None
    floor: Surface | None = None
    wall: Surface | None = None
    things: tuple[Tint, ...] = ()
    furniture: Tint = Tint()
    distractors: tuple[Distractor, ...] = ()


PLAIN = Look()
"""The scene as its file has it."""
