"""Weights that an episode's outcome, or its weakest part, decides; and the flag that a policy is conditioned on."""

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.signals.weights.exponential import advantages
from headway.signals.weights.gains import done_from, gains
from headway.signals.weights.rabc_auto import rabc_auto
from headway.signals.weights.scored import LIKELY, ScoredFrames

TEMPERATURE = 0.1
"""Of the soft minimum, in shares of the usual gain; PURE's own."""
POSITIVE = 0.3
"""Share of the frames that count as good in advantage conditioning (RLinf's build of RECAP)."""


def success_filter(frames: ScoredFrames) -> Array:
    """1 for the frames of successes, 0 for those of failures, NaN where nobody knows: float64 (frames,).

    The trivial baseline that needs no progress. Raises InvalidValue where no outcome at all is known.
    """
    if np.isnan(frames.success).all():
        raise InvalidValue(
            "nobody knows which episodes succeeded: label them (headway label), or score with an estimator that tells"
        )
    kept = np.where(np.isnan(frames.success), np.nan, frames.success > LIKELY)
    return frames.over_frames(kept)


def softmin(frames: ScoredFrames, look_ahead: int, temperature: float = TEMPERATURE) -> Array:
    """The weakest segment of an episode decides for all its frames: float64 (frames,) in [0, 1].

    PURE's soft minimum (arXiv 2504.15275), sum_i softmax_i(-r_i / T) r_i, over the gains of segments of `look_ahead`
    frames one after another, r_i in units of the median positive gain of the dataset and within [0, 1]. NaN throughout
    an episode in which a segment's gain is unknown. What is left over at the end belongs to the last segment; segments
    end where a success is done, for holding still is right there.
    """
    gain = gains(frames.progress, frames.episode, look_ahead)
    rising = gain[gain > 0]
    usual = float(np.median(rising)) if rising.size else 1.0
    each = []
    for (_, values), success in zip(frames.curves(), frames.success, strict=True):
        end = done_from(values) if success > LIKELY else len(values) - 1
        edges = np.r_[np.arange(max(end // look_ahead, 1)) * look_ahead, end]
        segments = np.clip(np.diff(values[edges]) / usual, 0, 1)
        softness = np.exp(-(segments - segments.min()) / temperature)
        each.append(float((softness * segments).sum() / softness.sum()))
    return frames.over_frames(np.array(each))


def advantage_flag(frames: ScoredFrames, look_ahead: int, positive: float = POSITIVE) -> Array:
    """1 for good frames, 0 for others, NaN where unknown: float64 (frames,), for a policy that is told which.

    RECAP (arXiv 2511.14759) calls the frames with the highest advantage good; here it is the gain beyond the mean gain
    at like progress. The threshold is the quantile that leaves `positive` of the frames.
    """
    advantage = advantages(frames, look_ahead)
    known = advantage[~np.isnan(advantage)]
    if not known.size:
        return advantage
    return np.where(np.isnan(advantage), np.nan, advantage > np.quantile(known, 1 - positive))


def pessimistic(frames: ScoredFrames, look_ahead: int, deviations: float = 1.0) -> Array:
    """`rabc_auto` on gains that an ensemble is sure of: float64 (frames,) in [0, 1].

    A frame counts as far as progress rises beyond the doubt about it: the weight is multiplied by
    clip(1 - deviations * sqrt((u_t^2 + u_{t+H}^2) / 2) / usual gain, 0, 1), u the estimator's own uncertainty; NaN
    where progress, or the uncertainty at either end, is unknown. Raises InvalidValue where there is none at all.
    """
    if frames.uncertainty is None or np.isnan(frames.uncertainty).all():
        raise InvalidValue("these scores tell no uncertainty; score with an ensemble (ensemble:SPEC+SPEC)")
    gain = gains(frames.progress, frames.episode, look_ahead)
    rising = gain[gain > 0]
    usual = float(np.median(rising)) if rising.size else 1.0
    doubt = np.asarray(frames.uncertainty, dtype=np.float64)
    later = doubt + gains(doubt, frames.episode, look_ahead)
    sure = 1 - deviations * np.sqrt((doubt**2 + later**2) / 2) / usual
    return rabc_auto(frames, look_ahead) * np.clip(sure, 0, 1)
