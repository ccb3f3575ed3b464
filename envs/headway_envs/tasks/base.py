"""What a task is: a scene, layouts, an instruction, and the truth about any situation in it.

The truth is a function of the situation alone, never of time, of what happened before or of who acts:

    stage     the first stage whose predicate is not met
    fraction  f = 1 - remaining / reference, remaining = metres of travel still to go within the stage, for the hand
              (the way to what it has to touch included), for the fingers and for the drawer; reference = the same
              in the layout's own situation at the start of that stage
    progress  P_{k-1} + a_k f, with proportions a_k from the median durations of the expert's stages, P their sum
"""

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from headway.episodes import Array
from headway_envs.motion import Point, Wish

CUBE = 0.05
"""Edge of a cube in metres, unless a variation makes it larger or smaller."""


@dataclass(frozen=True)
class Situation:
    """Where things are at one moment; all that truth and experts may look at.

    Attributes:
        hand: the point between the finger tips, metres.
        opening: between the fingers, metres.
        objects: the middle of each thing, metres; which is which is the task's matter.
        upright: for each thing the cosine of its tilt, 1 when it stands as it started.
        travel: how far each sliding part is out, or pressed in, metres.
        count: what happened so far, for tasks in which something is to be repeated; 0 in the others.
        edge: of a cube, metres.
        variant: which of the task's goals the instruction asks for; 0 where there is one.
    """

    hand: Point
    opening: float
    objects: tuple[Point, ...]
    upright: tuple[float, ...] = ()
    travel: tuple[float, ...] = ()
    count: int = 0
    edge: float = CUBE
    variant: int = 0

    def with_object(self, number: int, place: Point) -> Self:
        """The same situation with one thing elsewhere."""
        return replace(self, objects=(*self.objects[:number], place, *self.objects[number + 1 :]))


@dataclass(frozen=True)
class Layout(Situation):
    """The situation an episode starts from, and the seed it was drawn with."""

    seed: int = 0


class Task(Protocol):
    """One task.

    Attributes:
        id: as a user writes it (`tidy-drawer`).
        version: changes whenever scene, layouts, truth or expert do: recordings of two versions do not compare.
        scene: what is on the table, a file of `scenes/` without its `.xml`.
        instructions: what to say to the robot; the first is the usual one, the others are paraphrases.
        stage_names: in order.
        proportions: share of the progress scale that each stage takes; sums to 1.
        objects: what the things are called, in the order of `Situation.objects`.
        slides: what the sliding parts are called, in the order of `Situation.travel`.
        counts: whether `Situation.count` matters.
        variants: how many goals there are among which the instruction decides.
        to_place: numbers of the things that the hand has to carry somewhere, in order.
        confusable: two things that somebody careless takes for each other; None where there is no such pair.
    """

    id: str
    version: int
    scene: str
    instructions: tuple[str, ...]
    stage_names: tuple[str, ...]
    proportions: tuple[float, ...]
    objects: tuple[str, ...]
    slides: tuple[str, ...] = ()
    counts: bool = False
    variants: int = 1
    to_place: tuple[int, ...] = ()
    confusable: tuple[int, int] | None = None

    def phrases(self, situation: Situation) -> tuple[str, ...]:
        """What to say to the robot here: the usual instruction, then paraphrases."""
        return self.instructions

    def layout(self, seed: int, edge: float = CUBE) -> Layout:
        """The layout of a seed, with cubes of that edge in metres: always the same one."""
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

    def counted(self, situation: Situation, offset: Point = (0.0, 0.0, 0.0)) -> int:
        """The count once this situation is seen: the simulator asks at every step, and keeps the answer. `offset`:
        what somebody who misjudges the place by so much counts."""
        return situation.count

    def place(self, situation: Situation, number: int) -> Point:
        """Where the expert puts that thing."""
        ...

    def near_miss(self, random: np.random.Generator) -> Point:
        """A displacement in metres that makes the expert place a thing just beside its place."""
        ...

    def act(self, situation: Situation, offset: Point = (0.0, 0.0, 0.0)) -> Wish:
        """The expert: a function of the situation alone. `offset` displaces the places where it puts things."""
        ...

    def undo(self, situation: Situation, layout: Layout) -> Wish | None:
        """The expert's opposite, a function of the situation too: brings things back, one after the other, to where
        they are in `layout`; None when all are. Unless overridden, for `to_place` alone, the last thing first."""
        from headway_envs.tasks.grasping import take_back  # which needs Situation from here

        return take_back(situation, layout, self.to_place)


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
