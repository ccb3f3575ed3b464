"""Whether stages, and the boundaries between them, are where they truly are.

Stages are int (time,) an episode, numbered from 0 in the order of the task; a stage may come again after a fall. A
negative one is not known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.metrics.ragged import Curves, end_to_end, lengths_of, per_episode


def stage_of(progress: Array, proportions: Sequence[float]) -> Array:
    """The stage that each progress value lies in on a scale of stage proportions: int64 (time,)."""
    inner = np.cumsum(proportions)[:-1]
    return np.searchsorted(inner, progress, side="right")


def stage_accuracies(estimated: Curves, true: Curves) -> Array:
    """Share of each episode's frames whose stage is right, float64 (episodes,).

    Over the frames whose true stage is known; NaN where none is. An estimated stage that is not known is wrong.
    """
    return per_episode(_accuracy, estimated, true)


@dataclass(frozen=True)
class BoundaryErrors:
    """How far estimated boundaries lie from true ones.

    Attributes:
        error: float64 (episodes,), mean of |estimated - true| in frames over the pairs; NaN where there is none.
        paired: int64 (episodes,), pairs of an estimated and a true boundary.
        missed: int64 (episodes,), true boundaries without an estimated one.
        extra: int64 (episodes,), estimated boundaries without a true one.
    """

    error: Array
    paired: Array
    missed: Array
    extra: Array


def boundary_errors(estimated: Curves, true: Curves) -> BoundaryErrors:
    """Hold boundaries against true ones, in episodes that may fall back too.

    A boundary is a frame at which the stage passes from below stage k to k or later (up into k), or back (down from
    k); a jump over several stages passes the boundary of each. What an episode starts in is no boundary, and nor is a
    change to or from a stage that is not known. Boundaries of one episode, stage and direction are paired with each
    other only, the closest first, of equally close ones the earliest, until one side has none left. So without falls
    or flicker the error is that of the one frame at which stage k begins; an estimate that flickers is judged by its
    closest crossing and pays in `extra`.

    (Our own definition: temporal segmentation counts frames within a tolerance, which hides how far off one is.)

    Args:
        estimated: int (time,) an episode.
        true: int (time,) an episode, of the same length.
    """
    lengths = lengths_of(estimated, true)
    (ours, episode), (theirs, _) = end_to_end(estimated), end_to_end(true)
    if not all(np.issubdtype(stages.dtype, np.integer) for stages in (ours, theirs)) and len(ours):
        raise InvalidValue(f"stages must be whole numbers, got {ours.dtype} and {theirs.dtype}")
    same = episode[1:] == episode[:-1]
    within = [same & (of[1:] >= 0) & (of[:-1] >= 0) for of in (ours, theirs)]
    # so far apart that a boundary of another episode is never the closest while there is one of the same
    apart = 2 * int(lengths.max(initial=0)) + 1
    place = np.arange(len(ours)) + apart * episode
    total, paired, missed, extra = np.zeros((4, len(lengths)), np.int64)
    for level in range(1, 1 + max(int(of.max(initial=0)) for of in (ours, theirs))):
        above = ours >= level, theirs >= level
        for rising in (True, False):
            at = [
                np.flatnonzero(inside & (of[1:] == rising) & (of[:-1] != rising)) + 1
                for inside, of in zip(within, above, strict=True)
            ]
            distance, first, left, over = _paired(*(place[of] for of in at), *(episode[of] for of in at))
            total += np.bincount(first, distance, len(lengths)).astype(np.int64)
            paired += np.bincount(first, minlength=len(lengths))
            extra += np.bincount(left, minlength=len(lengths))
            missed += np.bincount(over, minlength=len(lengths))
    error = np.divide(total, paired, out=np.full(len(lengths), np.nan), where=paired > 0)
    return BoundaryErrors(error, paired, missed, extra)


def _accuracy(estimated: Array, true: Array) -> Array:
    known = true >= 0
    right, frames = (known & (estimated == true)).sum(axis=1), known.sum(axis=1)
    return np.divide(right, frames, out=np.full(len(true), np.nan), where=frames > 0)


def _paired(ours: Array, theirs: Array, our_episode: Array, their_episode: Array) -> tuple[Array, Array, Array, Array]:
    """Pair the places of boundaries, the closest first.

    Returns:
        Distance and episode of each pair, then the episodes of what is left of ours and of theirs.
    """
    distances, episodes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    while ours.size and theirs.size:
        nearest, back = _nearest(ours, theirs), _nearest(theirs, ours)
        mutual = (back[nearest] == np.arange(len(ours))) & (our_episode == their_episode[nearest])
        if not mutual.any():
            break
        distances.append(np.abs(ours - theirs[nearest])[mutual])
        episodes.append(our_episode[mutual])
        taken = np.zeros(len(theirs), bool)
        taken[nearest[mutual]] = True
        ours, our_episode = ours[~mutual], our_episode[~mutual]
        theirs, their_episode = theirs[~taken], their_episode[~taken]
    return np.concatenate(distances), np.concatenate(episodes), our_episode, their_episode


def _nearest(of: Array, among: Array) -> Array:
    """The index of the place among rising ones that is nearest to each; the earlier of two."""
    after = np.searchsorted(among, of)
    before = np.maximum(after - 1, 0)
    after = np.minimum(after, len(among) - 1)
    return np.where(np.abs(of - among[before]) <= np.abs(among[after] - of), before, after)
