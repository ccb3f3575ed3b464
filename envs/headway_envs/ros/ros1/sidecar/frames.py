"""How the two processes talk, and what waits between their threads.

A frame is two lengths (4 bytes each, big-endian), a JSON object and raw bytes. In the object `{"#": [start, length]}`
stands for a piece of the raw bytes; no field of ROS can have that name. Floats that are not finite are written as
Python's JSON does.
"""

from __future__ import annotations

import json
import struct
import threading
from collections import deque
from typing import Any, BinaryIO

LENGTHS = struct.Struct("!II")
MOST_BYTES = 256 << 20
"""Of a frame; what claims more is no frame."""
DEPTH = 100
"""Messages of a topic that may wait at any one place. Of those that hold bytes, pictures above all, only the newest."""


class FrameError(Exception):
    """A frame that says nothing, or something that does not fit into one."""


def encode(frame: dict[str, Any]) -> list[bytes]:
    """A frame in pieces, so that pictures are not copied. Raises FrameError for what JSON cannot hold."""
    pieces: list[bytes] = []
    at = 0

    def hold(value: Any) -> dict[str, list[int]]:
        nonlocal at
        if not isinstance(value, (bytes, bytearray)):
            raise TypeError(f"a message cannot hold a {type(value).__name__}")
        pieces.append(bytes(value))
        at += len(value)
        return {"#": [at - len(value), len(value)]}

    try:
        head = json.dumps(frame, default=hold).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise FrameError(str(error)) from None
    if len(head) + at > MOST_BYTES:
        raise FrameError(f"a message of {len(head) + at} bytes is too large")
    return [LENGTHS.pack(len(head), at) + head, *pieces]


def send(pipe: BinaryIO, pieces: list[bytes]) -> None:
    """Write a frame to an unbuffered pipe, which may take it bit by bit."""
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[pipe.write(rest) :]


def receive(pipe: BinaryIO) -> tuple[dict[str, Any], int] | None:
    """The next frame and its size, or None at the end, which is also where nothing more can be understood.

    Raises FrameError for a frame that says nothing; the next one can be read all the same.
    """
    start = pipe.read(LENGTHS.size)
    if len(start) < LENGTHS.size:
        return None
    head_bytes, raw_bytes = LENGTHS.unpack(start)
    if head_bytes + raw_bytes > MOST_BYTES:
        return None
    head, raw = pipe.read(head_bytes), pipe.read(raw_bytes)
    if len(head) < head_bytes or len(raw) < raw_bytes:
        return None

    def put_back(value: dict[str, Any]) -> Any:
        place = value.get("#")
        if len(value) != 1 or not isinstance(place, list) or [type(each) for each in place] != [int, int]:
            return value
        first, length = place
        return raw if length == raw_bytes else raw[first : first + length]

    try:
        frame = json.loads(head, object_hook=put_back)
    except (ValueError, TypeError, RecursionError) as error:
        raise FrameError(f"not a frame: {error}") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("op"), str):
        raise FrameError("not a frame: it has no op")
    return frame, LENGTHS.size + head_bytes + raw_bytes


class Mailbox:
    """What waits between two threads: notices, which come first and are all kept, and of each topic the newest few."""

    def __init__(self) -> None:
        self.dropped = 0
        self._ready = threading.Condition()
        self._notices: deque[Any] = deque()
        self._topics: dict[str, deque[Any]] = {}
        self._closed = False

    def put(self, item: Any, topic: str | None = None, depth: int = 1) -> None:
        with self._ready:
            if topic is None:
                self._notices.append(item)
            else:
                waiting = self._topics.setdefault(topic, deque())
                waiting.append(item)
                while len(waiting) > depth:
                    waiting.popleft()
                    self.dropped += 1
            self._ready.notify()

    def discard(self, topic: str) -> None:
        with self._ready:
            self._topics.pop(topic, None)

    def take(self) -> Any:
        """The next notice, else the oldest message of the topic that waited longest; None when closed and empty."""
        with self._ready:
            self._ready.wait_for(lambda: self._closed or self._notices or self._topics)
            if self._notices:
                return self._notices.popleft()
            if not self._topics:
                return None
            topic = next(iter(self._topics))
            waiting = self._topics.pop(topic)
            item = waiting.popleft()
            if waiting:
                self._topics[topic] = waiting
            return item

    def close(self) -> None:
        """Nothing more will be put; what is there can still be taken."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
