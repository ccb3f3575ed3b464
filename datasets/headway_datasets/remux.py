"""Stretches of video copied from file to file packet by packet, without decoding.

A stretch can be copied when decoding may begin at a key frame at or before it. The pictures from that key frame to the
stretch's first are copied along and belong to nobody: LeRobot tells by time where an episode begins in its file.
"""

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from headway.errors import VideoError, VideoTooShort
from headway_datasets import lerobot_layout as layout
from headway_datasets.lerobot_parts import numbered
from headway_datasets.video import CODECS, UNEVEN_CODECS, VideoFrames, encode_video, video_stream

# of pictures copied along before a stretch there may be so many, in seconds; with more it is encoded anew
LEAD_IN_SECONDS = 0.5


@dataclass(frozen=True)
class Placed:
    """Where a stretch lies now: number of the file, and its first and end time there in seconds."""

    file: int
    start: float
    end: float
    copied: bool

    def columns(self, key: str) -> dict[str, Any]:
        """The columns of the episode table for a camera."""
        place = {
            "chunk_index": self.file // layout.FILES_IN_CHUNK,
            "file_index": self.file % layout.FILES_IN_CHUNK,
            "from_timestamp": self.start,
            "to_timestamp": self.end,
        }
        return {f"videos/{key}/{name}": value for name, value in place.items()}


class VideoCopies:
    """The video files of one camera, made of stretches of other files, one after another in one file where they fit.

    A new file is begun when the streams differ (codec, size, headers, clock), or the file is larger than `file_bytes`.

    Args:
        root: the dataset's folder.
        key: the camera's feature.
        fps: frames per second.
        file_bytes: how large a file may be before the next is begun.
        exact: never encode anew, whatever is copied along: the pixels are measurements (depth).
    """

    def __init__(self, root: Path, key: str, fps: float, file_bytes: int, exact: bool = False):
        self.key = key
        self._root = root
        self._fps = Fraction(fps).limit_denominator(100_000)
        self._file_bytes = file_bytes
        self._exact = exact
        self._file = -1
        self._output: Any = None
        self._source: _Opened | None = None

    def add_file(self, path: Path) -> int:
        """Copy a whole file as it is; returns its number."""
        self._end_output()
        self._file += 1
        shutil.copyfile(path, self._place())
        return self._file

    def add(self, path: Path, start: float, length: int, label: str) -> Placed:
        """Append `length` frames from `start` seconds of a file on.

        Raises VideoError, beginning with `label`, when the file cannot be read or holds fewer frames.
        """
        try:
            source = self._opened(path)
            run = source.run(start, length, self._fps, label)
        except av.error.FFmpegError as error:
            raise VideoError(
                f"{label}: {path} cannot be read ({str(error.strerror or error).rstrip('.')}); replace the file or "
                "leave the episode out"
            ) from error
        if run is None or (not self._exact and run.lead_in > LEAD_IN_SECONDS * float(self._fps)):
            return self._encoded(path, start, length, label, source.codec)
        return self._copied(source, run, length)

    def close(self) -> None:
        """Write the open file's index and let go of the source."""
        self._end_output()
        self._let_go()

    def abandon(self) -> None:
        """Close without caring whether the file is complete."""
        try:
            self.close()
        except (OSError, av.error.FFmpegError):
            self._output = None

    def _encoded(self, path: Path, start: float, length: int, label: str, codec: str) -> Placed:
        if self._exact:
            raise VideoError(f"{label}: {path} cannot be cut without encoding depth anew, which would change it")
        again = self._root / f".{self.key}.mp4"
        again.parent.mkdir(parents=True, exist_ok=True)
        frames = VideoFrames(path, length, label, start, float(self._fps))
        encode_video(again, frames, float(self._fps), codec if codec in CODECS else "h264")
        try:
            source = _Opened(again)
            try:
                run = source.run(0.0, length, self._fps, label)
                assert run is not None, "what was just encoded begins with a key frame"
                placed = self._copied(source, run, length)
            finally:
                source.close()
        finally:
            again.unlink(missing_ok=True)
        return Placed(placed.file, placed.start, placed.end, copied=False)

    def _copied(self, source: "_Opened", run: "_Run", length: int) -> Placed:
        output = self._output_for(source)
        tick = source.time_base
        first = run.packets[0].pts
        shift = round(output.end / tick) - first
        for packet in run.packets:
            packet.pts += shift
            packet.dts = None if packet.dts is None else packet.dts + shift
            output.write(packet)
        start = (run.start + shift) * tick
        # the last frame is shown for as long as the others
        output.end = max((run.last + shift) * tick + 1 / self._fps, start + length / self._fps)
        return Placed(self._file, float(start), float(start + length / self._fps), copied=True)

    def _output_for(self, source: "_Opened") -> "_Output":
        if self._output is not None and (
            self._output.likeness != source.likeness or self._output.bytes > self._file_bytes
        ):
            self._end_output()
        if self._output is None:
            self._file += 1
            self._output = _Output(self._place(), source)
        return self._output

    def _place(self) -> Path:
        path = self._root / numbered(layout.VIDEO_PATH, self._file, video_key=self.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _end_output(self) -> None:
        output, self._output = self._output, None
        if output is not None:
            output.close()

    def _opened(self, path: Path) -> "_Opened":
        if self._source is None or self._source.path != path:
            self._let_go()
            self._source = _Opened(path)
        return self._source

    def _let_go(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()


@dataclass(frozen=True)
class _Run:
    """Packets in the order of decoding, from a key frame on; times in ticks of the source's clock.

    `start` and `last` are the first and last frame of the stretch, `lead_in` how many frames come before it.
    """

    packets: list[Any]
    start: int
    last: int
    lead_in: int


class _Opened:
    """A video file whose packets are read."""

    def __init__(self, path: Path):
        self.path = path
        self._container = av.open(str(path))
        try:
            self.stream = video_stream(self._container, path)
        except BaseException:
            self._container.close()
            raise
        context = self.stream.codec_context
        self.codec = context.name if context.name != "libdav1d" else "av1"
        self.time_base = self.stream.time_base
        self.likeness = (self.codec, context.width, context.height, context.extradata, self.time_base)
        self._waiting: list[Any] = []
        self._packets: Iterator[Any] | None = None

    def close(self) -> None:
        self._container.close()

    def run(self, start: float, length: int, fps: Fraction, label: str) -> _Run | None:
        """The packets of a stretch; None when they cannot be had without decoding. Raises VideoError when too few."""
        # half a frame before the first and the last but one; whole numbers, as they are held against every packet
        first, second, end = (
            math.ceil((Fraction(start) + (frame - Fraction(1, 2)) / fps) / self.time_base) for frame in (0, 1, length)
        )
        gathered: list[Any] = []
        count = 0
        for packet in self._from(max(0, round(Fraction(start) / self.time_base))):
            if packet.pts is None or packet.is_discard:
                return None
            # whatever came before a key frame is not needed for what follows it
            if packet.is_keyframe and packet.pts < second:
                gathered, count = [], 0
            gathered.append(packet)
            count += first <= packet.pts < end
            if count == length:
                break
        else:
            raise VideoTooShort(
                f"{label}: {self.path} holds {count} of the {length} frames it should; it was cut short: replace the "
                "file or leave the episode out"
            )
        return None if self.codec in UNEVEN_CODECS else self._checked(gathered, first, end)

    def _checked(self, gathered: list[Any], first: int, end: int) -> _Run | None:
        """None when a picture needs one that was shown before the key frame, or that is shown after the stretch."""
        key = gathered[0]
        times = [packet.pts for packet in gathered]
        if not key.is_keyframe or min(times) < key.pts or max(times) >= end:
            return None
        inside = [time for time in times if time >= first]
        return _Run(gathered, min(inside), max(inside), len(times) - len(inside))

    def _from(self, tick: int) -> Iterator[Any]:
        """All packets from the key frame at or before `tick` on; those read in vain before come again."""
        self._container.seek(tick, stream=self.stream)
        return (packet for packet in self._container.demux(self.stream) if packet.size)


class _Output:
    """One mp4 file that takes packets of like streams; `end` is where the next stretch may begin, in seconds."""

    def __init__(self, path: Path, source: _Opened):
        self.likeness = source.likeness
        self.end = Fraction(0)
        self.bytes = 0
        self._container = av.open(str(path), "w", format="mp4")
        self._stream = self._container.add_stream_from_template(source.stream, opaque=True)
        self._stream.time_base = source.time_base

    def write(self, packet: Any) -> None:
        packet.stream = self._stream
        self.bytes += packet.size
        self._container.mux_one(packet)

    def close(self) -> None:
        self._container.close()
