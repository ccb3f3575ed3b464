"""Recording a run beside an arm, so that it can be looked at with any tool, replayed, and scored as a data set.

The file is MCAP, of ROS 2. It holds

    /headway/recording    what it is of: configuration, estimator, versions; `records.Header`
    /headway/events       every event and all that it led to, exact, one line of JSON each; `records.Line`
    /headway/log          lines that no event led to
    /headway/end          written by `close`: how many events, and whether all was recorded
    the cameras' topics   the pictures that were looked at, as they came; of the others events keep stamp and digest
    the joints' topic     every JointState
    NAMESPACE/...         every message that the node published, likewise /diagnostics

and a line of events comes after the messages that belong to it, so that a file which was cut off is whole up to its
last line. It grows by 4 MB a minute without pictures (six joints at 50 Hz), and with one camera of 640x480 looked at 16
times a second by 48 MB in JPEG of 45 KB each, by 900 MB raw.

A process that is killed loses what waited for the writing thread: some milliseconds, unless the disk is slow. A power
cut loses what the operating system held, some seconds. The file is written in place: a log of what is going on cannot
be written beside its place and moved there at the end.
"""

import logging
import platform
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from headway.estimator import Estimator
from headway.files import output_error
from headway_envs.ros.config import BridgeConfig, to_yaml
from headway_envs.ros.events import Effect, Event, JointsArrived, Published, ViewTaken
from headway_envs.ros.messages import MessageError
from headway_envs.ros.node import TOPICS
from headway_envs.ros.recording.mcap import McapLog
from headway_envs.ros.recording.records import END, EVENTS, LOG, RECORDING, Header, as_json, write_line
from headway_envs.ros.recording.typed import Types, three_part
from headway_envs.ros.transport import Message

TEXT = "std_msgs/String"
PICTURES_WAITING = 64 << 20
"""Bytes of pictures that may wait for the disk; more are not recorded."""
EVENTS_WAITING = 20_000
"""Events that may wait, some two minutes of them; more are not recorded."""
ODD = 1 << 20
"""Bytes of a picture that is not what its type says, and yet is kept."""
CLOSING = 10.0


@dataclass
class _Waiting:
    """One event on its way to the disk, or a line without one.

    Attributes:
        pictures: of a ViewTaken, camera -> message, of those not handed over before.
        numbers: of a ViewTaken, camera -> number of the picture's arrival.
    """

    number: int
    event: Event | None
    effects: Sequence[Effect] = ()
    pictures: dict[str, Message] = field(default_factory=dict)
    size: int = 0
    log: tuple[str, str] | None = None


class Recorder:
    """Writes everything that the node sees and says; an `Observer` that never holds up the node.

    When the disk is slow, pictures are left out first, then events, and the recording says that it is `incomplete`.
    When it is full, or gone, the recording ends where it is, `tell` is given one line, and the node runs on.

    Args:
        path: of the file, which must not exist.
        config: the node's.
        estimator: whose readings it tells.
        wall: `Node.wall`.
        pilot: name of the policy that drives; empty without one.
        device: where the estimator runs.
        tell: is given a level and a line when recording fails; default: the log.

    Attributes:
        incomplete: why not everything was recorded; empty when it was.
        bytes: written so far.

    Raises OutputError when the file exists or cannot be made, Unsupported without rosbags.
    """

    def __init__(
        self,
        path: Path,
        config: BridgeConfig,
        estimator: Estimator,
        wall: float,
        *,
        pilot: str = "",
        device: str = "cpu",
        tell: Callable[[str, str], None] | None = None,
    ):
        self.path, self._config, self._wall = path, config, wall
        self.header = _header(config, estimator, wall, pilot, device)
        self.incomplete = ""
        self._tell = tell or (lambda level, text: logging.getLogger(__name__).warning(text))
        self._types = Types()
        self._log = McapLog(path, f"headway-{_version('headway')}")
        self._channels: dict[str, int] = {}
        self._stored: dict[str, int] = {}
        self._odd: dict[str, tuple[int, Message]] = {}
        self._early: list[tuple[str, str]] = []
        self._handed: dict[str, int] = {}
        self._waiting: deque[_Waiting] = deque()
        self._pictures_waiting = 0
        self._number = 0
        self._time = 0.0
        self._lock = threading.Condition()
        self._ended = self._failed = False
        self._thread = threading.Thread(target=self._run, name="headway-recorder", daemon=True)
        self._thread.start()

    @property
    def bytes(self) -> int:
        return self._log.bytes

    # ---- the node's thread ----

    def saw(self, event: Event, effects: Sequence[Effect], pictures: Mapping[int, Message]) -> None:
        """Take an event, and the pictures that are to be looked at."""
        with self._lock:
            number, self._number = self._number, self._number + 1
            if self._ended or self._failed:
                return
            if len(self._waiting) >= EVENTS_WAITING:
                self.incomplete = "the disk was too slow for the events"
                return
            waiting = _Waiting(number, event, tuple(effects))
            if isinstance(event, ViewTaken):
                self._hand_over(waiting, event, pictures)
            self._put(waiting)

    def say(self, level: str, text: str) -> None:
        """Take a line that no event led to."""
        with self._lock:
            if not self._ended and not self._failed and len(self._waiting) < EVENTS_WAITING:
                self._put(_Waiting(-1, None, log=(level, text)))

    def close(self) -> None:
        """Write what waits, and the end; once more does nothing."""
        with self._lock:
            self._ended = True
            self._lock.notify()
        self._thread.join(CLOSING)
        if self._thread.is_alive():
            self._tell(
                "error", f"{self.path} was not finished within {CLOSING:.0f} s; it holds what the disk has taken"
            )

    def _hand_over(self, waiting: _Waiting, event: ViewTaken, pictures: Mapping[int, Message]) -> None:
        for camera, number in event.pictures.items():
            if self._handed.get(camera) == number or number not in pictures:
                continue
            size = _size(pictures[number])
            if self._pictures_waiting and self._pictures_waiting + size > PICTURES_WAITING:
                self.incomplete = self.incomplete or "the disk was too slow for the pictures"
                continue
            self._handed[camera] = number
            waiting.pictures[camera] = pictures[number]
            waiting.size += size

    def _put(self, waiting: _Waiting) -> None:
        self._pictures_waiting += waiting.size
        self._waiting.append(waiting)
        self._lock.notify()

    # ---- the writing thread ----

    def _run(self) -> None:
        try:
            while (waiting := self._take()) is not None:
                self._write(waiting)
                with self._lock:
                    self._pictures_waiting -= waiting.size
            self._finish()
        except OSError as error:
            self._fail(str(output_error(self.path, error)))
        # whatever else is wrong with the recording, it must not be the arm's trouble
        except Exception as error:  # noqa: BLE001
            self._fail(f"{self.path} cannot be written: {type(error).__name__}: {' '.join(str(error).split())}")

    def _fail(self, reason: str) -> None:
        with self._lock:
            self._failed = True
            self._waiting.clear()
            self.incomplete = reason
        self._log.abandon()
        self._tell("error", f"the recording ended: {reason}")

    def _take(self) -> _Waiting | None:
        with self._lock:
            while not self._waiting and not self._ended:
                self._lock.wait()
            return self._waiting.popleft() if self._waiting else None

    def _write(self, waiting: _Waiting) -> None:
        event = waiting.event
        if event is None:
            assert waiting.log is not None
            self._early.append(waiting.log)
        else:
            self._time = event.time
            self._begin()
        # what is said before the first event has no time yet
        while self._channels and self._early:
            level, text = self._early.pop(0)
            self._text(LOG, as_json({"level": level, "text": text}))
        if event is None:
            return
        stored, odd = self._write_pictures(event, waiting.pictures) if isinstance(event, ViewTaken) else ([], {})
        topics = self._config.topics
        if isinstance(event, JointsArrived):
            self._typed(topics.joints, "sensor_msgs/JointState", event.message)
        for effect in waiting.effects:
            if isinstance(effect, Published):
                self._typed(*place_of(effect.topic, self._config), effect.message)
        self._text(EVENTS, write_line(waiting.number, event, waiting.effects, stored, odd))

    def _write_pictures(
        self, event: ViewTaken, pictures: Mapping[str, Message]
    ) -> tuple[list[str], dict[str, Message]]:
        """The cameras whose picture is in the file, and those pictures that have to go into the line itself."""
        odd = {}
        for camera, message in pictures.items():
            if self._typed(self._config.topics.cameras[camera], self._config.topics.image_kind, message):
                self._stored[camera] = event.pictures[camera]
            elif len(as_json(message)) <= ODD:
                self._odd[camera] = event.pictures[camera], message
            else:
                self.incomplete = "a picture was no message of its type, and too large to be kept"
        stored = [camera for camera, number in event.pictures.items() if self._stored.get(camera) == number]
        odd = {camera: message for camera, (number, message) in self._odd.items() if event.pictures[camera] == number}
        return stored, odd

    def _begin(self) -> None:
        if not self._channels:
            self._text(RECORDING, self.header.to_json())

    def _finish(self) -> None:
        self._begin()
        self._text(END, as_json({"events": self._number, "incomplete": self.incomplete}))
        self._log.close()

    def _text(self, topic: str, text: str) -> None:
        self._typed(topic, TEXT, {"data": text})

    def _typed(self, topic: str, kind: str, message: Any) -> bool:
        """Write a message; False where it is not what its type says."""
        try:
            data = self._types.pack(kind, message)
        except MessageError:
            return False
        if topic not in self._channels:
            self._channels[topic] = self._log.channel(topic, three_part(kind), self._types.definition(kind))
        self._log.message(self._channels[topic], round((self._wall + self._time) * 1e9), data)
        return True


def place_of(topic: str, config: BridgeConfig) -> tuple[str, str]:
    """Full name and type of a topic that the node publishes on."""
    if topic == "diagnostics":
        return "/diagnostics", "diagnostic_msgs/DiagnosticArray"
    return config.topics.own(topic), config.topics.command_kind if topic == "command" else TOPICS[topic]


def versions() -> dict[str, str]:
    """Of what the numbers depend on."""
    own = {name: _version(name) for name in ("headway", "torch", "numpy", "opencv-python-headless")}
    return own | {"python": platform.python_version(), "machine": platform.machine()}


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "unknown"


def _header(config: BridgeConfig, estimator: Estimator, wall: float, pilot: str, device: str) -> Header:
    topics = config.topics
    return Header(
        config=yaml.safe_load(to_yaml(config)),
        estimator=config.estimator,
        fingerprint=estimator.fingerprint,
        model=f"{estimator.name} {estimator.fingerprint}",
        pilot=pilot,
        wall=wall,
        device=device,
        threads=torch.get_num_threads(),
        versions=versions(),
        cameras=dict(topics.cameras),
        joints=topics.joints if config.arm.joints else "",
        joint_names=config.arm.joints,
    )


def _size(message: Message) -> int:
    data = message.get("data")
    return len(data) if isinstance(data, bytes | bytearray) else 0
