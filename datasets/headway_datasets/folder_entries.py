"""What the episodes of a folder of videos are: found from the folder alone, or listed in episodes.csv or .json."""

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headway.errors import DatasetError

VIDEO_SUFFIXES = (".mp4", ".webm", ".gif", ".mkv", ".avi", ".mov", ".m4v")
TABLES = ("episodes.csv", "episodes.json")
KEYFRAMES = "annotated_keyframes.json"
ONLY_CAMERA = "camera"
COLUMNS = ("video", "instruction", "success", "stages", "dense_stages")
TRUE, FALSE, UNKNOWN = ("true", "yes", "1"), ("false", "no", "0"), ("", "none", "null")
MARK = re.compile(r"(?P<name>.+):\s*(?P<start>\d+(?:\.\d+)?)(?P<s1>s?)\s*-\s*(?P<end>\d+(?:\.\d+)?)(?P<s2>s?)")


@dataclass(frozen=True)
class Mark:
    """One stage as somebody wrote it down: from `start` until `end`, in frames, or in seconds of the video."""

    name: str
    start: float
    end: float
    in_seconds: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end)):
            raise ValueError(f"stage {self.name!r} runs from {self.start} to {self.end}; give numbers")

    def frames(self, fps: float) -> tuple[str, int, int]:
        """The stage's name, first frame and end frame."""
        scale = fps if self.in_seconds else 1
        return self.name, round(self.start * scale), round(self.end * scale)


@dataclass(frozen=True)
class Entry:
    """One episode of a folder: camera -> video file, and what is known of it."""

    videos: Mapping[str, Path]
    instruction: str | None = None
    success: bool | None = None
    marks: tuple[Mark, ...] | None = None
    dense_marks: tuple[Mark, ...] | None = None


def read_entries(root: Path) -> list[Entry]:
    """The episodes of a folder, or of a single video file.

    Raises DatasetError for a table that is wrong, naming the row, and for a folder without videos.
    """
    if root.is_file():
        return [Entry({ONLY_CAMERA: root})]
    tables = [root / name for name in TABLES if (root / name).is_file()]
    if len(tables) > 1:
        raise DatasetError(f"{root} has both {' and '.join(TABLES)}; remove one")
    if tables:
        return _listed_entries(root, tables[0])
    if (root / KEYFRAMES).is_file():
        return [_folder_entry(root)]
    entries = list(_found_entries(root))
    if not entries:
        raise DatasetError(f"no video is in {root} or its sub-folders; put {', '.join(VIDEO_SUFFIXES)} files there")
    return entries


def videos_in(folder: Path) -> list[Path]:
    """The video files right in a folder, by name with numbers in order of size; hidden files are left out."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
    return sorted((path for path in found if not path.name.startswith(".")), key=_natural)


def parse_stages(text: str) -> tuple[Mark, ...]:
    """Stages from a table's cell such as `open:0-40;pick:40-90` (frames) or `open:0s-1.5s` (seconds).

    Raises ValueError with the part that is wrong.
    """
    marks = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        match = MARK.fullmatch(part)
        if match is None or match["s1"] != match["s2"]:
            raise ValueError(f"stage {part!r} should read name:first-end in frames, or name:0s-1.5s in seconds")
        in_seconds = bool(match["s1"])
        if not in_seconds and "." in match["start"] + match["end"]:
            raise ValueError(f"stage {part!r} has a fraction of a frame; write 1.5s for seconds")
        marks.append(Mark(match["name"].strip(), float(match["start"]), float(match["end"]), in_seconds))
    return tuple(marks)


def _found_entries(root: Path) -> Iterator[Entry]:
    """A video right in the folder is an episode of one camera, a sub-folder's videos are the cameras of one."""
    singles = videos_in(root)
    folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".") and videos_in(path)]
    for path in sorted([*singles, *folders], key=_natural):
        yield _folder_entry(path) if path.is_dir() else Entry({ONLY_CAMERA: path})


def _folder_entry(folder: Path) -> Entry:
    """An episode whose cameras are the files of one folder, with the key frames that lie beside them."""
    videos = {path.stem: path for path in videos_in(folder)}
    keyframes = folder / KEYFRAMES
    if not videos:
        raise DatasetError(f"{folder} holds no video; put {', '.join(VIDEO_SUFFIXES)} files there")
    return Entry(videos, marks=_read_keyframes(keyframes) if keyframes.is_file() else None)


def _read_keyframes(path: Path) -> tuple[Mark, ...]:
    """Robo-Dopamine's annotation: [{"anotation": name, "start_frame_id": n, "end_frame_id": m}, ...]."""
    marks = []
    for number, item in enumerate(_read_list(path), 1):
        name = item.get("anotation", item.get("annotation"))
        start, end = item.get("start_frame_id"), item.get("end_frame_id")
        if not isinstance(name, str) or not isinstance(start, int) or not isinstance(end, int):
            raise DatasetError(f"{path}: key frame {number} needs anotation, start_frame_id and end_frame_id: {item}")
        marks.append(Mark(name, start, end))
    return tuple(marks)


def _listed_entries(root: Path, table: Path) -> list[Entry]:
    rows = _read_csv(table) if table.suffix == ".csv" else _read_list(table)
    entries = []
    for number, row in enumerate(rows, 1):
        try:
            entries.append(_listed_entry(root, row))
        except ValueError as error:
            raise DatasetError(f"{table}, episode {number}: {error}") from error
    if not entries:
        raise DatasetError(f"{table} lists no episodes; add rows or remove it")
    listed = [path for entry in entries for path in entry.videos.values()]
    named = set(listed)
    if len(named) < len(listed):
        twice = next(path for path in listed if listed.count(path) > 1)
        raise DatasetError(f"{table} lists {twice.name} twice; one recording is one episode")
    left = [path.name for path in videos_in(root) if path not in named]
    if left:
        shown = ", ".join(left[:3]) + (" ..." if len(left) > 3 else "")
        raise DatasetError(f"{table} does not name {len(left)} of the videos beside it ({shown}); add or remove them")
    return entries


def _listed_entry(root: Path, row: Mapping[str, Any]) -> Entry:
    """One row of a table; raises ValueError saying what is wrong with it."""
    cameras = row.get("cameras") or {name: value for name, value in row.items() if name not in COLUMNS and value}
    if not isinstance(cameras, Mapping):
        raise ValueError(f"cameras should map each camera to its file, got {cameras!r}")
    if row.get("video") and cameras:
        raise ValueError(f"give `video` or a file for each camera, not both (cameras {', '.join(cameras)})")
    entry = Entry({name: _inside(root, name, path) for name, path in cameras.items()})
    if row.get("video"):
        path = _inside(root, "video", row["video"])
        entry = _folder_entry(path) if path.is_dir() else Entry({ONLY_CAMERA: path})
    if not entry.videos:
        raise ValueError("no video is named; fill `video` or a camera's column")
    marks = _marks(row, "stages")
    return replace(
        entry,
        instruction=_text(row.get("instruction")),
        success=_success(row.get("success")),
        marks=entry.marks if marks is None else marks,
        dense_marks=_marks(row, "dense_stages"),
    )


def _inside(root: Path, column: str, name: object) -> Path:
    """A file or folder that a table names, which must lie under `root`."""
    relative = Path(str(name).strip())
    path = root / relative
    if relative.is_absolute() or ".." in relative.parts or not path.exists():
        raise ValueError(
            f"{column!r} is {str(name)!r}, which is no file here; columns are {', '.join(COLUMNS)} and cameras' names"
        )
    return path


def _marks(row: Mapping[str, Any], column: str) -> tuple[Mark, ...] | None:
    """The stages in one column of a table's row; raises ValueError, beginning with the column's name."""
    stages = row.get(column)
    if stages is None:
        return None
    try:
        return (parse_stages(stages) or None) if isinstance(stages, str) else _listed_marks(stages)
    except ValueError as error:
        raise ValueError(f"{column}: {error}") from error


def _listed_marks(stages: object) -> tuple[Mark, ...]:
    """Stages of a JSON table: [{"name", "start", "end"}] in frames, or with "start_s" and "end_s" in seconds."""
    if not isinstance(stages, list) or not all(isinstance(stage, Mapping) for stage in stages):
        raise ValueError(f"stages should be a list of objects with name, start and end, got {stages!r}")
    marks = []
    for stage in stages:
        for start, end, in_seconds in (("start", "end", False), ("start_s", "end_s", True)):
            if set(stage) == {"name", start, end}:
                marks.append(Mark(str(stage["name"]), _number(stage[start]), _number(stage[end]), in_seconds))
                break
        else:
            raise ValueError(
                f"stage {stage!r} needs name, start and end (frames), or name, start_s and end_s (seconds)"
            )
    return tuple(marks)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"a stage starts or ends at {value!r}; give a number")
    return float(value)


def _success(value: object) -> bool | None:
    word = "" if value is None else str(value).strip().lower()
    if word not in (*TRUE, *FALSE, *UNKNOWN):
        raise ValueError(f"success is {value!r}; write true or false, or leave it empty")
    return None if word in UNKNOWN else word in TRUE


def _text(value: object) -> str | None:
    return None if value is None else str(value).strip() or None


def _read_csv(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"{path} is not readable CSV ({error}); save it as UTF-8 with commas") from error
    if any(None in row or None in row.values() for row in rows):
        raise DatasetError(f"{path} has a row with more or fewer cells than its header; put quotes around commas")
    # people write headings with capitals and with spaces after the commas
    return [{_heading(name): value for name, value in row.items()} for row in rows]


def _heading(name: str) -> str:
    bare = name.strip()
    return bare.lower() if bare.lower() in COLUMNS else bare


def _read_list(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not readable JSON ({error}); correct it") from error
    if not isinstance(content, list) or not all(isinstance(item, Mapping) for item in content):
        raise DatasetError(f"{path} should hold a list of objects, one an episode or stage; correct it")
    return content


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Sorts `ep2` before `ep10`."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
