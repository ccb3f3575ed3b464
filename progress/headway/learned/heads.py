"""Heads: progress in bins, success of every frame and a preference between trajectories (Robometer, arXiv 2603.02115).

From the window w_t = (first frame, then `history` frames `gap_seconds` apart, ending at t) and the instruction, one
network gives the logits of ten bins with centres c_b = b / 9, the logit of success z_t, and a score s_t. Progress is

    y_t = sum_b p_b c_b,    p = softmax(logits),

with the standard deviation of the same distribution as uncertainty; it has a floor, up to half a bin's width (0.056)
between two centres, since that is how targets are written. A trajectory's score is that of its last window, and is
found at the end of a curve's `raw`. It lies on no scale: only differences mean anything. It is taught by

    L = CE(p, two-hot(y)) - log p(stage) + BCE(z, done) - log sigmoid(s_A - s_B),    A better than B,

whose last term is Bradley and Terry's: it is the same whichever of the two is named first, so pairs are kept as
(better, worse). `heads_pairs` tells how they are made.

What is taught of progress: what stage marks tell, where there are any, including marks of failures; without marks,
successes are taught linear time, (t - first) / (last - first), and failures nothing, as Robometer does. Where marks
tell a frame's stage but not how far it got in it, the bins of that stage together are taught. What is taught
of success: 1 once the task is done (after the last mark, or in the last half second of an unmarked success), 0 in
failures, and in successes only while progress is below a half; between that and done nothing is taught, since where
success begins is uncertain (Robometer's rule). Under an instruction that is not theirs windows have neither progress
nor success.

On purpose: Robometer has a vision-language model of 4 B parameters that sees a whole video at once and a pair of videos
in one prompt; here a small network sees the past only, so the estimate is causal, and the preference is the
difference of two scores, which cannot contradict itself in a circle. Pairs are made within a batch, one of each kind
an episode, where Robometer draws one kind at a time. In validation nothing may be drawn, so no pairs: training stops
by progress and success alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from headway.episodes import Array, Episode
from headway.errors import DatasetError, InvalidValue
from headway.learned.heads_pairs import Pool, add_views, draw_pairs
from headway.learned.heads_windows import redraw
from headway.learned.inputs import InputConfig
from headway.learned.method import Knowledge, Lesson, Step, TaskEpisodes, Term, TrainingConfig, Verdict
from headway.learned.runs import Run, draw_run, encode_runs
from headway.learned.targets import Scales, StageScale, Targets, fit_scale, is_complete, label, progress_of
from headway.learned.true_targets import label_by_truth, true_scale
from headway.learned.trunk import Sizes, Trunk, TrunkConfig
from headway.learned.windows import rewind

BINS = 10
# An unmarked success is taken to be done in its last seconds, and any success to be not done before this progress.
DONE_SECONDS = 0.5
SURELY_NOT_DONE = 0.5
# RynnValue shuffles half of its sets of frames; the other half keeps the windows that estimators are asked about.
REDRAWN = 0.5

type Sampling = Literal["strided", "random", "shuffled"]


class Head(nn.Sequential):
    """Robometer's: d -> d/2 -> LayerNorm -> GELU -> dropout -> outputs."""

    def __init__(self, width: int, outputs: int, dropout: float):
        half = width // 2
        super().__init__(
            nn.Linear(width, half), nn.LayerNorm(half), nn.GELU(), nn.Dropout(dropout), nn.Linear(half, outputs)
        )


class HeadsNetwork(Trunk):
    """The trunk with three heads."""

    def __init__(self, sizes: Sizes, config: TrunkConfig):
        super().__init__(sizes, config)
        self.progress = Head(config.width, BINS, config.dropout)
        self.success = Head(config.width, 1, config.dropout)
        self.preference = Head(config.width, 1, config.dropout)

    def encode(self, frames: Tensor, state: Tensor | None) -> Tensor:
        return self.tower(frames, state)

    def judge(self, windows: Tensor, padding: Tensor, text: Tensor) -> dict[str, Tensor]:
        """`progress` (window, bins) and `success` (window,) are logits, `preference` (window,) is a score."""
        present = self(windows, padding, text)
        return {
            "progress": self.progress(present),
            "success": self.success(present)[:, 0],
            "preference": self.preference(present)[:, 0],
        }


@dataclass(frozen=True)
class Heads:
    """How to train the three heads.

    Attributes:
        inputs: what it is shown.
        training: how it is trained.
        rewind: share of windows that run forward and then back.
        wrong_text: share of windows shown with another instruction.
        sampling: the history of the windows in training: `strided` is the regular one that the estimator is asked
            about; with `random` half of the windows get frames drawn from all of their past, in order of time, with
            `shuffled` in any order. See `heads_windows`.
        trunk: how large the network is.
        teacher: `marks` and success labels of an annotator, or the simulator's `truth`, which no user has.
    """

    inputs: InputConfig
    training: TrainingConfig = field(default_factory=TrainingConfig)
    rewind: float = 0.4
    wrong_text: float = 0.1
    sampling: Sampling = "strided"
    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    teacher: Literal["marks", "truth"] = "marks"
    name: str = "heads"
    needs_map: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.sampling not in ("strided", "random", "shuffled"):
            raise InvalidValue(f"sampling must be strided, random or shuffled, got {self.sampling!r}")

    def study(self, tasks: Sequence[TaskEpisodes]) -> Knowledge:
        """The scale of each task where every task has a complete, marked success; otherwise time is the scale.

        Raises DatasetError when no episode carries a success label or a usable mark.
        """
        if self.teacher == "truth":
            return Knowledge(Scales(tuple(true_scale(task.episodes) for task in tasks)))
        if all(any(is_complete(e, task.stages) for e in task.episodes) if task.stages else False for task in tasks):
            return Knowledge(Scales(tuple(fit_scale(task.episodes, task.stages or ()) for task in tasks)))
        if all(episode.success is None for task in tasks for episode in task.episodes):
            raise DatasetError(
                "heads learn from success labels or from stage marks of complete runs, and the datasets carry neither; "
                "label which episodes succeeded, or train vip, which needs no labels"
            )
        return Knowledge()

    def label(self, episode: Episode, task: int, knowledge: Knowledge) -> Mapping[str, Array] | None:
        """`progress`, `floor` and `ceiling` in [0, 1] and `done` 0 or 1, each float32 (time,), NaN where not taught."""
        if knowledge.scales is not None and (self.teacher == "truth" or episode.stages):
            scale = knowledge.scales.tasks[task]
            targets = label_by_truth(episode, scale) if self.teacher == "truth" else label(episode, scale)
            progress, finished = progress_of(targets, scale), targets.stage == len(scale.names)
            floor, ceiling = _bounds(targets, scale)
        else:
            progress, finished = _by_time(episode)
            floor, ceiling = np.full((2, len(episode)), np.nan)
        done = np.where(progress < SURELY_NOT_DONE, 0.0, np.nan)
        if episode.success is False:
            done[:] = 0.0
        done[finished] = 1.0
        labels = {"progress": progress, "done": done, "floor": floor, "ceiling": ceiling}
        if all(np.isnan(part).all() for part in labels.values()):
            return None
        return {name: part.astype(np.float32) for name, part in labels.items()}

    def network(self, sizes: Sizes, knowledge: Knowledge) -> HeadsNetwork:
        return HeadsNetwork(sizes, self.trunk)

    def draw(self, lesson: Lesson, rng: np.random.Generator | None) -> Run:
        run = draw_run(lesson.clip, self.inputs.history, rng)
        if rng is None:
            return run
        windows = rewind(run.windows, self.rewind, rng)
        if self.sampling != "strided":
            windows = redraw(windows, REDRAWN, self.sampling == "random", rng)
        return replace(run, windows=windows)

    def terms(self, network: HeadsNetwork, step: Step) -> dict[str, Term]:
        """Frames with unknown labels enter no term that needs them, padding nothing."""
        runs: Sequence[Run] = step.drawn
        taught = [
            _teach(lesson, run, rng, step) for lesson, run, rng in zip(step.lessons, runs, step.rngs, strict=True)
        ]
        joined = {name: np.concatenate([labels[name] for labels in taught]) for name in taught[0]}
        pairs = draw_pairs(Pool(step.lessons, runs, step.negatives, self.inputs.history), step.rngs)
        views = [view for pair in pairs for view in pair]
        shown, rows = add_views(runs, views)
        windows, padding = encode_runs(network, shown, step.rngs, step.device, self.training.plain)
        put = partial(torch.as_tensor, device=step.device)
        text = put(np.concatenate([joined["text"], *(view.text[None] for view in views)]))
        outputs = network.judge(windows[put(rows)], padding[put(rows)], text)
        own = len(joined["progress"])
        return {
            "progress": progress_term(outputs["progress"][:own], put(joined["progress"])),
            "stage": stage_term(outputs["progress"][:own], put(joined["floor"]), put(joined["ceiling"])),
            "success": success_term(outputs["success"][:own], put(joined["done"])),
            "preference": preference_term(outputs["preference"][own::2], outputs["preference"][own + 1 :: 2]),
        }

    def finish(self, network: HeadsNetwork, lessons: Sequence[Lesson], device: torch.device) -> None:
        """Nothing is left to do."""

    def read(self, outputs: Mapping[str, Array], knowledge: Knowledge) -> Verdict:
        probability = torch.softmax(torch.as_tensor(outputs["progress"]), dim=1).numpy()
        centres = np.linspace(0, 1, BINS, dtype=np.float32)
        mean = probability @ centres
        spread = np.sqrt((probability * (centres - mean[:, None]) ** 2).sum(axis=1))
        return Verdict(outputs["preference"], mean, success_logit=outputs["success"], uncertainty=spread)


def two_hot(progress: Tensor) -> Tensor:
    """Spread progress (window,) in [0, 1] over the two nearest bin centres so that the mean is kept: (window, bins)."""
    place = progress * (BINS - 1)
    lower = place.floor().clamp(0, BINS - 2)
    spread = torch.zeros(*progress.shape, BINS, dtype=progress.dtype, device=progress.device)
    spread.scatter_(-1, lower.long()[..., None], (lower + 1 - place)[..., None])
    return spread.scatter_(-1, lower.long()[..., None] + 1, (place - lower)[..., None])


def progress_term(logits: Tensor, progress: Tensor) -> Term:
    """Cross-entropy of logits (window, bins) against two-hot progress (window,), NaN where unknown."""
    known = ~torch.isnan(progress)
    entropy = nn.functional.cross_entropy(logits[known].float(), two_hot(progress[known]), reduction="sum")
    return Term(entropy, int(known.sum()))


def stage_term(logits: Tensor, floor: Tensor, ceiling: Tensor) -> Term:
    """-log of the probability that logits (window, bins) give to progress from `floor` to `ceiling` (window,).

    A bin counts when its centre lies between them or within half a bin's width of one. NaN where nothing is known.
    """
    known = ~torch.isnan(floor)
    centres = torch.linspace(0, 1, BINS, device=logits.device)
    half = 0.5 / (BINS - 1) + 1e-6
    within = (centres >= floor[known, None] - half) & (centres <= ceiling[known, None] + half)
    logarithms = logits[known].float().log_softmax(dim=1).masked_fill(~within, -torch.inf)
    return Term(-logarithms.logsumexp(dim=1).sum(), int(known.sum()))


def success_term(logits: Tensor, done: Tensor) -> Term:
    """Binary cross-entropy of logits (window,) against `done` (window,), 0 or 1, NaN where unknown."""
    known = ~torch.isnan(done)
    entropy = nn.functional.binary_cross_entropy_with_logits(logits[known].float(), done[known], reduction="sum")
    return Term(entropy, int(known.sum()))


def preference_term(better: Tensor, worse: Tensor) -> Term:
    """Bradley and Terry's -log sigmoid(s_better - s_worse) of scores (pair,)."""
    return Term(nn.functional.softplus((worse - better).float()).sum(), len(better))


def _bounds(targets: Targets, scale: StageScale) -> tuple[Array, Array]:
    """The progress at which a frame's stage begins and ends, (time,), where no more than the stage is known."""
    only_stage = (targets.stage >= 0) & np.isnan(targets.within)
    stage = targets.stage.clip(min=0)
    floor = np.where(only_stage, scale.starts[stage], np.nan)
    return floor, floor + scale.widths[stage]


def _by_time(episode: Episode) -> tuple[Array, Array]:
    """Of an episode without marks: progress (time,), NaN unless it succeeded, and where it is done, bool (time,)."""
    time = len(episode)
    if not episode.success:
        return np.full(time, np.nan), np.zeros(time, dtype=bool)
    finished = np.arange(time) >= time - max(1, round(DONE_SECONDS * episode.fps))
    return np.linspace(0, 1, time), finished


def _teach(lesson: Lesson, run: Run, rng: np.random.Generator | None, step: Step) -> dict[str, Array]:
    """The labels of a run's windows and the text each is shown with; with a wrong one nothing is done."""
    labels = {name: part[run.present] for name, part in lesson.labels.items()}
    windows, clip = len(run.windows), lesson.clip
    if rng is None:
        return labels | {"text": np.repeat(clip.text[None], windows, axis=0)}
    texts, wrong, _ = step.negatives.draw(clip.instruction, clip.task, windows, rng)
    return {name: np.where(wrong, np.float32(0), part) for name, part in labels.items()} | {"text": texts}
