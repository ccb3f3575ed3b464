"""Our tasks as stable-baselines3 wants them, rewarded in one of several ways. Needs the extra `rl`.

    sparse       1 when the task has stayed done and the episode ends, else 0: the outcome
    shaped       the outcome and gamma * Phi(s') - Phi(s), which leaves unchanged which policy is best
    dense        Phi(s') itself: pays for being far along, so an agent may rather wait than finish
    difference   the outcome and Phi(s') - Phi(s), without discount and without zero at the end: changes what is best

each times `scale`. Phi is the simulator's progress, or an estimator's. The first is the outcome and not the reward of
the environment itself, which pays every step on which the task is done, so most to whoever undoes it before the end.

Out of time is over, as out of moves is in chess: the episode terminates, and the time left is observed. Were it
truncated, a learner would take the states in which it is stuck for worth what it hopes to earn after the end, which it
never tries (Pardo et al., "Time limits in reinforcement learning", ICML 2018, have both views).
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import RescaleAction, TimeLimit

from headway.episodes import Array
from headway.errors import InvalidValue, UnknownName, Unsupported
from headway.estimator import Estimator
from headway_envs import EPISODE_SECONDS
from headway_envs.gym_env import HeadwayEnv
from headway_envs.observations import environment_names
from headway_envs.rewards import (
    DifferenceReward,
    EstimateProgress,
    Potential,
    ShapeReward,
    estimated_progress,
    true_progress,
)
from headway_envs.robots import DEFAULT_ROBOT
from headway_envs.robots.action_spaces import LARGEST_CHANGE
from headway_envs.robots.gripper import REACH
from headway_envs.tasks.base import CUBE, Layout, Situation

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

AnyEnv = gymnasium.Env[Any, Any]
Wrapper = gymnasium.Wrapper[Any, Any, Any, Any]
Started = tuple[Any, dict[str, Any]]
Stepped = tuple[Any, float, bool, bool, dict[str, Any]]

DECIMETRE = 0.1
NO_LENGTHS = ("pos", "vel", "qw", "qx", "qy", "qz", "count", "goal")
"""How the names of values end that are not in metres."""
STEP = {"gripper": REACH, "arm": LARGEST_CHANGE}
"""How far from what is sensed now an absolute target may lie, in metres or radians: robots go no further in a step."""


@dataclass(frozen=True)
class OnlineTask:
    """What is to be learnt.

    Attributes:
        task_id: which task.
        robot: which robot.
        action_space: of the arm; None for its usual one.
        seconds: after which an episode is over.
        repeat: control steps that one action is carried out for. What is learnt from scratch wanders less when it
            decides a few times a second.
        start: makes an episode's layout of a drawn one, for instance a nearer one, and keeps its seed;
            None leaves it.
    """

    task_id: str
    robot: str = DEFAULT_ROBOT
    action_space: str | None = None
    seconds: float = EPISODE_SECONDS
    repeat: int = 1
    start: Callable[[Layout], Layout] | None = None


class Repeat(Wrapper):
    """Carries every action out `times` control steps long, or until the episode ends. The last of them is rewarded."""

    def __init__(self, env: AnyEnv, times: int):
        if times < 1:
            raise InvalidValue(f"an action is carried out at least once, got repeat={times}")
        super().__init__(env)
        self._times = times

    def step(self, action: Any) -> Stepped:
        for _ in range(self._times):
            observation, reward, terminated, truncated, info = self.env.step(action)
            if terminated or truncated:
                break
        return observation, float(reward), terminated, truncated, info


class OutcomeReward(Wrapper):
    """`scale` on the step with which the episode terminates, 0 on every other."""

    def __init__(self, env: AnyEnv, scale: float = 1.0):
        super().__init__(env)
        self._scale = scale

    def step(self, action: Any) -> Stepped:
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, self._scale * terminated, terminated, truncated, info


class Deadline(Wrapper):
    """Terminates the episode where it would be truncated, and shows what is left of its time.

    To the observation, a dict, comes `time_left`, float32 (1,): 1 after a reset, 0 after `steps` steps.
    """

    def __init__(self, env: AnyEnv, steps: int):
        super().__init__(env)
        self._steps, self._taken = steps, 0
        assert isinstance(env.observation_space, spaces.Dict)
        left = spaces.Box(0, 1, (1,), np.float32)
        self.observation_space = spaces.Dict({**env.observation_space.spaces, "time_left": left})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Started:
        observation, info = self.env.reset(seed=seed, options=options)
        self._taken = 0
        return self._timed(observation), info

    def step(self, action: Any) -> Stepped:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._taken += 1
        return self._timed(observation), float(reward), terminated or truncated, False, info

    def _timed(self, observation: dict[str, Array]) -> dict[str, Array]:
        return {**observation, "time_left": np.array([1 - self._taken / self._steps], np.float32)}


class PotentialItself(Wrapper):
    """`scale * Phi(s')` instead of the reward. Phi has to be known in every state."""

    def __init__(self, env: AnyEnv, potential: Potential, scale: float = 1.0):
        super().__init__(env)
        self._potential, self._scale = potential, scale

    def step(self, action: Any) -> Stepped:
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, self._scale * float(self._potential(observation, info)), terminated, truncated, info


class Near(gymnasium.ActionWrapper[Any, Any, Any]):
    """Actions in [-1, 1] for a robot that takes absolute targets: 1 is the furthest it goes in a step, STEP.

    A policy that learns by trying things out then begins with small movements from where it is, not with a jerk
    towards the middle of the table. Values that are no such target, as the grip, are scaled to their bounds.
    """

    def __init__(self, env: AnyEnv, robot: str):
        super().__init__(env)
        inside = _headway(env)
        low, high = inside.simulator.robot.action_low, inside.simulator.robot.action_high
        self._targets = [
            (place, inside.state_names.index(name))
            for place, name in enumerate(inside.action_names)
            if name in inside.state_names
        ]
        self._step = STEP[robot]
        self._middle, self._half = (high + low) / 2, (high - low) / 2
        self.action_space = spaces.Box(-1, 1, low.shape, np.float32)

    def action(self, action: Array) -> Array:
        """The action that the robot takes: float32 (action,) of one in [-1, 1]."""
        robot = _headway(self).simulator
        now = robot.robot.state(robot.data)
        wanted = self._middle + self._half * action
        for place, sensed in self._targets:
            wanted[place] = now[sensed] + self._step * action[place]
        return wanted.astype(np.float32)


class Flat(gymnasium.ObservationWrapper[Any, Any, Any]):
    """One vector: state, environment state, x, y, z of each thing as seen from the hand, and the time left.

    Metres are given as decimetres, so that values lie around 1; angles stay radians. float32 (values,).
    """

    def __init__(self, env: AnyEnv):
        super().__init__(env)
        inside = _headway(env)
        self._hand = inside.state_names.index("hand.x")
        self._places = 3 * len(inside.task.objects)
        environment = environment_names(inside.task)
        self._units = _units(inside.state_names), _units(environment)
        size = len(inside.state_names) + len(environment) + self._places + 1
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)

    def observation(self, observation: dict[str, Array]) -> Array:
        """float32 (values,)."""
        state, environment = observation["state"], observation["environment_state"]
        places = environment[: self._places].reshape(-1, 3)
        from_hand = (places - state[self._hand : self._hand + 3]).reshape(-1)
        seen = state / self._units[0], environment / self._units[1], from_hand / DECIMETRE
        return np.concatenate([*seen, observation["time_left"]])


REWARDS: dict[str, Callable[[AnyEnv, Potential, float, float], AnyEnv]] = {
    "sparse": lambda env, potential, gamma, scale: env,
    "shaped": lambda env, potential, gamma, scale: ShapeReward(env, potential, gamma, scale),
    "dense": lambda env, potential, gamma, scale: PotentialItself(env, potential, scale),
    "difference": lambda env, potential, gamma, scale: DifferenceReward(env, potential, scale),
}
"""What each makes of an environment that pays the outcome."""


def make_env(
    task: OnlineTask,
    reward: str,
    gamma: float = 0.99,
    scale: float = 1.0,
    estimator: Estimator | None = None,
) -> AnyEnv:
    """One environment with a flat observation and actions in [-1, 1].

    Args:
        task: what is to be learnt.
        reward: a name among REWARDS.
        gamma: the learner's own discount.
        scale: factor on all rewards.
        estimator: whose progress is Phi, from rendered frames of the camera `front`; None for the simulator's own.

    Raises UnknownName for an unknown reward, task, robot or action space, InvalidValue for an estimator that cannot
    stream.
    """
    if reward not in REWARDS:
        raise UnknownName("reward", reward, REWARDS)
    inside = HeadwayEnv(task.task_id, task.robot, task.action_space, render_mode="rgb_array" if estimator else None)
    if task.start is not None:
        inside.task = _starting(inside, task.start)
    steps = round(task.seconds * inside.simulator.fps)
    env: AnyEnv = Repeat(TimeLimit(inside, steps), task.repeat)
    potential = true_progress
    if estimator is not None:
        env, potential = EstimateProgress(env, estimator), estimated_progress
    env = Deadline(OutcomeReward(env, scale), ceil(steps / task.repeat))
    env = REWARDS[reward](env, potential, gamma, scale)
    absolute = set(inside.action_names) & set(inside.state_names)
    env = Near(env, task.robot) if absolute else RescaleAction(env, np.float32(-1), np.float32(1))
    return Flat(env)


def make_vector(
    task: OnlineTask,
    reward: str,
    gamma: float = 0.99,
    scale: float = 1.0,
    estimator: Estimator | None = None,
    envs: int = 1,
    seed: int = 0,
) -> "VecEnv":
    """So many of them, for a learner of stable-baselines3, in this process; `infos` tell the outcome (`Monitor`).

    Layouts are drawn from `seed`, and do not depend on the reward. Raises what `make_env` does, InvalidValue when
    `envs` is below 1, and Unsupported without stable-baselines3.
    """
    if envs < 1:
        raise InvalidValue(f"needs at least one environment, got {envs}")
    try:
        from stable_baselines3.common.env_util import make_vec_env
    except ImportError as error:
        raise Unsupported("online RL needs stable-baselines3: install it with pip install 'headway[rl]'") from error
    return make_vec_env(lambda: make_env(task, reward, gamma, scale, estimator), n_envs=envs, seed=seed)


Predict = Callable[[Array], Array]
"""An action, float32 (action,), of an observation (values,)."""


def succeeds(predict: Predict, task: OnlineTask, layout_seeds: Sequence[int]) -> Array:
    """Whether it does the task from each layout in time: bool (layout,). Actions as `make_env` takes them."""
    env = make_env(task, "sparse")
    try:
        return np.array([_ends_done(predict, env, seed) for seed in layout_seeds])
    finally:
        env.close()


def _ends_done(predict: Predict, env: AnyEnv, layout_seed: int) -> bool:
    observation, _ = env.reset(seed=layout_seed)
    while True:
        observation, outcome, terminated, _, _ = env.step(predict(observation))
        if terminated:
            return float(outcome) > 0


def _starting(env: HeadwayEnv, start: Callable[[Layout], Layout]) -> Any:
    """The environment's task with nearer layouts. Progress counts from the drawn layout, so part of it is made."""
    drawn, task = env.task, copy(env.task)

    def canonical(stage: int, layout: Layout) -> Situation:
        return drawn.canonical(stage, drawn.layout(layout.seed, layout.edge))

    def layout(seed: int, edge: float = CUBE) -> Layout:
        return start(drawn.layout(seed, edge))

    task.layout, task.canonical = layout, canonical  # type: ignore[method-assign]
    return task


def _units(names: Sequence[str]) -> Array:
    return np.array([1.0 if name.endswith(NO_LENGTHS) else DECIMETRE for name in names], dtype=np.float32)


def _headway(env: AnyEnv) -> HeadwayEnv:
    inside = env.unwrapped
    assert isinstance(inside, HeadwayEnv)
    return inside
