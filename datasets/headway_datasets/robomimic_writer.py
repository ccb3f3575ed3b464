"""Writing robomimic-style HDF5 files."""

import json
from collections.abc import Iterable, Mapping
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from headway.episodes import Episode, Frames
from headway.errors import InvalidValue, OutputError, VideoError
from headway.files import replacing
from headway_datasets.robomimic import ACTIONS, ENVIRONMENT_STATE, IMAGE, STATE
from headway_datasets.robomimic_extras import write_extras

# fast, and pictures of simulators shrink much; higher levels cost several times the time for a tenth of the size
GZIP = {"compression": "gzip", "compression_opts": 1}
# robomimic tells environments apart by number; this is its number for whatever is no robosuite task
GYM = 2


def write_robomimic(path: Path | str, episodes: Iterable[Episode], env_args: Mapping[str, Any] | None = None) -> None:
    """Write episodes as one robomimic file that `headway_datasets.robomimic` reads back without loss.

    robomimic's own layout: `data` with `total` and `env_args`, `data/demo_N` with `num_samples`, `actions` (time, dim),
    `obs/NAME_image` uint8 (time, height, width, 3), `obs/robot0_state`, `obs/object` (the state of the environment),
    `dones` (1 at the last frame) and, where success is known, `rewards`: 1 at each frame at which the truth has the
    task done, or without truth at the last frame of a success, 0 elsewhere. The instruction is in `ep_meta` as RoboCasa
    has it. All else is in the demo's group `headway`. Not written: `states` (nobody has the simulator's), `next_obs`
    (robomimic's `hdf5_load_next_obs=False`), `mask`.

    Demos are numbered from 0 in the order episodes come. Pictures are compressed without loss, one a chunk.

    Args:
        path: the file to make; it must not exist. It appears when it is whole.
        episodes: all with the same cameras and frames per second.
        env_args: robomimic's description of the environment; `env_kwargs.control_freq` is set to the frames per second.

    Raises InvalidValue for episodes that differ in cameras or frames per second, OutputError when `path` is taken or
    cannot be written, and what decoding the pictures raises.
    """
    path = Path(path)
    if path.exists():
        raise OutputError(f"{path} already exists; name another file or remove it")
    remaining = iter(episodes)
    first = next(remaining, None)
    if first is None:
        raise OutputError(f"no episode was given, so {path} was not made")
    _check_names(first)
    with replacing(path) as beside, Sink(beside, "w+") as sink:
        with h5py.File(sink, "w") as file:
            _write(file, first, chain([first], remaining), dict(env_args or {}), sink)
        sink.check()


class Sink(FileIO):
    """A file for HDF5 to write to, whose first failure is kept for `check` and hidden from HDF5.

    HDF5 does not outlive a failed write: it tries again when everything is closed, and crashes.
    """

    error: OSError | None = None

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self.error is not None:
            raise self.error

    def write(self, content: Any) -> int:
        """Write all of it, or nothing once something has failed; its length either way."""
        rest = memoryview(content)
        try:
            while self.error is None and len(rest):
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(content)

    def truncate(self, size: int | None = None) -> int:
        """As a file's own, but for failures."""
        try:
            return super().truncate(size) if self.error is None else size or 0
        except OSError as error:
            self.error = error
            return size or 0


def _write(file: h5py.File, first: Episode, episodes: Iterable[Episode], env_args: dict[str, Any], sink: Sink) -> None:
    data = file.create_group("data")
    total = 0
    for number, episode in enumerate(episodes):
        where = f"episode {episode.index}"
        if abs(episode.fps - first.fps) > 1e-6:
            raise InvalidValue(f"{where} has {episode.fps:g} frames per second, the first episode {first.fps:g}")
        if list(episode.cameras) != list(first.cameras):
            raise InvalidValue(f"{where} has cameras {list(episode.cameras)}, the first one {list(first.cameras)}")
        _write_demo(data.create_group(f"demo_{number}"), episode)
        total += len(episode)
        sink.check()
    data.attrs["total"] = total
    described: dict[str, Any] = {"env_name": "headway", "env_version": "", "type": GYM} | env_args
    described["env_kwargs"] = dict(described.get("env_kwargs") or {}) | {"control_freq": first.fps}
    data.attrs["env_args"] = json.dumps(described)


def _write_demo(demo: h5py.Group, episode: Episode) -> None:
    demo.attrs["num_samples"] = len(episode)
    if episode.instruction:
        demo.attrs["ep_meta"] = json.dumps({"lang": episode.instruction})
    obs = demo.create_group("obs")
    for name, frames in episode.cameras.items():
        _write_frames(obs, name + IMAGE, frames, f"episode {episode.index}, camera {name}")
    for name, values in ((STATE, episode.state), (ENVIRONMENT_STATE, episode.environment_state)):
        if values is not None:
            obs.create_dataset(name, data=values.astype(np.float32))
    if episode.action is not None:
        demo.create_dataset(ACTIONS, data=episode.action.astype(np.float32))
    last = np.arange(len(episode)) == len(episode) - 1
    demo.create_dataset("dones", data=last.astype(np.int64))
    if episode.truth is not None:
        demo.create_dataset("rewards", data=episode.truth.success.astype(np.float64))
    elif episode.success is not None:
        demo.create_dataset("rewards", data=(last & episode.success).astype(np.float64))
    write_extras(demo, episode)


def _write_frames(obs: h5py.Group, name: str, frames: Frames, where: str) -> None:
    stored: h5py.Dataset | None = None
    for row, picture in enumerate(frames):
        if stored is None:
            shape = picture.shape
            stored = obs.create_dataset(name, (len(frames), *shape), np.uint8, chunks=(1, *shape), **GZIP)
        if picture.shape != shape:
            raise VideoError(f"{where}: frame {row} is {picture.shape}, the first was {shape}; leave the episode out")
        stored[row] = picture


def _check_names(episode: Episode) -> None:
    for name in episode.cameras:
        if "/" in name or name in ("", "."):
            raise InvalidValue(f"camera {name!r} cannot be a name in HDF5; rename it with --rename")
