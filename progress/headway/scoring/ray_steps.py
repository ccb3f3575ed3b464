"""What Ray's processes do with an episode (headway.scoring.ray_engine): one decodes it, another judges it."""

import os
import platform
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from headway.checks.numbers import Numbers
from headway.encoders.cache import FeatureCache, default_cache
from headway.episodes import Array, Episode, Frames
from headway.errors import CheckpointError, DatasetError, HeadwayError
from headway.estimator import Estimator
from headway.machine import CODEC_THREADS
from headway.scoring.engine import Work
from headway.scoring.episode import score_episode
from headway.scoring.options import ScoreOptions
from headway.source import Source

SAME = "mount or copy the same one at the same place on every machine"
OUTCOMES = pa.schema([("episode", pa.int64()), ("part", pa.large_binary()), ("error", pa.large_binary())])


@dataclass(frozen=True, repr=False)
class Job:
    """A run, as every process is told of it; all of it can be pickled.

    Attributes:
        make: makes the estimator.
        open_source: opens the dataset.
        options, numbers: see `headway.scoring.engine.Work`.
        estimator, dataset: the fingerprints that they must have.
        folder: where paths start from that are not absolute.
        threads: of torch.
        largest: bytes of pictures of one episode, beyond which it is not handed on decoded.
    """

    make: Callable[[], Estimator]
    open_source: Callable[[], Source]
    options: ScoreOptions
    numbers: Numbers
    estimator: str
    dataset: str
    folder: Path
    threads: int
    largest: int

    @classmethod
    def of(
        cls, work: Work, make: Callable[[], Estimator], open_source: Callable[[], Source], threads: int, largest: int
    ) -> Self:
        """The job of a run that was begun here."""
        prints = work.estimator.fingerprint, work.source.fingerprint
        return cls(make, open_source, work.options, work.numbers, *prints, Path.cwd(), threads, largest)

    def opened(self) -> Source:
        """The dataset, as it is on this machine. Raises DatasetError where it is missing or another one."""
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise DatasetError(f"{platform.node()} has no folder {self.folder} ({error.strerror}); {SAME}") from None
        source = self.open_source()
        if source.fingerprint != self.dataset:
            raise DatasetError(f"{source.root} on {platform.node()} is another dataset than here; {SAME}")
        return source

    def made(self) -> Estimator:
        """The estimator, likewise. Raises CheckpointError where it is another one."""
        import torch

        torch.set_num_threads(self.threads)
        estimator = self.make()
        if estimator.fingerprint != self.estimator:
            raise CheckpointError(f"{estimator.name} on {platform.node()} is another estimator than here; {SAME}")
        return estimator


class Decode:
    """Decodes episodes that are not too large (a callable class for Ray Data's `map_batches`)."""

    def __init__(self, job: Job):
        self._job = job
        # there is a process for every core that is to decode
        os.environ[CODEC_THREADS] = "1"

    @cached_property
    def _source(self) -> Source:
        return self._job.opened()

    def __call__(self, batch: dict[str, Array]) -> pa.Table:
        """{episode: (1,)} -> a table of one row: `episode`, and see `packed`.

        Without pictures where the episode is too large, or where anything goes wrong: whoever judges it meets that
        again, and then it becomes what the local engine makes of it.
        """
        (index,) = batch["episode"].tolist()
        try:
            pictures = decoded(self._source.episode(index), self._job.largest)
        except Exception:  # noqa: BLE001
            pictures = None
        return packed(index, pictures)


class Judge:
    """Scores episodes with an estimator of its own (a callable class for Ray Data's `map_batches`)."""

    def __init__(self, job: Job):
        self._job = job

    @cached_property
    def _source(self) -> Source:
        return self._job.opened()

    @cached_property
    def _cache(self) -> FeatureCache:
        return default_cache()

    @cached_property
    def _estimator(self) -> Estimator:
        return self._job.made()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A row of `Decode` -> a row for `outcomes`."""
        index = batch["episode"][0].as_py()
        part, error = None, None
        try:
            part = _stored(self._part(index, batch))
        except Exception as raised:  # noqa: BLE001
            error = portable(raised)
        columns = {"episode": [index], "part": [part], "error": [error]}
        return pa.table(columns, OUTCOMES)

    def _part(self, index: int, batch: pa.Table) -> pa.Table:
        # first of all: it goes to where paths start from
        episode = with_pictures(self._source.episode(index), unpacked(batch))
        return score_episode(episode, self._estimator, self._job.options, self._job.numbers, self._cache)


@dataclass(frozen=True, repr=False)
class DecodedFrames:
    """Another's frames (`headway.episodes.Frames`); `pictures`, (time, height, width, 3), are all of them, decoded."""

    frames: Frames
    pictures: Array

    @property
    def identity(self) -> str | None:
        return self.frames.identity

    def __getattr__(self, name: str) -> Any:
        # what only some kinds of frames have, such as `declared`
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.frames, name)

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Array]:
        # a picture of its own each, as from a decoder: Ray's memory can only be read, and not be held on to
        return (picture.copy() for picture in self.pictures)

    def __repr__(self) -> str:
        return repr(self.frames)


def decoded(episode: Episode, largest: int) -> tuple[Array, list[Array]] | None:
    """All pictures of an episode: one stretch of memory, uint8, and each camera's (time, height, width, 3) in it.

    None where they come to more than `largest` bytes, which takes one picture of each camera to know, or where a
    camera's pictures change their size.
    """
    streams = [iter(frames) for frames in episode.cameras.values()]
    firsts = [next(stream) for stream in streams]
    sizes = [len(episode) * first.nbytes for first in firsts]
    if sum(sizes) > largest:
        return None
    memory = np.empty(sum(sizes), np.uint8)
    cameras = _split(memory, [(len(episode), *first.shape) for first in firsts])
    for camera, first, stream in zip(cameras, firsts, streams, strict=True):
        camera[0] = first
        for number, picture in enumerate(stream, start=1):
            if picture.shape != first.shape:
                return None
            camera[number] = picture
    return memory, cameras


def packed(index: int, pictures: tuple[Array, list[Array]] | None) -> pa.Table:
    """A row: `episode`; `shapes`, of each camera's pictures one after another; `pictures`, their memory, not copied."""
    memory, cameras = (None, []) if pictures is None else pictures
    shapes = [size for camera in cameras for size in camera.shape]
    if memory is None:
        stored = pa.nulls(1, pa.large_binary())
    else:
        ends = pa.py_buffer(np.array([0, len(memory)], np.int64))
        stored = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(memory)])
    return pa.table({"episode": [index], "shapes": pa.array([shapes], pa.list_(pa.int64())), "pictures": stored})


def unpacked(row: pa.Table) -> list[Array] | None:
    """Each camera's pictures (time, height, width, 3) from a row of `packed`, not copied; None where there are none."""
    stored = row["pictures"][0]
    if not stored.is_valid:
        return None
    shapes = np.reshape(row["shapes"][0].as_py(), (-1, 4)).tolist()
    return _split(np.frombuffer(stored.as_buffer(), np.uint8), shapes)


def with_pictures(episode: Episode, pictures: list[Array] | None) -> Episode:
    """The same episode with these pictures of its cameras, in their order."""
    if pictures is None:
        return episode
    cameras = zip(episode.cameras.items(), pictures, strict=True)
    return replace(episode, cameras={name: DecodedFrames(frames, seen) for (name, frames), seen in cameras})


def portable(error: Exception) -> bytes:
    """The error, pickled; a bug's with where it was raised."""
    from ray import cloudpickle

    if not isinstance(error, HeadwayError):
        error.add_note(f"raised in a process of Ray on {platform.node()}:\n{traceback.format_exc()}")
    try:
        packed: bytes = cloudpickle.dumps(error)
        cloudpickle.loads(packed)
    except Exception:  # noqa: BLE001
        # some can only be made with other arguments than their message
        told = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
        packed = cloudpickle.dumps(RuntimeError(told))
    return packed


def outcomes(rows: pa.Table) -> Iterator[tuple[int, pa.Table | Exception]]:
    """Rows of `Judge`, with the schema OUTCOMES: each episode's number with its part, or why it could not be made."""
    from ray import cloudpickle

    for row in rows.to_pylist():
        yield row["episode"], cloudpickle.loads(row["error"]) if row["part"] is None else _restored(row["part"])


def _stored(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _restored(stored: bytes) -> pa.Table:
    with pa.ipc.open_stream(stored) as reader:
        return reader.read_all()


def _split(memory: Array, shapes: list[tuple[int, ...]]) -> list[Array]:
    """Views of these shapes, one behind another."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(memory, ends[:-1]), shapes, strict=True)]
