"""Figures of a success detector that runs along each episode as it would beside a robot.

It listens to the probability of success or, of an estimator that gives none, to progress, which then has to reach 0.9.
"""

from collections.abc import Callable, Sequence

import numpy as np

from headway.episodes import Array, ProgressCurve
from headway.evaluation.reference import Reference
from headway.metrics.detection import detections
from headway.signals.detector import DetectorConfig, Readings, detect
from headway.signals.summary import DONE

ON_PROBABILITY = DetectorConfig(on=0.5)
ON_PROGRESS = DetectorConfig(on=DONE)
NO_FAILURES = "no episode is known to fail; mark them with `headway label`"
NO_MOMENT = "of no episode is it known when it succeeds; that takes successes of a simulator, or marked ones"
OF_SUCCESSES = {"delay_median": "delay_median", "delay_p95": "delay_p95", "early": "early", "misses": "missed"}
OF_FAILURES = {"false_per_failed": "false_per_failed", "false_per_minute": "false_per_minute"}


def event_statistics(
    known: Sequence[Reference], curves: Sequence[ProgressCurve]
) -> dict[str, Callable[[Array], float] | str]:
    """Figure -> statistic over picked episodes (see `headway.evaluation.statistics`), or why it is not known.

    An episode in which the task was done for a while and undone is no failure to a detector that runs along, and its
    moment of success is the first; so it counts as a success here. An episode of which the estimator says nothing
    counts in no figure.
    """
    moments = [_moment(reference) for reference in known]
    timed = [place for place, moment in enumerate(moments) if moment is not None]
    failed = [place for place, reference in enumerate(known) if _never_done(reference)]
    judged = [place for place in sorted(timed + failed) if not np.isnan(_said(curves[place])[0]).all()]
    found = detections(
        [_fired(known[place], curves[place]) for place in judged],
        [moments[place] for place in judged],
        [known[place].length for place in judged],
        [known[place].fps for place in judged],
    )
    where = np.full(len(known), -1)
    where[judged] = np.arange(len(judged))

    def of(field: str) -> Callable[[Array], float]:
        def statistic(picked: Array) -> float:
            kept = where[picked]
            return float(getattr(found.summary(kept[kept >= 0]), field))

        return statistic

    statistics: dict[str, Callable[[Array], float] | str] = {}
    for name, field in OF_SUCCESSES.items():
        statistics[name] = of(field) if timed else NO_MOMENT
    for name, field in OF_FAILURES.items():
        statistics[name] = of(field) if failed else NO_FAILURES
    return statistics


def _said(curve: ProgressCurve) -> tuple[Array, DetectorConfig]:
    """What the detector listens to, and the detector."""
    return (curve.values, ON_PROGRESS) if curve.success is None else (curve.success, ON_PROBABILITY)


def _moment(reference: Reference) -> int | None:
    """The first frame at which the task is done; None where it never is, or nobody knows."""
    if reference.done is None or not reference.done.any():
        return None
    return int(reference.done.argmax())


def _never_done(reference: Reference) -> bool:
    return reference.success is False and (reference.done is None or not reference.done.any())


def _fired(reference: Reference, curve: ProgressCurve) -> list[int]:
    said, detector = _said(curve)
    time = np.arange(reference.length) / reference.fps
    events = detect(detector, Readings(time, said, curve.looked_at))
    return [event.frame for event in events if event.on]
