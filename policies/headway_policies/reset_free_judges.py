"""Who says that an attempt is over and has come off: a learned success classifier behind a detector, or the truth.

What looks done from the beginning is none of the attempt's doing. So nothing counts before it has looked undone once:
a way back that begins with the cube on the table has come off when the hand has been at it and is away again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from headway.episodes import Episode
from headway.errors import InvalidValue
from headway.estimator import Stream, StreamingEstimator
from headway.signals.detector import Calibrated, DetectorConfig, Readings, SuccessDetector, calibrate_detector
from headway_envs.simulator import Simulator
from headway_envs.tasks.base import Situation, Task

Truths = Mapping[str, Callable[[Task, Situation], bool]]
"""Of each direction: whether its task is done. Judges that learn are never given one."""


class Judge(Protocol):
    """Watches one attempt after another."""

    def begin(self, direction: str) -> None:
        """A new attempt in that direction begins."""
        ...

    def done(self, simulator: Simulator, step: int) -> bool:
        """Whether it declares a success; asked before the first step (0) and after each."""
        ...


@dataclass(frozen=True)
class Direction:
    """What a learned judge needs of one direction: what it is called to the classifier, and its detector."""

    instruction: str
    detector: Calibrated


class LearnedJudge:
    """A classifier looks at every `every`-th picture of one camera, and a detector at what it says.

    Of the simulator it takes pictures alone.

    Args:
        classifier: tells success and runs along.
        directions: by name.
        camera, size: what it sees; the size in pixels that it was trained with.
        every: control steps between two looks.
    """

    def __init__(
        self, classifier: StreamingEstimator, directions: Mapping[str, Direction], camera: str, size: int, every: int
    ):
        if every < 1:
            raise InvalidValue(f"a judge looks every 1 or more steps, got {every}")
        self._classifier, self._directions = classifier, directions
        self._camera, self._size, self._every = camera, size, every

    def begin(self, direction: str) -> None:
        wanted = self._directions[direction]
        self._stream: Stream = self._classifier.stream(wanted.instruction)
        self._detector = SuccessDetector(wanted.detector.config)
        self._off, self._undone = wanted.detector.config.off, False

    def done(self, simulator: Simulator, step: int) -> bool:
        if step % self._every == 0:
            pixels = simulator.frame(self._camera, self._size, self._size)
            reading = self._stream.push({self._camera: pixels}, step / simulator.fps)
            self._undone = self._undone or (reading.success is not None and reading.success < self._off)
            if self._undone:
                self._detector.push(reading)
        return self._detector.on


class TrueJudge:
    """Declares a success when the truth has held for `held` seconds: the upper bound that no robot has."""

    def __init__(self, truths: Truths, held: float):
        self._truths, self._held = truths, held

    def begin(self, direction: str) -> None:
        self._truth, self._row, self._undone = self._truths[direction], 0, False

    def done(self, simulator: Simulator, step: int) -> bool:
        true = self._truth(simulator.task, simulator.situation())
        self._undone = self._undone or not true
        self._row = self._row + 1 if true and self._undone else 0
        return self._row >= max(1, round(self._held * simulator.fps))


def calibrate(
    classifier: StreamingEstimator,
    failures: Sequence[Episode],
    config: DetectorConfig,
    alpha: float,
    every: int,
    least: float = 0.5,
) -> Calibrated:
    """A detector whose threshold lets at most a share `alpha` of such failures pass, but none below `least`.

    Args:
        classifier: whose readings it gets.
        failures: of one direction, in which the task was never done and which the classifier did not learn from.
        config: all of the detector but its threshold.
        alpha: share of failures that may pass.
        every: steps between two looks, as the judge has it.
        least: threshold at least.

    Raises InvalidValue where a failure is labelled a success, or alpha does not fit their number.
    """
    if any(episode.success for episode in failures):
        raise InvalidValue("a detector is calibrated on failures; leave the successes out")
    readings = [
        Readings.of(curve, episode.fps)
        for episode, curve in zip(failures, classifier.estimate(failures, every), strict=True)
    ]
    # what lies between looks, and the last frame where it lies off them, the running judge never sees
    looks = [Readings(of.time, of.success, of.looked_at & (np.arange(len(of.time)) % every == 0)) for of in readings]
    return calibrate_detector(config, looks, alpha, least)
