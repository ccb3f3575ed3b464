"""Behaviour cloning conditioned on advantage: all frames are learnt from, and the good ones are asked for.

RECAP (pi*0.6, arXiv 2511.14759) tells the network whether a frame's advantage is above a threshold, I(o, a), leaves
that out at random, and so learns pi(a|o) and pi(a|I, o) with one set of weights:

    L = l(a | o)                where the condition is dropped or unknown
    L = l(a | I, o)             elsewhere

When it acts the condition is "good", sharpened by classifier-free guidance of strength g >= 1:

    out = f(o) + g (f(good, o) - f(o))

Deviation on purpose: RECAP guides the velocity of a flow, and so samples pi(a|o) (pi(a|good, o) / pi(a|o))^g. Our
network is a deterministic regression, so the same formula extrapolates between two predicted actions. g = 1 is the
conditional prediction as it is; a larger one may leave what was ever demonstrated, and robots clip what they cannot do.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_policies.behaviour_cloning import CloningConfig, action_chunks, weighted_loss
from headway_policies.checkpoint import read_checkpoint, write_checkpoint
from headway_policies.demonstrations import Demonstrations
from headway_policies.network import CloningNetwork, CloningShape
from headway_policies.policy_training import OnStep, optimise
from headway_policies.rows import in_rows
from headway_policies.signature import Signature
from headway_policies.threads import one_thread

CONDITION = ("advantage.known", "advantage.good")
DROPPED = 0.2
"""Share of conditions left out in training; RECAP's is 0.3, its rebuilds' 0.1."""
NAME = "conditioned-cloning"
VERSION = 1


class ConditionedNetwork(nn.Module):
    """A CloningNetwork with two more inputs, 0 or 1: whether the advantage is known, and whether it is good.

    Unknown is (0, 0), known and not good (1, 0), good (1, 1).
    """

    def __init__(self, shape: CloningShape):
        super().__init__()
        self.shape = shape
        signature = shape.signature
        seen = replace(signature, environment_state=(*signature.environment_state, *CONDITION))
        self.inner = CloningNetwork(replace(shape, signature=seen))

    def forward(self, state: Tensor, environment_state: Tensor, condition: Tensor) -> Tensor:
        """The next actions, (batch, chunk, action), of state, environment state, and condition (batch, 2)."""
        return self.inner(state, torch.cat([environment_state, condition], dim=1))

    @torch.no_grad()
    def fit_statistics(self, state: Tensor, environment_state: Tensor, chunks: Tensor, inside: Tensor) -> None:
        """As CloningNetwork.fit_statistics does. The condition stays 0 or 1, however rare one of the two is."""
        nothing = torch.zeros(len(state), len(CONDITION))
        self.inner.fit_statistics(state, torch.cat([environment_state, nothing], dim=1), chunks, inside)
        first = state.shape[1] + environment_state.shape[1]
        self.inner.input_spread[first : first + len(CONDITION)] = 1


class ConditionedPolicy:
    """A network that acts as good frames do. `signature`, `act` and `executed` are as ClonedPolicy has them.

    Raises InvalidValue for a `guidance` below 1 or not finite. The same network serves any guidance:
    `ConditionedPolicy(policy.network, policy.executed, guidance=2)`.
    """

    def __init__(self, network: ConditionedNetwork, executed: int, guidance: float = 1.0):
        if not (np.isfinite(guidance) and guidance >= 1):
            raise InvalidValue(f"guidance must be finite and at least 1 (plain condition), got {guidance}")
        self.network = network.eval()
        self.executed = executed
        self.guidance = guidance

    @property
    def signature(self) -> Signature:
        """What it sees and answers; nobody who asks it to act has to know the condition."""
        return self.network.shape.signature

    def act(self, state: Array, environment_state: Array) -> Array:
        """The actions to carry out next, float32 (executed, action_dim), from state (dim,) and environment (dim,)."""
        return self.act_together(state[None], environment_state[None])[0]

    @one_thread()
    def act_together(self, state: Array, environment_state: Array) -> Array:
        """The same for several at once: float32 (several, executed, action_dim), from (several, dim) each.

        Each gets the actions that `act` gives it alone, to the last bit.
        """
        with torch.inference_mode():
            chunks = in_rows(self.chunks, torch.as_tensor(state), torch.as_tensor(environment_state))
        return chunks[:, : self.executed].numpy()

    def chunks(self, state: Tensor, environment_state: Tensor) -> Tensor:
        """The guided actions, (batch, chunk, action), of state (batch, state) and environment state (batch, dim)."""
        good = self.network(state, environment_state, state.new_ones(len(state), 2))
        if self.guidance == 1:
            return good
        unknown = self.network(state, environment_state, state.new_zeros(len(state), 2))
        return unknown + self.guidance * (good - unknown)

    def __reduce__(
        self,
    ) -> tuple[Callable[..., "ConditionedPolicy"], tuple[CloningShape, dict[str, Array], int, float]]:
        """Arrays, because tensors would travel between processes through shared memory that ends with the first."""
        weights = {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}
        return _rebuild, (self.network.shape, weights, self.executed, self.guidance)


@dataclass(frozen=True)
class ConditionedCloned:
    """A trained policy, and how many frames it learnt from that were good, not good, and of unknown advantage."""

    policy: ConditionedPolicy
    good: int
    bad: int
    unknown: int


@one_thread()
def clone_conditioned(
    demonstrations: Demonstrations,
    advantage: Array,
    config: CloningConfig,
    dropped: float = DROPPED,
    guidance: float = 1.0,
    on_step: OnStep = lambda step, steps, loss: None,
) -> ConditionedCloned:
    """Train a policy. `on_step(step, steps, loss)` is called after every step.

    Args:
        demonstrations: frames to learn from, all of them.
        advantage: float (frames,), 1 for a good frame, 0 for one that is not, NaN where unknown.
        config: how to train.
        dropped: share of the known conditions that is left out of each batch, in [0, 1). Without any, what the network
            says without a condition is learnt from the unknown frames alone.
        guidance: of the policy returned, from 1 on.
        on_step: told of every step.

    Raises InvalidValue when the advantage does not fit, no frame is good, or `dropped` or `guidance` is out of range.
    The same arguments give the same policy.
    """
    advantage = _checked(advantage, len(demonstrations))
    if not 0 <= dropped < 1:
        raise InvalidValue(f"the share of dropped conditions must be in [0, 1), got {dropped}")
    frames = np.arange(len(demonstrations))
    chunks, inside = action_chunks(demonstrations.action, demonstrations.episode, frames, config.chunk)
    state = torch.as_tensor(demonstrations.state)
    environment = torch.as_tensor(demonstrations.environment_state)
    known = ~np.isnan(advantage)
    condition = torch.as_tensor(np.stack([known, advantage == 1], axis=1), dtype=torch.float32)

    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    network = ConditionedNetwork(CloningShape(demonstrations.signature, config.chunk, config.width, config.blocks))
    network.fit_statistics(state, environment, chunks, inside)
    # refuses a wrong guidance before the training
    policy = ConditionedPolicy(network, config.executed, guidance)
    weight = torch.ones(config.batch)

    def loss_of(rng: np.random.Generator) -> Tensor:
        drawn = torch.as_tensor(rng.integers(len(frames), size=config.batch))
        kept = torch.as_tensor(rng.random(config.batch) >= dropped)
        predicted = network(state[drawn], environment[drawn], condition[drawn] * kept[:, None])
        error = (predicted - chunks[drawn]) / network.inner.action_spread
        return weighted_loss(error, inside[drawn], weight)

    optimise(network, loss_of, config, rng, on_step)
    network.eval()
    good = int((advantage == 1).sum())
    return ConditionedCloned(policy, good, int(known.sum()) - good, int((~known).sum()))


def save_conditioned(folder: Path, policy: ConditionedPolicy) -> None:
    """Write a checkpoint. The config comes last, so a folder without one is an unfinished checkpoint."""
    network = policy.network
    settings = {"shape": asdict(network.shape), "executed": policy.executed, "guidance": policy.guidance}
    write_checkpoint(folder, network, {"policy": NAME, "version": VERSION, **settings})


def load_conditioned(folder: Path) -> ConditionedPolicy:
    """Read a checkpoint. Raises CheckpointError when it is missing, of another policy, or damaged."""

    def build(content: dict[str, Any], signature: Signature) -> ConditionedPolicy:
        network = ConditionedNetwork(CloningShape(signature, **content["shape"]))
        return ConditionedPolicy(network, int(content["executed"]), float(content["guidance"]))

    return read_checkpoint(folder, NAME, VERSION, build)


def _rebuild(shape: CloningShape, weights: dict[str, Array], executed: int, guidance: float) -> ConditionedPolicy:
    network = ConditionedNetwork(shape)
    network.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
    return ConditionedPolicy(network, executed, guidance)


def _checked(advantage: Array, frames: int) -> Array:
    advantage = np.asarray(advantage, dtype=np.float64)
    if advantage.shape != (frames,):
        raise InvalidValue(f"needs one advantage for each of {frames} frames, got shape {advantage.shape}")
    odd = advantage[~np.isnan(advantage) & (advantage != 0) & (advantage != 1)]
    if odd.size:
        raise InvalidValue(f"the advantage of a frame must be 1 (good), 0 (not) or NaN (unknown), got {odd[0]:.3g}")
    if not (advantage == 1).any():
        raise InvalidValue(f"none of {frames} frames is good, so there is nothing to ask for; lower the threshold")
    return advantage
