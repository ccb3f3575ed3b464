"""Which layout seeds belong to whom, so that no policy or estimator is tested on a layout it was made with.

A layout seed is any whole number from 0. Collection S owns S * 100000 up to (S + 1) * 100000, one seed an episode.
The seeds from 2**40 on are unseen: no collection reaches them, they are for evaluation.
"""

from headway.errors import InvalidValue

SPAN = 100_000
UNSEEN = 2**40


def collection_seeds(seed: int, episodes: int) -> range:
    """Layout seeds of a collection's episodes, in order. Two collections of different `seed` share none."""
    if not 0 <= seed < UNSEEN // SPAN:
        raise InvalidValue(f"seed must be a whole number from 0 to {UNSEEN // SPAN - 1}, got {seed}")
    if not 1 <= episodes <= SPAN:
        raise InvalidValue(f"a collection has 1 to {SPAN} episodes, got {episodes}; use another --seed for more")
    return range(seed * SPAN, seed * SPAN + episodes)


def unseen_seeds(count: int, start: int = 0) -> range:
    """Layout seeds for evaluation, disjoint from those of every collection."""
    if count < 1 or start < 0:
        raise InvalidValue(f"needs at least one unseen seed and a start from 0, got {count} from {start}")
    return range(UNSEEN + start, UNSEEN + start + count)
