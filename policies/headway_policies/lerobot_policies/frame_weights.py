"""The weight of each frame of a dataset, from a table of `headway weights`, and a batch's loss under it.

For losses l_i and weights w_i of the samples of a batch, as `lerobot-train` has it for RA-BC:

    loss = sum_i w_i l_i / (sum_i w_i + eps)

Where all weights are 0 so are loss and gradient.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, from_numpy

from headway.episodes import Array
from headway.errors import DatasetError, InvalidValue
from headway.signals.weights.table import read_weights, weights_of

EPSILON = 1e-6


class FrameWeights:
    """The weights of a dataset's frames; the table is read when the first batch asks, so that acting needs none.

    Args:
        path: the table, `index` and `weight`, one row for every frame of the dataset, null for no weight.
        fallback: the weight of frames without one, in [0, 1].
        frames: how many frames the dataset has; None where nobody knows.
    """

    def __init__(self, path: Path, fallback: float, frames: int | None):
        self.path = path
        self.fallback = fallback
        self.frames = frames
        self._table: Array | None = None

    def of(self, batch: Mapping[str, Any]) -> Tensor:
        """The weights of a batch's samples by their `index`: float32 (batch,) on the CPU, NaN for none.

        Raises DatasetError for a table that cannot be read, is of another dataset or holds weights outside [0, 1], or
        a batch without `index`; InvalidValue where nothing would be learnt.
        """
        if "index" not in batch:
            raise DatasetError("the batch has no 'index', by which weights are looked up; keep it in the preprocessor")
        if self._table is None:
            table = read_table(self.path, self.frames)
            _describe(self.path, table, self.fallback)
            self._table = table
        index = batch["index"].reshape(-1).cpu().numpy()
        if index.min() < 0 or index.max() >= len(self._table):
            raise DatasetError(
                f"{self.path} has weights for the frames 0 to {len(self._table) - 1}, the batch holds frame "
                f"{index.max()}; run headway weights on the very dataset that is trained on"
            )
        return from_numpy(self._table[index])

    def loss(self, losses: Tensor, weights: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The weighted loss, and what to log.

        Args:
            losses: (batch,), one for each sample.
            weights: (batch,), what `of` gave.

        Returns:
            The loss, and of this batch `weight_mean`; `weight_effective_share`, (sum w)^2 / (batch sum w^2), Kish's
            effective sample size as a share, 0 where all weights are 0; `weight_fallback_share`, of samples without a
            weight of their own.
        """
        missing = weights.isnan()
        weights = weights.masked_fill(missing, self.fallback)
        square = float(weights.square().sum())
        told = {
            "weight_mean": float(weights.mean()),
            "weight_effective_share": float(weights.sum()) ** 2 / (len(weights) * square) if square else 0.0,
            "weight_fallback_share": float(missing.float().mean()),
        }
        weights = weights.to(losses.device, losses.dtype)
        return (losses * weights).sum() / (weights.sum() + EPSILON), told


def read_table(path: Path, frames: int | None) -> Array:
    """Read a table of weights: float32 (frames,), NaN for none. Raises DatasetError as `FrameWeights.of`."""
    return weights_of(path, np.arange(len(read_weights(path)[0]) if frames is None else frames))


def _describe(path: Path, weights: Array, fallback: float) -> None:
    """Log what was read. Raises InvalidValue where nothing would be learnt."""
    known = weights[~np.isnan(weights)]
    if not (known > 0).any() and (fallback == 0 or len(known) == len(weights)):
        raise InvalidValue(f"{path} gives no frame a weight above 0; nothing would be learnt")
    mean = known.mean(dtype=np.float64) if known.size else np.nan
    none = f"{1 - len(known) / len(weights):.1%} without, which get {fallback:g}"
    logging.info(f"weights from {path}: mean {mean:.3f}, {np.mean(known == 0):.1%} zero; {none}")
