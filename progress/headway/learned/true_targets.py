"""Labels from the simulator's truth instead of an annotator's marks: an upper bound that no user has."""

from collections.abc import Sequence

import numpy as np

from headway.episodes import Episode, Truth
from headway.errors import DatasetError
from headway.learned.targets import StageScale, Targets


def true_scale(episodes: Sequence[Episode]) -> StageScale:
    """The task's declared scale; the duration of a stage, which truth does not need, is given as 1 s.

    Raises DatasetError when an episode carries no truth.
    """
    truth = _truth(episodes[0])
    return StageScale(truth.stage_names, truth.proportions, (1.0,) * len(truth.stage_names))


def label_by_truth(episode: Episode, scale: StageScale) -> Targets:
    """The true stage of every frame, "done" where the task is done, and the true progress within it."""
    truth = _truth(episode)
    stage = np.where(truth.success, len(scale.names), truth.stage)
    within = (truth.progress - scale.starts[stage]) / np.maximum(scale.widths[stage], 1e-6)
    within = np.where(truth.success, 0.0, within).clip(0, 1).astype(np.float32)
    return Targets(stage, within)


def _truth(episode: Episode) -> Truth:
    if episode.truth is None:
        raise DatasetError(f"episode {episode.index} carries no truth; only simulated ones do, so train on its marks")
    return episode.truth
