"""What each way of training an estimator has to say; loop, windows, checkpoints and streaming are shared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from headway.episodes import Array, Episode
from headway.errors import InvalidValue
from headway.learned.inputs import Clip, InputConfig
from headway.learned.targets import Scales
from headway.learned.trunk import Sizes
from headway.learned.wrong_text import Negatives


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained, whatever it learns.

    Attributes:
        epochs: how often every episode is seen, at most.
        batch: episodes in a step.
        learning_rate: peak of the one-cycle schedule (AdamW).
        weight_decay: of AdamW.
        validation: share of the episodes held out for early stopping and calibration; 0 for none.
        patience: share of the epochs without a lower validation loss after which training stops.
        plain: share of the episodes shown as they were recorded, in [0, 1]; the others are augmented. Few, and an
            estimator stands other light and another table; many, and it sees more of what it was taught on, such as
            which of two cubes has which colour. Raise it where what is scored looks like what is learnt from.
        seed: of weights, order and augmentation.
    """

    epochs: int = 100
    batch: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    validation: float = 0.1
    patience: float = 0.3
    plain: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "learning_rate", "patience"):
            if not getattr(self, name) > 0:
                raise InvalidValue(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.plain <= 1:
            raise InvalidValue(f"plain is a share of the episodes, from 0 to 1, got {self.plain}")
        if not 0 <= self.validation <= 0.5:
            raise InvalidValue(f"validation must lie in [0, 0.5], got {self.validation}")


@dataclass(frozen=True, repr=False)
class TaskEpisodes:
    """Episodes of one task, as training is given them.

    Attributes:
        episodes: of one dataset, or of several of the same task.
        stages: the task's stages in order, None when nobody marked any.
        dense_stages: its finer stages, None when nobody marked any.
    """

    episodes: Sequence[Episode]
    stages: tuple[str, ...] | None = None
    dense_stages: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Knowledge:
    """What was measured on the training episodes, and what a checkpoint has to keep beside the weights.

    Attributes:
        scales: the stages of every task with their share of progress; None where no stages are used.
        dense: the same of the finer stages.
    """

    scales: Scales | None = None
    dense: Scales | None = None


@dataclass(frozen=True)
class Term:
    """One term of a loss: a sum over `count` things, so that its mean can be taken over several processes."""

    total: Tensor
    count: int
    weight: float = 1.0


@dataclass(frozen=True, repr=False)
class Lesson:
    """One episode in training: what is shown of it, and what is to be said of each kept frame.

    Attributes:
        clip: its frames.
        labels: by name, one value a kept frame, (kept, ...); what they mean is the method's.
        success: what an annotator said of the episode.
    """

    clip: Clip
    labels: Mapping[str, Array]
    success: bool | None


@dataclass(frozen=True, repr=False)
class Step:
    """What a loss is computed on.

    Attributes:
        lessons: the episodes.
        rngs: a generator for each lesson; in validation None, and then nothing is drawn or augmented.
        negatives: where wrong instructions are drawn from.
        knowledge: what was measured on the training episodes.
        device: of the network.
        drawn: what `Method.draw` made of each lesson; empty until `prepare` asked for it.
    """

    lessons: Sequence[Lesson]
    rngs: Sequence[np.random.Generator | None]
    negatives: Negatives
    knowledge: Knowledge
    device: torch.device
    drawn: Sequence[Any] = ()


@dataclass(frozen=True, repr=False)
class Verdict:
    """What an estimator says of some frames, each part (frame, ...), before calibration.

    Attributes:
        raw: the score before any mapping to [0, 1].
        progress: in [0, 1]; None where only a fitted map can tell it from `raw`.
        success_logit: of the probability that the task is done.
        stage_probability: (frame, stages + 1), the last for "done".
        uncertainty: in units of progress.
        dense: progress on the dense scale.
    """

    raw: Array
    progress: Array | None = None
    success_logit: Array | None = None
    stage_probability: Array | None = None
    uncertainty: Array | None = None
    dense: Array | None = None


class Method(Protocol):
    """One way of training; a frozen dataclass of settings that JSON can hold.

    Attributes:
        name: of the estimator, in specs and checkpoints.
        inputs: what it is shown.
        training: how it is trained.
        wrong_text: share of windows shown with an instruction that is not theirs.
        needs_map: whether its raw score lies on no scale, so that a map has to be fitted on held-out demonstrations.
    """

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> InputConfig: ...
    @property
    def training(self) -> TrainingConfig: ...
    @property
    def wrong_text(self) -> float: ...
    @property
    def needs_map(self) -> bool: ...

    def study(self, tasks: Sequence[TaskEpisodes]) -> Knowledge:
        """Measure what the labels need, such as the scale of the stages, without looking at a picture.

        Raises DatasetError when there is nothing to learn from.
        """
        ...

    def label(self, episode: Episode, task: int, knowledge: Knowledge) -> Mapping[str, Array] | None:
        """The labels of every frame of an episode, each (time, ...); None when nothing can be learned from it."""
        ...

    def network(self, sizes: Sizes, knowledge: Knowledge) -> Any:
        """A network with fresh weights: a torch module that is a `WindowNetwork` and has a `tower`."""
        ...

    def draw(self, lesson: Lesson, rng: np.random.Generator | None) -> Any:
        """What a step shows of a lesson, its pictures read into memory. Without `rng` nothing is drawn.

        Called from another thread, while the network is busy with the steps before: whatever waits for a disk belongs
        here, and what a device computes faster, such as augmentation, does not.
        """
        ...

    def terms(self, network: Any, step: Step) -> dict[str, Term]:
        """The terms of the loss of one prepared step, whose generators `draw` has used before."""
        ...

    def finish(self, network: Any, lessons: Sequence[Lesson], device: torch.device) -> None:
        """What is left to do with a trained network, such as remembering goals."""
        ...

    def read(self, outputs: Mapping[str, Array], knowledge: Knowledge) -> Verdict:
        """What the network's outputs, each (frame, ...), say."""
        ...


def prepare(method: Method, step: Step) -> Step:
    """The step with what the method draws of its lessons: ready for `Method.terms`."""
    drawn = [method.draw(lesson, rng) for lesson, rng in zip(step.lessons, step.rngs, strict=True)]
    return replace(step, drawn=drawn)
