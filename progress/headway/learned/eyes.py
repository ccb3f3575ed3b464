"""How pictures, states and words reach a network: each frame is decoded once and encoded once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from headway.encoders.base import FrameEncoder, TextEncoder
from headway.encoders.cache import FeatureCache
from headway.episodes import Array, Episode
from headway.learned.inputs import InputConfig, state_of

KEPT = 256
"""Features that are read from the cache at once."""
HEARD = 1000
"""Instructions remembered."""
PICTURES = 32
"""Pictures held at once; they come in the size they were recorded at."""


@dataclass(frozen=True, repr=False)
class Eyes:
    """How pictures, states and words reach a network.

    Attributes:
        inputs: what is shown.
        frames, words: the frozen encoders.
        device: of the network.
        cache: where the features of whole episodes are kept; None for nowhere.
        heard: what was said before, and its encoding; episodes are mostly told the same.
    """

    inputs: InputConfig
    frames: FrameEncoder
    words: TextEncoder
    device: str
    cache: FeatureCache | None = None
    heard: dict[str, Array] = field(default_factory=dict)

    def hear(self, instruction: str) -> Array:
        """An encoded instruction, float32 (dimension,)."""
        if instruction not in self.heard:
            if len(self.heard) >= HEARD:
                self.heard.clear()
            self.heard[instruction] = self.words.encode(instruction)
        return self.heard[instruction]

    def encode(self, pictures: Array, state: Array | None, network: "torch.nn.Module") -> Tensor:
        """Encoder features (frame, camera, *shape) and state (frame, state_dim) -> a network's (frame, width)."""
        known = None if state is None else torch.as_tensor(state, dtype=torch.float32, device=self.device)
        given = torch.as_tensor(pictures, device=self.device).to(torch.float32)
        with torch.inference_mode():
            return network.encode(given, known)  # type: ignore[operator]

    def see(self, pictures: Sequence[Sequence[Array]]) -> Array:
        """Pictures, (frame)(camera), uint8 RGB of any size -> encoder features (frame, camera, *shape)."""
        cameras = zip(*pictures, strict=True)
        return np.stack([self.frames.encode(list(camera)) for camera in cameras], axis=1)

    def watch(self, episode: Episode, wanted: Array, network: "torch.nn.Module") -> Iterator[Tensor]:
        """Features (some, width) of the `wanted` frames, rising; decodes each camera once, a few frames at a time."""
        state = state_of(episode, self.inputs, "this estimator was trained with it")
        place = 0
        for seen in self._kept(episode) if self.keeps(episode, wanted) else self._decoded(episode, wanted):
            frames = wanted[place : place + len(seen)]
            yield self.encode(seen, None if state is None else state[frames], network)
            place += len(seen)

    def keeps(self, episode: Episode, wanted: Array) -> bool:
        """Whether features are worth keeping: of all frames, from an encoder that is more than a resizing."""
        return self.cache is not None and len(wanted) == len(episode) and self.frames.dtype != np.uint8

    def _kept(self, episode: Episode) -> Iterator[Array]:
        """Encoder features of all frames, a few at a time, from the cache."""
        assert self.cache is not None
        cameras = [self.cache.features(self.frames, episode.camera(name)) for name in self.inputs.cameras]
        for first in range(0, len(episode), KEPT):
            yield np.stack([camera[first : first + KEPT] for camera in cameras], axis=1)

    def _decoded(self, episode: Episode, wanted: Array) -> Iterator[Array]:
        """Encoder features of the `wanted` frames, a few at a time; each camera is decoded once."""
        chunk: list[tuple[Array, ...]] = []
        place = 0
        for number, pictures in enumerate(zip(*(episode.camera(name) for name in self.inputs.cameras), strict=True)):
            if place < len(wanted) and number == wanted[place]:
                chunk.append(pictures)
                place += 1
            if chunk and (len(chunk) == PICTURES or place == len(wanted)):
                yield self.see(chunk)
                chunk = []
            if place == len(wanted):
                return
