"""What a robot is: how an action moves its hand, what it senses of itself, and how an expert's wish becomes an action.

Tasks, experts and truth know only the hand: where its pinch point is and how far its fingers are open. A robot
carries that hand. It belongs to one compiled model, whose data is handed to it at every call.
"""

from typing import Protocol

import numpy as np

from headway.episodes import Array
from headway_envs.motion import Point, Wish
from headway_envs.rendering import mujoco

OPENING_MAX = 0.09
"""Metres between the fingers when open."""


class Robot(Protocol):
    """One robot.

    Attributes:
        id: as a user writes it (`arm`).
        fps: control steps per second.
        physics_steps: of the simulation in one control step.
        action_names: what the values of an action are, in order.
        action_low, action_high: float32 (action,), the bounds of an action.
        state_names: what the values of `state` are, in order.
        pushes: how many numbers a disturbance has.
    """

    id: str
    fps: int
    physics_steps: int
    action_names: tuple[str, ...]
    action_low: Array
    action_high: Array
    state_names: tuple[str, ...]
    pushes: int

    def place(self, data: mujoco.MjData, hand: Point, opening: float) -> None:
        """Put the hand there, at rest, and let the servos hold it."""
        ...

    def hand(self, data: mujoco.MjData) -> Point:
        """The pinch point, metres; kinematics have to be up to date."""
        ...

    def opening(self, data: mujoco.MjData) -> float:
        """Metres between the fingers."""
        ...

    def state(self, data: mujoco.MjData) -> Array:
        """float32 (state,): what the robot senses of itself."""
        ...

    def command(self, data: mujoco.MjData, wish: Wish) -> Array:
        """float64 (action,): the action by which the hand heads for `wish`."""
        ...

    def drive(self, data: mujoco.MjData, action: Array, push: Array) -> None:
        """Set the servos' targets. `action` is kept within its bounds; `push` (pushes,) displaces the targets, as
        metres of the hand."""
        ...


class Fingers:
    """The two fingers that every robot's hand has."""

    def __init__(self, model: mujoco.MjModel):
        joints = ("finger_left", "finger_right")
        self._at = np.array([int(model.joint(name).qposadr[0]) for name in joints])
        self._servos = np.array([model.actuator(name).id for name in joints])

    def place(self, data: mujoco.MjData, opening: float) -> None:
        """Open them that far, in metres, at rest."""
        data.qpos[self._at] = opening / 2
        data.ctrl[self._servos] = opening / 2

    def opening(self, data: mujoco.MjData) -> float:
        """Metres between them."""
        left, right = data.qpos[self._at].tolist()
        return left + right

    def drive(self, data: mujoco.MjData, grip: float) -> None:
        """Set their target by a grip from -1 (closed) to 1 (open)."""
        data.ctrl[self._servos] = (grip + 1) / 2 * OPENING_MAX / 2
