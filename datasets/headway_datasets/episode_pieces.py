"""Pieces of episodes: the same recording from one frame to another, as an episode of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any

import numpy as np

from headway.episodes import Array, Episode, Frames, Stage, Truth
from headway.signals.segments import Piece
from headway_datasets.lerobot_v3 import StoredPictures
from headway_datasets.video import VideoFrames


def piece_of(episode: Episode, piece: Piece, index: int, first_frame: int) -> Episode:
    """A piece of an episode as episode number `index`, whose first frame is the dataset's `first_frame`.

    Stages and recorded times are counted from the piece's start; for its outcome see `outcome_of`. The recording stays
    that of the whole, so that an estimator still knows what it was trained on.
    """
    start, end = piece.start, piece.end
    changes: dict[str, Any] = {
        part.name: values[start:end]
        for part in fields(episode)
        if isinstance(values := getattr(episode, part.name), np.ndarray)
    }
    if episode.timestamps is not None and start:
        changes["timestamps"] = changes["timestamps"] - episode.timestamps[start]
    return replace(
        episode,
        index=index,
        first_frame=first_frame,
        cameras={name: part_of(frames, start, end) for name, frames in episode.cameras.items()},
        stages=_stages(episode.stages, start, end),
        dense_stages=_stages(episode.dense_stages, start, end),
        success=outcome_of(episode.success, [(each.start, each.end) for each in episode.stages or ()], piece),
        truth=None if episode.truth is None else _truth(episode.truth, start, end),
        **changes,
    )


def part_of(frames: Frames, start: int, end: int) -> Frames:
    """The frames `start <= t < end`; of a file that can be entered in the middle, those before are not decoded."""
    if start == 0 and end == len(frames):
        return frames
    if isinstance(frames, VideoFrames) and frames.start is not None and frames.fps:
        return replace(frames, start=frames.start + start / frames.fps, length=end - start, declared=None)
    if isinstance(frames, StoredPictures):
        return replace(frames, start=frames.start + start, length=end - start)
    return FramesPart(frames, start, end)


@dataclass(frozen=True)
class FramesPart:
    """The frames `start <= t < end` of others (`headway.episodes.Frames`)."""

    frames: Frames
    start: int
    end: int

    @property
    def identity(self) -> str | None:
        whole = self.frames.identity
        return None if whole is None else f"{whole}-{self.start}-{self.end}"

    def __len__(self) -> int:
        return self.end - self.start

    def __iter__(self) -> Iterator[Array]:
        return islice(iter(self.frames), self.start, self.end)


@dataclass(frozen=True)
class EvenFrames:
    """Frames whose height and width are even, as video needs them: an odd last row or column is repeated."""

    frames: Frames

    @property
    def identity(self) -> str | None:
        whole = self.frames.identity
        return None if whole is None else f"{whole}-even"

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Array]:
        for frame in self.frames:
            height, width = frame.shape[:2]
            odd = height % 2 or width % 2
            yield np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") if odd else frame


def outcome_of(success: bool | None, marks: Sequence[tuple[int, int]], piece: Piece) -> bool | None:
    """What is known of a piece's outcome, from that of the whole and its marked stages, (first frame, end) each.

    A piece that holds the end keeps what was said. One that ends within a marked stage has not succeeded, whatever came
    later: with all stages among its marks it would else be taken for a whole success. Of any other nobody knows.
    """
    if piece.to_the_end:
        return success
    return False if any(start < piece.end < end for start, end in marks) else None


def cut_marks(starts: Sequence[int], ends: Sequence[int], piece: Piece) -> list[tuple[int, int, int]]:
    """The marks that a piece has frames of: (their place in the lists, first frame, end) from the piece's start."""
    cut = []
    for place, (first, last) in enumerate(zip(starts, ends, strict=True)):
        start, end = max(int(first), piece.start), min(int(last), piece.end)
        if start < end:
            cut.append((place, start - piece.start, end - piece.start))
    return cut


def _stages(stages: tuple[Stage, ...] | None, start: int, end: int) -> tuple[Stage, ...] | None:
    if stages is None:
        return None
    inside = [each for each in stages if each.start < end and each.end > start]
    return tuple(Stage(each.name, max(each.start, start) - start, min(each.end, end) - start) for each in inside)


def _truth(truth: Truth, start: int, end: int) -> Truth:
    values = {part.name: getattr(truth, part.name) for part in fields(truth)}
    parts: dict[str, Any] = {name: value[start:end] for name, value in values.items() if isinstance(value, np.ndarray)}
    return replace(truth, **parts)
