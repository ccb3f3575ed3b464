"""Marks on disk, apart from the dataset they are of, and a dataset seen with them.

A MARKS folder holds `episodes.parquet`, one row a marked episode in lerobot's own columns (`episode_index`,
`sparse_subtask_*`) with `success`, `length`, `fps` and `recording`; `temporal_proportions_sparse.json`, as lerobot
declares the stages' shares of time; and `marks.json` with who made the marks, the stages in order and the dataset's
fingerprint.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headway.episodes import Episode, Stage
from headway.errors import DatasetError, HeadwayError
from headway.files import make_folder, replacing, write_json
from headway.label.marks import EpisodeMarks, Marks
from headway.source import Source
from headway_datasets import lerobot_layout as layout
from headway_datasets.annotation import declared_proportions, stages_from_marks
from headway_datasets.lerobot_meta import read_parquet
from headway_datasets.lerobot_parts import ANNOTATION, annotation_columns

ABOUT = "marks.json"
EPISODES = "episodes.parquet"
PROPORTIONS = Path(layout.PROPORTIONS.format(granularity=layout.SPARSE)).name
PREFIX = f"{layout.SPARSE}_"
SCHEMA = pa.schema(
    [
        ("episode_index", pa.int64()),
        ("length", pa.int64()),
        ("fps", pa.float64()),
        ("recording", pa.string()),
        ("success", pa.bool_()),
        *((PREFIX + name, pa.list_(kind)) for name, kind in ANNOTATION.items()),
    ]
)


def write_marks(folder: Path, marks: Marks) -> None:
    """Write marks, each file atomically; a folder cut off in between is read as it was or as it is now.

    Raises OutputError where `folder` cannot be written.
    """
    make_folder(folder)
    about = {
        "made_by": marks.made_by,
        "dataset_fingerprint": marks.fingerprint,
        "stage_names": list(marks.stage_names),
    }
    # the stages before the marks, which must be of these
    write_json(folder / ABOUT, about)
    rows = [_row(index, marks.episodes[index]) for index in sorted(marks.episodes)]
    with replacing(folder / EPISODES) as beside:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), beside)
    write_json(folder / PROPORTIONS, proportions(marks.episodes, marks.stage_names))


def read_marks(folder: Path) -> Marks:
    """Read what `write_marks` wrote. Raises DatasetError for a folder that is none or is damaged."""
    about = _read_about(folder)
    rows: list[dict[str, Any]] = []
    if (folder / EPISODES).exists():
        table = read_parquet(folder / EPISODES)
        try:
            rows = table.select(SCHEMA.names).cast(SCHEMA).to_pylist()
        except (KeyError, ValueError, pa.ArrowException) as error:
            raise _damaged(folder / EPISODES, error) from error
    try:
        episodes = {row["episode_index"]: _episode_marks(row, folder) for row in rows}
        return Marks(tuple(about["stage_names"]), episodes, about["made_by"], about["dataset_fingerprint"])
    except (TypeError, ValueError) as error:
        raise _damaged(folder / EPISODES, error) from error


def proportions(episodes: Mapping[int, EpisodeMarks], names: Sequence[str]) -> dict[str, float]:
    """The marked stages' mean shares of time, in the order of `names`; a stage that nobody marked is left out."""
    shares = declared_proportions([marks.stages for marks in episodes.values() if marks.stages])
    return {name: shares[name] for name in names if name in shares}


def with_marks(source: Source, marks: Marks) -> "MarkedSource":
    """A source whose stages and success are those of `marks`; see MarkedSource."""
    return MarkedSource(source, marks)


class MarkedSource:
    """A dataset seen with marks that are kept apart from it (`headway.source.Source`).

    What is marked in an episode takes the place of what the dataset says; the rest stays. Stages that the dataset
    itself has go on counting in unmarked episodes where all their names are among the marks' own, so that two
    annotations of different stages are never mixed. Marks without any stage leave all stages as they are.

    Raises DatasetError when an episode is marked that the dataset lacks; `episode` raises it for marks of another
    recording.
    """

    def __init__(self, source: Source, marks: Marks):
        absent = sorted(set(marks.episodes) - set(source.episode_indices))
        if absent:
            raise DatasetError(
                f"episode {absent[0]} is marked, but {source.root} has no such episode; these are another's marks"
            )
        self._source = source
        self._marks = marks
        self._staged = any(each.stages for each in marks.episodes.values())
        self.root = source.root
        self.format = source.format
        self.fingerprint = hashlib.sha256(f"{source.fingerprint}\n{marks}".encode()).hexdigest()[:16]
        self.cameras = source.cameras
        self.episode_indices = source.episode_indices
        self.stage_names = marks.stage_names if self._staged else source.stage_names
        self.dense_stage_names = source.dense_stage_names

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(index) for index in self.episode_indices)

    def __repr__(self) -> str:
        return f"MarkedSource({self._source!r}, marked={len(self._marks.episodes)})"

    def episode(self, index: int) -> Episode:
        """One episode by its number, as marked. Raises UnknownName or DatasetError."""
        episode = self._source.episode(index)
        marks = self._marks.episodes.get(index)
        if marks is not None:
            check_same(episode, marks, self._marks.fingerprint == self._source.fingerprint)
        stages = marks.stages if marks is not None and marks.stages else self._own(episode)
        said = None if marks is None else marks.success
        return replace(episode, stages=stages, success=episode.success if said is None else said)

    def _own(self, episode: Episode) -> tuple[Stage, ...] | None:
        known = all(stage.name in self._marks.stage_names for stage in episode.stages or ())
        return episode.stages if known or not self._staged else None


def check_same(episode: Episode, marks: EpisodeMarks, same_dataset: bool = False) -> None:
    """Raises DatasetError when an episode is not the one that was marked."""
    if len(episode) != marks.length:
        raise DatasetError(
            f"episode {episode.index} has {len(episode)} frames, the marked one has {marks.length}; these are marks of "
            "another dataset: name another folder of marks"
        )
    known = episode.recording is not None and marks.recording is not None
    if known and not same_dataset and episode.recording != marks.recording:
        raise DatasetError(
            f"episode {episode.index} is not the recording that was marked; these are marks of another dataset, or it "
            "was recorded again: name another folder of marks"
        )


def _row(index: int, marks: EpisodeMarks) -> dict[str, Any]:
    return {
        "episode_index": index,
        "length": marks.length,
        "fps": marks.fps,
        "recording": marks.recording,
        "success": marks.success,
        **annotation_columns(layout.SPARSE, marks.stages, marks.fps),
    }


def _episode_marks(row: Mapping[str, Any], folder: Path) -> EpisodeMarks:
    parts = (layout.SUBTASK_NAMES, layout.SUBTASK_STARTS, layout.SUBTASK_ENDS)
    names, starts, ends = (row[PREFIX + part] for part in parts)
    stages = None
    if names is not None:
        where = f"{folder / EPISODES}: episode {row['episode_index']}"
        stages = stages_from_marks(list(zip(names, starts, ends, strict=True)), row["length"], where)
    return EpisodeMarks(row["length"], row["fps"], stages or None, row["success"], row["recording"])


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / ABOUT
    if not path.is_file():
        raise DatasetError(f"{folder} holds no marks ({ABOUT} is missing); give a folder that headway label wrote")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        texts = [about["made_by"], about["dataset_fingerprint"], *about["stage_names"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _damaged(path, error) from error
    if not all(isinstance(text, str) for text in texts) or not isinstance(about["stage_names"], list):
        raise _damaged(path, TypeError("something in it is no text"))
    return dict(about)


def _damaged(path: Path, error: Exception) -> HeadwayError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DatasetError(f"{path} does not hold marks ({reason}); restore it, or name another folder of marks")
