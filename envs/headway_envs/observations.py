"""What a policy sees of a situation, the same in recordings and in the environments."""

import numpy as np

from headway.episodes import Array
from headway_envs.tasks.base import Situation, Task


def proprioception(situation: Situation) -> Array:
    """float32 (4,): the hand's x, y, z and the opening between its fingers, metres."""
    return np.array([*situation.hand, situation.opening], dtype=np.float32)


def objects(task: Task, situation: Situation) -> Array:
    """float32 (dim,): x, y, z of each cube, then the drawer's travel where there is one, metres."""
    places = [value for cube in situation.cubes for value in cube]
    return np.array([*places, situation.drawer] if task.has_drawer else places, dtype=np.float32)
