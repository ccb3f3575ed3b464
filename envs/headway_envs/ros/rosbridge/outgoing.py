"""What a bridge sends: one message in every form that its clients asked for, each made once."""

import math
from collections import deque
from functools import cached_property
from typing import Any

from headway_envs.ros.memory import Dialect
from headway_envs.ros.messages import to_ros1, to_wire
from headway_envs.ros.rosbridge import cbor
from headway_envs.ros.rosbridge.errors import WireError
from headway_envs.ros.rosbridge.wire import encode_json, encode_png
from headway_envs.ros.transport import Message

QUEUE_BYTES = 256 << 10
"""What a queue may hold beside its newest message."""


class Queue[Item]:
    """Holds the newest `depth` things, fewer when they are large, and always the newest one."""

    def __init__(self, depth: int):
        self._depth = depth
        self._held: deque[tuple[Item, int]] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._held)

    def put(self, item: Item, size: int) -> int:
        """Add the newest; how many older ones were dropped for it."""
        self._held.append((item, size))
        self._size += size
        dropped = 0
        while len(self._held) > 1 and (len(self._held) > self._depth or self._size > QUEUE_BYTES):
            self._size -= self._held.popleft()[1]
            dropped += 1
        return dropped

    def take(self) -> Item:
        """The oldest."""
        item, size = self._held.popleft()
        self._size -= size
        return item


class Outgoing:
    """A message on its way to clients.

    Args:
        seq: the header's number on ROS 1, where the message does not bring one.
        strings_in_cbor: whether lists of texts can be sent as CBOR. A genuine server for ROS 1, version 0.11.17,
            cannot: its log says so, and whoever asked for joint states as CBOR gets nothing.
    """

    def __init__(self, topic: str, message: Message, size: int, dialect: Dialect, seq: int, strings_in_cbor: bool):
        self.topic, self.size = topic, size
        self._dialect: Dialect = dialect
        self._strings_in_cbor = strings_in_cbor
        self._message = _with_seq(message, seq) if dialect == "ros1" else _without_seq(message)

    @cached_property
    def json(self) -> str:
        return encode_json(self._frame(to_wire(nulled(self._message), self._dialect)), self._dialect == "ros1")

    @cached_property
    def cbor(self) -> bytes:
        if not self._strings_in_cbor and _has_strings(self._message):
            raise WireError("not a message", f"{self.topic}: 'str' object has no attribute '__slots__'")
        return cbor.encode(self._frame(to_ros1(self._message) if self._dialect == "ros1" else self._message))

    @cached_property
    def png(self) -> str:
        return encode_json(encode_png(self.json))

    def _frame(self, message: Message) -> dict[str, Any]:
        return {"op": "publish", "topic": self.topic, "msg": message}


def nulled(value: Any) -> Any:
    """The same with None for every float that is not finite, as rosbridge writes it in JSON."""
    if isinstance(value, dict):
        return {key: nulled(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [nulled(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_seq(message: Message, seq: int) -> Message:
    header = message.get("header")
    return message | {"header": {"seq": seq} | header} if isinstance(header, dict) else message


def _without_seq(message: Message) -> Message:
    header = message.get("header")
    if not isinstance(header, dict) or "seq" not in header:
        return message
    return message | {"header": {key: part for key, part in header.items() if key != "seq"}}


def _has_strings(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_strings, value.values()))
    return isinstance(value, (list, tuple)) and any(isinstance(part, str) or _has_strings(part) for part in value)
