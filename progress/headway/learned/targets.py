"""What a stage-aware estimator is taught: stage and within-stage progress of every frame, from stage marks.

SARM (arXiv 2509.25358): with stage k from s_k to e_k, tau_t = (t - s_k) / (e_k - s_k) and

    y_t = P_{k-1} + a_k tau_t,    P_k = a_1 + ... + a_k,    a_k = mean over demonstrations of L_k / T

On purpose beyond the paper: failed attempts are used too when they are marked, marks may fall back to an earlier
stage, and what the marks do not tell (how far a stage got that was never finished, or was fallen back into) is left
unknown instead of being made up. One assumption is made, on the careful side: a stage that was fallen back into and in
which the episode ended without finishing it counts as not begun.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headway.annotation import mean_proportions
from headway.episodes import Array, Episode
from headway.errors import DatasetError, InvalidValue, UnknownName

# An unfinished stage is labelled at the usual pace up to this share of its usual duration, then unknown.
UNFINISHED_SHARE = 0.5


@dataclass(frozen=True)
class StageScale:
    """The stages of a task in order, with how much of the progress scale and how long each takes.

    Attributes:
        names: the stages in order.
        proportions: a_k, (stages,), each above 0, summing to 1.
        seconds: the median duration of each finished stage, (stages,).
    """

    names: tuple[str, ...]
    proportions: tuple[float, ...]
    seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.names or not len(self.names) == len(self.proportions) == len(self.seconds):
            raise InvalidValue(
                f"a scale needs a proportion and a duration for each of its {len(self.names)} stages, got "
                f"{len(self.proportions)} and {len(self.seconds)}"
            )
        if min(self.proportions) < 0 or abs(sum(self.proportions) - 1) > 1e-3 or min(self.seconds) <= 0:
            raise InvalidValue(f"shares must sum to 1 and durations be above 0: {self.proportions}, {self.seconds}")

    @property
    def starts(self) -> Array:
        """P_{k-1} for every stage and, last, for "done": float32 (stages + 1,), from 0 to 1."""
        return np.concatenate([[0.0], np.cumsum(self.proportions)]).astype(np.float32).clip(0, 1)

    @property
    def widths(self) -> Array:
        """a_k for every stage and 0 for "done": float32 (stages + 1,)."""
        return np.append(self.proportions, 0.0).astype(np.float32)

    def progress(self, stage: Array, within: Array) -> Array:
        """y = P_{k-1} + a_k tau for `stage` in 0..stages (the last means done) and `within` in [0, 1]."""
        return self.starts[stage] + self.widths[stage] * within


@dataclass(frozen=True)
class Scales:
    """The scales of all tasks that one estimator knows, as one list of classes: every task's stages, then "done".

    Attributes:
        tasks: one scale a task.
    """

    tasks: tuple[StageScale, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The stages of all tasks, one task after another."""
        return tuple(name for scale in self.tasks for name in scale.names)

    @property
    def done(self) -> int:
        """The class that means done, whatever the task."""
        return len(self.names)

    @property
    def starts(self) -> Array:
        """The progress at which each class starts, float32 (stages + 1,); 1 for "done"."""
        return np.concatenate([*(scale.starts[:-1] for scale in self.tasks), [1.0]]).astype(np.float32)

    @property
    def widths(self) -> Array:
        """How much progress each class takes, float32 (stages + 1,); 0 for "done"."""
        return np.concatenate([*(scale.widths[:-1] for scale in self.tasks), [0.0]]).astype(np.float32)

    def first(self, task: int | Array) -> Array:
        """The class of a task's first stage."""
        counts = [len(scale.names) for scale in self.tasks]
        return np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)[task]

    def stage_of(self, probability: Array) -> Array:
        """The likeliest stage, int64 (frame,), of (frame, stages + 1); where that is "done", a task's last one."""
        last = self.first(np.arange(len(self.tasks))) + [len(scale.names) - 1 for scale in self.tasks]
        likeliest = probability.argmax(axis=1)
        return np.where(likeliest == self.done, last[probability[:, last].argmax(axis=1)], likeliest)

    def classes(self, stage: Array, task: int) -> Array:
        """A task's stages, -1 where unknown and its number of stages for done -> classes, -1 where unknown."""
        numbered = np.where(stage < 0, -1, stage + self.first(task))
        return np.where(stage == len(self.tasks[task].names), self.done, numbered)


@dataclass(frozen=True)
class Targets:
    """The labels of one episode.

    Attributes:
        stage: int64 (time,), 0..stages - 1, `stages` for done, -1 where nobody marked a stage.
        within: float32 (time,), progress within the stage in [0, 1], NaN where unknown.
    """

    stage: Array
    within: Array


def is_complete(episode: Episode, names: Sequence[str]) -> bool:
    """Whether the marks tell of one finished run: every stage once, in order, and nobody called it a failure."""
    marked = tuple(stage.name for stage in episode.stages or ())
    return marked == tuple(names) and episode.success is not False


def fit_scale(episodes: Sequence[Episode], names: Sequence[str]) -> StageScale:
    """Measure the stage proportions a_k on the complete episodes: the mean of each episode's own proportions.

    Raises DatasetError when no episode is complete.
    """
    complete = [episode for episode in episodes if is_complete(episode, names)]
    if not complete:
        raise DatasetError(
            f"none of the {len(episodes)} training episodes is a complete, marked success through the stages "
            f"{', '.join(names)}; SARM measures the scale on those, so mark at least one"
        )
    frames = np.array([[stage.end - stage.start for stage in episode.stages or ()] for episode in complete], float)
    seconds = frames / np.array([[episode.fps] for episode in complete])
    proportions = mean_proportions([episode.stages or () for episode in complete], names)
    return StageScale(tuple(names), proportions, tuple(np.median(seconds, axis=0).tolist()))


def label(episode: Episode, scale: StageScale) -> Targets:
    """The labels of one marked episode. Raises UnknownName for a stage that is not among the task's."""
    time = len(episode)
    stage = np.full(time, -1, dtype=np.int64)
    within = np.full(time, np.nan, dtype=np.float32)
    marks = episode.stages or ()
    numbers = [_number(mark.name, scale, episode) for mark in marks]
    for place, (mark, number) in enumerate(zip(marks, numbers, strict=True)):
        stage[mark.start : mark.end] = number
        fell_back = place > 0 and numbers[place - 1] > number
        last = place == len(marks) - 1
        finished = _succeeded(episode, scale, numbers) if last else numbers[place + 1] > number
        if fell_back and last and not finished:
            within[mark.start : mark.end] = 0.0
        elif not fell_back:
            within[mark.start : mark.end] = _within(
                mark.end - mark.start, finished, scale.seconds[number] * episode.fps
            )
    if marks and _succeeded(episode, scale, numbers):
        # a mark that ends with the video leaves no frame after it, yet its last frame shows the task done
        done = min(marks[-1].end, time - 1)
        stage[done:] = len(scale.names)
        within[done:] = 0.0
    return Targets(stage, within)


def progress_of(targets: Targets, scale: StageScale) -> Array:
    """Progress y = P_{k-1} + a_k tau of labelled frames, float32 (time,), NaN where it is unknown."""
    known = (targets.stage >= 0) & ~np.isnan(targets.within)
    progress = np.full(len(targets.stage), np.nan, dtype=np.float32)
    progress[known] = scale.progress(targets.stage[known], targets.within[known])
    return progress


def _succeeded(episode: Episode, scale: StageScale, numbers: Sequence[int]) -> bool:
    if episode.success is None:
        return is_complete(episode, scale.names)
    return episode.success and numbers[-1] == len(scale.names) - 1


def _within(frames: int, finished: bool, usual: float) -> Array:
    passed = np.arange(frames, dtype=np.float32)
    if finished:
        return passed / frames
    return np.where(passed < UNFINISHED_SHARE * usual, passed / usual, np.nan).astype(np.float32)


def _number(name: str, scale: StageScale, episode: Episode) -> int:
    if name not in scale.names:
        raise UnknownName(f"stage in episode {episode.index}:", name, scale.names, "Stage names must agree")
    return scale.names.index(name)
