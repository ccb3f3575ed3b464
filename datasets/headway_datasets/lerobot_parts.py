"""The open files of a LeRobot v3 dataset being written: one camera's videos, the data table, the episode table."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import pyarrow as pa
import pyarrow.parquet as pq

from headway.episodes import Array, Episode, Frames, Stage
from headway.errors import InvalidValue
from headway_datasets import lerobot_layout as layout
from headway_datasets.stats import NAMES, PictureStats, Stats, column_stats, picture_sample
from headway_datasets.video import VideoEncoder

TYPES = {"float32": pa.float32(), "int64": pa.int64(), "bool": pa.bool_()}
PICTURE_STAT = pa.list_(pa.list_(pa.list_(pa.float64())))
ROWS_IN_BATCH = 100
ANNOTATION = {
    layout.SUBTASK_NAMES: pa.string(),
    layout.SUBTASK_STARTS: pa.int64(),
    layout.SUBTASK_ENDS: pa.int64(),
    layout.SUBTASK_START_TIMES: pa.float64(),
    layout.SUBTASK_END_TIMES: pa.float64(),
}

# lerobot looks a task's text up in the index of a pandas table; this makes `task` that index
TASKS_INDEX = {
    "index_columns": ["task"],
    "column_indexes": [],
    "columns": [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
        for name, kind, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ],
}


def feature(dtype: str, dim: int, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The entry of `info.json` for a column of numbers; `names` says what each of them is."""
    return {"dtype": dtype, "shape": [dim], "names": None if names is None else list(names)}


def write_tasks(path: Path, tasks: Mapping[str, int]) -> None:
    """Write `meta/tasks.parquet`: what robots were told to do, with their numbers."""
    table = pa.table({"task_index": list(tasks.values()), "task": list(tasks)})
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(TASKS_INDEX)}), path)


class CameraTrack:
    """The video files of one camera: episodes follow one another in a file until it is larger than `file_bytes`."""

    def __init__(self, root: Path, name: str, size: tuple[int, int], fps: float, codec: str, file_bytes: int):
        self.key = layout.CAMERA_PREFIX + name
        self._root = root
        self._size = size
        self._fps = fps
        self._codec = codec
        self._file_bytes = file_bytes
        self._file = -1
        self._encoder: VideoEncoder | None = None

    def add(self, frames: Frames, where: str) -> tuple[dict[str, Any], Stats]:
        """Encode one episode's frames; returns its columns of the episode table and its statistics."""
        encoder = self._open_encoder()
        start = encoder.frames
        sample = picture_sample(len(frames))
        pictures = PictureStats()
        for index, frame in enumerate(frames):
            if frame.shape != (*self._size, 3):
                raise InvalidValue(f"{where}: frame {index} has shape {frame.shape}, declared was {(*self._size, 3)}")
            encoder.write(frame)
            if index in sample:
                pictures.add(frame)
        columns = {
            "chunk_index": self._file // layout.FILES_IN_CHUNK,
            "file_index": self._file % layout.FILES_IN_CHUNK,
            "from_timestamp": start / self._fps,
            "to_timestamp": encoder.frames / self._fps,
        }
        return {f"videos/{self.key}/{name}": value for name, value in columns.items()}, pictures.stats()

    def feature(self) -> dict[str, Any]:
        """The camera's entry of `info.json`."""
        height, width = self._size
        info = {
            "video.height": height,
            "video.width": width,
            "video.codec": self._codec,
            "video.pix_fmt": "yuv420p",
            "video.fps": self._fps,
            "video.channels": 3,
            "has_audio": False,
            "is_depth_map": False,
        }
        return {"dtype": "video", "shape": [height, width, 3], "names": ["height", "width", "channels"], "info": info}

    def close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
        self._encoder = None

    def abandon(self) -> None:
        """Close without caring whether the file is complete."""
        with contextlib.suppress(OSError, av.error.FFmpegError):
            self.close()

    def _open_encoder(self) -> VideoEncoder:
        if self._encoder is not None and self._encoder.bytes > self._file_bytes:
            self.close()
        if self._encoder is None:
            self._file += 1
            path = self._root / numbered(layout.VIDEO_PATH, self._file, video_key=self.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._encoder = VideoEncoder(path, self._fps, self._codec)
        return self._encoder


class DataTable:
    """The parquet files of everything but pictures, one row a frame and one row group an episode.

    `kinds` gives each column's type and size; a column of size 1 holds plain numbers, as lerobot expects.
    """

    def __init__(self, root: Path, kinds: Mapping[str, tuple[str, int]], file_bytes: int):
        self.kinds = kinds
        self._root = root
        self._file_bytes = file_bytes
        self._file = -1
        self._path = root
        self._writer: pq.ParquetWriter | None = None
        fields = {key: TYPES[dtype] if dim == 1 else pa.list_(TYPES[dtype], dim) for key, (dtype, dim) in kinds.items()}
        self._schema = pa.schema(list(fields.items()))

    def add(self, columns: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Stats]]:
        """Write one episode's columns, each (time,) or (time, dim); returns its episode columns and statistics."""
        writer = self._open_writer()
        arrays = []
        for field in self._schema:
            values = pa.array(columns[field.name].reshape(-1), TYPES[self.kinds[field.name][0]])
            arrays.append(
                values if field.type == values.type else pa.FixedSizeListArray.from_arrays(values, type=field.type)
            )
        writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        index = columns["index"]
        place = {
            "data/chunk_index": self._file // layout.FILES_IN_CHUNK,
            "data/file_index": self._file % layout.FILES_IN_CHUNK,
            "dataset_from_index": int(index[0]),
            "dataset_to_index": int(index[-1]) + 1,
        }
        return place, {key: column_stats(columns[key]) for key in self.kinds}

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def abandon(self) -> None:
        """Close without caring whether the file is complete."""
        with contextlib.suppress(OSError):
            self.close()

    def _open_writer(self) -> pq.ParquetWriter:
        if self._writer is not None and self._path.stat().st_size > self._file_bytes:
            self.close()
        if self._writer is None:
            self._file += 1
            self._path = self._root / numbered(layout.DATA_PATH, self._file)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._path, self._schema, compression="snappy")
        return self._writer


class EpisodeTable:
    """`meta/episodes`: one row an episode, with where its data lie, its statistics and its annotation."""

    def __init__(self, path: Path, cameras: Sequence[str], columns: Sequence[str]):
        fields: list[tuple[str, pa.DataType]] = [
            ("episode_index", pa.int64()),
            ("tasks", pa.list_(pa.string())),
            ("length", pa.int64()),
            ("data/chunk_index", pa.int64()),
            ("data/file_index", pa.int64()),
            ("dataset_from_index", pa.int64()),
            ("dataset_to_index", pa.int64()),
        ]
        for key in cameras:
            fields += [(f"videos/{key}/{name}", pa.int64()) for name in ("chunk_index", "file_index")]
            fields += [(f"videos/{key}/{name}", pa.float64()) for name in ("from_timestamp", "to_timestamp")]
        for key in (*cameras, *columns):
            values = PICTURE_STAT if key in cameras else pa.list_(pa.float64())
            fields += [(f"stats/{key}/{name}", pa.list_(pa.int64()) if name == "count" else values) for name in NAMES]
        fields += [("meta/episodes/chunk_index", pa.int64()), ("meta/episodes/file_index", pa.int64())]
        fields += [("success", pa.bool_()), ("kind", pa.string())]
        for granularity in layout.GRANULARITIES:
            fields += [(f"{granularity}_{name}", pa.list_(kind)) for name, kind in ANNOTATION.items()]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._schema = pa.schema(fields)
        self._rows: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = pq.ParquetWriter(path, self._schema, compression="snappy")

    def add(self, index: int, episode: Episode, row: Mapping[str, Any], stats: Mapping[str, Stats]) -> None:
        """Take one episode's row: `row` says where its data lie."""
        found = {
            f"stats/{key}/{name}": value.tolist() for key, values in stats.items() for name, value in values.items()
        }
        own = {
            "episode_index": index,
            "tasks": [episode.instruction or ""],
            "length": len(episode),
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
            "success": episode.success,
            "kind": episode.kind,
        }
        marks = {layout.SPARSE: episode.stages, layout.DENSE: episode.dense_stages}
        for granularity, stages in marks.items():
            own |= annotation_columns(granularity, stages, episode.fps)
        self._rows.append({**own, **row, **found})
        if len(self._rows) >= ROWS_IN_BATCH:
            self._flush()

    def close(self) -> None:
        if self._writer is not None:
            self._flush()
            self._writer.close()
        self._writer = None

    def abandon(self) -> None:
        """Close without caring whether the file is complete."""
        self._rows.clear()
        with contextlib.suppress(OSError):
            self.close()

    def _flush(self) -> None:
        if self._rows and self._writer is not None:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()


def annotation_columns(granularity: str, stages: tuple[Stage, ...] | None, fps: float) -> dict[str, list[Any]]:
    """lerobot's columns of stages: frames from the episode's start, and the same in seconds; none when unmarked."""
    if stages is None:
        return {}
    columns: dict[str, list[Any]] = {
        layout.SUBTASK_NAMES: [stage.name for stage in stages],
        layout.SUBTASK_STARTS: [stage.start for stage in stages],
        layout.SUBTASK_ENDS: [stage.end for stage in stages],
        layout.SUBTASK_START_TIMES: [stage.start / fps for stage in stages],
        layout.SUBTASK_END_TIMES: [stage.end / fps for stage in stages],
    }
    return {f"{granularity}_{name}": values for name, values in columns.items()}


def numbered(template: str, number: int, **names: str) -> str:
    """A path of the dataset for its `number`-th file."""
    chunk, file = divmod(number, layout.FILES_IN_CHUNK)
    return template.format(chunk_index=chunk, file_index=file, **names)
