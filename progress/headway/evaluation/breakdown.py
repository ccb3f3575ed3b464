"""An evaluation taken apart: by kind of episode, by episode, by probability, by look-ahead."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array, ProgressCurve
from headway.evaluation.reference import Reference
from headway.evaluation.run import Evaluation
from headway.metrics.gains import NonPositiveShare, non_positive_share
from headway.metrics.success import Reliability, reliability
from headway.signals.summary import DONE, final

SUCCESSES, FAILURES, UNLABELLED = "successes", "failures", "without a label"
# from which probability of success an episode is called one
CALLED = 0.5
# a look-ahead in the chart, in seconds
LOOK_AHEADS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class OfKind:
    """What one estimator makes of one kind of episode. NaN where nothing is known.

    Attributes:
        kind: who made them or, where nobody says so, whether they succeed.
        episodes: how many.
        error: mean absolute error to true progress.
        final, true_final: mean final progress, estimated and true.
        called: share of them that are called a success; see `called`.
    """

    kind: str
    episodes: int
    error: float
    final: float
    true_final: float
    called: float


def by_kind(evaluation: Evaluation, estimator: str) -> list[OfKind]:
    """One row a kind, in the order of names; experts first."""
    kinds = [_kind(reference) for reference in evaluation.known]
    rows = []
    for kind in sorted(set(kinds), key=lambda each: (each not in ("expert", SUCCESSES), each)):
        chosen = [number for number, each in enumerate(kinds) if each == kind]
        known = [evaluation.known[number] for number in chosen]
        curves = [evaluation.curves[estimator][number] for number in chosen]
        errors = [episode_error(reference, curve.values) for reference, curve in zip(known, curves, strict=True)]
        finals = [final(curve.values) for curve in curves]
        true = [np.nan if reference.progress is None else final(reference.progress) for reference in known]
        said = [called(curve) for curve in curves]
        rows.append(OfKind(kind, len(chosen), *(_mean(each) for each in (errors, finals, true, said))))
    return rows


def worst(evaluation: Evaluation, estimator: str, count: int = 8) -> list[int]:
    """Places of the episodes on which an estimator is most wrong, the worst first.

    By mean absolute error where true progress is known; else by how far the final value is from the success label;
    else by the largest fall.
    """
    wrong = []
    for reference, curve in zip(evaluation.known, evaluation.curves[estimator], strict=True):
        known = curve.values[~np.isnan(curve.values)]
        if reference.progress is not None:
            wrong.append(episode_error(reference, curve.values))
        elif not known.size:
            wrong.append(np.nan)
        elif reference.success is not None:
            wrong.append(abs(final(curve.values) - float(reference.success)))
        else:
            wrong.append(float((np.maximum.accumulate(known) - known).max()))
    order = np.argsort(-np.nan_to_num(np.array(wrong), nan=-1.0), kind="stable")
    return [int(place) for place in order[:count] if not np.isnan(wrong[place])]


def reliabilities(evaluation: Evaluation) -> dict[str, Reliability]:
    """Estimator -> how often episodes succeed that it gives one probability or another; of those that give one."""
    found = {}
    labelled = [number for number, reference in enumerate(evaluation.known) if reference.success is not None]
    succeeded = np.array([bool(evaluation.known[number].success) for number in labelled])
    for name, curves in evaluation.curves.items():
        said = [curves[number].success for number in labelled]
        probability = np.array([np.nan if each is None else final(each) for each in said])
        if labelled and not np.isnan(probability).all():
            found[name] = reliability(probability, succeeded, bins=10)
    return found


def gain_shares(evaluation: Evaluation) -> dict[str, NonPositiveShare]:
    """Estimator -> share of frames of successes whose gain over a look-ahead is not positive, over several of them.

    The row `true` is that of true progress. Of a dataset without labels all episodes are taken for successes. By stage
    where all are of one task and the stages of all frames are known. Empty where no episode succeeds.
    """
    fps = evaluation.known[0].fps
    ahead = sorted({max(1, round(seconds * fps)) for seconds in LOOK_AHEADS} | {evaluation.look_ahead})
    chosen = [number for number, reference in enumerate(evaluation.known) if reference.success is not False]
    known = [evaluation.known[number] for number in chosen]
    if not chosen:
        return {}
    curves = {name: [each[number].values for number in chosen] for name, each in evaluation.curves.items()}
    if all(reference.progress is not None for reference in known):
        curves = {"true": [np.asarray(reference.progress) for reference in known], **curves}
    staged = [reference.stage for reference in known if reference.stage is not None and (reference.stage >= 0).all()]
    one_task = len({reference.stage_names for reference in known}) == 1
    stages = staged if one_task and len(staged) == len(known) else None
    number = len(known[0].stage_names) if stages else None
    return {name: non_positive_share(each, ahead, stages, number) for name, each in curves.items()}


def called(curve: ProgressCurve) -> float:
    """1 when an episode ends as a success: with a probability above .5 or, of an estimator that gives none, with a
    progress above .9. 0 when not, NaN when its end is not known."""
    said, enough = (curve.values, DONE) if curve.success is None else (curve.success, CALLED)
    end = final(said)
    return float("nan") if np.isnan(end) else float(end > enough)


def episode_error(reference: Reference, values: Array) -> float:
    """Mean absolute error over the frames that both know; NaN when there is none."""
    if reference.progress is None:
        return float("nan")
    return _mean(np.abs(values - reference.progress))


def _kind(reference: Reference) -> str:
    if reference.kind is not None:
        return reference.kind
    return {True: SUCCESSES, False: FAILURES, None: UNLABELLED}[reference.success]


def _mean(values: Sequence[float] | Array) -> float:
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")
