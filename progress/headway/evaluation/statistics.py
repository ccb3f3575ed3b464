"""Every figure as a function of which episodes are picked, so that any of them can be resampled.

A statistic takes int (picked,), places of episodes, with repeats, and gives the figure over those; NaN where it is not
defined. Where a dataset does not tell what a figure needs, there is the reason instead.

An episode whose curve has a NaN counts where what is known of the curve is enough: its final value, or errors over its
known frames when those are most of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from headway.episodes import Array, ProgressCurve
from headway.evaluation.events import event_statistics
from headway.evaluation.reference import EXPERT, Reference
from headway.metrics import errors, order, ranking, success
from headway.metrics.bins import five_bins, rollout_class
from headway.metrics.gains import episode_gains, episode_sign_counts, episode_weights, episode_zero_counts, share
from headway.metrics.pairs import pair_sums
from headway.metrics.stages import boundary_errors, stage_of
from headway.signals.summary import DONE, MOSTLY, final

Statistic = Callable[[Array], float]

# two failures that got equally far but for this much of the task are told apart by nobody who looks at them
APART = 0.05
CALLED = 0.5

OF_PROGRESS = (
    *("mae", "mae_expert", "mae_imperfect", "mae_failed", "mae_imperfect_isotonic", "rmse"),
    *("pearson", "pearson_episode", "bins_mae", "class_accuracy"),
)
NO_PROGRESS = "true progress is not known; it takes a simulated dataset, or stages marked through a whole episode"
NO_STAGES = "true stages are not known; mark them with `headway label`"
NO_LABELS = "needs episodes known to succeed and to fail; mark them with `headway label`"
NO_KINDS = "nobody says who made the episodes"
NO_PROBABILITY = "the estimator gives no probability of success"


@dataclass(frozen=True, repr=False)
class Sides:
    """What is known of episodes and what an estimator says of them, an element an episode.

    Attributes:
        known: what is known.
        curves: what is said.
        values: progress, float (time,) each.
        final: final progress, (episodes,).
        true: true progress, (time,) each, all NaN where it is not known.
        true_final: final true progress, (episodes,).
        succeeded: 1, 0 or, where nobody knows, NaN, (episodes,).
        called: final probability of success, (episodes,); NaN where none is given.
    """

    known: Sequence[Reference]
    curves: Sequence[ProgressCurve]
    values: list[Array]
    final: Array
    true: list[Array]
    true_final: Array
    succeeded: Array
    called: Array


def sides(known: Sequence[Reference], curves: Sequence[ProgressCurve]) -> Sides:
    """Put what is known beside what is said."""
    true = [np.full(each.length, np.nan) if each.progress is None else each.progress for each in known]
    values = [np.asarray(curve.values, float) for curve in curves]
    return Sides(
        known,
        curves,
        values,
        np.array([final(each) for each in values]),
        true,
        np.array([final(each) for each in true]),
        np.array([np.nan if each.success is None else float(each.success) for each in known]),
        np.array([np.nan if curve.success is None else final(curve.success) for curve in curves]),
    )


def statistics(
    known: Sequence[Reference], curves: Sequence[ProgressCurve], look_ahead: int
) -> dict[str, Statistic | str]:
    """Every figure of `headway.evaluation.figures`, as a statistic or as the reason why it cannot be known."""
    both = sides(known, curves)
    return {
        **_order(both),
        **_errors(both),
        **_stages(both),
        **_gains(both, look_ahead),
        **_between(both),
        **_success(both),
        **event_statistics(known, curves),
    }


def _order(both: Sides) -> dict[str, Statistic | str]:
    values = [_known_frames(each) for each in both.values]
    voc = order.value_order_correlations(values)
    successes, failures = both.succeeded == 1, both.succeeded == 0
    everything = np.ones(len(values), bool)
    found: dict[str, Statistic | str] = {
        "voc": _mean(voc, everything),
        "monotonicity": _mean(order.monotonicity(values), everything),
        "voc_success": _mean(voc, successes),
        "voc_failed": _mean(voc, failures),
        "tau_a_success": _mean(order.kendall_tau_a(values), successes),
        "tau_b_success": _mean(order.kendall_tau_b(values), successes),
        "drawdown_success": _mean(order.max_drawdown(values), successes),
        "bumps_success": _mean(order.bumps(values).count, successes),
    }
    needs_success = ("voc_success", "tau_a_success", "tau_b_success", "drawdown_success", "bumps_success")
    return _without(found, (needs_success, NO_LABELS, successes), (("voc_failed",), NO_LABELS, failures))


def _errors(both: Sides) -> dict[str, Statistic | str]:
    if np.isnan(both.true_final).all():
        return dict.fromkeys(OF_PROGRESS, NO_PROGRESS)
    pairs = [_where_both(said, true) for said, true in zip(both.values, both.true, strict=True)]
    said, true = [of for of, _ in pairs], [of for _, of in pairs]
    absolute = errors.mean_absolute_errors(said, true)
    everything, kinds = np.ones(len(pairs), bool), np.array([each.kind for each in both.known])
    expert = kinds == EXPERT
    classes = rollout_class(both.values), rollout_class(both.true)
    right = np.where(np.isnan(classes).any(axis=0), np.nan, classes[0] == classes[1])
    found: dict[str, Statistic | str] = {
        "mae": _mean(absolute, everything),
        "mae_expert": _mean(absolute, expert),
        "mae_imperfect": _mean(absolute, ~expert),
        "mae_failed": _mean(absolute, both.succeeded == 0),
        "mae_imperfect_isotonic": _mean(errors.isotonic_errors(said, true), ~expert),
        "rmse": _mean(errors.root_mean_square_errors(said, true), everything),
        "pearson": pair_sums(said, true).correlation,
        "pearson_episode": _mean(errors.pearsons(said, true), everything),
        "bins_mae": _mean(np.abs(five_bins(both.final) - five_bins(both.true_final)), everything),
        "class_accuracy": _mean(right, everything),
    }
    by_kind = ("mae_expert", "mae_imperfect", "mae_imperfect_isotonic")
    return _without(
        found,
        (by_kind, NO_KINDS, np.array([each.kind is not None for each in both.known])),
        (("mae_failed",), NO_LABELS, both.succeeded == 0),
    )


def _stages(both: Sides) -> dict[str, Statistic | str]:
    if all(each.stage is None for each in both.known):
        return dict.fromkeys(("stage_accuracy", "boundary_error", "boundaries_extra"), NO_STAGES)
    accuracy, boundary, extra = np.full((3, len(both.known)), np.nan)
    for place, (reference, curve) in enumerate(zip(both.known, both.curves, strict=True)):
        if reference.stage is None or np.isnan(curve.values).any():
            continue
        stage, marked = _said_stage(reference, curve), reference.stage >= 0
        if marked.any():
            accuracy[place] = (stage == reference.stage)[marked].mean()
            found = boundary_errors([stage[marked]], [reference.stage[marked]])
            boundary[place], extra[place] = found.error[0], found.extra[0]
    # experts are right for most estimators, which says little
    imperfect = np.array([each.kind != EXPERT for each in both.known])
    everything = np.ones(len(both.known), bool)
    return {
        "stage_accuracy": _mean(accuracy, imperfect),
        "boundary_error": _mean(boundary, everything),
        "boundaries_extra": _mean(extra, everything),
    }


def _said_stage(reference: Reference, curve: ProgressCurve) -> Array:
    """The stage said at each frame, by its number in the task; from progress for an estimator that names none."""
    if curve.stage is None or curve.stage_names is None:
        return stage_of(curve.values, reference.proportions)
    names = list(reference.stage_names)
    # a stage of another task is none of this one's
    number = np.array([names.index(name) if name in names else -2 for name in curve.stage_names])
    return number[curve.stage]


def _gains(both: Sides, look_ahead: int) -> dict[str, Statistic | str]:
    gained = episode_gains(both.values, look_ahead)
    successes = both.succeeded == 1
    counts = np.array([_without_gain(values, look_ahead) for values in both.values], float)
    found: dict[str, Statistic | str] = {
        "non_positive": lambda picked: share(counts[picked][successes[picked]]) if successes[picked].any() else np.nan
    }
    needs_truth = ("gain_correlation", "gain_sign", "weight_correlation", "zero_weights")
    if np.isnan(both.true_final).all():
        found |= dict.fromkeys(needs_truth, NO_PROGRESS)
        return _without(found, (("non_positive",), NO_LABELS, successes))
    truly = episode_gains(both.true, look_ahead)
    signs = episode_sign_counts(gained, truly)
    # weights are fitted once, over the episodes of which both are known
    unknown = [np.isnan(ours).any() or np.isnan(theirs).any() for ours, theirs in zip(gained, truly, strict=True)]
    ours = episode_weights([np.full(len(g), np.nan) if no else g for g, no in zip(gained, unknown, strict=True)])
    theirs = episode_weights([np.full(len(g), np.nan) if no else g for g, no in zip(truly, unknown, strict=True)])
    zeros = episode_zero_counts(ours, theirs)
    found |= {
        "gain_correlation": pair_sums(gained, truly).correlation,
        "gain_sign": lambda picked: share(signs[picked]),
        "weight_correlation": pair_sums(ours, theirs).correlation,
        "zero_weights": lambda picked: share(zeros[picked]),
    }
    return _without(found, (("non_positive",), NO_LABELS, successes))


def _without_gain(values: Array, look_ahead: int) -> tuple[int, int]:
    """How many frames with a full look-ahead gain nothing over it, and how many have one."""
    gained = values[look_ahead:] - values[:-look_ahead]
    return int((gained <= 0).sum()), int((~np.isnan(gained)).sum())


def _between(both: Sides) -> dict[str, Statistic | str]:
    failures = both.succeeded == 0
    # where true progress is not known a success got further than a failure, and that is all that is known
    far = both.true_final if len(np.unique(both.true_final[~np.isnan(both.true_final)])) > 1 else both.succeeded
    usable = ~np.isnan(both.final) & ~np.isnan(far)
    labelled = ~np.isnan(both.final) & ~np.isnan(both.succeeded)

    def over(figure: Callable[[Array, Array], float], known: Array, against: Array) -> Statistic:
        def statistic(picked: Array) -> float:
            kept = picked[known[picked]]
            return figure(both.final[kept], against[kept])

        return statistic

    found: dict[str, Statistic | str] = {
        "tau_all": over(ranking.ordered_pair_tau, usable, far),
        "tau_failed": over(ranking.ordered_pair_tau, usable & failures, far),
        "tau_failed_apart": over(partial(ranking.ordered_pair_tau, apart=APART), usable & failures, far),
        "pairs_right": over(ranking.pairwise_accuracy, usable, far),
        "margin": over(ranking.success_margin, labelled, both.succeeded == 1),
        "kinds_ranked": _kinds_ranked(both, labelled),
    }
    both_outcomes = np.array([failures.any() and (both.succeeded == 1).any()])
    return _without(
        found,
        (("tau_all", "pairs_right"), NO_LABELS, ~np.isnan(far)),
        (("tau_failed", "tau_failed_apart"), NO_PROGRESS, ~np.isnan(both.true_final)),
        (("margin",), NO_LABELS, both_outcomes),
        (("kinds_ranked",), NO_KINDS, np.array([each.kind is not None for each in both.known])),
    )


def _kinds_ranked(both: Sides, labelled: Array) -> Statistic:
    """Kinds of demonstrator as policies: their mean final progress against their share of successes."""
    _, kinds = np.unique([each.kind or "" for each in both.known], return_inverse=True)

    def statistic(picked: Array) -> float:
        kept = picked[labelled[picked]]
        count = np.bincount(kinds[kept])
        there = count > 0
        said, true = (np.bincount(kinds[kept], of[kept])[there] / count[there] for of in (both.final, both.succeeded))
        return ranking.ordered_pair_tau(said, true)

    return statistic


def _success(both: Sides) -> dict[str, Statistic | str]:
    labelled = ~np.isnan(both.succeeded)
    succeeded = both.succeeded == 1
    said, enough = (both.final, DONE) if np.isnan(both.called).all() else (both.called, CALLED)

    def of(figure: Callable[[Array, Array], float], score: Array) -> Statistic:
        usable = labelled & ~np.isnan(score)

        def statistic(picked: Array) -> float:
            kept = picked[usable[picked]]
            return figure(score[kept], succeeded[kept])

        return statistic

    found: dict[str, Statistic | str] = {
        "success_auroc": of(success.auroc, both.final),
        "success_head_auroc": of(success.auroc, both.called),
        "success_ap": _average_precision(said, both.succeeded),
        "success_f1": _f1(said, enough, both.succeeded),
        "success_brier": _mean(np.square(both.called - both.succeeded), labelled),
        "success_ece": of(success.expected_calibration_error, both.called),
    }
    both_outcomes = np.array([(labelled & succeeded).any() and (labelled & ~succeeded).any()])
    head = ("success_head_auroc", "success_brier", "success_ece")
    return _without(found, (head, NO_PROBABILITY, ~np.isnan(both.called)), (tuple(found), NO_LABELS, both_outcomes))


def _average_precision(score: Array, succeeded: Array) -> Statistic:
    """`headway.metrics.success.average_precision` of resamples: sorted once, each takes as long as adding up."""
    known = np.flatnonzero(~np.isnan(score) & ~np.isnan(succeeded))
    order = known[np.argsort(-score[known], kind="stable")]
    done = succeeded[order] == 1
    # episodes of one score come in together
    last = np.append(np.diff(score[order]) != 0, True) if order.size else np.zeros(0, bool)

    def statistic(picked: Array) -> float:
        times = np.bincount(picked, minlength=len(score))[order]
        found, taken = np.cumsum(times * done)[last], np.cumsum(times)[last]
        if not found.size or not found[-1]:
            return float("nan")
        precision = found / np.maximum(taken, 1)
        return float((np.diff(found, prepend=0) * precision).sum() / found[-1])

    return statistic


def _f1(score: Array, enough: float, succeeded: Array) -> Statistic:
    """`headway.metrics.success.f1` from counts, which makes a resample cheap."""
    known = ~np.isnan(score) & ~np.isnan(succeeded)
    said, done = known & (score > enough), known & (succeeded == 1)
    counts = np.stack([2 * (said & done), said.astype(int) + done], axis=1)
    return lambda picked: share(counts[picked])


def _without(found: dict[str, Statistic | str], *needs: tuple[Sequence[str], str, Array]) -> dict[str, Statistic | str]:
    """The statistics, with a reason in place of those of which no episode tells what they need."""
    lacking = {name: reason for names, reason, there in needs if not there.any() for name in names}
    return found | lacking


def _mean(values: Array, chosen: Array) -> Statistic:
    """The mean of (episodes,) over the chosen ones in which it is known."""
    kept = np.where(chosen, values, np.nan)

    def statistic(picked: Array) -> float:
        known = kept[picked]
        known = known[~np.isnan(known)]
        return float(known.mean()) if known.size else float("nan")

    return statistic


def _known_frames(values: Array) -> Array:
    """The known frames of a curve; none where those are not most of it."""
    known = ~np.isnan(values)
    return values[known] if known.mean() >= MOSTLY else values[:0]


def _where_both(said: Array, true: Array) -> tuple[Array, Array]:
    """The frames that both know; none where the estimator leaves out too many of those whose truth is known."""
    there = ~np.isnan(true)
    known = there & ~np.isnan(said)
    if known.sum() < MOSTLY * there.sum():
        known[:] = False
    return said[known], true[known]
