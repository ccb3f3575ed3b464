"""Recorded episodes of Meta-World's tasks, with the truth of every frame."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from headway.episodes import Array, Truth
from headway.errors import InvalidValue
from headway_envs.disturbance import DISTURBANCE, Disturbance
from headway_envs.metaworld.catalogue import find_metaworld_task
from headway_envs.metaworld.demonstrators import IMPERFECTIONS, Demonstrator, check_kind, kinds_of
from headway_envs.metaworld.simulator import FPS, FRAME_SIZE, STEP, MetaWorldSimulator, Reading
from headway_envs.metaworld.task import VERSION
from headway_envs.metaworld.truth import Scale
from headway_envs.recording import RecordingOptions
from headway_envs.trajectory import EpisodeRecorder, Trajectory

MAX_STEPS = 500
"""At which an episode is cut off: Meta-World's own horizon."""
DEFAULT_CAMERA = "corner2"
"""The one that most work with Meta-World uses."""

STATE_NAMES = ("hand_x", "hand_y", "hand_z", "opening")
_POSE = ("x", "y", "z", "quat_0", "quat_1", "quat_2", "quat_3")
ENVIRONMENT_NAMES = (
    *(f"object_{number}_{part}" for number in range(2) for part in _POSE),
    *(f"goal_{axis}" for axis in "xyz"),
)
ACTION_NAMES = ("delta_x", "delta_y", "delta_z", "grip")


def state(reading: Reading) -> Array:
    """float32 (4,): the hand's x, y, z in metres and the opening of its fingers, 0 to 1."""
    return reading.observation[:4].astype(np.float32)


def environment_state(reading: Reading) -> Array:
    """float32 (17,): two objects' places in metres and quaternions, zeros where there is but one, and the goal."""
    return np.concatenate([reading.observation[4:18], reading.observation[-3:]]).astype(np.float32)


class MetaWorldRecorder(EpisodeRecorder):
    """Records episodes of one of Meta-World's tasks, in one simulator.

    `cameras` may be empty: recording states alone is several times faster. `disturbance`: standard deviation in metres
    by which what is carried out differs from what is recorded (DART). `paraphrase`: draw one of the task's
    instructions for each episode, instead of the usual one.

    Raises UnknownName for an unknown task or camera, Unsupported where Meta-World is not installed or frames cannot be
    drawn.
    """

    def __init__(
        self,
        task_id: str,
        cameras: Sequence[str] = (DEFAULT_CAMERA,),
        size: int = FRAME_SIZE,
        disturbance: float = DISTURBANCE,
        paraphrase: bool = False,
    ):
        if not 0 <= disturbance < 1:
            raise InvalidValue(f"disturbance must be metres from 0 and below 1, got {disturbance}")
        self.task = find_metaworld_task(task_id)
        self.simulator = MetaWorldSimulator(self.task)
        self._cameras = tuple(cameras)
        self._size = size
        self._disturbance = disturbance
        self._paraphrase = paraphrase
        for camera in self._cameras:
            self.simulator.check_camera(camera)
            self.simulator.frame(camera, size)  # a machine that cannot draw says so now
        self.fps = FPS
        self.kinds = kinds_of(self.task)
        self.state_names = STATE_NAMES
        self.environment_names = ENVIRONMENT_NAMES
        self.action_names = ACTION_NAMES

    @property
    def description(self) -> dict[str, Any]:
        return {
            "task_id": self.task.id,
            "task_version": VERSION,
            "robot": "sawyer",
            "disturbance_m": self._disturbance,
            "scale": "progress = P_{k-1} + a_k f: a_k the proportions below, P their sum, f the share of stage k that "
            "is done, read from the simulator's state",
        }

    def check_kind(self, kind: str) -> None:
        check_kind(kind, self.task)

    def record(self, seed: int, kind: str = "expert") -> Trajectory:
        """One episode by a demonstrator of that kind, from the layout of that seed.

        Raises InvalidValue for a kind that the task does not have.
        """
        self.check_kind(kind)
        now = self.simulator.reset(seed)
        scale = Scale(self.task, now)
        who = Demonstrator(kind, self.task, now, seed)
        pushes = Disturbance(3, self._disturbance, FPS, np.random.default_rng([seed, 3]))
        pushed = np.zeros(3)
        attempt = _Attempt(self._cameras)
        while len(attempt.actions) < MAX_STEPS and not who.finished:
            stage, progress = scale.stage(now), scale.progress(now)
            action = who.act(now, stage, progress, self.simulator.expert_action(now))
            for name, drawn in attempt.frames.items():
                drawn.append(self.simulator.frame(name, self._size))
            attempt.add(now, action, stage, progress, who.at_work)
            before, pushed = pushed, pushes.next()
            carried_out = action.astype(np.float64)
            carried_out[:3] += (pushed - before) / STEP
            now = self.simulator.step(carried_out)
        return Trajectory(
            instruction=self._instruction(seed),
            seed=seed,
            kind=kind,
            fps=FPS,
            state=np.stack([state(reading) for reading in attempt.readings]),
            environment_state=np.stack([environment_state(reading) for reading in attempt.readings]),
            action=np.stack(attempt.actions),
            truth=attempt.truth(self.task.stage_names, self.task.proportions),
            frames={name: np.stack(drawn) for name, drawn in attempt.frames.items()},
        )

    def close(self) -> None:
        self.simulator.close()

    def _instruction(self, seed: int) -> str:
        phrases = self.task.instructions
        drawn = int(np.random.default_rng([seed, 6]).integers(len(phrases)))
        return phrases[drawn if self._paraphrase else 0]


def recorder_with(task_id: str, options: RecordingOptions) -> MetaWorldRecorder:
    """The recorder of a task with these options.

    Raises InvalidValue for an option that Meta-World's tasks do not have, and what the recorder raises.
    """
    usual = RecordingOptions()
    for name in ("robot", "action_space", "variation", "value"):
        if getattr(options, name) != getattr(usual, name):
            raise InvalidValue(
                f"{task_id} has one robot, one action space and one look, and its true value is not computed: "
                f"leave {name.replace('_', ' ')} as it is"
            )
    return MetaWorldRecorder(task_id, options.cameras, options.size, options.disturbance, options.paraphrase)


class _Attempt:
    """What is kept of an attempt, one entry a step."""

    def __init__(self, cameras: Sequence[str]):
        self.readings: list[Reading] = []
        self.actions: list[Array] = []
        self.frames: dict[str, list[Array]] = {name: [] for name in cameras}
        self._stages: list[int] = []
        self._progress: list[float] = []
        self._imperfect: list[list[bool]] = []

    def add(self, reading: Reading, action: Array, stage: int, progress: float, at_work: set[str]) -> None:
        self.readings.append(reading)
        self.actions.append(action)
        self._stages.append(stage)
        self._progress.append(progress)
        self._imperfect.append([name in at_work for name in IMPERFECTIONS])

    def truth(self, stage_names: tuple[str, ...], proportions: tuple[float, ...]) -> Truth:
        return Truth(
            progress=np.array(self._progress, dtype=np.float32),
            stage=np.array(self._stages, dtype=np.int64),
            success=np.array([reading.success for reading in self.readings], dtype=bool),
            stage_names=stage_names,
            proportions=proportions,
            imperfection=np.array(self._imperfect),
            imperfections=IMPERFECTIONS,
        )
