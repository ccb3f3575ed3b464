"""Whether an estimator puts episodes, and the policies that made them, in the right order.

Pairs in which either value is NaN are left out of every figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.metrics.counting import below_in_prefix
from headway.metrics.intervals import DRAWS, Estimate, percentiles, resampled_means

# up to so many values it is quicker to look at each pair, and a bootstrap does so thousands of times
DIRECT = 128


def ordered_pair_tau(predicted: Array, true: Array, apart: float = 0.0) -> float:
    """Kendall's tau over the pairs whose true values differ: (concordant - discordant) / ordered pairs, in [-1, 1].

    Ties in the truth cap tau-b below 1 even for a perfect prediction; here they do not count. A tie in the
    prediction counts as neither. NaN when no two true values differ. (It is Somers' d, 1962, of the prediction given
    the truth.) O(n log n).

    Args:
        predicted: (values,).
        true: (values,).
        apart: only pairs whose true values differ by more than this count.
    """
    predicted, true = _both_known(predicted, true)
    if len(true) <= DIRECT:
        return _tau_of_pairs(predicted, true, apart)
    order = np.argsort(true, kind="stable")
    true_values, first, times = np.unique(true[order], return_index=True, return_counts=True)
    if not len(true_values):
        return float("nan")
    # of the values in rising order of truth, as many as lie far enough below each
    below = np.repeat(np.r_[first, len(true)][_far_below(true_values, apart)], times)
    pairs = int(below.sum())
    if not pairs:
        return float("nan")
    rank = np.unique(predicted[order], return_inverse=True)[1]
    concordant = int(below_in_prefix(rank, below, rank).sum())
    discordant = pairs - int(below_in_prefix(rank, below, rank + 1).sum())
    return (concordant - discordant) / pairs


def _tau_of_pairs(predicted: Array, true: Array, apart: float) -> float:
    """The same by looking at each pair."""
    ordered = true[:, None] - true > apart
    if not ordered.any():
        return float("nan")
    signs = np.sign(predicted[:, None] - predicted)
    return float(signs[ordered].sum() / ordered.sum())


def pairwise_accuracy(predicted: Array, true: Array, apart: float = 0.0) -> float:
    """Share of the pairs whose true values differ by more than `apart` that are put in the right order.

    A tie in the prediction counts half, so that a constant gets 0.5. NaN when there is no such pair. RoboMeter
    (arXiv 2603.02115) calls it pairwise ranking accuracy; it is (1 + `ordered_pair_tau`) / 2.
    """
    return (1 + ordered_pair_tau(predicted, true, apart)) / 2


def tau_b(predicted: Array, true: Array) -> float:
    """Kendall's tau-b of values (values,), by scipy: below 1 wherever the truth has ties that the prediction has not.

    NaN when either is constant.
    """
    predicted, true = _both_known(predicted, true)
    return float(stats.kendalltau(predicted, true).statistic) if len(true) > 1 else float("nan")


def preference_accuracy(better: Array, worse: Array) -> float:
    """Share of pairs (pairs,) in which the better episode has the higher value; a tie counts half; NaN without pairs.

    (Preference accuracy of RoboMeter, arXiv 2603.02115, and of reward models since Christiano et al. 2017.)
    """
    better, worse = _both_known(better, worse)
    return float(((better > worse) + (better == worse) / 2).mean()) if len(better) else float("nan")


def success_margin(final: Array, succeeded: Array) -> float:
    """Mean final progress (episodes,) of the successes less that of the failures, in [-1, 1]; NaN without both.

    It says nothing of spread: read it beside AUROC.
    """
    final, succeeded = np.asarray(final, float), np.asarray(succeeded, bool)
    if final.shape != succeeded.shape:
        raise InvalidValue(f"{final.shape} final values but {succeeded.shape} outcomes; needs one of each an episode")
    good, bad = (final[which & ~np.isnan(final)] for which in (succeeded, ~succeeded))
    return float(good.mean() - bad.mean()) if good.size and bad.size else float("nan")


@dataclass(frozen=True)
class PolicyRanking:
    """Policies ranked by an estimate, held against how good they truly are. Intervals are over episodes.

    Attributes:
        policies: their names, in rising order of name.
        episodes: int (policies,), with both values known.
        predicted, true: float64 (policies,), each policy's means.
        tau_b: Kendall's tau-b of the means.
        pairwise: share of the pairs of policies whose true means differ that are in order, ties in prediction half.
        regret: true mean of the best policy less that of the policy that the estimate says is best.
    """

    policies: tuple[str, ...]
    episodes: Array
    predicted: Array
    true: Array
    tau_b: Estimate
    pairwise: Estimate
    regret: Estimate


def rank_policies(
    predicted: Array, true: Array, policy: Sequence[str] | Array, draws: int = DRAWS, seed: int = 0
) -> PolicyRanking:
    """Rank policies by the mean of what an estimator says of their episodes.

    The bootstrap draws episodes anew within each policy, a prediction with its truth; the policies stay. With few
    policies the interval is wide, and it says nothing of policies that were not among them. NaN below two policies.

    Args:
        predicted: (episodes,), say final progress.
        true: (episodes,), say the true success as 0 and 1.
        policy: (episodes,), the name of the policy that made each.
        draws: resamples.
        seed: of the resampling.
    """
    values = np.stack([np.asarray(predicted, float), np.asarray(true, float)], axis=-1)
    names = np.asarray(policy, dtype=str)
    if values.ndim != 2 or names.shape != values.shape[:1]:
        raise InvalidValue(f"{values.shape[:-1]} episodes but {names.shape} names of policies; needs one each")
    known = ~np.isnan(values).any(axis=1)
    values, names = values[known], names[known]
    rng = np.random.default_rng(seed)
    policies, number, episodes = np.unique(names, return_inverse=True, return_counts=True)
    means, drawn = np.zeros((len(policies), 2)), np.zeros((draws, len(policies), 2))
    for i in range(len(policies)):
        means[i] = values[number == i].mean(axis=0)
        drawn[:, i] = resampled_means(values[number == i], draws, rng)
    figures = _ranking_figures(means[None])[0]
    resampled = _ranking_figures(drawn)
    estimates = [percentiles(figures[i], resampled[:, i]) for i in range(3)]
    return PolicyRanking(tuple(policies.tolist()), episodes, means[:, 0], means[:, 1], *estimates)


def _ranking_figures(means: Array) -> Array:
    """Of means (draws, policies, 2), predicted and true: tau-b, pairwise accuracy and regret, (draws, 3)."""
    found = np.full((len(means), 3), np.nan)
    policies = means.shape[1]
    if policies < 2:
        return found
    total, said, truly = np.zeros((3, len(means)))
    for i in range(1, policies):
        ours, theirs = (np.sign(means[:, i:, k] - means[:, :-i, k]) for k in (0, 1))
        total += (ours * theirs).sum(axis=1)
        said += np.abs(ours).sum(axis=1)
        truly += np.abs(theirs).sum(axis=1)
    spread = np.sqrt(said * truly)
    np.divide(total, spread, out=found[:, 0], where=spread > 0)
    np.divide(total, truly, out=found[:, 1], where=truly > 0)
    found[:, 1] = (1 + found[:, 1]) / 2
    predicted, true = means[..., 0], means[..., 1]
    # of policies that are said to be equally good, any might be taken: the mean of theirs
    best = predicted == predicted.max(axis=1, keepdims=True)
    found[:, 2] = true.max(axis=1) - (true * best).sum(axis=1) / best.sum(axis=1)
    return found


def _far_below(values: Array, apart: float) -> Array:
    """For each of rising, distinct values: how many lie more than `apart` below it, by their difference as computed."""
    found = np.searchsorted(values, values - apart)
    last = len(values) - 1
    while (more := (found <= last) & (values - values[np.minimum(found, last)] > apart)).any():
        found += more
    while (fewer := (found > 0) & ~(values - values[np.maximum(found - 1, 0)] > apart)).any():
        found -= fewer
    return found


def _both_known(one: Array, other: Array) -> tuple[Array, Array]:
    one, other = np.asarray(one, float), np.asarray(other, float)
    if one.shape != other.shape or one.ndim != 1:
        raise InvalidValue(f"pairs need two arrays of equal length, got {one.shape} and {other.shape}")
    known = ~(np.isnan(one) | np.isnan(other))
    return one[known], other[known]
