"""The tasks as Gymnasium environments."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_envs.observations import environment_state
from headway_envs.rendering import FRAME_SIZE
from headway_envs.robots import DEFAULT_ROBOT
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import Layout, Situation, progress
from headway_envs.value import HELD
from headway_envs.variation import look

Observation = dict[str, Array]

PRIVILEGED = ("environment_state", "object_orientation")
"""The parts of an observation that only a simulator knows."""
_FURTHEST = 10.0


class HeadwayEnv(gymnasium.Env[Observation, Array]):
    """One task with one robot.

    Observation: `state` float32 (state,), what the robot senses of itself, named by `env.unwrapped.state_names`; the
    privileged `environment_state` float32 (dim,), places of things and travel of sliding parts in metres, and
    `object_orientation` float32 (4 x things,), quaternions w, x, y, z; and a picture, uint8 RGB (size, size, 3), for
    each of `cameras`, under the camera's name. Numbers are kept within 10 of their unit.

    Action: float32 (action,), named by `env.unwrapped.action_names`. The arm takes absolute joint targets in radians
    (`action_space="joint-target"`, the default, as lerobot's arms record them), changes of the joints in radians
    (`joint-delta`) or of the hand's pose in metres and radians (`ee-delta`), and a grip from -1 (closed) to 1 (open).
    The gripper takes its hand's absolute target in metres, and the grip. Actions are not scaled to [-1, 1], because
    recordings hold them as they are, and a policy cloned from those puts them out as they are.

    Reward: 1 while the task is done, else 0. `info` has the truth: `progress` in [0, 1], `stage` (index), `success`;
    after a reset also the `instruction`. An episode terminates when the task has stayed done for 0.5 s; made by
    `gymnasium.make` it is truncated after 20 s. `reset(seed=n)` gives the layout and the look of seed n, the same as in
    a recording; without a seed it draws one.

    Raises UnknownName for an unknown task, robot, action space, camera or level of variation.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(
        self,
        task_id: str,
        robot: str = DEFAULT_ROBOT,
        action_space: str | None = None,
        variation: str = "none",
        cameras: Sequence[str] = (),
        render_mode: str | None = None,
        camera: str = "front",
        size: int = FRAME_SIZE,
    ):
        if render_mode not in (None, "rgb_array"):
            raise InvalidValue(f"render_mode must be 'rgb_array' or None, got {render_mode!r}")
        self.task = find_task(task_id)
        self.render_mode = render_mode
        self._variation = variation
        self._camera = camera
        self._cameras = tuple(cameras)
        self._size = size
        look(variation, 0)
        self.simulator = Simulator(self.task, robot, action_space)
        for name in (camera, *cameras):
            self.simulator.check_camera(name)
        self.metadata = self.metadata | {"render_fps": self.simulator.fps}
        self.state_names = self.simulator.robot.state_names
        self.action_names = self.simulator.robot.action_names
        self._layout: Layout = self.task.layout(0)
        self.situation: Situation = self._layout
        self._done_for = 0
        self._hold = round(HELD * self.simulator.fps)
        self.observation_space = self._observation_space()
        robot_made = self.simulator.robot
        self.action_space = spaces.Box(robot_made.action_low, robot_made.action_high, dtype=np.float32)

    def _observation_space(self) -> spaces.Space[Any]:
        sizes = {
            "state": len(self.state_names),
            "environment_state": len(environment_state(self.task, self._layout)),
            "object_orientation": 4 * len(self.task.objects),
        }
        numbers = {name: spaces.Box(-_FURTHEST, _FURTHEST, (size,), np.float32) for name, size in sizes.items()}
        picture = spaces.Box(0, 255, (self._size, self._size, 3), np.uint8)
        return spaces.Dict({**numbers, **dict.fromkeys(self._cameras, picture)})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        drawn = seed if seed is not None else int(self.np_random.integers(2**32))
        dressed = look(self._variation, drawn)
        self._layout = self.task.layout(drawn, dressed.edge)
        self.situation = self.simulator.reset(self._layout, dressed)
        self._done_for = 0
        return self._observation(), self._info() | {"instruction": self.task.phrases(self.situation)[0]}

    def step(self, action: Array) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self.situation = self.simulator.step(action)
        info = self._info()
        self._done_for = self._done_for + 1 if info["success"] else 0
        return self._observation(), float(info["success"]), self._done_for >= self._hold, False, info

    def render(self) -> Array | None:
        """uint8 RGB (size, size, 3), or None when made without render_mode."""
        if self.render_mode is None:
            return None
        return self.simulator.frame(self._camera, self._size, self._size)

    def close(self) -> None:
        self.simulator.close()

    def _observation(self) -> Observation:
        numbers = {
            "state": self.simulator.robot.state(self.simulator.data),
            "environment_state": environment_state(self.task, self.situation),
            "object_orientation": self.simulator.orientations().reshape(-1),
        }
        clipped = {name: np.clip(values, -_FURTHEST, _FURTHEST) for name, values in numbers.items()}
        return clipped | {name: self.simulator.frame(name, self._size, self._size) for name in self._cameras}

    def _info(self) -> dict[str, Any]:
        return {
            "progress": progress(self.task, self.situation, self._layout),
            "stage": self.task.stage(self.situation),
            "success": self.task.success(self.situation),
        }
