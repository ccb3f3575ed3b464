"""What the catalogue says of the experts, measured again: `python -m headway_envs.metaworld.measuring [TASK ...]`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from headway.episodes import Truth
from headway_envs.metaworld.catalogue import METAWORLD_TASKS, find_metaworld_task
from headway_envs.metaworld.recorder import MetaWorldRecorder

LAYOUTS = range(50)
"""The seeds that the catalogue's numbers come from."""


@dataclass(frozen=True)
class MeasuredTask:
    """How Meta-World's expert does a task, and how well true progress follows it.

    Attributes:
        expert: in how many of how many layouts it succeeded.
        proportions: of its stages, rounded to 0.01; sum to 1. NaN when it never succeeded.
        steps: median until the task is done.
        correlation: median and least rank correlation of true progress with time until the task is done, over the
            successful episodes; 1 where progress never falls or stalls.
        before: median progress one step before the task is done.
        drop: median of the deepest fall of progress.
    """

    expert: tuple[int, int]
    proportions: tuple[float, ...]
    steps: float
    correlation: tuple[float, float]
    before: float
    drop: float


def measure_task(task_id: str, seeds: Sequence[int] = LAYOUTS) -> MeasuredTask:
    """Record the expert in the layouts of these seeds, undisturbed and without frames, and measure it.

    Raises UnknownName for an unknown task, Unsupported where Meta-World is not installed.
    """
    recorder = MetaWorldRecorder(task_id, cameras=(), disturbance=0.0)
    truths = [recorder.record(seed).truth for seed in seeds]
    recorder.close()
    succeeded = [truth for truth in truths if truth.succeeded]
    if not succeeded:
        nan = float("nan")
        stages = len(recorder.task.stage_names)
        return MeasuredTask((0, len(truths)), (nan,) * stages, nan, (nan, nan), nan, nan)
    rising = [truth.progress[: _done(truth) + 1] for truth in succeeded]
    correlations = [float(spearmanr(values, np.arange(len(values))).statistic) for values in rising]
    return MeasuredTask(
        expert=(len(succeeded), len(truths)),
        proportions=measure_proportions(succeeded),
        steps=float(np.median([len(values) - 1 for values in rising])),
        correlation=(float(np.median(correlations)), min(correlations)),
        before=float(np.median([values[-2] for values in rising])),
        drop=float(np.median([np.max(np.maximum.accumulate(values) - values) for values in rising])),
    )


def measure_proportions(truths: Sequence[Truth]) -> tuple[float, ...]:
    """Share of each stage, from the medians of their durations in successful episodes; rounded to 0.01, sum 1."""
    stages = len(truths[0].stage_names)
    durations = [np.bincount(truth.stage[: _done(truth)], minlength=stages) for truth in truths]
    medians = np.median(durations, axis=0)
    shares = np.round(medians / medians.sum(), 2)
    shares[np.argmax(shares)] += 1 - shares.sum()
    return tuple(float(share) for share in np.round(shares, 2))


def _done(truth: Truth) -> int:
    """The frame at which the task is done for the first time."""
    return int(np.flatnonzero(truth.success)[0])


def main() -> None:
    """Print one line a task."""
    for task_id in sys.argv[1:] or METAWORLD_TASKS:
        task, measured = find_metaworld_task(task_id), measure_task(task_id)
        print(
            f"{task_id:36} expert {measured.expert} {measured.proportions} steps {measured.steps:.0f} "
            f"correlation {measured.correlation[0]:.3f} least {measured.correlation[1]:.2f} "
            f"before {measured.before:.3f} drop {measured.drop:.3f}"
            + (
                ""
                if (task.expert, task.proportions) == (measured.expert, measured.proportions)
                else "  (not as listed)"
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
