"""The scene that the simulated arm stands in: what the robot senses of itself, and the truth."""

from headway.episodes import Array
from headway_envs.ros.sim.options import SimOptions
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import progress
from headway_envs.variation import look


class World:
    """One task with one robot. It belongs to one thread.

    A joint is named as in the robot's state. Velocities are no joints of their own: they are told beside the positions.

    Attributes:
        task, simulator: MuJoCo's side.
        fps: control steps a second.
        joint_names: all that the robot senses but velocities.
        seed: of the layout.
        sensed: the robot's state by name.
        velocities: (joint,), by the joint's own sensor where it has one, else over the last step, as encoders tell it.
        progress, success: the truth.

    Raises UnknownName for an unknown task, camera or level of variation, Unsupported where the robot needs what is not
    installed.
    """

    def __init__(self, task_id: str, options: SimOptions, seed: int):
        self.task = find_task(task_id)
        self.simulator = Simulator(self.task, options.robot)
        for camera in options.cameras:
            self.simulator.check_camera(camera)
        self.fps = self.simulator.fps
        self.joint_names = tuple(name for name in self.simulator.robot.state_names if not name.endswith(".vel"))
        self._variation = options.variation
        self.begin(seed)

    def begin(self, seed: int) -> None:
        """Put everything where that seed's layout has it, at rest."""
        dressed = look(self._variation, seed)
        self.seed = seed
        self._layout = self.task.layout(seed, dressed.edge)
        self.simulator.reset(self._layout, dressed)
        self.sensed: dict[str, float] = {}
        self._look()

    def step(self, action: Array) -> None:
        """One control step with the robot's action (action,)."""
        self.simulator.step(action)
        self._look()

    @property
    def positions(self) -> list[float]:
        """Where the joints are, (joint,)."""
        return [self.sensed[name] for name in self.joint_names]

    @property
    def instruction(self) -> str:
        """What the robot is to do here."""
        return self.task.phrases(self._layout)[0]

    def _look(self) -> None:
        robot, before = self.simulator.robot, self.sensed
        state = robot.state(self.simulator.data)
        self.sensed = {name: float(value) for name, value in zip(robot.state_names, state, strict=True)}
        self.velocities = [self._velocity(name, before) for name in self.joint_names]
        situation = self.simulator.situation()
        self.progress = progress(self.task, situation, self._layout)
        self.success = self.task.success(situation)

    def _velocity(self, name: str, before: dict[str, float]) -> float:
        own = f"{name.removesuffix('.pos')}.vel"
        if own in self.sensed:
            return self.sensed[own]
        return (self.sensed[name] - before.get(name, self.sensed[name])) * self.fps
