"""Stretches of frames for which something holds."""

import numpy as np

from headway.episodes import Array


def stretches(flags: Array, least: int = 1) -> list[tuple[int, int]]:
    """The stretches of True in bool (time,) of `least` frames and more, as (start, end)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(start, end) for start, end in pairs if end - start >= least]
