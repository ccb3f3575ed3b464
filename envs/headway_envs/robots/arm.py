"""The articulated arm: six joints and a parallel gripper, at 30 Hz."""

from functools import cache

import numpy as np

from headway.episodes import Array
from headway_envs.motion import Point, Wish
from headway_envs.rendering import mujoco
from headway_envs.robots.action_spaces import LARGEST_CHANGE, find_action_space
from headway_envs.robots.base import Fingers, Robot
from headway_envs.robots.kinematics import HandSolver
from headway_envs.scene import compile_scene

JOINTS = ("base_yaw", "shoulder", "elbow", "forearm_roll", "wrist_pitch", "wrist_roll")
HOME = np.array([0.0, 0.2, 0.6, 0.0, -0.8, 0.0])
"""The posture in radians that the arm prefers: elbow up, forearm sloping, hand down."""
ARM_LENGTH = 0.45
"""Metres from a joint to the hand, roughly: a push of the hand by a metre turns a joint by its inverse, in radians."""


class Arm(Robot):
    """Six position-controlled joints.

    Action (7,): six values in the action space, then the grip. Targets further than 0.15 rad from a joint are carried
    out as if 0.15 rad away, which limits speed to about 2.4 rad/s.

    State (20,): joint positions in radians (6), opening between the fingers in metres (1), joint velocities in rad/s
    (6), the hand's position in metres (3) and its orientation as a quaternion w, x, y, z (4).

    Raises UnknownName for an unknown action space, Unsupported when mink is not installed.
    """

    id = "arm"
    fps = 30
    physics_steps = 6
    pushes = len(JOINTS)

    def __init__(self, model: mujoco.MjModel, action_space: str = "joint-target"):
        self._fingers = Fingers(model)
        self._at = np.array([int(model.joint(name).qposadr[0]) for name in JOINTS])
        self._speeds = np.array([int(model.joint(name).dofadr[0]) for name in JOINTS])
        self._servos = np.array([model.actuator(name).id for name in JOINTS])
        self._ranges = np.array([model.joint(name).range for name in JOINTS])
        self._site = model.site("pinch").id
        self._solver = HandSolver(_alone(), HOME)
        self._space = find_action_space(action_space)(self._solver, JOINTS, self._ranges)
        self.action_names = (*self._space.names, "grip")
        self.action_low = np.array([*self._space.low, -1.0], dtype=np.float32)
        self.action_high = np.array([*self._space.high, 1.0], dtype=np.float32)
        self.state_names = (
            *(f"{name}.pos" for name in JOINTS),
            "opening",
            *(f"{name}.vel" for name in JOINTS),
            *(f"hand.{value}" for value in ("x", "y", "z", "qw", "qx", "qy", "qz")),
        )

    def place(self, data: mujoco.MjData, hand: Point, opening: float) -> None:
        joints = self._solver.reach(hand)
        data.qpos[self._at] = joints
        data.ctrl[self._servos] = joints
        self._fingers.place(data, opening)

    def hand(self, data: mujoco.MjData) -> Point:
        x, y, z = data.site_xpos[self._site].tolist()
        return x, y, z

    def opening(self, data: mujoco.MjData) -> float:
        return self._fingers.opening(data)

    def state(self, data: mujoco.MjData) -> Array:
        turn = np.empty(4)
        mujoco.mju_mat2Quat(turn, data.site_xmat[self._site])
        parts = (data.qpos[self._at], [self.opening(data)], data.qvel[self._speeds], self.hand(data), turn)
        return np.concatenate(parts).astype(np.float32)

    def command(self, data: mujoco.MjData, wish: Wish) -> Array:
        joints = data.qpos[self._at]
        change = self._solver.step(joints, wish[0])
        targets = np.clip(joints + change, self._ranges[:, 0], self._ranges[:, 1])
        return np.array([*self._space.write(joints, targets), wish[1]])

    def drive(self, data: mujoco.MjData, action: Array, push: Array) -> None:
        values = np.clip(np.asarray(action, dtype=np.float64), self.action_low, self.action_high)
        joints = data.qpos[self._at]
        targets = self._space.read(joints, values[:-1]) + push / ARM_LENGTH
        targets = np.clip(targets, joints - LARGEST_CHANGE, joints + LARGEST_CHANGE)
        data.ctrl[self._servos] = np.clip(targets, self._ranges[:, 0], self._ranges[:, 1])
        self._fingers.drive(data, float(values[-1]))


@cache
def _alone() -> mujoco.MjModel:
    """The arm without anything around it, for its kinematics; never changed."""
    return compile_scene("arm")
