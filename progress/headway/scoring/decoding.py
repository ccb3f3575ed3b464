"""Pictures decoded ahead of need in worker processes, whatever estimator looks at them and wherever they are from."""

import pickle
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from threading import RLock
from types import TracebackType
from typing import Any, Self

from headway.episodes import Array, ArrayFrames, Episode, Frames
from headway.errors import InvalidValue, VideoError
from headway.scoring.decoding_pool import Link, Workers
from headway.scoring.decoding_worker import DECLINED, END

BUFFER = 512 * 2**20
"""Bytes of decoded pictures that are held at most."""
# frames that take more bytes than this to send carry their pictures in themselves
DESCRIPTION = 2**20
# times that a worker may die at the same video
TRIES = 2


class DecodeAhead:
    """Decodes the cameras of the next episodes in worker processes while the present one is looked at.

    Its episodes have the same cameras, only that what one of them yields was decoded elsewhere: the same pictures, in
    the same order, and the same error at the same frame. A camera is decoded ahead for the first iteration over it, as
    long as its episode is the one last yielded, or to come; a second one at the same time or later decodes in this
    process. So do frames that cannot be sent to another process, while those that are in memory are left as they are.

    A video at which two workers died raises VideoError; what other videos they had in hand goes on in a new one. They
    decode with one thread each, and end with this process however it ends.

    Pictures held: at most `buffer_bytes`, of which workers + 1 cameras have equal parts. Above that come two pictures
    of each camera that is read before it was its turn (as when more of them are read in lockstep), and the part of one
    whose iteration goes on after its episode has passed. Two workers are twice as fast as one while the part of one
    camera holds half an episode; of a longer one that is looked at faster than it is decoded, the rest is decoded by
    one worker.

    Args:
        workers: how many processes; 0 leaves all episodes as they are.
        episodes_ahead: how many episodes after the present one are taken up; None for as many as there are workers.
        buffer_bytes: of decoded pictures.

    Raises InvalidValue for a number that is too low. Iterating raises Unsupported where there can be no such process.
    """

    def __init__(self, workers: int, episodes_ahead: int | None = None, buffer_bytes: int = BUFFER):
        ahead = workers if episodes_ahead is None else episodes_ahead
        if workers < 0 or ahead < 0 or buffer_bytes < 1:
            raise InvalidValue(
                f"decoding ahead takes 0 or more workers and episodes, and 1 byte or more; got {workers}, {ahead} and "
                f"{buffer_bytes}"
            )
        self._ahead = ahead
        self._most = workers + 1
        self._room = buffer_bytes // self._most
        self._waiting: deque[_Job] = deque()
        self._open: set[_Job] = set()
        # an iteration that nobody holds any more ends wherever Python finds it, maybe while the lock is held
        self._lock = RLock()
        self._turn = 0
        self._workers = Workers(workers) if workers else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers. An iteration that is under way goes on in this process."""
        with self._lock:
            self._waiting.clear()
            if self._workers is not None:
                self._workers.close()

    def episodes(
        self, episodes: Iterable[Episode], wanted: Callable[[Episode], Collection[str]]
    ) -> Iterator[Episode]:
        """The same episodes in order; of each the cameras `wanted` are being decoded by the time it is yielded.

        `wanted` is asked when an episode is taken up, ahead of its turn. An error in it, or in coming by an episode,
        is raised when it would be that episode's turn.
        """
        if self._workers is None:
            yield from episodes
            return
        taken: deque[tuple[Episode, list[_Job]]] = deque()
        failures: list[Exception] = []
        source = iter(episodes)
        try:
            while True:
                while len(taken) <= self._ahead and not failures:
                    with _kept(failures):
                        episode = next(source)
                        taken.append(self._take_up(episode, wanted(episode)))
                if not taken:
                    break
                yield taken[0][0]
                self._pass(taken.popleft()[1])
        finally:
            for _, jobs in taken:
                self._pass(jobs)
        if not isinstance(failures[0], StopIteration):
            raise failures[0]

    def _take_up(self, episode: Episode, names: Collection[str]) -> tuple[Episode, list["_Job"]]:
        self._turn += 1
        cameras, jobs = dict(episode.cameras), []
        for name, frames in episode.cameras.items():
            packed = _packed(frames) if name in names else None
            if packed is not None:
                job = _Job(frames, packed, self._turn)
                cameras[name] = FramesAhead(frames, self, job)
                jobs.append(job)
        with self._lock:
            self._waiting.extend(jobs)
            self._offer()
        return (replace(episode, cameras=cameras) if jobs else episode), jobs

    def _offer(self) -> None:
        """Hand out waiting jobs, as many as have a part of the buffer."""
        with self._lock:
            while self._waiting and len(self._open) < self._most:
                job = self._waiting.popleft()
                self._open.add(job)
                self._give(job, self._room)

    def _give(self, job: "_Job", room: int, skip: int = 0) -> None:
        assert self._workers is not None
        job.link = self._workers.give(job.packed, job.turn, room, skip)

    def _pass(self, jobs: list["_Job"]) -> None:
        """Drop those of the jobs that nobody has begun to read."""
        with self._lock:
            for job in jobs:
                if not job.begun:
                    job.begun = True
                    self._end(job)

    def _end(self, job: "_Job") -> None:
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
            self._open.discard(job)
            if job.link is not None:
                job.link.close()
                job.link = None
            self._offer()

    def _begin(self, job: "_Job") -> bool:
        """Whether the job's pictures are for whoever asks: only the first has them, and only in time."""
        with self._lock:
            if job.begun or self._workers is None:
                return False
            job.begun = True
            if job.link is None:
                if job not in self._waiting:
                    return False
                # read before its turn: it must not wait for those before it, which may wait for it
                self._waiting.remove(job)
                self._give(job, 0)
            return True

    def _again(self, job: "_Job", count: int) -> bool:
        """Have a job done again from picture `count` on, because its worker is gone; False when there are none."""
        assert self._workers is not None
        assert job.link is not None
        ...
        return True


@contextmanager
def _kept(failures: list[Exception]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - raised when it is its turn
        failures.append(error)
