"""Meta-World's tasks as Gymnasium environments, with Headway's truth."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_envs.metaworld.catalogue import find_metaworld_task
from headway_envs.metaworld.demonstrators import HOLD
from headway_envs.metaworld.recorder import DEFAULT_CAMERA, ENVIRONMENT_NAMES, STATE_NAMES, environment_state, state
from headway_envs.metaworld.simulator import FPS, FRAME_SIZE, MetaWorldSimulator, Reading
from headway_envs.metaworld.truth import Scale

Observation = dict[str, Array]

_FURTHEST = 10.0


class MetaWorldEnv(gymnasium.Env[Observation, Array]):
    """One of Meta-World's tasks, at 80 Hz.

    Observation: `state` float32 (4,), the hand's x, y, z in metres and the opening of its fingers, 0 to 1;
    `environment_state` float32 (17,), places and quaternions of up to two objects, and the goal. Kept within 10.

    Action: float32 (4,) in [-1, 1]: by how many centimetres the hand's target moves in x, y and z, and how hard the
    fingers close (negative opens).

    Reward: 1 while Meta-World's criterion of success holds, else 0. `info` has the truth: `progress` in [0, 1],
    `stage` (index), `success`; and `dense_reward`, Meta-World's own, 0 to 10, NaN after a reset. An episode terminates
    when the criterion has held for 3 steps; made by `gymnasium.make` it is truncated at 500. `reset(seed=n)` gives the
    layout of seed n, the same as in a recording; without a seed it draws one.

    Raises UnknownName for an unknown task or camera, Unsupported where Meta-World is not installed.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012

    def __init__(
        self, task_id: str, render_mode: str | None = None, camera: str = DEFAULT_CAMERA, size: int = FRAME_SIZE
    ):
        if render_mode not in (None, "rgb_array"):
            raise InvalidValue(f"render_mode must be 'rgb_array' or None, got {render_mode!r}")
        self.task = find_metaworld_task(task_id)
        self.render_mode = render_mode
        self.simulator = MetaWorldSimulator(self.task)
        self.simulator.check_camera(camera)
        self._camera = camera
        self._size = size
        self._done_for = 0
        self.reading: Reading
        self._scale: Scale
        self.observation_space: spaces.Space[Any] = spaces.Dict(
            {
                "state": spaces.Box(-_FURTHEST, _FURTHEST, (len(STATE_NAMES),), np.float32),
                "environment_state": spaces.Box(-_FURTHEST, _FURTHEST, (len(ENVIRONMENT_NAMES),), np.float32),
            }
        )
        self.action_space = spaces.Box(-1.0, 1.0, (4,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self.reading = self.simulator.reset(seed if seed is not None else int(self.np_random.integers(2**32)))
        self._scale = Scale(self.task, self.reading)
        self._done_for = 0
        return self._observation(), self._info()

    def step(self, action: Array) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self.reading = self.simulator.step(np.asarray(action, dtype=np.float64))
        self._done_for = self._done_for + 1 if self.reading.success else 0
        reward = float(self.reading.success)
        return self._observation(), reward, self._done_for >= HOLD, False, self._info()

    def expert_action(self) -> Array:
        """float32 (4,): what Meta-World's scripted expert would do now."""
        return self.simulator.expert_action(self.reading)

    def render(self) -> Array | None:
        """uint8 RGB (size, size, 3), or None when made without render_mode."""
        return None if self.render_mode is None else self.simulator.frame(self._camera, self._size)

    def close(self) -> None:
        self.simulator.close()

    def _observation(self) -> Observation:
        parts = {"state": state(self.reading), "environment_state": environment_state(self.reading)}
        return {name: np.clip(values, -_FURTHEST, _FURTHEST) for name, values in parts.items()}

    def _info(self) -> dict[str, Any]:
        return {
            "progress": self._scale.progress(self.reading),
            "stage": self._scale.stage(self.reading),
            "success": self.reading.success,
            "dense_reward": self.reading.reward,
        }
