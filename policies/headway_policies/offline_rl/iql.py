"""Implicit Q-learning (Kostrikov, Nair, Levine 2022, arXiv 2110.06169): values of the best actions that were recorded.

    L_V = E |tau - 1[u < 0]| u^2,   u = min_i Q^_i(s, a) - V(s)
    L_Q = E (r + gamma V(s') - Q_i(s, a))^2          V(s') left out where the episode terminated
    w   = min(exp(beta (min_i Q_i(s, a) - V(s))), 100)

Q^ follows Q slowly. Nothing is asked about an action that nobody took. As tau goes from 1/2 to 1, V goes from the value
of whoever recorded to that of the best recorded action.

Deviation on purpose: w weighs the absolute error of `clone`, which is the paper's log-likelihood for a Laplace
distribution of fixed width.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_policies.offline_rl.transitions import Transitions, weight_of_frames
from headway_policies.offline_rl.values import Critic, Mlp, TwinQ, follow
from headway_policies.threads import one_thread

LARGEST_WEIGHT = 100.0


@dataclass(frozen=True)
class IqlConfig:
    """How to learn values.

    Attributes:
        expectile: tau, in (0, 1). The paper's 0.7, and 0.9 where good behaviour is rare or has to be put together.
        width: of the networks.
        steps: of training.
        batch: transitions in a step.
        learning_rate: of both optimisers (Adam).
        target_rate: how far the target moves in a step.
        seed: of weights and order.
    """

    expectile: float = 0.9
    width: int = 256
    steps: int = 3000
    batch: int = 256
    learning_rate: float = 1e-3
    target_rate: float = 0.005
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.expectile < 1:
            raise InvalidValue(f"the expectile must lie between 0 and 1, got {self.expectile}")
        for name in ("width", "steps", "batch"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name} must be at least 1, got {getattr(self, name)}")


@one_thread()
def fit_iql(
    transitions: Transitions,
    config: IqlConfig,
    on_step: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> Critic:
    """Learn Q and V. `on_step(step, steps, loss)` is called after every step. The same arguments give the same."""
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    q, v = TwinQ(transitions, config.width), Mlp(transitions.observation, config.width)
    target = deepcopy(q)
    optimiser = torch.optim.Adam([*q.parameters(), *v.parameters()], lr=config.learning_rate, fused=True)
    for step in range(config.steps):
        drawn = torch.as_tensor(rng.integers(len(transitions), size=config.batch))
        seen, action = transitions.observation[drawn], transitions.action[drawn]
        with torch.no_grad():
            expected = target(seen, action).amin(0)
            led_to = v(transitions.next_observation[drawn])
            aimed = transitions.reward[drawn] + transitions.discount[drawn] * led_to
        # the two losses share no weights: v is not reached through `aimed`, nor q through `expected`
        loss = expectile_loss(expected - v(seen), config.expectile) + (q(seen, action) - aimed).square().mean(1).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        follow(target, q, config.target_rate)
        on_step(step + 1, config.steps, float(loss.detach()))
    return Critic(q.eval(), v.eval())


def expectile_loss(difference: Tensor, expectile: float) -> Tensor:
    """The mean of |tau - 1[u < 0]| u^2 over differences u of any shape."""
    return (torch.abs(expectile - (difference < 0).float()) * difference.square()).mean()


def iql_weights(critic: Critic, transitions: Transitions, temperature: float = 10.0) -> Array:
    """The weights of frames, float64 (frames,) in [0, 100], NaN where no transition begins, for `clone`.

    Args:
        critic: from `fit_iql`, of these transitions.
        transitions: whose frames are weighted.
        temperature: beta: the paper's 3 for returns of locomotion, its 10 for a reward of 1 at the goal, as here. With
            advantages much below a tenth it hardly weights; then take one over their standard deviation.
    """
    if not temperature >= 0:
        raise InvalidValue(f"the inverse temperature must be at least 0, got {temperature}")
    advantage = critic.advantage(transitions).numpy().astype(np.float64)
    # the exponent is bounded first, so that nothing overflows
    return weight_of_frames(transitions, np.exp(np.minimum(temperature * advantage, np.log(LARGEST_WEIGHT))))
