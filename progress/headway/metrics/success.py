"""How well a score of each episode, or a probability, tells the episodes that succeeded.

Episodes whose score is NaN are left out of every figure.
"""

import numpy as np
from scipy import stats

from headway.episodes import Array
from headway.errors import InvalidValue

BINS = 15


def auroc(score: Array, succeeded: Array) -> float:
    """Area under the ROC curve of (episodes,) scores, ties counted half; NaN when all or none succeeded.

    It is Mann and Whitney's U over the number of pairs (Hanley and McNeil 1982).
    """
    score, succeeded = _known(score, succeeded)
    good, bad = int(succeeded.sum()), int((~succeeded).sum())
    if not good or not bad:
        return float("nan")
    above = float(stats.rankdata(score)[succeeded].sum()) - good * (good + 1) / 2
    return above / (good * bad)


def average_precision(score: Array, succeeded: Array) -> float:
    """Area under the precision-recall curve as a sum of steps: sum of (R_n - R_{n-1}) P_n over the distinct scores.

    Without interpolation, which would flatter (Davis and Goadrich 2006). Episodes of equal score come in together, so
    their order does not matter; a constant gets the share of successes. NaN when none succeeded.
    """
    score, succeeded = _known(score, succeeded)
    if not succeeded.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.r_[np.diff(score[order]) != 0, True]
    found = np.cumsum(succeeded[order])[last_of_tie]
    taken = np.flatnonzero(last_of_tie) + 1
    gained = np.diff(found, prepend=0) / succeeded.sum()
    return float((gained * found / taken).sum())


def f1(score: Array, succeeded: Array, threshold: float) -> float:
    """2 TP / (2 TP + FP + FN), where a score STRICTLY above the threshold says success; NaN when none is or is said."""
    score, succeeded = _known(score, succeeded)
    said = score > threshold
    right, said_or_true = int((said & succeeded).sum()), int(said.sum()) + int(succeeded.sum())
    return 2 * right / said_or_true if said_or_true else float("nan")


def brier(probability: Array, succeeded: Array) -> float:
    """Mean of (probability - outcome)^2 over episodes (Brier 1950): 0 is best, 0.25 for a constant 0.5.

    Raises InvalidValue when a probability lies outside [0, 1].
    """
    probability, succeeded = _probabilities(probability, succeeded)
    return float(np.square(probability - succeeded).mean()) if probability.size else float("nan")


def expected_calibration_error(probability: Array, succeeded: Array, bins: int = BINS) -> float:
    """Sum over bins of the bin's share of episodes times |mean probability - share of successes| within it.

    Bins are of equal width over [0, 1], closed below and open above but for the last one, which holds 1 (Naeini et
    al. 2015; the binary form, on the probability of success and not on the confidence in the likelier outcome). With a
    few episodes a bin it is above 0 for a perfect probability too, so compare it at equal numbers only.

    Raises InvalidValue when a probability lies outside [0, 1].
    """
    probability, succeeded = _probabilities(probability, succeeded)
    if not probability.size:
        return float("nan")
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    bin_of = np.searchsorted(edges, probability, side="right")
    gaps = np.bincount(bin_of, probability - succeeded, minlength=bins)
    return float(np.abs(gaps).sum() / len(probability))


def _known(score: Array, succeeded: Array) -> tuple[Array, Array]:
    score, succeeded = np.asarray(score, float), np.asarray(succeeded, bool)
    if score.shape != succeeded.shape:
        raise InvalidValue(f"{score.shape} scores but {succeeded.shape} outcomes; needs one of each an episode")
    known = ~np.isnan(score)
    return score[known], succeeded[known]


def _probabilities(probability: Array, succeeded: Array) -> tuple[Array, Array]:
    probability, succeeded = _known(probability, succeeded)
    if probability.size and (probability.min() < 0 or probability.max() > 1):
        raise InvalidValue(f"probabilities must lie in [0, 1], got {probability.min():.3g} to {probability.max():.3g}")
    return probability, succeeded
