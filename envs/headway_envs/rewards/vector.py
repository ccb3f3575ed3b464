"""The same wrappers for vector environments. They give the numbers that wrapping each sub-environment would give.

A vector environment resets its sub-environments by one of three modes. With NEXT_STEP the step after an end is a reset:
its reward stays 0, and a new stream begins. With DISABLED the user resets, by `options={"reset_mask": ...}`. With
SAME_STEP the step that ends an episode already shows the next one, and the last frame, which a truncated episode's
potential needs, was never drawn; it is refused, and each sub-environment can be wrapped instead.
"""

from functools import cache, partial
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.estimator import Estimator
from headway_envs.rewards.keys import HELD, ORIGINAL, POTENTIAL, SHAPING
from headway_envs.rewards.potentials import Info, Potential, estimated_progress
from headway_envs.rewards.shaping import Shaping, known_potential
from headway_envs.rewards.watching import Watcher, watching

AnyVectorEnv = VectorEnv[Any, Any, Any]
Started = tuple[Any, dict[str, Any]]
Stepped = tuple[Any, Array, Array, Array, dict[str, Any]]


class _Beginnings:
    """Tells at which calls a sub-environment begins an episode, as bool (num_envs,)."""

    def __init__(self, env: AnyVectorEnv, wrapper: str):
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED):
            raise InvalidValue(
                f"{wrapper} has to see the last state of every episode, which needs autoreset_mode NEXT_STEP or "
                f"DISABLED, not {mode}; or wrap each sub-environment in {wrapper.removeprefix('Vector')}"
            )
        self._ended: Array = np.zeros(env.num_envs, dtype=bool)

    def at_reset(self, mask: Array | None) -> Array:
        """After `reset` of all, or of those in the mask."""
        began = np.ones_like(self._ended) if mask is None else mask
        self._ended = self._ended & ~began
        return began

    def at_step(self, terminated: Array, truncated: Array) -> Array:
        """After `step`: those whose episode had ended at the step before; with DISABLED the user has reset them."""
        began = self._ended
        self._ended = terminated | truncated
        return began


class VectorEstimateProgress(VectorWrapper):
    """Shows each sub-environment's rendered frames to a stream of its own.

    As :class:`EstimateProgress`, which it equals number by number. One estimator serves all, in this process; from an
    ``AsyncVectorEnv`` only frames travel. Make that one with ``context="spawn"``: where this process has drawn before,
    a forked one hangs at its first frame.

    Example:
        >>> import gymnasium, headway_envs
        >>> from headway.specs import make_estimator
        >>> from headway_envs.rewards import VectorEstimateProgress
        >>> envs = gymnasium.make_vec("headway/TidyDrawer-v0", num_envs=2, render_mode="rgb_array")
        >>> estimator = make_estimator("sarm:runs/tidy")
        >>> envs = VectorEstimateProgress(envs, estimator)
        >>> observations, infos = envs.reset(seed=0)
        >>> infos["progress/estimate"].shape
        (2,)
        >>> envs.close()
    """

    def __init__(
        self,
        env: AnyVectorEnv,
        estimator: Estimator,
        *,
        camera: str = "front",
        instruction: str | None = None,
        every: int = 1,
        fps: float | None = None,
    ):
        """Initialise the wrapper; arguments are those of :class:`EstimateProgress`.

        Raises:
            InvalidValue: as there, and for the mode SAME_STEP.
        """
        super().__init__(env)
        self._beginnings = _Beginnings(env, type(self).__name__)
        self._watching = watching(env, estimator, camera, instruction, every, fps)
        self._watchers: dict[int, Watcher] = {}

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Started:
        """Resets the sub-environments, or those in ``options["reset_mask"]``, and begins new streams for them."""
        mask = _reset_mask(options)
        observations, infos = self.env.reset(seed=seed, options=options)
        began = self._beginnings.at_reset(mask)
        return observations, self._look(observations, infos, began, began)

    def step(self, actions: Any) -> Stepped:
        """Steps the sub-environments and shows the estimator their new states."""
        if not self._watchers:
            raise ResetNeeded("episodes begin with reset(): call it before step()")
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        began = self._beginnings.at_step(terminated, truncated)
        infos = self._look(observations, infos, began, np.ones_like(began))
        return observations, rewards, terminated, truncated, infos

    def _look(self, observations: Any, infos: dict[str, Any], began: Array, looking: Array) -> dict[str, Any]:
        """`infos` with what is now known of those `looking`, after new streams for those that `began`."""
        draw = cache(self.env.render)  # draws all at once, and only when somebody wants to see
        seen = self._watching.seen(observations)
        for number in np.flatnonzero(began).tolist():
            self._watchers[number] = self._watching.start(_instruction(infos, number))
        for number in np.flatnonzero(looking).tolist():
            own = {name: values[number] for name, values in seen.items()}
            found = self._watchers[number].look(own, partial(_frame, draw, number))
            infos = self._add_info(infos, found, number)
        return infos


class VectorShapeReward(VectorWrapper):
    """Adds ``scale * (gamma * Phi(s') - Phi(s))`` to each reward, with Phi = 0 where an episode terminates.

    As :class:`ShapeReward`, which it equals number by number. Where a sub-environment is reset instead of stepped,
    nothing is added.

    Example:
        >>> import gymnasium, headway_envs
        >>> from headway_envs.rewards import VectorShapeReward, true_progress
        >>> envs = VectorShapeReward(gymnasium.make_vec("headway/TidyDrawer-v0", num_envs=2), true_progress)
        >>> observations, infos = envs.reset(seed=0)
        >>> observations, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
        >>> (rewards == infos["reward/original"] + infos["reward/shaping"]).all()
        np.True_
        >>> envs.close()
    """

    def __init__(self, env: AnyVectorEnv, potential: Potential, gamma: float = 0.99, scale: float = 1.0):
        """Initialise the wrapper.

        Args:
            env: the vector environment to wrap.
            potential: Phi, a function of the batched observations and infos, float (num_envs,).
            gamma: the learner's own discount.
            scale: factor on what is added.

        Raises:
            InvalidValue: as :class:`ShapeReward` does, and for the mode SAME_STEP.
        """
        super().__init__(env)
        self._beginnings = _Beginnings(env, type(self).__name__)
        self._potential_of = potential
        self._shaping = Shaping(gamma, scale)
        self._potential: Array = np.zeros(self.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Started:
        """Resets the sub-environments, or those in ``options["reset_mask"]``."""
        mask = _reset_mask(options)
        observations, infos = self.env.reset(seed=seed, options=options)
        began = self._beginnings.at_reset(mask)
        potential, held = known_potential(self._potential_of(observations, infos), 0.0)
        self._potential = np.where(began, potential, self._potential)
        return observations, _with(infos, {POTENTIAL: potential, HELD: held}, began)

    def step(self, actions: Any) -> Stepped:
        """Steps the sub-environments and adds the shaping to their rewards."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        began = self._beginnings.at_step(terminated, truncated)
        before = np.where(began, 0.0, self._potential)
        self._potential, held = known_potential(self._potential_of(observations, infos), before, terminated)
        added = np.where(began, 0.0, self._shaping(before, self._potential))
        infos = _with(infos, {POTENTIAL: self._potential, HELD: held}, np.ones_like(began))
        infos = _with(infos, {ORIGINAL: rewards, SHAPING: added}, ~began)
        return observations, rewards + added, terminated, truncated, infos


class VectorProgressReward(VectorWrapper):
    """Potential-based shaping by estimated progress: :class:`VectorEstimateProgress`, then :class:`VectorShapeReward`.

    As :class:`ProgressReward`, which it equals number by number.

    Example:
        >>> import gymnasium, headway_envs
        >>> from headway.specs import make_estimator
        >>> from headway_envs.rewards import VectorProgressReward
        >>> envs = gymnasium.make_vec("headway/TidyDrawer-v0", num_envs=2, render_mode="rgb_array")
        >>> estimator = make_estimator("sarm:runs/tidy")
        >>> envs = VectorProgressReward(envs, estimator)
        >>> observations, infos = envs.reset(seed=0)
        >>> observations, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
        >>> (rewards == infos["reward/original"] + infos["reward/shaping"]).all()
        np.True_
        >>> envs.close()
    """

    def __init__(
        self,
        env: AnyVectorEnv,
        estimator: Estimator,
        gamma: float = 0.99,
        scale: float = 1.0,
        *,
        camera: str = "front",
        instruction: str | None = None,
        every: int = 1,
        fps: float | None = None,
    ):
        """Initialise the wrapper; arguments are those of :class:`ProgressReward`.

        Raises:
            InvalidValue: as there, and for the mode SAME_STEP.
        """
        super().__init__(env)
        _Beginnings(env, type(self).__name__)  # so that the error names this wrapper
        estimating = VectorEstimateProgress(
            env, estimator, camera=camera, instruction=instruction, every=every, fps=fps
        )
        self._shaped = VectorShapeReward(estimating, estimated_progress, gamma, scale)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Started:
        """Resets the sub-environments, or those in ``options["reset_mask"]``, and begins new streams for them."""
        return self._shaped.reset(seed=seed, options=options)

    def step(self, actions: Any) -> Stepped:
        """Steps the sub-environments and adds the shaping to their rewards."""
        return self._shaped.step(actions)


def _reset_mask(options: dict[str, Any] | None) -> Array | None:
    """Which sub-environments are asked to be reset. Has to be read first: Gymnasium takes it out of the options."""
    return None if options is None else options.get("reset_mask")


def _instruction(infos: Info, number: int) -> str | None:
    """What the info of one sub-environment says that the robot is told."""
    return infos["instruction"][number] if "instruction" in infos else None


def _frame(draw: Any, number: int) -> Array:
    return np.asarray(draw()[number])


def _with(infos: Info, values: dict[str, Array], mask: Array) -> dict[str, Any]:
    """`infos` and these values (num_envs,), each with its mask; 0 where that is False, as Gymnasium has it."""
    found = dict(infos)
    if mask.any():
        for key, value in values.items():
            found[key], found[f"_{key}"] = np.where(mask, value, value.dtype.type(0)), mask.copy()
    return found
