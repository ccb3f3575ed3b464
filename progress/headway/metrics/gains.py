"""Whether an estimator sees which frames move the task on: what weights and rewards are made of.

All figures are over the frames of all episodes together. An episode with a NaN is left out of each.
"""

from collections.abc import Sequence

import numpy as np

from headway.episodes import Array
from headway.metrics.pairs import pair_sums
from headway.signals.weights import KAPPA, LOOK_AHEAD, gains, rabc


def episode_gains(curves: Sequence[Array], look_ahead: int = LOOK_AHEAD) -> list[Array]:
    """Progress made over the next `look_ahead` frames, (time,) an episode; see `headway.signals.weights.gains`."""
    return [gains(values, np.zeros(len(values), int), look_ahead) for values in curves]


def episode_weights(gained: Sequence[Array]) -> list[Array]:
    """RA-BC weights (time,) an episode, from the mean and spread of the gains over all of them.

    An episode with a NaN gain does not enter these and gets NaN throughout.
    """
    whole = np.concatenate([np.full(len(g), np.nan) if np.isnan(g).any() else g for g in gained] or [np.zeros(0)])
    return np.split(rabc(whole), np.cumsum([len(g) for g in gained])[:-1]) if gained else []


def gain_correlation(estimated: Sequence[Array], true: Sequence[Array], look_ahead: int = LOOK_AHEAD) -> float:
    """Pearson's correlation of estimated with true gains over `look_ahead` frames; NaN when either is constant."""
    return pair_sums(episode_gains(estimated, look_ahead), episode_gains(true, look_ahead)).correlation()


def sign_counts(estimated: Array, true: Array) -> tuple[int, int]:
    """How many frames of one episode truly gain or lose more than 0.01, after on how many of them the estimate agrees.

    0.01 is RA-BC's own bound for progress. An estimated gain of 0 agrees with neither. Both counts are 0 with a NaN.
    """
    if np.isnan(estimated).any() or np.isnan(true).any():
        return 0, 0
    moves = np.abs(true) > KAPPA
    return int((np.sign(estimated) == np.sign(true))[moves].sum()), int(moves.sum())


def gain_sign(estimated: Sequence[Array], true: Sequence[Array], look_ahead: int = LOOK_AHEAD) -> float:
    """Share of the frames that truly gain or lose more than 0.01 at which the estimate goes the same way.

    A clock gets the share of these frames that gain, which is most of them: read it beside the clock's.
    """
    ours, theirs = episode_gains(estimated, look_ahead), episode_gains(true, look_ahead)
    return share([sign_counts(e, t) for e, t in zip(ours, theirs, strict=True)])


def weight_correlation(estimated: Sequence[Array], true: Sequence[Array], look_ahead: int = LOOK_AHEAD) -> float:
    """Pearson's correlation of RA-BC weights with those from true progress; NaN when either is constant."""
    ours, theirs = _both_weights(estimated, true, look_ahead)
    return pair_sums(ours, theirs).correlation()


def zero_weight_agreement(estimated: Sequence[Array], true: Sequence[Array], look_ahead: int = LOOK_AHEAD) -> float:
    """Of the frames that either the estimate or the truth gives no weight, the share to which both give none.

    (Jaccard's index.) Most frames have weight, so a share of all frames would flatter. NaN when neither has a zero.
    """
    ours, theirs = _both_weights(estimated, true, look_ahead)
    counts = [
        (int(((o == 0) & (t == 0)).sum()), int(((o == 0) | (t == 0)).sum())) for o, t in zip(ours, theirs, strict=True)
    ]
    return share(counts)


def share(counts: Sequence[tuple[int, int]] | Array) -> float:
    """The first of pairs of counts over the second, each summed over episodes; NaN when nothing was counted."""
    part, whole = np.asarray(counts, float).reshape(-1, 2).sum(axis=0)
    return float(part / whole) if whole else float("nan")


def _both_weights(
    estimated: Sequence[Array], true: Sequence[Array], look_ahead: int
) -> tuple[list[Array], list[Array]]:
    """Weights from the estimate and from the truth, over the episodes on which both are known."""
    pairs = zip(episode_gains(estimated, look_ahead), episode_gains(true, look_ahead), strict=True)
    known = [(e, t) for e, t in pairs if not (np.isnan(e).any() or np.isnan(t).any())]
    return episode_weights([e for e, _ in known]), episode_weights([t for _, t in known])
