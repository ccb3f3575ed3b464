"""Simulated tasks with known truth.

Importing this registers them with Gymnasium: `headway/<Task>-v0` with the arm, `headway/<Task>Gripper-v0` with the
flying gripper, which steps faster; Meta-World's as `headway/Metaworld<Task>-v0`.
"""

from gymnasium.envs.registration import register

from headway_envs.metaworld import register_environments
from headway_envs.robots import ROBOTS
from headway_envs.tasks import TASKS

EPISODE_SECONDS = 20
"""After which an episode is truncated: about twice what an expert takes."""

for _id in TASKS:
    for _robot, _suffix in (("arm", ""), ("gripper", "Gripper")):
        register(
            id=f"headway/{_id.title().replace('-', '')}{_suffix}-v0",
            entry_point="headway_envs.gym_env:HeadwayEnv",
            kwargs={"task_id": _id, "robot": _robot},
            max_episode_steps=EPISODE_SECONDS * ROBOTS[_robot].fps,
        )

register_environments()
