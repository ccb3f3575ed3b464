"""Behaviour cloning from states, with a weight for every frame.

The network predicts the chunk of actions that follows a frame (ACT, Zhao et al. 2023, arXiv 2304.13705, also for the
absolute error). Frames are weighted as in RA-BC (SARM, arXiv 2509.25358, eq. 5):

    L = sum_i w_i l_i / (sum_i w_i + eps)

with l_i the mean absolute error over the part of the chunk that lies within the episode, in units of each action
value's standard deviation.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_policies.demonstrations import Demonstrations
from headway_policies.network import CloningNetwork, CloningShape
from headway_policies.policy_training import Keeping, OnStep, optimise
from headway_policies.rows import in_rows
from headway_policies.signature import Signature
from headway_policies.threads import one_thread

EPSILON = 1e-6


@dataclass(frozen=True)
class CloningConfig:
    """How to clone.

    Attributes:
        chunk: actions that are predicted from one frame on.
        executed: how many of them are carried out before the network is asked again; 1 to `chunk`. Few leave the robot
            where the network hesitates; many, of changes such as the arm's `joint-delta`, make it swing.
        width: of the network.
        blocks: residual blocks.
        steps: of training.
        batch: frames in a step.
        learning_rate: peak of the cosine schedule (AdamW).
        seed: of weights and order.
    """

    chunk: int = 8
    executed: int = 4
    width: int = 256
    blocks: int = 2
    steps: int = 700
    batch: int = 256
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.executed <= self.chunk:
            raise InvalidValue(
                f"a policy carries out 1 to {self.chunk} of its {self.chunk} actions, got {self.executed}"
            )
        for name in ("width", "blocks", "steps", "batch"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name} must be at least 1, got {getattr(self, name)}")


class ClonedPolicy:
    """A network that acts."""

    def __init__(self, network: CloningNetwork, executed: int):
        self.network = network.eval()
        self.executed = executed

    @property
    def signature(self) -> Signature:
        """What it sees and answers."""
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
            chunks = in_rows(self.network, torch.as_tensor(state), torch.as_tensor(environment_state))
        return chunks[:, : self.executed].numpy()

    def __reduce__(self) -> tuple[Callable[..., "ClonedPolicy"], tuple[CloningShape, dict[str, Array], int]]:
        """Arrays, because tensors would travel between processes through shared memory that ends with the first."""
        weights = {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}
        return _rebuild, (self.network.shape, weights, self.executed)


@dataclass(frozen=True)
class Cloned:
    """A trained policy. `frames` were learnt from; `left_out` had no weight (NaN); the rest weighed 0."""

    policy: ClonedPolicy
    frames: int
    left_out: int


@one_thread()
def clone(
    demonstrations: Demonstrations,
    weight: Array,
    config: CloningConfig,
    on_step: OnStep = lambda step, steps, loss: None,
    keeping: Keeping | None = None,
) -> Cloned:
    """Train a policy. `on_step(step, steps, loss)` is called after every step.

    Args:
        demonstrations: frames to learn from.
        weight: float (frames,), finite and at least 0, or NaN for a frame to leave out.
        config: how to train.
        on_step: told of every step.
        keeping: where the state is kept, from which a training cut short goes on.

    Raises InvalidValue when the weights do not fit or leave nothing. The same arguments give the same policy.
    """
    weight = check_weights(weight, len(demonstrations))
    # a weight of 0 adds nothing to either sum, so such frames need not be drawn
    used = np.flatnonzero(weight > 0)
    chunks, inside = action_chunks(demonstrations.action, demonstrations.episode, used, config.chunk)
    state = torch.as_tensor(demonstrations.state[used])
    environment = torch.as_tensor(demonstrations.environment_state[used])
    weights = torch.as_tensor(weight[used], dtype=torch.float32)

    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    network = CloningNetwork(CloningShape(demonstrations.signature, config.chunk, config.width, config.blocks))
    network.fit_statistics(state, environment, chunks, inside)

    def loss_of(rng: np.random.Generator) -> Tensor:
        drawn = torch.as_tensor(rng.integers(len(used), size=config.batch))
        predicted = network(state[drawn], environment[drawn])
        error = (predicted - chunks[drawn]) / network.action_spread
        return weighted_loss(error, inside[drawn], weights[drawn])

    optimise(network, loss_of, config, rng, on_step, keeping)
    left_out = int(np.isnan(weight).sum())
    return Cloned(ClonedPolicy(network, config.executed), len(used), left_out)


def action_chunks(action: Array, episode: Array, frames: Array, length: int) -> tuple[Tensor, Tensor]:
    """The actions from each of `frames` on.

    Args:
        action: float32 (all frames, action), episodes one after another.
        episode: int (all frames,).
        frames: int (frame,), the frames where chunks begin.
        length: actions in a chunk.

    Returns:
        Actions (frame, chunk, action), and bool (frame, chunk): whether the action lies within the frame's episode.
        What lies beyond is an episode's last action again, and enters no loss.
    """
    last = np.searchsorted(episode, episode[frames], side="right") - 1
    wanted = frames[:, None] + np.arange(length)
    inside = wanted <= last[:, None]
    return torch.as_tensor(action[np.minimum(wanted, last[:, None])]), torch.as_tensor(inside)


def weighted_loss(error: Tensor, inside: Tensor, weight: Tensor) -> Tensor:
    """sum(w l) / (sum(w) + eps) of errors (frame, chunk, action), what is `inside` (frame, chunk), weights (frame,)."""
    absolute = error.abs().mean(-1) * inside
    each = absolute.sum(1) / inside.sum(1)
    return (weight * each).sum() / (weight.sum() + EPSILON)


def _rebuild(shape: CloningShape, weights: dict[str, Array], executed: int) -> ClonedPolicy:
    network = CloningNetwork(shape)
    network.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
    return ClonedPolicy(network, executed)


def check_weights(weight: Array, frames: int) -> Array:
    """The weights as float64 (frames,). Raises InvalidValue when they do not fit or leave nothing."""
    weight = np.asarray(weight, dtype=np.float64)
    if weight.shape != (frames,):
        raise InvalidValue(f"needs one weight for each of {frames} frames, got shape {weight.shape}")
    known = weight[~np.isnan(weight)]
    if known.size and not (np.isfinite(known).all() and known.min() >= 0):
        raise InvalidValue(f"weights must be finite and at least 0, got {known.min():.3g} to {known.max():.3g}")
    if not (known > 0).any():
        raise InvalidValue(
            f"nothing to learn from: of {frames} frames {frames - known.size} have no weight and {known.size} weigh 0"
        )
    return weight
