"""The engine that works in this process."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from headway.checks.pictures import Facts
from headway.encoders.cache import FeatureCache, default_cache
from headway.episodes import Episode
from headway.estimator import Decoding, Waiting
from headway.files import write_json
from headway.scoring.decoding import DecodeAhead
from headway.scoring.engine import Work
from headway.scoring.episode import score_episode


def score_here(work: Work, left: Sequence[int], on_part: Callable[[], None], workers: int = 0) -> None:
    """Score what is left, one episode after the other (`headway.scoring.engine.Engine`).

    `workers` processes decode the episodes to come. Estimators that wait for something, or gain by it, judge several
    at once instead, each in a thread: they have `at_once`.
    """
    at_once = getattr(work.estimator, "at_once", None)
    for _ in _in_turn(work, left, workers) if at_once is None else _side_by_side(work, left, at_once):
        on_part()


def _in_turn(work: Work, left: Sequence[int], workers: int) -> Iterator[None]:
    """While an episode is judged, the next is decoded and the part of the one before is written."""
    cache = default_cache()
    episodes = (work.source.episode(index) for index in left)
    with DecodeAhead(workers) as ahead, ThreadPoolExecutor(1) as writer:
        written: Future[None] | None = None
        decoded = ahead.episodes(episodes, partial(_looked_at, work, cache))
        for index, episode in zip(left, decoded, strict=True):
            part = score_episode(episode, work.estimator, work.options, work.numbers, cache)
            if written is not None:
                written.result()
                yield
            written = writer.submit(work.parts.write, index, part)
        if written is not None:
            written.result()
            yield


def _looked_at(work: Work, cache: FeatureCache, episode: Episode) -> set[str]:
    """The cameras that the estimator or the checks will go through."""
    unchecked = {name for name, frames in episode.cameras.items() if not cache.holds(Facts(), frames)}
    if not isinstance(work.estimator, Decoding):
        return unchecked
    return unchecked | set(work.estimator.decodes(episode, work.options.stride))


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
