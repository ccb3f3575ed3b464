"""Some episodes of a LeRobot v3 dataset, or pieces of them, as a LeRobot v3 dataset of their own.

What lerobot's own `delete_episodes` drops is carried over: annotation, the columns `success` and `kind`, columns and
features nobody here knows, and the further files of `meta/`. Of a piece the marks are counted from its start.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headway.episodes import Array
from headway.errors import DatasetError, Unsupported
from headway.signals.segments import Piece
from headway_datasets import installed_marks
from headway_datasets import lerobot_layout as layout
from headway_datasets.episode_pieces import cut_marks, outcome_of
from headway_datasets.lerobot_filter_rows import Sheet
from headway_datasets.lerobot_meta import Metadata, read_metadata, read_parquet
from headway_datasets.lerobot_parts import numbered
from headway_datasets.remux import VideoCopies

# a person's notes of what was meant at which second; a piece would need them counted from its start
TIMED_NOTES = "language_persistent"
DEFAULT_MB = 200


@dataclass
class Written:
    """How the video of the pieces came into the new dataset, counted in pieces times cameras.

    Attributes:
        whole_files: in files copied as they are.
        copied: packet by packet.
        encoded: encoded anew, because a cut lies far from a key frame.
    """

    whole_files: int = 0
    copied: int = 0
    encoded: int = 0


def filter_lerobot(
    source: Path,
    pieces: Sequence[Piece],
    root: Path,
    recordings: Mapping[int, str | None],
    on_part: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """Write pieces of a LeRobot v3 dataset into the folder `root`, numbered from 0 in their order.

    Args:
        source: the dataset's folder; it is only read.
        pieces: in order of the dataset's episodes; at least one.
        root: a folder that is empty.
        recordings: what identifies the recording of each episode; kept in the column `recording`.
        on_part: called with the number of parts done and their total.

    Raises DatasetError when the source is damaged, Unsupported for cuts that its annotation cannot follow, OSError.
    """
    meta = read_metadata(source)
    if TIMED_NOTES in meta.info["features"] and not all(piece.whole for piece in pieces):
        raise Unsupported(
            f"{source} has {TIMED_NOTES}, whose times would be wrong in a piece of an episode; cut nothing out, or "
            "take --format weights"
        )
    keys = [key for key, entry in meta.info["features"].items() if entry.get("dtype") == "video"]
    total = len(pieces) * (len(keys) + 1)
    done = iter(range(1, total + 1))

    def advance() -> None:
        on_part(next(done), total)

    on_part(0, total)
    written = Written()
    rows: list[dict[str, Any]] = [{} for _ in pieces]
    for key in keys:
        _copy_videos(meta, key, pieces, root, rows, written, advance)
    sheet = Sheet(meta)
    for number, (place, table) in enumerate(_copy_rows(meta, pieces, root)):
        piece = pieces[number]
        sheet.add(piece, rows[number] | place, recordings[piece.episode], table)
        advance()
    sheet.write(root)
    _write_meta(meta, pieces, root, sheet.frames)
    return written


def _copy_videos(
    meta: Metadata,
    key: str,
    pieces: Sequence[Piece],
    root: Path,
    rows: list[dict[str, Any]],
    written: Written,
    advance: Callable[[], None],
) -> None:
    """Write one camera's videos; where a piece's pictures lie goes into its row."""
    info = meta.info["features"][key].get("info") or {}
    depth = any(info.get(name) for name in ("is_depth_map", "video.is_depth_map"))
    copies = VideoCopies(root, key, meta.info["fps"], _file_bytes(meta, "video"), exact=depth)
    whole = _whole_files(meta, key, pieces)
    numbers: dict[Path, int] = {}
    fps = float(meta.info["fps"])
    try:
        for number, piece in enumerate(pieces):
            row = meta.rows[piece.episode]
            path = meta.video_path(row, key)
            if path in whole:
                if path not in numbers:
                    numbers[path] = copies.add_file(path)
                place = {"chunk_index": numbers[path] // layout.FILES_IN_CHUNK}
                place["file_index"] = numbers[path] % layout.FILES_IN_CHUNK
                rows[number] |= {f"videos/{key}/{name}": value for name, value in place.items()}
                written.whole_files += 1
            else:
                start = float(row[f"videos/{key}/from_timestamp"]) + piece.start / fps
                placed = copies.add(path, start, len(piece), f"episode {piece.episode}, {key}")
                rows[number] |= placed.columns(key)
                written.copied += placed.copied
                written.encoded += not placed.copied
            advance()
        copies.close()
    finally:
        copies.abandon()


def _whole_files(meta: Metadata, key: str, pieces: Sequence[Piece]) -> set[Path]:
    """The video files of which every episode stays whole."""
    whole = {piece.episode for piece in pieces if piece.whole}
    episodes = defaultdict(set)
    for index, row in meta.rows.items():
        episodes[meta.video_path(row, key)].add(index)
    return {path for path, inside in episodes.items() if inside <= whole}


def _copy_rows(meta: Metadata, pieces: Sequence[Piece], root: Path) -> Iterator[tuple[dict[str, Any], pa.Table]]:
    """Write the rows of every piece, renumbered; yields where they lie, and the rows."""
    output = _DataFiles(root, _file_bytes(meta, "data"))
    opened: tuple[Path, pa.Table, Array] | None = None
    first = 0
    try:
        for number, piece in enumerate(pieces):
            path = meta.data_path(meta.rows[piece.episode])
            if opened is None or opened[0] != path:
                table = read_parquet(path)
                opened = (path, table, table["episode_index"].to_numpy())
            rows = _rows_of(opened, piece, int(meta.rows[piece.episode]["length"]))
            rows = _renumbered(rows, number, first, piece)
            place = output.add(rows) | {"dataset_from_index": first, "dataset_to_index": first + len(piece)}
            first += len(piece)
            yield place | {"length": len(piece)}, rows
    finally:
        output.close()


def _rows_of(opened: tuple[Path, pa.Table, Array], piece: Piece, length: int) -> pa.Table:
    path, table, episodes = opened
    found = np.flatnonzero(episodes == piece.episode)
    if len(found) != length or found[-1] - found[0] + 1 != length:
        raise DatasetError(
            f"{path} holds {len(found)} of episode {piece.episode}'s {length} frames; copy the dataset again"
        )
    return table.slice(int(found[0]) + piece.start, len(piece))


def _renumbered(rows: pa.Table, episode: int, first: int, piece: Piece) -> pa.Table:
    length = len(rows)
    columns: dict[str, Array] = {"episode_index": np.full(length, episode), "index": np.arange(first, first + length)}
    if piece.start:
        columns["frame_index"] = np.arange(length)
        if "timestamp" in rows.column_names:
            times = rows["timestamp"].to_numpy().astype(np.float64)
            columns["timestamp"] = times - times[0]
    for name, values in columns.items():
        if name in rows.column_names:
            place = rows.column_names.index(name)
            field = rows.schema.field(place)
            rows = rows.set_column(place, field, pa.array(values).cast(field.type, safe=False))
    return rows


class _DataFiles:
    """The parquet files of frames, one row group a piece; a new one where columns differ or one is large enough."""

    def __init__(self, root: Path, file_bytes: int):
        self._root = root
        self._file_bytes = file_bytes
        self._file = -1
        self._path = root
        self._schema: pa.Schema | None = None
        self._writer: pq.ParquetWriter | None = None

    def add(self, rows: pa.Table) -> dict[str, Any]:
        full = self._writer is not None and self._path.stat().st_size > self._file_bytes
        if full or (self._schema is not None and not rows.schema.equals(self._schema)):
            self.close()
        if self._writer is None:
            self._file += 1
            self._path = self._root / numbered(layout.DATA_PATH, self._file)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._schema = rows.schema
            self._writer = pq.ParquetWriter(self._path, rows.schema, compression="snappy")
        self._writer.write_table(rows)
        chunk, file = divmod(self._file, layout.FILES_IN_CHUNK)
        return {"data/chunk_index": chunk, "data/file_index": file}

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def _write_meta(meta: Metadata, pieces: Sequence[Piece], root: Path, frames: int) -> None:
    """`info.json`, and whatever else lies in `meta/`."""
    info = dict(meta.info)
    info |= {"total_episodes": len(pieces), "total_frames": frames, "splits": _splits(meta, pieces)}
    info |= {"data_path": layout.DATA_PATH, "chunks_size": layout.FILES_IN_CHUNK}
    if info.get("video_path") is not None:
        info["video_path"] = layout.VIDEO_PATH
    (root / layout.INFO).write_text(json.dumps(info, indent=4) + "\n", encoding="utf-8")
    ours = {root / layout.INFO, root / layout.STATS, root / installed_marks.RECORD}
    for path in sorted((meta.root / "meta").rglob("*")):
        there = root / path.relative_to(meta.root)
        if path.is_dir() or there in ours or (meta.root / layout.EPISODES) in path.parents:
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
    _write_record(meta, pieces, root)


def _write_record(meta: Metadata, pieces: Sequence[Piece], root: Path) -> None:
    """The note of installed marks, by the new numbers; without it later marks could not take their place."""
    try:
        content = json.loads((meta.root / installed_marks.RECORD).read_text(encoding="utf-8"))
        old = content["episodes"]
    except (OSError, ValueError, KeyError, TypeError):
        # no note, or none that its reader would take for one
        return
    episodes = {}
    for number, piece in enumerate(pieces):
        said = old.get(str(piece.episode))
        if said is None:
            continue
        stages = said.get("stages")
        if stages:
            cut = cut_marks([stage[1] for stage in stages], [stage[2] for stage in stages], piece)
            stages = [[stages[place][0], start, end] for place, start, end in cut]
        spans = [(stage[1], stage[2]) for stage in said.get("stages") or ()]
        outcome = outcome_of(said.get(installed_marks.SUCCESS), spans, piece)
        episodes[str(number)] = {"stages": stages or None, installed_marks.SUCCESS: outcome}
    content["episodes"] = episodes
    (root / installed_marks.RECORD).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _splits(meta: Metadata, pieces: Sequence[Piece]) -> dict[str, str]:
    """Each split `first:end` of episodes, as the range of the pieces that are from it."""
    old = meta.info.get("splits")
    found = {}
    for name, text in old.items() if isinstance(old, Mapping) else ():
        try:
            first, end = map(int, str(text).split(":"))
        except ValueError:
            continue
        inside = [number for number, piece in enumerate(pieces) if first <= piece.episode < end]
        if inside:
            found[name] = f"{inside[0]}:{inside[-1] + 1}"
    return found or {"train": f"0:{len(pieces)}"}


def _file_bytes(meta: Metadata, of: str) -> int:
    size = meta.info.get(f"{of}_files_size_in_mb")
    return int((size if isinstance(size, int | float) and size > 0 else DEFAULT_MB) * 2**20)
