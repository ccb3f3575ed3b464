"""Features kept on disk: computed once per encoder and camera of an episode, then mapped into memory."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from filelock import FileLock

from headway.encoders.base import FrameEncoder
from headway.episodes import Array, Frames
from headway.errors import InvalidValue, OutputError, VideoError
from headway.files import replacing

# pictures held at once, whatever the length of the episode
BATCH = 32


class FeatureCache:
    """Features of frozen encoders in one folder, a file for each encoder, camera of an episode, and stride.

    Several processes may use the folder at once: one computes, the others wait for it. One that is killed leaves
    nothing that stops the next. Nothing is ever thrown away; the folder may be deleted at any time.

    Args:
        folder: made when the first features are written.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def features(self, encoder: FrameEncoder, frames: Frames, every: int = 1) -> Array:
        """The features of frames 0, `every`, 2 `every`, ...: a read-only map (kept, *encoder.shape).

        The video is decoded at most once. Frames whose `identity` is None are encoded in memory and not kept. A file
        whose size is not what its header says, or that another encoder wrote, is computed anew. Raises InvalidValue
        for a stride below 1, VideoError for a video that cannot be read, OutputError where the folder cannot be
        written.
        """
        if every < 1:
            raise InvalidValue(f"every how many-th frame is kept must be at least 1, got {every}")
        shape = (-(-len(frames) // every), *encoder.shape)
        if frames.identity is None or len(frames) == 0:
            return _in_memory(encoder, frames, every, shape)
        path = self._path(encoder, frames.identity, every)
        found = _open(path, shape, encoder.dtype)
        return self._compute(path, encoder, frames, every, shape) if found is None else found

    def holds(self, encoder: FrameEncoder, frames: Frames) -> bool:
        """Whether the features of all frames are here, so that asking for them decodes nothing."""
        if frames.identity is None:
            return False
        path = self._path(encoder, frames.identity, 1)
        return _open(path, (len(frames), *encoder.shape), encoder.dtype) is not None

    def keep(self, encoder: FrameEncoder, frames: Frames, features: Array) -> None:
        """Keep the features (frame, *encoder.shape) of all frames, which somebody has computed already.

        Frames whose `identity` is None are passed over. Raises OutputError where the folder cannot be written.
        """
        if frames.identity is None:
            return
        path = self._path(encoder, frames.identity, 1)
        with replacing(path) as beside, beside.open("wb") as file:
            np.save(file, np.ascontiguousarray(features, encoder.dtype))

    def _path(self, encoder: FrameEncoder, identity: str, every: int) -> Path:
        key = f"{encoder.fingerprint}\0{identity}\0{every}"
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"

    def _compute(self, path: Path, encoder: FrameEncoder, frames: Frames, every: int, shape: tuple[int, ...]) -> Array:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # the system lets go of the lock of a process that dies
            with FileLock(path.with_suffix(".lock")):
                found = _open(path, shape, encoder.dtype)
                if found is None:
                    _write(path, encoder, frames, every, shape)
                    found = _open(path, shape, encoder.dtype)
        except (OSError, OutputError) as error:
            cause = error.__cause__ if isinstance(error, OutputError) else error
            reason = getattr(cause, "strerror", None) or cause
            raise OutputError(
                f"features cannot be kept in {self.folder} ({reason}); free some space, or name another folder in "
                "HEADWAY_CACHE"
            ) from error
        if found is None:
            raise OutputError(f"{path} was damaged while it was written; run it again")
        return found


def default_cache() -> FeatureCache:
    """The features under `cache_root`."""
    return FeatureCache(cache_root() / "features")


def cache_root() -> Path:
    """Where Headway keeps what it can make or fetch again: $HEADWAY_CACHE, else `headway` in the XDG cache folder."""
    chosen = os.environ.get("HEADWAY_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headway"


def published_path(name: str) -> Path:
    """Where `headway fetch` puts the published checkpoint `vip`, `r3m` or `liv`."""
    return cache_root() / "models" / name / "model.pt"


def _batches(encoder: FrameEncoder, frames: Frames, every: int, shape: tuple[int, ...]) -> Iterator[Array]:
    """Features of the kept frames, BATCH at a time: (picture, *encoder.shape)."""
    pictures: list[Array] = []
    left = shape[0]
    for number, picture in enumerate(frames):
        if number % every == 0:
            pictures.append(picture)
        if len(pictures) == min(BATCH, left):
            yield _encode(encoder, pictures)
            left -= len(pictures)
            pictures = []
        if left == 0:
            return
    if left:
        raise VideoError(f"{frames!r} holds fewer than the {len(frames)} frames it should; leave it out")


def _encode(encoder: FrameEncoder, pictures: list[Array]) -> Array:
    features = encoder.encode(pictures)
    if features.shape != (len(pictures), *encoder.shape) or features.dtype != encoder.dtype:
        raise InvalidValue(
            f"the encoder {encoder.name} says its features are {encoder.dtype} {encoder.shape}, but made "
            f"{features.dtype} {features.shape[1:]}"
        )
    return features


def _in_memory(encoder: FrameEncoder, frames: Frames, every: int, shape: tuple[int, ...]) -> Array:
    features = np.empty(shape, encoder.dtype)
    place = 0
    for batch in _batches(encoder, frames, every, shape) if shape[0] else ():
        features[place : place + len(batch)] = batch
        place += len(batch)
    features.flags.writeable = False
    return features


def _write(path: Path, encoder: FrameEncoder, frames: Frames, every: int, shape: tuple[int, ...]) -> None:
    # whoever was killed while it held the lock left its unfinished file behind
    for unfinished in path.parent.glob(f".{path.name}.*.part"):
        unfinished.unlink(missing_ok=True)
    header = {"descr": np.lib.format.dtype_to_descr(encoder.dtype), "fortran_order": False, "shape": shape}
    with replacing(path) as beside, beside.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        # not through a memory-map: on a full disk that ends in a signal, not in an error
        for batch in _batches(encoder, frames, every, shape):
            file.write(np.ascontiguousarray(batch).data)


def _open(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> Array | None:
    """Map a file of features, or None where it is missing, cut short or not what is wanted."""
    try:
        features = np.lib.format.open_memmap(path, mode="r")
        size = path.stat().st_size
    except (OSError, ValueError, EOFError):
        return None
    whole = size == features.offset + features.nbytes
    return features if whole and features.shape == shape and features.dtype == dtype else None
