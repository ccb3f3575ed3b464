"""Progress learnt from states instead of pictures: a quick stand-in for an estimator, with the same weaknesses.

    L = mean (f(x_t) - y_t)^2,   f a network with two hidden layers of tanh, x_t state and environment state
                                 with all places as seen from the hand, standardised

Taught with few successes only, it goes by whatever rises with them, and carries that on to where it has seen nothing:
so it can be gamed, as one that learns from pictures can.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_envs.trajectory import Trajectory
from headway_policies.network import SMALLEST_SPREAD, see
from headway_policies.policy_training import optimise
from headway_policies.signature import Signature
from headway_policies.threads import one_thread


@dataclass(frozen=True)
class StateProgressConfig:
    """How it learns: width of the layers, steps of training, frames in a step, peak learning rate, seed."""

    width: int = 64
    steps: int = 600
    batch: int = 256
    learning_rate: float = 3e-3
    seed: int = 0


@dataclass(frozen=True, repr=False)
class StateProgress:
    """A trained one; a Scorer."""

    signature: Signature
    network: nn.Module
    mean: Tensor
    spread: Tensor

    @one_thread()
    def score(self, episodes: Sequence[Trajectory]) -> list[Array]:
        """Progress (time,) of each, clipped to [0, 1]."""
        with torch.inference_mode():
            each = [self.network((_seen(one, self.signature) - self.mean) / self.spread)[:, 0] for one in episodes]
        return [values.double().clamp(0, 1).numpy() for values in each]


@one_thread()
def learn_progress(
    episodes: Sequence[Trajectory],
    labels: Sequence[Array],
    signature: Signature,
    config: StateProgressConfig = StateProgressConfig(),
) -> StateProgress:
    """Regress labels (time,) in [0, 1] of each episode on what it recorded. The same arguments give the same network.

    Raises InvalidValue where there is no episode or a label does not fit.
    """
    if not episodes or [len(one) for one in episodes] != [len(label) for label in labels]:
        raise InvalidValue("progress is learnt from at least one episode, with one label for each of its frames")
    seen = torch.cat([_seen(one, signature) for one in episodes])
    wanted = torch.as_tensor(np.concatenate(labels), dtype=torch.float32)
    mean, spread = seen.mean(0), seen.std(0, correction=0).clamp(min=SMALLEST_SPREAD)
    inputs = (seen - mean) / spread
    torch.manual_seed(config.seed)
    width = config.width
    network = nn.Sequential(
        nn.Linear(inputs.shape[1], width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)
    )

    def loss_of(rng: np.random.Generator) -> Tensor:
        drawn = torch.as_tensor(rng.integers(len(inputs), size=config.batch))
        return nn.functional.mse_loss(network(inputs[drawn])[:, 0], wanted[drawn])

    optimise(network, loss_of, config, np.random.default_rng(config.seed))
    return StateProgress(signature, network.eval(), mean, spread)


def _seen(episode: Trajectory, signature: Signature) -> Tensor:
    return see(torch.as_tensor(episode.state), torch.as_tensor(episode.environment_state), signature)
