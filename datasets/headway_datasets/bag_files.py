"""Bags through rosbags: ROS 1 files, ROS 2 folders and files, MCAP; and recordings that were cut off."""

import io
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from headway.errors import DatasetError, Unsupported
from headway_datasets.ros_types import two_part

SUFFIXES = (".bag", ".db3", ".mcap")
METADATA = "metadata.yaml"

MAGIC = b"\x89MCAP0\r\n"
DATA_END = b"\x0f" + struct.pack("<QI", 4, 0)
FOOTER = b"\x02" + struct.pack("<QQQI", 20, 0, 0, 0) + MAGIC
"""What ends an MCAP file without a summary (https://mcap.dev/spec)."""
_RECORDS = range(0x01, 0x10)


def is_bag(path: Path) -> bool:
    """Whether a path is one bag: a file by its name, a folder by the metadata and the files in it."""
    if not path.is_dir():
        return path.suffix.lower() in SUFFIXES
    # a file may be compressed: bag_0.db3.zstd
    return (path / METADATA).is_file() and any(set(child.suffixes) & set(SUFFIXES) for child in path.iterdir())


def bags_in(folder: Path) -> list[Path]:
    """The bags right in a folder, itself not being one, by name."""
    return sorted(child for child in folder.iterdir() if not child.name.startswith(".") and is_bag(child))


def files_of(path: Path) -> list[Path]:
    """The files that a bag is made of."""
    return sorted(child for child in path.iterdir() if child.is_file()) if path.is_dir() else [path]


class Bag:
    """One bag, open for reading; a context manager.

    Attributes:
        types: topic -> type in two parts (`sensor_msgs/Image`). A topic that has several has the first.
        cut: whether it is an MCAP file without its end, of which everything up to the cut is read.

    Raises DatasetError, in one line, for whatever is wrong with it, when it is opened and while it is read; Unsupported
    without rosbags.
    """

    def __init__(self, path: Path):
        self.path = path
        self.cut = False
        self.types: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            from rosbags.highlevel import AnyReader
            from rosbags.typesys import Stores, get_typestore
        except ModuleNotFoundError as error:
            raise Unsupported(f"bags need {error.name}: pip install 'headway[ros]'") from error
        # rosbags lets through whatever its parsers meet in a damaged file: everything is caught here and below
        try:
            end = _cut_at(self.path)
            self.cut = end is not None
            readable: Any = self.path if end is None else _UpToCut(self.path, end)
            # bags of ROS 2 before Iron say only the names of their types
            self._reader = AnyReader([readable], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
            self._reader.open()
        except Exception as error:
            raise self._damaged(error) from error
        for connection in self._reader.connections:
            self.types.setdefault(connection.topic, two_part(connection.msgtype))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def messages(self, topics: Collection[str], start: int | None = None) -> Iterator[tuple[str, int, bytes]]:
        """Topic, time of its logging in nanoseconds and raw bytes of each message of these topics, in order of time.

        Args:
            topics: none is no message.
            start: nanoseconds of the first to be seen.
        """
        wanted = [
            one
            for one in self._reader.connections
            if one.topic in topics and two_part(one.msgtype) == self.types[one.topic]
        ]
        reading = self._reader.messages(wanted, start=start) if wanted else iter(())
        while True:
            try:
                found = next(reading, None)
            except Exception as error:
                raise self._damaged(error) from error
            if found is None:
                return
            connection, time, raw = found
            yield connection.topic, time, bytes(raw)

    def read(self, topic: str, raw: bytes) -> Any:
        """A message as an object with the fields of its type; numbers in a row are numpy arrays."""
        name = next(one.msgtype for one in self._reader.connections if one.topic == topic)
        try:
            return self._reader.deserialize(raw, name)
        except Exception as error:
            raise DatasetError(
                f"{self.path}: a message on {topic} cannot be read as {two_part(name)} ({_reason(error)}); record or "
                "copy it again"
            ) from error

    def _damaged(self, error: Exception) -> DatasetError:
        reason, suffix = _reason(error), self.path.suffix.lower()
        hint = "copy it again or record it again"
        if suffix == ".bag":
            hint += "; of a recording that was cut off `rosbag reindex` makes a whole one"
        elif suffix == ".mcap":
            hint += "; `mcap recover` saves what is whole"
        return DatasetError(f"{self.path} cannot be read as a bag ({reason}); {hint}")


class _UpToCut:
    """An MCAP file as far as it is whole, as if it ended there; what rosbags needs of a path."""

    def __init__(self, path: Path, end: int):
        self._path, self._end = path, end
        self.suffix = ".mcap"

    def __str__(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        return self._path.exists()

    def is_dir(self) -> bool:
        return False

    def open(self, mode: str = "rb") -> BinaryIO:
        return io.BufferedReader(_Ended(self._path.open(mode), self._end))


class _Ended(io.RawIOBase):
    """The first `end` bytes of a file, and an MCAP end behind them."""

    def __init__(self, file: Any, end: int):
        self._file, self._end, self._place = file, end, 0
        self._tail = DATA_END + FOOTER

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._end + len(self._tail)}[whence]
        self._place = max(0, origin + place)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        if self._place < self._end:
            self._file.seek(self._place)
            found = self._file.read(min(len(buffer), self._end - self._place))
        else:
            behind = self._place - self._end
            found = self._tail[behind : behind + len(buffer)]
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)

    def close(self) -> None:
        self._file.close()
        super().close()


def _cut_at(path: Path) -> int | None:
    """Behind the last whole record of an MCAP file that lacks its end; None for any other file."""
    if path.is_dir() or path.suffix.lower() != ".mcap":
        return None
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return None
        file.seek(max(0, size - len(FOOTER)))
        end = file.read()
        if end.endswith(MAGIC) and end.startswith(FOOTER[:9]):
            return None
        place = len(MAGIC)
        while place + 9 <= size:
            file.seek(place)
            record, length = struct.unpack("<BQ", file.read(9))
            # zeros are what a power cut leaves where nothing had been written; a summary begins behind the data's end
            if place + 9 + length > size or record == DATA_END[0] or not (record in _RECORDS or record >= 0x80):
                break
            place += 9 + length
    return place


def _reason(error: BaseException) -> str:
    words = " ".join(str(error).split()).rstrip(".")
    return words[:160] or type(error).__name__
