"""What Headway keeps of an episode in a robomimic file beyond robomimic's own layout: the group `headway` of a demo.

It holds the text `episode` (JSON: instruction, success, kind, recording, stages, dense stages, what the values of state
and action are, and the names of the truth's parts), and one dataset for each array of the truth and for the timestamps.
robomimic passes over it.
"""

import json
from typing import Any

import h5py
import numpy as np

from headway.episodes import Array, Episode, Stage, Truth
from headway.errors import DatasetError, InvalidValue
from headway_datasets.annotation import stages_from_marks
from headway_datasets.hdf5 import dataset_at, group_at, json_object, numbers, text

GROUP = "headway"
EPISODE = "episode"
TIMESTAMPS = "timestamps"
NAMES = ("state_names", "action_names")
TEXTS = ("instruction", "kind", "recording")
MARKS = ("stages", "dense_stages")
TRUTH_ARRAYS: dict[str, type] = {
    "progress": np.float32,
    "stage": np.int64,
    "success": np.bool_,
    "imperfection": np.bool_,
    "value": np.float32,
    "value_interval": np.float32,
}
TRUTH_NAMES = ("stage_names", "proportions", "imperfections")


def write_extras(demo: h5py.Group, episode: Episode) -> None:
    """Write the group `headway` of a demo."""
    group = demo.create_group(GROUP)
    said: dict[str, Any] = {name: getattr(episode, name) for name in TEXTS}
    said["success"] = episode.success
    said |= {name: getattr(episode, name) and list(getattr(episode, name)) for name in NAMES}
    for name in MARKS:
        stages: tuple[Stage, ...] | None = getattr(episode, name)
        said[name] = None if stages is None else [[stage.name, stage.start, stage.end] for stage in stages]
    truth = episode.truth
    if truth is not None:
        said["truth"] = {name: list(getattr(truth, name)) for name in TRUTH_NAMES}
        arrays = {name: getattr(truth, name) for name in TRUTH_ARRAYS}
        for name, values in arrays.items():
            if values is not None:
                group.create_dataset(f"truth_{name}", data=values.astype(TRUTH_ARRAYS[name]))
    if episode.timestamps is not None:
        group.create_dataset(TIMESTAMPS, data=episode.timestamps.astype(np.float64))
    group.create_dataset(EPISODE, data=json.dumps(said), dtype=h5py.string_dtype())


def read_said(demo: h5py.Group) -> dict[str, Any]:
    """The JSON of the group `headway`; empty when there is none. Raises DatasetError when it is damaged."""
    group = group_at(demo, GROUP)
    if group is None:
        return {}
    where = f"{demo.file.filename}: {GROUP}/{EPISODE} of {demo.name}"
    said = json_object(text(dataset_at(group, EPISODE)), where)
    for name in TEXTS:
        if not isinstance(said.get(name), str | None):
            raise DatasetError(f"{where} has {name} {said[name]!r}, not a text; correct it")
    for name in NAMES:
        words = said.get(name)
        if words is not None and not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
            raise DatasetError(f"{where} has {name} that are no list of texts; correct it")
    if not isinstance(said.get("success"), bool | None):
        raise DatasetError(f"{where} has success {said['success']!r}, not true or false; correct it")
    return said


def read_marks(said: dict[str, Any], name: str, length: int, where: str) -> tuple[Stage, ...] | None:
    """The stages or dense stages in it. Raises DatasetError, beginning with `where`."""
    marks = said.get(name)
    if marks is None:
        return None
    whole = isinstance(marks, list) and all(
        isinstance(mark, list) and [type(part) for part in mark] == [str, int, int] for mark in marks
    )
    if not whole:
        raise DatasetError(f"{where}: {name} are no list of name, first and end frame; correct it")
    return stages_from_marks([(name, start, end) for name, start, end in marks], length, where)


def read_truth(demo: h5py.Group, said: dict[str, Any]) -> Truth | None:
    """The truth of a demo, None when it has none. Raises DatasetError when it is damaged."""
    group, names = group_at(demo, GROUP), said.get("truth")
    if group is None or names is None:
        return None
    where = f"{demo.file.filename}: the truth of {demo.name}"
    try:
        words: dict[str, Any] = {name: tuple(names[name]) for name in TRUTH_NAMES}
    except (TypeError, KeyError) as error:
        raise DatasetError(f"{where} does not name its parts {', '.join(TRUTH_NAMES)}; write the file again") from error
    arrays: dict[str, Any] = {name: _array(group, f"truth_{name}", dtype) for name, dtype in TRUTH_ARRAYS.items()}
    missing = [name for name in ("progress", "stage", "success") if arrays[name] is None]
    if missing:
        raise DatasetError(f"{where} lacks {', '.join(missing)}; write the file again")
    try:
        return Truth(**arrays, **words)
    except InvalidValue as error:
        raise DatasetError(f"{where} does not fit together ({error}); write the file again") from error


def read_timestamps(demo: h5py.Group) -> Array | None:
    """The timestamps of a demo, float64 (time,), seconds; None where there are none."""
    group = group_at(demo, GROUP)
    return None if group is None else _array(group, TIMESTAMPS, np.float64)


def read_names(said: dict[str, Any], name: str) -> tuple[str, ...] | None:
    """What the values of a part are, as `state_names` or `action_names` says it."""
    return None if said.get(name) is None else tuple(said[name])


def _array(group: h5py.Group, name: str, dtype: type) -> Array | None:
    found = dataset_at(group, name)
    if found is None:
        return None
    values = numbers(found)
    if values.dtype != dtype:
        raise DatasetError(
            f"{group.file.filename}: {found.name} holds {values.dtype}, {np.dtype(dtype)} needed; write the file again"
        )
    return values
