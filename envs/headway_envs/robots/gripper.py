"""The fast robot: a hand that flies on three slides, at 20 Hz."""

import numpy as np

from headway.episodes import Array
from headway_envs.motion import Point, Wish, clamp
from headway_envs.rendering import mujoco
from headway_envs.robots.base import Fingers, Robot

REACH = 0.04
"""The furthest a target may be from the hand, in metres and each direction: limits speed, whatever is asked for."""


class Gripper(Robot):
    """Action (4,): the hand's absolute target x, y, z in metres and its grip. State (4,): x, y, z and the opening."""

    id = "gripper"
    fps = 20
    physics_steps = 10
    action_names = ("hand.x", "hand.y", "hand.z", "grip")
    action_low = np.array([-0.40, -0.28, 0.015, -1.0], dtype=np.float32)
    action_high = np.array([0.40, 0.26, 0.26, 1.0], dtype=np.float32)
    state_names = ("hand.x", "hand.y", "hand.z", "opening")
    pushes = 3

    def __init__(self, model: mujoco.MjModel):
        self._fingers = Fingers(model)

    def place(self, data: mujoco.MjData, hand: Point, opening: float) -> None:
        data.qpos[:3] = hand
        data.ctrl[:3] = hand
        self._fingers.place(data, opening)

    def hand(self, data: mujoco.MjData) -> Point:
        x, y, z = data.qpos[:3].tolist()
        return x, y, z

    def opening(self, data: mujoco.MjData) -> float:
        return self._fingers.opening(data)

    def state(self, data: mujoco.MjData) -> Array:
        return np.array([*data.qpos[:3], self.opening(data)], dtype=np.float32)

    def command(self, data: mujoco.MjData, wish: Wish) -> Array:
        return np.array([*wish[0], wish[1]])

    def drive(self, data: mujoco.MjData, action: Array, push: Array) -> None:
        pushed = np.asarray(action, dtype=np.float64) + np.append(push, 0.0)
        values = np.clip(pushed, self.action_low, self.action_high).tolist()
        for axis, at in enumerate(self.hand(data)):
            data.ctrl[axis] = clamp(values[axis], at - REACH, at + REACH)
        self._fingers.drive(data, values[3])
