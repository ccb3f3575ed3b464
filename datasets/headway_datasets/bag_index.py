"""One pass over a bag: which of its topics are cameras, joints and instructions, and when each message is of."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from headway.episodes import Array
from headway.errors import DatasetError
from headway_datasets.bag_files import Bag
from headway_datasets.ros_images.decoding import DepthImage, FrameError, UnknownEncoding, decode

IMAGES = ("sensor_msgs/Image", "sensor_msgs/CompressedImage")
JOINTS = "sensor_msgs/JointState"
TEXT = "std_msgs/String"
INSTRUCTIONS = ("task", "instruction", "language_instruction", "prompt")
"""Last part of the names of topics that tell what to do."""

RECORDING = "/headway/recording"
EVENTS = "/headway/events"
"""Topics of a recording that `headway bridge` made: what it is of, and everything that happened, as JSON."""


@dataclass
class Track:
    """The messages of one topic, in order of their logging.

    Attributes:
        topic, kind: its name and type.
        logged: int64 (message,), nanoseconds.
        stamped: int64 (message,), the headers' stamps in nanoseconds, 0 where there is none.
    """

    topic: str
    kind: str
    logged: Array
    stamped: Array


@dataclass
class BagIndex:
    """What is known of a bag without keeping its pictures.

    Attributes:
        path: where it lies.
        cameras: name -> its pictures.
        joints: the messages that tell every joint, if any.
        joint_names: in the order of `positions`.
        positions: float32 (message, joint).
        told: time of logging and text of each instruction.
        begins: of a recording that `headway bridge` made: when each of its episodes begins, and its instruction.
    """

    path: Path
    cameras: dict[str, Track] = field(default_factory=dict)
    joints: Track | None = None
    joint_names: tuple[str, ...] = ()
    positions: Array = field(default_factory=lambda: np.empty((0, 0), np.float32))
    told: list[tuple[int, str]] = field(default_factory=list)
    begins: list[tuple[int, str]] | None = None


def read_index(path: Path) -> BagIndex:
    """Read a bag once. Raises DatasetError where it is damaged or holds no pictures that can be seen."""
    with Bag(path) as bag:
        return _Indexer(bag).run()


def as_message(picture: Any) -> dict[str, Any]:
    """A picture's message as `ros_images` takes it."""
    fields = ("format",) if hasattr(picture, "format") else ("height", "width", "encoding", "is_bigendian", "step")
    return {name: getattr(picture, name) for name in (*fields, "data")}


class _Indexer:
    def __init__(self, bag: Bag):
        self._bag = bag
        self._types = bag.types
        self._told: list[tuple[int, str]] = []
        self._begins: list[tuple[int, str]] = []
        self._times: dict[str, list[tuple[int, int]]] = {}
        self._rows: list[list[float]] = []
        self._refused: dict[str, str] = {}
        self._ours = self._recording() if RECORDING in bag.types else None
        joints = [topic for topic, kind in bag.types.items() if kind == JOINTS]
        self._joints = min(joints, key=lambda topic: (topic != "/joint_states", topic), default=None)
        self._joint_names: tuple[str, ...] = ()
        self._texts = [
            topic
            for topic, kind in bag.types.items()
            if kind == TEXT and topic.rsplit("/", maxsplit=1)[-1] in INSTRUCTIONS
        ]
        if self._ours is not None:
            self._joints = self._ours["joints"] or None
            self._joint_names = tuple(self._ours["joint_names"])

    def _recording(self) -> dict[str, Any]:
        """What a recording of ours says that it is of."""
        for topic, _, raw in self._bag.messages([RECORDING]):
            try:
                said: dict[str, Any] = json.loads(self._bag.read(topic, raw).data)
                cameras = {str(topic): str(name) for name, topic in said["cameras"].items()}
                names = [str(name) for name in said["joint_names"]]
                return {"cameras": cameras, "joints": str(said["joints"]), "joint_names": names}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DatasetError(
                    f"{self._bag.path}: {RECORDING} is not what headway bridge writes; rename it"
                ) from error
        raise DatasetError(f"{self._bag.path} was cut off before anything was recorded")

    def run(self) -> BagIndex:
        images = self._image_topics()
        others = [topic for topic in (self._joints, *self._texts) if topic in self._types]
        if self._ours is not None:
            others = [topic for topic in (self._joints, EVENTS) if topic in self._types]
        for topic, time, raw in self._bag.messages([*images, *others]):
            if topic in self._refused:
                continue
            message = self._bag.read(topic, raw)
            if topic in images:
                self._see(topic, time, message)
            elif topic == self._joints:
                self._feel(topic, time, message)
            else:
                self._hear(topic, time, message.data)
        return self._made(images)

    def _image_topics(self) -> dict[str, str]:
        """Topic -> camera."""
        if self._ours is not None:
            cameras = {topic: name for topic, name in self._ours["cameras"].items() if topic in self._types}
        else:
            topics = [topic for topic, kind in self._types.items() if kind in IMAGES]
            # the same picture once more
            twins = {f"{topic}/compressed" for topic in topics}
            cameras = {topic: topic for topic in sorted(topics) if topic not in twins}
        if not cameras:
            held = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(self._types.items())[:6]) or "nothing"
            raise DatasetError(
                f"{self._bag.path} has no pictures: it holds {held}; record a topic of {' or '.join(IMAGES)} with it"
            )
        return cameras

    def _see(self, topic: str, time: int, message: Any) -> None:
        if topic not in self._times:
            try:
                decode(as_message(message), self._types[topic])
            except (DepthImage, UnknownEncoding) as error:
                self._refused[topic] = str(error)
                return
            except FrameError:
                # one picture may be damaged; whoever looks at it is told
                pass
        self._times.setdefault(topic, []).append((time, _stamp(message)))

    def _feel(self, topic: str, time: int, message: Any) -> None:
        told = dict(zip(message.name, message.position.tolist(), strict=False))
        if not self._joint_names and len(message.name) == len(message.position):
            self._joint_names = tuple(message.name)
        row = [told.get(name, np.nan) for name in self._joint_names]
        if row and np.isfinite(row).all():
            self._times.setdefault(topic, []).append((time, _stamp(message)))
            self._rows.append(row)

    def _hear(self, topic: str, time: int, text: str) -> None:
        if topic != EVENTS:
            self._told += [(time, text.strip())] if text.strip() else []
        elif '"ViewTaken"' in text:
            try:
                event = json.loads(text)
                if event["event"] == "ViewTaken" and event["restart"]:
                    self._begins.append((time, str(event["task"])))
            except (ValueError, KeyError, TypeError) as error:
                raise DatasetError(f"{self._bag.path}: an event of {EVENTS} cannot be read; copy it again") from error

    def _made(self, images: dict[str, str]) -> BagIndex:
        seen = {camera: self._track(topic) for topic, camera in images.items() if topic in self._times}
        if not seen:
            why = "; ".join(f"{topic}: {reason}" for topic, reason in self._refused.items())
            raise DatasetError(
                f"{self._bag.path} has no pictures that can be seen: {why or f'no message on {", ".join(images)}'}"
            )
        index = BagIndex(self._bag.path, seen, told=self._told)
        if self._joints is not None and self._rows:
            index.joints, index.joint_names = self._track(self._joints), self._joint_names
            index.positions = np.asarray(self._rows, np.float32)
        if self._ours is not None:
            index.begins = self._begins
        return index

    def _track(self, topic: str) -> Track:
        logged, stamped = np.asarray(self._times[topic], np.int64).T
        return Track(topic, self._types[topic], logged, stamped)


def _stamp(message: Any) -> int:
    """Nanoseconds; 0 where none was set."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
