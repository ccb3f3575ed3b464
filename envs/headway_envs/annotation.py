"""The truth of an episode from its situations, and the marks that a careful annotator would make of it."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from headway.episodes import Stage, Truth
from headway_envs.tasks.base import Layout, Situation, Task, progress

SHORTEST_MARK = 0.3
"""Seconds: an annotator marks nothing shorter."""


def truth(task: Task, layout: Layout, situations: Sequence[Situation]) -> Truth:
    """The truth of each situation of an episode that started from `layout`."""
    return Truth(
        progress=np.array([progress(task, s, layout) for s in situations], dtype=np.float32),
        stage=np.array([task.stage(s) for s in situations], dtype=np.int64),
        success=np.array([task.success(s) for s in situations], dtype=bool),
        stage_names=task.stage_names,
        proportions=task.proportions,
    )


def annotated_stages(truth: Truth, fps: float) -> tuple[Stage, ...]:
    """What a careful annotator would mark: the true stages, without any stretch shorter than 0.3 s.

    The last stage ends at the frame at which the task is done, or with an episode that fails.
    """
    shortest_mark = round(SHORTEST_MARK * fps)
    undone = np.flatnonzero(~truth.success)
    worked = len(truth.stage)
    if truth.succeeded:
        worked = int(undone[-1]) + 1 if len(undone) else 1
    runs = [(stage, len(list(group))) for stage, group in groupby(truth.stage[:worked].tolist())]
    while len(runs) > 1 and min(length for _, length in runs) < shortest_mark:
        shortest = min(range(len(runs)), key=lambda number: runs[number][1])
        neighbour = shortest - 1 if shortest else 1
        runs[neighbour] = (runs[neighbour][0], runs[neighbour][1] + runs[shortest][1])
        del runs[shortest]
        merged = [(stage, list(group)) for stage, group in groupby(runs, key=lambda run: run[0])]
        runs = [(stage, sum(length for _, length in group)) for stage, group in merged]
    ends = np.cumsum([length for _, length in runs]).tolist()
    return tuple(
        Stage(truth.stage_names[stage], end - length, end) for (stage, length), end in zip(runs, ends, strict=True)
    )
