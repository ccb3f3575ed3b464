"""Differential inverse kinematics of the arm, by mink."""

import numpy as np

from headway.episodes import Array
from headway.errors import Unsupported
from headway_envs.motion import Point
from headway_envs.rendering import mujoco

SOLVER = "daqp"
DAMPING = 1e-6
ORIENTATION_COST = 0.3
"""Against 1 for the position: a radian off counts as 0.3 m."""
POSTURE_COST = 1e-3
ITERATIONS = 30
CLOSE_ENOUGH = 1e-6
"""Metres or radians from which on another iteration is not worth it."""


class HandSolver:
    """Finds joint angles that put the hand somewhere, pointing down with its fingers along the world's x unless told.

    `model` is the arm alone; `home` (joint,) the posture that it prefers where there is a choice, in radians.
    Raises Unsupported when mink is not installed.
    """

    def __init__(self, model: mujoco.MjModel, home: Array):
        try:
            import mink
        except ImportError as error:
            raise Unsupported(
                "the arm needs mink for its inverse kinematics: pip install 'headway[arm]', or use the robot 'gripper'"
            ) from error
        self._mink = mink
        self._configuration = mink.Configuration(model)
        self._joints = len(home)
        self._rest = np.zeros(model.nq)
        self._rest[: self._joints] = home
        self._hand = mink.FrameTask("pinch", "site", 1.0, ORIENTATION_COST, lm_damping=1e-4)
        self._posture = mink.PostureTask(model, POSTURE_COST)
        self._posture.set_target(self._rest)
        self._limits = [mink.ConfigurationLimit(model)]

    def step(self, joints: Array, target: Point, turn: Array | None = None) -> Array:
        """Change of joint angles (joint,), radians, that takes the hand to `target` by the kinematics at `joints`.

        `turn`: 3x3 rotation of the hand in the world; None is pointing down.
        """
        mink = self._mink
        self._at(joints)
        rotation = mink.SO3.identity() if turn is None else mink.SO3.from_matrix(turn)
        self._hand.set_target(mink.SE3.from_rotation_and_translation(rotation, np.array(target)))
        return self._solve()[: self._joints]

    def pose(self, joints: Array) -> tuple[Array, Array]:
        """Where the hand is at these joint angles: position (3,) in metres and rotation (3, 3) in the world."""
        self._at(joints)
        frame = self._configuration.get_transform_frame_to_world("pinch", "site")
        return frame.translation(), frame.rotation().as_matrix()

    def reach(self, target: Point) -> Array:
        """Joint angles (joint,) that put the hand at `target`, pointing down."""
        joints = self._rest[: self._joints].copy()
        for _ in range(ITERATIONS):
            change = self.step(joints, target)
            joints = joints + change
            if np.abs(change).max() < CLOSE_ENOUGH:
                break
        return joints

    def _at(self, joints: Array) -> None:
        configuration = self._rest.copy()
        configuration[: self._joints] = joints
        self._configuration.update(configuration)

    def _solve(self) -> Array:
        tasks = [self._hand, self._posture]
        return self._mink.solve_ik(self._configuration, tasks, 1.0, solver=SOLVER, damping=DAMPING, limits=self._limits)
