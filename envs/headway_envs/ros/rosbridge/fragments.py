"""Frames that come in pieces: `{"op": "fragment", "id": 0, "num": 2, "total": 5.03, "data": "..."}`.

A genuine server calls every message by the same id, 0, so pieces of two messages can only be told apart by what they
say: a piece that differs from the one already held under its number begins a new message. Pieces that come in order are
always put together rightly; where some are both lost and out of order a message is lost with them.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from headway_envs.ros.rosbridge.errors import WireError

MAX_PIECES = 100_000
MAX_NAME = 200
"""Characters of an id."""
MAX_MESSAGES = 16
"""Messages that may be incomplete at a time."""


@dataclass
class _Message:
    total: int
    since: float
    pieces: dict[int, str] = field(default_factory=dict)
    size: int = 0


class Fragments:
    """Puts pieces together.

    Args:
        max_size: characters that all incomplete messages together may hold; the oldest are given up.
        max_age: seconds after which an incomplete message is given up.

    Attributes:
        lost: incomplete messages given up so far.
    """

    def __init__(self, max_size: int, max_age: float = 2.0):
        self._max_size, self._max_age = max_size, max_age
        self._open: OrderedDict[str | int, _Message] = OrderedDict()
        self._done: OrderedDict[str | int, dict[int, int]] = OrderedDict()
        self.lost = 0

    @property
    def size(self) -> int:
        """Characters held."""
        return sum(message.size for message in self._open.values())

    def add(self, frame: dict[str, Any], now: float) -> str | None:
        """The text of a message with its last piece, otherwise None. Raises WireError for a piece that is none."""
        key, number, total, data = _piece(frame)
        if len(data) > self._max_size:
            raise WireError("too large", f"a fragment of {len(data)} characters")
        self._forget_old(now)
        message = self._open.get(key)
        if message is None and self._is_late(key, number, data):
            return None
        if message is not None and (message.total != total or message.pieces.get(number, data) != data):
            self._give_up(key)
            message = None
        if message is None:
            message = self._open[key] = _Message(total, now)
        if number not in message.pieces:
            message.pieces[number] = data
            message.size += len(data)
        if len(message.pieces) == total:
            return self._finish(key)
        while len(self._open) > MAX_MESSAGES or self.size > self._max_size:
            self._give_up(next(iter(self._open)))
        return None

    def _is_late(self, key: str | int, number: int, data: str) -> bool:
        """Whether it is a second copy of a piece of the message that was completed last; a first piece never is."""
        return number > 0 and self._done.get(key, {}).get(number) == hash(data)

    def _finish(self, key: str | int) -> str:
        message = self._open.pop(key)
        self._done[key] = {number: hash(data) for number, data in message.pieces.items()}
        self._done.move_to_end(key)
        while len(self._done) > 1 and (
            len(self._done) > MAX_MESSAGES or sum(map(len, self._done.values())) > MAX_PIECES
        ):
            self._done.popitem(last=False)
        return "".join(message.pieces[number] for number in range(message.total))

    def _forget_old(self, now: float) -> None:
        for key in [key for key, message in self._open.items() if now - message.since > self._max_age]:
            self._give_up(key)

    def _give_up(self, key: str | int) -> None:
        del self._open[key]
        self.lost += 1


def split(text: str, size: int, name: str | int) -> Iterator[dict[str, Any]]:
    """The pieces of a text of more than `size` characters, the total as genuine servers write it: a float."""
    total = (len(text) - 1) / size + 1
    for number in range(int(total)):
        data = text[number * size : (number + 1) * size]
        yield {"op": "fragment", "id": name, "data": data, "num": number, "total": total}


def _piece(frame: dict[str, Any]) -> tuple[str | int, int, int, str]:
    key, number, total, data = (frame.get(name) for name in ("id", "num", "total", "data"))
    if not isinstance(key, (str, int)) or not isinstance(data, str) or (isinstance(key, str) and len(key) > MAX_NAME):
        raise WireError("bad fragment", "without a proper id or without data")
    if not isinstance(number, int) or isinstance(number, bool) or not isinstance(total, (int, float)):
        raise WireError("bad fragment", "num or total is no number")
    if not math.isfinite(total) or not 0 <= number < int(total) <= MAX_PIECES:
        raise WireError("bad fragment", f"num {number!r:.40} of {total!r:.40}")
    return key, number, int(total), data
