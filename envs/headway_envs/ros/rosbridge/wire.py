"""Frames of rosbridge's protocol, version 2, from text or bytes and back. No sockets: client and server both use it.

Source: ROSBRIDGE_PROTOCOL.md of RobotWebTools/rosbridge_suite, and what a genuine server of version 0.11.17 was seen to
send: escaped slashes, keys in any order, null for a float that is not finite, a fragment's total as a float.
"""

import base64
import binascii
import json
import math
from typing import Any

import cv2
import numpy as np

from headway_envs.ros.rosbridge import cbor
from headway_envs.ros.rosbridge.errors import WireError
from headway_envs.ros.rosbridge.fragments import Fragments

__all__ = ["MAX_SIZE", "Reader", "WireError", "decode", "decode_png", "encode_json", "encode_png"]

Frame = dict[str, Any]

MAX_SIZE = 32 << 20
"""Bytes of a frame, and characters of one that came in pieces."""
MAX_PARTS = 1_000_000
"""Parts of a JSON frame, by its commas and brackets; an image in base64 is one part."""
_PNG = b"\x89PNG\r\n\x1a\n"


class Reader:
    """Reads the frames of one connection: pieces are put together, pictures unpacked.

    Args:
        max_size: bytes of a frame, and characters of all that is incomplete.
        max_age: seconds for which a message may be incomplete.

    Attributes:
        fragments: what is incomplete.
        size: of the last frame that `read` gave, in bytes on the wire; characters where it came in pieces.
    """

    def __init__(self, max_size: int = MAX_SIZE, max_age: float = 2.0):
        self._max_size = max_size
        self.fragments = Fragments(max_size, max_age)
        self.size = 0

    def read(self, data: str | bytes, now: float) -> Frame | None:
        """The frame that `data` is or completes; None while pieces are missing. Raises WireError, never anything else.

        Args:
            data: one websocket message.
            now: seconds of a clock that never jumps.
        """
        frame = decode(data, self._max_size)
        size = len(data)
        if frame["op"] == "fragment":
            text = self.fragments.add(frame, now)
            if text is None:
                return None
            size = len(text)
            frame = decode(text, self._max_size)
        if frame["op"] == "png":
            frame = decode_png(frame, self._max_size)
        if frame["op"] in ("fragment", "png"):
            raise WireError("nested", f"a {frame['op']} within another")
        self.size = size
        return frame


def decode(data: str | bytes, max_size: int = MAX_SIZE) -> Frame:
    """One frame: text is JSON, bytes are CBOR. Bare NaN and Infinity are read. Raises WireError, nothing else."""
    if len(data) > max_size:
        raise WireError("too large", f"{len(data)} bytes, at most {max_size}")
    frame = _from_json(data) if isinstance(data, str) else cbor.decode(data)
    if not isinstance(frame, dict):
        raise WireError("no object", f"a {type(frame).__name__}")
    if not isinstance(frame.get("op"), str):
        raise WireError("no op")
    if not _plain(frame):
        raise WireError("no object", "a key that is no text, or deeper than any message")
    return frame


def encode_json(frame: Frame, escape_slashes: bool = False) -> str:
    """A frame as JSON text, in ASCII. Raises WireError for bytes or for a float that JSON cannot hold.

    Args:
        escape_slashes: write `\\/` for a slash, as genuine servers do.
    """
    try:
        text = json.dumps(frame, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError("not a message", f"cannot be written as JSON: {error}") from error
    return text.replace("/", "\\/") if escape_slashes else text


def encode_png(text: str) -> Frame:
    """A frame's text as the RGB bytes of a PNG picture, filled up with line ends."""
    data = text.encode("ascii")
    width = max(1, math.isqrt(math.ceil(len(data) / 3)))
    height = math.ceil(len(data) / (3 * width))
    pixels = np.frombuffer(data.ljust(3 * width * height, b"\n"), np.uint8).reshape(height, width, 3)
    _, png = cv2.imencode(".png", pixels[..., ::-1])
    return {"op": "png", "data": base64.b64encode(png.tobytes()).decode("ascii")}


def decode_png(frame: Frame, max_size: int = MAX_SIZE) -> Frame:
    """The frame within a picture. What it takes unpacked is checked before it is unpacked. Raises WireError."""
    data = frame.get("data")
    if not isinstance(data, str):
        raise WireError("bad png", "without data")
    try:
        png = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError("bad png", str(error)) from error
    # the first chunk: its length and name, width, height, bits a channel, channels
    if len(png) < 33 or not png.startswith(_PNG) or png[12:16] != b"IHDR" or png[24:26] != b"\x08\x02":
        raise WireError("bad png", "no PNG of 8-bit RGB")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    if not 0 < 3 * width * height <= max_size:
        raise WireError("too large", f"a picture of {width} x {height}")
    try:
        pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise WireError("bad png", "cannot be unpacked") from error
    if pixels is None or pixels.shape != (height, width, 3):
        raise WireError("bad png", "cannot be unpacked")
    try:
        text = pixels[..., ::-1].tobytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError("bad png", "what it holds is no text") from error
    return decode(text, max_size)


def _from_json(text: str) -> Any:
    if text.count(",") + text.count("[") + text.count("{") > MAX_PARTS:
        raise WireError("too many parts", f"more than {MAX_PARTS} parts")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError("not json", str(error)) from error


def _plain(value: Any, depth: int = 32) -> bool:
    """Whether every key is a text and the nesting is no deeper than a message's."""
    if isinstance(value, dict):
        return depth > 0 and all(isinstance(key, str) and _plain(part, depth - 1) for key, part in value.items())
    if isinstance(value, list):
        # a list of numbers is the long one
        return depth > 0 and all(type(part) in (float, int, str) or _plain(part, depth - 1) for part in value)
    return value is None or isinstance(value, (str, bytes, int, float))
