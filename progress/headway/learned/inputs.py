"""What a trained estimator looks at: which cameras, through which encoder, over which window of time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headway.encoders.base import FrameEncoder, TextEncoder
from headway.encoders.cache import FeatureCache
from headway.episodes import Array, Episode
from headway.errors import DatasetError, InvalidValue

# Training keeps frames at this many phases of the window's gap: enough to see every moment, little enough to keep.
PHASES = 4


@dataclass(frozen=True)
class InputConfig:
    """What an estimator is shown.

    Attributes:
        cameras: names of the cameras.
        encoder: spec of the frame encoder; `tiny` is trained with the estimator, others are frozen.
        text_encoder: spec of the text encoder, always frozen.
        use_state: whether the robot's state is shown too.
        image_size: `tiny` only: pictures are resized to this many pixels square.
        gap_seconds: time between the frames of a window.
        history: frames in a window besides the episode's first.
    """

    cameras: tuple[str, ...]
    encoder: str = "tiny"
    text_encoder: str = "ngrams"
    use_state: bool = False
    image_size: int = 64
    gap_seconds: float = 0.4
    history: int = 8

    def __post_init__(self) -> None:
        if not self.cameras:
            raise InvalidValue("an estimator needs at least one camera")
        for name in ("image_size", "gap_seconds", "history"):
            if not getattr(self, name) > 0:
                raise InvalidValue(f"{name} must be above 0, got {getattr(self, name)}")

    def gap(self, fps: float) -> int:
        """Frames between two places of a window at this frame rate."""
        return max(1, round(self.gap_seconds * fps))

    def keep(self, fps: float) -> int:
        """Training keeps every how many-th frame."""
        return max(1, self.gap(fps) // PHASES)


@dataclass(frozen=True, repr=False)
class Clip:
    """One episode as training keeps it: every `keep`-th frame.

    Attributes:
        number: which of the training episodes it is, from 0.
        features: one array a camera, (kept, *shape of the encoder); may be mapped from disk.
        state: float32 (kept, state_dim) or None.
        frames: int64 (kept,), their numbers in the episode.
        gap: the window's gap, in kept frames.
        text: the encoded instruction, float32 (dimension,); zeros without one.
        instruction: what the robot was told.
        task: which of the tasks trained on it is, from 0.
    """

    number: int
    features: tuple[Array, ...]
    state: Array | None
    frames: Array
    gap: int
    text: Array
    instruction: str
    task: int = 0

    def __len__(self) -> int:
        return len(self.frames)

    def pictures(self, chosen: Array) -> Array:
        """What the network's tower is given for some kept frames: (chosen, camera, *shape)."""
        return np.stack([camera[chosen] for camera in self.features], axis=1)


def load_clip(
    episode: Episode,
    config: InputConfig,
    encoder: FrameEncoder,
    text_encoder: TextEncoder,
    cache: FeatureCache,
    number: int = 0,
    task: int = 0,
) -> Clip:
    """Encode one episode for training, or take its features from the cache.

    Raises DatasetError when it lacks the state that the config asks for.
    """
    keep = config.keep(episode.fps)
    frames = np.arange(0, len(episode), keep)
    state = state_of(episode, config, "train without --state")
    features = tuple(cache.features(encoder, episode.camera(name), keep) for name in config.cameras)
    instruction = episode.instruction or ""
    return Clip(
        number=number,
        features=features,
        state=None if state is None else state[frames],
        frames=frames,
        gap=max(1, round(config.gap(episode.fps) / keep)),
        text=text_encoder.encode(instruction),
        instruction=instruction,
        task=task,
    )


def state_of(episode: Episode, config: InputConfig, advice: str) -> Array | None:
    """The robot's state, float32 (time, state_dim), where the config asks for it; DatasetError when it is missing."""
    if not config.use_state:
        return None
    if episode.state is None:
        raise DatasetError(f"episode {episode.index} has no state; {advice}")
    return episode.state


def states_of(clips: Sequence[Clip]) -> list[Array]:
    """The states of those clips that have one."""
    return [clip.state for clip in clips if clip.state is not None]
