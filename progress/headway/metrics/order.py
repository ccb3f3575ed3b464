"""Order within an episode and between episodes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from headway.episodes import Array
from headway.errors import InvalidValue


def value_order_correlation(values: Array) -> float:
    """Spearman correlation of (time,) values with time, ties averaged (GVL, arXiv 2411.04549); NaN when constant.

    A clock scores 1 on every episode, so this says nothing alone.
    """
    if len(values) < 2 or np.isnan(values).any() or np.ptp(values) == 0:
        return float("nan")
    return float(stats.spearmanr(np.arange(len(values)), values).statistic)


@dataclass(frozen=True)
class OrderSummary:
    """Mean value-order correlation over episodes some of which a model refused to judge.

    Papers differ in what such an episode counts: GVL says -1, OpenGVL 0. Which one is meant has to be said, so all
    are told. It says nothing of success: an episode that rises and then stalls half-way keeps a high correlation.

    Attributes:
        known: over the episodes that have one.
        refused_as_zero: the refused ones count as 0.
        refused_as_minus_one: the refused ones count as -1.
        refused: share of the episodes without any value.
        undefined: share of the episodes whose values are all alike; they count nowhere.
    """

    known: float
    refused_as_zero: float
    refused_as_minus_one: float
    refused: float
    undefined: float


def summarise_order(curves: Sequence[Array]) -> OrderSummary:
    """Of values (time,) each, at the frames that were looked at; NaN where a frame has none.

    An episode with at least two known values has a correlation, over those.
    """
    if not curves:
        raise InvalidValue("an order correlation needs at least one episode")
    known = [np.asarray(values, float)[~np.isnan(values)] for values in curves]
    refused = sum(len(values) < 2 for values in known)
    defined = [value_order_correlation(values) for values in known if len(values) >= 2 and np.ptp(values) > 0]
    total, counted = float(np.sum(defined)), len(defined) + refused

    def mean(value: float, number: int) -> float:
        return value / number if number else float("nan")

    return OrderSummary(
        mean(total, len(defined)),
        mean(total, counted),
        mean(total - refused, counted),
        refused / len(curves),
        (len(curves) - counted) / len(curves),
    )


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
