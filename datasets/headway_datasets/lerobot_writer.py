"""Writing LeRobot v3 datasets: parquet and mp4 written straight, without importing lerobot.

lerobot's own writer keeps each frame as a PNG file, encodes it afterwards and copies the whole video file for each
episode appended; here a camera's frames go into one open encoder.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from headway.episodes import Array, Episode, Stage, Truth
from headway.errors import InvalidValue, OutputError, UnknownName
from headway.files import output_error
from headway_datasets import lerobot_layout as layout
from headway_datasets.annotation import declared_proportions
from headway_datasets.lerobot_parts import CameraTrack, DataTable, EpisodeTable, feature, write_tasks
from headway_datasets.stats import Stats, merge_stats
from headway_datasets.video import CODECS

_KEYS = {"state": layout.STATE, "environment_state": layout.ENVIRONMENT_STATE, "action": layout.ACTION}
_TRUTH_TYPES = {
    layout.TRUTH_PROGRESS: "float32",
    layout.TRUTH_STAGE: "int64",
    layout.TRUTH_SUCCESS: "bool",
    layout.TRUTH_IMPERFECTION: "bool",
    layout.TRUTH_VALUE: "float32",
    layout.TRUTH_VALUE_INTERVAL: "float32",
}
_INDEX_TYPES = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}


class LeRobotWriter:
    """Writes episodes as one LeRobot v3 dataset that lerobot 0.6 opens; a context manager.

        with LeRobotWriter(root, fps=10, cameras={"top": (96, 96)}, state_dim=7) as writer:
            writer.add(episode)

    Everything is written into a temporary folder beside `root`, which takes its place when the block ends well;
    after an error nothing is left. Episodes are numbered from 0 in the order they come, whatever their own index.

    Args:
        root: the folder to make; it must not exist or be empty.
        fps: frames per second of every episode.
        cameras: name (without `observation.images.`) -> (height, width) in pixels, both even.
        state_dim, environment_state_dim, action_dim: sizes; None when episodes have no such part.
        metadata: further entries of `meta/headway.json`, such as the task's id and version.
        names: what the values of `state`, `environment_state` and `action` are, in order.
        codec: `h264`, which every browser and OpenCV read and which encodes fastest, or `av1`, LeRobot's default.
        file_mb: a new data or video file is begun once one is larger than this.

    Truth is written when the first episode has it. Raises InvalidValue for an episode that differs from what was
    declared or from the first one, and OutputError when `root` is taken or cannot be written.
    """

    def __init__(
        self,
        root: Path | str,
        fps: float,
        cameras: Mapping[str, tuple[int, int]],
        state_dim: int | None = None,
        environment_state_dim: int | None = None,
        action_dim: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        names: Mapping[str, Sequence[str]] | None = None,
        codec: str = "h264",
        file_mb: float = 200.0,
    ):
        self.root = Path(root)
        self.fps = fps
        self.cameras = dict(cameras)
        if codec not in CODECS:
            raise UnknownName("video codec", codec, CODECS)
        if not self.cameras:
            raise InvalidValue(f"a dataset at {self.root} needs at least one camera")
        for name, size in self.cameras.items():
            if size[0] % 2 or size[1] % 2 or min(size) < 2:
                raise InvalidValue(f"camera {name!r} is {size[0]}x{size[1]}; video needs an even height and width")
        dims = zip(_KEYS.values(), (state_dim, environment_state_dim, action_dim), strict=True)
        self._dims = {key: dim for key, dim in dims if dim is not None}
        self._metadata = dict(metadata or {})
        self._names = {_KEYS[part]: values for part, values in (names or {}).items()}
        for key, values in self._names.items():
            if len(values) != self._dims.get(key):
                raise InvalidValue(f"{len(values)} names for the {self._dims.get(key)} values of {key}")
        self._codec = codec
        self._file_bytes = int(file_mb * 2**20)
        self._truth: Truth | None = None
        self._tasks: dict[str, int] = {}
        self._stages: list[tuple[Stage, ...]] = []
        self._dense_stages: list[tuple[Stage, ...]] = []
        self._stats: dict[str, Stats] = {}
        self._episodes = 0
        self._frames = 0
        self._scratch: Path | None = None
        self._tracks: dict[str, CameraTrack] = {}
        self._data: DataTable | None = None
        self._table: EpisodeTable | None = None

    def __enter__(self) -> Self:
        if self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise OutputError(f"{self.root} already exists and is not empty; name another folder or remove it")
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            # the inner folder has the usual permissions; mkdtemp's own are for its owner alone
            outer = tempfile.mkdtemp(prefix=f".{self.root.name}.", suffix=".partial", dir=self.root.parent)
            self._scratch = Path(outer) / "dataset"
            self._scratch.mkdir()
        except OSError as error:
            raise output_error(self.root, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or self._scratch is None:
            self._discard()
            return
        try:
            self._finish(self._scratch)
        except OSError as problem:
            raise output_error(self.root, problem) from problem
        finally:
            self._discard()

    def add(self, episode: Episode) -> None:
        """Write one episode. After any error the writer gives up and `root` will not appear."""
        if self._scratch is None:
            raise OutputError(
                f"nothing can be added to {self.root}: open the writer with `with`, and add until an error"
            )
        try:
            self._check(episode)
            self._add(episode, self._scratch)
        except OSError as error:
            self._discard()
            raise output_error(self.root, error) from error
        except BaseException:
            self._discard()
            raise

    def _add(self, episode: Episode, scratch: Path) -> None:
        if not self._episodes:
            self._begin(episode, scratch)
        assert self._data is not None
        assert self._table is not None
        stats: dict[str, Stats] = {}
        row: dict[str, Any] = {}
        for name, track in self._tracks.items():
            columns, stats[track.key] = track.add(episode.cameras[name], f"episode {episode.index}, camera {name}")
            row |= columns
        columns, found = self._data.add(self._columns(episode))
        row |= columns
        stats |= found
        self._table.add(self._episodes, episode, row, stats)
        if episode.stages:
            self._stages.append(episode.stages)
        if episode.dense_stages:
            self._dense_stages.append(episode.dense_stages)
        self._stats = {key: merge_stats(self._stats[key], stats[key]) for key in stats} if self._stats else stats
        self._episodes += 1
        self._frames += len(episode)

    def _begin(self, episode: Episode, scratch: Path) -> None:
        """Open the files, once it is known whether there is truth."""
        self._truth = episode.truth
        for name, size in self.cameras.items():
            self._tracks[name] = CameraTrack(scratch, name, size, self.fps, self._codec, self._file_bytes)
        kinds = {key: ("float32", dim) for key, dim in self._dims.items()}
        if self._truth is not None:
            truth = _truth_columns(self._truth)
            kinds |= {key: (_TRUTH_TYPES[key], values[0].size) for key, values in truth.items()}
        kinds |= {key: (dtype, 1) for key, dtype in _INDEX_TYPES.items()}
        self._data = DataTable(scratch, kinds, self._file_bytes)
        self._table = EpisodeTable(scratch / layout.EPISODES_FILE, [t.key for t in self._tracks.values()], list(kinds))

    def _columns(self, episode: Episode) -> dict[str, Array]:
        """The episode's columns of the data table, each (time,) or (time, dim)."""
        length = len(episode)
        parts = _parts(episode).items()
        columns: dict[str, Array] = {key: part.astype(np.float32) for key, part in parts if part is not None}
        if episode.truth is not None:
            columns |= {key: values.astype(_TRUTH_TYPES[key]) for key, values in _truth_columns(episode.truth).items()}
        task = self._tasks.setdefault(episode.instruction or "", len(self._tasks))
        columns["timestamp"] = (np.arange(length) / self.fps).astype(np.float32)
        columns["frame_index"] = np.arange(length, dtype=np.int64)
        columns["episode_index"] = np.full(length, self._episodes)
        columns["index"] = np.arange(self._frames, self._frames + length)
        columns["task_index"] = np.full(length, task)
        return columns

    def _check(self, episode: Episode) -> None:
        where = f"episode {episode.index}"
        if abs(episode.fps - self.fps) > 1e-6:
            raise InvalidValue(f"{where} has {episode.fps:g} frames per second, the dataset {self.fps:g}")
        if set(episode.cameras) != set(self.cameras):
            raise InvalidValue(f"{where} has cameras {sorted(episode.cameras)}, the dataset {sorted(self.cameras)}")
        for key, part in _parts(episode).items():
            dim = None if part is None else part.shape[1:]
            expected = (self._dims[key],) if key in self._dims else None
            if dim != expected:
                raise InvalidValue(f"{where} has {key} of shape {dim}, the dataset was declared with {expected}")
        if not self._episodes:
            return
        first, truth = self._truth, episode.truth
        if (first is None) != (truth is None):
            raise InvalidValue(
                f"{where} {'lacks' if truth is None else 'has'} truth, unlike the dataset's first episode"
            )
        if first is None or truth is None:
            return
        for name, words in (("stage_names", "stages"), ("proportions", "proportions"), ("imperfections",) * 2):
            ours, theirs = getattr(truth, name), getattr(first, name)
            if ours != theirs:
                raise InvalidValue(f"{where} has true {words} {ours}, the dataset {theirs}")
        if _truth_columns(first).keys() != _truth_columns(truth).keys():
            parts = (sorted(_truth_columns(each)) for each in (truth, first))
            raise InvalidValue("{} has {}, the dataset's first episode {}".format(where, *parts))

    def _finish(self, scratch: Path) -> None:
        if self._data is None or self._table is None:
            raise OutputError(f"no episode was added, so {self.root} was not made")
        for track in self._tracks.values():
            track.close()
        self._data.close()
        self._table.close()
        rate = int(self.fps) if float(self.fps).is_integer() else self.fps
        info = {
            "codebase_version": layout.VERSION,
            "fps": rate,
            "features": {track.key: track.feature() for track in self._tracks.values()}
            | {key: feature(dtype, dim, self._names_of(key)) for key, (dtype, dim) in self._data.kinds.items()},
            "total_episodes": self._episodes,
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": layout.FILES_IN_CHUNK,
            "data_files_size_in_mb": max(1, self._file_bytes // 2**20),
            "video_files_size_in_mb": max(1, self._file_bytes // 2**20),
            "data_path": layout.DATA_PATH,
            "video_path": layout.VIDEO_PATH,
            "robot_type": None,
            "splits": {"train": f"0:{self._episodes}"},
        }
        _write_json(scratch / layout.INFO, info)
        stats = {key: {name: value.tolist() for name, value in found.items()} for key, found in self._stats.items()}
        _write_json(scratch / layout.STATS, stats)
        write_tasks(scratch / layout.TASKS, self._tasks)
        self._write_stages(scratch)
        scratch.replace(self.root)

    def _names_of(self, key: str) -> Sequence[str] | None:
        """What the values of a column of several numbers are."""
        if key == layout.TRUTH_IMPERFECTION and self._truth is not None:
            return self._truth.imperfections
        return ("low", "high") if key == layout.TRUTH_VALUE_INTERVAL else self._names.get(key)

    def _write_stages(self, scratch: Path) -> None:
        headway = dict(self._metadata)
        proportions = declared_proportions(self._stages)
        if self._truth is not None:
            proportions = dict(zip(self._truth.stage_names, self._truth.proportions, strict=True))
            headway |= {"stage_names": list(proportions), "proportions": list(proportions.values())}
            headway |= {"imperfections": list(self._truth.imperfections)} if self._truth.imperfections else {}
        if headway:
            _write_json(scratch / layout.HEADWAY, headway)
        declared = {layout.SPARSE: proportions, layout.DENSE: declared_proportions(self._dense_stages)}
        for granularity, shares in declared.items():
            if shares:
                _write_json(scratch / layout.PROPORTIONS.format(granularity=granularity), shares)

    def _discard(self) -> None:
        """Close whatever is open and remove the temporary folder; nothing to do once it has been put in place."""
        for part in (*self._tracks.values(), self._data, self._table):
            if part is not None:
                part.abandon()
        if self._scratch is not None:
            shutil.rmtree(self._scratch.parent, ignore_errors=True)
        self._scratch = None


def write_dataset(root: Path | str, episodes: Iterable[Episode], codec: str = "h264", **metadata: Any) -> None:
    """Write episodes as a LeRobot v3 dataset shaped like the first of them.

    `metadata` goes into `meta/headway.json`. Raises what `LeRobotWriter` raises.
    """
    remaining = iter(episodes)
    first = next(remaining, None)
    if first is None:
        raise OutputError(f"no episode was given, so {root} was not made")
    sizes = {name: next(iter(frames)).shape for name, frames in first.cameras.items()}
    cameras = {name: (shape[0], shape[1]) for name, shape in sizes.items()}
    state, environment, action = (None if part is None else part.shape[1] for part in _parts(first).values())
    with LeRobotWriter(root, first.fps, cameras, state, environment, action, metadata, codec=codec) as writer:
        for episode in chain([first], remaining):
            writer.add(episode)


def _parts(episode: Episode) -> dict[str, Array | None]:
    return {key: getattr(episode, part) for part, key in _KEYS.items()}


def _truth_columns(truth: Truth) -> dict[str, Array]:
    """The parts that this truth has, by their column."""
    parts = {key: getattr(truth, key.removeprefix("truth.")) for key in _TRUTH_TYPES}
    return {key: np.asarray(values) for key, values in parts.items() if values is not None}


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
