"""Episodes recorded in the simulation, with the truth of every frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from headway.episodes import Array, ArrayFrames, Episode, Stage, Truth
from headway_envs.demonstrators import demonstrator
from headway_envs.observations import objects, proprioception
from headway_envs.rendering import FRAME_SIZE
from headway_envs.simulator import FPS, Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import Layout, Situation, Task, progress

DISTURBANCE = 0.004
"""Standard deviation in metres of what is added to a demonstrator's target before it is carried out."""
MAX_STEPS = 500
SHORTEST_STAGE = 6
"""Frames (0.3 s): an annotator marks nothing shorter."""

_PERSISTENCE = 0.8
_FRESH = (1 - _PERSISTENCE**2) ** 0.5  # keeps the noise's standard deviation at that of its source


@dataclass(frozen=True)
class Trajectory:
    """One recorded attempt, with or without pictures. Frame t shows what the demonstrator saw when it chose action t.

    Attributes:
        state: float32 (time, 4), the hand's x, y, z and the opening between its fingers, metres.
        environment_state: float32 (time, dim), cubes' x, y, z, then the drawer's travel where there is one, metres.
        action: float32 (time, 4), what the demonstrator wanted, before disturbance.
        frames: camera -> uint8 RGB (time, height, width, 3); empty when nothing was drawn.
    """

    task: Task
    seed: int
    kind: str
    state: Array
    environment_state: Array
    action: Array
    truth: Truth
    frames: dict[str, Array]

    def episode(self, index: int = 0, first_frame: int = 0) -> Episode:
        """The same as an Episode; needs at least one camera."""
        return Episode(
            index=index,
            first_frame=first_frame,
            fps=float(FPS),
            cameras={name: ArrayFrames(pixels) for name, pixels in self.frames.items()},
            instruction=self.task.instructions[0],
            state=self.state,
            environment_state=self.environment_state,
            action=self.action,
            stages=annotated_stages(self.truth),
            success=self.truth.succeeded,
            truth=self.truth,
            kind=self.kind,
        )


class Recorder:
    """Records episodes of one task, one after the other, in one simulator.

    `cameras` may be empty: recording states alone is several times faster. `disturbance` is DART's: noise of that
    standard deviation in metres pushes the hand about while the undisturbed action is recorded, so that whoever
    learns from it has seen how to come back (Laskey et al., DART, 2017, arXiv:1703.09327).
    """

    def __init__(
        self,
        task_id: str,
        cameras: Sequence[str] = ("front",),
        size: int = FRAME_SIZE,
        disturbance: float = DISTURBANCE,
    ):
        self.task = find_task(task_id)
        self._simulator = Simulator(self.task.scene)
        self._cameras = tuple(cameras)
        for camera in self._cameras:
            self._simulator.check_camera(camera)
            self._simulator.frame(camera, size, size)  # a machine that cannot draw says so now
        self._size = size
        self._disturbance = disturbance

    def record(self, seed: int, kind: str = "expert") -> Trajectory:
        """One episode by a demonstrator of that kind, from the layout of that seed.

        Raises UnknownName for an unknown kind, Unsupported where frames cannot be drawn.
        """
        layout = self.task.layout(seed)
        who = demonstrator(kind, self.task, layout)
        noise = np.random.default_rng([seed, 3])
        pushed = np.zeros(4)
        situation = self._simulator.reset(layout)
        situations: list[Situation] = []
        actions: list[Array] = []
        frames: dict[str, list[Array]] = {name: [] for name in self._cameras}
        while len(actions) < MAX_STEPS and not who.finished:
            (x, y, z), grip = who.act(situation, progress(self.task, situation, layout))
            for name, drawn in frames.items():
                drawn.append(self._simulator.frame(name, self._size, self._size))
            situations.append(situation)
            actions.append(np.array([x, y, z, grip]))
            pushed[:3] = _PERSISTENCE * pushed[:3] + noise.normal(0, self._disturbance, 3) * _FRESH
            situation = self._simulator.step(actions[-1] + pushed)
        return Trajectory(
            task=self.task,
            seed=seed,
            kind=kind,
            state=np.stack([proprioception(s) for s in situations]),
            environment_state=np.stack([objects(self.task, s) for s in situations]),
            action=np.stack(actions).astype(np.float32),
            truth=truth(self.task, layout, situations),
            frames={name: np.stack(drawn) for name, drawn in frames.items()},
        )

    def close(self) -> None:
        """Give the drawing context back."""
        self._simulator.close()


def truth(task: Task, layout: Layout, situations: Sequence[Situation]) -> Truth:
    """The truth of each situation of an episode that started from `layout`."""
    return Truth(
        progress=np.array([progress(task, s, layout) for s in situations], dtype=np.float32),
        stage=np.array([task.stage(s) for s in situations], dtype=np.int64),
        success=np.array([task.success(s) for s in situations], dtype=bool),
        stage_names=task.stage_names,
        proportions=task.proportions,
    )


def annotated_stages(truth: Truth) -> tuple[Stage, ...]:
    """What a careful annotator would mark: the true stages, without any stretch shorter than 0.3 s.

    The last stage ends at the frame at which the task is done, or with an episode that fails.
    """
    worked = len(truth.stage)
    if truth.succeeded:
        worked = int(np.flatnonzero(~truth.success)[-1]) + 1
    runs = [(stage, len(list(group))) for stage, group in groupby(truth.stage[:worked].tolist())]
    while len(runs) > 1 and min(length for _, length in runs) < SHORTEST_STAGE:
        shortest = min(range(len(runs)), key=lambda number: runs[number][1])
        neighbour = shortest - 1 if shortest else 1
        runs[neighbour] = (runs[neighbour][0], runs[neighbour][1] + runs[shortest][1])
        del runs[shortest]
        merged = [(stage, list(group)) for stage, group in groupby(runs, key=lambda run: run[0])]
        runs = [(stage, sum(length for _, length in group)) for stage, group in merged]
    ends = np.cumsum([length for _, length in runs]).tolist()
    return tuple(
        Stage(truth.stage_names[stage], end - length, end) for (stage, length), end in zip(runs, ends, strict=True)
    )


def record(task_id: str, seed: int, kind: str = "expert", index: int = 0, first_frame: int = 0) -> Episode:
    """One episode with its front camera, as `Recorder` makes it by default."""
    recorder = Recorder(task_id)
    try:
        return recorder.record(seed, kind).episode(index, first_frame)
    finally:
        recorder.close()
