"""What a stored picture says of itself before any pixel of it is decoded: JPEG, PNG and WebP, told by their content.

A few bytes can announce a picture of gigabytes, so its size is read here and judged before a decoder allocates it.
Layouts: ITU T.81 annex B (JPEG), the PNG specification 11.2.2 (IHDR), RFC 9649 (WebP).
"""

import struct
from dataclasses import dataclass

SEGMENTS = 1000
"""A JPEG has some ten segments before its pixels; more than this is an attempt to keep us busy."""

SCANS = 100
"""A progressive JPEG has ten scans or so; each of them costs a pass over all pixels."""

_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# colour type of IHDR -> samples a pixel as they come out of a decoder
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


@dataclass(frozen=True)
class PictureHeader:
    """What is stored.

    Attributes:
        codec: jpeg, png or webp.
        width, height: pixels.
        channels: samples a pixel: 1 is grey.
        bits: a sample.
    """

    codec: str
    width: int
    height: int
    channels: int
    bits: int


def read_header(data: bytes) -> PictureHeader | None:
    """Read the header; None for anything that is no JPEG, PNG or WebP.

    Raises ValueError, in a few words, for one that is damaged or visibly cut short.
    """
    try:
        if data[:3] == b"\xff\xd8\xff":
            return _jpeg(data)
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError) as error:
        raise ValueError("it ends within its header") from error
    return None


def _jpeg(data: bytes) -> PictureHeader:
    """Walks the segments up to the first scan. A stored thumbnail is skipped with the segment that holds it."""
    place, found = 2, None
    for _ in range(SEGMENTS):
        if data[place] != 0xFF:
            raise ValueError("its segments do not follow each other")
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker in _STANDALONE:
            place += 2
            continue
        if marker == _END_OF_IMAGE:
            raise ValueError("it ends before any pixel")
        if marker == _START_OF_SCAN:
            return _checked_scans(data, place, found)
        if marker in _START_OF_FRAME:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, place + 4)
            found = PictureHeader("jpeg", width, height, channels, bits)
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    raise ValueError(f"it has more than {SEGMENTS} segments before its pixels")


def _checked_scans(data: bytes, place: int, found: PictureHeader | None) -> PictureHeader:
    """Within a scan 0xFF is followed by 0 or a restart marker, so the end marker cannot occur in one by chance."""
    if found is None:
        raise ValueError("it has pixels before it says how many")
    if data.find(b"\xff\xd9", place) < 0:
        raise ValueError("its end is missing")
    if data.count(b"\xff\xda", place) > SCANS:
        raise ValueError(f"it has more than {SCANS} scans")
    return found


def _png(data: bytes) -> PictureHeader:
    length, name, width, height, bits, colour = struct.unpack_from(">I4sIIBB", data, 8)
    if name != b"IHDR" or length != 13 or colour not in _PNG_CHANNELS:
        raise ValueError("its first chunk is no header")
    return PictureHeader("png", width, height, _PNG_CHANNELS[colour], bits)


def _webp(data: bytes) -> PictureHeader:
    if 8 + struct.unpack_from("<I", data, 4)[0] > len(data):
        raise ValueError("its end is missing")
    name = data[12:16]
    if name == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        if len(data) < 30:
            raise ValueError("it ends within its header")
    elif name == b"VP8L" and data[20] == 0x2F:
        (packed,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    elif name == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise ValueError("its first chunk is no header")
    return PictureHeader("webp", width, height, 3, 8)
