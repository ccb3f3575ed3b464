"""What the values of the arm's actions mean: absolute joint targets, changes of joints, or changes of the hand's pose.

All end in the same targets for the same servos, so that a wish of the expert can be written in any of them.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from headway.episodes import Array
from headway.errors import UnknownName
from headway_envs.robots.kinematics import HandSolver

LARGEST_CHANGE = 0.15
"""The furthest a joint's target may be from the joint, in radians: with the servos' lag of 62 ms, about 2.4 rad/s."""
LARGEST_SHIFT, LARGEST_TURN = 0.04, 0.15
"""The furthest a hand's target may be from the hand, in metres and in radians about each axis."""


class ActionSpace(Protocol):
    """A way to write where the joints are to go; the grip, -1 (closed) to 1 (open), follows in every action.

    Attributes:
        names: of the values, without the grip.
        low, high: float (value,), their bounds.
    """

    names: tuple[str, ...]
    low: Array
    high: Array

    def write(self, joints: Array, targets: Array) -> Array:
        """The values (value,) that move `joints` (joint,) to `targets` (joint,), radians."""
        ...

    def read(self, joints: Array, values: Array) -> Array:
        """The targets (joint,) that `values` (value,) mean at `joints` (joint,), radians."""
        ...


class JointTargets(ActionSpace):
    """Absolute targets in radians, as lerobot's arms record them."""

    def __init__(self, solver: HandSolver, joints: tuple[str, ...], ranges: Array):
        self.names = tuple(f"{name}.pos" for name in joints)
        self.low, self.high = ranges.T

    def write(self, joints: Array, targets: Array) -> Array:
        return targets

    def read(self, joints: Array, values: Array) -> Array:
        return values


class JointDeltas(ActionSpace):
    """Changes in radians, from where the joints are now."""

    def __init__(self, solver: HandSolver, joints: tuple[str, ...], ranges: Array):
        self.names = tuple(f"{name}.delta" for name in joints)
        self.low, self.high = np.full(len(joints), -LARGEST_CHANGE), np.full(len(joints), LARGEST_CHANGE)

    def write(self, joints: Array, targets: Array) -> Array:
        return targets - joints

    def read(self, joints: Array, values: Array) -> Array:
        return joints + values


class HandDeltas(ActionSpace):
    """Changes of the hand's pose from where it is now: metres along, then radians about, the world's x, y and z."""

    def __init__(self, solver: HandSolver, joints: tuple[str, ...], ranges: Array):
        self._solver = solver
        self.names = tuple(f"hand.{value}.delta" for value in ("x", "y", "z", "roll", "pitch", "yaw"))
        self.high = np.array([LARGEST_SHIFT] * 3 + [LARGEST_TURN] * 3)
        self.low = -self.high

    def write(self, joints: Array, targets: Array) -> Array:
        (here, turn), (there, turned) = self._solver.pose(joints), self._solver.pose(targets)
        return np.concatenate([there - here, _rotation_vector(turned @ turn.T)])

    def read(self, joints: Array, values: Array) -> Array:
        here, turn = self._solver.pose(joints)
        x, y, z = (here + values[:3]).tolist()
        return joints + self._solver.step(joints, (x, y, z), _rotation_matrix(values[3:]) @ turn)


ACTION_SPACES: dict[str, Callable[[HandSolver, tuple[str, ...], Array], ActionSpace]] = {
    "joint-target": JointTargets,
    "joint-delta": JointDeltas,
    "ee-delta": HandDeltas,
}
"""The action spaces, by the name that a user writes."""


def find_action_space(name: str) -> Callable[[HandSolver, tuple[str, ...], Array], ActionSpace]:
    """The action space of that name. Raises UnknownName, which lists them."""
    if name not in ACTION_SPACES:
        raise UnknownName("action space", name, ACTION_SPACES)
    return ACTION_SPACES[name]


def _rotation_vector(matrix: Array) -> Array:
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(matrix).as_rotvec()


def _rotation_matrix(vector: Array) -> Array:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(vector).as_matrix()
