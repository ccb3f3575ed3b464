"""Pictures decoded ahead of need in worker processes, whatever estimator looks at them and wherever they are from."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from threading import RLock
from types import TracebackType
from typing import Any, Self

from headway.episodes import Array, Episode, Frames
from headway.errors import InvalidValue, VideoError
from headway.scoring.decoding_frames import FramesAhead, died, packed
from headway.scoring.decoding_pool import Link, Workers
from headway.scoring.decoding_worker import DECLINED, END

BUFFER = 512 * 2**20
"""Bytes of decoded pictures that are held at most."""
# how a job ends, beside what its worker says
GONE = "gone"
# times that a worker may die at the same video: the system may have ended the first for reasons of its own
TRIES = 2


@dataclass(eq=False)
class _Job:
    """The pictures of one camera of one episode, to be decoded elsewhere.

    Attributes:
        frames: the camera's frames.
        packed: the same, pickled.
        turn: which episode it is, in order.
        room: bytes that its pictures may take, but one always may.
        link: the job in the workers' hands; None before and after.
        begun: whether its pictures are spoken for, or given up.
        deaths: how many workers died at it.
    """

    frames: Frames
    packed: bytes
    turn: int
    room: int = 0
    link: Link | None = None
    begun: bool = False
    deaths: int = 0


class DecodeAhead:
    """Decodes the cameras of the next episodes in worker processes while the present one is looked at.

    Its episodes have the same cameras, only that what one of them yields was decoded elsewhere: the same pictures, in
    the same order, and the same error at the same frame. A camera is decoded ahead for the first iteration over it, as
    long as its episode is the one last yielded, or to come; a second one at the same time or later decodes in this
    process. So do frames that cannot be sent to another process, while those that are in memory are left as they are.

    A video at which two workers died raises VideoError; what other videos they had in hand goes on in a new one. They
    decode with one thread each, and end with this process however it ends.

    Pictures held: at most `buffer_bytes`, of which workers + 1 cameras have equal parts. Above that come one picture
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

    @property
    def processes(self) -> list[int]:
        """The ids of the processes that are at work; each is begun when there is something for it to do."""
        return [] if self._workers is None else self._workers.running

    def episodes(self, episodes: Iterable[Episode], wanted: Callable[[Episode], Collection[str]]) -> Iterator[Episode]:
        """The same episodes in order; of each the cameras `wanted` are being decoded by the time it is yielded.

        `wanted` is asked when an episode is taken up, ahead of its turn. An error in it, or in coming by an episode,
        is raised when it would be that episode's turn.
        """
        if self._workers is None:
            yield from episodes
            return
        taken: deque[tuple[Episode, list[_Job]]] = deque()
        source, over = iter(episodes), None
        try:
            while True:
                over = over or self._take_up(taken, source, wanted)
                if not taken:
                    break
                episode, jobs = taken.popleft()
                try:
                    yield episode
                finally:
                    self._pass(jobs)
        finally:
            for _, jobs in taken:
                self._pass(jobs)
        if over is not None and not isinstance(over, StopIteration):
            raise over

    def _take_up(
        self,
        taken: deque[tuple[Episode, list[_Job]]],
        source: Iterator[Episode],
        wanted: Callable[[Episode], Collection[str]],
    ) -> Exception | None:
        """Take up as many episodes as there should be; what came in the way of more: StopIteration at their end."""
        while len(taken) <= self._ahead:
            try:
                episode = next(source)
                taken.append(self._prepared(episode, wanted(episode)))
            except Exception as error:  # noqa: BLE001 - it is raised in its turn
                return error
        return None

    def _prepared(self, episode: Episode, names: Collection[str]) -> tuple[Episode, list[_Job]]:
        assert self._workers is not None
        if self._workers.closed:
            return episode, []
        self._turn += 1
        cameras, jobs = dict(episode.cameras), []
        for name, frames in episode.cameras.items():
            content = packed(frames) if name in names else None
            if content is not None:
                job = _Job(frames, content, self._turn)
                cameras[name] = FramesAhead(frames, partial(self._pictures, job))
                jobs.append(job)
        with self._lock:
            self._waiting.extend(jobs)
            self._offer()
        return (replace(episode, cameras=cameras) if jobs else episode), jobs

    def _offer(self) -> None:
        """Hand out the jobs that wait, as many as can have a part of the buffer."""
        with self._lock:
            while self._waiting and len(self._open) < self._most:
                job = self._waiting.popleft()
                job.room = self._room
                self._give(job)
                self._open.add(job)

    def _give(self, job: _Job, skip: int = 0) -> None:
        assert self._workers is not None
        job.link = self._workers.give(job.packed, job.turn, job.room, skip)

    def _pass(self, jobs: list[_Job]) -> None:
        """Drop those of the jobs that nobody has begun to read."""
        with self._lock:
            for job in jobs:
                if not job.begun:
                    self._end(job)

    def _end(self, job: _Job) -> None:
        with self._lock:
            job.begun = True
            if job in self._waiting:
                self._waiting.remove(job)
            if job.link is not None:
                job.link.close()
                job.link = None
            self._open.discard(job)
            self._offer()

    def _begin(self, job: _Job) -> Link | None:
        """The job, for the first who asks for its pictures, if in time."""
        with self._lock:
            if job.begun:
                return None
            job.begun = True
            if job in self._waiting:
                # before its turn: were it to wait for the jobs before it, they might be waiting for it
                self._waiting.remove(job)
                self._give(job)
            return job.link

    def _pictures(self, job: _Job) -> Iterator[Array]:
        count = 0
        link = first = self._begin(job)
        try:
            while link is not None:
                pictures, ending = self._message(link)
                for place in pictures:
                    picture = link.take(*place)
                    count += 1
                    yield picture
                if ending == END:
                    return
                if isinstance(ending, Exception):
                    raise ending
                if ending == DECLINED:
                    break
                if ending == GONE:
                    link = self._again(job, link, count)
        finally:
            if first is not None:
                self._end(job)
        yield from islice(job.frames, count, None)

    def _message(self, link: Link) -> tuple[list[Any], object]:
        """What the worker says next: where pictures lie, and how the job ended if it did; GONE for a worker's own end.

        Raises Unsupported when workers cannot even begin.
        """
        assert self._workers is not None
        try:
            while not link.heard():
                if not self._workers.live(link):
                    return [], GONE
            return link.receive()
        except (EOFError, OSError):
            return [], GONE

    def _again(self, job: _Job, link: Link, count: int) -> Link | None:
        """The job anew from picture `count` on, after its worker is gone; None when there are to be no more workers.

        Raises VideoError when it was this very video that one worker after another died at.
        """
        assert self._workers is not None
        with self._lock:
            if self._workers.closed:
                return None
            status = self._workers.end_of(link.taken_by)
            if link.at_work or not status or status > 0:
                job.deaths += 1
                # one picture at a time: so none is lost, and which it was that could not be decoded is known
                job.room = 0
            if job.deaths == TRIES:
                raise VideoError(died(job.frames, count, status))
            link.close()
            job.link = None
            self._give(job, count)
            return job.link
