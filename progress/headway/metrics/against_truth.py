"""How right an estimator is, on episodes whose truth the simulator knows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from headway.episodes import Array, Episode, ProgressCurve, Truth
from headway.errors import InvalidValue
from headway.metrics.intervals import Estimate, bootstrap
from headway.metrics.order import ordered_pair_tau, value_order_correlation
from headway.signals.summary import final
from headway.signals.weights import LOOK_AHEAD, gains

EXPERT = "expert"
# Two failures that got equally far but for this much of the task are told apart by nobody who looks at them.
APART = 0.05


@dataclass(frozen=True)
class AgainstTruth:
    """One row of the table of accuracy. Every figure has a 95 % interval over episodes.

    Attributes:
        estimator: its spec.
        mae_expert, mae_imperfect: mean absolute error to true progress, mean of the episodes' own means.
        stage_accuracy: share of frames of imperfect episodes whose stage is right, mean of the episodes' own shares.
        success_auroc: of the final progress for the true success.
        tau_all, tau_failed: Kendall's tau of final progress over ordered pairs of episodes, all and failed ones.
        tau_failed_apart: the same over pairs of failed ones whose true final progress differs by more than 0.05.
        voc_success, voc_failed: mean value-order correlation; truth's own is below 1 where episodes fall back.
        gain_correlation: Pearson correlation of progress gains over the look-ahead with the true gains.
    """

    estimator: str
    mae_expert: Estimate
    mae_imperfect: Estimate
    stage_accuracy: Estimate
    success_auroc: Estimate
    tau_all: Estimate
    tau_failed: Estimate
    tau_failed_apart: Estimate
    voc_success: Estimate
    voc_failed: Estimate
    gain_correlation: Estimate


def against_truth(
    name: str, episodes: Sequence[Episode], curves: Sequence[ProgressCurve], look_ahead: int = LOOK_AHEAD
) -> AgainstTruth:
    """Hold curves against the truth of their episodes. Raises InvalidValue when an episode carries no truth.

    An estimator that names no stages is given the stage that its progress lies in on the task's declared scale.
    """
    truths = [_truth(episode) for episode in episodes]
    errors = np.array([np.abs(c.values - t.progress).mean() for c, t in zip(curves, truths, strict=True)])
    stages = np.array([_stage_accuracy(c, t) for c, t in zip(curves, truths, strict=True)])
    orders = np.array([value_order_correlation(curve.values) for curve in curves])
    predicted = np.array([final(curve.values) for curve in curves])
    true = np.array([final(truth.progress) for truth in truths])
    succeeded = np.array([truth.succeeded for truth in truths])
    expert = np.array([episode.kind == EXPERT for episode in episodes])
    look = [_gain_pair(c, t, look_ahead) for c, t in zip(curves, truths, strict=True)]

    def mean_of(values: Array, chosen: Array) -> Estimate:
        kept = values[chosen]
        return bootstrap(lambda picked: float(np.nanmean(kept[picked])) if kept.size else np.nan, len(kept))

    def tau_of(chosen: Array, apart: float = 0.0) -> Estimate:
        ours, theirs = predicted[chosen], true[chosen]
        return bootstrap(lambda picked: ordered_pair_tau(ours[picked], theirs[picked], apart), len(ours))

    everything = np.ones(len(episodes), bool)
    return AgainstTruth(
        name,
        mean_of(errors, expert),
        mean_of(errors, ~expert),
        mean_of(stages, ~expert),
        bootstrap(lambda picked: auroc(predicted[picked], succeeded[picked]), len(episodes)),
        tau_of(everything),
        tau_of(~succeeded),
        tau_of(~succeeded, APART),
        mean_of(orders, succeeded & ~np.isnan(orders)),
        mean_of(orders, ~succeeded & ~np.isnan(orders)),
        bootstrap(lambda picked: _correlation([look[i] for i in picked]), len(episodes)),
    )


def auroc(score: Array, positive: Array) -> float:
    """Area under the ROC curve of (episodes,) scores, ties counted half; NaN when all or none are positive.

    It is Mann and Whitney's U over the number of pairs (Hanley and McNeil 1982).
    """
    if positive.all() or not positive.any():
        return float("nan")
    pairs = int(positive.sum()) * int((~positive).sum())
    return float(stats.mannwhitneyu(score[positive], score[~positive]).statistic) / pairs


def stage_of(progress: Array, proportions: Sequence[float]) -> Array:
    """The stage that each progress value lies in on a scale of stage proportions: int64 (time,)."""
    inner = np.cumsum(proportions)[:-1]
    return np.searchsorted(inner, progress, side="right")


def _truth(episode: Episode) -> Truth:
    if episode.truth is None:
        raise InvalidValue(f"episode {episode.index} carries no truth; accuracy needs a simulated dataset")
    return episode.truth


def _stage_accuracy(curve: ProgressCurve, truth: Truth) -> float:
    stage = stage_of(curve.values, truth.proportions) if curve.stage is None else curve.stage
    return float((stage == truth.stage).mean())


def _gain_pair(curve: ProgressCurve, truth: Truth, look_ahead: int) -> Array:
    """Estimated and true gains of one episode, (2, time)."""
    one = np.zeros(len(curve), int)
    return np.stack([gains(curve.values, one, look_ahead), gains(truth.progress, one, look_ahead)])


def _correlation(pairs: Sequence[Array]) -> float:
    estimated, true = np.concatenate(pairs, axis=1)
    if np.ptp(estimated) == 0 or np.ptp(true) == 0:
        return float("nan")
    return float(np.corrcoef(estimated, true)[0, 1])
