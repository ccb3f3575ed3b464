"""Whether an estimator listens to the instruction: every task's videos under every task's text."""

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue


def confusion_matrix(final_progress: Array, video_task: Array) -> Array:
    """Mean final progress of the videos of each task under the text of each task.

    The reward confusion matrix of ReWiND and of RoboMeter, here with the mean of an episode's last frames as its final
    progress (see `headway.signals.summary.final`) instead of the last frame alone. It should be high on the diagonal
    and low elsewhere; give it videos that succeed.

    Args:
        final_progress: (episodes, tasks), of each episode under the text of each task; NaN where it is not known.
        video_task: int (episodes,), the task that each episode shows.

    Returns:
        float64 (video task, text task); NaN where nothing is known.
    """
    final_progress, video_task = np.asarray(final_progress, float), np.asarray(video_task, int)
    if final_progress.ndim != 2 or video_task.shape != final_progress.shape[:1]:
        raise InvalidValue(
            f"final progress must be (episodes, tasks) and tasks (episodes,), got {final_progress.shape} and "
            f"{video_task.shape}"
        )
    tasks = final_progress.shape[1]
    if video_task.size and (video_task.min() < 0 or video_task.max() >= tasks):
        raise InvalidValue(f"the videos' tasks must lie in 0 to {tasks - 1}, the texts that were asked about")
    shows = (video_task[:, None] == np.arange(tasks)).astype(float)
    known = ~np.isnan(final_progress)
    total, count = shows.T @ np.where(known, final_progress, 0), shows.T @ known
    return np.divide(total, count, out=np.full((tasks, tasks), np.nan), where=count > 0)


def confusion_margin(matrix: Array) -> float:
    """Mean of the diagonal less mean of everything else (RoboMeter), in [-1, 1]; 0 for an estimator deaf to text.

    NaN with fewer than two tasks or a cell that is NaN: over some of the cells it would compare unlike tasks.
    """
    matrix = np.asarray(matrix, float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InvalidValue(f"a confusion matrix must be (video task, text task), got {matrix.shape}")
    if len(matrix) < 2:
        return float("nan")
    same = np.eye(len(matrix), dtype=bool)
    return float(matrix[same].mean() - matrix[~same].mean())
