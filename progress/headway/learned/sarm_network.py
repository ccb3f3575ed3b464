"""The network of SARM: frame encoder, a transformer over the window, a stage head and a within-stage head."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from headway.encoders.tiny import TinyEncoder
from headway.episodes import Array
from headway.text import DIMENSION


@dataclass(frozen=True)
class SarmShape:
    """The sizes that a checkpoint has to remember.

    Attributes:
        stages: number of stages; the network has one class more, for "done".
        cameras: number of cameras.
        state_dim: size of the robot's state, 0 when it is not used.
        image_size: height and width of the pictures, in pixels.
        history: frames in a window besides the episode's first.
        dimension, layers, heads: of the transformer.
    """

    stages: int
    cameras: int
    state_dim: int = 0
    image_size: int = 64
    history: int = 8
    dimension: int = 128
    layers: int = 2
    heads: int = 4


class SarmNetwork(nn.Module):
    """Encodes frames once each (`encode`), then judges windows of those features (`judge`)."""

    state_mean: Tensor
    state_std: Tensor

    def __init__(self, shape: SarmShape):
        super().__init__()
        self.shape = shape
        width = shape.dimension
        self.encoder = TinyEncoder(shape.image_size, width)
        self.camera_bias = nn.Parameter(torch.zeros(shape.cameras, width))
        self.state = nn.Linear(shape.state_dim, width) if shape.state_dim else None
        self.register_buffer("state_mean", torch.zeros(shape.state_dim))
        self.register_buffer("state_std", torch.ones(shape.state_dim))
        self.text = nn.Linear(DIMENSION, width)
        # The paper gives only the first frame a position, so that absolute time cannot leak. Relative places within
        # the window tell nothing about absolute time but are needed to tell forward from backward.
        self.place = nn.Parameter(torch.randn(1 + shape.history, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, shape.heads, 2 * width, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, shape.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.stage_head = nn.Linear(width, shape.stages + 1)
        self.within_head = nn.Linear(width, shape.stages)

    def fit_state(self, states: Sequence[Array]) -> None:
        """Measure the mean and spread of the robot's state over the training episodes, each (time, state_dim)."""
        if self.state is not None:
            together = torch.as_tensor(np.concatenate(states))
            self.state_mean.copy_(together.mean(dim=0))
            self.state_std.copy_(together.std(dim=0).clamp(min=1e-3))

    def encode(self, pictures: Tensor, state: Tensor | None) -> Tensor:
        """Pictures uint8 (frame, camera, height, width, 3), state (frame, state_dim) -> features (frame, width).

        Cameras are encoded by one encoder and averaged after each was told which camera it is.
        """
        cameras = pictures.shape[1]
        features = self.encoder(rearrange(pictures, "frame camera h w rgb -> (frame camera) h w rgb"))
        features = rearrange(features, "(frame camera) width -> frame camera width", camera=cameras)
        features = (features + self.camera_bias).mean(dim=1)
        if self.state is not None:
            assert state is not None
            features = features + self.state((state - self.state_mean) / self.state_std)
        return features

    def judge(self, windows: Tensor, padding: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Judge the last frame of each window.

        Args:
            windows: features (window, 1 + history, width).
            padding: bool (window, 1 + history), True where there is no frame.
            text: encoded instructions (window, DIMENSION).

        Returns:
            Stage logits (window, stages + 1), the last of which means done, and progress within each stage
            (window, stages) in [0, 1].
        """
        tokens = windows + self.place
        words = rearrange(self.text(text), "window width -> window 1 width")
        tokens = torch.cat([tokens, words], dim=1)
        mask = nn.functional.pad(padding, (0, 1), value=False)
        seen = self.transformer(tokens, src_key_padding_mask=mask)
        present = self.norm(seen[:, -2])
        return self.stage_head(present), torch.sigmoid(self.within_head(present))
