"""Marks put into a LeRobot dataset's own columns, only when asked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headway.episodes import Episode, Stage
from headway.errors import DatasetError, OutputError, Unsupported
from headway.files import replacing, write_json
from headway.label.marks import EpisodeMarks, Marks, marks_of
from headway.source import Source
from headway_datasets import lerobot_layout as layout
from headway_datasets.lerobot_meta import read_parquet
from headway_datasets.lerobot_parts import ANNOTATION, annotation_columns
from headway_datasets.lerobot_v3 import LeRobotV3
from headway_datasets.marks import PREFIX, check_same, proportions

RECORD = "meta/headway_marks.json"
SUCCESS = "success"


def install_marks(marks: Marks, source: Source, replace_others: bool = False) -> Marks:
    """Write marks into `meta/episodes/*.parquet` and the proportions beside, where lerobot trains from them.

    What is not marked stays as the dataset has it. What was installed is noted in `meta/headway_marks.json`, so that
    later marks may take its place. Cut off in between, it is whole after a second run: each file is replaced at once,
    and the note is written last.

    Args:
        marks: of this dataset.
        source: the dataset, opened in any way; its folder is read anew.
        replace_others: also replace stages and success that Headway did not install.

    Returns:
        The marks with the dataset's new fingerprint, to be kept in place of the old.

    Raises:
        Unsupported: it is no LeRobot v3 dataset.
        OutputError: it holds another's annotation, or cannot be written.
        DatasetError: the marks are of another dataset, or an unmarked episode has stages of other names.
    """
    if source.format != LeRobotV3.format:
        raise Unsupported(
            f"marks go into LeRobot v3 datasets; {source.root} is a {source.format}: leave them in their folder"
        )
    dataset = LeRobotV3(source.root)
    record = _read_record(dataset.root / RECORD)
    if not replace_others:
        _refuse_others(dataset, marks, record)
    said = _said(dataset, marks, record)
    _write_rows(dataset, said)
    names = tuple(dict.fromkeys([*marks.stage_names, *(dataset.stage_names or ())]))
    if any(each.stages for each in marks.episodes.values()) or any(each.get("stages") for each in record.values()):
        write_json(dataset.root / layout.PROPORTIONS.format(granularity=layout.SPARSE), proportions(said, names))
    write_json(dataset.root / RECORD, {"made_by": marks.made_by, "episodes": _as_record(marks)})
    return _of_the_dataset_now(marks, dataset.root)


def _refuse_others(dataset: LeRobotV3, marks: Marks, record: Mapping[str, Any]) -> None:
    """Raises OutputError where a mark would take the place of another's."""
    for index, own in marks.episodes.items():
        episode = dataset.episode(index)
        before = record.get(str(index), {})
        for word, there, new in (
            ("stages", _listed(episode.stages), _listed(own.stages)),
            (SUCCESS, episode.success, own.success),
        ):
            if None not in (there, new) and there not in (new, before.get(word)):
                raise OutputError(
                    f"{dataset.root}: episode {index} has another's {word} already; they are not replaced without "
                    "--replace"
                )


def _said(dataset: LeRobotV3, marks: Marks, record: Mapping[str, Any]) -> dict[int, EpisodeMarks]:
    """What the dataset will say of each of its episodes."""
    absent = sorted(set(marks.episodes) - set(dataset.episode_indices))
    if absent:
        raise DatasetError(f"episode {absent[0]} is marked, but {dataset.root} has no such episode")
    said = {}
    for episode in dataset:
        own = marks.episodes.get(episode.index, marks_of(episode, None, None))
        check_same(episode, own, marks.fingerprint == dataset.fingerprint)
        before = record.get(str(episode.index), {})
        stages, success = own.stages, own.success
        # what Headway put there and the person has taken back since goes; what others say stays
        if stages is None and _listed(episode.stages) != before.get("stages"):
            stages = episode.stages
        if success is None and episode.success != before.get(SUCCESS):
            success = episode.success
        said[episode.index] = marks_of(episode, stages, success)
        _check_names(dataset, marks, said[episode.index], episode)
    return said


def _check_names(dataset: LeRobotV3, marks: Marks, said: EpisodeMarks, episode: Episode) -> None:
    foreign = [stage.name for stage in said.stages or () if stage.name not in marks.stage_names]
    if foreign and any(each.stages for each in marks.episodes.values()):
        raise DatasetError(
            f"{dataset.root}: episode {episode.index} has the stage {foreign[0]!r}, which is not among the marks' own "
            f"({', '.join(marks.stage_names)}); mark that episode too"
        )


def _write_rows(dataset: LeRobotV3, said: Mapping[int, EpisodeMarks]) -> None:
    """All files get the same columns: lerobot reads them as one table."""
    with_success = any(each.success is not None for each in said.values())
    paths = sorted((dataset.root / layout.EPISODES).glob("*/*.parquet"))
    for path in paths:
        table = read_parquet(path)
        try:
            table = _with_columns(table, said, with_success)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise DatasetError(f"{path} has an annotation that cannot be rewritten ({error}); correct it") from error
        with replacing(path) as beside:
            # what the writer noted of the columns there were is no longer true
            pq.write_table(table.replace_schema_metadata(None), beside, compression="snappy")


def _with_columns(table: pa.Table, said: Mapping[int, EpisodeMarks], with_success: bool) -> pa.Table:
    rows = [said[index] for index in table["episode_index"].to_pylist()]
    values = [annotation_columns(layout.SPARSE, each.stages, each.fps) for each in rows]
    # lerobot's annotator keeps the older columns too, and some of its readers look there
    older = [""] if layout.SUBTASK_NAMES in table.column_names else []
    for prefix in (PREFIX, *older):
        for name, kind in ANNOTATION.items():
            column = [each.get(PREFIX + name) for each in values]
            table = _put(table, prefix + name, pa.array(column, pa.list_(kind)))
    if with_success:
        table = _put(table, SUCCESS, pa.array([each.success for each in rows], pa.bool_()))
    return table


def _put(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


def _as_record(marks: Marks) -> dict[str, Any]:
    return {
        str(index): {"stages": _listed(each.stages), SUCCESS: each.success} for index, each in marks.episodes.items()
    }


def _listed(stages: Sequence[Stage] | None) -> list[list[Any]] | None:
    return [[stage.name, stage.start, stage.end] for stage in stages] if stages else None


def _read_record(path: Path) -> Mapping[str, Any]:
    """What was installed before, by episode; a note that cannot be read counts as none, which replaces less."""
    try:
        episodes = json.loads(path.read_text(encoding="utf-8"))["episodes"]
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return episodes if isinstance(episodes, dict) else {}


def _of_the_dataset_now(marks: Marks, root: Path) -> Marks:
    dataset = LeRobotV3(root)
    episodes = {
        index: replace(each, recording=dataset.episode(index).recording) for index, each in marks.episodes.items()
    }
    return replace(marks, episodes=episodes, fingerprint=dataset.fingerprint)
