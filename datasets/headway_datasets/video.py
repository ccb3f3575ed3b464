"""Reading and writing video with PyAV, one frame after another.

OpenCV reads no frame of LeRobot's default AV1, and random access decodes most frames several times; a straight loop
decodes each once.
"""

import hashlib
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from headway.episodes import Array
from headway.errors import InvalidValue, UnknownName, VideoError, VideoTooShort
from headway.machine import codec_threads

# a packet of theirs may hold no picture (hidden alternate references, packed B-frames)
UNEVEN_CODECS = {"vp8", "mpeg4", "mpeg1video", "mpeg2video", "wmv3", "vc1"}

# g=2 is LeRobot's own choice: a random frame is never more than one frame away from a key frame
CODECS = {
    # no look-ahead: with it x264 wrote other bytes in one run of eight, and with two frames a group it gains nothing
    "h264": ("libx264", {"g": "2", "bf": "0", "crf": "20", "preset": "veryfast", "rc-lookahead": "0"}),
    "av1": ("libsvtav1", {"g": "2", "crf": "30", "preset": "12"}),
}


@dataclass(frozen=True)
class VideoFrames:
    """The stretch of a video file that one camera recorded during one episode (`headway.episodes.Frames`).

    Attributes:
        path: the file.
        length: how many frames the stretch has.
        label: which episode and camera it is, for messages.
        start: seconds into the file at which the stretch begins; None reads from the file's first frame and never
            looks at times.
        fps: frames per second of the stretch; needed with `start`.
        declared: how many frames the dataset says the video has of the stretch, where that is another matter than
            `length`.

    Iterating yields uint8 RGB (height, width, 3). Rotation metadata is not applied. Raises VideoError when the file
    cannot be read or breaks in the middle, VideoTooShort when it holds fewer frames.
    """

    path: Path
    length: int
    label: str
    start: float | None = None
    fps: float | None = None
    declared: int | None = None

    def __post_init__(self) -> None:
        if self.start is not None and not self.fps:
            raise InvalidValue(f"{self.label}: a stretch that starts at {self.start} s needs frames per second")

    @property
    def identity(self) -> str | None:
        """From where the file lies, its size and time of change, and the stretch; None where there is no file."""
        return file_identity(self.path, self.start, self.length, self.fps)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Array]:
        count = 0
        pictures = self._pictures()
        try:
            for picture in pictures:
                count += 1
                yield picture
                if count == self.length:
                    return
        except av.error.FFmpegError as error:
            raise VideoError(
                f"{self.label}: {self.path} cannot be decoded after {count} of {self.length} frames "
                f"({_reason(error)}); replace the file or leave the episode out"
            ) from error
        finally:
            pictures.close()
        raise VideoTooShort(
            f"{self.label}: {self.path} holds {count} of the {self.length} frames it should; it was cut short: "
            "replace the file or leave the episode out"
        )

    def _pictures(self) -> Generator[Array]:
        with av.open(str(self.path)) as container:
            stream = video_stream(container, self.path)
            reformatter = VideoReformatter()
            for frame in self._frames(container, stream):
                if frame.is_corrupt:
                    raise VideoError(
                        f"{self.label}: {self.path} is damaged at {frame.time:.2f} s; replace the file or leave the "
                        "episode out"
                    )
                yield reformatter.reformat(frame, format="rgb24").to_ndarray()

    def _frames(self, container: Any, stream: Any) -> Iterator[Any]:
        """The frames of the stretch: those within half a frame of its first and last moment."""
        if self.start is None:
            yield from container.decode(stream)
            return
        assert self.fps is not None
        first, last = self.start - 0.5 / self.fps, self.start + (self.length - 0.5) / self.fps
        if self.start > 0:
            container.seek(max(0, round(self.start / stream.time_base) - 1), stream=stream)
        for frame in container.decode(stream):
            if frame.time > last:
                return
            if frame.time >= first:
                yield frame


def file_identity(path: Path, *stretch: object) -> str | None:
    """Names a stretch of a file without reading it, by place, size and time of change; None when it is missing."""
    try:
        place = path.resolve()
        stat = place.stat()
    except OSError:
        return None
    text = repr((str(place), stat.st_size, stat.st_mtime_ns, *stretch))
    return f"file-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds: how many frames, frames per second (the average), (height, width) in pixels.

    Of a file that was cut short `frames` is how many it should have, so that reading it says so.
    """

    frames: int
    fps: float
    size: tuple[int, int]


def probe(path: Path) -> VideoInfo:
    """Count a video's frames without trusting its header, and say its rate and size.

    Packets are counted, which is cheap; they are decoded where a packet may hold no picture. Raises VideoError when
    the file is unreadable or has no frames.
    """
    try:
        with av.open(str(path)) as container:
            stream = video_stream(container, path)
            packets = [packet for packet in container.demux(stream) if packet.size]
            if not packets:
                raise VideoError(f"{path} is a video without frames; replace it or remove it")
            rate = stream.average_rate or _measured_rate(packets) or stream.guessed_rate
            missing = _missing_frames(container, stream, packets, float(rate or 0))
            codec = stream.codec_context
            name, size = codec.name, (codec.height, codec.width)
        frames = len(packets)
        if name in UNEVEN_CODECS or any(packet.is_discard for packet in packets):
            frames = _decoded_frames(path)
    except av.error.FFmpegError as error:
        raise VideoError(f"{path} cannot be read as a video ({_reason(error)}); replace it or remove it") from error
    if not rate:
        raise VideoError(f"{path} does not say how many frames per second it has; convert it to mp4")
    return VideoInfo(frames + missing, float(rate), size)


def _decoded_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        count = sum(1 for _ in container.decode(video_stream(container, path)))
    return count


def _measured_rate(packets: Sequence[Any]) -> float | None:
    """Frames per second by the packets' own times: fragmented mp4 declares none."""
    times = sorted(float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None)
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else None


def _missing_frames(container: Any, stream: Any, packets: Sequence[Any], rate: float) -> int:
    """How many frames the file's header promises beyond those that are there.

    mp4 and avi declare a number of frames; Matroska declares a duration, which is the video's own only when nothing
    else is in the file.
    """
    if stream.frames:
        return int(max(0, stream.frames - len(packets)))
    if "matroska" not in container.format.name or container.duration is None or len(container.streams) > 1:
        return 0
    timed = [packet for packet in packets if packet.pts is not None]
    end = max((float((packet.pts + (packet.duration or 0)) * packet.time_base) for packet in timed), default=0.0)
    duration = container.duration / av.time_base
    if (duration - end) * rate < 1.5:
        return 0
    return max(1, round(duration * rate) - len(packets))


def video_stream(container: Any, path: Path) -> Any:
    """The first video stream of an open container, set to decode with threads. Raises VideoError without one."""
    if not container.streams.video:
        raise VideoError(f"{path} holds no video; replace it or remove it")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = codec_threads()
    return stream


class VideoEncoder:
    """Writes one mp4 file, frame by frame; a context manager.

    Args:
        path: where to write; an existing file is replaced.
        fps: frames per second.
        codec: `h264` or `av1`. Raises UnknownName for another.

    Frames are uint8 RGB (height, width, 3), all of one size. Both codecs store colour at half resolution and need
    even sizes: an odd last row or column is repeated. `frames` and `bytes` count what has been written so far. Raises
    OSError when the file cannot be written.
    """

    def __init__(self, path: Path, fps: float, codec: str = "h264"):
        if codec not in CODECS:
            raise UnknownName("video codec", codec, CODECS)
        # read by the SVT-AV1 library, which otherwise reports its settings on stderr for each file
        os.environ.setdefault("SVT_LOG", "1")
        self.path = path
        self.frames = 0
        self.bytes = 0
        self._codec = codec
        self._rate = Fraction(fps).limit_denominator(100_000)
        self._size: tuple[int, ...] | None = None
        self._container = av.open(str(path), "w", format="mp4")
        self._stream: Any = None

    def write(self, frame: Array) -> None:
        """Append one frame, uint8 RGB (height, width, 3)."""
        if self._size is None:
            self._open_stream(frame)
        if frame.shape != self._size or frame.dtype != np.uint8:
            raise InvalidValue(f"a frame of {self.path} is {frame.dtype} {frame.shape}, the first was {self._size}")
        height, width = frame.shape[:2]
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts = self.frames
        picture.time_base = 1 / self._rate
        self._mux(self._stream.encode(picture))
        self.frames += 1

    def close(self) -> None:
        """Write what the encoder still holds, and the file's index."""
        try:
            if self._stream is not None:
                self._mux(self._stream.encode())
        finally:
            self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _mux(self, packets: Sequence[Any]) -> None:
        self.bytes += sum(packet.size for packet in packets)
        self._container.mux(packets)

    def _open_stream(self, frame: Array) -> None:
        encoder, options = CODECS[self._codec]
        self._size = frame.shape
        self._stream = self._container.add_stream(encoder, rate=self._rate, options=options)
        self._stream.height = frame.shape[0] + frame.shape[0] % 2
        self._stream.width = frame.shape[1] + frame.shape[1] % 2
        self._stream.pix_fmt = "yuv420p"
        # one thread: small pictures gain nothing from more, and simulation workers run beside it
        self._stream.codec_context.thread_count = 1


def encode_video(path: Path, frames: Iterable[Array], fps: float, codec: str = "h264") -> int:
    """Write frames, uint8 RGB (height, width, 3), as one mp4 and return how many there were; see VideoEncoder."""
    with VideoEncoder(path, fps, codec) as encoder:
        for frame in frames:
            encoder.write(frame)
    return encoder.frames


def _reason(error: av.error.FFmpegError) -> str:
    return str(error.strerror or error).rstrip(".")
