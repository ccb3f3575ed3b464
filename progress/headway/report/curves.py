"""Curves in a form a page can carry: few points, one byte a point, base64.

The script `curve.js` unpacks what is packed here; the two must agree on MISSING and STEPS.
"""

import base64
import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from headway.episodes import Array, Episode
from headway.errors import DatasetError

MISSING = 255
STEPS = 250  # a value in [0, 1] is kept to 1/250, under half a pixel of a drawn curve
CODES = 250  # whole numbers from 0 to 249
MOST_CURVES = 8  # of one episode, see pack_curves
LONGEST_NAME = 80  # characters of a stage's name


class FrameRows:
    """The frames table, cut into episodes."""

    def __init__(self, table: pa.Table):
        self.table = table.combine_chunks()
        owners = self.table["episode_index"].to_numpy()
        edges = np.flatnonzero(np.diff(owners, prepend=owners[:1] - 1, append=owners[-1:] + 1))
        self.spans = {int(owners[start]): (int(start), int(end)) for start, end in itertools.pairwise(edges)}

    def column(self, episode_index: int, name: str, length: int) -> Array | None:
        """A column over one episode, float64 (time,) with NaN for nulls; None where it has no value at all.

        Raises DatasetError when the table does not hold exactly `length` frames of that episode.
        """
        start, end = self.spans.get(episode_index, (0, 0))
        if end - start != length:
            raise DatasetError(
                f"the scores hold {end - start} frames of episode {episode_index} and the dataset {length}; "
                "the dataset has changed since: score it again"
            )
        if name not in self.table.column_names:
            return None
        values = self.table[name].slice(start, length)
        if values.null_count == length:
            return None
        return values.to_numpy(zero_copy_only=False).astype(np.float64)


class StageNames:
    """Stage names, numbered as they come.

    Attributes:
        estimated: what the estimator calls the stages it counts.
        codes: name -> its number on the page; names past the first 249 share the last number.
    """

    def __init__(self, estimated: Sequence[str]):
        self.estimated = list(estimated)
        self.codes: dict[str, int] = {}
        for name in self.estimated:
            self.code(name)

    def code(self, name: str) -> int:
        """The number of a name."""
        return self.codes.setdefault(name[:LONGEST_NAME], min(len(self.codes), CODES - 1))

    def codes_of(self, stages: Array, names: Sequence[str]) -> Array:
        """Turn (point,) indices into `names`, or NaN, into codes; an index past `names` gets a name of its own."""
        codes = np.full(len(stages), np.nan)
        for stage in np.unique(stages[np.isfinite(stages)]).astype(int):
            name = names[stage] if 0 <= stage < len(names) else f"stage {stage}"
            codes[stages == stage] = self.code(name)
        return codes


def pack_curves(rows: FrameRows, episode: Episode, names: StageNames, points: int) -> dict[str, str]:
    """The curves there are of an episode, packed, by the names that the page's script knows.

    Args:
        rows: the frames table.
        episode: the episode; nothing of it is decoded.
        names: where the names of stages are numbered.
        points: how many points a curve may have.
    """
    at = sample_frames(len(episode), points)
    packed: dict[str, str] = {}
    for key, name in (
        ("progress", "progress_sparse"),
        ("uncertainty", "uncertainty"),
        ("success", "success"),
        ("looked", "looked_at"),
        ("weight", "weight"),
    ):
        values = rows.column(episode.index, name, len(episode))
        if values is not None:
            packed[key] = pack_unit(values[at])
    stage = rows.column(episode.index, "stage", len(episode))
    if stage is not None:
        packed["stage"] = pack_codes(names.codes_of(stage[at], names.estimated))
    if episode.truth is not None:
        packed["truth"] = pack_unit(episode.truth.progress[at])
    marked = _marked(episode, names)
    if marked is not None:
        packed["marked"] = pack_codes(marked[at])
    return packed


def _marked(episode: Episode, names: StageNames) -> Array | None:
    """The true stage of every frame, or the annotated one, as codes; NaN between annotated stages."""
    if episode.truth is not None:
        return names.codes_of(episode.truth.stage.astype(np.float64), episode.truth.stage_names)
    if not episode.stages:
        return None
    codes = np.full(len(episode), np.nan)
    for stage in episode.stages:
        codes[stage.start : stage.end] = names.code(stage.name)
    return codes


def sample_frames(length: int, points: int) -> Array:
    """At most `points` frame numbers, evenly spread over `length` frames with both ends, int64, rising."""
    return np.linspace(0, length - 1, min(points, length)).round().astype(np.int64)


def pack_unit(values: Array) -> str:
    """Pack (point,) values in [0, 1], or NaN; values outside are drawn at the edge."""
    known = np.isfinite(values)
    steps = np.clip(np.where(known, values, 0.0), 0.0, 1.0) * STEPS
    return _base64(np.where(known, steps.round(), MISSING))


def pack_codes(values: Array) -> str:
    """Pack (point,) whole numbers from 0 to CODES - 1, or NaN; larger ones count as CODES - 1."""
    known = np.isfinite(values)
    return _base64(np.where(known, np.clip(np.where(known, values, 0), 0, CODES - 1), MISSING))


def _base64(values: Array) -> str:
    return base64.b64encode(values.astype(np.uint8).tobytes()).decode()
