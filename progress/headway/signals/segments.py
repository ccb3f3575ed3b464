"""Stretches of a demonstration that teach nothing or the wrong thing, and what is left of an episode without them.

A cut never joins what lay apart: the pieces on its two sides become episodes of their own, or its frames get weight
zero. So no action is ever followed by one that the robot could not have taken next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from headway.episodes import Array
from headway.errors import UnknownName
from headway.signals.summary import DONE, FALL, IDLE_CHANGE, PAUSE_SECONDS

IDLE, REGRESSING, AFTER_SUCCESS, TOO_SHORT = "idle", "regressing", "after-success", "too short"
KINDS = (IDLE, REGRESSING, AFTER_SUCCESS)

# of the robot holding still after success this much is kept: a policy has to learn to stop
HOLD_SECONDS = 0.5
# success is believed after this many frames that were looked at
FRAMES_OF_SUCCESS = 5
LIKELY = 0.5
# what is left between two cuts and is shorter than this goes too
SHORTEST_SECONDS = 1.0


@dataclass(frozen=True)
class Cut:
    """Frames `start <= t < end` of an episode that go, and why."""

    episode: int
    start: int
    end: int
    why: str


@dataclass(frozen=True)
class Piece:
    """Frames `start <= t < end` of an episode that stay.

    Attributes:
        episode: its number in the dataset it is from.
        whole: nothing of the episode was cut.
        to_the_end: nothing is missing after it, or nothing but what came after success: the outcome is in it.
    """

    episode: int
    start: int
    end: int
    whole: bool
    to_the_end: bool

    def __len__(self) -> int:
        return self.end - self.start


def cut_episode(
    episode: int,
    progress: Array,
    fps: float,
    kinds: Sequence[str] = KINDS,
    success: Array | None = None,
    looked_at: Array | None = None,
    failed: bool = False,
) -> tuple[list[Piece], list[Cut]]:
    """Cut an episode by its curve.

    - idle: progress stays within IDLE_CHANGE over PAUSE_SECONDS or longer.
    - regressing: the way down from a high to the low after it, where progress falls by more than FALL.
    - after-success: from HOLD_SECONDS after success to the end. Success begins where the probability of success, or
      where that is unknown progress, rises above LIKELY, or to DONE, for good: until the last frame, and over at
      least FRAMES_OF_SUCCESS frames that were looked at.

    The HOLD_SECONDS after success are never cut. Pieces shorter than SHORTEST_SECONDS between cuts go as well.

    Args:
        episode: its number.
        progress: float (time,), NaN where unknown; nothing is cut there but by success.
        fps: frames per second.
        kinds: which to cut. Raises UnknownName for another than KINDS.
        success: float (time,), estimated probability that the task is done.
        looked_at: bool (time,), the frames whose picture the estimator used; None: all.
        failed: a person says that the episode failed; then nothing comes after success.

    Returns:
        What stays and what goes, each in order of time.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UnknownName("kind of segment", unknown[0], KINDS)
    # 0 stays; the later rows of the table of kinds win
    marks = np.zeros(len(progress), dtype=np.int8)
    if IDLE in kinds:
        marks[idle(progress, fps)] = 1 + KINDS.index(IDLE)
    if REGRESSING in kinds:
        for start, end in falls(progress):
            marks[start:end] = 1 + KINDS.index(REGRESSING)
    done = None if failed else success_begins(progress, success, looked_at)
    if done is not None:
        hold = done + max(1, round(HOLD_SECONDS * fps))
        marks[done:hold] = 0
        if AFTER_SUCCESS in kinds:
            marks[hold:] = 1 + KINDS.index(AFTER_SUCCESS)
    return _divided(episode, marks, max(1, round(SHORTEST_SECONDS * fps)))


def idle(progress: Array, fps: float) -> Array:
    """Bool (time,): the frame lies in a stretch of PAUSE_SECONDS over which progress stays within IDLE_CHANGE."""
    length = max(2, round(PAUSE_SECONDS * fps) + 1)
    found = np.zeros(len(progress), dtype=bool)
    if len(progress) < length:
        return found
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(progress, np.float64), length)
    # a window with an unknown value has no range, and a comparison with NaN is False
    starts = np.flatnonzero(np.ptp(windows, axis=1) < IDLE_CHANGE)
    edges = np.bincount(starts, minlength=len(progress) + 1)[: len(progress) + 1].astype(np.int64)
    edges -= np.bincount(starts + length, minlength=len(progress) + 1)[: len(progress) + 1]
    found[:] = np.cumsum(edges)[: len(progress)] > 0
    return found


def falls(progress: Array) -> list[tuple[int, int]]:
    """The frames on the way down from each high to the low after it, where the way is longer than FALL.

    A high is over when progress has fallen more than FALL below it, a low when it has risen more than FALL above it;
    smaller ups and downs belong to the way. The frames of the high and of the low themselves stay: (start, end) with
    the high at start - 1 and the low at end. Frames without a value are passed over.
    """
    known = np.flatnonzero(~np.isnan(progress))
    found: list[tuple[int, int]] = []
    high = low = None
    for frame in known.tolist():
        value = progress[frame]
        if low is None:
            # the last of equal highs: what comes before is standing still
            high = frame if high is None or value >= progress[high] else high
            low = frame if progress[high] - value > FALL else None
        elif value < progress[low]:
            low = frame
        elif value - progress[low] > FALL:
            assert high is not None
            found.append((high + 1, low))
            high, low = frame, None
    if high is not None and low is not None:
        found.append((high + 1, low))
    return [(start, end) for start, end in found if start < end]


def success_begins(progress: Array, success: Array | None, looked_at: Array | None = None) -> int | None:
    """The first frame of the success that lasts until the end; None where there is none. See `cut_episode`."""
    known = success is not None and not np.isnan(success).any()
    done = np.asarray(success) > LIKELY if known else np.asarray(progress) >= DONE
    missing = np.flatnonzero(~done)
    begins = int(missing[-1]) + 1 if len(missing) else 0
    seen = len(done) - begins if looked_at is None else int(np.count_nonzero(looked_at[begins:]))
    return begins if seen >= FRAMES_OF_SUCCESS else None


def uncut(episode: int, length: int) -> Piece:
    """A whole episode."""
    return Piece(episode, 0, length, whole=True, to_the_end=True)


def _divided(episode: int, marks: Array, shortest: int) -> tuple[list[Piece], list[Cut]]:
    """Pieces and cuts of an episode whose frames are marked with 0, or 1 + their kind's place in KINDS."""
    length = len(marks)
    if not marks.any():
        return [uncut(episode, length)], []
    edges = [0, *(np.flatnonzero(np.diff(marks)) + 1).tolist(), length]
    pieces: list[Piece] = []
    cuts: list[Cut] = []
    # where the episode ends once what came after success is taken away
    after = KINDS.index(AFTER_SUCCESS) + 1
    last = edges[-2] if marks[-1] == after else length
    for start, end in pairwise(edges):
        if marks[start]:
            cuts.append(Cut(episode, start, end, KINDS[marks[start] - 1]))
        elif end - start < shortest:
            cuts.append(Cut(episode, start, end, TOO_SHORT))
        else:
            pieces.append(Piece(episode, start, end, whole=False, to_the_end=end == last))
    return pieces, cuts
