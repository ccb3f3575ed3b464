"""The network of behaviour cloning: from what is sensed now to the next few actions."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headway_policies.signature import AXES, Signature

SMALLEST_SPREAD = 1e-3
"""A value that varies by less (1 mm, 0.06 degrees) is divided by this, so that its noise is not blown up."""


@dataclass(frozen=True)
class CloningShape:
    """What goes in and comes out, and how large the network is."""

    signature: Signature
    chunk: int
    width: int
    blocks: int


class CloningNetwork(nn.Module):
    """A residual network with layer norm before each block of two layers.

    It sees state, environment state, and where each place is as seen from the hand. Where actions are targets of what
    the state senses (the hand's place, the joints), it answers relative to what is sensed now, so that what it learnt
    at one place holds at another. Statistics are kept with the weights.
    """

    input_mean: Tensor
    input_spread: Tensor
    action_mean: Tensor
    action_spread: Tensor

    def __init__(self, shape: CloningShape):
        super().__init__()
        self.shape = shape
        signature = shape.signature
        actions = len(signature.action)
        inputs = len(signature.state) + len(signature.environment_state) + len(AXES) * signature.places
        for name, size in (("input", inputs), ("action", actions)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_spread", torch.ones(size))
        self.enter = nn.Linear(inputs, shape.width)
        self.blocks = nn.ModuleList(residual_block(shape.width) for _ in range(shape.blocks))
        self.leave = nn.Sequential(nn.LayerNorm(shape.width), nn.Linear(shape.width, shape.chunk * actions))

    def forward(self, state: Tensor, environment_state: Tensor) -> Tensor:
        """The next actions, (batch, chunk, action), of state (batch, state) and environment state (batch, dim)."""
        seen = see(state, environment_state, self.shape.signature)
        x = self.enter((seen - self.input_mean) / self.input_spread)
        for block in self.blocks:
            x = x + block(x)
        chunks = self.leave(x).unflatten(1, (self.shape.chunk, -1))
        return shift(chunks * self.action_spread + self.action_mean, state, self.shape.signature, 1)

    @torch.no_grad()
    def fit_statistics(self, state: Tensor, environment_state: Tensor, chunks: Tensor, inside: Tensor) -> None:
        """Take mean and spread from frames (frame, ...) and, of chunks (frame, chunk, action), what lies `inside`."""
        seen = see(state, environment_state, self.shape.signature)
        actions = shift(chunks, state, self.shape.signature, -1)[inside]
        for name, values in (("input", seen), ("action", actions)):
            getattr(self, f"{name}_mean").copy_(values.mean(0))
            getattr(self, f"{name}_spread").copy_(values.std(0, correction=0).clamp(min=SMALLEST_SPREAD))


def see(state: Tensor, environment_state: Tensor, signature: Signature) -> Tensor:
    """State, environment state, and x, y, z of each place as seen from the hand: (batch, inputs)."""
    values = len(AXES) * signature.places
    places = environment_state[:, :values].unflatten(1, (signature.places, len(AXES)))
    from_hand = places - state[:, None, signature.hand]
    return torch.cat([state, environment_state, from_hand.flatten(1)], dim=1)


def shift(chunks: Tensor, state: Tensor, signature: Signature, sign: int) -> Tensor:
    """Add (`sign` 1) or take away (-1) what is sensed now from what is absolute in chunks (batch, chunk, action)."""
    now = nn.functional.pad(state[:, None, : signature.absolute], (0, chunks.shape[2] - signature.absolute))
    return chunks + sign * now


def residual_block(width: int) -> nn.Sequential:
    """What a block adds: (batch, width) -> (batch, width)."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
