"""Edited clips: an episode played otherwise than it was recorded, so that time no longer tells how far along it is.

An edited clip is nothing but a list of frames of the episode in the order in which they are shown. Its true phase is
known without any label: the place in the recording that each shown frame is from. It needs demonstrations that move
on; a failure's place in time says nothing of its progress.
"""

from collections.abc import Sequence

import numpy as np

from headway.episodes import Array

SPEEDS = (0.5, 2.0)
# shares of the episode
STOPS = (0.4, 1.0)
PAUSES = (0.1, 0.3)
FALLS = (0.3, 0.8)


def edited_clip(length: int, rng: np.random.Generator) -> Array:
    """Play an episode on, pause, on, backwards, and on to an early stop, each stretch at a speed of its own.

    Args:
        length: frames in the episode.
        rng: draws speeds (log-uniform), places, the pause, how far it falls back, and where it stops.

    Returns:
        int64 (shown,): the recorded frame shown at each moment, from 0.
    """
    stop = rng.uniform(*STOPS) * (length - 1)
    pause_at, turn = np.sort(rng.uniform(0.1, 1, 2)) * stop
    places = [0.0, pause_at, pause_at, turn, turn * (1 - rng.uniform(*FALLS)), stop]
    slowest, fastest = np.log(SPEEDS)
    speeds = np.exp(rng.uniform(slowest, fastest, len(places) - 1))
    durations = np.abs(np.diff(places)) / speeds
    durations[1] = rng.uniform(*PAUSES) * length
    return play(places, durations)


def play(places: Sequence[float], durations: Sequence[float] | Array) -> Array:
    """Go from place to place in so many frames each: int64 (shown,), rounded to whole recorded frames.

    Args:
        places: recorded frames, (stretches + 1,).
        durations: how many frames are shown while going from each place to the next, (stretches,).
    """
    times = np.concatenate([[0.0], np.cumsum(durations)])
    return np.rint(np.interp(np.arange(int(times[-1]) + 1), times, places)).astype(np.int64)


def phase(shown: Array, length: int) -> Array:
    """The true phase of shown frames: 0 at the episode's first, 1 at its last; float (shown,)."""
    return shown / max(length - 1, 1)
