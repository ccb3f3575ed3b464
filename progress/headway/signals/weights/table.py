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
    if not path.is_file():
        raise DatasetError(f"there is no table of weights {path}; make one with: headway weights DATASET --from SCORES")
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(["index", "weight"])
        index = table["index"].to_numpy().astype(np.int64, casting="safe")
        weight = table["weight"].to_numpy().astype(np.float32, casting="same_kind")
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(
            f"{path} is no table of weights with the columns index and weight ({reason}); headway weights writes one"
        ) from error
    wrong = np.flatnonzero((weight < 0) | (weight > 1))  # infinite ones too; NaN is neither
    if wrong.size:
        raise DatasetError(
            f"{path} gives frame {index[wrong[0]]} the weight {weight[wrong[0]]:g} ({wrong.size} such frames); weights "
            "lie in [0, 1], as headway weights writes them"
        )
    return index, weight


def weights_of(path: Path, frames: Array) -> Array:
    """The weights of a whole dataset.

    Args:
        path: the table, in any order.
        frames: int64 (frames,), the dataset's `index` of every frame, ascending.

    Returns:
        float32 (frames,), NaN where a frame has none.

    Raises DatasetError as `read_weights` does, and for a table that is not of these very frames, each once.
    """
    index, weight = read_weights(path)
    order = np.argsort(index, kind="stable")
    index, weight = index[order], weight[order]
    if np.array_equal(index, frames):
        return weight
    twice = index[1:][np.diff(index) == 0]
    if len(twice):
        raise DatasetError(f"{path} has more than one weight for frame {twice[0]}")
    missing, beyond = np.setdiff1d(frames, index), np.setdiff1d(index, frames)
    which = f"lacks {len(missing)} of its frames" if len(missing) else f"has {len(beyond)} frames that it lacks"
    at = (missing if len(missing) else beyond)[0]
    raise DatasetError(
        f"{path} belongs to another dataset: it {which}, such as frame {at}; run headway weights on the very dataset "
        "that is trained on"
    )
