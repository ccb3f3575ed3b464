"""A reward for rollouts that failed, by how near they came to those that succeeded.

After SRPO (arXiv 2511.15605; its code in siiRL), which gives a success 1 and a failure

    r = 0.6 sigmoid(10 (0.5 - d'))                          d' = (d - near) / (far - near)

with d the distance between its embedding and the nearest of the successes'. Different on purpose:

- SRPO takes the smallest and largest distance of the batch for `near` and `far`, so that the same failure is worth more
  in worse company. Here both come from the successes alone, once: `near` is the median distance of a success to its
  nearest fellow, `far` the median distance of a success in which nothing happened, its first frame over and over.
- SRPO clusters with DBSCAN and falls back to the mean of the successes, as nothing ever clusters. Here d is the
  distance to the nearest success.
- An episode's embedding is not of pictures: it is the path of what it did, whatever the layout (`deeds`).
- Besides the reward of the episode, its good part is told from what came after (`good_prefix`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.signals.weights.scored import LIKELY, ScoredFrames
from headway_policies.demonstrations import Recording
from headway_policies.network import SMALLEST_SPREAD
from headway_policies.signature import AXES, Signature

HIGHEST, SLOPE = 0.6, 10.0
"""SRPO's: no failure is worth as much as a success, and how sharply distance counts."""
MOMENTS = 16
"""Of an episode that are compared, spread evenly over it."""


def deeds(recording: Recording, signature: Signature) -> Array:
    """What was done, whatever the layout: float64 (time, features).

    The places as seen from the hand, how far each value of the environment is from where it started, and the state
    except where the hand is.
    """
    state, environment = np.asarray(recording.state, float), np.asarray(recording.environment_state, float)
    places = environment[:, : len(AXES) * signature.places].reshape(len(state), signature.places, len(AXES))
    from_hand = (places - state[:, None, signature.hand]).reshape(len(state), -1)
    return np.concatenate([from_hand, environment - environment[0], np.delete(state, signature.hand, axis=1)], axis=1)


@dataclass(frozen=True, repr=False)
class Calibration:
    """What failures are held against, from successes alone.

    Attributes:
        paths: float64 (success, moment, features), standardised.
        mean, spread: float64 (features,), over all frames of the successes.
        near, far: distances that count as 0 and 1, near < far.
    """

    paths: Array
    mean: Array
    spread: Array
    near: float
    far: float

    def distance(self, path: Array) -> float:
        """Of one episode's deeds (time, features) to the nearest success: root mean square over moments, features."""
        return float(_distances(self.paths, self._moments(path)).min())

    def reward(self, path: Array) -> float:
        """What a failure with these deeds (time, features) is worth, in (0, 0.6)."""
        scaled = (self.distance(path) - self.near) / (self.far - self.near)
        # far beyond `far` the exponential would overflow, and there is nothing left to tell apart
        return float(HIGHEST / (1 + np.exp(min(SLOPE * (scaled - 0.5), 700))))

    def good_prefix(self, path: Array) -> int:
        """How many frames of the deeds (time, features) to keep: up to where they got furthest along the successes.

        A frame is as far along as the moment of any success that is nearest to it, if it is no further off than `far`;
        the first frame that is furthest along ends the prefix. 0 where no frame is near any success.
        """
        frames = (path - self.mean) / self.spread
        moments = self.paths.reshape(-1, self.paths.shape[-1])
        apart = np.sqrt(((frames[:, None] - moments[None]) ** 2).mean(-1))
        nearest = apart.argmin(1)
        along = np.where(apart.min(1) <= self.far, nearest % MOMENTS, -1)
        return int(along.argmax()) + 1 if along.max() >= 0 else 0

    def _moments(self, path: Array) -> Array:
        return (_at_moments(path) - self.mean) / self.spread


def calibrate(successes: Sequence[Array]) -> Calibration:
    """From the deeds (time, features) of at least two successes. They are kept, so that a reward never depends on the
    other failures of its batch. Raises InvalidValue where there are fewer, or they do nothing."""
    if len(successes) < 2:
        raise InvalidValue(f"failures are held against at least two successes, got {len(successes)}")
    frames = np.concatenate(successes)
    mean, spread = frames.mean(0), frames.std(0).clip(min=SMALLEST_SPREAD)
    paths = np.stack([(_at_moments(path) - mean) / spread for path in successes])
    still = np.stack([(_at_moments(path[:1]) - mean) / spread for path in successes])
    among = np.stack([_distances(paths, path) for path in paths])
    np.fill_diagonal(among, np.inf)
    idle = np.stack([_distances(paths, path) for path in still])
    near, far = float(np.median(among.min(1))), float(np.median(idle.min(1)))
    if not far > near:
        raise InvalidValue("the successes differ from each other as much as from doing nothing; nothing to measure by")
    return Calibration(paths, mean, spread, near, far)


def failure_credit(
    recordings: Sequence[Recording], success: Sequence[bool], calibration: Calibration, signature: Signature
) -> tuple[Array, list[Array]]:
    """What each rollout is worth, and each of its frames.

    Args:
        recordings: rollouts.
        success: whether each succeeded, as somebody or something says who is allowed to be asked.
        calibration: from `calibrate`.
        signature: of the recordings.

    Returns:
        Rewards float64 (episode,): 1 for a success, else in (0, 0.6); and for each episode the weights of its frames,
        float64 (time,): its reward, up to where it got furthest if it failed, then 0.
    """
    rewards, weights = np.ones(len(recordings)), []
    for number, (recording, succeeded) in enumerate(zip(recordings, success, strict=True)):
        path = deeds(recording, signature)
        kept = len(path)
        if not succeeded:
            rewards[number] = calibration.reward(path)
            kept = calibration.good_prefix(path)
        weights.append(np.where(np.arange(len(path)) < kept, rewards[number], 0.0))
    return rewards, weights


def credited(calibration: Calibration, signature: Signature) -> Callable[[ScoredFrames, Sequence[Recording]], Array]:
    """Weights of a self-improvement loop's rollouts: 1 for those that the scorer takes for successes, and what
    `failure_credit` gives the others. float64 (frames,); NaN where nobody knows whether it was a success."""

    def weigh(frames: ScoredFrames, rollouts: Sequence[Recording]) -> Array:
        _, weights = failure_credit(rollouts, (frames.success > LIKELY).tolist(), calibration, signature)
        unknown = frames.over_frames(np.isnan(frames.success))
        return np.where(unknown, np.nan, np.concatenate(weights))

    return weigh


def _at_moments(path: Array) -> Array:
    """The path (time, features) at MOMENTS evenly spaced moments; a shorter one is not looped but held."""
    return path[np.linspace(0, len(path) - 1, MOMENTS).round().astype(int)]


def _distances(paths: Array, path: Array) -> Array:
    return np.sqrt(((paths - path) ** 2).mean((1, 2)))
