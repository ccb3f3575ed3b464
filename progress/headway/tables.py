"""The tables of a SCORES folder: frames.parquet, episodes.parquet and run.json.

`frames.parquet` has one row a frame, sorted by `index`. Its first columns are the ones lerobot's RA-BC reads
(`index`, `episode_index`, `frame_index`, `progress_sparse`, then `progress_dense` only where the estimator gives it);
ours follow. `episodes.parquet` has one row an episode. A missing value is null, and where a whole episode has none its
`reason` says why. What needs no model (`headway.checks`) stands beside the estimate there, for every estimator; the
fields of those columns carry their meaning, unit and source.
"""

import json
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headway.checks import check_fields
from headway.episodes import Array, Episode, ProgressCurve
from headway.errors import DatasetError
from headway.files import replacing

FRAMES = "frames.parquet"
EPISODES = "episodes.parquet"
RUN = "run.json"

# metadata of the frames table, by which a table of ours is told from another program's
OURS = b"headway_fingerprint"

FRAME_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("episode_index", pa.int64()),
        ("frame_index", pa.int64()),
        ("progress_sparse", pa.float32()),
        ("success", pa.float32()),
        ("uncertainty", pa.float32()),
        ("stage", pa.int64()),
        ("raw", pa.float32()),
        ("looked_at", pa.bool_()),
        ("fold", pa.int64()),
    ]
)
DENSE = "progress_dense"
DENSE_FRAME_SCHEMA = FRAME_SCHEMA.insert(
    FRAME_SCHEMA.get_field_index("progress_sparse") + 1, pa.field(DENSE, pa.float32())
)

EPISODE_SCHEMA = pa.schema(
    [
        ("episode_index", pa.int64()),
        ("rank", pa.int64()),  # 1 is the best; null where there is no score
        ("length", pa.int64()),  # frames
        ("seconds", pa.float64()),
        ("instruction", pa.string()),
        ("kind", pa.string()),  # who made it, where known
        ("success_label", pa.bool_()),  # what an annotator said
        ("final", pa.float64()),  # mean progress over the last five frames
        ("mean", pa.float64()),  # mean progress over the episode
        ("maximum", pa.float64()),
        ("drawdown", pa.float64()),  # largest fall of progress from an earlier high
        ("idle", pa.float64()),  # share of the episode in which progress does not change
        ("success", pa.float64()),  # estimated probability that the task is done at the end
        ("stage", pa.string()),  # stage at the end
        ("why", pa.string()),  # what pulls it down, in words
        ("truth_final", pa.float64()),  # the simulator's progress at the end
        ("truth_mae", pa.float64()),  # mean absolute error of the curve to the simulator's
        ("fold", pa.int64()),
        ("in_sample", pa.bool_()),  # the estimator was trained on this episode
        *check_fields(),
        ("reason", pa.string()),  # why there is no score
    ]
)
# what earlier versions wrote
UNCHECKED = set(EPISODE_SCHEMA.names) - {field.name for field in check_fields()}


@dataclass(frozen=True, repr=False)
class Scores:
    """A finished SCORES folder, read."""

    root: Path
    frames: pa.Table
    episodes: pa.Table
    run: dict[str, Any]

    def __repr__(self) -> str:
        return f"Scores({self.root.name}, episodes={len(self.episodes)}, frames={len(self.frames)})"

    def curve(self, episode_index: int, column: str = "progress_sparse") -> Array:
        """One column of the frames table over one episode, (time,) in order of frames; nulls become NaN."""
        values = self.frames[column].slice(*self._place.get(episode_index, (0, 0)))
        return values.to_numpy(zero_copy_only=False).astype(np.float64)

    @cached_property
    def _place(self) -> dict[int, tuple[int, int]]:
        """Episode -> its first row in the frames table, and how many rows it has; they lie together."""
        episodes, starts, counts = np.unique(
            self.frames["episode_index"].to_numpy(), return_index=True, return_counts=True
        )
        return {int(e): (int(start), int(count)) for e, start, count in zip(episodes, starts, counts, strict=True)}

    def progress_curve(self, episode_index: int) -> ProgressCurve:
        """The curve of one scored episode, but for its stage probabilities, which no table keeps."""
        row = self.episodes.filter(pc.equal(self.episodes["episode_index"], episode_index)).to_pylist()[0]
        columns = {name: self.curve(episode_index, name) for name in ("success", "uncertainty", "stage", "raw")}
        known = {name: values for name, values in columns.items() if not np.isnan(values).all()}
        if "stage" in known:
            known["stage"] = known["stage"].astype(np.int64)
        return ProgressCurve(
            values=self.curve(episode_index).astype(np.float32),
            looked_at=self.curve(episode_index, "looked_at").astype(bool),
            fingerprint=self.run["identity"]["estimator"],
            reason=row["reason"],
            stage_names=tuple(self.run["stage_names"]) if "stage" in known else None,
            dense=self.curve(episode_index, DENSE).astype(np.float32) if DENSE in self.frames.column_names else None,
            fold=row["fold"],
            in_sample=row["in_sample"],
            **known,
        )


def read_scores(root: Path) -> Scores:
    """Read a finished SCORES folder; raises DatasetError when it is missing, unfinished or damaged."""
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder of scores; make one with: headway score DATASET --out {root}")
    if not (root / RUN).is_file():
        raise DatasetError(
            f"{root} holds no finished scores ({RUN} is missing); run the same headway score command to finish it"
        )
    try:
        run = json.loads((root / RUN).read_text())
        frames = pq.read_table(root / FRAMES)
        episodes = pq.read_table(root / EPISODES)
        missing = [name for name in ("identity", "dataset", "estimator", "in_sample", "unscored") if name not in run]
        known = frames.schema.names in (FRAME_SCHEMA.names, DENSE_FRAME_SCHEMA.names)
        if set(episodes.schema.names) == UNCHECKED:
            raise DatasetError(f"the scores in {root} are of an older version; delete the folder and score again")
        if missing or not known or episodes.schema.names != EPISODE_SCHEMA.names:
            raise ValueError("tables or run.json have other contents than a run of this version writes")
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        raise DatasetError(f"the scores in {root} are damaged ({error}); delete the folder and score again") from error
    return Scores(root, frames, episodes, run)


def frame_rows(episode: Episode, curve: ProgressCurve) -> pa.Table:
    """The rows of the frames table for one episode, of DENSE_FRAME_SCHEMA where the curve has dense progress."""
    time = len(episode)
    numbers = partial(_column, time)
    columns = {
        "index": np.arange(episode.first_frame, episode.first_frame + time, dtype=np.int64),
        "episode_index": np.full(time, episode.index, dtype=np.int64),
        "frame_index": np.arange(time, dtype=np.int64),
        # lerobot tells a missing value by NaN, so the columns of progress keep it
        "progress_sparse": pa.array(curve.values, pa.float32()),
        "success": numbers(curve.success),
        "uncertainty": numbers(curve.uncertainty),
        "stage": pa.nulls(time, pa.int64()) if curve.stage is None else curve.stage,
        "raw": numbers(curve.raw),
        "looked_at": curve.looked_at,
        "fold": pa.nulls(time, pa.int64()) if curve.fold is None else np.full(time, curve.fold, dtype=np.int64),
    }
    if curve.dense is None:
        return pa.table(columns, schema=FRAME_SCHEMA)
    return pa.table(columns | {DENSE: pa.array(curve.dense, pa.float32())}, schema=DENSE_FRAME_SCHEMA)


def _column(time: int, values: Array | None) -> pa.Array:
    """A column of float32 with nulls where a value is missing."""
    return pa.nulls(time, pa.float32()) if values is None else pa.array(values, pa.float32(), from_pandas=True)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a parquet file, atomically."""
    with replacing(path) as beside:
        pq.write_table(table, beside)
