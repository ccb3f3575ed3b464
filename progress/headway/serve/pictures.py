"""JPEG, PNG and WebP from strangers: the size is read from the header before a pixel is made, damage is refused.

A few hundred bytes can claim a picture of gigabytes, or a JPEG of a million passes over it; and OpenCV fills what a
truncated JPEG lacks with grey. What the last two checks cannot see is a JPEG that was damaged in its middle only.
"""

import struct
import zlib
from typing import Literal

import cv2
import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue

MOST_SCANS = 100
"""Of a progressive JPEG; encoders make about ten."""
PNG = b"\x89PNG\r\n\x1a\n"
Reason = Literal["unknown", "damaged", "too_large"]


class PictureError(InvalidValue):
    """A picture cannot be used; `reason` says why in a word."""

    def __init__(self, reason: Reason, words: str):
        super().__init__(words)
        self.reason = reason


def check_picture(data: bytes, most_pixels: int) -> tuple[int, int]:
    """The (width, height) that a JPEG, PNG or WebP claims, in pixels; it is whole as far as its frame tells.

    Raises PictureError for another format, for more than `most_pixels`, and for one that is truncated.
    """
    try:
        width, height = _size(data)
    except (struct.error, IndexError) as error:
        raise PictureError("damaged", f"the picture of {len(data)} bytes ends within its header") from error
    if width < 1 or height < 1:
        raise PictureError("damaged", f"the picture claims {width}x{height} pixels")
    if width * height > most_pixels:
        raise PictureError("too_large", f"the picture has {width}x{height} pixels; at most {most_pixels} are taken")
    return width, height


def decode_picture(data: bytes, most_pixels: int) -> Array:
    """Decode a JPEG, PNG or WebP: uint8 RGB (height, width, 3), without alpha; an EXIF orientation is not followed.

    Raises PictureError, as `check_picture` does, and where the decoder finds it damaged.
    """
    width, height = check_picture(data, most_pixels)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise PictureError("damaged", "the picture cannot be decoded") from error
    if picture is None or picture.shape[:2] != (height, width):
        raise PictureError("damaged", "the picture cannot be decoded")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _size(data: bytes) -> tuple[int, int]:
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg(data)
    if data[:8] == PNG:
        return _png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    raise PictureError("unknown", f"{len(data)} bytes that are no JPEG, PNG or WebP picture")


def _jpeg(data: bytes) -> tuple[int, int]:
    """ITU-T T.81, B.2: segments up to the frame header, which holds the size."""
    scans = data.count(b"\xff\xda")
    if scans > MOST_SCANS:
        raise PictureError("too_large", f"the JPEG has {scans} scans; at most {MOST_SCANS} are taken")
    # within a scan 0xFF is always followed by 0; an embedded thumbnail comes before the last scan
    if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise PictureError("damaged", f"the JPEG of {len(data)} bytes is truncated")
    place = 2
    while True:
        marker, kind = data[place], data[place + 1]
        if marker != 0xFF:
            raise PictureError("damaged", f"the JPEG is damaged at byte {place}")
        if kind == 0xFF:
            place += 1
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        if kind in (0xD9, 0xDA) or length < 2:
            raise PictureError("damaged", f"the JPEG is damaged at byte {place}: no size before its pixels")
        place += 2 + length


def _png(data: bytes) -> tuple[int, int]:
    """PNG, 5.3: chunks with a checksum each, from IHDR, which holds the size, to IEND."""
    kind, place = b"", len(PNG)
    while kind != b"IEND":
        if place + 12 > len(data):
            raise PictureError("damaged", f"the PNG of {len(data)} bytes is truncated")
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        if data[end : end + 4] != struct.pack(">I", zlib.crc32(memoryview(data)[place + 4 : end])):
            raise PictureError("damaged", f"the PNG is truncated or damaged after byte {place}")
        place = end + 4
    return struct.unpack_from(">II", data, 16)


def _webp(data: bytes) -> tuple[int, int]:
    """RFC 9649: the size is in the first chunk, in one of three ways."""
    if struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise PictureError("damaged", f"the WebP of {len(data)} bytes is truncated")
    kind = data[12:16]
    if kind == b"VP8X":
        return tuple(1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))  # type: ignore[return-value]
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise PictureError("damaged", "the WebP does not begin with a picture")
