"""Ending an episode on the estimator's word."""

import math
from typing import Any

import gymnasium
from gymnasium.utils import RecordConstructorArgs

from headway.errors import InvalidValue, UnknownName
from headway.estimator import Reading
from headway.signals.detector import DetectorConfig, SuccessDetector
from headway_envs.rewards.keys import DECLARED, LOOKED_AT, SUCCESS
from headway_envs.rewards.single import (
    AnyEnv,
    DifferenceReward,
    ProgressReward,
    ShapeReward,
    Started,
    Stepped,
    Wrapper,
)

SHAPERS = (DifferenceReward, ProgressReward, ShapeReward)


class TerminateOnSuccess(Wrapper, RecordConstructorArgs):
    """Terminates the episode once the estimator has held it for a success over some frames in a row.

    Goes over an :class:`EstimateProgress` and under a :class:`ShapeReward`, which has to know of every termination. A
    single confident frame is not enough, because policies learn to produce one. Frames that were not looked at do
    not count; ``info["success/declared"]`` tells the step at which it fires.

    On a real arm, whose environment knows no reward, ``bonus`` is the task's reward. It is as good as the estimator.

    In a vector environment, wrap each sub-environment.

    Example:
        >>> import gymnasium, headway_envs
        >>> from headway.specs import make_estimator
        >>> from headway_envs.rewards import EstimateProgress, ShapeReward, TerminateOnSuccess, estimated_progress
        >>> env = gymnasium.make("headway/TidyDrawer-v0", render_mode="rgb_array")
        >>> estimator = make_estimator("sarm:runs/tidy")
        >>> env = TerminateOnSuccess(EstimateProgress(env, estimator), threshold=0.9, frames=5)
        >>> env = ShapeReward(env, estimated_progress)
        >>> observation, info = env.reset(seed=0)
        >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        >>> info["success/declared"]
        False
        >>> env.close()
    """

    def __init__(self, env: AnyEnv, threshold: float = 0.5, frames: int = 5, bonus: float = 0.0):
        """Initialise the wrapper.

        Args:
            env: an :class:`EstimateProgress`, or an environment that has one beneath.
            threshold: the least probability of success that counts, in (0, 1].
            frames: how many frames in a row, from 1.
            bonus: added to the reward of the step at which it fires.

        Raises:
            InvalidValue: a value out of range, or a shaping wrapper beneath instead of above.
        """
        if not 0 < threshold <= 1:
            raise InvalidValue(f"threshold must lie above 0 and up to 1, got {threshold}")
        if frames < 1:
            raise InvalidValue(f"frames must be a whole number from 1, got {frames}")
        layer: AnyEnv = env
        while isinstance(layer, gymnasium.Wrapper):
            if isinstance(layer, SHAPERS):
                raise InvalidValue(
                    f"TerminateOnSuccess goes beneath {type(layer).__name__}, which has to know of every termination: "
                    "ShapeReward(TerminateOnSuccess(EstimateProgress(env, estimator)), estimated_progress)"
                )
            layer = layer.env
        RecordConstructorArgs.__init__(self, threshold=threshold, frames=frames, bonus=bonus)
        gymnasium.Wrapper.__init__(self, env)
        self._detector = SuccessDetector(DetectorConfig(on=threshold, gap=0.0, frames=frames))
        self._bonus, self._steps = bonus, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Started:
        """Resets the environment and forgets what was seen. Raises UnknownName where nobody estimates success."""
        observation, info = self.env.reset(seed=seed, options=options)
        if SUCCESS not in info:
            raise UnknownName("info key", SUCCESS, info, "EstimateProgress gives it, for estimators that tell success")
        self._detector.reset()
        self._steps = 0
        self._push(info)
        return observation, info

    def step(self, action: Any) -> Stepped:
        """Steps the environment and terminates when the estimator has been sure for long enough."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._steps += 1
        self._push(info)
        declared = self._detector.on
        total = float(reward) + (self._bonus if declared else 0.0)
        return observation, total, bool(terminated) or declared, truncated, {**info, DECLARED: declared}

    def _push(self, info: dict[str, Any]) -> None:
        success = info.get(SUCCESS, 0.0)
        # nobody has to know for a frame to be unsure
        reading = Reading(float(self._steps), math.nan, success=0.0 if math.isnan(success) else success)
        self._detector.push(reading, fresh=info[LOOKED_AT])
