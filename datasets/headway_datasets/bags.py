"""Reading ROS bags, of ROS 1 and ROS 2, as episodes."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from headway.episodes import Array, Episode
from headway.errors import DatasetError, UnknownName, VideoError, VideoTooShort
from headway_datasets.bag_files import Bag, bags_in, files_of, is_bag
from headway_datasets.bag_index import BagIndex, Track, as_message, read_index
from headway_datasets.cameras import renamed
from headway_datasets.fingerprint import fingerprint
from headway_datasets.ros_images.decoding import FrameError, decode
from headway_datasets.video import file_identity

SECOND = 1_000_000_000
SAME_CLOCK = SECOND
"""Nanoseconds by which the delays from stamp to logging of topics may differ; more means clocks of their own."""


@dataclass(frozen=True, repr=False)
class BagFrames:
    """One camera over one episode, read and decoded while it is iterated over (`headway.episodes.Frames`).

    Attributes:
        path: the bag.
        track: the camera's messages.
        picked: int64 (time,), rising: the number of the message that is each frame.
        label: which episode and camera it is, for messages.

    Raises VideoError where a picture cannot be decoded, VideoTooShort where the bag has become shorter.
    """

    path: Path
    track: Track
    picked: Array
    label: str

    @property
    def identity(self) -> str | None:
        """From where the files lie, their sizes and times of change, and what is picked; None where they are gone."""
        picked = hashlib.sha256(self.picked.astype("<i8").tobytes()).hexdigest()
        if not self.path.is_dir():
            return file_identity(self.path, self.track.topic, picked)
        parts = [file_identity(path, self.track.topic, picked) for path in files_of(self.path)]
        return f"files-{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}" if parts else None

    def __len__(self) -> int:
        return len(self.picked)

    def __repr__(self) -> str:
        return f"BagFrames({self.label}, {len(self)})"

    def __iter__(self) -> Iterator[Array]:
        place, start = 0, int(self.track.logged[self.picked[0]])
        number = int(np.searchsorted(self.track.logged, start))
        with Bag(self.path) as bag:
            for topic, _, raw in bag.messages([self.track.topic], start=start):
                times = int(np.searchsorted(self.picked, number, "right")) - place
                if times:
                    picture = self._decoded(bag.read(topic, raw), place)
                    for _ in range(times):
                        yield picture
                place, number = place + times, number + 1
                if place == len(self.picked):
                    return
        raise VideoTooShort(f"{self.label}: {self.path} holds {place} of the {len(self)} frames it had; copy it again")

    def _decoded(self, message: Any, frame: int) -> Array:
        try:
            return decode(as_message(message), self.track.kind)
        except FrameError as error:
            raise VideoError(
                f"{self.label}: frame {frame} of {self.path} is no picture ({error}); leave the episode out"
            ) from error


@dataclass(frozen=True)
class _Span:
    """One episode: from which bag, and which message is each frame of each camera and the state at it."""

    index: BagIndex
    picked: Mapping[str, Array]
    joints: Array | None
    seconds: Array
    fps: float
    instruction: str | None


class Bags:
    """A bag, or a folder of bags (`headway.source.Source`): ROS 1 `.bag`, ROS 2 folders, `.db3` and `.mcap`.

    - A bag is an episode. A recording that `headway bridge` made is split where its episodes begin; of those with fewer
      than two pictures nothing is known of time, and they are left out. One that was cut off is read up to the cut.
    - Topics of `sensor_msgs/Image` and `sensor_msgs/CompressedImage` are cameras, called as their topics, or as the
      recording's configuration calls them. `T/compressed` beside `T` is the same camera; depth is none. All episodes
      have the cameras that every bag has.
    - The positions of `sensor_msgs/JointState` are the state: on `/joint_states`, or else on the first such topic. The
      joints are those of the topic's first message; messages that lack one of them, or hold a NaN, are passed over.
    - The last `std_msgs/String` before the first picture on a topic `.../task` (`instruction`, `prompt`,
      `language_instruction`) is the instruction, or else the first behind it.
    - Times are the headers' stamps, where all of an episode are set, rise and are of one clock; else those of logging.
    - Frames are steady: at the median rate of the slowest camera, each the nearest picture of every camera and the
      nearest joints. Where a camera was silent for longer than two frames there are none, and timestamps have a gap.

    Opening reads each bag once, to see what its messages are of. Nothing is written.

    Args:
        root: a bag, or a folder with bags right in it.
        rename: old name -> new name of cameras.
        cameras: look at no others, so that they need not be of the same time; None for all.

    Raises DatasetError for bags that are damaged, lack pictures or have no camera in common; UnknownName for a
    camera that does not exist; Unsupported without rosbags.
    """

    format = "bag"
    stage_names: tuple[str, ...] | None = None
    dense_stage_names: tuple[str, ...] | None = None

    def __init__(self, root: Path | str, rename: Mapping[str, str] | None = None, cameras: Sequence[str] | None = None):
        self.root = Path(root)
        paths = [self.root] if is_bag(self.root) else bags_in(self.root)
        if not paths:
            raise DatasetError(f"{self.root} holds no bags")
        try:
            self._prints = {path: fingerprint(path.parent, files_of(path)) for path in paths}
            self.fingerprint = _digest(*self._prints.values())
            indices = [read_index(path) for path in paths]
        except OSError as error:
            raise DatasetError(f"{self.root} cannot be read: {error}; check its permissions") from error
        self._names = _named(indices, rename, cameras)
        self.cameras = tuple(next(iter(self._names.values())))
        self._spans = [span for index in indices for span in _spans(index, list(self._names[index.path].values()))]
        if not self._spans:
            raise DatasetError(f"{self.root} holds no episode of two pictures or more; record a longer one")
        self.episode_indices: Sequence[int] = range(len(self._spans))
        self._starts = list(accumulate((len(span.seconds) for span in self._spans), initial=0))

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(index) for index in self.episode_indices)

    def __repr__(self) -> str:
        return f"Bags({str(self.root)!r}, episodes={len(self)}, cameras={list(self.cameras)})"

    def episode(self, index: int) -> Episode:
        """One episode by its number; its pictures are not decoded yet. Raises UnknownName."""
        if not 0 <= index < len(self):
            raise UnknownName("episode", str(index), [f"0 to {len(self) - 1}"])
        span = self._spans[index]
        path = span.index.path
        cameras = {
            name: BagFrames(path, span.index.cameras[own], span.picked[own], f"episode {index}, camera {name}")
            for name, own in self._names[path].items()
        }
        return Episode(
            index=index,
            first_frame=self._starts[index],
            fps=span.fps,
            cameras=cameras,
            instruction=span.instruction,
            state=None if span.joints is None else span.index.positions[span.joints],
            state_names=None if span.joints is None else span.index.joint_names,
            timestamps=span.seconds,
            recording=_digest(self._prints[path], str(next(iter(span.picked.values()))[0])),
        )


def _named(
    indices: Sequence[BagIndex], rename: Mapping[str, str] | None, wanted: Sequence[str] | None
) -> dict[Path, dict[str, str]]:
    """Of each bag, the cameras that all have, and that are wanted, -> its own names of them."""
    changes = dict(rename or {})
    known = dict.fromkeys(name for index in indices for name in index.cameras)
    for old in changes:
        if old not in known:
            raise UnknownName("camera to rename", old, known)
    named = {}
    for index in indices:
        own = {old: new for old, new in changes.items() if old in index.cameras}
        named[index.path] = {new: old for old, new in renamed(list(index.cameras), own).items()}
    first, *others = named.values()
    common = [name for name in first if all(name in names for names in others)]
    if not common:
        held = "; ".join(f"{path.name}: {', '.join(names)}" for path, names in list(named.items())[:3])
        raise DatasetError(f"the bags have no camera in common ({held}); call them alike with --rename OLD=NEW")
    for name in wanted or ():
        if name not in common:
            raise UnknownName("camera", name, common)
    common = [name for name in common if wanted is None or name in wanted]
    return {path: {name: names[name] for name in common} for path, names in named.items()}


def _spans(index: BagIndex, cameras: Sequence[str]) -> list[_Span]:
    """The episodes of one bag."""
    if index.begins is None:
        found = _span(index, cameras, 0, 2**63 - 1, _instruction(index))
        if found is None:
            counts = ", ".join(f"{name} {len(index.cameras[name].logged)}" for name in cameras)
            raise DatasetError(
                f"{index.path} holds no two pictures of each camera at the same time (pictures: {counts}); "
                "choose others with --cameras or record a longer one"
            )
        return [found]
    ends = [time for time, _ in index.begins[1:]] + [2**63 - 1]
    found_spans = [
        _span(index, cameras, begin, end, task or None) for (begin, task), end in zip(index.begins, ends, strict=False)
    ]
    return [span for span in found_spans if span is not None]


def _digest(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def _instruction(index: BagIndex) -> str | None:
    first = min(int(track.logged[0]) for track in index.cameras.values())
    before = [text for time, text in index.told if time <= first]
    after = [text for time, text in index.told if time > first]
    return before[-1] if before else after[0] if after else None


def _span(index: BagIndex, cameras: Sequence[str], begin: int, end: int, instruction: str | None) -> _Span | None:
    """The episode logged from `begin` to before `end`; None where it has no two frames."""
    tracks = {name: index.cameras[name] for name in cameras}
    everything = [*tracks.values(), *([index.joints] if index.joints else [])]
    parts = [slice(*np.searchsorted(track.logged, (begin, end))) for track in everything]
    if any(part.stop - part.start < 2 for part in parts[: len(tracks)]):
        return None
    times = _times(everything, parts)
    seen, firsts = times[: len(tracks)], [part.start for part in parts]
    fps = _rate(max(_period(own) for own in seen))
    if fps is None:
        return None
    start, stop = max(own[0] for own in seen), min(own[-1] for own in seen)
    steady = start + np.round(np.arange(int((stop - start) * fps / SECOND + 1e-3) + 1) * (SECOND / fps)).astype(
        np.int64
    )
    nearest = [_nearest(own, steady) for own in seen]
    apart = [np.abs(own[place] - steady) for own, place in zip(seen, nearest, strict=True)]
    kept = np.all(np.stack(apart) <= 1.001 * SECOND / fps, axis=0)
    if kept.sum() < 2:
        return None
    picked = {name: nearest[n][kept] + firsts[n] for n, name in enumerate(tracks)}
    joints = None
    if index.joints is not None:
        own = times[-1]
        if not len(own):
            raise DatasetError(f"{index.path}: {index.joints.topic} tells no joints during an episode; leave it out")
        joints = _nearest(own, steady[kept]) + firsts[-1]
    return _Span(index, picked, joints, (steady[kept] - start) / SECOND, fps, instruction)


def _times(tracks: Sequence[Track], parts: Sequence[slice]) -> list[Array]:
    """When each message is of, nanoseconds: by its stamp where that can be trusted, else by its logging."""
    logged = [track.logged[part] for track, part in zip(tracks, parts, strict=True)]
    stamped = [track.stamped[part] for track, part in zip(tracks, parts, strict=True)]
    rising = all((own > 0).all() and (np.diff(own) >= 0).all() for own in stamped)
    delays = [np.median(of_log - of_stamp) for of_log, of_stamp in zip(logged, stamped, strict=True) if len(of_stamp)]
    return stamped if rising and max(delays) - min(delays) <= SAME_CLOCK else logged


def _period(times: Array) -> float:
    """Nanoseconds between pictures: the median; where single ones were lost or late, their mean with those counted."""
    steps = np.diff(times)
    median = float(np.median(steps))
    if median <= 0:
        return 0.0
    # a silence says nothing of the rate
    steps = steps[steps < 10 * median]
    return float(steps.sum() / np.maximum(1, np.round(steps / median)).sum())


def _rate(period: float) -> float | None:
    """Frames per second of a period in nanoseconds: whole where it is within 2 % of that."""
    if period <= 0:
        return None
    fps = SECOND / period
    whole = round(fps)
    return float(whole) if whole and abs(fps - whole) <= 0.02 * whole else round(fps, 3)


def _nearest(times: Array, wanted: Array) -> Array:
    """Which of `times`, rising, is nearest to each wanted one; the earlier of two that are as near."""
    after = np.clip(np.searchsorted(times, wanted), 1, max(1, len(times) - 1))
    if len(times) == 1:
        return np.zeros(len(wanted), np.int64)
    return np.where(times[after] - wanted < wanted - times[after - 1], after, after - 1)
