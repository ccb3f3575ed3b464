"""What a weighting scheme is given: the scored frames of a dataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue

LIKELY = 0.5
"""An episode whose success is likelier than this counts as one."""


@dataclass(frozen=True, repr=False)
class ScoredFrames:
    """The frames of several episodes, one episode after another.

    Attributes:
        progress: float (frames,), in [0, 1], NaN where unknown.
        episode: int (frames,), which episode a frame belongs to; frames of one episode lie together.
        fps: frames per second.
        success: float (episodes,), in the order of their frames: 1 for a success, 0 for a failure, or how likely it
            was; NaN where nobody knows.
        stage: int (frames,), below 0 where unknown, or None.
        uncertainty: float (frames,), standard deviation of the progress, or None.
    """

    progress: Array
    episode: Array
    fps: float
    success: Array
    stage: Array | None = None
    uncertainty: Array | None = None

    def __post_init__(self) -> None:
        frames = len(self.episode)
        for name in ("progress", "stage", "uncertainty"):
            values = getattr(self, name)
            if values is not None and values.shape != (frames,):
                raise InvalidValue(f"{name} must have one value for each of {frames} frames, got shape {values.shape}")
        if len(np.unique(self.episode)) != len(self.bounds):
            raise InvalidValue("the frames of an episode must lie together")
        if self.success.shape != (len(self.bounds),):
            raise InvalidValue(
                f"success must have one value for each of {len(self.bounds)} episodes, got shape {self.success.shape}"
            )
        if not self.fps > 0:
            raise InvalidValue(f"there must be more than 0 frames per second, got {self.fps}")

    def __len__(self) -> int:
        return len(self.episode)

    def __repr__(self) -> str:
        return f"ScoredFrames(frames={len(self)}, episodes={len(self.bounds)}, fps={self.fps:g})"

    @cached_property
    def bounds(self) -> list[slice]:
        """Where each episode's frames are."""
        edges = np.flatnonzero(np.diff(self.episode)) + 1
        starts = [0, *edges.tolist()] if len(self.episode) else []
        return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(self)], strict=True)]

    @cached_property
    def lengths(self) -> Array:
        """Int (episodes,): frames of each episode."""
        return np.array([bound.stop - bound.start for bound in self.bounds], dtype=int)

    def curves(self) -> Iterator[tuple[slice, Array]]:
        """Where each episode is, and its progress, float64 (time,)."""
        for bound in self.bounds:
            yield bound, np.asarray(self.progress[bound], dtype=np.float64)

    def over_frames(self, each: Array) -> Array:
        """A value an episode (episodes,) as a value a frame (frames,)."""
        return np.repeat(each, self.lengths)
