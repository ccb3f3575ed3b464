"""Reading LeRobot v3 datasets, without importing lerobot."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headway.episodes import Array, Episode, Frames, Stage, Truth
from headway.errors import DatasetError, UnknownName, VideoError
from headway_datasets import lerobot_layout as layout
from headway_datasets.annotation import stage_order, stages_from_marks
from headway_datasets.cameras import renamed
from headway_datasets.fingerprint import fingerprint, recording_of
from headway_datasets.lerobot_meta import Metadata, read_metadata, read_parquet
from headway_datasets.video import VideoFrames, file_identity

TRUTH = (layout.TRUTH_PROGRESS, layout.TRUTH_STAGE, layout.TRUTH_SUCCESS)
MORE_TRUTH = (layout.TRUTH_IMPERFECTION, layout.TRUTH_VALUE, layout.TRUTH_VALUE_INTERVAL)
NUMBERS = {layout.STATE, layout.ENVIRONMENT_STATE, layout.ACTION, *TRUTH, *MORE_TRUTH}
COLUMNS = {"episode_index", "task_index", "timestamp", *NUMBERS}
TABLES_KEPT = 2
ROWS_READ = 64


class LeRobotV3:
    """A LeRobot v3 dataset in a local folder (`headway.source.Source`).

    Metadata are read on opening, an episode's numbers when it is asked for, its pictures when they are iterated over.

    - Cameras go by what follows `observation.images.`; depth cameras are left out.
    - The instruction is the task of the episode's first frame.
    - Stages come from lerobot's annotation columns `sparse_subtask_*`, or the older `subtask_*`; dense stages from
      `dense_subtask_*` alone.
    - `success` and `kind` are columns of the episode table that Headway adds, and are None elsewhere.
    - Truth comes from the features `truth.*` and `meta/headway.json`.

    `metadata` are those of the dataset where they have been read already, or put together from another layout's.

    Raises DatasetError when the dataset is of another version, half-written or has an empty episode, and UnknownName
    for a rename of a camera that does not exist.
    """

    format = "lerobot-v3"

    def __init__(self, root: Path | str, rename: Mapping[str, str] | None = None, metadata: Metadata | None = None):
        self.root = Path(root)
        self._meta = metadata or read_metadata(self.root)
        keys = [*self._meta.video_keys, *self._meta.image_keys]
        if not keys:
            raise DatasetError(f"{self.root} has no camera: none of its features holds pictures")
        names = {camera_name(key): key for key in keys}
        self._cameras = {new: names[old] for old, new in renamed(list(names), rename).items()}
        self.cameras = tuple(self._cameras)
        self.episode_indices: Sequence[int] = tuple(self._meta.rows)
        self.fps = float(self._meta.info["fps"])
        self._stages = {index: self._read_stages(index, layout.SPARSE) for index in self.episode_indices}
        self._dense_stages = {index: self._read_stages(index, layout.DENSE) for index in self.episode_indices}
        declared = self._meta.proportions[layout.SPARSE] or self._meta.headway.get("stage_names") or ()
        self.stage_names = self._order(self._stages, declared)
        self.dense_stage_names = self._order(self._dense_stages, self._meta.proportions[layout.DENSE])
        self._tables: dict[Path, pa.Table] = {}
        self._lock = Lock()
        try:
            self.fingerprint = fingerprint(self.root, self._meta.files())
        except OSError as error:
            raise DatasetError(f"{self.root} cannot be read: {error}; check its permissions") from error

    def __len__(self) -> int:
        return len(self.episode_indices)

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(index) for index in self.episode_indices)

    def __repr__(self) -> str:
        return f"LeRobotV3({str(self.root)!r}, episodes={len(self)}, cameras={list(self.cameras)})"

    def episode(self, index: int) -> Episode:
        """One episode by its number; its pictures are not decoded yet.

        Raises UnknownName for a number that is not in the dataset, DatasetError when its data are damaged.
        """
        if index not in self._meta.rows:
            raise UnknownName("episode", str(index), [f"{min(self.episode_indices)} to {max(self.episode_indices)}"])
        row = self._meta.rows[index]
        path = self._meta.data_path(row)
        table = self._table(path)
        start, columns = _episode_rows(table, index, row["length"], path)
        return Episode(
            index=index,
            first_frame=int(row["dataset_from_index"]),
            fps=self.fps,
            cameras={name: self._frames(name, key, row, path, start) for name, key in self._cameras.items()},
            instruction=self._instruction(columns, path),
            state=_numbers(columns, layout.STATE),
            environment_state=_numbers(columns, layout.ENVIRONMENT_STATE),
            action=_numbers(columns, layout.ACTION),
            timestamps=_timestamps(columns),
            state_names=self._names(layout.STATE, columns),
            action_names=self._names(layout.ACTION, columns),
            stages=self._stages[index],
            dense_stages=self._dense_stages[index],
            success=row.get("success"),
            truth=self._truth(columns),
            kind=row.get("kind"),
            recording=self._recording(columns, row),
        )

    def _recording(self, columns: pa.Table, row: Mapping[str, Any]) -> str:
        """What a piece was cut from; else what was sensed and done; where neither is kept, the dataset and number."""
        found = row.get(layout.RECORDING) or recording_of(
            *(_numbers(columns, key) for key in (layout.STATE, layout.ACTION))
        )
        return found or f"{self.fingerprint}-{row['episode_index']}"

    def _frames(self, name: str, key: str, row: Mapping[str, Any], data: Path, first_row: int) -> Frames:
        label = f"episode {row['episode_index']}, camera {name}"
        if key in self._meta.image_keys:
            return StoredPictures(data, key, first_row, int(row["length"]), label)
        start = float(row[f"videos/{key}/from_timestamp"])
        end = row.get(f"videos/{key}/to_timestamp")
        declared = round((end - start) * self.fps) if isinstance(end, float) and np.isfinite(end) else None
        return VideoFrames(self._meta.video_path(row, key), int(row["length"]), label, start, self.fps, declared)

    def _names(self, key: str, columns: pa.Table) -> tuple[str, ...] | None:
        """What the values of a feature are; None where nobody says it of each."""
        values = _numbers(columns, key)
        names = self._meta.info["features"].get(key, {}).get("names")
        # older datasets have them under a word such as "motors"
        if isinstance(names, dict) and len(names) == 1:
            names = next(iter(names.values()))
        if values is None or not isinstance(names, list) or len(names) != values.shape[1]:
            return None
        return tuple(map(str, names))

    def _table(self, path: Path) -> pa.Table:
        """A data file without its pictures; the last few are kept, as episodes are mostly read in order."""
        # several threads score at once where an estimator waits for a server
        with self._lock:
            if path not in self._tables:
                if len(self._tables) >= TABLES_KEPT:
                    del self._tables[next(iter(self._tables))]
                self._tables[path] = read_parquet(path, COLUMNS.__contains__)
            return self._tables[path]

    def _instruction(self, columns: pa.Table, path: Path) -> str | None:
        task = columns["task_index"][0].as_py()
        if task not in self._meta.tasks:
            raise DatasetError(f"{path} names task {task}, which {layout.TASKS} lacks; copy the dataset again")
        return self._meta.tasks[task] or None

    def _truth(self, columns: pa.Table) -> Truth | None:
        if not set(TRUTH) <= set(columns.column_names):
            return None
        names, proportions = (self._meta.headway.get(key) for key in ("stage_names", "proportions"))
        if not names or not proportions:
            raise DatasetError(f"{self.root} has true stages but {layout.HEADWAY} does not name them; collect it again")
        progress, stage, success = (columns[key].to_numpy() for key in TRUTH)
        imperfection, value, interval = (_numbers(columns, key) for key in MORE_TRUTH)
        kinds = tuple(self._meta.headway.get("imperfections") or ())
        return Truth(
            progress=progress.astype(np.float32),
            stage=stage.astype(np.int64),
            success=success.astype(bool),
            stage_names=tuple(names),
            proportions=tuple(proportions),
            imperfection=imperfection.astype(bool) if imperfection is not None and kinds else None,
            imperfections=kinds,
            value=None if value is None else value[:, 0],
            value_interval=interval,
        )

    def _read_stages(self, index: int, granularity: str) -> tuple[Stage, ...] | None:
        row = self._meta.rows[index]
        prefix = f"{granularity}_"
        if granularity == layout.SPARSE and prefix + layout.SUBTASK_NAMES not in row:
            prefix = ""
        parts = (layout.SUBTASK_NAMES, layout.SUBTASK_STARTS, layout.SUBTASK_ENDS)
        names, starts, ends = (row.get(prefix + part) for part in parts)
        if names is None or starts is None or ends is None:
            return None
        where = f"{self.root}: episode {index}" + (", dense annotation" if granularity == layout.DENSE else "")
        return stages_from_marks(_marks(names, starts, ends, where), row["length"], where)

    def _order(self, stages: Mapping[int, tuple[Stage, ...] | None], declared: Iterable[str]) -> tuple[str, ...] | None:
        """The declared order first, then what the annotation has besides; None when nobody annotated."""
        annotated = {index: marks for index, marks in stages.items() if marks}
        successes = [self._meta.rows[index].get("success") for index in annotated]
        found = stage_order(list(annotated.values()), successes)
        return None if found is None else tuple(dict.fromkeys([*declared, *found]))


@dataclass(frozen=True)
class StoredPictures:
    """The pictures of one camera in one episode that lie, compressed, in a parquet file (`headway.episodes.Frames`).

    Attributes:
        path: the parquet file.
        key: its column.
        start: the episode's first row in the file.
        length: how many rows it has.
        label: which episode and camera it is, for messages.
    """

    path: Path
    key: str
    start: int
    length: int
    label: str

    @property
    def identity(self) -> str | None:
        """From where the file lies, its size and time of change, and the rows; None where there is no file."""
        return file_identity(self.path, self.key, self.start, self.length)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Array]:
        for row, stored in enumerate(self._stored()):
            content = stored and stored.get("bytes")
            picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
            if picture is None:
                raise VideoError(f"{self.label}: frame {row} in {self.path} is no picture; leave the episode out")
            yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    def _stored(self) -> Iterator[Any]:
        """The episode's cells, read a few rows at a time."""
        try:
            with pq.ParquetFile(self.path) as file:
                groups, skip = self._row_groups(file)
                rows = file.iter_batches(ROWS_READ, row_groups=groups, columns=[self.key])
                cells = (cell for batch in rows for cell in batch.column(0).to_pylist())
                for number, cell in enumerate(cells):
                    if number >= skip + self.length:
                        return
                    if number >= skip:
                        yield cell
        except (pa.ArrowException, OSError) as error:
            raise VideoError(f"{self.label}: {self.path} cannot be read ({error}); copy the dataset again") from error

    def _row_groups(self, file: pq.ParquetFile) -> tuple[list[int], int]:
        """The row groups that hold the episode, and how many rows of the first come before it."""
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        starts = np.cumsum([0, *sizes])
        stop = self.start + self.length
        groups = [group for group in range(len(sizes)) if starts[group] < stop and starts[group + 1] > self.start]
        return groups, self.start - int(starts[groups[0]])


def camera_name(key: str) -> str:
    """A picture feature's name for people: `observation.images.top` and `observation.image.top` are `top`."""
    for prefix in (layout.CAMERA_PREFIX, "observation.image.", "observation."):
        if key.startswith(prefix):
            return key.removeprefix(prefix)
    return key


def _marks(names: Any, starts: Any, ends: Any, where: str) -> list[tuple[str, int, int]]:
    """The marks in an episode's cells; raises DatasetError, beginning with `where`, when they do not fit together."""
    if not all(isinstance(part, list) for part in (names, starts, ends)):
        raise DatasetError(f"{where} has stages that are no lists of names, first and end frames; correct it")
    if not len(names) == len(starts) == len(ends):
        raise DatasetError(f"{where} has {len(names)} stages but {len(starts)} starts and {len(ends)} ends")
    try:
        return list(zip(names, map(int, starts), map(int, ends), strict=True))
    except (TypeError, ValueError, OverflowError) as error:
        raise DatasetError(
            f"{where} has a stage that starts or ends at no frame number ({error}); correct it"
        ) from error


def _episode_rows(table: pa.Table, index: int, length: int, path: Path) -> tuple[int, pa.Table]:
    """Where an episode begins in its data file, and its rows."""
    rows = np.flatnonzero(table["episode_index"].to_numpy() == index)
    if len(rows) != length or (length and rows[-1] - rows[0] + 1 != length):
        raise DatasetError(f"{path} holds {len(rows)} of episode {index}'s {length} frames; copy the dataset again")
    return int(rows[0]), table.slice(rows[0], length)


def _timestamps(columns: pa.Table) -> Array | None:
    """Seconds as recorded, float64 (time,); None where the dataset has none that are numbers."""
    if "timestamp" not in columns.column_names:
        return None
    column = columns["timestamp"]
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return None
    return column.to_numpy().astype(np.float64)


def _numbers(columns: pa.Table, key: str) -> Array | None:
    """A feature as float32 (time, dim), or None where the dataset lacks it."""
    if key not in columns.column_names:
        return None
    column = columns[key].combine_chunks()
    values = column.flatten() if pa.types.is_nested(column.type) else column
    return values.to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(column), -1)
