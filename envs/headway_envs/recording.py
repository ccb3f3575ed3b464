"""Episodes recorded in the simulation, with the truth of every frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from headway.episodes import Array, Episode, Truth
from headway.errors import InvalidValue
from headway_envs.annotation import truth
from headway_envs.demonstrators import IMPERFECTIONS, Demonstrator, check_kind, demonstrator, kinds_of
from headway_envs.disturbance import DISTURBANCE, Disturbance
from headway_envs.observations import environment_names, environment_state
from headway_envs.rendering import FRAME_SIZE
from headway_envs.robots import DEFAULT_ROBOT
from headway_envs.simulator import Saved, Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import Layout, Situation, progress
from headway_envs.trajectory import EpisodeRecorder, Trajectory
from headway_envs.value import DisturbedExpert, RolloutPolicy, evenly_spaced, values_over_time
from headway_envs.variation import look

MAX_SECONDS = 25
"""At which an episode is cut off, whatever its demonstrator still wants."""


@dataclass(frozen=True)
class ValueOptions:
    """How true value is computed: `rollouts` of `policy` from a frame every `seconds`, and from the last one."""

    rollouts: int
    policy: RolloutPolicy = field(default_factory=DisturbedExpert)
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.rollouts < 1 or not self.seconds > 0:
            raise InvalidValue(
                f"value needs at least 1 rollout and a spacing above 0 s, got {self.rollouts} and {self.seconds:g}"
            )


@dataclass(frozen=True)
class RecordingOptions:
    """How episodes of a task are recorded.

    Attributes:
        robot: who does the task.
        action_space: of the arm: `joint-target`, `joint-delta` or `ee-delta`; None is the robot's usual one.
        cameras: which to draw; none is several times faster.
        size: height and width of a frame in pixels.
        disturbance: standard deviation in metres by which what is carried out differs from what is recorded.
        variation: of how things look: `none`, `mild` or `ood`.
        paraphrase: draw one of the task's instructions for each episode, instead of the usual one.
        value: compute true value too; it costs many times the recording itself.
    """

    robot: str = DEFAULT_ROBOT
    action_space: str | None = None
    cameras: tuple[str, ...] = ("front",)
    size: int = FRAME_SIZE
    disturbance: float = DISTURBANCE
    variation: str = "none"
    paraphrase: bool = False
    value: ValueOptions | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.disturbance < 1:
            raise InvalidValue(f"disturbance must be metres from 0 and below 1, got {self.disturbance}")
        if not (16 <= self.size <= 480 and self.size % 2 == 0):
            raise InvalidValue(f"a frame's size must be an even number of pixels from 16 to 480, got {self.size}")


class Recorder(EpisodeRecorder):
    """Records episodes of one of our own tasks, in one simulator.

    Raises UnknownName for an unknown task, robot, action space, camera or level of variation, Unsupported where
    frames cannot be drawn.
    """

    def __init__(self, task_id: str, options: RecordingOptions = RecordingOptions()):
        self.task = find_task(task_id)
        self.options = options
        look(options.variation, 0)
        self.simulator = Simulator(self.task, options.robot, options.action_space)
        for camera in options.cameras:
            self.simulator.check_camera(camera)
            self.simulator.frame(camera, options.size, options.size)  # a machine that cannot draw says so now
        if options.value is not None:
            options.value.policy.start(self.simulator, np.random.default_rng(0))  # one that does not fit says so now
        self.fps = self.simulator.fps
        self.kinds = kinds_of(self.task)
        self.state_names = self.simulator.robot.state_names
        self.action_names = self.simulator.robot.action_names
        self.environment_names = environment_names(self.task)

    @property
    def description(self) -> dict[str, Any]:
        options = self.options
        value = options.value and {
            "policy": options.value.policy.name,
            "rollouts": options.value.rollouts,
            "every_s": options.value.seconds,
        }
        return {
            "task_id": self.task.id,
            "task_version": self.task.version,
            "robot": options.robot,
            "action_space": options.action_space,
            "disturbance_m": options.disturbance,
            "variation": options.variation,
            "scale": "progress = P_{k-1} + a_k f: a_k the proportions below, P their sum, f the share of stage k that "
            "is done, read from the simulator's state",
            **({"value": value} if value else {}),
        }

    def check_kind(self, kind: str) -> None:
        check_kind(kind, self.task)

    def record(self, seed: int, kind: str = "expert") -> Trajectory:
        """One episode by a demonstrator of that kind, from the layout of that seed.

        Raises UnknownName for an unknown kind, InvalidValue for one that the task does not have.
        """
        self.check_kind(kind)
        dressed = look(self.options.variation, seed)
        layout = self.task.layout(seed, dressed.edge)
        situation = self.simulator.reset(layout, dressed)
        who = demonstrator(kind, self.task, layout, self.fps)
        attempt = self._attempt(who, situation, layout, seed)
        known = truth(self.task, layout, attempt.situations)
        known = replace(known, imperfection=np.array(attempt.imperfect), imperfections=IMPERFECTIONS)
        return Trajectory(
            instruction=self._instruction(situation, seed),
            seed=seed,
            kind=kind,
            fps=self.fps,
            state=np.stack(attempt.states),
            environment_state=np.stack([environment_state(self.task, s) for s in attempt.situations]),
            action=np.stack(attempt.actions).astype(np.float32),
            truth=self._valued(known, attempt.saved, seed),
            frames={name: np.stack(drawn) for name, drawn in attempt.frames.items()},
        )

    def _attempt(self, who: Demonstrator, situation: Situation, layout: Layout, seed: int) -> "_Attempt":
        options, simulator = self.options, self.simulator
        random = np.random.default_rng([seed, 3])
        pushes = Disturbance(simulator.robot.pushes, options.disturbance, self.fps, random)
        attempt = _Attempt(options.cameras)
        while len(attempt.actions) < MAX_SECONDS * self.fps and not who.finished:
            wish = who.act(situation, progress(self.task, situation, layout))
            action = simulator.command(wish)
            for name, drawn in attempt.frames.items():
                drawn.append(simulator.frame(name, options.size, options.size))
            if options.value is not None:
                attempt.saved.append(simulator.save())
            attempt.situations.append(situation)
            attempt.states.append(simulator.robot.state(simulator.data))
            attempt.actions.append(action)
            attempt.imperfect.append([name in who.at_work for name in IMPERFECTIONS])
            situation = simulator.step(action, pushes.next())
        return attempt

    def _instruction(self, situation: Situation, seed: int) -> str:
        phrases = self.task.phrases(situation)
        drawn = int(np.random.default_rng([seed, 6]).integers(len(phrases)))
        return phrases[drawn if self.options.paraphrase else 0]

    def _valued(self, known: Truth, saved: Sequence[Saved], seed: int) -> Truth:
        """The same truth with its value, where that is asked for."""
        wanted = self.options.value
        if wanted is None:
            return known
        frames = evenly_spaced(len(saved), self.fps, wanted.seconds)
        value, interval = values_over_time(self.simulator, saved, frames, wanted.policy, wanted.rollouts, seed)
        return replace(known, value=value, value_interval=interval)

    def close(self) -> None:
        self.simulator.close()


class _Attempt:
    """What is kept of an attempt, one entry a step."""

    def __init__(self, cameras: Sequence[str]):
        self.situations: list[Situation] = []
        self.states: list[Array] = []
        self.actions: list[Array] = []
        self.imperfect: list[list[bool]] = []
        self.saved: list[Saved] = []
        self.frames: dict[str, list[Array]] = {name: [] for name in cameras}


def record(
    task_id: str,
    seed: int,
    kind: str = "expert",
    options: RecordingOptions = RecordingOptions(),
) -> Episode:
    """One episode as `Recorder` makes it."""
    recorder = Recorder(task_id, options)
    try:
        return recorder.record(seed, kind).episode()
    finally:
        recorder.close()
