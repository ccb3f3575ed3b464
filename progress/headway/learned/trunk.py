"""The network that trained estimators share: a tower over frames, and a transformer over windows of its features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from headway.encoders.tiny import TinyEncoder
from headway.episodes import Array


@dataclass(frozen=True)
class Sizes:
    """What a network has to know to be built, and a checkpoint to remember.

    Attributes:
        feature: shape of a frame's feature: (size, size, 3) for pictures, (dimension,) for a frozen encoder's.
        cameras: number of cameras.
        state_dim: size of the robot's state, 0 when it is not shown.
        text_dim: size of an encoded instruction.
        history: frames in a window besides the episode's first.
    """

    feature: tuple[int, ...]
    cameras: int
    text_dim: int
    state_dim: int
    history: int


@dataclass(frozen=True)
class TrunkConfig:
    """How large the network is.

    Attributes:
        width: of features and tokens.
        layers, heads, dropout: of the transformer.
    """

    width: int = 128
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1


class WindowNetwork(Protocol):
    """What every trained estimator's network offers: encode each frame once, then judge windows of the features."""

    def encode(self, frames: Tensor, state: Tensor | None) -> Tensor:
        """Frames (frame, camera, *feature) and state (frame, state_dim) -> features (frame, width)."""
        ...

    def judge(self, windows: Tensor, padding: Tensor, text: Tensor) -> dict[str, Tensor]:
        """Judge the last frame of each window; named outputs, each (window, ...).

        Args:
            windows: features (window, 1 + history, width): the episode's first frame, then the history.
            padding: bool (window, 1 + history), True where there is no frame.
            text: encoded instructions (window, text_dim).
        """
        ...


class Tower(nn.Module):
    """Frames of all cameras and the robot's state -> one feature a frame.

    Pictures go through a small network trained from scratch, frozen features through one linear layer. Cameras share
    it and are averaged after each was told which camera it is.
    """

    state_mean: Tensor
    state_std: Tensor

    def __init__(self, sizes: Sizes, width: int):
        super().__init__()
        self.encoder = (
            TinyEncoder(sizes.feature[0], width)
            if len(sizes.feature) == 3
            else nn.Sequential(nn.LayerNorm(sizes.feature[0]), nn.Linear(sizes.feature[0], width))
        )
        self.camera_bias = nn.Parameter(torch.zeros(sizes.cameras, width))
        self.state = nn.Linear(sizes.state_dim, width) if sizes.state_dim else None
        self.register_buffer("state_mean", torch.zeros(sizes.state_dim))
        self.register_buffer("state_std", torch.ones(sizes.state_dim))

    def fit_state(self, states: Sequence[Array]) -> None:
        """Measure the mean and spread of the robot's state over the training episodes, each (time, state_dim)."""
        if self.state is not None:
            together = torch.as_tensor(np.concatenate(states))
            self.state_mean.copy_(together.mean(dim=0))
            self.state_std.copy_(together.std(dim=0).clamp(min=1e-3))

    def forward(self, frames: Tensor, state: Tensor | None) -> Tensor:
        """Frames (frame, camera, *feature), state (frame, state_dim) -> features (frame, width)."""
        cameras = frames.shape[1]
        features = self.encoder(rearrange(frames, "frame camera ... -> (frame camera) ..."))
        features = rearrange(features, "(frame camera) width -> frame camera width", camera=cameras)
        features = (features + self.camera_bias).mean(dim=1)
        if self.state is not None:
            assert state is not None
            features = features + self.state((state - self.state_mean) / self.state_std)
        return features


class Trunk(nn.Module):
    """A tower, and a transformer over the window and the instruction."""

    def __init__(self, sizes: Sizes, config: TrunkConfig):
        super().__init__()
        width = config.width
        self.tower = Tower(sizes, width)
        self.text = nn.Linear(sizes.text_dim, width)
        # SARM gives only the first frame a position, so that absolute time cannot leak. Relative places within the
        # window tell nothing about absolute time but are needed to tell forward from backward.
        self.place = nn.Parameter(torch.randn(1 + sizes.history, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, config.heads, 2 * width, dropout=config.dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, windows: Tensor, padding: Tensor, text: Tensor) -> Tensor:
        """Windows, padding and text as in `WindowNetwork.judge` -> what is known at the present, (window, width)."""
        words = rearrange(self.text(text), "window width -> window 1 width")
        tokens = torch.cat([windows + self.place, words], dim=1)
        mask = nn.functional.pad(padding, (0, 1), value=False)
        seen = self.transformer(tokens, src_key_padding_mask=mask)
        return self.norm(seen[:, -2])
