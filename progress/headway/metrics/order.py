"""Order within an episode and between episodes."""

import numpy as np
from scipy import stats

from headway.episodes import Array


def value_order_correlation(values: Array) -> float:
    """Spearman correlation of (time,) values with time, ties averaged (GVL, arXiv 2411.04549); NaN when constant.

    A clock scores 1 on every episode, so this says nothing alone.
    """
    if len(values) < 2 or np.isnan(values).any() or np.ptp(values) == 0:
        return float("nan")
    return float(stats.spearmanr(np.arange(len(values)), values).statistic)


def ordered_pair_tau(predicted: Array, true: Array, apart: float = 0.0) -> float:
    """Kendall's tau over the pairs whose true values differ: (concordant - discordant) / ordered pairs, in [-1, 1].

    Ties in the truth cap tau-b below 1 even for a perfect prediction; here they do not count. A tie in the
    prediction counts as neither. NaN when no two true values differ.

    Args:
        predicted: (values,).
        true: (values,).
        apart: only pairs whose true values differ by more than this count.
    """
    predicted, true = np.asarray(predicted, float), np.asarray(true, float)
    above = np.triu_indices(len(true), k=1)
    true_differences = (true[:, None] - true[None, :])[above]
    signs = np.sign(predicted[:, None] - predicted[None, :])[above]
    ordered = np.abs(true_differences) > apart
    if not ordered.any():
        return float("nan")
    return float((signs * np.sign(true_differences))[ordered].mean())
