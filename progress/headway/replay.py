"""An episode shown otherwise than it was recorded: other frames of it, or its pictures changed. Nothing is decoded yet.

`replay` shows other frames, by their numbers, and `repaint` changes pictures, by a function: of these the stress
transforms (`headway.stress`) and the control `reversed` are made.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import cv2
import numpy as np

from headway.episodes import Array, Episode, Frames, Stage, Truth
from headway.errors import InvalidValue, VideoError

# pictures held at once; a clip that runs backwards is decoded again for every so many
HELD = 128

Paint = Callable[[int, Array], Array]
"""(frame number, uint8 RGB (height, width, 3)) -> the picture shown instead, of the same shape."""


@dataclass(frozen=True, repr=False)
class ReplayedFrames:
    """The recorded `frames` in the order `shown`, int64 (time,).

    Shown in recorded order they are decoded once. Where the order runs back, decoding starts again for every HELD
    frames shown.
    """

    frames: Frames
    shown: Array

    @cached_property
    def identity(self) -> str | None:
        return _derived(self.frames, f"replayed {hashlib.sha256(self.shown.astype('<i8').tobytes()).hexdigest()}")

    def __len__(self) -> int:
        return len(self.shown)

    def __iter__(self) -> Iterator[Array]:
        kept: dict[int, Array] = {}
        decoding, place = iter(self.frames), 0
        for first in range(0, len(self.shown), HELD):
            block = self.shown[first : first + HELD].tolist()
            kept = {number: kept[number] for number in set(block) & kept.keys()}
            for number in sorted(set(block) - kept.keys()):
                if number < place:
                    decoding, place = iter(self.frames), 0
                kept[number] = self._skip_to(decoding, number - place)
                place = number + 1
            for number in block:
                yield kept[number]

    def _skip_to(self, decoding: Iterator[Array], ahead: int) -> Array:
        picture = next(islice(decoding, ahead, None), None)
        if picture is None:
            raise VideoError(f"{self.frames!r} holds fewer than the {len(self.frames)} frames it should; leave it out")
        return picture

    def __repr__(self) -> str:
        return f"ReplayedFrames({len(self.shown)} of {self.frames!r})"


@dataclass(frozen=True, repr=False)
class RepaintedFrames:
    """The `frames`, each painted over; `how` names the paint, down to all that it depends on."""

    frames: Frames
    paint: Paint
    how: str

    @property
    def identity(self) -> str | None:
        return _derived(self.frames, f"repainted {self.how}")

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Array]:
        return (self.paint(number, picture) for number, picture in enumerate(self.frames))

    def __repr__(self) -> str:
        return f"RepaintedFrames({self.how}, {self.frames!r})"


@dataclass(frozen=True, repr=False)
class JoinedFrames:
    """The frames of `first`, then those of `second`, at the size of the first's last one."""

    first: Frames
    second: Frames

    @property
    def identity(self) -> str | None:
        parts = self.first.identity, self.second.identity
        return None if None in parts else f"joined-{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __iter__(self) -> Iterator[Array]:
        for picture in self.first:
            yield picture
        height, width = picture.shape[:2]
        for following in self.second:
            same = following.shape == picture.shape
            yield following if same else cv2.resize(following, (width, height), interpolation=cv2.INTER_AREA)

    def __repr__(self) -> str:
        return f"JoinedFrames({self.first!r}, {self.second!r})"


def replay(episode: Episode, shown: Array) -> Episode:
    """The episode as if its recorded frames had been recorded in the order `shown`, at the same frame rate.

    Everything that is known of a frame goes with it: pictures, state, truth, marks, and the action that was recorded
    there, which need not lead to the frame shown next. Timestamps run on evenly from the first one shown. Marks of
    stages are cut where the clip leaves them. `recording` stays, so that an estimator still knows what it was trained
    on.

    The label of success is of the end of the clip: what the truth says there. Without truth it is the episode's when
    the clip ends on its last frame; False when a marked stage is under way there; else None.

    Args:
        episode: what was recorded.
        shown: int64 (time,), at least one, each a frame number of the episode.

    Raises:
        InvalidValue: no frame, or one that does not exist.
    """
    length = len(episode)
    if not len(shown) or shown.min() < 0 or shown.max() >= length:
        raise InvalidValue(f"episode {episode.index} has frames 0 to {length - 1}; asked to show {list(shown[:9])} ...")
    truth = None if episode.truth is None else replay_truth(episode.truth, shown)
    changes: dict[str, Any] = {
        name: _taken(getattr(episode, name), shown) for name in ("state", "environment_state", "action")
    }
    if episode.timestamps is not None:
        changes["timestamps"] = episode.timestamps[shown[0]] + np.arange(len(shown)) / episode.fps
    return replace(
        episode,
        cameras={name: ReplayedFrames(frames, shown) for name, frames in episode.cameras.items()},
        stages=_recut(episode.stages, shown),
        dense_stages=_recut(episode.dense_stages, shown),
        success=_success_at_end(episode, truth, int(shown[-1])),
        truth=truth,
        **changes,
    )


def replay_truth(truth: Truth, shown: Array) -> Truth:
    """What is true of the frames `shown`."""
    names = ("progress", "stage", "success", "imperfection", "value", "value_interval")
    parts: dict[str, Any] = {name: _taken(getattr(truth, name), shown) for name in names}
    return replace(truth, **parts)


def repaint(episode: Episode, paint: Paint, how: str) -> Episode:
    """The episode with each picture of every camera painted over. What is true of it stays as it is.

    Args:
        episode: what was recorded.
        paint: the change; must always do the same.
        how: names it, with every setting it depends on; by it features are found again.
    """
    painted = {name: RepaintedFrames(frames, paint, how) for name, frames in episode.cameras.items()}
    return replace(episode, cameras=painted)


def _derived(frames: Frames, change: str) -> str | None:
    """An identity made of another; None where the first is not known."""
    if frames.identity is None:
        return None
    return f"changed-{hashlib.sha256(f'{frames.identity}\0{change}'.encode()).hexdigest()[:32]}"


def _taken(values: Array | None, shown: Array) -> Array | None:
    return None if values is None else values[shown]


def _success_at_end(episode: Episode, truth: Truth | None, last: int) -> bool | None:
    if truth is not None:
        return truth.succeeded
    if last == len(episode) - 1:
        return episode.success
    under_way = any(stage.start <= last < stage.end for stage in episode.stages or ())
    return False if under_way else None


def _recut(stages: tuple[Stage, ...] | None, shown: Array) -> tuple[Stage, ...] | None:
    """One mark for each run of shown frames that one recorded mark covers."""
    if stages is None:
        return None
    mark_of = np.full(int(shown.max()) + 1, -1)
    for number, stage in enumerate(stages):
        mark_of[stage.start : stage.end] = number
    marks = mark_of[shown]
    starts = np.flatnonzero(np.diff(marks, prepend=-2))
    ends = np.append(starts[1:], len(marks))
    runs = zip(marks[starts], starts.tolist(), ends.tolist(), strict=True)
    return tuple(Stage(stages[mark].name, start, end) for mark, start, end in runs if mark >= 0)
