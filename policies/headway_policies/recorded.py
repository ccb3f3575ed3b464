"""What a dataset that `headway collect` recorded says of itself, and the table of weights that belongs to it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headway.episodes import Array
from headway.errors import DatasetError, InvalidValue
from headway.source import Source
from headway_datasets.lerobot_layout import HEADWAY
from headway_envs.tasks import TASKS


@dataclass(frozen=True)
class Recorded:
    """Where and how demonstrations were recorded, which is where a policy that learns from them acts."""

    task_id: str
    task_version: int
    robot: str
    action_space: str | None
    variation: str


def read_recorded(root: Path) -> Recorded:
    """What `meta/headway.json` of a collection says.

    Raises DatasetError when there is none, or it is of a task that is not ours or of another version of it.
    """
    path = root / HEADWAY
    try:
        notes = json.loads(path.read_text())
        found = Recorded(
            str(notes["task_id"]),
            int(notes["task_version"]),
            str(notes["robot"]),
            notes["action_space"],
            str(notes["variation"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise DatasetError(
            f"{root} does not say in which simulated task it was recorded ({HEADWAY}), so no policy can act there; "
            "record one with: headway collect TASK"
        ) from None
    if found.task_id not in TASKS:
        raise DatasetError(f"{root} was recorded in {found.task_id}; policies act in {', '.join(TASKS)}")
    version = TASKS[found.task_id].version
    if found.task_version != version:
        raise DatasetError(
            f"{root} was recorded in version {found.task_version} of {found.task_id}, this is version {version}; "
            "collect it again"
        )
    return found


def frame_indices(source: Source, episodes: tuple[int, ...]) -> Array:
    """int64 (frames,): the dataset's index of every frame of those episodes, one episode after another."""
    chosen = [source.episode(number) for number in episodes]
    return np.concatenate([np.arange(one.first_frame, one.first_frame + len(one)) for one in chosen])


def read_weights(path: Path, index: Array) -> Array:
    """The weights of a table of `headway weights` for the frames with these indices.

    Args:
        path: a parquet file with the columns index and weight; null is no weight.
        index: int64 (frames,), those of the whole dataset.

    Returns:
        float64 (frames,), in [0, 1], NaN where a frame has none.

    Raises DatasetError when the table is missing, damaged or of other frames, InvalidValue for a weight out of range.
    """
    if not path.is_file():
        raise DatasetError(f"there is no table of weights {path}; make one with: headway weights DATASET --from SCORES")
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(["index", "weight"])
        known = table["index"].to_numpy().astype(np.int64, casting="safe")
        weight = table["weight"].to_numpy().astype(np.float64, casting="same_kind")
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(f"{path} is no table of weights with the columns index and weight ({reason})") from error
    order = np.argsort(known, kind="stable")
    known, weight = known[order], weight[order]
    twice = known[1:][np.diff(known) == 0]
    if len(twice):
        raise DatasetError(f"{path} has more than one weight for frame {twice[0]}")
    missing, beyond = np.setdiff1d(index, known), np.setdiff1d(known, index)
    if len(missing) or len(beyond):
        which = f"lacks {len(missing)} of its frames" if len(missing) else f"has {len(beyond)} frames that it lacks"
        at = (missing if len(missing) else beyond)[0]
        raise DatasetError(f"{path} belongs to another dataset: it {which}, such as frame {at}")
    found = weight[np.searchsorted(known, index)]
    bad = found[~np.isnan(found) & ~((found >= 0) & (found <= 1))]
    if len(bad):
        raise InvalidValue(f"{path} has weights that are not in [0, 1], such as {bad[0]:g}")
    return found
