"""True progress in Meta-World's tasks: a function of the simulator's state and the episode's first moment alone.

Every task is the same story: the hand reaches a thing, grasps it where it has to be grasped, and moves it until
Meta-World's own criterion is met. What is left of each part is measured in metres:

    reach   the hand's way to where it touches the thing
    grasp   what the fingers still have to close
    move    what Meta-World's criterion still misses, the climb over what is in between and the tool's way to what it
            acts on; should the thing be lost, also the hand's way back to it and the fingers' closing

    progress = P_{k-1} + a_k f,  f = 1 - left / left at the episode's first moment

The thing counts as moved, whether or not the hand is still there, once a fifth of its way is done.
"""

import numpy as np

from headway_envs.metaworld.simulator import Reading
from headway_envs.metaworld.task import MetaWorldTask

LOST = 0.035
"""Metres, beyond a task's slack, within which the hand has not lost a thing that moves: handles slip under it."""
FINGERS = 0.1
"""Metres between the fingers at an opening of 1."""
MOVED = 0.8
"""Share of the thing's way that is left when it counts as moved."""
ALMOST = 0.999
"""The most that an undone task can have."""
_FUNNEL = 0.03


class Scale:
    """The scale of one episode of `task` that starts with the reading `start`."""

    def __init__(self, task: MetaWorldTask, start: Reading):
        self._task = task
        self._hand = max(0.01, _hand_left(task, start))
        self._way = _way_left(task, start)
        self._fingers = max(0.01, FINGERS * (1 - (task.grip or 0.0)))

    def stage(self, now: Reading) -> int:
        """Index of the first stage that is not finished; of the last one when the task is done."""
        last = len(self._task.stage_names) - 1
        if now.success or _way_left(self._task, now) < MOVED * self._way:
            return last
        if _hand_left(self._task, now) > 0:
            return 0
        return last if _fingers_left(self._task, now) == 0 else last - 1

    def progress(self, now: Reading) -> float:
        """In [0, 1]; exactly 1 when the task is done, and only then."""
        if now.success:
            return 1.0
        stage = self.stage(now)
        before, share = sum(self._task.proportions[:stage]), self._task.proportions[stage]
        return min(before + share * min(1.0, max(0.0, self._fraction(stage, now))), ALMOST)

    def _fraction(self, stage: int, now: Reading) -> float:
        last = len(self._task.stage_names) - 1
        hand, fingers = _hand_left(self._task, now), _fingers_left(self._task, now)
        if stage == last:
            way, lost = _way_left(self._task, now), max(0.0, hand - LOST)
            # at most as much again: a thing that slides on by itself gets there without the hand
            return 1 - (way + min(way, lost + (fingers if lost else 0.0))) / self._way
        return 1 - hand / self._hand if stage == 0 else 1 - fingers / self._fingers


def _hand_left(task: MetaWorldTask, now: Reading) -> float:
    """The hand's way to where it touches the thing; 0 where there is nothing to touch."""
    if task.contact is None:
        return 0.0
    gap = now.hand - now.thing - task.contact
    if task.approach is None:
        return max(0.0, float(np.linalg.norm(gap)) - task.slack)
    across = float(np.linalg.norm(gap[:2]))
    share = min(1.0, max(0.0, across - _FUNNEL) / _FUNNEL)
    rise = max(0.0, share * task.approach - float(gap[2]))
    return max(0.0, float(np.hypot(across, rise + gap[2])) + rise - task.slack)


def _fingers_left(task: MetaWorldTask, now: Reading) -> float:
    """What the fingers still have to close; 0 where nothing is grasped."""
    return 0.0 if task.grip is None else FINGERS * max(0.0, now.opening - task.grip)


def _way_left(task: MetaWorldTask, now: Reading) -> float:
    """The thing's way, and its tool's."""
    return now.missing.metres + _climb_left(task, now) + _tool_left(task, now)


def _tool_left(task: MetaWorldTask, now: Reading) -> float:
    """A tool's way to where it touches what it acts on."""
    if task.tool is None:
        return 0.0
    return max(0.0, float(np.linalg.norm(now.thing - now.other - task.tool)) - task.slack)


def _climb_left(task: MetaWorldTask, now: Reading) -> float:
    """What the thing still has to rise to clear what is between it and its target; a funnel around the target."""
    if task.clearance is None:
        return 0.0
    moving, target = now.missing.moving, now.missing.target
    across = max(0.0, float(np.linalg.norm((moving - target)[:2])) - task.tolerance)
    share = min(1.0, across / _FUNNEL)
    needed = float(target[2]) + share * (task.clearance - float(target[2]))
    return share * max(0.0, needed - float(moving[2]))
