"""The episode table of a filtered LeRobot v3 dataset: rows re-cut, statistics kept or computed anew."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headway.episodes import Array
from headway.signals.segments import Piece
from headway_datasets import lerobot_layout as layout
from headway_datasets.episode_pieces import cut_marks, outcome_of, part_of
from headway_datasets.lerobot_meta import Metadata, read_parquet
from headway_datasets.lerobot_v3 import LeRobotV3, camera_name
from headway_datasets.stats import NAMES, PictureStats, column_stats, merge_stacked, picture_sample

# lerobot's annotators have written stages under each of these
PREFIXES = ("", *(f"{granularity}_" for granularity in layout.GRANULARITIES))
NEEDED = {"min", "max", "mean", "std", "count"}
SUCCESS = "success"
# columns that a dataset may lack
ADDED = {
    SUCCESS: pa.bool_(),
    layout.RECORDING: pa.string(),
    "meta/episodes/chunk_index": pa.int64(),
    "meta/episodes/file_index": pa.int64(),
    "dataset_to_index": pa.int64(),
    "tasks": pa.list_(pa.string()),
}
# the types of features that have statistics, by their beginnings
NUMERIC = ("float", "int", "uint", "bool")


class Sheet:
    """The rows of what is kept: those of the source, and what is to be changed in each.

    Columns stay in Arrow where nothing is changed; a thousand rows of statistics as Python lists take seconds.
    `frames` counts the frames added so far.
    """

    def __init__(self, meta: Metadata):
        self.frames = 0
        self._meta = meta
        paths = sorted((meta.root / layout.EPISODES).glob("*/*.parquet"))
        parts = [read_parquet(path).replace_schema_metadata(None) for path in paths]
        self._table = pa.concat_tables(parts, promote_options="default").combine_chunks()
        self._place = {index: row for row, index in enumerate(self._table["episode_index"].to_pylist())}
        features = meta.info["features"]
        self._pictures = {key for key, entry in features.items() if entry.get("dtype") in ("image", "video")}
        numeric = {key for key, entry in features.items() if str(entry.get("dtype")).startswith(NUMERIC)}
        self._names = {
            key: names
            for key in features
            if key in self._pictures | numeric
            and set(names := [name for name in NAMES if f"stats/{key}/{name}" in self._table.column_names]) >= NEEDED
        }
        self._whole = {
            key for key, names in self._names.items() if not any(self._stat(key, name).null_count for name in names)
        }
        self._taken: list[int] = []
        self._changes: list[dict[str, Any]] = []

    @cached_property
    def _source(self) -> LeRobotV3:
        return LeRobotV3(self._meta.root)

    def add(self, piece: Piece, place: Mapping[str, Any], recording: str | None, rows: pa.Table) -> None:
        """Take a piece: where it lies now, what recording it is from, and its frames' rows for the statistics."""
        number, row = len(self._taken), self._place[piece.episode]
        own = {"episode_index": number, "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        changes = {**own, **place, layout.RECORDING: recording}
        if layout.RECORDING in self._table.column_names:
            changes[layout.RECORDING] = self._table[layout.RECORDING][row].as_py() or recording
        shifts = {
            "episode_index": number - piece.episode,
            "index": place["dataset_from_index"] - int(self._meta.rows[piece.episode]["dataset_from_index"]),
        }
        if not piece.whole:
            changes |= cut_row(self._row(row), piece, float(self._meta.info["fps"]))
            tasks = dict.fromkeys(rows["task_index"].to_pylist())
            changes["tasks"] = [self._meta.tasks[task] for task in tasks if task in self._meta.tasks]
        for key, names in self._names.items():
            kept = piece.whole and key in self._whole
            if kept and key not in shifts:
                continue
            old = {name: self._stat(key, name)[row].as_py() for name in names}
            stats = _shifted(old, shifts[key]) if kept else self._computed(key, old, piece, rows)
            changes |= {f"stats/{key}/{name}": stats[name].tolist() for name in names}
        self._taken.append(row)
        self._changes.append(changes)
        self.frames += len(piece)

    def write(self, root: Path) -> None:
        """Write `meta/episodes` and `meta/stats.json`."""
        table = self._table.take(pa.array(self._taken))
        for name in dict.fromkeys(name for changes in self._changes for name in changes):
            table = self._changed(table, name)
        path = root / layout.EPISODES_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="snappy")
        merged = {
            key: merge_stacked({name: _stacked(table[f"stats/{key}/{name}"]) for name in names})
            for key, names in self._names.items()
        }
        found = {key: {name: value.tolist() for name, value in stats.items()} for key, stats in merged.items()}
        (root / layout.STATS).write_text(json.dumps(found, indent=4) + "\n", encoding="utf-8")

    def _changed(self, table: pa.Table, name: str) -> pa.Table:
        """The table with one column changed, or added: then null in the rows that say nothing of it."""
        there = name in table.column_names
        say_nothing = any(name not in changes for changes in self._changes)
        values = table[name].to_pylist() if there and say_nothing else [None] * len(table)
        values = [changes.get(name, value) for changes, value in zip(self._changes, values, strict=True)]
        if not there:
            return table.append_column(name, pa.array(values, ADDED[name]))
        place = table.column_names.index(name)
        return table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))

    def _row(self, row: int) -> dict[str, Any]:
        """A row of the source without its statistics."""
        return {
            name: self._table[name][row].as_py()
            for name in self._table.column_names
            if not name.startswith(("stats/", "videos/", "data/"))
        }

    def _stat(self, key: str, name: str) -> pa.ChunkedArray:
        return self._table[f"stats/{key}/{name}"]

    def _computed(self, key: str, old: Mapping[str, Any], piece: Piece, rows: pa.Table) -> Mapping[str, Array]:
        if key in self._pictures:
            return self._seen(key, old, piece)
        column = rows[key].combine_chunks()
        while isinstance(column, pa.ExtensionArray):
            column = column.storage
        while pa.types.is_nested(column.type):
            column = column.flatten()
        values = column.to_numpy(zero_copy_only=False).reshape(len(rows), -1)
        shape = np.shape(old["mean"]) if old.get("mean") is not None else (values.shape[1],)
        return {
            name: value if name == "count" or value.size != np.prod(shape) else value.reshape(shape)
            for name, value in column_stats(values).items()
        }

    def _seen(self, key: str, old: Mapping[str, Any], piece: Piece) -> Mapping[str, Array]:
        """Statistics of a piece's pictures; depth, which is no picture for people, keeps those of the whole."""
        cameras = self._source.episode(piece.episode).cameras
        frames = cameras.get(camera_name(key))
        if frames is None:
            return {name: np.asarray(value) for name, value in old.items()}
        sample, seen = picture_sample(len(piece)), PictureStats()
        for number, picture in enumerate(part_of(frames, piece.start, piece.end)):
            if number in sample:
                seen.add(picture)
        return seen.stats()


def cut_row(row: Mapping[str, Any], piece: Piece, fps: float) -> dict[str, Any]:
    """What changes in an episode's row for a piece of it: marks counted from its start, and the outcome."""
    changed: dict[str, Any] = {}
    spans: list[tuple[int, int]] = []
    for prefix in PREFIXES:
        changed |= _marks(row, prefix, piece, fps)
        if prefix != f"{layout.DENSE}_" and not spans:
            ends = (row.get(prefix + name) for name in (layout.SUBTASK_STARTS, layout.SUBTASK_ENDS))
            spans = list(zip(*(of if isinstance(of, list) else [] for of in ends), strict=False))
    outcome = outcome_of(row.get(SUCCESS), spans, piece)
    return changed if outcome == row.get(SUCCESS) else changed | {SUCCESS: outcome}


def _shifted(stats: Mapping[str, Any], by: int) -> dict[str, Array]:
    """Statistics of numbers that have all become larger by as much."""
    return {name: np.asarray(value) + (0 if name in ("std", "count") else by) for name, value in stats.items()}


def _stacked(column: pa.ChunkedArray) -> Array:
    """A column of nested lists, all of one shape, as (rows, ...)."""
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = values.chunk(0)
    shape = np.shape(values[0].as_py())
    while pa.types.is_nested(values.type):
        values = values.flatten()
    return values.to_numpy(zero_copy_only=False).reshape(len(column), *shape)


def _marks(row: Mapping[str, Any], prefix: str, piece: Piece, fps: float) -> dict[str, Any]:
    names, starts, ends = (
        row.get(prefix + name) for name in (layout.SUBTASK_NAMES, layout.SUBTASK_STARTS, layout.SUBTASK_ENDS)
    )
    if not (isinstance(names, list) and isinstance(starts, list) and isinstance(ends, list)):
        return {}
    cut = cut_marks(starts, ends, piece)
    columns: dict[str, list[Any]] = {
        layout.SUBTASK_NAMES: [names[place] for place, _, _ in cut],
        layout.SUBTASK_STARTS: [start for _, start, _ in cut],
        layout.SUBTASK_ENDS: [end for _, _, end in cut],
    }
    for name in (layout.SUBTASK_START_TIMES, layout.SUBTASK_END_TIMES):
        times = row.get(prefix + name)
        if isinstance(times, list):
            inside = [min(max(times[place], piece.start / fps), piece.end / fps) for place, _, _ in cut]
            columns[name] = [time - piece.start / fps for time in inside]
    return {prefix + name: values for name, values in columns.items()}
