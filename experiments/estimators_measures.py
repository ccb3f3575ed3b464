"""What experiments/estimators.py measures beyond `headway.evaluation.judge`."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from headway.ensemble import Ensemble
from headway.episodes import Episode, ProgressCurve
from headway.errors import InvalidValue
from headway.estimator import Estimator
from headway.learned.estimator import Learned
from headway.signals.summary import final
from headway_envs.tasks import find_task

PROMISED = 0.1


def parameters(estimator: Estimator) -> int:
    """How many numbers were trained; 0 for an estimator without a network."""
    if isinstance(estimator, Ensemble):
        return sum(parameters(each) for each in estimator.estimators)
    members = estimator.members if isinstance(estimator, Learned) else ()
    return sum(parameter.numel() for member in members for parameter in member.network.parameters())


def language_margin(
    estimator: Estimator, episodes: Sequence[Episode], others: Sequence[str], videos: int = 20
) -> float:
    """How much higher successes end under their own instruction than under another task's; NaN for one without ears."""
    if not estimator.needs.instruction:
        return float("nan")
    shown = [episode for episode in episodes if episode.success][:videos]

    def ends(instruction: str | None) -> float:
        told = [episode if instruction is None else replace(episode, instruction=instruction) for episode in shown]
        return float(np.mean([final(curve.values) for curve in estimator.estimate(told, stride=10)]))

    return ends(None) - float(np.mean([ends(find_task(task).instructions[0]) for task in others]))


def false_alarms(
    estimator: Estimator, episodes: Sequence[Episode], curves: Sequence[ProgressCurve]
) -> dict[str, float]:
    """The share of failed episodes in which the success probability ever rises above a half, and above the threshold
    that was promised to let one of ten do so; undone successes are left out, since they were done for a while."""
    failed = [
        curve.success
        for episode, curve in zip(episodes, curves, strict=True)
        if episode.truth is not None and not episode.truth.success.any() and curve.success is not None
    ]
    if not failed or not isinstance(estimator, Learned):
        return {}
    highest = np.array([success.max() for success in failed])
    alarms = {"false_alarms": float((highest > 0.5).mean())}
    # of too few failed calibration episodes, or none, nothing can be promised
    with suppress(InvalidValue):
        alarms["false_alarms_promised"] = float((highest > estimator.success_threshold(PROMISED)).mean())
    return alarms
