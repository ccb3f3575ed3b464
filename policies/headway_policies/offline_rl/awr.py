"""Advantage-weighted regression (Peng, Kumar, Zhang, Levine 2019, arXiv 1910.00177).

    G_t = r_t + gamma G_{t+1}                 and V(s') where a truncated episode leads on to s'
    L_V = E (G - V(s))^2
    w   = min(exp((G - V(s)) / beta), 20)

One step of improvement over whoever recorded: G is what they went on to earn, never what others would have. Deviation
on purpose: the paper mixes returns of all lengths (TD(lambda)); Monte-Carlo returns need no V, except behind
truncations, where the V of the round before is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_policies.offline_rl.transitions import Transitions, weight_of_frames
from headway_policies.offline_rl.values import Mlp
from headway_policies.threads import one_thread

LARGEST_WEIGHT = 20.0


@dataclass(frozen=True)
class AwrConfig:
    """How to learn V.

    Attributes:
        width: of the network.
        rounds: how often the returns behind truncations are taken anew from V; one suffices where all terminate.
        steps: of training in a round.
        batch: transitions in a step.
        learning_rate: of Adam.
        seed: of weights and order.
    """

    width: int = 256
    rounds: int = 4
    steps: int = 500
    batch: int = 256
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("width", "rounds", "steps", "batch"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name} must be at least 1, got {getattr(self, name)}")


@one_thread()
def awr_advantage(
    transitions: Transitions,
    config: AwrConfig,
    on_step: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> Array:
    """G - V(s) of each transition, float64 (transitions,). `on_step(step, steps, loss)` is called after every step."""
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    v = Mlp(transitions.observation, config.width)
    optimiser = torch.optim.Adam(v.parameters(), lr=config.learning_rate, fused=True)
    steps = config.rounds * config.steps
    led_to = np.zeros(len(transitions))
    for step in range(steps):
        if step % config.steps == 0:
            returned = torch.as_tensor(returns(transitions, led_to), dtype=torch.float32)
        drawn = torch.as_tensor(rng.integers(len(transitions), size=config.batch))
        loss = (returned[drawn] - v(transitions.observation[drawn])).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        on_step(step + 1, steps, float(loss.detach()))
        if (step + 1) % config.steps == 0:
            with torch.no_grad():
                led_to = v(transitions.next_observation).numpy().astype(np.float64)
    with torch.no_grad():
        return returns(transitions, led_to) - v(transitions.observation).numpy()


def returns(transitions: Transitions, led_to: Array) -> Array:
    """G, float64 (transitions,), given the values (transitions,) of where they led; used behind truncations alone."""
    reward, discount = transitions.reward.double().numpy(), transitions.discount.double().numpy()
    total = np.zeros(len(transitions))
    # a transition leads to a later one, so the later ones are summed up first
    for number in range(len(transitions) - 1, -1, -1):
        following = transitions.following[number]
        ahead = total[following] if following >= 0 else led_to[number]
        total[number] = reward[number] + discount[number] * ahead
    return total


def awr_weights(advantage: Array, transitions: Transitions, beta: float = 0.05) -> Array:
    """The weights of frames, float64 (frames,) in [0, 20], NaN where no transition begins, for `clone`.

    Args:
        advantage: from `awr_advantage`.
        transitions: whose frames are weighted.
        beta: an advantage by which a frame weighs e times as much, in units of the reward; above 0.
    """
    if not beta > 0:
        raise InvalidValue(f"beta must be above 0, got {beta}")
    return weight_of_frames(transitions, np.exp(np.minimum(advantage / beta, np.log(LARGEST_WEIGHT))))
