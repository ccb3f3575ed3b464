"""What a task is: a scene, layouts, an instruction, and the truth about any situation in it.

The truth is a function of the situation alone, never of time, of what happened before or of who acts:

    stage     the first stage whose predicate is not met
    fraction  f = 1 - remaining / reference, remaining = metres of travel still to go within the stage, for the hand
              (the way to what it has to touch included), for the fingers and for the drawer; reference = the same
              in the layout's own situation at the start of that stage
    progress  P_{k-1} + a_k f, with proportions a_k from the median durations of the expert's stages, P their sum
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from headway.episodes import Array
from headway_envs.motion import Point

Action = tuple[Point, float]
"""The hand's target in metres, and its grip from -1 (closed) to 1 (open)."""


@dataclass(frozen=True)
class Situation:
    """Where things are at one moment; all that truth and experts may look at.

    Attributes:
        hand: the point between the finger tips, metres.
        opening: between the fingers, metres.
        cubes: the middle of each cube, metres; which cube is which is the task's matter.
        drawer: how far the drawer is out, metres; 0 where there is none.
    """

    hand: Point
    opening: float
    cubes: tuple[Point, ...]
    drawer: float = 0.0

    def with_cube(self, number: int, place: Point) -> "Situation":
        """The same situation with one cube elsewhere."""
        cubes = (*self.cubes[:number], place, *self.cubes[number + 1 :])
        return replace(self, cubes=cubes)


@dataclass(frozen=True)
class Layout(Situation):
    """The situation an episode starts from, and the seed it was drawn with."""

    seed: int = 0


class Task(Protocol):
    """One task.

    Attributes:
        id: as a user writes it (`tidy-drawer`).
        version: changes whenever scene, layouts, truth or expert do: recordings of two versions do not compare.
        scene: file of the MJCF.
        instructions: what to say to the robot; the first is the usual one, the others are paraphrases.
        stage_names: in order.
        proportions: share of the progress scale that each stage takes; sums to 1.
        cubes: what the cubes are called, in the order of `Situation.cubes`.
        has_drawer: whether the observation has the drawer's travel.
        to_place: numbers of the cubes that have to be placed, in order.
        confusable: two cubes that somebody careless takes for each other.
    """

    id: str
    version: int
    scene: str
    instructions: tuple[str, ...]
    stage_names: tuple[str, ...]
    proportions: tuple[float, ...]
    cubes: tuple[str, ...]
    has_drawer: bool
    to_place: tuple[int, ...]
    confusable: tuple[int, int]

    def layout(self, seed: int) -> Layout:
        """The layout of a seed: always the same one."""
        ...

    def success(self, situation: Situation) -> bool:
        """Whether the task is done."""
        ...

    def stage(self, situation: Situation) -> int:
        """The first stage that is not finished; the last one when the task is done."""
        ...

    def remaining(self, stage: int, situation: Situation) -> float:
        """Metres of travel still to go within `stage`."""
        ...

    def canonical(self, stage: int, layout: Layout) -> Situation:
        """The situation in which `stage` starts when all went well from `layout` on."""
        ...

    def place(self, situation: Situation, cube: int) -> Point:
        """Where the expert puts that cube."""
        ...

    def near_miss(self, random: np.random.Generator) -> Point:
        """A displacement in metres that makes the expert place a cube just beside its place."""
        ...

    def act(self, situation: Situation, offset: Point = (0.0, 0.0, 0.0)) -> Action:
        """The expert: a function of the situation alone. `offset` displaces the places where it puts cubes."""
        ...


def fraction(task: Task, situation: Situation, layout: Layout) -> float:
    """How much of the present stage is done, in [0, 1]."""
    stage = task.stage(situation)
    reference = task.remaining(stage, task.canonical(stage, layout))
    return min(1.0, max(0.0, 1 - task.remaining(stage, situation) / reference))


def progress(task: Task, situation: Situation, layout: Layout) -> float:
    """True progress in [0, 1]; exactly 1 when the task is done, and only then."""
    if task.success(situation):
        return 1.0
    stage = task.stage(situation)
    done = sum(task.proportions[:stage]) + task.proportions[stage] * fraction(task, situation, layout)
    return min(done, 0.999)


def scattered(
    random: np.random.Generator, low: tuple[float, float], high: tuple[float, float], count: int, apart: float
) -> Array:
    """`count` points (count, 2) in a rectangle, at least `apart` metres from each other, in metres."""
    while True:
        points = random.uniform(low, high, size=(count, 2))
        gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(count, 1)]
        if (gaps >= apart).all():
            return points
