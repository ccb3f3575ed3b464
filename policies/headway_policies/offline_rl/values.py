"""The networks of values: Q, twice, and V."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headway_policies.network import SMALLEST_SPREAD
from headway_policies.offline_rl.transitions import Transitions


@dataclass(frozen=True)
class Critic:
    """What was learnt. Observations (batch, values) and actions (batch, values) are as `Transitions` has them."""

    twin_q: "TwinQ"
    v: "Mlp"

    @torch.no_grad()
    def value(self, observation: Tensor) -> Tensor:
        """V, (batch,)."""
        return self.v(observation)

    @torch.no_grad()
    def q(self, observation: Tensor, action: Tensor) -> Tensor:
        """The lower of both Q, (batch,)."""
        return self.twin_q(observation, action).amin(0)

    def advantage(self, transitions: Transitions) -> Tensor:
        """Q - V of each transition, (transitions,)."""
        seen = transitions.observation
        return self.q(seen, transitions.action) - self.value(seen)


class Mlp(nn.Module):
    """Two hidden layers, from standardised inputs (batch, values) to one number each, (batch,)."""

    mean: Tensor
    spread: Tensor

    def __init__(self, inputs: Tensor, width: int):
        super().__init__()
        self.register_buffer("mean", inputs.mean(0))
        self.register_buffer("spread", inputs.std(0, correction=0).clamp(min=SMALLEST_SPREAD))
        self.layers = nn.Sequential(
            *(nn.Linear(inputs.shape[1], width), nn.LayerNorm(width), nn.GELU()),
            *(nn.Linear(width, width), nn.LayerNorm(width), nn.GELU()),
            nn.Linear(width, 1),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers((inputs - self.mean) / self.spread).squeeze(-1)


class TwinQ(nn.Module):
    """Two Q of different beginnings; the lower of both overestimates less (Fujimoto et al. 2018)."""

    def __init__(self, transitions: Transitions, width: int):
        super().__init__()
        inputs = torch.cat([transitions.observation, transitions.action], dim=1)
        self.both = nn.ModuleList(Mlp(inputs, width) for _ in range(2))

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """(2, batch)."""
        inputs = torch.cat([observation, action], dim=1)
        return torch.stack([q(inputs) for q in self.both])


@torch.no_grad()
def follow(target: nn.Module, network: nn.Module, rate: float) -> None:
    """Move every weight of `target` by `rate` of the way towards that of `network`."""
    for slow, fast in zip(target.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, rate)
