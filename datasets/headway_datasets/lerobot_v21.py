"""Reading LeRobot v2.1 and v2.0 datasets: their metadata are put into the words of v3.0, whose reader does the rest.

v2 has a parquet file and, for each camera, an mp4 file an episode, and lists episodes and tasks in lines of JSON. v2.1
added statistics of each episode to v2.0; statistics are not read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from headway.episodes import Episode
from headway.errors import DatasetError
from headway_datasets import lerobot_layout as layout
from headway_datasets.lerobot_meta import (
    Metadata,
    check_counts,
    check_files,
    half_written,
    picture_keys,
    read_info,
    read_json,
    read_optional,
)
from headway_datasets.lerobot_v3 import LeRobotV3

VERSION = "v2.1"
EPISODES = "meta/episodes.jsonl"
TASKS = "meta/tasks.jsonl"
VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
CHUNK = 1000


class LeRobotV21:
    """A LeRobot v2.1 or v2.0 dataset in a local folder (`headway.source.Source`).

    Everything is as in `headway_datasets.lerobot_v3.LeRobotV3`; marks, `success` and `kind` are entries of
    `meta/episodes.jsonl` where there are any.

    Raises DatasetError when the dataset is of another version, half-written or has an empty episode, and UnknownName
    for a rename of a camera that does not exist.
    """

    format = "lerobot-v2.1"

    def __init__(self, root: Path | str, rename: Mapping[str, str] | None = None):
        self.root = Path(root)
        self._source = LeRobotV3(self.root, rename, read_metadata(self.root))
        self.fps = self._source.fps
        self.fingerprint = self._source.fingerprint
        self.cameras = self._source.cameras
        self.episode_indices: Sequence[int] = self._source.episode_indices
        self.stage_names = self._source.stage_names
        self.dense_stage_names = self._source.dense_stage_names

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator[Episode]:
        return iter(self._source)

    def __repr__(self) -> str:
        return f"LeRobotV21({str(self.root)!r}, episodes={len(self)}, cameras={list(self.cameras)})"

    def episode(self, index: int) -> Episode:
        """One episode by its number; its pictures are not decoded yet.

        Raises UnknownName for a number that is not in the dataset, DatasetError when its data are damaged.
        """
        return self._source.episode(index)


def is_v2(root: Path) -> bool:
    """Whether a folder says of itself that it is a LeRobot dataset of version 2; a broken one does not."""
    try:
        return str(read_json(root / layout.INFO).get("codebase_version")).startswith("v2.")
    except DatasetError:
        return False


def read_metadata(root: Path) -> Metadata:
    """What `meta/` says, as v3.0 would. Raises DatasetError in one line when it is not whole."""
    info = read_info(root, (VERSION,))
    video_keys = picture_keys(info, "video")
    rows = sorted(_read_rows(root), key=lambda row: row["episode_index"])
    check_counts(root, info, rows, EPISODES)
    size = info.get("chunks_size", CHUNK)
    if type(size) is not int or size < 1:
        raise half_written(root, f"{layout.INFO} has chunks_size {size!r}")
    starts = accumulate((row["length"] for row in rows), initial=0)
    metadata = Metadata(
        root=root,
        info=info
        | {
            "data_path": _v3_path(root, info["data_path"]),
            "video_path": _v3_path(root, info.get("video_path") or VIDEO_PATH),
        },
        rows={
            row["episode_index"]: row | _place(row["episode_index"], size, video_keys) | {"dataset_from_index": start}
            for row, start in zip(rows, starts, strict=False)
        },
        tasks={int(row["task_index"]): row["task"] for row in _read_tasks(root)},
        video_keys=video_keys,
        image_keys=picture_keys(info, "image"),
        headway=read_optional(root / layout.HEADWAY),
        proportions={
            granularity: read_optional(root / layout.PROPORTIONS.format(granularity=granularity))
            for granularity in layout.GRANULARITIES
        },
    )
    check_files(metadata)
    return metadata


def _place(index: int, chunk: int, video_keys: Sequence[str]) -> dict[str, Any]:
    """Where an episode's files are, in the columns of v3.0: a file is an episode, and begins with it."""
    prefixes = ["data", *(f"videos/{key}" for key in video_keys)]
    place: dict[str, Any] = {f"{prefix}/chunk_index": index // chunk for prefix in prefixes}
    place |= {f"{prefix}/file_index": index for prefix in prefixes}
    return place | {f"videos/{key}/from_timestamp": 0.0 for key in video_keys}


def _v3_path(root: Path, template: Any) -> str:
    """A path's template with v3.0's names of its places."""
    try:
        path = str(template).replace("{episode_chunk", "{chunk_index").replace("{episode_index", "{file_index")
        path.format(chunk_index=0, file_index=0, video_key="")
    except (LookupError, ValueError, AttributeError) as error:
        raise half_written(root, f"{layout.INFO} has the path {template!r}, which names no file") from error
    return path


def _read_rows(root: Path) -> list[dict[str, Any]]:
    rows = _read_lines(root, EPISODES)
    for number, row in enumerate(rows, 1):
        if type(row.get("episode_index")) is not int or type(row.get("length")) is not int or row["episode_index"] < 0:
            raise half_written(root, f"line {number} of {EPISODES} has no episode_index and length")
        if not isinstance(row.get("success"), bool | None) or not isinstance(row.get("kind"), str | None):
            raise half_written(root, f"line {number} of {EPISODES} has a success or kind of another type")
    return rows


def _read_tasks(root: Path) -> list[dict[str, Any]]:
    rows = _read_lines(root, TASKS)
    for number, row in enumerate(rows, 1):
        if type(row.get("task_index")) is not int or not isinstance(row.get("task"), str):
            raise half_written(root, f"line {number} of {TASKS} has no task_index and task")
    return rows


def _read_lines(root: Path, name: str) -> list[dict[str, Any]]:
    """A file of one JSON object a line."""
    path = root / name
    if not path.is_file():
        raise half_written(root, f"{name} is missing")
    rows = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                rows.append(json.loads(line))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not readable JSON lines ({str(error).splitlines()[0]}); restore it") from error
    if not all(isinstance(row, dict) for row in rows):
        raise DatasetError(f"{path} should hold a JSON object a line, holds something else too; restore it")
    return rows
