"""The tasks there are, by id."""

from headway.errors import UnknownName
from headway_envs.tasks.base import Task
from headway_envs.tasks.stack_three import StackThree
from headway_envs.tasks.tidy_drawer import TidyDrawer

TASKS: dict[str, Task] = {task.id: task for task in (TidyDrawer(), StackThree())}


def find_task(task_id: str) -> Task:
    """The task with that id. Raises UnknownName, which lists the ids."""
    if task_id not in TASKS:
        raise UnknownName("task", task_id, TASKS)
    return TASKS[task_id]
