"""Pictures out of messages: `sensor_msgs/Image` and `sensor_msgs/CompressedImage` to RGB, or one typed error.

Whatever comes in, nothing but a FrameError goes out. `raw.py` knows the layouts of pixels, `picture_header.py` the
sizes of stored pictures.
"""

import sys
from typing import Any

import cv2
import numpy as np

from headway.episodes import Array
from headway_datasets.ros_images.frame_errors import (
    DEFAULT_LIMITS,
    DamagedPicture,
    DecodingLimits,
    DepthImage,
    EmptyImage,
    FrameError,
    MalformedFrame,
    TooLarge,
    UnknownEncoding,
    WrongLength,
    check_size,
)
from headway_datasets.ros_images.picture_header import PictureHeader, read_header
from headway_datasets.ros_images.raw import COLOURS, DEPTHS, RawImage, to_rgb
from headway_datasets.ros_types import two_part

__all__ = [
    "DamagedPicture",
    "DecodingLimits",
    "DepthImage",
    "EmptyImage",
    "FrameError",
    "MalformedFrame",
    "TooLarge",
    "UnknownEncoding",
    "WrongLength",
    "decode",
]

UINT32 = 2**32


def decode(message: Any, kind: str, limits: DecodingLimits = DEFAULT_LIMITS) -> Array:
    """Decode a picture to uint8 RGB (height, width, 3), contiguous, writable, sharing no memory with the message.

    A raw picture with a length other than step x height, a depth image and a JPEG without its end marker are refused.
    A JPEG that was broken in its middle and still has its end decodes to whatever is left of it: the format has no
    checksum. The orientation in a JPEG's EXIF is not applied, as in ROS: cameras on an arm are calibrated as stored.

    Args:
        message: in Headway's form; data is bytes, or uint8 (bytes,) as bags have it.
        kind: `sensor_msgs/Image` or `sensor_msgs/CompressedImage`.
        limits: what is decoded at most.

    Raises:
        FrameError: one of its kinds; never anything else, whatever the message holds.
    """
    if not isinstance(message, dict):
        raise MalformedFrame(f"a message is a dict of fields, got {type(message).__name__}")
    named = two_part(kind) if isinstance(kind, str) else None
    if named == "sensor_msgs/Image":
        return _image(message, limits)
    if named == "sensor_msgs/CompressedImage":
        return _compressed(message, limits)
    raise MalformedFrame("pictures are sensor_msgs/Image or sensor_msgs/CompressedImage")


def _image(message: dict[Any, Any], limits: DecodingLimits) -> Array:
    width, height = _whole(message, "width"), _whole(message, "height")
    check_size(width, height, limits)
    encoding = _text(message, "encoding")
    return to_rgb(
        RawImage(
            width=width,
            height=height,
            encoding=encoding,
            step=_whole(message, "step"),
            big_endian=_whole(message, "is_bigendian") != 0,
            data=_data(message, limits),
        )
    )


def _compressed(message: dict[Any, Any], limits: DecodingLimits) -> Array:
    words = _text(message, "format")
    original, divided, stored_as = (part.strip() for part in words.partition(";"))
    if original in DEPTHS or "compresseddepth" in words.lower():
        raise DepthImage(f"{words[:60]!r} holds distances, not brightness; use the colour camera's topic")
    data = _data(message, limits)
    header = _header(data.tobytes(), words)
    check_size(header.width, header.height, limits)
    of_mosaic = original.startswith("bayer_")
    if header.channels <= 2 and header.bits == 16 and original != "mono16" and not of_mosaic:
        raise DepthImage("a grey picture of 16 bits is distances unless its format says mono16")
    if of_mosaic and header.channels == 1 and stored_as in ("jpeg compressed", "png compressed"):
        return _mosaic(data, header, original)
    pixels = _pixels(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, header)
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    # by compressed_image_transport's subscriber: `rgb8; jpeg compressed bgr8` is an ordinary file; with any other end
    # of a colour's format red and blue are swapped in the file; without a semicolon it is from elsewhere and ordinary
    swapped = bool(divided) and original in COLOURS and "compressed bgr" not in stored_as
    return pixels if swapped else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)


def _header(data: bytes, words: str) -> PictureHeader:
    try:
        header = read_header(data)
    except ValueError as error:
        raise DamagedPicture(f"the stored picture is damaged: {error}") from error
    if header is not None and header.codec == "jpeg" and header.bits != 8:
        raise UnknownEncoding(f"a JPEG of {header.bits} bits a sample is not decoded, only of 8")
    if header is not None:
        return header
    if any(name in words.lower() for name in ("jpeg", "jpg", "png", "webp")):
        raise DamagedPicture(f"the data does not begin as JPEG, PNG or WebP, though its format is {words[:60]!r}")
    raise UnknownEncoding(f"the data is no JPEG, PNG or WebP; its format is {words[:60]!r}")


def _pixels(data: Array, how: int, header: PictureHeader) -> Array:
    try:
        pixels = cv2.imdecode(data, how | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise DamagedPicture(f"the {header.codec} is damaged: {' '.join(str(error).split())[:120]}") from error
    if pixels is None:
        raise DamagedPicture(f"the {header.codec} is damaged or cut short")
    if pixels.shape[:2] != (header.height, header.width):
        raise DamagedPicture(f"the {header.codec} decodes to another size than its header says")
    return pixels


def _mosaic(data: Array, header: PictureHeader, encoding: str) -> Array:
    """A camera's mosaic, stored as if it were grey."""
    pixels = _pixels(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH, header)
    size = pixels.itemsize
    encoding = encoding.rstrip("0123456789") + str(8 * size)
    bytes_ = pixels.reshape(-1).view(np.uint8)
    return to_rgb(RawImage(header.width, header.height, encoding, header.width * size, sys.byteorder == "big", bytes_))


def _whole(message: dict[Any, Any], name: str) -> int:
    value = message.get(name)
    if isinstance(value, np.integer | np.bool_):
        value = value.item()
    if not isinstance(value, int) or not 0 <= value < UINT32:
        raise MalformedFrame(f"{name} must be a whole number from 0 below 2^32, got {type(value).__name__}")
    return int(value)


def _text(message: dict[Any, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str):
        raise MalformedFrame(f"{name} must be text, got {type(value).__name__}")
    return value


def _data(message: dict[Any, Any], limits: DecodingLimits) -> Array:
    """uint8 (bytes,), a view of the message's."""
    value = message.get("data")
    if isinstance(value, bytes | bytearray):
        size = len(value)
    elif isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 1:
        size = value.size
    else:
        raise MalformedFrame(f"data must be bytes, got {type(value).__name__}")
    if size == 0:
        raise EmptyImage("the message has no data")
    if size > limits.max_bytes:
        raise TooLarge(f"{size} bytes are more than the {limits.max_bytes} allowed")
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) else np.frombuffer(value, np.uint8)
