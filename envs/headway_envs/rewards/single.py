"""Reward wrappers for one environment."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import RecordConstructorArgs

from headway.episodes import Array
from headway.estimator import Estimator
from headway_envs.rewards.keys import HELD, ORIGINAL, POTENTIAL, SHAPING
from headway_envs.rewards.potentials import Info, Potential, estimated_progress
from headway_envs.rewards.shaping import Shaping, known_potential
from headway_envs.rewards.watching import Watcher, watching

AnyEnv = gymnasium.Env[Any, Any]
Wrapper = gymnasium.Wrapper[Any, Any, Any, Any]
Started = tuple[Any, dict[str, Any]]
Stepped = tuple[Any, float, bool, bool, dict[str, Any]]


class EstimateProgress(Wrapper, RecordConstructorArgs):
    """Shows rendered frames to a streaming estimator and puts its progress and success into ``info``.

    Reward and termination stay as they are. Every episode gets a stream of its own, which sees the state after
    ``reset`` as its first frame.

    A vector version of the wrapper exists: :class:`VectorEstimateProgress`.

    Example:
        >>> import gymnasium, headway_envs
        >>> from headway.specs import make_estimator
        >>> from headway_envs.rewards import EstimateProgress
        >>> env = gymnasium.make("headway/TidyDrawer-v0", render_mode="rgb_array")
        >>> estimator = make_estimator("sarm:runs/tidy")
        >>> env = EstimateProgress(env, estimator)
        >>> observation, info = env.reset(seed=0)
        >>> 0 <= info["progress/estimate"] <= 1
        True
        >>> env.close()
    """

    def __init__(
        self,
        env: AnyEnv,
        estimator: Estimator,
        *,
        camera: str = "front",
        instruction: str | None = None,
        every: int = 1,
        fps: float | None = None,
    ):
        """Initialise the wrapper.

        Args:
            env: made with ``render_mode="rgb_array"``, or with the pictures in its observation.
            estimator: one that streams, such as a trained SARM.
            camera: the name of what ``env.render()`` shows, as the estimator was trained with it. Pictures in the
                observation are shown under their own names; one of this name is shown instead of a rendered one.
            instruction: what the robot is told; by default what ``info["instruction"]`` says after a reset.
            every: show one state in so many, for speed; the estimate stands in between. A SARM loses nothing while
                ``gap_seconds * fps`` is a multiple of it.
            fps: steps a second; by default ``metadata["render_fps"]``.

        Raises:
            InvalidValue: the estimator cannot stream, or needs what the environment does not give.
        """
        RecordConstructorArgs.__init__(
            self,
            _disable_deepcopy=True,
            estimator=estimator,
            camera=camera,
            instruction=instruction,
            every=every,
            fps=fps,
        )
        gymnasium.Wrapper.__init__(self, env)
        self._watching = watching(env, estimator, camera, instruction, every, fps)
        self._watcher: Watcher | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Started:
        """Resets the environment and begins a new stream with its first frame."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._watcher = self._watching.start(info.get("instruction"))
        return observation, {**info, **self._look(self._watcher, observation)}

    def step(self, action: Any) -> Stepped:
        """Steps the environment and shows the estimator the new state."""
        if self._watcher is None:
            raise ResetNeeded("an episode begins with reset(): call it before step()")
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward), terminated, truncated, {**info, **self._look(self._watcher, observation)}

    def _look(self, watcher: Watcher, observation: Any) -> dict[str, float | bool]:
        return watcher.look(self._watching.seen(observation), self._draw)

    def _draw(self) -> Array:
        return np.asarray(self.env.render())


class _RewardFromPotential(Wrapper, RecordConstructorArgs):
    """Adds to the reward what two successive potentials make of it."""

    def __init__(self, env: AnyEnv, potential: Potential, shaping: Shaping):
        gymnasium.Wrapper.__init__(self, env)
        self._potential_of = potential
        self._shaping = shaping
        self._potential = 0.0

    def _next(self, estimate: float, terminated: bool) -> tuple[float, bool]:
        """The potential of the new state, and whether it was held."""
        raise NotImplementedError

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Started:
        """Resets the environment; its first state has the potential 0 where that is unknown."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._potential = 0.0
        self._potential, held = self._next(self._estimate(observation, info), False)
        return observation, {**info, POTENTIAL: self._potential, HELD: held}

    def step(self, action: Any) -> Stepped:
        """Steps the environment and adds the shaping to its reward."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        before = self._potential
        self._potential, held = self._next(self._estimate(observation, info), bool(terminated))
        added = float(self._shaping(before, self._potential))
        original = float(reward)
        info = {**info, ORIGINAL: original, SHAPING: added, POTENTIAL: self._potential, HELD: held}
        return observation, original + added, terminated, truncated, info

    def _estimate(self, observation: Any, info: Info) -> float:
        return float(self._potential_of(observation, info))


class ShapeReward(_RewardFromPotential):
    """Adds ``scale * (gamma * Phi(s') - Phi(s))`` to the reward, which leaves unchanged which policy is best.

    ``Phi(s') = 0`` where the episode terminates. Where it is truncated ``Phi(s')`` stays, and the learner has to
    bootstrap from its own value of that state, as Gymnasium asks of it anyway. Observations, terminations and
    truncations stay as they are. A state whose potential is unknown (NaN) gets that of the state before it, the first
    one 0; ``info["reward/held"]`` tells. What goes into ``info`` is listed in :mod:`headway_envs.rewards.keys`.

    Shaping only makes an existing reward easier to find: where the environment's own reward is always 0, every
    policy is as good as any other, and :class:`TerminateOnSuccess` can supply one. Scaling the sum afterwards
    (``NormalizeReward``) is harmless; clipping it (``ClipReward``) is not.

    Reference: Ng, Harada, Russell, "Policy invariance under reward transformations", ICML 1999;
    :mod:`headway_envs.rewards.shaping` has the equations.

    A vector version of the wrapper exists: :class:`VectorShapeReward`.

    Example:
        >>> import gymnasium, headway_envs
        >>> from headway_envs.rewards import ShapeReward, true_progress
        >>> env = ShapeReward(gymnasium.make("headway/TidyDrawer-v0"), true_progress, gamma=0.99)
        >>> observation, info = env.reset(seed=0)
        >>> before = info["reward/potential"]
        >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        >>> reward == info["reward/original"] + info["reward/shaping"]
        True
        >>> info["reward/shaping"] == 0.99 * info["progress"] - before
        True
        >>> env.close()
    """

    def __init__(self, env: AnyEnv, potential: Potential, gamma: float = 0.99, scale: float = 1.0):
        """Initialise the wrapper.

        Args:
            env: the environment to wrap.
            potential: Phi, a function of observation and info: ``true_progress``, ``estimated_progress`` over an
                :class:`EstimateProgress`, or one of your own.
            gamma: the learner's own discount.
            scale: factor on what is added.

        Raises:
            InvalidValue: ``gamma`` lies outside [0, 1], or ``scale`` is not finite.
        """
        RecordConstructorArgs.__init__(self, potential=potential, gamma=gamma, scale=scale)
        super().__init__(env, potential, Shaping(gamma, scale))

    def _next(self, estimate: float, terminated: bool) -> tuple[float, bool]:
        potential, held = known_potential(estimate, self._potential, terminated)
        return float(potential), bool(held)


class DifferenceReward(_RewardFromPotential):
    """Adds ``scale * (Phi(s') - Phi(s))`` to the reward: the naive form, which CHANGES which policy is best.

    Progress is paid as it is made, lost progress is charged, and what was made is kept when the episode ends. So
    ending early can beat trying: with Phi = 0.8 and a push that succeeds with 0.3 and otherwise drops everything,
    giving up is worth 0 and pushing -0.2, although only pushing ever earns anything. Here to be compared with; use
    :class:`ShapeReward`. Unknown potentials are held as there.

    Example:
        >>> import gymnasium, headway_envs
        >>> from headway_envs.rewards import DifferenceReward, true_progress
        >>> env = DifferenceReward(gymnasium.make("headway/TidyDrawer-v0"), true_progress, scale=10.0)
        >>> observation, info = env.reset(seed=0)
        >>> before = info["reward/potential"]
        >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        >>> reward == 10.0 * (info["progress"] - before)
        True
        >>> env.close()
    """

    def __init__(self, env: AnyEnv, potential: Potential, scale: float = 1.0):
        """Initialise the wrapper.

        Args:
            env: the environment to wrap.
            potential: Phi, as for :class:`ShapeReward`.
            scale: factor on what is added.

        Raises:
            InvalidValue: ``scale`` is not finite.
        """
        RecordConstructorArgs.__init__(self, potential=potential, scale=scale)
        super().__init__(env, potential, Shaping(1.0, scale))

    def _next(self, estimate: float, terminated: bool) -> tuple[float, bool]:
        potential, held = known_potential(estimate, self._potential)
        return float(potential), bool(held)


class ProgressReward(Wrapper, RecordConstructorArgs):
    """Potential-based shaping by estimated progress: :class:`EstimateProgress`, then :class:`ShapeReward`.

    ``r' = r + scale * (gamma * Phi(s') - Phi(s))`` with Phi the estimator's progress, which is fed the rendered
    frames. ``info`` keeps ``reward/original`` and ``reward/shaping``, and has ``progress/estimate``.

    For an episode that ends when the estimator sees success, wrap in this order, so that the shaping knows of it:
    ``ShapeReward(TerminateOnSuccess(EstimateProgress(env, estimator)), estimated_progress)``.

    A vector version of the wrapper exists: :class:`VectorProgressReward`.

    Example:
        >>> import gymnasium, headway_envs
        >>> from headway.specs import make_estimator
        >>> from headway_envs.rewards import ProgressReward
        >>> env = gymnasium.make("headway/TidyDrawer-v0", render_mode="rgb_array")
        >>> estimator = make_estimator("sarm:runs/tidy")
        >>> env = ProgressReward(env, estimator)
        >>> observation, info = env.reset(seed=0)
        >>> before = info["progress/estimate"]
        >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        >>> info["reward/shaping"] == 0.99 * info["progress/estimate"] - before
        True
        >>> reward == info["reward/original"] + info["reward/shaping"]
        True
        >>> env.close()
    """

    def __init__(
        self,
        env: AnyEnv,
        estimator: Estimator,
        gamma: float = 0.99,
        scale: float = 1.0,
        *,
        camera: str = "front",
        instruction: str | None = None,
        every: int = 1,
        fps: float | None = None,
    ):
        """Initialise the wrapper.

        Args:
            env: made with ``render_mode="rgb_array"``, or with the pictures in its observation.
            estimator: one that streams, such as a trained SARM.
            gamma: the learner's own discount.
            scale: factor on what is added.
            camera: as in :class:`EstimateProgress`, and so the others.
            instruction: what the robot is told; by default what ``info["instruction"]`` says after a reset.
            every: show one state in so many, for speed.
            fps: steps a second; by default ``metadata["render_fps"]``.

        Raises:
            InvalidValue: as :class:`EstimateProgress` and :class:`ShapeReward` do.
        """
        RecordConstructorArgs.__init__(
            self,
            _disable_deepcopy=True,
            estimator=estimator,
            gamma=gamma,
            scale=scale,
            camera=camera,
            instruction=instruction,
            every=every,
            fps=fps,
        )
        gymnasium.Wrapper.__init__(self, env)
        estimating = EstimateProgress(env, estimator, camera=camera, instruction=instruction, every=every, fps=fps)
        self._shaped = ShapeReward(estimating, estimated_progress, gamma, scale)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Started:
        """Resets the environment and begins a new stream with its first frame."""
        return self._shaped.reset(seed=seed, options=options)

    def step(self, action: Any) -> Stepped:
        """Steps the environment and adds the shaping to its reward."""
        return self._shaped.step(action)
