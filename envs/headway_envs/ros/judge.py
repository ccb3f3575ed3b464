"""Looks at one view: decodes its pictures, asks the estimator, and the policy where there is one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from headway.episodes import Array
from headway.errors import Unsupported
from headway.estimator import Estimator, Reading, Stream, StreamingEstimator
from headway_datasets.ros_images.decoding import FrameError, decode
from headway_envs.ros.events import ViewTaken
from headway_envs.ros.transport import Message


class Pilot(Protocol):
    """Whoever drives the arm."""

    def begin(self) -> None:
        """An episode begins."""
        ...

    def act(self, frames: Mapping[str, Array], state: Array | None, seconds: float) -> Array:
        """The command for now, (command,), of pictures uint8 RGB (height, width, 3), the joints (joint,) and the time
        since the episode's first view."""
        ...


@dataclass(frozen=True)
class Judgement:
    """What came of a view; see `events.ViewJudged`."""

    reading: Reading | None = None
    command: tuple[float, ...] | None = None
    fault: str = ""
    damaged: bool = False


class Judge:
    """One estimator, and one pilot or none. What it says depends only on the views it was given, in their order.

    Raises Unsupported for an estimator that has to see the whole episode.
    """

    def __init__(self, estimator: Estimator, kind: str, pilot: Pilot | None = None):
        if not isinstance(estimator, StreamingEstimator) or estimator.needs.whole_episode:
            raise Unsupported(
                f"{estimator.name} cannot run beside an arm, because it has to see the whole episode; take a causal "
                "one, such as sarm:RUN"
            )
        if estimator.needs.truth:
            raise Unsupported(f"{estimator.name} reads the simulator's truth, which no arm has")
        self.estimator, self._kind, self._pilot = estimator, kind, pilot
        self._stream: Stream | None = None

    @property
    def model(self) -> str:
        """What results name it by."""
        return f"{self.estimator.name} {self.estimator.fingerprint}"

    def judge(self, taken: ViewTaken, pictures: Mapping[str, Message]) -> Judgement:
        """Look at a view: the message of each camera's picture. Never raises: a fault is told."""
        try:
            frames = {camera: decode(message, self._kind) for camera, message in pictures.items()}
        except FrameError as error:
            if taken.restart:
                self._stream = None
            return Judgement(fault=f"picture: {error.reason}", damaged=True)
        except Exception as error:  # noqa: BLE001 - a decoder that breaks down must not leave the node waiting for ever
            return Judgement(fault=f"decoder: {type(error).__name__}: {' '.join(str(error).split())}")
        state = None if taken.state is None else np.asarray(taken.state, np.float32)
        try:
            if taken.restart or self._stream is None:
                self._begin(taken.task)
            elif taken.anew and self._pilot is not None:
                self._pilot.begin()
            assert self._stream is not None
            reading = _plain(self._stream.push(frames, taken.seconds, state))
            command = None
            if self._pilot is not None:
                command = tuple(float(value) for value in self._pilot.act(frames, state, taken.seconds))
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the arm has to be stopped and told
            return Judgement(fault=f"model: {type(error).__name__}: {' '.join(str(error).split())}")
        return Judgement(reading, command)

    def _begin(self, task: str) -> None:
        self._stream = self.estimator.stream(task or None)
        if self._pilot is not None:
            self._pilot.begin()


def _plain(reading: Reading) -> Reading:
    """The same in Python's own numbers, which can be written down; what is no number is the model's fault."""
    success, uncertainty = (None if value is None else float(value) for value in (reading.success, reading.uncertainty))
    return Reading(float(reading.time), float(reading.progress), reading.stage, success, uncertainty)
