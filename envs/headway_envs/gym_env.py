"""The tasks as Gymnasium environments."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_envs.demonstrators import HOLD
from headway_envs.observations import objects, proprioception
from headway_envs.rendering import FRAME_SIZE
from headway_envs.simulator import ACTION_HIGH, ACTION_LOW, FPS, Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import Layout, Situation, progress

Observation = dict[str, Array]

_FURTHEST = 2.0


class HeadwayEnv(gymnasium.Env[Observation, Array]):
    """One task at 20 Hz.

    Observation: `state` float32 (4,), the hand's x, y, z and the opening between its fingers; `environment_state`
    float32 (dim,), x, y, z of each cube and the drawer's travel where there is one. All in metres, kept within 2 m.

    Action: float32 (4,), the hand's absolute target x, y, z in metres and its grip from -1 (closed) to 1 (open).
    Targets further than 4 cm from the hand are carried out as if 4 cm away. Actions are in metres, not scaled to
    [-1, 1], because that is what recordings hold and what a policy cloned from them puts out.

    Reward: 1 while the task is done, else 0. `info` has the truth: `progress` in [0, 1], `stage` (index), `success`.
    An episode terminates when the task has stayed done for 0.5 s; made by `gymnasium.make` it is truncated at 400
    steps. `reset(seed=n)` gives the layout of seed n, the same as in a recording; without a seed it draws one.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012

    def __init__(self, task_id: str, render_mode: str | None = None, camera: str = "front", size: int = FRAME_SIZE):
        if render_mode not in (None, "rgb_array"):
            raise InvalidValue(f"render_mode must be 'rgb_array' or None, got {render_mode!r}")
        self.task = find_task(task_id)
        self.render_mode = render_mode
        self._camera = camera
        self._size = size
        self._simulator = Simulator(self.task.scene)
        self._simulator.check_camera(camera)
        self._layout: Layout = self.task.layout(0)
        self.situation: Situation = self._layout
        self._done_for = 0
        dim = 3 * len(self.task.cubes) + self.task.has_drawer
        self.observation_space: spaces.Space[Any] = spaces.Dict(
            {
                "state": spaces.Box(-_FURTHEST, _FURTHEST, (4,), np.float32),
                "environment_state": spaces.Box(-_FURTHEST, _FURTHEST, (dim,), np.float32),
            }
        )
        self.action_space = spaces.Box(
            np.array(ACTION_LOW, np.float32), np.array(ACTION_HIGH, np.float32), dtype=np.float32
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        layout_seed = seed if seed is not None else int(self.np_random.integers(2**32))
        self._layout = self.task.layout(layout_seed)
        self.situation = self._simulator.reset(self._layout)
        self._done_for = 0
        return self._observation(), self._info()

    def step(self, action: Array) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self.situation = self._simulator.step(action)
        info = self._info()
        self._done_for = self._done_for + 1 if info["success"] else 0
        return self._observation(), float(info["success"]), self._done_for >= HOLD, False, info

    def render(self) -> Array | None:
        """uint8 RGB (size, size, 3), or None when made without render_mode."""
        if self.render_mode is None:
            return None
        return self._simulator.frame(self._camera, self._size, self._size)

    def close(self) -> None:
        self._simulator.close()

    def _observation(self) -> Observation:
        parts = {
            "state": proprioception(self.situation),
            "environment_state": objects(self.task, self.situation),
        }
        return {name: np.clip(values, -_FURTHEST, _FURTHEST) for name, values in parts.items()}

    def _info(self) -> dict[str, Any]:
        return {
            "progress": progress(self.task, self.situation, self._layout),
            "stage": self.task.stage(self.situation),
            "success": self.task.success(self.situation),
        }
