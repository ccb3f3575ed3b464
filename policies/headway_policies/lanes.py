"""One simulator in which a policy acts: it is given actions for a few steps, and says what became of its layout."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway_envs import EPISODE_SECONDS
from headway_envs.observations import environment_state
from headway_envs.robots import DEFAULT_ROBOT
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import progress
from headway_envs.value import HELD
from headway_envs.variation import look


@dataclass(frozen=True)
class Rollout:
    """What became of one layout.

    Attributes:
        layout_seed: which layout.
        success: whether the task was done and stayed done for half a second.
        progress: true progress at the end, in [0, 1].
        stage: index of the stage at the end.
        furthest: the highest index of a stage on the way.
        steps: how many it took.
    """

    layout_seed: int
    success: bool
    progress: float
    stage: int
    furthest: int
    steps: int


@dataclass(frozen=True)
class Setting:
    """Where policies act: the task, who does it, for how long at most, and how things look."""

    task_id: str
    robot: str = DEFAULT_ROBOT
    action_space: str | None = None
    seconds: float = EPISODE_SECONDS
    variation: str = "none"

    def simulator(self) -> Simulator:
        """Raises UnknownName for an unknown task, robot, action space or level of variation."""
        look(self.variation, 0)
        return Simulator(find_task(self.task_id), self.robot, self.action_space)


class Lane:
    """A simulator and the layout under way in it. `on_step(simulator)` is called at each start and after every step.

    The same layout and the same actions end the same, whatever was tried in the lane before.
    """

    def __init__(
        self, setting: Setting, layout_seed: int, on_step: Callable[[Simulator], object] = lambda simulator: None
    ):
        self.simulator = setting.simulator()
        self._variation = setting.variation
        self._max_steps = round(setting.seconds * self.simulator.fps)
        self._hold = round(HELD * self.simulator.fps)
        self._on_step = on_step
        self.start(layout_seed)

    def start(self, layout_seed: int) -> None:
        """Begin a layout."""
        task = self.simulator.task
        dressed = look(self._variation, layout_seed)
        self._layout = task.layout(layout_seed, dressed.edge)
        self._situation = self.simulator.reset(self._layout, dressed)
        self._furthest = task.stage(self._situation)
        self._steps = self._done_for = 0
        self._on_step(self.simulator)

    @property
    def state(self) -> Array:
        """float32 (state,): what the robot senses of itself."""
        return self.simulator.robot.state(self.simulator.data)

    @property
    def environment_state(self) -> Array:
        """float32 (dim,): what only the simulator knows."""
        return environment_state(self.simulator.task, self._situation)

    def pictures(self, cameras: tuple[str, ...], size: int) -> Array:
        """uint8 RGB (camera, size, size, 3): what the cameras see."""
        return np.stack([self.simulator.frame(name, size, size) for name in cameras])

    def perform(self, actions: Array) -> Rollout | None:
        """Carry out actions (step, action) until the layout ends: then what became of it, else None."""
        task = self.simulator.task
        for action in actions:
            if self._over:
                break
            self._situation = self.simulator.step(action)
            self._steps += 1
            self._done_for = self._done_for + 1 if task.success(self._situation) else 0
            self._furthest = max(self._furthest, task.stage(self._situation))
            self._on_step(self.simulator)
        return self._outcome() if self._over else None

    def close(self) -> None:
        self.simulator.close()

    @property
    def _over(self) -> bool:
        return self._done_for >= self._hold or self._steps >= self._max_steps

    def _outcome(self) -> Rollout:
        task, situation = self.simulator.task, self._situation
        return Rollout(
            self._layout.seed,
            self._done_for >= self._hold,
            progress(task, situation, self._layout),
            task.stage(situation),
            self._furthest,
            self._steps,
        )
