"""One recorded attempt, and what every recorder of simulated episodes offers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from headway.episodes import Array, ArrayFrames, Episode, Truth
from headway_envs.annotation import annotated_stages


@dataclass(frozen=True, repr=False)
class Trajectory:
    """One recorded attempt, with or without pictures. Frame t shows what the demonstrator saw when it chose action t.

    Attributes:
        instruction: what the robot was told.
        seed: of the layout, the mistakes, the disturbance and the look.
        kind: of the demonstrator.
        fps: frames per second.
        state: float32 (time, state_dim), what the robot senses of itself.
        environment_state: float32 (time, dim), what only the simulator knows.
        action: float32 (time, action_dim), what the demonstrator wanted, before any disturbance.
        truth: of every frame.
        frames: camera -> uint8 RGB (time, height, width, 3); empty when nothing was drawn.
    """

    instruction: str
    seed: int
    kind: str
    fps: float
    state: Array
    environment_state: Array
    action: Array
    truth: Truth
    frames: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.state)

    def __repr__(self) -> str:
        return f"Trajectory(kind={self.kind!r}, seed={self.seed}, time={len(self)}, success={self.truth.succeeded})"

    def episode(self, index: int = 0, first_frame: int = 0) -> Episode:
        """The same as an Episode; needs at least one camera."""
        return Episode(
            index=index,
            first_frame=first_frame,
            fps=float(self.fps),
            cameras={name: ArrayFrames(pixels) for name, pixels in self.frames.items()},
            instruction=self.instruction,
            state=self.state,
            environment_state=self.environment_state,
            action=self.action,
            stages=annotated_stages(self.truth, self.fps),
            success=self.truth.succeeded,
            truth=self.truth,
            kind=self.kind,
        )


class EpisodeRecorder(Protocol):
    """Records episodes of one task, one after the other.

    Attributes:
        fps: frames per second.
        kinds: of demonstrators that this task has, the expert first.
        state_names, environment_names, action_names: what the values of each are, in order.
        description: what goes into a dataset's metadata, as JSON's types: task, version, robot, ...
    """

    fps: int
    kinds: tuple[str, ...]
    state_names: tuple[str, ...]
    environment_names: tuple[str, ...]
    action_names: tuple[str, ...]

    @property
    def description(self) -> dict[str, Any]: ...

    def check_kind(self, kind: str) -> None:
        """Raises UnknownName or InvalidValue for a kind of demonstrator that this task does not have."""
        ...

    def record(self, seed: int, kind: str = "expert") -> Trajectory:
        """One episode by a demonstrator of that kind; the same bytes for the same seed and kind."""
        ...

    def close(self) -> None:
        """Give the drawing contexts back."""
        ...
