"""Parts into the three files of a SCORES folder."""

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headway.errors import InvalidValue
from headway.files import replacing, write_json
from headway.scoring.ranking import ranked
from headway.tables import (
    DENSE,
    DENSE_FRAME_SCHEMA,
    EPISODE_SCHEMA,
    EPISODES,
    FRAME_SCHEMA,
    FRAMES,
    OURS,
    RUN,
    write_table,
)

ROWS = 1 << 17
"""Frames in a row group, at least: whole episodes, so that the file depends on nothing but their order."""


@dataclass(frozen=True, repr=False)
class Piece:
    """One episode, as the tables are put together from it.

    Attributes:
        index: of its first frame in the dataset.
        row: its row of the episodes table; a rank in it counts for nothing.
        frames: reads its rows of the frames table.
        dense: whether these have dense progress.
    """

    index: int
    row: dict[str, Any]
    frames: Callable[[], pa.Table]
    dense: bool


@dataclass(frozen=True)
class Made:
    """What of a run is told in run.json, beside what is counted.

    Attributes:
        identity: all that the tables depend on.
        estimator: its name.
        dataset: where it lies and its format.
        stage_names: the names behind the numbers of the `stage` column.
        seconds: that it took.
        facts: what the estimator tells of itself, one a sitting.
    """

    identity: dict[str, Any]
    estimator: str
    dataset: dict[str, Any]
    stage_names: list[str] | None
    seconds: float
    facts: Sequence[Any]


def write_tables(out: Path, pieces: Iterable[Piece], made: Made) -> None:
    """Write the files of a SCORES folder; run.json comes last and marks it finished.

    Memory holds the rows of the episodes and one row group of frames, however many there are. The bytes of both tables
    depend on the pieces alone. Raises InvalidValue where dense progress is known of some of the scored episodes only.
    """
    order = sorted(pieces, key=lambda piece: piece.index)
    rows = sorted((piece.row for piece in order), key=lambda row: row["episode_index"])
    # lerobot's own tables say under this name which model made them
    metadata = {OURS: made.identity["estimator"].encode(), b"reward_model_path": made.estimator.encode()}
    frames = _write_frames(out / FRAMES, order, metadata, made.estimator)
    write_table(out / EPISODES, pa.Table.from_pylist(ranked(rows), schema=EPISODE_SCHEMA))
    run = {
        "identity": made.identity,
        "estimator": made.estimator,
        "dataset": made.dataset,
        "stage_names": made.stage_names,
        "episodes": len(rows),
        "frames": frames,
        "unscored": [row["episode_index"] for row in rows if row.get("final") is None and row.get("success") is None],
        "in_sample": sum(bool(row["in_sample"]) for row in rows),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(made.seconds, 3),
        "facts": list(made.facts),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("headway", "torch", "numpy", "av")},
        },
    }
    write_json(out / RUN, run)


def _write_frames(path: Path, order: Sequence[Piece], metadata: dict[bytes, bytes], name: str) -> int:
    """Write the frames table and count its rows. Where there is dense progress, a failed episode has NaN there."""
    dense = any(piece.dense for piece in order)
    schema = (DENSE_FRAME_SCHEMA if dense else FRAME_SCHEMA).with_metadata(metadata)
    waiting: list[pa.Table] = []
    count = 0
    with replacing(path) as beside, pq.ParquetWriter(beside, schema) as writer:
        for piece in order:
            waiting.append(_rows(piece, dense, name))
            count += len(waiting[-1])
            if sum(map(len, waiting)) >= ROWS:
                writer.write_table(_joined(waiting, schema))
                waiting = []
        if waiting:
            writer.write_table(_joined(waiting, schema))
    return count


def _joined(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    together = pa.concat_tables(tables).combine_chunks()
    return together.cast(schema).replace_schema_metadata(schema.metadata)


def _rows(piece: Piece, dense: bool, name: str) -> pa.Table:
    """One episode's rows of the frames table, without metadata, and with dense progress where others have it."""
    table = piece.frames().replace_schema_metadata(None)
    if not dense or DENSE in table.column_names:
        return table
    if piece.row["reason"] is None:
        raise InvalidValue(
            f"{name} gave dense progress for some episodes but none for episode {piece.row['episode_index']}; an "
            "estimator gives it for all of them or for none"
        )
    unknown = pa.array(np.full(len(table), np.nan), pa.float32())
    return table.append_column(DENSE, unknown).select(DENSE_FRAME_SCHEMA.names)
