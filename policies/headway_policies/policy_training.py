"""The training loop of cloned policies: AdamW under a cosine schedule. One cut short goes on where it was."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from headway.learned.resume import load_state, save_state

WARM_UP = 0.05
WEIGHT_DECAY = 1e-4

OnStep = Callable[[int, int, float], None]


class Pace(Protocol):
    """What the loop has to know of a training: its length, and the peak of the learning rate."""

    @property
    def steps(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...


@dataclass(frozen=True)
class Keeping:
    """Where a training's state is kept while it runs.

    Attributes:
        path: file of the state.
        identity: of the training, all that decides how it ends; a state of another one is not taken up.
        every: steps between two savings.
    """

    path: Path
    identity: str
    every: int = 100


def optimise(
    network: nn.Module,
    loss_of: Callable[[np.random.Generator], Tensor],
    pace: Pace,
    rng: np.random.Generator,
    on_step: OnStep = lambda step, steps, loss: None,
    keeping: Keeping | None = None,
) -> None:
    """Train `network` in place by `loss_of(rng)`, which draws a batch and gives its loss.

    All chance has to come from `rng`: its state is kept with the network's and the optimiser's, so that a training
    that goes on ends in the same weights, to the last bit, as one that was never cut short.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=pace.learning_rate, weight_decay=WEIGHT_DECAY)
    begin = _take_up(network, optimiser, rng, keeping)
    network.train()
    for step in range(begin, pace.steps):
        for group in optimiser.param_groups:
            group["lr"] = pace.learning_rate * rate(step, pace.steps)
        loss = loss_of(rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if keeping is not None and (step + 1) % keeping.every == 0:
            _keep(network, optimiser, rng, keeping, step + 1)
        on_step(step + 1, pace.steps, float(loss.detach()))


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: a short linear rise, then half a cosine down to 0."""
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + float(np.cos(np.pi * (step - rise) / max(1, steps - rise))))


def _keep(
    network: nn.Module, optimiser: torch.optim.Optimizer, rng: np.random.Generator, keeping: Keeping, step: int
) -> None:
    state = {
        "identity": keeping.identity,
        "step": step,
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        # as text: its numbers are longer than a tensor's or msgpack's
        "rng": json.dumps(rng.bit_generator.state),
    }
    save_state(keeping.path, state)


def _take_up(
    network: nn.Module, optimiser: torch.optim.Optimizer, rng: np.random.Generator, keeping: Keeping | None
) -> int:
    """Continue from what was kept: the number of steps done; 0 when nothing was, or it cannot be used."""
    state = None if keeping is None else load_state(keeping.path, keeping.identity)
    if state is None:
        return 0
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    rng.bit_generator.state = json.loads(state["rng"])
    return int(state["step"])
