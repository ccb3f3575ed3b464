"""The scores of a dataset, re-indexed for what a filter left of it."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headway.episodes import ProgressCurve
from headway.files import make_folder, write_json
from headway.scoring import ranked
from headway.signals.segments import Piece
from headway.signals.selection import Curves
from headway.signals.summary import summarise
from headway.source import Source
from headway.tables import EPISODES, FRAMES, RUN, Scores, write_table


def write_filtered_scores(
    scores: Scores, pieces: Sequence[Piece], dataset: Source, out: Path, place: Mapping[str, str]
) -> None:
    """Write a SCORES folder for the filtered dataset, from the very readings of the old one; nothing is scored anew.

    A piece's row is read off its part of the curve; what cannot be, such as a count of defects, is null. Ranks are
    given anew.

    Args:
        scores: of the dataset that was filtered.
        pieces: what stayed, in order; piece number i is episode i of `dataset`.
        dataset: the filtered dataset.
        out: the folder to make.
        place: the dataset's `path` and `format`, as `run.json` names them.
    """
    make_folder(out)
    write_table(out / FRAMES, _frames(scores, pieces))
    rows = ranked(_rows(scores, pieces, dataset))
    write_table(out / EPISODES, pa.Table.from_pylist(rows, schema=scores.episodes.schema))
    run = scores.run
    options = run["identity"].get("options") or {}
    identity = {"dataset": dataset.fingerprint, "options": {**options, "episodes": None}}
    changes: dict[str, Any] = {
        "identity": {**run["identity"], **identity},
        "dataset": dict(place),
        "episodes": len(rows),
        "frames": sum(map(len, pieces)),
        "unscored": [row["episode_index"] for row in rows if row.get("final") is None and row.get("success") is None],
        "in_sample": sum(bool(row["in_sample"]) for row in rows),
        "filtered_from": {"scores": str(scores.root.resolve()), "dataset": run["dataset"]},
    }
    write_json(out / RUN, {**run, **changes})


def _frames(scores: Scores, pieces: Sequence[Piece]) -> pa.Table:
    """The pieces' rows of the frames table, renumbered."""
    curves = Curves(scores)
    taken = [np.arange(piece.start, piece.end) + curves.rows(piece.episode)[0] for piece in pieces]
    lengths = [len(piece) for piece in pieces]
    table = scores.frames.take(pa.array(np.concatenate(taken)))
    columns = {
        "index": np.arange(sum(lengths)),
        "episode_index": np.repeat(np.arange(len(pieces)), lengths),
        "frame_index": np.concatenate([np.arange(length) for length in lengths]),
    }
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.int64()))
    return table.replace_schema_metadata(scores.frames.schema.metadata)


def _rows(scores: Scores, pieces: Sequence[Piece], dataset: Source) -> list[dict[str, Any]]:
    rows = {row["episode_index"]: row for row in scores.episodes.to_pylist()}
    found = []
    for number, piece in enumerate(pieces):
        row = rows[piece.episode]
        if not piece.whole:
            curve = _part(scores.progress_curve(piece.episode), piece)
            episode = replace(dataset.episode(number), instruction=row["instruction"])
            row = {"rank": None, **summarise(episode, curve)}
        found.append({**row, "episode_index": number})
    return found


def _part(curve: ProgressCurve, piece: Piece) -> ProgressCurve:
    values = {part.name: getattr(curve, part.name) for part in fields(curve)}
    parts: dict[str, Any] = {
        name: value[piece.start : piece.end] for name, value in values.items() if isinstance(value, np.ndarray)
    }
    return replace(curve, **parts)
