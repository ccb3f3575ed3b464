"""Which demonstrator acts in which episode of a collection."""

from collections.abc import Mapping, Sequence

import numpy as np

from headway.errors import InvalidValue

Job = tuple[int, str]
"""The seed of an episode and the kind of demonstrator."""


def parse_mix(text: str) -> dict[str, float]:
    """Shares by kind from `expert=.5,detour+jitter=.1`, scaled to sum to 1; whether there is such a kind is not asked.

    Raises InvalidValue for a share that is no number, negative, or for a sum of 0.
    """
    shares: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        kind, _, share = part.partition("=")
        if kind in shares:
            raise InvalidValue(f"--mix names {kind!r} twice: {text!r}; give each kind one share")
        shares[kind] = _share(part, share)
    total = sum(shares.values())
    if total == 0:
        raise InvalidValue(f"the shares of --mix sum to 0: {text!r}; give at least one kind a share, as in expert=1")
    return {kind: share / total for kind, share in shares.items()}


def default_mix(kinds: Sequence[str]) -> dict[str, float]:
    """Half expert, the other half spread evenly over the imperfect ones of `kinds`."""
    imperfect = [kind for kind in kinds if kind != "expert"]
    return {"expert": 0.5} | dict.fromkeys(imperfect, 0.5 / len(imperfect))


def plan(seeds: Sequence[int], mix: Mapping[str, float], seed: int) -> list[Job]:
    """Which demonstrator acts with which of `seeds`: counts by largest remainder, in an order drawn from `seed`."""
    episodes = len(seeds)
    exact = {kind: share * episodes for kind, share in mix.items()}
    counts = {kind: int(number) for kind, number in exact.items()}
    # rounding makes equal remainders equal, so that ties go by the order of the kinds everywhere
    by_remainder = sorted(exact, key=lambda kind: round(counts[kind] - exact[kind], 9))
    for kind in by_remainder[: episodes - sum(counts.values())]:
        counts[kind] += 1
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    order = np.random.default_rng([seed, 4]).permutation(episodes)
    return [(layout_seed, kinds[place]) for layout_seed, place in zip(seeds, order, strict=True)]


def _share(part: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = float("nan")
    if not 0 <= share < float("inf"):
        raise InvalidValue(f"--mix has {part!r}; write kind=share with a share from 0, as in expert=.5,drop=.1")
    return share
