"""The windows of frames a SARM looks at, as index arrays; the pictures and labels follow the same indices.

A window is the episode's first frame and then `history` frames, `gap` apart, the last of which is the present.
Places before the episode's start are padding.
"""

import numpy as np

from headway.episodes import Array

PADDING = -1


def backward_windows(present: Array, gap: float, history: int) -> Array:
    """Windows that end at each frame of `present` (windows,): int64 (windows, 1 + history), PADDING where none.

    The first column is frame 0, the last is the present itself, the others the frames nearest to whole gaps before.

    Args:
        present: frame numbers.
        gap: frames between two places of the window; need not be whole.
        history: places of the window besides the first.
    """
    wanted = present[:, None] - np.arange(history - 1, -1, -1)[None, :] * gap
    # the tolerance keeps rounding of gap * fps from dropping frame 0
    places = np.where(wanted < -1e-6, PADDING, np.rint(wanted)).astype(np.int64)
    return np.concatenate([np.zeros((len(present), 1), dtype=np.int64), places], axis=1)


def rewind(windows: Array, share: float, rng: np.random.Generator) -> Array:
    """Turn a `share` of the windows, each drawn on its own, so that they run forward and then back.

    For windows of neighbouring places, (windows, 1 + history): ..., u-2, u-1, u becomes ..., u-1, u, u-1, ..., u-m
    with m drawn from 1 to history - 1. Its present is its last place, so a label looked up there is the label of
    that very picture. A window too near the episode's start to go back even once stays as it is.
    """
    turned = windows.copy()
    known = (windows[:, 1:] != PADDING).sum(axis=1)
    for row in np.flatnonzero((rng.random(len(windows)) < share) & (known >= 2)):
        turning_point = windows[row, -1]
        steps_back = rng.integers(1, known[row])
        back = turning_point - np.arange(1, steps_back + 1)
        forward = windows[row, 1 + steps_back :]
        turned[row, 1:] = np.concatenate([forward, back])
    return turned
