"""Pixels as `sensor_msgs/Image` lays them out, made into RGB.

Names are those of ROS's `sensor_msgs/image_encodings.h`; what they mean follows `cv_bridge`: `8UC3` is BGR, YUV is
BT.601 with luma in 16..235. Samples of 16 bits are scaled over their whole range. Unlike there, a width may be odd.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from headway.episodes import Array
from headway_datasets.ros_images.frame_errors import DepthImage, MalformedFrame, UnknownEncoding, WrongLength


@dataclass(frozen=True)
class RawImage:
    """The fields of the message, each of the right type.

    Attributes:
        width, height: pixels, from 1.
        encoding: its name.
        step: bytes from one row to the next.
        big_endian: of samples of 16 bits.
        data: uint8 (bytes,).
    """

    width: int
    height: int
    encoding: str
    step: int
    big_endian: bool
    data: Array


# cv2 names a mosaic by its second row's second and third pixel, ROS by the first row's first and second
_MOSAICS = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}

# name -> samples a pixel, bytes a sample, how cv2 makes RGB of it
_SAMPLED: dict[str, tuple[int, int, int | None]] = {
    "rgb8": (3, 1, None),
    "bgr8": (3, 1, cv2.COLOR_BGR2RGB),
    "8UC3": (3, 1, cv2.COLOR_BGR2RGB),
    "rgba8": (4, 1, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, 1, cv2.COLOR_BGRA2RGB),
    "mono8": (1, 1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, 1, cv2.COLOR_GRAY2RGB),
    "rgb16": (3, 2, None),
    "bgr16": (3, 2, cv2.COLOR_BGR2RGB),
    "rgba16": (4, 2, cv2.COLOR_RGBA2RGB),
    "bgra16": (4, 2, cv2.COLOR_BGRA2RGB),
    "mono16": (1, 2, cv2.COLOR_GRAY2RGB),
    **{f"bayer_{name}8": (1, 1, code) for name, code in _MOSAICS.items()},
    **{f"bayer_{name}16": (1, 2, code) for name, code in _MOSAICS.items()},
}

_PAIRED = {
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}

_TWO_PLANES = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}

# 16UC1 is millimetres and 32FC1 metres by REP 118; mono16 is brightness by its name
DEPTHS = ("16UC1", "32FC1")

COLOURS = tuple(f"{order}{bits}" for order in ("rgb", "bgr", "rgba", "bgra") for bits in (8, 16))


def to_rgb(image: RawImage) -> Array:
    """Make uint8 RGB (height, width, 3) of it, one that shares no memory with the message.

    An image that is two planes (nv12, nv21) has `height` rows of luma and half as many of chroma, all of `step` bytes.
    Raises UnknownEncoding, DepthImage, WrongLength and MalformedFrame.
    """
    return _converter(image.encoding)(image)


def _converter(encoding: str) -> Callable[[RawImage], Array]:
    if encoding in DEPTHS:
        raise DepthImage(
            f"{encoding} holds distances, not brightness; send a colour image, or mono16 if brightness is meant"
        )
    for names, convert in ((_SAMPLED, _sampled), (_PAIRED, _paired), (_TWO_PLANES, _two_planes)):
        if encoding in names:
            return convert
    known = ", ".join((*_SAMPLED, *_PAIRED, *_TWO_PLANES))
    raise UnknownEncoding(f"unknown encoding {encoding[:40]!r}; known: {known}")


def _rows(image: RawImage, count: int, shortest: int) -> Array:
    """The data as uint8 (count, step), where a row needs `shortest` bytes."""
    if image.step < shortest:
        raise WrongLength(f"{image.encoding} of width {image.width} needs a step of {shortest}, got {image.step}")
    if len(image.data) != count * image.step:
        raise WrongLength(f"{count} rows of {image.step} bytes are {count * image.step}, got {len(image.data)}")
    return image.data.reshape(count, image.step)


def _sampled(image: RawImage) -> Array:
    channels, size, code = _SAMPLED[image.encoding]
    length = image.width * channels * size
    samples = _rows(image, image.height, length)[:, :length]
    if size == 2:
        samples = samples.view(">u2" if image.big_endian else "<u2").astype(np.uint16)
    shape = (image.height, image.width) if channels == 1 else (image.height, image.width, channels)
    if image.encoding.startswith("bayer") and min(shape) < 3:
        # cv2 leaves it black
        raise MalformedFrame(f"a mosaic of {image.width}x{image.height} is too small to tell its colours")
    samples = samples.reshape(shape)
    colours = samples.copy() if code is None else cv2.cvtColor(samples, code)
    # 65535 becomes 255; no sample lies halfway between two values, so the rounding is exact
    return cv2.convertScaleAbs(colours, alpha=1 / 257) if size == 2 else colours


def _paired(image: RawImage) -> Array:
    """Two pixels share their chroma. Of an odd width the last pixel may lack the second half of its chroma."""
    width = image.width + image.width % 2
    rows = _rows(image, image.height, 2 * image.width)
    if image.step >= 2 * width:
        rows = rows[:, : 2 * width]
    else:
        have = 2 * image.width
        # what lies one pair before has the order of what is missing
        missing = rows[:, have - 4 : have - 2] if image.width > 1 else np.full((image.height, 2), 128, np.uint8)
        rows = np.hstack([rows[:, :have], missing])
    colours = cv2.cvtColor(rows.reshape(image.height, width, 2), _PAIRED[image.encoding])
    return np.ascontiguousarray(colours[:, : image.width])


def _two_planes(image: RawImage) -> Array:
    """Luma, then chroma of every two by two pixels."""
    odd = (image.height % 2, image.width % 2)
    chroma_rows, width = (image.height + 1) // 2, image.width + odd[1]
    rows = _rows(image, image.height + chroma_rows, width)
    luma = np.pad(rows[: image.height, : image.width], ((0, odd[0]), (0, odd[1])), mode="edge")
    colours = cv2.cvtColor(np.vstack([luma, rows[image.height :, :width]]), _TWO_PLANES[image.encoding])
    return np.ascontiguousarray(colours[: image.height, : image.width])
