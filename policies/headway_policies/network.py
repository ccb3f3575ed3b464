"""The network of behaviour cloning: from what is sensed now to the next few actions."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headway_policies.demonstrations import COORDINATES

SMALLEST_SPREAD = 1e-3
"""A value that varies by less (1 mm) is divided by this, so that its noise is not blown up."""


@dataclass(frozen=True)
class CloningShape:
    """What goes in and comes out, and how large the network is; all counts."""

    state_dim: int
    environment_dim: int
    action_dim: int
    chunk: int
    width: int
    blocks: int


class CloningNetwork(nn.Module):
    """A residual network with layer norm before each block of two layers.

    It sees state, environment state, and where each object is as seen from the hand. It answers in places relative
    to the hand, so that what it learnt at one place holds at another. Statistics are kept with the weights.
    """

    input_mean: Tensor
    input_spread: Tensor
    action_mean: Tensor
    action_spread: Tensor

    def __init__(self, shape: CloningShape):
        super().__init__()
        self.shape = shape
        objects = shape.environment_dim // COORDINATES
        inputs = shape.state_dim + shape.environment_dim + COORDINATES * objects
        for name, size in (("input", inputs), ("action", shape.action_dim)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_spread", torch.ones(size))
        self.enter = nn.Linear(inputs, shape.width)
        self.blocks = nn.ModuleList(_block(shape.width) for _ in range(shape.blocks))
        self.leave = nn.Sequential(nn.LayerNorm(shape.width), nn.Linear(shape.width, shape.chunk * shape.action_dim))

    def forward(self, state: Tensor, environment_state: Tensor) -> Tensor:
        """The next actions, (batch, chunk, action), of state (batch, state) and environment state (batch, dim)."""
        x = self.enter((see(state, environment_state) - self.input_mean) / self.input_spread)
        for block in self.blocks:
            x = x + block(x)
        chunks = self.leave(x).view(-1, self.shape.chunk, self.shape.action_dim)
        return from_hand(chunks * self.action_spread + self.action_mean, state, 1)

    @torch.no_grad()
    def fit_statistics(self, state: Tensor, environment_state: Tensor, chunks: Tensor, inside: Tensor) -> None:
        """Take mean and spread from frames (frame, ...) and, of chunks (frame, chunk, action), what lies `inside`."""
        seen = see(state, environment_state)
        actions = from_hand(chunks, state, -1)[inside]
        for name, values in (("input", seen), ("action", actions)):
            getattr(self, f"{name}_mean").copy_(values.mean(0))
            getattr(self, f"{name}_spread").copy_(values.std(0, correction=0).clamp(min=SMALLEST_SPREAD))


def see(state: Tensor, environment_state: Tensor) -> Tensor:
    """State, environment state, and x, y, z of each object as seen from the hand: (batch, inputs)."""
    objects = environment_state.shape[1] // COORDINATES
    places = environment_state[:, : COORDINATES * objects].unflatten(1, (objects, COORDINATES))
    from_here = places - state[:, None, :COORDINATES]
    return torch.cat([state, environment_state, from_here.flatten(1)], dim=1)


def from_hand(chunks: Tensor, state: Tensor, sign: int) -> Tensor:
    """Add (`sign` 1) or take away (-1) the hand's place from the x, y, z of chunks (batch, chunk, action)."""
    hand = nn.functional.pad(state[:, None, :COORDINATES], (0, chunks.shape[2] - COORDINATES))
    return chunks + sign * hand


def _block(width: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
