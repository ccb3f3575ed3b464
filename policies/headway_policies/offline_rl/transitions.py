"""What a learner of values needs of recorded episodes."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_policies.behaviour_cloning import action_chunks
from headway_policies.demonstrations import Demonstrations
from headway_policies.network import see, shift


@dataclass(frozen=True, repr=False)
class Transitions:
    """Steps from one observation to another, in order of time within each episode.

    Attributes:
        observation: float32 (transitions, values), where an action was taken.
        action: float32 (transitions, action values): the action, or all those that were taken on the way.
        reward: float32 (transitions,), earned on the way, discounted to its beginning.
        discount: float32 (transitions,), of the value of where it led: gamma to the number of frames on the way, and 0
            where the episode terminated. A truncated episode leads on, to a value that has to be learnt.
        next_observation: float32 (transitions, values), where it led; anything finite where the discount is 0.
        frame: int64 (transitions,), the frame at which it began, rising.
        following: int64 (transitions,), the transition that begins where this one led, or -1 where none does.
        frames: how many frames there are, those without a transition included.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_observation: Tensor
    frame: Array
    following: Array
    frames: int

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"Transitions({len(self)} of {self.frames} frames)"


def transitions_of(
    demonstrations: Demonstrations, reward: Array, terminated: Array, gamma: float, span: int = 1
) -> Transitions:
    """One transition from each frame over up to `span` frames, that is until the episode's end where this is nearer.

    Over several frames the action is all actions on the way, so nothing is assumed about who chose the later ones, and
    an action is long enough to matter (Q-chunking, Li, Zhou, Levine 2025, arXiv 2507.07969). Actions beyond the end
    repeat the last one. Where actions are absolute targets they are taken relative to what is sensed at the beginning.
    The last frame of a truncated episode is only led to: what its action did was not recorded.

    Args:
        demonstrations: the frames.
        reward: float (frames,), what each frame's action earned; a truncated episode's last frame has none.
        terminated: bool (episodes,), in the order in which the episodes appear.
        gamma: discount of a frame, in [0, 1].
        span: frames, at least 1.

    Raises InvalidValue when these do not fit, or a reward that is needed is unknown.
    """
    if span < 1 or not 0 <= gamma <= 1:
        raise InvalidValue(f"needs a span from 1 and a gamma in [0, 1], got {span} and {gamma}")
    reward, episode = np.asarray(reward, dtype=np.float64), demonstrations.episode
    last = np.flatnonzero(np.append(episode[1:] != episode[:-1], True))
    terminated = np.asarray(terminated, dtype=bool)
    if reward.shape != episode.shape or terminated.shape != last.shape:
        raise InvalidValue(
            f"{len(episode)} frames in {len(last)} episodes need as many rewards and ends, got {reward.shape} and "
            f"{terminated.shape}"
        )
    used = np.ones(len(episode), dtype=bool)
    used[last] = terminated
    if not used.any() or not np.isfinite(reward[used]).all():
        raise InvalidValue(
            f"of {used.sum()} frames that lead somewhere {(~np.isfinite(reward[used])).sum()} have no known reward; "
            "leave their episodes out"
        )
    frame = np.flatnonzero(used)
    of = np.searchsorted(last, frame)
    ends = terminated[of]
    # an episode that terminated has one step more than it has frames after this one
    steps = np.minimum(span, last[of] - frame + ends)
    done = ends & (frame + steps > last[of])
    earned = _discounted(np.where(used, reward, 0.0), frame, steps, gamma)
    led_to = np.where(done, frame, frame + steps)
    position = np.full(len(episode), -1)
    position[frame] = np.arange(len(frame))
    observation = see(
        torch.as_tensor(demonstrations.state),
        torch.as_tensor(demonstrations.environment_state),
        demonstrations.signature,
    )
    chunks, _ = action_chunks(demonstrations.action, episode, frame, span)
    chunks = shift(chunks, torch.as_tensor(demonstrations.state[frame]), demonstrations.signature, -1)
    return Transitions(
        observation=observation[frame],
        action=chunks.flatten(1),
        reward=torch.as_tensor(earned, dtype=torch.float32),
        discount=torch.as_tensor(np.where(done, 0.0, gamma**steps), dtype=torch.float32),
        next_observation=observation[led_to],
        frame=frame,
        following=np.where(done, -1, position[led_to]),
        frames=len(episode),
    )


def weight_of_frames(transitions: Transitions, weight: Array) -> Array:
    """Weights (transitions,) as `clone` wants them: float64 (frames,), NaN for a frame without a transition."""
    weights = np.full(transitions.frames, np.nan)
    weights[transitions.frame] = weight
    return weights


def _discounted(reward: Array, frame: Array, steps: Array, gamma: float) -> Array:
    """The sum of gamma^i reward[frame + i] for i below `steps`: float64 (transitions,)."""
    total = np.zeros(len(frame))
    for ahead in range(int(steps.max())):
        within = ahead < steps
        total[within] += gamma**ahead * reward[frame[within] + ahead]
    return total
