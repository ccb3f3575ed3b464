"""Weights of the frames, as `headway weights` wrote them, beside the scores they were made from."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from headway.episodes import Array
from headway.errors import DatasetError
from headway.report.facts import Fact
from headway.signals.weights.diagnostics import diagnose
from headway.tables import Scores

COLUMN = "weight"


@dataclass(frozen=True)
class WeightBar:
    """One bin of the histogram: how many frames weigh between `low` and `high`."""

    low: float
    high: float
    count: int


@dataclass(frozen=True)
class WeightFigure:
    """What the head of the page says of the weights.

    Attributes:
        bars: frames by weight.
        tallest: the most frames in a bar, at least 1.
        facts: the numbers to know before training.
        warnings: sentences on what to look into.
    """

    bars: list[WeightBar]
    tallest: int
    facts: list[Fact]
    warnings: list[str]


def with_weights(scores: Scores, index: Array, weight: Array) -> Scores:
    """The scores with a column of weights in their frames table.

    Args:
        scores: finished scores.
        index: int64 (rows,), the dataset's number of each frame.
        weight: float (rows,), NaN for none.

    Raises DatasetError when a scored frame is not among them.
    """
    order = np.argsort(index, kind="stable")
    wanted = scores.frames["index"].to_numpy()
    place = np.searchsorted(index[order], wanted)
    found = place < len(index)
    found[found] = index[order][place[found]] == wanted[found]
    if not found.all():
        raise DatasetError(
            f"the table of weights lacks {int((~found).sum())} of the scored frames, such as {wanted[~found][0]}; "
            "give the table that headway weights made from these scores"
        )
    column = pa.array(weight[order][place], pa.float32(), from_pandas=True)
    return replace(scores, frames=scores.frames.append_column(COLUMN, column))


def weight_figure(scores: Scores) -> WeightFigure | None:
    """What to show of the weights; None where the scores carry none."""
    if COLUMN not in scores.frames.column_names:
        return None
    found = diagnose(scores.frames[COLUMN].to_numpy(zero_copy_only=False))
    edges = np.linspace(0, 1, len(found.histogram) + 1)
    counts = found.histogram.tolist()
    bars = [WeightBar(float(edges[i]), float(edges[i + 1]), count) for i, count in enumerate(counts)]
    facts = [
        Fact(_share(found.effective / max(found.weighted, 1)), "effective sample, of the frames with a weight"),
        Fact(_share(found.zeros), "weigh nothing"),
        Fact(_share(found.ones), "at the highest weight"),
        Fact(f"{found.frames - found.weighted:,}", "frames without a weight"),
    ]
    return WeightFigure(bars, max(1, *counts), facts, found.warnings)


def _share(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{value:.1%}"
