"""Behaviour cloning from pictures and what the robot senses of itself; nothing that only a simulator knows.

Each camera's picture goes through four convolutions and a spatial softmax (Levine et al. 2016, arXiv 1504.00702, sec.
5.1): for each channel the expected place of what it looks for,

    x_c = sum_ij softmax(a_c / T)_ij x_ij

which says where things are in few numbers, and so needs few demonstrations. Training shifts the pictures at random
(DrQ, Kostrikov et al. 2021, arXiv 2004.13649) and weights frames as `behaviour_cloning` does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.pictures import resize
from headway_policies.network import SMALLEST_SPREAD, residual_block, shift
from headway_policies.rows import in_rows
from headway_policies.signature import Signature
from headway_policies.threads import one_thread

CHANNELS = 32


@dataclass(frozen=True)
class ImageShape:
    """What goes in and comes out, and how large the network is.

    Attributes:
        signature: of the task and robot; the environment state is not looked at.
        cameras: in order.
        picture_size: of the recorded pictures, pixels; rollouts are drawn as large.
        size: pixels to which they are resized before the network sees them.
        chunk: actions that are predicted.
        width: of the network after the convolutions.
        blocks: residual blocks.
    """

    signature: Signature
    cameras: tuple[str, ...]
    picture_size: int
    size: int
    chunk: int
    width: int
    blocks: int

    def __post_init__(self) -> None:
        if not self.cameras:
            raise InvalidValue("a policy that learns from pictures needs at least one camera")
        if self.size < 16:
            raise InvalidValue(f"pictures must be at least 16 pixels square, got {self.size}")


class ImageNetwork(nn.Module):
    """The network; statistics of state and actions are kept with the weights."""

    state_mean: Tensor
    state_spread: Tensor
    action_mean: Tensor
    action_spread: Tensor

    def __init__(self, shape: ImageShape):
        super().__init__()
        self.shape = shape
        state, actions = len(shape.signature.state), len(shape.signature.action)
        for name, size in (("state", state), ("action", actions)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_spread", torch.ones(size))
        self.eyes = nn.ModuleList(_eye() for _ in shape.cameras)
        self.enter = nn.Linear(state + 2 * CHANNELS * len(shape.cameras), shape.width)
        self.blocks = nn.ModuleList(residual_block(shape.width) for _ in range(shape.blocks))
        self.leave = nn.Sequential(nn.LayerNorm(shape.width), nn.Linear(shape.width, shape.chunk * actions))

    def forward(self, state: Tensor, pictures: Tensor) -> Tensor:
        """The next actions, (batch, chunk, action), of state (batch, state) and uint8 RGB pictures (batch, camera,
        size, size, 3)."""
        light = pictures.permute(1, 0, 4, 2, 3).float() / 127.5 - 1
        seen = [eye(picture) for eye, picture in zip(self.eyes, light, strict=True)]
        x = self.enter(torch.cat([(state - self.state_mean) / self.state_spread, *seen], dim=1))
        for block in self.blocks:
            x = x + block(x)
        chunks = self.leave(x).unflatten(1, (self.shape.chunk, -1))
        return shift(chunks * self.action_spread + self.action_mean, state, self.shape.signature, 1)

    @torch.no_grad()
    def fit_statistics(self, state: Tensor, chunks: Tensor, inside: Tensor) -> None:
        """Take mean and spread from states (frame, state) and, of chunks (frame, chunk, action), what is `inside`."""
        actions = shift(chunks, state, self.shape.signature, -1)[inside]
        for name, values in (("state", state), ("action", actions)):
            getattr(self, f"{name}_mean").copy_(values.mean(0))
            getattr(self, f"{name}_spread").copy_(values.std(0, correction=0).clamp(min=SMALLEST_SPREAD))


class SpatialSoftmax(nn.Module):
    """(batch, channel, height, width) -> (batch, 2 x channel): the expected x, then y, of each channel, in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        share = torch.softmax(maps.flatten(2) / self.log_temperature.exp(), dim=2).unflatten(2, (height, width))
        x = (share.sum(2) * torch.linspace(-1, 1, width)).sum(2)
        y = (share.sum(3) * torch.linspace(-1, 1, height)).sum(2)
        return torch.cat([x, y], dim=1)


class ImagePolicy:
    """A network that acts on what cameras show."""

    def __init__(self, network: ImageNetwork, executed: int):
        self.network = network.eval()
        self.executed = executed

    @property
    def signature(self) -> Signature:
        """Of where it acts."""
        return self.network.shape.signature

    @property
    def cameras(self) -> tuple[str, ...]:
        """Which it looks through, in order."""
        return self.network.shape.cameras

    @property
    def picture_size(self) -> int:
        """How large pictures have to be drawn for it, pixels square."""
        return self.network.shape.picture_size

    def act(self, state: Array, pictures: Array) -> Array:
        """The actions to carry out next, float32 (executed, action), from state (dim,) and uint8 RGB pictures (camera,
        picture_size, picture_size, 3)."""
        return self.act_together(state[None], pictures[None])[0]

    @one_thread()
    def act_together(self, state: Array, pictures: Array) -> Array:
        """The same for several at once: float32 (several, executed, action); each as `act` answers alone."""
        size = self.network.shape.size
        seen = np.stack([[resize(picture, size) for picture in each] for each in pictures])
        with torch.inference_mode():
            chunks = in_rows(self.network, torch.as_tensor(state), torch.as_tensor(seen))
        return chunks[:, : self.executed].numpy()

    def __reduce__(self) -> tuple[Callable[..., "ImagePolicy"], tuple[ImageShape, dict[str, Array], int]]:
        """Arrays, because tensors would travel between processes through shared memory that ends with the first."""
        weights = {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}
        return _rebuild, (self.network.shape, weights, self.executed)


def _rebuild(shape: ImageShape, weights: dict[str, Array], executed: int) -> ImagePolicy:
    network = ImageNetwork(shape)
    network.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
    return ImagePolicy(network, executed)


def _eye() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, CHANNELS, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
        SpatialSoftmax(),
    )
