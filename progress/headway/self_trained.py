"""Training an estimator on the very dataset that it scores, without a setting to choose.

Each episode is scored by a network that was trained on the others: cross-fitting in folds (Stone 1974). Episodes are
told apart by their recording, so that a copy of an episode does not train the network that scores it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from headway.encoders.on_disk import pretrained_on_disk
from headway.episodes import Episode
from headway.learned.cross_fit import assign_folds
from headway.learned.inputs import InputConfig
from headway.learned.method import Method, TaskEpisodes, TrainingConfig
from headway.learned.sarm import Sarm
from headway.learned.targets import is_complete
from headway.learned.vip import Vip
from headway.source import Source

FOLDS = 4
# With fewer, even a difference of the same sign in every episode is no evidence at 95 % (two-sided sign test).
FEWEST = 6
# Every network needs this many episodes that show how the task is finished: it stops and is calibrated on some.
TEACHERS = 3
# Epochs are as many as fit into this many pictures shown, at about 2 ms each on one core of two: 50 episodes of 11 s
# and one camera train in 3 to 4 minutes.
SHOWN = 200_000
EPOCHS = (20, 100)
# VIP's scale is fitted on the episodes held out from training, so it gets more of them.
VIP_VALIDATION = 0.2


@dataclass(frozen=True, repr=False)
class Plan:
    """What is going to be trained.

    Attributes:
        method: how; None when there is too little to learn from.
        folds: into how many parts the episodes are divided.
        task: what is learned from: each recording once.
        obstacle: why nothing is trained, where `method` is None.
        remark: what a user should know about the choice; may be empty.
    """

    method: Method | None
    folds: int
    task: TaskEpisodes
    obstacle: str = ""
    remark: str = ""


def make_plan(source: Source, episodes: Sequence[Episode], seed: int = 0) -> Plan:
    """SARM where stages are marked, VIP where not; on a pretrained encoder where one is on disk, else on `tiny`.

    Args:
        source: the dataset.
        episodes: those of its episodes that are to be scored.
        seed: of weights, order, augmentation and folds.
    """
    unique = _one_of_each_recording(episodes)
    task = TaskEpisodes(unique, source.stage_names, source.dense_stage_names)
    folds = min(FOLDS, len(unique) // 2)
    if len(unique) < FEWEST:
        return Plan(None, folds, task, f"{_count(len(unique))} cannot train and check an estimator; needs {FEWEST}")
    if not _enough([episode.success is not False for episode in unique], unique, folds, seed):
        return Plan(None, folds, task, "too few episodes show how the task is finished: nearly all are failures")
    inputs = InputConfig(source.cameras, pretrained_on_disk() or "tiny")
    training = TrainingConfig(seed=seed)
    complete = [is_complete(episode, source.stage_names or ()) for episode in unique]
    remark = ""
    if source.stage_names and _enough(complete, unique, folds, seed):
        densely = [is_complete(_densely(episode), source.dense_stage_names or ()) for episode in unique]
        if not _enough(densely, unique, folds, seed):
            task = replace(task, dense_stages=None)
        method: Method = Sarm(inputs, replace(training, epochs=_epochs(unique, inputs, folds)))
        return Plan(method, folds, task)
    if source.stage_names:
        remark = (
            f"{sum(complete)} of {_count(len(unique))} are completely marked successes: too few to learn stages from"
        )
    epochs = _epochs(unique, inputs, folds, 2 * Vip(inputs).pairs)
    return Plan(Vip(inputs, replace(training, epochs=epochs, validation=VIP_VALIDATION)), folds, task, remark=remark)


def _one_of_each_recording(episodes: Sequence[Episode]) -> list[Episode]:
    """The first episode of each recording; without those of which nobody can tell whether they were trained on."""
    found: dict[str, Episode] = {}
    for episode in episodes:
        if episode.recording is not None:
            found.setdefault(episode.recording, episode)
    return list(found.values())


def _densely(episode: Episode) -> Episode:
    """The same episode with its dense marks in place of the sparse ones."""
    return replace(episode, stages=episode.dense_stages)


def _enough(teaches: Sequence[bool], episodes: Sequence[Episode], folds: int, seed: int) -> bool:
    """Whether, whichever fold is left out, enough of the episodes teach."""
    fold_of = assign_folds(episodes, folds, seed)
    return all(np.sum(np.array(teaches)[fold_of != fold]) >= TEACHERS for fold in range(folds))


def _epochs(episodes: Sequence[Episode], inputs: InputConfig, folds: int, at_most: int | None = None) -> int:
    """As many epochs as SHOWN allows, when an epoch shows each episode's frames a gap apart, `at_most` so many."""
    frames = [len(episode) // inputs.gap(episode.fps) + 1 for episode in episodes]
    shown = sum(frames if at_most is None else [min(number, at_most) for number in frames])
    fewest, most = EPOCHS
    return int(np.clip(SHOWN // (shown * len(inputs.cameras) * (folds - 1)), fewest, most))


def _count(number: int) -> str:
    return f"{number} episode{'' if number == 1 else 's'}"
