"""Writing an MCAP file that can be read up to wherever it was cut off (https://mcap.dev/spec).

Every record is handed to the operating system as a whole when it is written, and none waits in a chunk for others: what
was written before a `kill -9` is there. rosbags' own writer and the package `mcap` gather messages into chunks of a
megabyte, which are lost with the process; rosbags' also needs its metadata, written at the end, to be a bag at all.
The price is that there is no index of times: a player that wants one makes it with `mcap recover`.
"""

import os
import struct
from pathlib import Path

from headway.errors import OutputError
from headway.files import make_folder, output_error
from headway_datasets.bag_files import MAGIC

_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE = 0x01, 0x02, 0x03, 0x04, 0x05
_STATISTICS, _DATA_END = 0x0B, 0x0F


class McapLog:
    """Messages of ROS 2, written one after another.

    Args:
        path: of the file, which must not exist; it is written in place, because it has to be whole at every moment.
        library: who writes it.

    Raises OutputError when the file exists or cannot be made; OSError from any other method when it cannot be written.
    """

    def __init__(self, path: Path, library: str):
        make_folder(path.parent)
        try:
            self._file = path.open("xb", buffering=0)
        except FileExistsError:
            raise OutputError(f"{path} exists and is not replaced; choose another name for the recording") from None
        except OSError as error:
            raise output_error(path, error) from error
        self._schemas: dict[str, bytes] = {}
        self._channels: list[bytes] = []
        self._counts: list[int] = []
        self._first, self._last = 0, 0
        self.bytes = 0
        try:
            self._write(MAGIC + _record(_HEADER, _text("ros2") + _text(library)))
        except OSError as error:
            self._file.close()
            raise output_error(path, error) from error

    def channel(self, topic: str, kind: str, definition: str) -> int:
        """Announce a topic of a type, in three parts, with the text of its definition; its number."""
        if kind not in self._schemas:
            number = len(self._schemas) + 1
            content = struct.pack("<H", number) + _text(kind) + _text("ros2msg") + _text(definition)
            self._schemas[kind] = _record(_SCHEMA, content)
            self._write(self._schemas[kind])
        schema = list(self._schemas).index(kind) + 1
        content = struct.pack("<HH", len(self._channels) + 1, schema) + _text(topic) + _text("cdr") + _text("")
        self._channels.append(_record(_CHANNEL, content))
        self._counts.append(0)
        self._write(self._channels[-1])
        return len(self._channels)

    def message(self, channel: int, time: int, data: bytes | memoryview, sequence: int = 0) -> None:
        """Write a message, logged at `time` in nanoseconds, or at the last one's when that was later.

        Readers want files without an index to be in order of time.
        """
        self._last = max(self._last, time)
        self._first = self._first or self._last
        head = struct.pack("<BQHIQQ", _MESSAGE, 22 + len(data), channel, sequence % 2**32, self._last, self._last)
        self._write(head + bytes(data))
        self._counts[channel - 1] += 1

    def close(self) -> None:
        """Write the end and a summary, so that topics and counts are known without reading all of it."""
        summary = self.bytes + 13
        counts = b"".join(struct.pack("<HQ", number + 1, count) for number, count in enumerate(self._counts))
        statistics = struct.pack(
            "<QHIIIIQQI",
            sum(self._counts),
            len(self._schemas),
            len(self._channels),
            *(0, 0, 0),
            self._first,
            self._last,
            len(counts),
        )
        end = _record(_DATA_END, struct.pack("<I", 0))
        parts = [*self._schemas.values(), *self._channels, _record(_STATISTICS, statistics + counts)]
        footer = _record(_FOOTER, struct.pack("<QQI", summary, 0, 0))
        try:
            self._write(end + b"".join(parts) + footer + MAGIC)
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        """All of it. A disk that is full may take a part, which readers see as the cut."""
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            view = view[written:]
        self.bytes += len(data)


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack("<BQ", kind, len(content)) + content


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data
