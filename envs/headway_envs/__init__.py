"""Simulated tasks with known truth. Importing this registers them with Gymnasium as `headway/<Task>-v0`."""

from gymnasium.envs.registration import register

from headway_envs.tasks import TASKS

MAX_EPISODE_STEPS = 400
"""20 s, about twice what an expert takes."""

for _id in TASKS:
    register(
        id=f"headway/{_id.title().replace('-', '')}-v0",
        entry_point="headway_envs.gym_env:HeadwayEnv",
        kwargs={"task_id": _id},
        max_episode_steps=MAX_EPISODE_STEPS,
    )
