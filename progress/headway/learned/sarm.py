"""SARM: progress from the stage of the task and how far along within it (arXiv 2509.25358).

From the window w_t = (first frame, then `history` frames `gap_seconds` apart, ending at t) and the instruction, one
network gives stage probabilities p_k and within-stage progress tau_k. The paper decodes the most likely stage,
y_t = P_{k*-1} + a_{k*} tau_{k*}; that is kept as `raw`. On purpose we report the expectation,

    y_t = sum_k p_k (P_{k-1} + a_k tau_k),

which does not jump at a boundary, with its standard deviation as the uncertainty. It is taught by

    L = CE(p, k) + 4 (tau_k - tau)^2,

over every window of a strided run, of which a share runs forward and then back (rewind), and a share is shown with an
instruction that is not theirs, whose progress is 0. Dense marks, where there are any, teach a second pair of heads.

Also on purpose: one class more than there are stages, "done", whose probability is the success probability; a
within-stage output for each stage instead of one conditioned on the stage; failed attempts are learned from when they
are marked; by default one small network trained from scratch with its frame encoder, where the paper has two of
width 768 and 8 layers on frozen CLIP features (`encoder` and `trunk` make it so). Several tasks share one
network: the classes are the stages of all of them. Windows look backward only, so the estimate is causal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from headway.episodes import Array, Episode
from headway.errors import DatasetError
from headway.learned.inputs import InputConfig
from headway.learned.method import Knowledge, Lesson, Step, TaskEpisodes, Term, TrainingConfig, Verdict
from headway.learned.runs import Run, draw_run, encode_runs
from headway.learned.targets import Scales, Targets, fit_scale, label
from headway.learned.true_targets import label_by_truth, true_scale
from headway.learned.trunk import Sizes, Trunk, TrunkConfig
from headway.learned.windows import rewind

WITHIN_WEIGHT = 4.0


class StageHeads(nn.Module):
    """Which stage a window ends in, and how far along within each: (window, width) -> two outputs."""

    def __init__(self, width: int, stages: int):
        super().__init__()
        self.stage = nn.Linear(width, stages + 1)
        self.within = nn.Linear(width, stages)

    def forward(self, present: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (window, stages + 1), the last of which means done, and progress within each stage, in [0, 1]."""
        return self.stage(present), torch.sigmoid(self.within(present))


class SarmNetwork(Trunk):
    """The trunk with sparse and, where there are dense marks, dense heads."""

    def __init__(self, sizes: Sizes, config: TrunkConfig, stages: int, dense_stages: int = 0):
        super().__init__(sizes, config)
        self.sparse = StageHeads(config.width, stages)
        self.dense = StageHeads(config.width, dense_stages) if dense_stages else None

    def encode(self, frames: Tensor, state: Tensor | None) -> Tensor:
        return self.tower(frames, state)

    def judge(self, windows: Tensor, padding: Tensor, text: Tensor) -> dict[str, Tensor]:
        present = self(windows, padding, text)
        outputs = dict(zip(("stage", "within"), self.sparse(present), strict=True))
        if self.dense is not None:
            outputs |= dict(zip(("dense_stage", "dense_within"), self.dense(present), strict=True))
        return outputs


@dataclass(frozen=True)
class Sarm:
    """How to train a SARM.

    Attributes:
        inputs: what it is shown.
        training: how it is trained.
        rewind: share of windows that run forward and then back.
        wrong_text: share of windows shown with another instruction.
        trunk: how large the network is.
        teacher: `marks` of an annotator, or the simulator's `truth`, an upper bound that no user has.
    """

    inputs: InputConfig
    training: TrainingConfig = TrainingConfig()
    rewind: float = 0.4
    wrong_text: float = 0.1
    trunk: TrunkConfig = TrunkConfig()
    teacher: Literal["marks", "truth"] = "marks"
    name: str = "sarm"
    needs_map: ClassVar[bool] = False

    def study(self, tasks: Sequence[TaskEpisodes]) -> Knowledge:
        """The scale of each task, measured on its complete, marked successes. Raises DatasetError."""
        if self.teacher == "truth":
            return Knowledge(Scales(tuple(true_scale(task.episodes) for task in tasks)))
        for task in tasks:
            if not task.stages:
                raise DatasetError(
                    "SARM learns from stage marks, and a dataset carries none; add sparse_subtask_* columns (LeRobot) "
                    "or a `stages` column in episodes.csv (videos), or train vip, which needs no labels"
                )
        scales = Scales(tuple(fit_scale(task.episodes, task.stages or ()) for task in tasks))
        if not all(task.dense_stages for task in tasks):
            return Knowledge(scales)
        dense = tuple(fit_scale(_densely(task.episodes), task.dense_stages or ()) for task in tasks)
        return Knowledge(scales, Scales(dense))

    def label(self, episode: Episode, task: int, knowledge: Knowledge) -> Mapping[str, Array] | None:
        assert knowledge.scales is not None
        teach = label_by_truth if self.teacher == "truth" else label
        if self.teacher == "marks" and not episode.stages:
            return None
        labels = _labels(teach(episode, knowledge.scales.tasks[task]), knowledge.scales, task)
        if knowledge.dense is not None:
            (dense,) = _densely([episode])
            found = label(dense, knowledge.dense.tasks[task])
            labels |= {f"dense_{name}": part for name, part in _labels(found, knowledge.dense, task).items()}
        return labels

    def network(self, sizes: Sizes, knowledge: Knowledge) -> SarmNetwork:
        assert knowledge.scales is not None
        return SarmNetwork(sizes, self.trunk, knowledge.scales.done, knowledge.dense.done if knowledge.dense else 0)

    def draw(self, lesson: Lesson, rng: np.random.Generator | None) -> Run:
        run = draw_run(lesson.clip, self.inputs.history, rng)
        return run if rng is None else replace(run, windows=rewind(run.windows, self.rewind, rng))

    def terms(self, network: SarmNetwork, step: Step) -> dict[str, Term]:
        """Frames without a mark enter no term, frames with unknown progress not the second, padding nothing."""
        windows, padding = encode_runs(network, step.drawn, step.rngs, step.device, self.training.plain)
        taught = [
            _teach(lesson, run, rng, step) for lesson, run, rng in zip(step.lessons, step.drawn, step.rngs, strict=True)
        ]
        joined = {name: np.concatenate([labels[name] for labels in taught]) for name in taught[0]}
        put = partial(torch.as_tensor, device=step.device)
        outputs = network.judge(windows, padding, put(joined["text"]))
        terms: dict[str, Term] = {}
        for kind in ("", "dense_") if network.dense is not None else ("",):
            stage, within = put(joined[f"{kind}stage"]), put(joined[f"{kind}within"])
            terms |= stage_terms(kind, outputs[f"{kind}stage"], outputs[f"{kind}within"], stage, within)
        return terms

    def finish(self, network: SarmNetwork, lessons: Sequence[Lesson], device: torch.device) -> None:
        """Nothing is left to do."""

    def read(self, outputs: Mapping[str, Array], knowledge: Knowledge) -> Verdict:
        assert knowledge.scales is not None
        probability = softmax(outputs["stage"])
        by_stage = progress_by_stage(outputs["within"], knowledge.scales)
        mean = (probability * by_stage).sum(axis=1)
        likeliest = np.take_along_axis(by_stage, probability.argmax(axis=1)[:, None], axis=1)[:, 0]
        dense = None
        if knowledge.dense is not None:
            dense_by_stage = progress_by_stage(outputs["dense_within"], knowledge.dense)
            dense = (softmax(outputs["dense_stage"]) * dense_by_stage).sum(axis=1)
        done = np.logaddexp.reduce(outputs["stage"][:, :-1], axis=1)
        return Verdict(
            raw=likeliest,
            progress=mean,
            success_logit=outputs["stage"][:, -1] - done,
            stage_probability=probability,
            uncertainty=np.sqrt((probability * (by_stage - mean[:, None]) ** 2).sum(axis=1)),
            dense=dense,
        )


def stage_terms(kind: str, logits: Tensor, within_all: Tensor, stage: Tensor, within: Tensor) -> dict[str, Term]:
    """Both terms of predictions (window, ...) for stage (window,), -1 unknown, and within (window,), NaN unknown."""
    entropy = nn.functional.cross_entropy(logits, stage, ignore_index=-1, reduction="sum")
    known = ~torch.isnan(within) & (stage >= 0) & (stage < within_all.shape[1])
    predicted = within_all[known].gather(1, stage[known, None])[:, 0]
    squared = ((predicted - within[known]) ** 2).sum()
    return {
        f"{kind}stage": Term(entropy, int((stage >= 0).sum())),
        f"{kind}within": Term(squared, int(known.sum()), WITHIN_WEIGHT),
    }


def progress_by_stage(within: Array, scales: Scales) -> Array:
    """The progress each class would mean, (frame, stages + 1), for `within` (frame, stages)."""
    every = np.concatenate([within, np.zeros((len(within), 1), np.float32)], axis=1)
    return scales.starts + scales.widths * every


def softmax(logits: Array) -> Array:
    """Probabilities of logits (frame, classes)."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _densely(episodes: Sequence[Episode]) -> list[Episode]:
    """The same episodes with their dense marks in place of the sparse ones."""
    return [replace(episode, stages=episode.dense_stages) for episode in episodes]


def _labels(targets: Targets, scales: Scales, task: int) -> dict[str, Array]:
    return {"stage": scales.classes(targets.stage, task), "within": targets.within}


def _teach(lesson: Lesson, run: Run, rng: np.random.Generator | None, step: Step) -> dict[str, Array]:
    """The labels of a run's windows and the text each is shown with; with a wrong one, nothing is done yet."""
    labels = {name: part[run.present] for name, part in lesson.labels.items()}
    windows, clip = len(run.windows), lesson.clip
    if rng is None:
        return labels | {"text": np.repeat(clip.text[None], windows, axis=0)}
    texts, wrong, tasks = step.negatives.draw(clip.instruction, clip.task, windows, rng)
    for kind, scales in (("", step.knowledge.scales), ("dense_", step.knowledge.dense)):
        if scales is not None:
            labels[f"{kind}stage"] = np.where(wrong, scales.first(tasks), labels[f"{kind}stage"])
            labels[f"{kind}within"] = np.where(wrong, np.float32(0), labels[f"{kind}within"])
    return labels | {"text": texts}
