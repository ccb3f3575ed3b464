"""Whether an estimator sees which frames move the task on: what weights and rewards are made of.

All figures are over the frames of all episodes together. An episode with a NaN is left out of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.metrics.pairs import pair_sums
from headway.metrics.ragged import Curves, end_to_end, lengths_of, with_nan
from headway.signals.weights import KAPPA, LOOK_AHEAD, gains, rabc


def episode_gains(curves: Curves, look_ahead: int = LOOK_AHEAD) -> list[Array]:
    """Progress made over the next `look_ahead` frames, (time,) an episode; see `headway.signals.weights.gains`."""
    return _apart(gains(*end_to_end(curves), look_ahead), curves)


def episode_weights(gained: Curves) -> list[Array]:
    """RA-BC weights (time,) an episode, from the mean and spread of the gains over all of them.

    An episode with a NaN gain does not enter these and gets NaN throughout.
    """
    whole, episode = end_to_end(gained)
    return _apart(rabc(np.where(with_nan(whole, episode, len(gained))[episode], np.nan, whole)), gained)


def gain_correlation(estimated: Curves, true: Curves, look_ahead: int = LOOK_AHEAD) -> float:
    """Pearson's correlation of estimated with true gains over `look_ahead` frames; NaN when either is constant."""
    return pair_sums(episode_gains(estimated, look_ahead), episode_gains(true, look_ahead)).correlation()


def sign_counts(estimated: Array, true: Array) -> tuple[int, int]:
    """`episode_sign_counts` of one episode's gains (time,)."""
    agreeing, moving = episode_sign_counts([estimated], [true])[0]
    return int(agreeing), int(moving)


def episode_sign_counts(estimated: Curves, true: Curves) -> Array:
    """At how many frames of each episode the sign of the estimated gain is right, and of how many: int (episodes, 2).

    Those count at which truth gains or loses more than 0.01, RA-BC's own bound for progress. An estimated gain of 0
    agrees with neither. Both counts are 0 for an episode with a NaN.

    Args:
        estimated: gains (time,) an episode, as `episode_gains` gives them.
        true: likewise.
    """
    episodes = len(lengths_of(estimated, true))
    (ours, episode), (theirs, _) = end_to_end(estimated), end_to_end(true)
    unknown = with_nan(ours, episode, episodes) | with_nan(theirs, episode, episodes)
    moves = (np.abs(theirs) > KAPPA) & ~unknown[episode]
    agrees = moves & (np.sign(ours) == np.sign(theirs))
    return np.stack([np.bincount(episode[of], minlength=episodes) for of in (agrees, moves)], axis=1)


def gain_sign(estimated: Curves, true: Curves, look_ahead: int = LOOK_AHEAD) -> float:
    """Share of the frames that truly gain or lose more than 0.01 at which the estimate goes the same way.

    A clock gets the share of these frames that gain, which is most of them: read it beside the clock's.
    """
    return share(episode_sign_counts(episode_gains(estimated, look_ahead), episode_gains(true, look_ahead)))


def weight_correlation(estimated: Curves, true: Curves, look_ahead: int = LOOK_AHEAD) -> float:
    """Pearson's correlation of RA-BC weights with those from true progress; NaN when either is constant."""
    ours, theirs = _both_weights(estimated, true, look_ahead)
    return pair_sums(ours, theirs).correlation()


def episode_zero_counts(estimated: Curves, true: Curves) -> Array:
    """At how many frames of each episode both weights are 0, and at how many either is: int (episodes, 2).

    Args:
        estimated: weights (time,) an episode, as `episode_weights` gives them. A NaN is no 0.
        true: likewise.
    """
    episodes = len(lengths_of(estimated, true))
    (ours, episode), (theirs, _) = end_to_end(estimated), end_to_end(true)
    both, either = (ours == 0) & (theirs == 0), (ours == 0) | (theirs == 0)
    return np.stack([np.bincount(episode[of], minlength=episodes) for of in (both, either)], axis=1)


def zero_weight_agreement(estimated: Curves, true: Curves, look_ahead: int = LOOK_AHEAD) -> float:
    """Of the frames that either the estimate or the truth gives no weight, the share to which both give none.

    (Jaccard's index.) Most frames have weight, so a share of all frames would flatter. NaN when neither has a zero.
    """
    return share(episode_zero_counts(*_both_weights(estimated, true, look_ahead)))


@dataclass(frozen=True, repr=False)
class NonPositiveShare:
    """How often progress does not rise over a look-ahead; NaN where no frame has one.

    Attributes:
        look_aheads: in frames.
        frames: int64 (look-aheads,), how many frames have a full one.
        overall: float64 (look-aheads,), share of these frames whose gain is 0 or below.
        by_stage: float64 (stages, look-aheads), the same over the frames of each stage; no rows without stages.
    """

    look_aheads: tuple[int, ...]
    frames: Array
    overall: Array
    by_stage: Array


def non_positive_share(
    curves: Curves, look_aheads: Sequence[int], stages: Curves | None = None, number: int | None = None
) -> NonPositiveShare:
    """Share of the frames that gain nothing over the next H frames, for several H: which look-ahead sees work at all.

    On experts every such frame is one that RA-BC (arXiv 2509.25358) gives little or no weight although nothing is
    wrong with it. Only frames with H more frames after them count: clipped to the end of the episode, as the weights
    do, the last ones would gain less the longer the look-ahead. An episode with a NaN counts no frame.

    Args:
        curves: progress (time,) an episode.
        look_aheads: H, in frames, each at least 1.
        stages: int (time,) an episode, from 0: the stage of a frame is that in which its look-ahead begins.
        number: of stages; by default the highest in `stages`, and one.
    """
    if any(look_ahead < 1 for look_ahead in look_aheads):
        raise InvalidValue(f"look-aheads must be at least 1 frame, got {tuple(look_aheads)}")
    lengths = lengths_of(curves, stages if stages is not None else curves)
    values, episode = end_to_end(curves)
    usable = ~with_nan(values, episode, len(lengths))[episode]
    after = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(values)) - 1
    stage = np.zeros(len(values), int) if stages is None else end_to_end(stages)[0]
    if stage.size and stage.min() < 0:
        raise InvalidValue("stages are counted from 0")
    kinds = int(stage.max(initial=-1)) + 1 if number is None or stages is None else number
    counted, level = np.zeros((2, kinds, len(look_aheads)))
    for column, look_ahead in enumerate(look_aheads):
        full = (usable & (after >= look_ahead))[: max(len(values) - look_ahead, 0)]
        flat = values[look_ahead:] <= values[: len(full)]
        begins = stage[: len(full)]
        counted[:, column] = np.bincount(begins[full], minlength=kinds)
        level[:, column] = np.bincount(begins[full & flat], minlength=kinds)
    shares = [
        np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
        for part, whole in ((level.sum(axis=0), counted.sum(axis=0)), (level, counted))
    ]
    by_stage = shares[1] if stages is not None else shares[1][:0]
    return NonPositiveShare(tuple(look_aheads), counted.sum(axis=0).astype(np.int64), shares[0], by_stage)


def share(counts: Sequence[tuple[int, int]] | Array) -> float:
    """The first of pairs of counts over the second, each summed over episodes; NaN when nothing was counted."""
    part, whole = np.asarray(counts, float).reshape(-1, 2).sum(axis=0)
    return float(part / whole) if whole else float("nan")


def _both_weights(estimated: Curves, true: Curves, look_ahead: int) -> tuple[list[Array], list[Array]]:
    """Weights from the estimate and from the truth, over the episodes on which both are known."""
    episodes = len(lengths_of(estimated, true))
    unknown = np.zeros(episodes, bool)
    for curves in (estimated, true):
        unknown |= with_nan(*end_to_end(curves), episodes)
    known = np.flatnonzero(~unknown)
    ours, theirs = (episode_gains([curves[i] for i in known], look_ahead) for curves in (estimated, true))
    return episode_weights(ours), episode_weights(theirs)


def _apart(values: Array, curves: Curves) -> list[Array]:
    """Values (frames,) of all episodes, as one array (time,) an episode."""
    return np.split(values, np.cumsum(lengths_of(curves))[:-1]) if len(curves) else []
