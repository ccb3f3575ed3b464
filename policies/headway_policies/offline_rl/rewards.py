"""Rewards of recorded frames. The reward of a frame is what its action earns, so it belongs to the step to the next.

An episode that *terminated* ended with the action of its last frame, as when the task is done. One that was *truncated*
only stopped being recorded: what the action of its last frame earned nobody saw, so that frame's reward is NaN.
"""

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue


def outcome(episode: Array, terminated: Array, success: Array) -> Array:
    """1 for the last frame of each episode that terminated in success, else 0: float64 (frames,).

    Args:
        episode: int (frames,), the episode of each frame, frames of one episode together.
        terminated: bool (episodes,), in the order in which the episodes appear.
        success: bool (episodes,).

    Raises InvalidValue when an episode is said to have succeeded without an end: its outcome would be lost.
    """
    last, terminated = _lasts(episode, terminated)
    success = np.asarray(success, dtype=bool)
    if success.shape != last.shape:
        raise InvalidValue(f"needs the outcome of each of {len(last)} episodes, got shape {success.shape}")
    if (success & ~terminated).any():
        raise InvalidValue(
            f"{(success & ~terminated).sum()} episodes succeeded but did not terminate; an episode that ends in "
            "success terminates"
        )
    reward = np.zeros(len(episode))
    reward[last] = np.where(terminated, success, np.nan)
    return reward


def shaping(progress: Array, episode: Array, terminated: Array, gamma: float, scale: float = 1.0) -> Array:
    """scale * (gamma P(s') - P(s)) of each frame: float64 (frames,), to be added to another reward.

    P(s') is 0 where the episode terminates, as the potential has to be for the best policy to stay the same (see
    `headway_envs.rewards.shaping`). Unknown progress is that of the frame before, 0 at an episode's beginning.

    Args:
        progress: float (frames,), in [0, 1], NaN where unknown.
        episode: int (frames,), the episode of each frame, frames of one episode together.
        terminated: bool (episodes,), in the order in which the episodes appear.
        gamma: the learner's own discount.
        scale: how much all of the progress is worth, against an outcome of 1.
    """
    last, terminated = _lasts(episode, terminated)
    if np.shape(progress) != np.shape(episode):
        raise InvalidValue(f"needs the progress of each of {len(episode)} frames, got shape {np.shape(progress)}")
    potential = _held(np.asarray(progress, dtype=np.float64), last)
    after = np.append(potential[1:], 0.0)
    after[last] = np.where(terminated, 0.0, np.nan)
    return scale * (gamma * after - potential)


def _lasts(episode: Array, terminated: Array) -> tuple[Array, Array]:
    """The last frame of each episode, int (episodes,), and whether it terminated there, bool (episodes,)."""
    last = np.flatnonzero(np.append(episode[1:] != episode[:-1], True))
    terminated = np.asarray(terminated, dtype=bool)
    if terminated.shape != last.shape:
        raise InvalidValue(f"needs to know whether each of {len(last)} episodes terminated, got {terminated.shape}")
    return last, terminated


def _held(progress: Array, last: Array) -> Array:
    """Progress with what is unknown replaced by what was known before in the same episode, or 0."""
    known = np.isfinite(progress)
    first = np.append(0, last[:-1] + 1)
    source = np.where(known, np.arange(len(progress)), -1)
    # an episode's first frame is always a source, of 0 where it is unknown, so nothing leaks in from the one before
    source[first] = first
    return np.where(known, progress, 0.0)[np.maximum.accumulate(source)]
