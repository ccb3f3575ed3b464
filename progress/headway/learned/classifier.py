"""A success classifier: is the task done, from one frame and the instruction (as in RoboFuME, arXiv 2310.15145).

It learns from success labels alone. The last half second of a success shows the task done (from the end of the last
stage mark on, where there are marks and frames after them), its first half does not, and no frame of a failure does;
what lies between is not learned from. Done frames shown with an instruction that is not theirs are not done either.
With balanced classes, whose errors weigh the same however many frames they have,

    L = BCE over done frames + 1/2 BCE over frames not done + 1/2 BCE over done frames with a wrong instruction.

On purpose unlike RoboFuME, which fine-tunes a vision-language model and asks it: a small network, trained from scratch
with its frame encoder unless a frozen one is named. Progress is the probability that the task is done. It lies on no
scale of the task: it stays low until the end, and half of it does not mean half way. A failure in which the task was
done for a while and then undone is learned as not done throughout, which lowers the probability of done frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn

from headway.episodes import Array, Episode
from headway.errors import DatasetError, InvalidValue
from headway.learned.inputs import InputConfig
from headway.learned.method import Knowledge, Lesson, Step, TaskEpisodes, Term, TrainingConfig, Verdict
from headway.learned.runs import Run, encode_runs, read_run
from headway.learned.trunk import Sizes, Tower

DONE_SECONDS = 0.5


class ClassifierNetwork(nn.Module):
    """A tower, and two layers over the present frame and the instruction: one logit."""

    def __init__(self, sizes: Sizes, width: int):
        super().__init__()
        self.tower = Tower(sizes, width)
        # of the size of the frame's feature, or the instruction would go unnoticed
        self.text = nn.Sequential(nn.Linear(sizes.text_dim, width), nn.LayerNorm(width))
        self.head = nn.Sequential(
            nn.LayerNorm(2 * width), nn.Linear(2 * width, width), nn.GELU(), nn.Dropout(0.1), nn.Linear(width, 1)
        )

    def encode(self, frames: Tensor, state: Tensor | None) -> Tensor:
        return self.tower(frames, state)

    def judge(self, windows: Tensor, padding: Tensor, text: Tensor) -> dict[str, Tensor]:
        return {"logit": self.head(torch.cat([windows[:, -1], self.text(text)], dim=1))[:, 0]}


@dataclass(frozen=True)
class Classifier:
    """How to train a success classifier.

    Attributes:
        inputs: what it is shown; of a window only the present frame.
        training: how it is trained.
        frames: of each episode and each class, this many are drawn in a step.
        wrong_text: share of frames shown with another instruction.
        width: of features.
    """

    inputs: InputConfig
    training: TrainingConfig = TrainingConfig()
    frames: int = 6
    wrong_text: float = 0.3
    width: int = 128
    name: str = "classifier"
    needs_map: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("frames", "width"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name} must be at least 1, got {getattr(self, name)}")
        # a longer window would have frames encoded that nothing looks at
        object.__setattr__(self, "inputs", replace(self.inputs, history=1))

    def study(self, tasks: Sequence[TaskEpisodes]) -> Knowledge:
        """Nothing is measured. Raises DatasetError when no episode is labelled a success."""
        episodes = [episode for task in tasks for episode in task.episodes]
        if not any(episode.success for episode in episodes):
            raise DatasetError(
                f"a classifier learns from success labels, and none of the {len(episodes)} training episodes is "
                "labelled a success; label some, or train vip, which needs no labels"
            )
        return Knowledge()

    def label(self, episode: Episode, task: int, knowledge: Knowledge) -> Mapping[str, Array] | None:
        """`done`, float32 (time,): 1, 0, or NaN where nobody knows."""
        if episode.success is None:
            return None
        time = len(episode)
        done = np.zeros(time, dtype=np.float32)
        if episode.success:
            marked = episode.stages[-1].end if episode.stages else time
            usual = max(0, time - max(1, round(DONE_SECONDS * episode.fps)))
            begin = marked if marked < time else usual
            done[time // 2 :] = np.nan
            done[begin:] = 1
        return {"done": done}

    def network(self, sizes: Sizes, knowledge: Knowledge) -> ClassifierNetwork:
        return ClassifierNetwork(sizes, self.width)

    def draw(self, lesson: Lesson, rng: np.random.Generator | None) -> Run:
        """Frames of both classes; each is the present of one window."""
        done, other = (np.flatnonzero(lesson.labels["done"] == value) for value in (1, 0))
        if rng is None:
            chosen = np.concatenate([done, other[:: lesson.clip.gap]])
        else:
            chosen = np.concatenate([rng.permutation(frames)[: self.frames] for frames in (done, other)])
        places = np.arange(len(chosen))
        return read_run(lesson.clip, chosen, np.stack([places, places], axis=1))

    def terms(self, network: ClassifierNetwork, step: Step) -> dict[str, Term]:
        """In validation, all done frames and every gap-th other one are judged, and the right instruction is shown."""
        drawn: Sequence[Run] = step.drawn
        windows, padding = encode_runs(network, drawn, step.rngs, step.device, self.training.plain)
        done = np.concatenate([of.labels["done"][run.present] for of, run in zip(step.lessons, drawn, strict=True)])
        texts, wrong = zip(
            *(
                _texts(lesson, len(run.windows), rng, step)
                for lesson, run, rng in zip(step.lessons, drawn, step.rngs, strict=True)
            ),
            strict=True,
        )
        logits = network.judge(windows, padding, torch.as_tensor(np.concatenate(texts), device=step.device))["logit"]
        is_done, is_wrong = done == 1, np.concatenate(wrong)
        return {
            "done": entropy(logits, is_done & ~is_wrong, 1.0, 1.0),
            "not_done": entropy(logits, ~is_done, 0.0, 0.5),
            "wrong_text": entropy(logits, is_done & is_wrong, 0.0, 0.5),
        }

    def finish(self, network: ClassifierNetwork, lessons: Sequence[Lesson], device: torch.device) -> None:
        """Nothing is left to do."""

    def read(self, outputs: Mapping[str, Array], knowledge: Knowledge) -> Verdict:
        logit = outputs["logit"]
        return Verdict(raw=logit, progress=expit(logit), success_logit=logit)


def entropy(logits: Tensor, chosen: Array, target: float, weight: float) -> Term:
    """The binary cross-entropy of the `chosen` windows, bool (window,), which are all of one class."""
    found = logits[torch.as_tensor(chosen, device=logits.device)]
    total = nn.functional.binary_cross_entropy_with_logits(found, torch.full_like(found, target), reduction="sum")
    return Term(total, int(chosen.sum()), weight)


def _texts(lesson: Lesson, windows: int, rng: np.random.Generator | None, step: Step) -> tuple[Array, Array]:
    """What each window is shown with, (windows, dimension), and which of them with a wrong instruction."""
    if rng is None:
        return np.repeat(lesson.clip.text[None], windows, axis=0), np.zeros(windows, dtype=bool)
    texts, wrong, _ = step.negatives.draw(lesson.clip.instruction, lesson.clip.task, windows, rng)
    return texts, wrong
