"""How right an estimator is, on episodes whose truth the simulator knows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array, Episode, ProgressCurve, Truth
from headway.errors import InvalidValue
from headway.metrics.errors import isotonic_errors, mean_absolute_error
from headway.metrics.gains import episode_gains, episode_weights, share, sign_counts
from headway.metrics.intervals import Estimate, bootstrap
from headway.metrics.order import ordered_pair_tau, value_order_correlation
from headway.metrics.pairs import pair_sums
from headway.metrics.success import auroc, expected_calibration_error
from headway.signals.summary import final
from headway.signals.weights import LOOK_AHEAD

EXPERT = "expert"
# Two failures that got equally far but for this much of the task are told apart by nobody who looks at them.
APART = 0.05


@dataclass(frozen=True)
class AgainstTruth:
    """One row of the table of accuracy. Every figure has a 95 % interval over episodes; undefined ones are NaN.

    An episode with a NaN on its curve enters no figure and is counted. Maps and weights that are fitted over all
    episodes (`mae_imperfect_isotonic`, `weight_correlation`) are fitted once; the intervals leave their spread out.

    Attributes:
        estimator: its spec.
        unscored: how many episodes have no progress at some frame, and are left out.
        mae_expert, mae_imperfect: mean absolute error to true progress, mean of the episodes' own means.
        mae_imperfect_isotonic: the same after the best monotone map, fitted on the other half of all episodes.
        pearson: correlation with true progress over all frames of all episodes.
        stage_accuracy: share of frames of imperfect episodes whose stage is right, mean of the episodes' own shares.
        success_auroc: of the final progress for the true success.
        success_head_auroc, success_ece: of the final success probability, where the estimator gives one, for the true
            success: area under the ROC curve and expected calibration error.
        tau_all, tau_failed: Kendall's tau of final progress over ordered pairs of episodes, all and failed ones.
        tau_failed_apart: the same over pairs of failed ones whose true final progress differs by more than 0.05.
        voc_success, voc_failed: mean value-order correlation; truth's own is below 1 where episodes fall back.
        gain_correlation: Pearson correlation of progress gains over the look-ahead with the true gains.
        gain_sign: share of the frames that truly gain or lose more than 0.01 at which the estimate does likewise.
        weight_correlation: Pearson correlation of RA-BC weights with those from true progress.
    """

    estimator: str
    unscored: int
    mae_expert: Estimate
    mae_imperfect: Estimate
    mae_imperfect_isotonic: Estimate
    pearson: Estimate
    stage_accuracy: Estimate
    success_auroc: Estimate
    success_head_auroc: Estimate
    success_ece: Estimate
    tau_all: Estimate
    tau_failed: Estimate
    tau_failed_apart: Estimate
    voc_success: Estimate
    voc_failed: Estimate
    gain_correlation: Estimate
    gain_sign: Estimate
    weight_correlation: Estimate


def against_truth(
    name: str, episodes: Sequence[Episode], curves: Sequence[ProgressCurve], look_ahead: int = LOOK_AHEAD
) -> AgainstTruth:
    """Hold curves against the truth of their episodes. Raises InvalidValue when an episode carries no truth.

    An estimator that names no stages is given the stage that its progress lies in on the task's declared scale.
    """
    held = [(e, c, _truth(e)) for e, c in zip(episodes, curves, strict=True)]
    held = [each for each in held if not np.isnan(each[1].values).any()]
    estimated, true = [c.values for _, c, _ in held], [t.progress for _, _, t in held]
    expert = np.array([e.kind == EXPERT for e, _, _ in held], bool)
    succeeded = np.array([t.succeeded for _, _, t in held], bool)
    everything = np.ones(len(held), bool)
    final_estimated, final_true = (np.array([final(v) for v in of]) for of in (estimated, true))
    final_success = np.array([np.nan if c.success is None else final(c.success) for _, c, _ in held])
    errors = np.array([mean_absolute_error(e, t) for e, t in zip(estimated, true, strict=True)])
    orders = np.array([value_order_correlation(values) for values in estimated])
    gained, truly_gained = episode_gains(estimated, look_ahead), episode_gains(true, look_ahead)
    signs = np.array([sign_counts(e, t) for e, t in zip(gained, truly_gained, strict=True)])

    def tau_of(chosen: Array, apart: float = 0.0) -> Estimate:
        ours, theirs = final_estimated[chosen], final_true[chosen]
        return bootstrap(lambda picked: ordered_pair_tau(ours[picked], theirs[picked], apart), len(ours))

    return AgainstTruth(
        estimator=name,
        unscored=len(episodes) - len(held),
        mae_expert=_mean(errors[expert]),
        mae_imperfect=_mean(errors[~expert]),
        mae_imperfect_isotonic=_mean(isotonic_errors(estimated, true)[~expert]),
        pearson=_correlation(estimated, true),
        stage_accuracy=_mean(np.array([_stage_accuracy(c, t) for _, c, t in held])[~expert]),
        success_auroc=bootstrap(lambda picked: auroc(final_estimated[picked], succeeded[picked]), len(held)),
        success_head_auroc=bootstrap(lambda picked: auroc(final_success[picked], succeeded[picked]), len(held)),
        success_ece=bootstrap(
            lambda picked: expected_calibration_error(final_success[picked], succeeded[picked]), len(held)
        ),
        tau_all=tau_of(everything),
        tau_failed=tau_of(~succeeded),
        tau_failed_apart=tau_of(~succeeded, APART),
        voc_success=_mean(orders[succeeded]),
        voc_failed=_mean(orders[~succeeded]),
        gain_correlation=_correlation(gained, truly_gained),
        gain_sign=bootstrap(lambda picked: share(signs[picked]), len(held)),
        weight_correlation=_correlation(episode_weights(gained), episode_weights(truly_gained)),
    )


def _mean(values: Array) -> Estimate:
    """The mean over episodes of the figures (episodes,) that are defined."""
    known = values[~np.isnan(values)]
    return bootstrap(lambda picked: float(known[picked].mean()), len(known))


def _correlation(ours: Sequence[Array], theirs: Sequence[Array]) -> Estimate:
    """Pearson's over the frames of all episodes; sums per episode make each resample cheap."""
    return bootstrap(pair_sums(ours, theirs).correlation, len(ours))


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
