"""Episodes judged in a few classes: RoboReward's five marks, SARM's three kinds of rollout."""

from collections.abc import Sequence

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.metrics.ragged import Curves, per_episode

# Half-way between what the marks 1 to 5 stand for, (mark - 1) / 4.
FIVE_BIN_EDGES = (0.125, 0.375, 0.625, 0.875)

# What `rollout_class` numbers.
ROLLOUT_CLASSES = ("failure", "partial success", "success")


def five_bins(progress: Array, edges: Sequence[float] = FIVE_BIN_EDGES) -> Array:
    """RoboReward's mark for final progress (arXiv 2601.00675): 1 none, 2 minimal, 3 partial, 4 near, 5 perfect.

    The paper maps marks to progress by (mark - 1) / 4 and not back. The default rounds to the nearest mark, as
    RoboMeter's evaluation does; on an edge we go up, where Python's `round` there goes to the even of the two.

    Args:
        progress: (episodes,) in [0, 1].
        edges: rising: the mark is 1 and how many of these are reached.

    Returns:
        float64 (episodes,), NaN where progress is.
    """
    if len(edges) != 4 or (np.diff(edges) <= 0).any():
        raise InvalidValue(f"five marks need four rising edges, got {tuple(edges)}")
    progress = np.asarray(progress, float)
    return np.where(np.isnan(progress), np.nan, 1.0 + np.searchsorted(edges, progress, side="right"))


def five_bin_mae(progress: Array, marks: Array, edges: Sequence[float] = FIVE_BIN_EDGES) -> float:
    """RoboReward's error: mean |mark of the final progress - true mark| over episodes, in [0, 4].

    RoboRewardBench takes the mean of its sub-datasets' errors; for that call it for each. Always tell the edges.

    Args:
        progress: final progress (episodes,), NaN where there is none: such an episode is left out.
        marks: true marks (episodes,), 1 to 5; of true progress `five_bins(progress)`. NaN: left out.
        edges: see `five_bins`.

    Raises InvalidValue when a mark is none.
    """
    ours, marks = five_bins(progress, edges), np.asarray(marks, float)
    if ours.shape != marks.shape:
        raise InvalidValue(f"{ours.shape} final values but {marks.shape} marks; needs one of each an episode")
    if not np.isin(marks[~np.isnan(marks)], (1, 2, 3, 4, 5)).all():
        raise InvalidValue("RoboReward's marks are the whole numbers 1 to 5")
    off = np.abs(ours - marks)
    off = off[~np.isnan(off)]
    return float(off.mean()) if off.size else float("nan")


def rollout_class(curves: Curves) -> Array:
    """SARM's class of each rollout by its progress curve (arXiv 2509.25358, as Robo-Dopamine quotes it, eq. 58).

    Success when the last frame's progress is above 0.8 and the mean of the last third above 0.6; else partial success
    when the mean of the whole is at least 0.4; else failure. The last third is the last ceil(T / 3) frames.

    Returns:
        float64 (episodes,): a place in ROLLOUT_CLASSES, NaN for an episode without frames or with a NaN.
    """
    return per_episode(_class_of, curves)


def class_matrix(estimated: Array, true: Array) -> Array:
    """How often each true class got each estimated one: int64 (true class, estimated class); NaN is left out.

    True classes are what a person says of the rollout, or `rollout_class` of true progress. The share of the
    diagonal is SARM's classification accuracy.
    """
    estimated, true = np.asarray(estimated, float), np.asarray(true, float)
    known = ~(np.isnan(estimated) | np.isnan(true))
    classes = len(ROLLOUT_CLASSES)
    both = (true[known] * classes + estimated[known]).astype(np.int64)
    return np.bincount(both, minlength=classes * classes).reshape(classes, classes)


def _class_of(values: Array) -> Array:
    third = -(-values.shape[1] // 3)
    success = (values[:, -1] > 0.8) & (values[:, -third:].mean(axis=1) > 0.6)
    return np.where(success, 2.0, np.where(values.mean(axis=1) >= 0.4, 1.0, 0.0))
