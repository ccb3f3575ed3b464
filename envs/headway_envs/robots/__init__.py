"""The robots there are, by id."""

from headway.errors import InvalidValue, UnknownName
from headway_envs.rendering import mujoco
from headway_envs.robots.arm import Arm
from headway_envs.robots.base import Robot
from headway_envs.robots.gripper import Gripper

DEFAULT_ROBOT = "arm"

ROBOTS: dict[str, type[Arm] | type[Gripper]] = {"arm": Arm, "gripper": Gripper}


def find_robot(robot_id: str) -> type[Arm] | type[Gripper]:
    """The robot of that id. Raises UnknownName, which lists the ids."""
    if robot_id not in ROBOTS:
        raise UnknownName("robot", robot_id, ROBOTS)
    return ROBOTS[robot_id]


def make_robot(robot_id: str, model: mujoco.MjModel, action_space: str | None = None) -> Robot:
    """That robot for a model, with its usual action space when that is None.

    Raises UnknownName for an unknown robot or action space, InvalidValue when the robot has only the one,
    Unsupported where it needs what is not installed.
    """
    robot = find_robot(robot_id)
    if action_space is None:
        return robot(model)
    if robot is not Arm:
        raise InvalidValue(f"the robot {robot_id!r} has no choice of action spaces, got {action_space!r}; leave it out")
    return Arm(model, action_space)
