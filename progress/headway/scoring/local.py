"""The engine that works in this process."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from headway.encoders.cache import default_cache
from headway.estimator import Waiting
from headway.files import write_json
from headway.scoring.engine import Work
from headway.scoring.episode import score_episode


def score_here(work: Work, left: Sequence[int], on_part: Callable[[], None]) -> None:
    """Score what is left, one episode after the other (`headway.scoring.engine.Engine`).

    Estimators that wait for something, or gain by it, judge several at once, each in a thread: they have `at_once`.
    """
    at_once = getattr(work.estimator, "at_once", None)
    for _ in _in_turn(work, left) if at_once is None else _side_by_side(work, left, at_once):
        on_part()


def _in_turn(work: Work, left: Sequence[int]) -> Iterator[None]:
    """While an episode is judged, the part of the one before is written."""
    cache = default_cache()
    with ThreadPoolExecutor(1) as writer:
        written: Future[None] | None = None
        for index in left:
            part = score_episode(work.source.episode(index), work.estimator, work.options, work.numbers, cache)
            if written is not None:
                written.result()
                yield
            written = writer.submit(work.parts.write, index, part)
        if written is not None:
            written.result()
            yield


def _side_by_side(work: Work, left: Sequence[int], at_once: int) -> Iterator[None]:
    """Several episodes at a time; after an error not one more is begun. What the estimator has to tell is kept."""
    # one file a sitting, in the order of their beginning
    facts = work.parts.folder / f"facts-{time.time_ns()}.json"
    cache = default_cache()

    def score_one(index: int) -> None:
        part = score_episode(work.source.episode(index), work.estimator, work.options, work.numbers, cache)
        work.parts.write(index, part)
        if isinstance(work.estimator, Waiting):
            write_json(facts, work.estimator.facts())

    with ThreadPoolExecutor(at_once) as pool:
        try:
            for future in [pool.submit(score_one, index) for index in left]:
                future.result()
                yield
        except BaseException:
            # what is under way would be waited for, to the last retry
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(work.estimator, Waiting):
                work.estimator.stop()
            raise
