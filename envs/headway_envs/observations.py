"""What a policy sees of a situation besides what the robot senses of itself, in recordings and in the environments.

It is privileged: only a simulator knows it.
"""

import numpy as np

from headway.episodes import Array
from headway_envs.tasks.base import Situation, Task


def environment_state(task: Task, situation: Situation) -> Array:
    """float32 (dim,): x, y, z of each thing and the travel of each sliding part, metres; then the count and the
    number of the goal where the task has them."""
    values = [value for place in situation.objects for value in place] + list(situation.travel)
    values += [situation.count] * task.counts + [situation.variant] * (task.variants > 1)
    return np.array(values, dtype=np.float32)


def environment_names(task: Task) -> tuple[str, ...]:
    """What those values are, in order."""
    places = tuple(f"{name}.{axis}" for name in task.objects for axis in "xyz")
    return places + task.slides + ("count",) * task.counts + ("goal",) * (task.variants > 1)
