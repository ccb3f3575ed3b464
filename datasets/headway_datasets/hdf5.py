"""HDF5 files read with care: damage is told in one line, and nothing outside the file itself is followed.

Links to other files, data kept in other files and object references are refused or left alone: an HDF5 file from
somewhere else could name any file of this machine by them.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np

from headway.episodes import Array
from headway.errors import DatasetError, HeadwayError, InvalidValue, VideoError, VideoTooShort
from headway_datasets.fingerprint import fingerprint
from headway_datasets.video import file_identity

SUFFIXES = (".hdf5", ".h5")
# whatever h5py raises on damaged bytes, by experience; MemoryError where a damaged size asks for terabytes
DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError, SystemError)
BLOCK_BYTES = 4 << 20
PICTURE_BYTES = 1 << 28
JPEG = b"\xff\xd8\xff"


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A file opened for reading. Raises DatasetError where it is missing, damaged or being written."""
    with _told(path):
        file = h5py.File(path, "r", locking="best-effort")
    try:
        yield file
    finally:
        with _told(path):
            file.close()


def members(group: h5py.Group) -> list[str]:
    """The names right inside a group, in the file's order; those that are no text are damage, and left out."""
    with _told(group.file.filename):
        return [name for name in group if isinstance(name, str)]


def group_at(group: h5py.Group, name: str) -> h5py.Group | None:
    """A group inside `group`; None when there is none or it is something else. Raises DatasetError."""
    found = _member(group, name)
    return found if isinstance(found, h5py.Group) else None


def dataset_at(group: h5py.Group, name: str) -> h5py.Dataset | None:
    """A dataset inside `group`; None when there is none or it is something else. Raises DatasetError."""
    found = _member(group, name)
    return found if isinstance(found, h5py.Dataset) else None


def numbers(dataset: h5py.Dataset, rows: int | None = None) -> Array:
    """The first `rows` rows of a dataset of numbers or truth values, all without. Raises DatasetError."""
    path = dataset.file.filename
    with _told(path):
        if dataset.dtype.kind not in "fiub" or not dataset.shape:
            raise DatasetError(f"{path}: {dataset.name} holds {dataset.dtype} {dataset.shape}; rows of numbers needed")
        return np.asarray(dataset[:rows])


def vectors(dataset: h5py.Dataset, rows: int | None = None) -> Array:
    """Numbers as float32 (time, dim); one number a row becomes a column. Raises DatasetError for more axes."""
    values = numbers(dataset, rows)
    if values.ndim > 2:
        raise DatasetError(f"{dataset.file.filename}: {dataset.name} is {values.shape}; (time, dim) needed")
    with np.errstate(over="ignore"):
        return values.astype(np.float32) if values.ndim == 2 else values.astype(np.float32)[:, None]


def text(dataset: h5py.Dataset | None) -> str | None:
    """The text, or first text, of a dataset; None when it holds none."""
    if dataset is None:
        return None
    with _told(dataset.file.filename):
        if h5py.check_string_dtype(dataset.dtype) is None or not dataset.size:
            return None
        value = dataset[()] if dataset.shape == () else dataset[(0,) * dataset.ndim]
        return _as_text(value)


def attribute(node: h5py.Group, name: str) -> Any:
    """An attribute: text as str, a number as Python's; None when it is missing or something else."""
    with _told(node.file.filename):
        value = node.attrs.get(name)
        if isinstance(value, np.generic) and not isinstance(value, np.bytes_ | np.str_):
            return value.item()
        return value if isinstance(value, bool | int | float) else _as_text(value)


def json_attribute(node: h5py.Group, name: str) -> dict[str, Any]:
    """The JSON object in an attribute; empty when there is no such text. Raises DatasetError for broken JSON."""
    return json_object(attribute(node, name), f"{node.file.filename}: attribute {name} of {node.name}")


def json_object(content: Any, where: str) -> dict[str, Any]:
    """A JSON object from its text; empty for no text. Raises DatasetError, beginning with `where`."""
    if not isinstance(content, str) or not content:
        return {}
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where} is not readable JSON ({str(error).splitlines()[0]}); correct it") from error
    return found if isinstance(found, dict) else {}


def described(group: h5py.Group) -> str:
    """What lies right in a group, for messages: names, with type and shape where they are datasets."""
    names = members(group)
    parts = []
    for name in names[:8]:
        found = dataset_at(group, name)
        parts.append(name if found is None else f"{name} {found.dtype} {found.shape}")
    return ", ".join(parts) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if parts else "nothing"


def holds_pictures(dataset: h5py.Dataset) -> bool:
    """Whether a dataset is uint8 RGB (time, height, width, 3)."""
    return dataset.ndim == 4 and dataset.shape[-1] == 3 and dataset.dtype == np.uint8 and 0 not in dataset.shape


def holds_jpegs(dataset: h5py.Dataset) -> bool:
    """Whether each row of a dataset is the bytes of a colour JPEG, by its first row."""
    with _told(dataset.file.filename):
        rows_of_bytes = dataset.ndim == 2 and dataset.dtype == np.uint8
        if not len(dataset.shape) or not dataset.shape[0] or not (rows_of_bytes or _is_bytes(dataset)):
            return False
        content = np.asarray(dataset[0], np.uint8)
        if content[:3].tobytes() != JPEG:
            return False
        picture = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
        return picture is not None and picture.ndim == 3


@dataclass(frozen=True)
class StoredFrames:
    """One camera's pictures in an HDF5 dataset (`headway.episodes.Frames`), read a few megabytes at a time.

    Attributes:
        path: the file.
        place: the dataset in it: uint8 (time, height, width, 3), or a JPEG a row.
        length: how many of its rows belong to the episode.
        label: which episode and camera it is, for messages.
        flipped: whether the first row of pixels is the bottom of the picture, as OpenGL has it.

    Raises VideoError when they cannot be read, VideoTooShort when they are fewer.
    """

    path: Path
    place: str
    length: int
    label: str
    flipped: bool = False

    @property
    def identity(self) -> str | None:
        """From where the file lies, its size and time of change, and the place in it; None where there is no file."""
        return file_identity(self.path, self.place, self.length, self.flipped)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Array]:
        row = 0
        try:
            with h5py.File(self.path, "r", locking="best-effort") as file:
                for stored in self._rows(file[self.place]):
                    picture = self._decoded(stored)
                    row += 1
                    yield picture[::-1] if self.flipped else picture
        except HeadwayError:
            raise
        except (*DAMAGE, cv2.error) as error:
            raise VideoError(
                f"{self.label}: {self.place} in {self.path} cannot be read at frame {row} ({_reason(error)}); copy the "
                "file again or leave the episode out"
            ) from error
        if row < self.length:
            raise VideoTooShort(
                f"{self.label}: {self.place} in {self.path} holds {row} of the {self.length} frames it should; copy "
                "the file again or leave the episode out"
            )

    def _rows(self, dataset: h5py.Dataset) -> Iterator[Array]:
        count = _rows_at_once(dataset)
        for start in range(0, self.length, count):
            yield from dataset[start : min(start + count, self.length)]

    def _decoded(self, stored: Array) -> Array:
        if stored.ndim == 3:
            return stored
        picture = cv2.imdecode(np.asarray(stored, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError("it is no picture")
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _rows_at_once(dataset: h5py.Dataset) -> int:
    """How many rows to read together: some megabytes, and whole chunks, as a chunk is decompressed for each read."""
    size = int(np.prod(dataset.shape[1:], dtype=np.int64)) * dataset.dtype.itemsize
    if size > PICTURE_BYTES:
        raise ValueError(f"a picture of {size} bytes")
    rows = max(1, BLOCK_BYTES // max(size, 1)) if dataset.ndim > 1 else 16
    together = dataset.chunks[0] if dataset.chunks else 1
    return int(-(-rows // together) * together)


def frame_rate(stated: Any, given: float | None, place: Path, why: str) -> float:
    """Frames per second: what the dataset states, or else what was given with its path.

    Raises DatasetError, with `why` it is not known, when neither is there; InvalidValue when they contradict.
    """
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not 0 < stated < float("inf"):
        stated = None
    found: float | None = given if stated is None else stated
    if found is None:
        raise DatasetError(
            f"{place} does not say how many frames per second it was recorded at ({why}); say it with the path, for "
            f"20: '{place}?fps=20'"
        )
    if stated is not None and given is not None and stated != given:
        raise InvalidValue(f"{place} has {stated:g} frames per second by itself, not {given:g}; leave ?fps= away")
    return float(found)


def rated(path: Path, fps: float | None) -> Path:
    """The path with its frames per second behind it, as a user gives it; by itself where they were not given."""
    return path if fps is None else path.with_name(f"{path.name}?fps={repr(fps).removesuffix('.0')}")


def rated_fingerprint(files: Sequence[Path], fps: float | None) -> str:
    """The fingerprint of files in the first one's folder, and of the frames per second given with them."""
    try:
        found = fingerprint(files[0].parent, files)
    except OSError as error:
        raise DatasetError(f"{files[0]} cannot be read: {error}; check its permissions") from error
    return found if fps is None else hashlib.sha256(f"{found} {fps!r}".encode()).hexdigest()[:16]


def _member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    path = group.file.filename
    with _told(path):
        link = group.get(name, getlink=True)
        if link is None:
            return None
        found = None if isinstance(link, h5py.ExternalLink) else group[name]
        elsewhere = found is None or found.file.filename != path
        if isinstance(found, h5py.Dataset):
            elsewhere |= bool(found.external) or found.is_virtual
            # a damaged type fails when it is looked at
            _ = found.dtype, found.shape, found.chunks
        if elsewhere:
            raise DatasetError(
                f"{path}: {name} in {group.name} lies in another file, which is not followed; put everything into one "
                "file, for instance with h5copy"
            )
        return found if isinstance(found, h5py.Group | h5py.Dataset) else None


@contextmanager
def _told(path: Path | str) -> Iterator[None]:
    """Turn whatever h5py says of damage into one line."""
    try:
        yield
    except HeadwayError:
        raise
    except DAMAGE as error:
        raise DatasetError(
            f"{path} cannot be read as HDF5 ({_reason(error)}); copy it again or record it again"
        ) from error


def _is_bytes(dataset: h5py.Dataset) -> bool:
    return dataset.ndim == 1 and h5py.check_vlen_dtype(dataset.dtype) == np.uint8


def _as_text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return str(value) if isinstance(value, str) else None


def _reason(error: BaseException) -> str:
    words = str(error).splitlines()
    return words[0].rstrip(".") if words else type(error).__name__
