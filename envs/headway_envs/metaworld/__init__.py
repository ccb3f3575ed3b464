"""Meta-World's 50 tasks (Yu et al., 2019, arXiv:1910.10897) with true progress, upright frames and random layouts.

Importing this, listing the tasks and registering them needs no Meta-World; using one does.
"""

from gymnasium.envs.registration import register

from headway_envs.metaworld.catalogue import METAWORLD_TASKS

MAX_EPISODE_STEPS = 500
"""Meta-World's own horizon."""


def environment_id(task_id: str) -> str:
    """The Gymnasium id of a task: `headway/MetaworldDrawerOpen-v0` for `metaworld/drawer-open`."""
    return f"headway/{task_id.title().replace('/', '').replace('-', '')}-v0"


def register_environments() -> None:
    """Make the tasks known to Gymnasium."""
    for task_id in METAWORLD_TASKS:
        register(
            id=environment_id(task_id),
            entry_point="headway_envs.metaworld.gym_env:MetaWorldEnv",
            kwargs={"task_id": task_id},
            max_episode_steps=MAX_EPISODE_STEPS,
        )
