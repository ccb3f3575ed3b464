"""The tasks there are, by id."""

from headway.errors import UnknownName
from headway_envs.tasks.base import Task
from headway_envs.tasks.insert_peg import InsertPeg
from headway_envs.tasks.lift import Lift
from headway_envs.tasks.place_in_bin import PlaceInBin
from headway_envs.tasks.press_three_times import PressThreeTimes
from headway_envs.tasks.push_to_goal import PushToGoal
from headway_envs.tasks.sort_by_colour import SortByColour
from headway_envs.tasks.stack_three import StackThree
from headway_envs.tasks.tidy_drawer import TidyDrawer

TASKS: dict[str, Task] = {
    task.id: task
    for task in (
        Lift(),
        PlaceInBin(),
        StackThree(),
        TidyDrawer(),
        SortByColour(),
        PushToGoal(),
        InsertPeg(),
        PressThreeTimes(),
    )
}


def find_task(task_id: str) -> Task:
    """The task with that id. Raises UnknownName, which lists the ids."""
    if task_id not in TASKS:
        raise UnknownName("task", task_id, TASKS)
    return TASKS[task_id]
