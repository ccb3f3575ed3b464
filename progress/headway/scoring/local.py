"""The engine that works in this process."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from headway.encoders.cache import default_cache
from headway.estimator import Estimator, Waiting
from headway.files import write_json
from headway.scoring.engine import Work
from headway.scoring.episode import score_episode


def score_here(work: Work, left: Sequence[int], on_part: Callable[[], None]) -> None:
    """Score what is left (`headway.scoring.engine.Engine`); an estimator that has facts to tell has them kept."""
    # one file a sitting, in the order of their beginning
    facts = work.parts.folder / f"facts-{time.time_ns()}.json"
    cache = default_cache()

    def score_one(index: int) -> None:
        part = score_episode(work.source.episode(index), work.estimator, work.options, work.numbers, cache)
        work.parts.write(index, part)
        if isinstance(work.estimator, Waiting):
            write_json(facts, work.estimator.facts())

    for _ in _each(score_one, left, work.estimator):
        on_part()


def _each(work: Callable[[int], None], items: Sequence[int], estimator: Estimator) -> Iterator[None]:
    """Do `work` for each item, `estimator.at_once` at a time; after an error not one more is begun."""
    # only those have it that gain by it
    at_once = getattr(estimator, "at_once", 1)
    if at_once == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for future in [pool.submit(work, item) for item in items]:
                yield future.result()
        except BaseException:
            # what is under way would be waited for, to the last retry
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(estimator, Waiting):
                estimator.stop()
            raise
