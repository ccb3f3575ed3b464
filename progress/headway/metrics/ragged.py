"""Episodes of unequal length, worked on many at a time.

Curves are one array (time,) an episode. For figures of one episode each, those of equal length are stacked to
(episodes, time); for figures of frames, all are put one after another.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue

# Frames of one stack: its temporaries fit a processor's cache, and a hundred stacks cost no more than their arithmetic.
STACK = 1 << 18

Curves = Sequence[Array] | Array


def lengths_of(*curves: Curves) -> Array:
    """Frames of each episode, int64 (episodes,). Raises InvalidValue when sets of curves do not fit together."""
    of_each = [np.fromiter(map(len, each), np.int64, len(each)) for each in curves]
    for other in of_each[1:]:
        if len(other) != len(of_each[0]):
            raise InvalidValue(f"{len(of_each[0])} curves but {len(other)} beside them; needs one of each an episode")
        if (other != of_each[0]).any():
            at = int(np.flatnonzero(other != of_each[0])[0])
            raise InvalidValue(f"curves of episode {at} have {of_each[0][at]} and {other[at]} frames; needs as many")
    return of_each[0]


def stacks(*curves: Curves) -> Iterator[tuple[Array, list[Array]]]:
    """Episodes of equal length together: their numbers, int (chosen,), and float64 (chosen, time) of each set.

    An episode without frames, or with a NaN in any of the sets, is in no stack: no figure of it is defined. Whoever
    wants the figure of the frames that are known takes `known_frames` first.
    """
    lengths = lengths_of(*curves)
    order = np.argsort(lengths, kind="stable")
    for same in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        time = int(lengths[same[0]]) if same.size else 0
        if not time:
            continue
        step = max(1, STACK // time)
        for chosen in (same[begin : begin + step] for begin in range(0, len(same), step)):
            stacked = [np.concatenate([each[i] for i in chosen], dtype=float).reshape(-1, time) for each in curves]
            # a sum would find a NaN faster, but is NaN also where infinities of both signs meet
            known = ~np.any([np.isnan(stack).any(axis=1) for stack in stacked], axis=0)
            if not known.all():
                chosen, stacked = chosen[known], [stack[known] for stack in stacked]
            if chosen.size:
                yield chosen, stacked


def per_episode(figure: Callable[..., Array], *curves: Curves, columns: tuple[int, ...] = ()) -> Array:
    """A figure of each episode, float64 (episodes, *columns), NaN for an episode without frames or with a NaN.

    Args:
        figure: from stacks (chosen, time), one for each set of curves, to (chosen, *columns).
        curves: (time,) an episode, as many sets as `figure` takes.
        columns: further axes of what it gives.
    """
    found = np.full((len(curves[0]), *columns), np.nan)
    for chosen, stacked in stacks(*curves):
        found[chosen] = figure(*stacked)
    return found


def end_to_end(curves: Curves) -> tuple[Array, Array]:
    """All frames of all episodes, (frames,), and the number of each one's episode, int64 (frames,)."""
    lengths = lengths_of(curves)
    return np.concatenate([*curves, np.zeros(0, np.asarray(curves[0]).dtype if len(curves) else float)]), np.repeat(
        np.arange(len(lengths)), lengths
    )


def with_nan(values: Array, episode: Array, episodes: int) -> Array:
    """Bool (episodes,): which have a NaN among their values (frames,), where `episode` numbers each frame's."""
    return np.bincount(episode[np.isnan(values)], minlength=episodes) > 0


def known_frames(curves: Curves) -> list[Array]:
    """The curves without the frames that are NaN."""
    values, episode = end_to_end(curves)
    known = ~np.isnan(values)
    if known.all():
        return list(curves)
    kept = np.bincount(episode[known], minlength=len(curves))
    return np.split(values[known], np.cumsum(kept)[:-1])
