"""The metadata of a LeRobot v3 dataset on disk, checked for being whole."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headway.errors import DatasetError
from headway_datasets import lerobot_layout as layout

NEEDED = (
    "episode_index",
    "length",
    "data/chunk_index",
    "data/file_index",
    "dataset_from_index",
)
PLACE = ("chunk_index", "file_index", "from_timestamp")


@dataclass(frozen=True)
class Metadata:
    """What `meta/` says.

    Attributes:
        root: the dataset's folder.
        info: `info.json`.
        rows: the episode table without statistics, one mapping of column to value an episode, by number.
        tasks: task index -> instruction.
        video_keys, image_keys: features that hold colour pictures, in mp4 files and in the parquet files.
        headway: `headway.json`, empty when there is none.
        proportions: granularity (`sparse`, `dense`) -> the annotated stages' shares of time, in the task's order;
            empty when not declared.
    """

    root: Path
    info: Mapping[str, Any]
    rows: Mapping[int, Mapping[str, Any]]
    tasks: Mapping[int, str]
    video_keys: tuple[str, ...]
    image_keys: tuple[str, ...]
    headway: Mapping[str, Any]
    proportions: Mapping[str, Mapping[str, float]]

    def data_path(self, row: Mapping[str, Any]) -> Path:
        """The parquet file with an episode's frames."""
        place = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
        return self.root / self.info["data_path"].format(**place)

    def video_path(self, row: Mapping[str, Any], key: str) -> Path:
        """The video file with an episode's pictures of one camera."""
        place = {name: row[f"videos/{key}/{name}"] for name in ("chunk_index", "file_index")}
        template = self.info.get("video_path") or layout.VIDEO_PATH
        return self.root / template.format(video_key=key, **place)

    def files(self) -> list[Path]:
        """Every file that belongs to the dataset, each once."""
        paths = [path for path in (self.root / "meta").rglob("*") if path.is_file()]
        paths += {self.data_path(row) for row in self.rows.values()}
        paths += {self.video_path(row, key) for row in self.rows.values() for key in self.video_keys}
        return paths


def read_metadata(root: Path) -> Metadata:
    """Read `meta/` and see that the files it names exist.

    Raises DatasetError in one line when the dataset is of another version, half-written or has an empty episode.
    """
    info = read_info(root, (layout.VERSION,))
    video_keys = picture_keys(info, "video")
    rows = _read_rows(root, video_keys)
    check_counts(root, info, rows)
    metadata = Metadata(
        root=root,
        info=info,
        rows={int(row["episode_index"]): row for row in sorted(rows, key=lambda row: int(row["episode_index"]))},
        tasks=_read_tasks(root),
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


def check_files(metadata: Metadata) -> None:
    """That every file of the dataset exists; raises DatasetError that names the first ones missing."""
    root = metadata.root
    missing = sorted(path.relative_to(root) for path in metadata.files() if not path.is_file())
    if missing:
        raise half_written(root, f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} missing")


def read_parquet(path: Path, wanted: Callable[[str], bool] = lambda column: True) -> pa.Table:
    """A parquet file's wanted columns; raises DatasetError when it is missing, damaged or was never finished."""
    try:
        # pq.read_table would import pandas, which takes a second
        with pq.ParquetFile(path) as file:
            return file.read([name for name in file.schema_arrow.names if wanted(name)])
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(
            f"{path} cannot be read ({_first_line(error)}); it is damaged, or the recording ended without lerobot's "
            "`finalize()`: copy the dataset again or record it again"
        ) from error


def read_info(root: Path, versions: Sequence[str]) -> dict[str, Any]:
    """`info.json` of a dataset whose version begins like one of `versions` (`v3` of `v3.0`, `v2` of `v2.1`).

    Raises DatasetError for another version, or when it is missing or lacks what is needed.
    """
    if not (root / layout.INFO).is_file():
        raise half_written(root, f"{layout.INFO} is missing")
    info = read_json(root / layout.INFO)
    version = str(info.get("codebase_version", "of no stated version"))
    if version.split(".")[0] not in {known.split(".")[0] for known in versions}:
        raise DatasetError(
            f"{root} is a LeRobot dataset {version}; v3.0, v2.1 and v2.0 are read. An older one is converted by the "
            "lerobot of its time, and a v2.1 one to v3.0 with `python -m lerobot.scripts.convert_dataset_v21_to_v30`"
        )
    absent = [key for key in ("fps", "features", "data_path", "total_episodes", "total_frames") if key not in info]
    if absent:
        raise half_written(root, f"{layout.INFO} lacks {', '.join(absent)}")
    features, fps = info["features"], info["fps"]
    whole = isinstance(features, dict) and all(isinstance(entry, dict) for entry in features.values())
    if not whole or not isinstance(fps, int | float) or not fps > 0:
        raise half_written(root, f"{layout.INFO} has no features, or no frames per second above 0")
    return info


def _read_rows(root: Path, video_keys: Iterable[str]) -> list[dict[str, Any]]:
    """The episode table's rows, without the columns of statistics."""
    paths = sorted((root / layout.EPISODES).glob("*/*.parquet"))
    if not paths:
        raise half_written(root, f"no episode table is in {layout.EPISODES}")
    needed = [*NEEDED, *(f"videos/{key}/{name}" for key in video_keys for name in PLACE)]
    rows: list[dict[str, Any]] = []
    for path in paths:
        table = read_parquet(path, lambda column: not column.startswith("stats/"))
        absent = [name for name in needed if name not in table.column_names]
        if absent:
            raise half_written(root, f"{path.relative_to(root)} lacks the columns {_listed(absent)}")
        rows += table.to_pylist()
    return rows


def check_counts(
    root: Path, info: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], table: str = layout.EPISODES
) -> None:
    """That the episode table has episodes with frames, each once, and as many as `info.json` promises."""
    if not rows:
        raise DatasetError(f"{root} holds no episodes; record some first")
    empty = [row["episode_index"] for row in rows if not row["length"] or row["length"] < 1]
    if empty:
        raise DatasetError(f"{root}: episode {_listed(empty)} has no frames; delete it with lerobot-edit-dataset")
    if len({row["episode_index"] for row in rows}) < len(rows):
        raise half_written(root, f"{table} lists an episode twice")
    frames = sum(row["length"] for row in rows)
    for name, found in (("total_episodes", len(rows)), ("total_frames", frames)):
        if info[name] != found:
            raise half_written(root, f"{layout.INFO} promises {name} {info[name]}, {table} has {found}")


def _read_tasks(root: Path) -> dict[int, str]:
    path = root / layout.TASKS
    if not path.is_file():
        raise half_written(root, f"{layout.TASKS} is missing")
    table = read_parquet(path)
    texts = [field.name for field in table.schema if field.type in (pa.string(), pa.large_string())]
    if "task_index" not in table.column_names or not texts:
        raise half_written(root, f"{layout.TASKS} has no column of tasks beside task_index")
    column = "task" if "task" in texts else texts[0]
    return dict(zip(table["task_index"].to_pylist(), table[column].to_pylist(), strict=True))


def picture_keys(info: Mapping[str, Any], dtype: str) -> tuple[str, ...]:
    """Features of colour pictures; depth maps are left out, as no estimator reads them."""
    return tuple(
        key
        for key, entry in info["features"].items()
        if entry.get("dtype") == dtype
        and not any((entry.get("info") or {}).get(name) for name in ("is_depth_map", "video.is_depth_map"))
    )


def read_optional(path: Path) -> dict[str, Any]:
    """A file's JSON object; empty when there is no such file."""
    return read_json(path) if path.exists() else {}


def read_json(path: Path) -> dict[str, Any]:
    """A file's JSON object. Raises DatasetError when it is missing, broken or something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} is not readable JSON ({_first_line(error)}); restore it") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} should hold a JSON object, holds a {type(content).__name__}; restore it")
    return content


def half_written(root: Path, why: str) -> DatasetError:
    """The one line that says what a dataset lacks."""
    return DatasetError(f"{root} is not a whole LeRobot dataset: {why}; copy it again or record it again")


def _listed(things: Sequence[object]) -> str:
    shown = ", ".join(str(thing) for thing in things[:3])
    return shown if len(things) <= 3 else f"{shown} and {len(things) - 3} more"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
