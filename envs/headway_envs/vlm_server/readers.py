"""How far along a task is, read from the colours of one picture. Time, order and file names play no part in it.

A reader takes a picture, uint8 RGB (height, width, 3), and gives progress in [0, 1], or None where it does not see what
the task is about, as when red and blue have been swapped. Pictures of any size will do.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway_envs.tasks.push_to_goal import PushToGoal
from headway_envs.tasks.tidy_drawer import TidyDrawer

Reader = Callable[[Array], float | None]

_FORESHORTENED = 0.643
"""Of what lies on the table, along the line of sight: the sine of the angle at which the front camera looks down."""
_SPECKS = 3
"""Pixels, in a picture of 96 by 96; fewer of a colour are noise, or the edge of something hidden."""

_WAY, _BEHIND, _NEAR, _ON_MARK, _CLEAR = 0.75, 0.1, 0.08, 0.09, 0.15
"""push-to-goal, in widths of the picture: the longest way of the puck; how far behind the puck the hand pushes, and how
near that place it is when it does; how near the mark's middle the puck is on it; how far the hand goes in the end."""

_SHUT, _OPEN = 0.53, 0.73
"""tidy-drawer: the handle's lower edge with the drawer shut and open, in heights of the picture."""
_LYING = 0.165
"""tidy-drawer: how far above the handle a cube appears that lies in the open drawer, in heights of the picture."""
_REACH, _HELD = 0.7, 0.12
"""In widths of the picture: the longest way of the hand; how near the hand is that holds the drawer's cube."""

STAGES: dict[str, dict[str, float]] = {
    "slider": {"right": 0.5, "down": 0.5},
    **{task.id: dict(zip(task.stage_names, task.proportions, strict=True)) for task in (PushToGoal, TidyDrawer)},
}
"""By the names of READERS: the stages of a task in order, and the share of progress that each is."""
_REACH_PUCK = STAGES["push-to-goal"]["reach-puck"]
_OPENING, _PICKING, _PLACING, _CLOSING = STAGES["tidy-drawer"].values()


@dataclass(frozen=True)
class _Spot:
    """Where a colour is, in shares of the picture's width and height: its middle, and its edges."""

    x: float
    y: float
    left: float
    right: float
    bottom: float

    @property
    def place(self) -> complex:
        """On the table: x + iy, in widths of the picture."""
        return complex(self.x, self.y / _FORESHORTENED)


def slider(picture: Array) -> float | None:
    """The red square that goes right along the top, then down along the right edge: half the way each."""
    rows, columns = np.nonzero(_is_red(picture))
    height, width = picture.shape[:2]
    if len(rows) == 0:
        return None
    x, y = columns.min(), rows.min()
    side_x, side_y = columns.max() + 1 - x, rows.max() + 1 - y
    right, down = x / max(1, width - side_x), y / max(1, height - side_y)
    return float(np.clip((right + down) / 2, 0, 1))


def push_to_goal(picture: Array) -> float | None:
    """What is left of the hand's way to behind the red puck, and of the puck's way to the green mark."""
    puck, mark, hand = _spot(_is_red(picture)), _spot(_is_green(picture)), _spot(_is_orange(picture))
    if mark is None or hand is None:
        return None
    puck = puck or hand  # hidden behind the hand that pushes it
    left = abs(mark.place - puck.place)
    if left < _ON_MARK:
        return 0.95 + 0.05 * min(1.0, abs(hand.place - puck.place) / _CLEAR)
    behind = puck.place - _BEHIND * (mark.place - puck.place) / left
    gap = abs(hand.place - behind)
    if gap > _NEAR:
        return _REACH_PUCK * _within(1 - gap / _REACH)
    return _REACH_PUCK + (0.95 - _REACH_PUCK) * _within(1 - left / _WAY)


def tidy_drawer(picture: Array) -> float | None:
    """How far the drawer is open; whether the red cube lies on the table, in the hand or in the drawer; where the hand
    has to go next."""
    handle, cube, hand = _spot(_is_violet(picture)), _spot(_is_red(picture)), _spot(_is_orange(picture))
    if handle is None or hand is None:
        return None
    opened = _within((handle.bottom - _SHUT) / (_OPEN - _SHUT))
    at_handle = _within(1 - abs(hand.place - handle.place) / _REACH)
    held = cube is not None and abs(hand.place - cube.place) < _HELD
    inside = cube is None or (handle.left - 0.03 < cube.x < handle.right + 0.03 and cube.y < handle.y)
    lies = cube is None or handle.y - cube.y < _LYING
    if inside and (lies or not held or opened < 0.9):
        return 1 - _CLOSING + _CLOSING * (at_handle + 1 - opened) / 2
    if cube is None or opened < 0.9:
        return _OPENING * (at_handle + opened) / 2
    if held:
        return _OPENING + _PICKING + _PLACING * _within(1 - abs(cube.place - handle.place) / _REACH)
    return _OPENING + _PICKING * _within(1 - abs(hand.place - cube.place) / _REACH)


READERS: dict[str, Reader] = {"slider": slider, "push-to-goal": push_to_goal, "tidy-drawer": tidy_drawer}
"""By the name under which the server offers them as a model."""


def _within(value: float) -> float:
    return min(1.0, max(0.0, value))


def _spot(mask: Array) -> _Spot | None:
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    if len(rows) < max(1, _SPECKS * height * width / 96**2):
        return None
    return _Spot(
        x=float(columns.mean() + 0.5) / width,
        y=float(rows.mean() + 0.5) / height,
        left=float(columns.min()) / width,
        right=float(columns.max() + 1) / width,
        bottom=float(rows.max() + 1) / height,
    )


def _channels(picture: Array) -> Array:
    return picture.astype(np.int64).transpose(2, 0, 1)


def _is_red(picture: Array) -> Array:
    red, green, blue = _channels(picture)
    return (red > 120) & (green < 80) & (blue < 80)


def _is_green(picture: Array) -> Array:
    red, green, blue = _channels(picture)
    return (green > 90) & (red < 80) & (blue < 90)


def _is_violet(picture: Array) -> Array:
    red, green, blue = _channels(picture)
    return (red > 80) & (blue > 80) & (green < 70)


def _is_orange(picture: Array) -> Array:
    """The fingers; the drawer's brown holds more blue."""
    red, green, blue = _channels(picture)
    return (red > 120) & (4 * blue < red) & (0.45 * red < green) & (green < 0.8 * red)
