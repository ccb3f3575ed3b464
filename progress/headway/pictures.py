"""Taking the frames one needs out of a video, at the size one needs."""

from collections.abc import Sequence

import cv2
import numpy as np

from headway.episodes import Array, Frames


def resize(picture: Array, size: int) -> Array:
    """Resize uint8 RGB (height, width, 3) to (size, size, 3), whatever its shape; shrinking averages areas."""
    if picture.shape[:2] == (size, size):
        return picture
    shrinking = picture.shape[0] > size or picture.shape[1] > size
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)


def take_frames(frames: Frames, wanted: Sequence[int] | Array, size: int) -> Array:
    """Decode `frames` once, in order, and keep the `wanted` ones, as uint8 RGB (wanted, size, size, 3).

    Args:
        frames: one camera of one episode.
        wanted: frame numbers in rising order.
        size: height and width of the pictures returned, in pixels.
    """
    kept = np.empty((len(wanted), size, size, 3), dtype=np.uint8)
    place = 0
    for number, picture in enumerate(frames):
        if place == len(wanted):
            break
        if number == wanted[place]:
            kept[place] = resize(picture, size)
            place += 1
    return kept


def frames_to_look_at(length: int, stride: int) -> Array:
    """Every `stride`-th frame number of an episode and its last one, int64, rising."""
    return np.unique(np.append(np.arange(0, length, min(stride, length)), length - 1))


def interpolate(values: Array, looked_at: Array, length: int) -> Array:
    """Fill in between the frames looked at: `values` (looked_at, ...) -> float32 (length, ...), linearly in time."""
    if len(looked_at) == length:
        return values.astype(np.float32)
    time = np.arange(length)
    flat = values.reshape(len(values), -1)
    columns = [np.interp(time, looked_at, column) for column in flat.T]
    return np.stack(columns, axis=1).reshape(length, *values.shape[1:]).astype(np.float32)
