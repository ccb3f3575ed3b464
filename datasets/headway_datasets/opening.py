"""From a path to a dataset: which layout it is, and the reader for it."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from headway.errors import DatasetError, InvalidValue
from headway.source import Source
from headway_datasets.bag_files import SUFFIXES as BAG_SUFFIXES
from headway_datasets.bag_files import bags_in, is_bag
from headway_datasets.bags import Bags
from headway_datasets.cameras import CameraSelection
from headway_datasets.folder_entries import KEYFRAMES, TABLES, VIDEO_SUFFIXES, videos_in
from headway_datasets.hdf5 import SUFFIXES as HDF5_SUFFIXES
from headway_datasets.hdf5 import described, members, opened
from headway_datasets.lerobot_v3 import LeRobotV3
from headway_datasets.lerobot_v21 import LeRobotV21, is_v2
from headway_datasets.minari import EPISODE, Minari, looks_like_minari
from headway_datasets.robomimic import Robomimic
from headway_datasets.video_folder import VideoFolder

SUPPORTED = (
    "a LeRobot v3.0, v2.1 or v2.0 dataset (meta/info.json), a robomimic file (.hdf5, .h5), a Minari dataset "
    "(data/main_data.hdf5), a ROS bag (.bag, .db3, .mcap, or its folder) or a folder of such, a folder of videos, or "
    "one video"
)
FPS = re.compile(r"(?P<path>.+)\?fps=(?P<fps>[^?]*)")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def open_dataset(
    path: str | Path, *, cameras: Sequence[str] | None = None, rename: Mapping[str, str] | None = None
) -> Source:
    """Open a dataset on this disk for reading; nothing is ever downloaded.

    Args:
        path: a LeRobot dataset, a robomimic file, a Minari dataset, a ROS bag or a folder of them, a folder of videos,
            or one video file. Where HDF5 does not say its frames per second, they follow it: `demos.hdf5?fps=20`.
        cameras: the cameras to see, in this order; None for all.
        rename: old name -> new name of cameras; applied before `cameras`.

    Raises:
        DatasetError: there is nothing at `path`, or nothing of a known layout, or it is half-written.
        UnknownName: a camera that the dataset does not have.
        InvalidValue: frames per second that are no number, or that the dataset itself says.
    """
    root, fps = _rate(str(path))
    source = _reader(root, str(root), rename, fps, cameras)
    return source if cameras is None else CameraSelection(source, cameras)


def _rate(path: str) -> tuple[Path, float | None]:
    """The path, and the frames per second given with it."""
    root = Path(path).expanduser()
    match = None if root.exists() else FPS.fullmatch(path)
    if match is None:
        return root, None
    try:
        fps = float(match["fps"])
    except ValueError:
        fps = math.nan
    if not 0 < fps < math.inf:
        raise InvalidValue(f"{path}: ?fps= needs a number above 0, such as ?fps=20")
    return Path(match["path"]).expanduser(), fps


def _reader(
    root: Path, given: str, rename: Mapping[str, str] | None, fps: float | None, cameras: Sequence[str] | None
) -> Source:
    if not root.exists():
        raise DatasetError(_absent(given))
    try:
        if root.is_file() and root.suffix.lower() in HDF5_SUFFIXES:
            return _hdf5(root, rename, fps)
        if root.is_dir() and not _looks_like_lerobot(root) and looks_like_minari(root):
            return Minari(root, rename, fps)
        if fps is not None:
            raise InvalidValue(
                f"{root} says its frames per second by itself, or is of no known layout; leave ?fps= away"
            )
        if _looks_like_bags(root):
            return Bags(root, rename, cameras)
        return _file(root, rename) if root.is_file() else _folder(root, rename)
    except OSError as error:
        raise DatasetError(f"{root} cannot be read: {error.strerror or error}; check its permissions") from error


def _hdf5(path: Path, rename: Mapping[str, str] | None, fps: float | None) -> Source:
    with opened(path) as file:
        names = members(file)
        held = described(file)
    if "data" in names:
        return Robomimic(path, rename, fps)
    if any(EPISODE.fullmatch(name) for name in names):
        return Minari(path, rename, fps)
    raise DatasetError(
        f"{path} holds {held}; expected data/demo_N with actions and obs/*_image (robomimic), or episode_N with "
        "observations and actions (Minari)"
    )


def _file(path: Path, rename: Mapping[str, str] | None) -> Source:
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoFolder(path, rename)
    suffixes = ", ".join((*VIDEO_SUFFIXES, *HDF5_SUFFIXES, *BAG_SUFFIXES))
    raise DatasetError(f"{path} is a file of no known kind; give {SUPPORTED} ({suffixes})")


def _folder(root: Path, rename: Mapping[str, str] | None) -> Source:
    inside = sorted(child.name for child in root.iterdir())
    if not inside:
        raise DatasetError(f"{root} is empty; give {SUPPORTED}")
    if _looks_like_lerobot(root):
        return LeRobotV21(root, rename) if is_v2(root) else LeRobotV3(root, rename)
    if _holds_videos(root):
        return VideoFolder(root, rename)
    shown = ", ".join(inside[:5]) + (" ..." if len(inside) > 5 else "")
    files = [name for name in inside if name.lower().endswith(HDF5_SUFFIXES)]
    hint = f"; HDF5 files are given one at a time, such as {root / files[0]}" if files else ""
    raise DatasetError(f"{root} is of no known layout (found: {shown}); give {SUPPORTED}{hint}")


def _looks_like_lerobot(root: Path) -> bool:
    """Also when it is half-written, so that its reader says what is missing."""
    return (root / "meta").is_dir() or any((root / "data").glob("chunk-*"))


def _looks_like_bags(root: Path) -> bool:
    """A bag, or a folder with some right in it and nothing else that is read."""
    if root.is_file():
        return root.suffix.lower() in BAG_SUFFIXES
    if _looks_like_lerobot(root):
        return False
    return is_bag(root) or (not _holds_videos(root) and bool(bags_in(root)))


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
