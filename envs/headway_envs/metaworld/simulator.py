"""One Meta-World task being simulated: start it from a layout seed, step it with actions, read it, draw it."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from headway.episodes import Array
from headway.errors import UnknownName, Unsupported
from headway_envs.metaworld.criteria import Missing, missing
from headway_envs.metaworld.task import MetaWorldTask
from headway_envs.rendering import FrameRenderer, mujoco

FPS = 80
"""Control steps per second: Meta-World takes 5 physics steps of 2.5 ms."""
FRAME_SIZE = 84
STEP = 0.01
"""Metres by which an action of 1 moves the hand's target, in each direction."""

_UPSIDE_DOWN = ("corner", "corner2", "corner3", "corner4")


@dataclass(frozen=True)
class Reading:
    """One moment of a simulation.

    Attributes:
        observation: float64 (39,), Meta-World's, with the goal.
        missing: what keeps its criterion of success from being met.
        success: whether the criterion is met.
        reward: Meta-World's dense reward of the step that led here, 0 to 10; NaN after a reset.
    """

    observation: Array
    missing: Missing
    success: bool
    reward: float

    @property
    def hand(self) -> Array:
        """float64 (3,), metres."""
        return self.observation[:3]

    @property
    def opening(self) -> float:
        """Between the fingers, from 0 to 1, which is 0.1 m."""
        return float(self.observation[3])

    @property
    def thing(self) -> Array:
        """float64 (3,), the object that the hand has to get hold of, metres."""
        return self.observation[4:7]

    @property
    def other(self) -> Array:
        """float64 (3,), what a tool has to act on, metres; zeros where there is no tool."""
        return self.observation[11:14]


class MetaWorldSimulator:
    """Steps one task at 80 Hz. The same seed and actions give the same states to the last bit.

    Layouts are drawn anew from each seed: Meta-World's own 50 frozen ones are not used. Raises Unsupported, with the
    line that sets it up, where Meta-World is not installed.
    """

    def __init__(self, task: MetaWorldTask):
        environments, policies = _load()
        self.task = task
        self._policy = policies[f"{task.name}-v3"]()
        self._env: Any = environments[f"{task.name}-v3"]()
        self._env._partially_observable = False  # the expert needs the goal
        del self._env.sawyer_observation_space  # cached for an observation without goal, it would clip the goal to 0
        self._env._freeze_rand_vec = False
        self._env.seeded_rand_vec = True
        self._env._set_task_called = True
        self._renderers: dict[int, FrameRenderer] = {}

    def reset(self, seed: int) -> Reading:
        """Start from the layout of that seed."""
        env = self._env
        env.seed(seed)
        env.reset()
        # Meta-World's first observation still has some objects where they were before
        mujoco.mj_forward(env.model, env.data)
        env._prev_obs = env._get_curr_obs_combined_no_goal()
        observation = env._get_obs()
        _, info = env.evaluate_state(observation, np.zeros(4))
        return self._reading(observation, info, float("nan"))

    def step(self, action: Array) -> Reading:
        """Advance by one control step. `action`: (4,), clipped to [-1, 1]."""
        self._env.curr_path_length = 0  # how long an episode may take is for the caller to say
        observation, reward, _, _, info = self._env.step(np.clip(action, -1, 1))
        return self._reading(observation, info, float(reward))

    def expert_action(self, reading: Reading) -> Array:
        """float32 (4,): what Meta-World's scripted expert does; a function of the reading alone."""
        action: Array = np.clip(self._policy.get_action(reading.observation), -1, 1).astype(np.float32)
        return action

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras there are."""
        return tuple(self._env.model.camera(index).name for index in range(self._env.model.ncam))

    def check_camera(self, name: str) -> None:
        """Raises UnknownName, which lists the cameras, when there is none of that name."""
        if name not in self.cameras:
            raise UnknownName("camera", name, self.cameras)

    def frame(self, camera: str, size: int = FRAME_SIZE) -> Array:
        """uint8 RGB (size, size, 3), upright. Raises Unsupported when the machine cannot draw."""
        if size not in self._renderers:
            self._renderers[size] = FrameRenderer(self._env.model, size, size)
        pixels = self._renderers[size].frame(self._env.data, camera)
        # Meta-World's corner cameras hang upside down: half a turn, which is not a mirror image
        return np.ascontiguousarray(pixels[::-1, ::-1]) if camera in _UPSIDE_DOWN else pixels

    def close(self) -> None:
        """Give the drawing contexts back."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def _reading(self, observation: Array, info: dict[str, Any], reward: float) -> Reading:
        return Reading(
            observation=observation,
            missing=missing(self.task.name, self.task.tolerance, self._env, observation, info),
            success=bool(info["success"]),
            reward=reward,
        )


def _load() -> tuple[Any, Any]:
    """Meta-World's environments and experts by name."""
    try:
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS
        from metaworld.policies import ENV_POLICY_MAP
    except ImportError as error:
        raise Unsupported(
            "the metaworld/ tasks need Meta-World, which needs an old MuJoCo and so an environment of its own; run: "
            "make setup-metaworld, then use .venv-metaworld/bin/headway; without make, in a fresh environment: "
            "pip install 'headway[metaworld]'"
        ) from error
    warnings.filterwarnings("ignore", message=r"Constant\(s\) may be too high")  # actions are clipped, as it says
    return ALL_V3_ENVIRONMENTS, ENV_POLICY_MAP
