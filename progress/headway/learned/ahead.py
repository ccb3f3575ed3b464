"""What is needed next is prepared by a thread of its own while what is at hand is worked on."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self


class Ahead[Thing]:
    """An iterator over the results of jobs, of which a thread does at most `depth` before they are asked for.

    The results come in the order of the jobs, and are the same whatever the depth, as long as no job depends on what
    is done with the results before. What a job raises is raised where its result is asked for. To be used in a `with`
    statement: on leaving it, the job under way is waited for, and the others are dropped; no thread is left behind.

    Args:
        jobs: called one after another; gone through lazily, by whoever asks for the results.
        depth: 0 for no thread: each job is done when its result is asked for.
    """

    def __init__(self, jobs: Iterable[Callable[[], Thing]], depth: int):
        self._jobs, self._depth = iter(jobs), depth
        self._begun: deque[Future[Thing]] = deque()
        self._pool = ThreadPoolExecutor(1, "headway-ahead") if depth else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Thing:
        if self._pool is None:
            return next(self._jobs)()
        self._begin(self._pool)
        if not self._begun:
            raise StopIteration
        result = self._begun.popleft().result()
        self._begin(self._pool)
        return result

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        while len(self._begun) < self._depth:
            job = next(self._jobs, None)
            if job is None:
                return
            self._begun.append(pool.submit(job))
