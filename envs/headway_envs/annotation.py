"""The truth of an episode from its situations, and the marks that a careful annotator would make of it."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from headway.episodes import Stage, Truth
from headway_envs.tasks.base import Layout, Situation, Task, progress

SHORTEST_MARK = 0.3
"""Seconds: an annotator marks nothing shorter."""
OFF = 0.3
"""Seconds by which a hurried annotator's boundary is off, at most."""
MISSING = 0.05
"""Share of the marks that a hurried annotator leaves out."""


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


def hurried_stages(stages: Sequence[Stage], length: int, fps: float, rng: np.random.Generator) -> tuple[Stage, ...]:
    """The same marks as a person in a hurry would make them: each boundary off by up to 0.3 s, 5 % of marks missing.

    Args:
        stages: careful marks, each beginning where the one before ends.
        length: frames of the episode.
        fps: frames per second.
        rng: what is drawn from.
    """
    careful = np.array([stage.start for stage in stages[:1]] + [stage.end for stage in stages])
    off = np.rint(rng.uniform(-OFF, OFF, len(careful)) * fps).astype(int)
    # an episode begins where its video does
    hurried = np.maximum.accumulate((careful + np.where(careful == 0, 0, off)).clip(0, length))
    kept = rng.random(len(stages)) >= MISSING
    return tuple(
        Stage(stage.name, int(start), int(end))
        for stage, start, end, is_kept in zip(stages, hurried[:-1], hurried[1:], kept, strict=True)
        if is_kept and end > start
    )
