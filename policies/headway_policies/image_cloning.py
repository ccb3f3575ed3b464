"""Training of the policy that acts on pictures; see `image_policy`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headway.episodes import Array, Episode
from headway.errors import DatasetError, InvalidValue
from headway.pictures import take_frames
from headway_policies.behaviour_cloning import CloningConfig, action_chunks, check_weights, weighted_loss
from headway_policies.demonstrations import Demonstrations
from headway_policies.image_policy import ImageNetwork, ImagePolicy, ImageShape
from headway_policies.policy_training import Keeping, OnStep, optimise
from headway_policies.threads import one_thread


@dataclass(frozen=True)
class ImageConfig(CloningConfig):
    """How to clone from pictures: as CloningConfig says, and

    Attributes:
        size: pixels square that the network sees.
        shifted: pixels by which pictures are shifted at random, at most, each way.
    """

    steps: int = 2000
    batch: int = 64
    learning_rate: float = 1e-3
    size: int = 64
    shifted: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 16 or not 0 <= self.shifted < self.size:
            raise InvalidValue(
                f"pictures must be at least 16 pixels and shifted by less than that, got {self.size} and {self.shifted}"
            )


@dataclass(frozen=True, repr=False)
class Pictures:
    """What the cameras showed in every frame, decoded and resized once.

    Attributes:
        cameras: in order.
        pixels: uint8 RGB (frames, camera, size, size, 3), episodes one after another.
        recorded_size: pixels square before they were resized.
    """

    cameras: tuple[str, ...]
    pixels: Array
    recorded_size: int

    def __repr__(self) -> str:
        return f"Pictures(cameras={list(self.cameras)}, pixels={self.pixels.shape})"


@dataclass(frozen=True)
class ClonedFromPictures:
    """A trained policy. `frames` were learnt from; `left_out` had no weight (NaN); the rest weighed 0."""

    policy: ImagePolicy
    frames: int
    left_out: int


def gather_pictures(
    episodes: Sequence[Episode],
    cameras: Sequence[str],
    size: int,
    wanted: Array | None = None,
    advance: Callable[[int, int], object] = lambda done, total: None,
) -> Pictures:
    """Decode the episodes' videos once.

    Args:
        episodes: in the order of the demonstrations.
        cameras: whose pictures.
        size: pixels square to keep.
        wanted: bool (frames,); episodes without any such frame are not decoded and stay black, which costs no memory.
        advance: told of every episode: how many are done, of how many.

    Raises UnknownName for a camera that an episode lacks, DatasetError where pictures are not square or of one size.
    """
    pixels = np.zeros((sum(map(len, episodes)), len(cameras), size, size, 3), np.uint8)
    first, recorded = 0, set()
    for number, episode in enumerate(episodes):
        last = first + len(episode)
        for place, name in enumerate(cameras):
            frames = episode.camera(name)
            if wanted is None or wanted[first:last].any():
                recorded.add(next(iter(frames)).shape[:2])
                pixels[first:last, place] = take_frames(frames, np.arange(len(episode)), size)
        first = last
        advance(number + 1, len(episodes))
    if len(recorded) != 1 or len(set(next(iter(recorded)))) != 1:
        raise DatasetError(f"pictures must be square and all of one size, got {sorted(recorded)} (height, width)")
    return Pictures(tuple(cameras), pixels, int(next(iter(recorded))[0]))


@one_thread()
def clone_from_pictures(
    demonstrations: Demonstrations,
    pictures: Pictures,
    weight: Array,
    config: ImageConfig,
    on_step: OnStep = lambda step, steps, loss: None,
    keeping: Keeping | None = None,
) -> ClonedFromPictures:
    """Train a policy. Arguments, errors and guarantees are those of `behaviour_cloning.clone`; the environment state of
    the demonstrations is not looked at."""
    if len(pictures.pixels) != len(demonstrations):
        raise InvalidValue(
            f"{len(demonstrations)} frames need as many pictures of a camera, got {len(pictures.pixels)}"
        )
    weight = check_weights(weight, len(demonstrations))
    used = np.flatnonzero(weight > 0)
    chunks, inside = action_chunks(demonstrations.action, demonstrations.episode, used, config.chunk)
    state = torch.as_tensor(demonstrations.state[used])
    weights = torch.as_tensor(weight[used], dtype=torch.float32)

    torch.manual_seed(config.seed)
    shape = ImageShape(
        demonstrations.signature,
        pictures.cameras,
        pictures.recorded_size,
        pictures.pixels.shape[2],
        config.chunk,
        config.width,
        config.blocks,
    )
    network = ImageNetwork(shape)
    network.fit_statistics(state, chunks, inside)

    def loss_of(rng: np.random.Generator) -> Tensor:
        drawn = rng.integers(len(used), size=config.batch)
        seen = shifted(pictures.pixels, used[drawn], config.shifted, rng)
        predicted = network(state[drawn], torch.as_tensor(seen))
        error = (predicted - chunks[drawn]) / network.action_spread
        return weighted_loss(error, inside[drawn], weights[drawn])

    optimise(network, loss_of, config, np.random.default_rng(config.seed), on_step, keeping)
    return ClonedFromPictures(ImagePolicy(network, config.executed), len(used), int(np.isnan(weight).sum()))


def shifted(pixels: Array, frames: Array, most: int, rng: np.random.Generator) -> Array:
    """Pictures of some frames, each moved by up to `most` pixels along both sides, its border repeated.

    Args:
        pixels: uint8 (all frames, camera, size, size, 3).
        frames: int (batch,).
        most: pixels.
        rng: draws how far; for each camera of its own.

    Returns:
        uint8 (batch, camera, size, size, 3).
    """
    cameras, size = pixels.shape[1:3]
    moved = rng.integers(-most, most + 1, size=(2, len(frames), cameras, 1))
    rows, columns = (np.arange(size) + moved).clip(0, size - 1)
    at = frames[:, None, None, None], np.arange(cameras)[:, None, None]
    return pixels[(*at, rows[..., :, None], columns[..., None, :])]
