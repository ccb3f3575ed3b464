"""Order within an episode: whether values rise with time.

Figures of several episodes take curves (time,), one an episode, and give float64 (episodes,), NaN where a figure is not
defined: an episode without frames or with a NaN, and what each says. A clock is perfect in every one of them on every
episode, so none says anything alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.metrics.counting import inversions, key_type, tie_order
from headway.metrics.ragged import Curves, known_frames, lengths_of, per_episode


def value_order_correlation(values: Array) -> float:
    """`value_order_correlations` of one episode's values (time,)."""
    return float(value_order_correlations([values])[0])


def value_order_correlations(curves: Curves) -> Array:
    """Spearman's correlation of each episode's values with time, ties averaged (GVL, arXiv 2411.04549).

    NaN for a constant and below two frames. The correlation of sorted places with time, which some use, is another
    figure: it settles ties in order of time, and gives a constant 1.
    """
    return per_episode(_spearman, curves)


def kendall_tau_a(curves: Curves) -> Array:
    """Kendall's tau-a of each episode's values with time: (rising - falling pairs) / all pairs; a tie is neither.

    0 for a constant, NaN below two frames. RoboMeter's `compute_kendall` is this one, though it says tau-b.
    """
    return per_episode(lambda values: _pairs(values)[0] / _all_pairs(values), curves)


def kendall_tau_b(curves: Curves) -> Array:
    """Kendall's tau-b of each episode's values with time, as scipy's `kendalltau` gives.

    (rising - falling pairs) / sqrt(all pairs * pairs without ties): time itself has no ties. NaN for a constant and
    below two frames.
    """
    return per_episode(_tau_b, curves)


def monotonicity(curves: Curves) -> Array:
    """Share of the steps from one frame to the next that rise. A step that stays level does not; NaN without a step."""
    return per_episode(lambda values: _over((np.diff(values) > 0).sum(axis=1), values.shape[1] - 1), curves)


def max_drawdown(curves: Curves) -> Array:
    """How far each episode falls at most below the highest value before it: at least 0, in units of the values."""
    return per_episode(lambda values: (np.maximum.accumulate(values, axis=1) - values).max(axis=1), curves)


@dataclass(frozen=True)
class Bumps:
    """Falls of each episode, all float64 (episodes,); NaN below two frames.

    Attributes:
        count: unbroken runs of falling steps. A level step ends a run.
        steps: falling steps.
        depth: sum of all falls, in units of the values.
    """

    count: Array
    steps: Array
    depth: Array


def bumps(curves: Curves) -> Bumps:
    """How often and how far each episode falls back.

    VIP (arXiv 2210.00030, appendix G.6) counts the positive slopes of the distance to the goal: falls of progress.
    """
    return Bumps(*per_episode(_bumps, curves, columns=(3,)).T)


def _spearman(values: Array) -> Array:
    time = values.shape[1]
    order, new = tie_order(values)
    place = np.arange(time, dtype=np.int32)
    first = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    ends = np.concatenate([new[:, 1:], np.ones((len(new), 1), bool)], axis=1)
    last = np.minimum.accumulate(np.where(ends, place, time - 1)[:, ::-1], axis=1)[:, ::-1]
    # twice the distance from the middle, which is whole: sums of whole numbers are exact
    rank, frame = (first + last) - (time - 1), 2 * order - (time - 1)
    both = np.einsum("et,et->e", rank, frame, dtype=float)
    spread = np.einsum("et,et->e", rank, rank, dtype=float) * np.square(2.0 * place - (time - 1)).sum()
    return np.clip(_over(both, np.sqrt(spread)), -1, 1)


def _pairs(values: Array) -> tuple[Array, Array]:
    """Of (episodes, time): rising less falling pairs, and pairs that are tied; both int64 (episodes,)."""
    time = values.shape[1]
    order, new = tie_order(values)
    kind, shift = key_type(time)
    # the frames in rising order of value, ties in order of time: what is out of order then is a falling pair
    keys = ((np.cumsum(new, axis=1, dtype=kind) - 1) << shift) | order.astype(kind)
    keys.sort(axis=1)
    falling = inversions(keys & ((1 << shift) - 1))
    place = np.arange(time, dtype=np.int32)
    tied = (place - np.maximum.accumulate(np.where(new, place, 0), axis=1)).sum(axis=1, dtype=np.int64)
    return time * (time - 1) // 2 - tied - 2 * falling, tied


def _all_pairs(values: Array) -> float:
    time = values.shape[1]
    return time * (time - 1) / 2 or float("nan")


def _tau_b(values: Array) -> Array:
    risen, tied = _pairs(values)
    pairs = _all_pairs(values)
    return _over(risen, np.sqrt(pairs * (pairs - tied)))


def _bumps(values: Array) -> Array:
    if values.shape[1] < 2:
        return np.full((len(values), 3), np.nan)
    steps = np.diff(values)
    falls = steps < 0
    count = falls[:, 0] + (falls[:, 1:] & ~falls[:, :-1]).sum(axis=1)
    return np.stack([count, falls.sum(axis=1), -np.minimum(steps, 0).sum(axis=1)], axis=1)


def _over(part: Array, whole: Array | float) -> Array:
    """A quotient, NaN where it is over 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


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
    if not len(curves):
        raise InvalidValue("an order correlation needs at least one episode")
    known = known_frames(curves)
    refused = int((lengths_of(known) < 2).sum())
    orders = value_order_correlations(known)
    defined = orders[~np.isnan(orders)]
    total, counted = float(defined.sum()), len(defined) + refused

    def mean(value: float, number: int) -> float:
        return value / number if number else float("nan")

    return OrderSummary(
        mean(total, len(defined)),
        mean(total, counted),
        mean(total - refused, counted),
        refused / len(curves),
        (len(curves) - counted) / len(curves),
    )
