"""Pairs of trajectories of which one is better, for a preference learned after Bradley and Terry.

The four kinds are Robometer's (arXiv 2603.02115): a clip and the same clip that then runs back; a success and a failure
of the same task, or two attempts that got differently far; a clip under its own instruction and under another; a clip
and itself played backwards. Which side is better is told by what the pictures show, not by the trick that made the
pair: each side is worth the progress label of the picture it ends on, and where neither is known to be worth more there
is no pair. So a failure that lost ground is better rewound, and one that nobody marked teaches nothing of rewinding.

A trajectory is judged by the window it ends with, the only one that an estimator running beside a robot could see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headway.episodes import Array
from headway.learned.method import Lesson
from headway.learned.runs import Run
from headway.learned.windows import PADDING
from headway.learned.wrong_text import Negatives

# Robometer's partial_success gap: attempts that got less far apart than this are not compared.
APART = 0.2


@dataclass(frozen=True, repr=False)
class View:
    """One side of a pair: how a trajectory ends, and under which instruction.

    Attributes:
        lesson: whose frames, a place in the batch.
        window: places in that lesson's run, int64 (1 + history,).
        text: the encoded instruction it is shown with, float32 (dimension,).
        worth: progress in [0, 1] of the picture it ends on, NaN where unknown.
    """

    lesson: int
    window: Array
    text: Array
    worth: float


@dataclass(frozen=True, repr=False)
class Pool:
    """What the pairs of one step are made of.

    Attributes:
        lessons: the batch; their labels hold `progress`, NaN where unknown.
        runs: the frames of each that are encoded in this step.
        negatives: where wrong instructions are drawn from.
        history: frames in a window besides the first.
    """

    lessons: Sequence[Lesson]
    runs: Sequence[Run]
    negatives: Negatives
    history: int

    def last(self, lesson: int) -> int:
        """The last place of a lesson's run."""
        return len(self.runs[lesson].kept) - 1

    def view(self, lesson: int, first: int, places: Array) -> View:
        """The end of the trajectory that starts with place `first` and then shows `places` of the lesson's run."""
        window = np.full(1 + self.history, PADDING, dtype=np.int64)
        shown = places[-self.history :]
        window[0] = first
        window[-len(shown) :] = shown
        progress = self.lessons[lesson].labels["progress"][self.runs[lesson].kept[places[-1]]]
        return View(lesson, window, self.lessons[lesson].clip.text, float(progress))

    def clip(self, lesson: int, last: int) -> View:
        """The end of a lesson's clip, cut after the place `last`."""
        return self.view(lesson, 0, np.arange(1, last + 1))


type Pair = tuple[View, View]
type Kind = Callable[[Pool, int, np.random.Generator], Pair | None]


def draw_pairs(pool: Pool, rngs: Sequence[np.random.Generator | None]) -> list[Pair]:
    """One pair of each kind for each lesson, (better, worse), where there is one; none without a generator."""
    drawn = (
        kind(pool, lesson, rng)
        for lesson, rng in enumerate(rngs)
        if rng is not None
        for kind in (rewound, suboptimal, different_task, reversed_in_time)
    )
    return [pair for pair in drawn if pair is not None]


def rewound(pool: Pool, lesson: int, rng: np.random.Generator) -> Pair | None:
    """A clip that ends at a drawn place, and the same clip that then runs back a drawn way."""
    if pool.last(lesson) < 2:
        return None
    end = int(rng.integers(2, pool.last(lesson) + 1))
    back_to = int(rng.integers(1, end))
    there_and_back = np.concatenate([np.arange(1, end + 1), np.arange(end - 1, back_to - 1, -1)])
    return by_worth(pool.clip(lesson, end), pool.view(lesson, 0, there_and_back))


def suboptimal(pool: Pool, lesson: int, rng: np.random.Generator) -> Pair | None:
    """The whole clip and another of its task: one succeeded and one failed, or they got `APART` differently far."""
    own, task = pool.lessons[lesson], pool.lessons[lesson].clip.task
    others = [other for other in range(len(pool.lessons)) if other != lesson and pool.lessons[other].clip.task == task]
    pairs = []
    for other in others:
        mine, theirs = pool.clip(lesson, pool.last(lesson)), pool.clip(other, pool.last(other))
        if {own.success, pool.lessons[other].success} == {True, False}:
            pairs.append((mine, theirs) if own.success else (theirs, mine))
        elif (pair := by_worth(mine, theirs, APART)) is not None:
            pairs.append(pair)
    return pairs[rng.integers(len(pairs))] if pairs else None


def different_task(pool: Pool, lesson: int, rng: np.random.Generator) -> Pair | None:
    """A clip that ends at a drawn place under its own instruction, and under one of which nothing is done."""
    clip = pool.lessons[lesson].clip
    right = pool.clip(lesson, int(rng.integers(1, pool.last(lesson) + 1)))
    texts, wrong, _ = replace(pool.negatives, share=1.0).draw(clip.instruction, clip.task, 1, rng)
    return by_worth(right, replace(right, text=texts[0], worth=0.0)) if wrong[0] else None


def reversed_in_time(pool: Pool, lesson: int, rng: np.random.Generator) -> Pair | None:
    """A clip that ends at a drawn place, and itself played backwards, which starts there."""
    if pool.last(lesson) < 2:
        return None
    end = int(rng.integers(2, pool.last(lesson) + 1))
    return by_worth(pool.clip(lesson, end), pool.view(lesson, end, np.arange(end, 0, -1)))


def by_worth(one: View, other: View, apart: float = 0.0) -> Pair | None:
    """The one worth more and the one worth less; None when either is unknown, or they are too close."""
    difference = one.worth - other.worth
    if np.isnan(difference) or difference == 0 or abs(difference) < apart:
        return None
    return (one, other) if difference > 0 else (other, one)


def add_views(runs: Sequence[Run], views: Sequence[View]) -> tuple[list[Run], Array]:
    """Show views in the same step as the runs' own windows, so that no frame is encoded twice.

    Returns:
        The runs, each with the windows of its views after its own; and the rows, int64 (windows + views,), at which the
        own windows of all runs, and then the views in their order, stand in what `encode_runs` makes of them.
    """
    shown, own, rows_of_views, offset = [], [], np.empty(len(views), dtype=np.int64), 0
    for number, run in enumerate(runs):
        mine = [place for place, view in enumerate(views) if view.lesson == number]
        windows = np.concatenate([run.windows, *(views[place].window[None] for place in mine)])
        shown.append(replace(run, windows=windows))
        own.append(offset + np.arange(len(run.windows)))
        rows_of_views[mine] = offset + len(run.windows) + np.arange(len(mine))
        offset += len(windows)
    return shown, np.concatenate([*own, rows_of_views])
