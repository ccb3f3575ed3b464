"""A finished SCORES folder as what a weighting scheme is given."""

from dataclasses import dataclass

import numpy as np

from headway.errors import DatasetError
from headway.signals.weights.scored import ScoredFrames
from headway.tables import Scores


@dataclass(frozen=True)
class Outcomes:
    """From where the success of how many episodes is known."""

    labelled: int
    estimated: int
    unknown: int

    def __str__(self) -> str:
        return f"success: {self.labelled} episodes labelled, {self.estimated} estimated, {self.unknown} unknown"


def scored_frames(scores: Scores) -> tuple[ScoredFrames, Outcomes]:
    """The scored frames, in the order of `index`, and where their outcomes are from.

    An episode's success is its label where there is one, which in simulation is the truth; else the estimated
    probability that it is done at its end; else NaN. Raises DatasetError where no episode is listed.
    """
    rows = {row["episode_index"]: row for row in scores.episodes.to_pylist()}
    if not rows:
        raise DatasetError(f"the scores in {scores.root} list no episode; score a dataset that has some")
    episode = scores.frames["episode_index"].to_numpy()
    numbers, first = np.unique(episode, return_index=True)
    labels, estimates = [], []
    for number in numbers[np.argsort(first)].tolist():
        label, estimate = rows[number]["success_label"], rows[number]["success"]
        labels.append(np.nan if label is None else float(label))
        estimates.append(np.nan if estimate is None else float(estimate))
    labelled = ~np.isnan(labels)
    success = np.where(labelled, labels, estimates)
    unknown = np.isnan(success)
    frames = ScoredFrames(
        progress=scores.frames["progress_sparse"].to_numpy(zero_copy_only=False),
        episode=episode,
        fps=round(float(np.median([row["length"] / row["seconds"] for row in rows.values()])), 6),
        success=success,
        stage=_column(scores, "stage", -1),
        uncertainty=_column(scores, "uncertainty", np.nan),
    )
    return frames, Outcomes(int(labelled.sum()), int((~labelled & ~unknown).sum()), int(unknown.sum()))


def _column(scores: Scores, name: str, missing: float) -> np.ndarray | None:
    column = scores.frames[name]
    return None if column.null_count == len(column) else column.fill_null(missing).to_numpy(zero_copy_only=False)
