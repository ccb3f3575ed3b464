"""From a path to a dataset: which layout it is, and the reader for it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from headway.errors import DatasetError
from headway.source import Source
from headway_datasets.cameras import CameraSelection
from headway_datasets.folder_entries import KEYFRAMES, TABLES, VIDEO_SUFFIXES, videos_in
from headway_datasets.lerobot_v3 import LeRobotV3
from headway_datasets.video_folder import VideoFolder

SUPPORTED = "a LeRobot v3.0 dataset (meta/info.json), a folder of videos, or one video"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def open_dataset(
    path: str | Path, *, cameras: Sequence[str] | None = None, rename: Mapping[str, str] | None = None
) -> Source:
    """Open a dataset on this disk for reading; nothing is ever downloaded.

    Args:
        path: a LeRobot v3 dataset, a folder of videos, or one video file.
        cameras: the cameras to see, in this order; None for all.
        rename: old name -> new name of cameras; applied before `cameras`.

    Raises:
        DatasetError: there is nothing at `path`, or nothing of a known layout, or it is half-written.
        UnknownName: a camera that the dataset does not have.
    """
    root = Path(path).expanduser()
    source = _reader(root, str(path), rename)
    return source if cameras is None else CameraSelection(source, cameras)


def _reader(root: Path, given: str, rename: Mapping[str, str] | None) -> Source:
    if not root.exists():
        raise DatasetError(_absent(given))
    if root.is_file():
        if root.suffix.lower() in VIDEO_SUFFIXES:
            return VideoFolder(root, rename)
        raise DatasetError(f"{root} is a file of no known kind; give {SUPPORTED} ({', '.join(VIDEO_SUFFIXES)})")
    try:
        inside = sorted(child.name for child in root.iterdir())
        if not inside:
            raise DatasetError(f"{root} is empty; give {SUPPORTED}")
        if _looks_like_lerobot(root):
            return LeRobotV3(root, rename)
        if _holds_videos(root):
            return VideoFolder(root, rename)
    except OSError as error:
        raise DatasetError(f"{root} cannot be read: {error.strerror or error}; check its permissions") from error
    shown = ", ".join(inside[:5]) + (" ..." if len(inside) > 5 else "")
    raise DatasetError(f"{root} is of no known layout (found: {shown}); give {SUPPORTED}")


def _looks_like_lerobot(root: Path) -> bool:
    """Also when it is half-written, so that its reader says what is missing."""
    return (root / "meta").is_dir() or any((root / "data").glob("chunk-*"))


def _holds_videos(root: Path) -> bool:
    if any((root / name).is_file() for name in (*TABLES, KEYFRAMES)):
        return True
    return any(videos_in(folder) for folder in (root, *(child for child in root.iterdir() if child.is_dir())))


def _absent(given: str) -> str:
    if HUB_NAME.fullmatch(given):
        name = given.rsplit("/", maxsplit=1)[-1]
        return (
            f"there is no {given} on this disk, and nothing is downloaded by itself; if it is on the Hub, get it with "
            f"`hf download --repo-type dataset {given} --local-dir {name}` and give {name}"
        )
    return f"there is nothing at {given}; give {SUPPORTED}"
