"""The few frames of an episode that a vision-language model is shown."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from headway.episodes import Array, Episode, Frames
from headway.errors import InvalidValue
from headway.vlm.chat import Part, Picture, Text

# the longer side of a picture, in pixels; models cut pictures of this size into some 200 tokens
LONGER_SIDE = 448


@dataclass(frozen=True, repr=False)
class Clip:
    """What is shown of one episode.

    Attributes:
        pictures: the frames shown, in order of time.
        frames: int64 (pictures,), their numbers in the episode, rising.
        length: frames of the episode.
        instruction: what the robot was told to do.
        seed: tells episodes apart where something is drawn.
    """

    pictures: tuple[Picture, ...]
    frames: Array
    length: int
    instruction: str
    seed: int

    def __repr__(self) -> str:
        return f"Clip(pictures={len(self.pictures)} of {self.length} frames, instruction={self.instruction!r})"


def take_clip(episode: Episode, wanted: Array) -> Clip:
    """Decode the first camera of an episode and keep some frames.

    Args:
        episode: with an instruction.
        wanted: int64 (pictures,), frame numbers, rising.

    Raises:
        InvalidValue: the episode has no instruction.
        VideoError: its video cannot be decoded.
    """
    if not episode.instruction:
        raise InvalidValue(f"episode {episode.index} has no instruction to judge it by; give one with --task")
    pictures = encode_frames(next(iter(episode.cameras.values())), wanted)
    return Clip(pictures, wanted, len(episode), episode.instruction, episode.index)


def thinned(clip: Clip, most: int | None) -> Clip:
    """The clip with at most `most` pictures, evenly spread, the first and the last among them; None for any number.

    Raises InvalidValue for fewer than 2.
    """
    if most is None or len(clip.pictures) <= most:
        return clip
    kept = evenly(len(clip.pictures), most)
    return replace(clip, pictures=tuple(clip.pictures[place] for place in kept), frames=clip.frames[kept])


def prefix_parts(clip: Clip, prefix: int, before: str) -> tuple[Part, ...]:
    """The first `prefix` pictures after their labels, so that a server's prefix cache holds them for the next one."""
    parts: list[Part] = []
    words = before
    for label, picture in enumerate(clip.pictures[:prefix], start=1):
        parts += [Text(f"{words}\nFrame {label}:"), picture]
        words = ""
    return tuple(parts)


def evenly(length: int, count: int) -> Array:
    """Numbers of `count` frames out of `length`, int64, rising, the first and the last among them."""
    if count < 2:
        raise InvalidValue(f"an episode is judged by at least 2 frames, got {count}")
    return np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(np.int64))


def encode_frames(frames: Frames, wanted: Sequence[int] | Array) -> tuple[Picture, ...]:
    """Decode `frames` once, in order, and encode the wanted ones, whose numbers rise."""
    kept = {int(number) for number in wanted}
    last = max(kept)
    pictures = []
    for number, pixels in enumerate(frames):
        if number in kept:
            pictures.append(encode(pixels))
        if number == last:
            break
    return tuple(pictures)


def encode(pixels: Array) -> Picture:
    """PNG of uint8 RGB (height, width, 3); a large picture is made smaller, its shape is kept."""
    height, width = pixels.shape[:2]
    scale = LONGER_SIDE / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    # OpenCV writes what it takes for blue, green, red
    _, data = cv2.imencode(".png", np.ascontiguousarray(pixels[:, :, ::-1]))
    return Picture(data.tobytes(), pixels.shape[1], pixels.shape[0])
