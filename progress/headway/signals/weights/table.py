"""The table of weights: one row a frame, in the order of `index`."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headway.episodes import Array
from headway.errors import DatasetError
from headway.tables import write_table


def write_weights(path: Path, index: Array, weight: Array) -> None:
    """Write the table of weights: `index` int64, `weight` float32 in [0, 1], null where there is none."""
    columns = {"index": pa.array(index, pa.int64()), "weight": pa.array(weight, pa.float32(), from_pandas=True)}
    write_table(path, pa.table(columns))


def read_weights(path: Path) -> tuple[Array, Array]:
    """Index int64 and weight float32 (frames,), NaN where there is none; whole columns, no row is looked at by itself.

    Raises DatasetError when the file is missing, no such table, or holds a weight outside [0, 1].
    """
    try:
        table = pq.read_table(path, columns=["index", "weight"])
        index = table["index"].to_numpy().astype(np.int64, casting="safe")
        weight = table["weight"].to_numpy().astype(np.float32, casting="same_kind")
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path} is no table of weights ({reason}); headway weights writes one") from error
    known = weight[~np.isnan(weight)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise DatasetError(
            f"{path} holds weights from {known.min():.3g} to {known.max():.3g}; they must lie in [0, 1], as headway "
            "weights writes them"
        )
    return index, weight
