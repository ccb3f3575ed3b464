"""Pictures of an episode small enough to be carried by a page: a strip of stills and an H.264 clip.

An episode is decoded once, in order, and never held: stills are shrunk and clip frames encoded as they come by.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np

from headway.episodes import Array, Episode
from headway.report.curves import sample_frames

STILL_HEIGHT = 128  # pixels
SMALL = 192  # pictures smaller than this are enlarged: at 96 pixels a gripper cannot be made out
GAP = 2  # grey pixels between stills
CLIP_WIDTH = 320  # pixels at most, for one camera; several side by side share twice that
CLIP_FPS = 15.0  # at most
CLIP_CRF = 24  # x264's quality; more is smaller


@dataclass(frozen=True)
class Smaller:
    """A step down: `scale` is of the size before, `fps` at most, `crf` of x264."""

    scale: float
    fps: float
    crf: int


SMALLER = (Smaller(0.75, 10, 31), Smaller(0.75, 6, 34), Smaller(0.75, 3, 37), Smaller(0.75, 1, 40))


@dataclass(frozen=True, repr=False)
class Pictures:
    """`strip` is stills side by side, uint8 RGB (height, width, 3); `clip` an mp4, or None where none was wanted."""

    strip: Array
    clip: bytes | None


def take_pictures(episode: Episode, clip_path: Path | None) -> Pictures:
    """Decode an episode once into a strip of its first camera and, where `clip_path` is given, a clip of all.

    Args:
        episode: what to show.
        clip_path: a temporary file for the clip; x264's index can only be moved to the front in a file.

    Raises:
        VideoError: the episode's video cannot be read.
    """
    cameras = list(episode.cameras.values())
    steps = zip(*(cameras if clip_path else cameras[:1]), strict=True)
    stills: list[Array] = []
    watched = _keep_stills(steps, len(episode), stills)
    if clip_path is None:
        for _ in watched:
            pass
        return Pictures(_strip(stills), None)
    width = CLIP_WIDTH * min(len(episode.cameras), 2)
    every = _every(episode.fps, CLIP_FPS)
    pictures = (_side_by_side(step, width) for number, step in enumerate(watched) if number % every == 0)
    rate = max(Fraction(episode.fps).limit_denominator(1000), Fraction(1, 1000))
    _encode(clip_path, pictures, rate / every, CLIP_CRF)
    clip = clip_path.read_bytes()
    clip_path.unlink()
    return Pictures(_strip(stills), clip)


def smaller_clips(path: Path) -> list[Callable[[bytes], bytes]]:
    """What turns a clip into ever smaller ones; `path` is a temporary file."""
    return [partial(_shrink, step=step, path=path) for step in SMALLER]


def smaller_strips(strip: Array) -> list[Callable[[bytes], bytes]]:
    """What turns a strip into ever smaller ones, always from its pixels."""

    def version(height: int, quality: int) -> Callable[[bytes], bytes]:
        return lambda _: encode_strip(strip, height, quality)

    return [version(96, 70), version(72, 60), version(56, 50), version(40, 35)]


def encode_strip(strip: Array, height: int = STILL_HEIGHT, quality: int = 75) -> bytes:
    """Encode a strip as WebP, `height` pixels high or less, `quality` 1 to 100."""
    height = min(height, strip.shape[0])
    small = _resize(strip, height, max(1, round(strip.shape[1] * height / strip.shape[0])))
    done, content = cv2.imencode(".webp", small[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture {small.shape}")
    return content.tobytes()


def _keep_stills(steps: Iterator[tuple[Array, ...]], length: int, stills: list[Array]) -> Iterator[tuple[Array, ...]]:
    """Pass the pictures on, and put shrunk copies of a few into `stills`."""
    wanted: set[int] = set()
    for number, step in enumerate(steps):
        picture = step[0]
        if not wanted:
            wide = picture.shape[1] > 1.5 * picture.shape[0]
            wanted = {int(frame) for frame in sample_frames(length, 3 if wide else 4)}
        if number in wanted:
            height = min(STILL_HEIGHT, 2 * picture.shape[0])
            stills.append(_resize(picture, height, max(1, round(picture.shape[1] * height / picture.shape[0]))))
        yield step


def _strip(stills: list[Array]) -> Array:
    gap = np.full((stills[0].shape[0], GAP, 3), 128, dtype=np.uint8)
    spaced = [part for still in stills for part in (gap, still)][1:]
    return np.concatenate(spaced, axis=1)


def _side_by_side(step: tuple[Array, ...], width: int) -> Array:
    """The pictures of all cameras in one row of one height, at most `width` pixels wide, of even size."""
    aspect = sum(picture.shape[1] / picture.shape[0] for picture in step)
    tallest = max(picture.shape[0] for picture in step)
    # whole multiples keep the pixels of a small picture square and sharp
    tallest *= max(1, round(SMALL / tallest))
    height = _even(min(tallest, width / aspect))
    row = [_resize(picture, height, _even(height * picture.shape[1] / picture.shape[0])) for picture in step]
    return np.concatenate(row, axis=1)


def _resize(picture: Array, height: int, width: int) -> Array:
    if picture.shape[:2] == (height, width):
        return picture
    shrinking = height < picture.shape[0]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_NEAREST)


def _even(size: float) -> int:
    """H.264 in yuv420p takes only even sizes."""
    return max(2, int(size) // 2 * 2)


def _every(fps: float, most: float) -> int:
    """Which frame of how many to keep, so that no more than `most` a second are left."""
    # 30.0003 fps is 30 fps to a person and to a budget
    return max(1, math.ceil(fps / most - 1e-3))


def _encode(path: Path, pictures: Iterator[Array], rate: Fraction, crf: int) -> None:
    """Encode uint8 RGB pictures of one size into an mp4 that every browser plays."""
    options = {"preset": "veryfast", "crf": str(crf), "g": "30"}
    first = next(pictures)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        picture: Array | None = first
        while picture is not None:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
            picture = next(pictures, None)
        container.mux(stream.encode(None))


def _shrink(clip: bytes, step: Smaller, path: Path) -> bytes:
    """A smaller version of a clip, made out of the clip itself: the dataset is not decoded again."""
    original = path.with_suffix(".original.mp4")
    original.write_bytes(clip)
    with av.open(str(original)) as container:
        stream = container.streams.video[0]
        width, height = _even(stream.width * step.scale), _even(stream.height * step.scale)
        rate = stream.average_rate or Fraction(1)
        every = _every(float(rate), step.fps)
        frames = (frame for number, frame in enumerate(container.decode(stream)) if number % every == 0)
        pictures = (frame.to_ndarray(format="rgb24", width=width, height=height) for frame in frames)
        _encode(path, pictures, rate / every, step.crf)
    original.unlink()
    smaller = path.read_bytes()
    path.unlink()
    return smaller
