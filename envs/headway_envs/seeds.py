"""Which layout seeds belong to whom, so that no policy or estimator is tested on a layout it was made with.

A layout seed is any whole number from 0; an episode's look is drawn from the same seed.

    0 .. 2**40          collection S owns S * 100000 up to (S + 1) * 100000, one seed an episode
    2**40 .. 2**48      unseen: no collection reaches them, they are for evaluation
    from 2**48          the named splits, 2**40 seeds each
"""

from dataclasses import dataclass

from headway.errors import InvalidValue, UnknownName

SPAN = 100_000
UNSEEN = 2**40
SPLIT = 2**48
_SPLIT_SPAN = 2**40


@dataclass(frozen=True)
class Split:
    """A part of the data that shares no layout and no look with any other.

    Attributes:
        name: as a user writes it.
        variation: level of visual variation of its episodes.
        seeds: its own, in order.
    """

    name: str
    variation: str
    seeds: range


def _splits(variations: dict[str, str]) -> dict[str, Split]:
    starts = range(SPLIT, SPLIT + len(variations) * _SPLIT_SPAN, _SPLIT_SPAN)
    return {
        name: Split(name, variation, range(start, start + _SPLIT_SPAN))
        for (name, variation), start in zip(variations.items(), starts, strict=True)
    }


SPLITS = _splits({"train": "mild", "validation": "mild", "test": "mild", "test-ood": "ood"})
"""The splits by name. The order decides the seeds: a new one comes last."""


def collection_seeds(seed: int, episodes: int) -> range:
    """Layout seeds of a collection's episodes, in order. Two collections of different `seed` share none."""
    if not 0 <= seed < UNSEEN // SPAN:
        raise InvalidValue(f"seed must be a whole number from 0 to {UNSEEN // SPAN - 1}, got {seed}")
    if not 1 <= episodes <= SPAN:
        raise InvalidValue(f"a collection has 1 to {SPAN} episodes, got {episodes}; use another --seed for more")
    return range(seed * SPAN, seed * SPAN + episodes)


def unseen_seeds(count: int, start: int = 0) -> range:
    """Layout seeds for evaluation, disjoint from those of every collection and every split."""
    if count < 1 or start < 0:
        raise InvalidValue(f"needs at least one unseen seed and a start from 0, got {count} from {start}")
    if start + count > SPLIT - UNSEEN:
        raise InvalidValue(f"there are {SPLIT - UNSEEN} unseen seeds, got {count} from {start}")
    return range(UNSEEN + start, UNSEEN + start + count)


def find_split(name: str) -> Split:
    """The split of that name. Raises UnknownName, which lists them."""
    if name not in SPLITS:
        raise UnknownName("split", name, SPLITS)
    return SPLITS[name]


def split_seeds(name: str, count: int) -> range:
    """The first `count` layout seeds of a split. Raises UnknownName for an unknown split, InvalidValue for a count
    that it does not have."""
    seeds = find_split(name).seeds
    if not 1 <= count <= len(seeds):
        raise InvalidValue(f"the split {name!r} has 1 to {len(seeds)} seeds, got {count}")
    return seeds[:count]
