"""Reading robomimic-style HDF5 files: robomimic's own, LIBERO's, RoboCasa's, MimicGen's, and those we write."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from headway.episodes import Array, Episode, Stage
from headway.errors import DatasetError, InvalidValue, UnknownName
from headway_datasets.annotation import stage_order
from headway_datasets.cameras import renamed
from headway_datasets.fingerprint import recording_of
from headway_datasets.hdf5 import (
    StoredFrames,
    attribute,
    dataset_at,
    described,
    frame_rate,
    group_at,
    holds_pictures,
    json_attribute,
    members,
    numbers,
    opened,
    rated,
    rated_fingerprint,
    vectors,
)
from headway_datasets.robomimic_extras import MARKS, read_marks, read_names, read_said, read_timestamps, read_truth

DEMO = re.compile(r"demo_(\d{1,9})")
ACTIONS = "actions"
IMAGE = "_image"
IMAGE_SUFFIXES = (IMAGE, "_rgb")
STATE = "robot0_state"
ENVIRONMENT_STATE = "object"
ROBOT = re.compile(r"robot\d+_")
INSTRUCTIONS = ("lang", "language_instruction", "instruction", "env_lang")


@dataclass(frozen=True)
class Demo:
    """What is read of one demo on opening: its group's name, its frames, what our own group says, its rewards."""

    name: str
    length: int
    instruction: str | None
    said: dict[str, Any]
    rewards: Array | None
    stages: tuple[Stage, ...] | None
    dense_stages: tuple[Stage, ...] | None


class Robomimic:
    """A robomimic-style HDF5 file (`headway.source.Source`).

    Attributes beyond those of a source: `fps`; `names`, what the values of `state` and `environment_state` are
    (`robot0_eef_pos.0`, ...).

    - Episodes are the groups `data/demo_N` in order of N, numbered from 0; all of them, whatever `mask` says.
    - Cameras are the `obs` of uint8 (time, height, width, 3) that every demo has, without `_image` or `_rgb` at the end
      of their name; depth is left out. Where `macros_image_convention` is `opengl`, as in LIBERO's files, pictures are
      stored upside down and turned the right way up.
    - `state` is every observation of numbers called `robot0_*` (`robot1_*`, ...), in order of name, side by side;
      `environment_state` the others, such as `object`. In a file without `robot0_*`, `state` is all but `object*`.
    - `action` is `actions`, as it is.
    - The instruction is the demo's or the file's attribute `lang`, `language_instruction` or `instruction`, RoboCasa's
      `ep_meta`, LIBERO's `problem_info` or robomimic's `env_args`.
    - Success is known where rewards are sparse, 0 or 1 and 1 somewhere in the file: whether the demo has a 1. `dones`
      also mark the end of a failure and say nothing of it.
    - Frames per second are `control_freq` in `env_args`, or else `fps`, as given with the path.
    - What `write_robomimic` adds in the group `headway` goes before all that.

    Raises DatasetError when the file is damaged, of another layout or without pictures, or does not say its frames per
    second; InvalidValue for an `fps` that contradicts it; UnknownName for a rename of a camera that does not exist.
    """

    format = "robomimic-hdf5"

    def __init__(self, path: Path | str, rename: Mapping[str, str] | None = None, fps: float | None = None):
        self._path = Path(path)
        self.root = rated(self._path, fps)
        with opened(self._path) as file:
            data = _data(file, self._path)
            env_args = json_attribute(data, "env_args")
            self.fps = frame_rate(_control_freq(env_args), fps, self._path, "no control_freq in env_args")
            named = sorted((int(match[1]), name) for name in members(data) if (match := DEMO.fullmatch(name)))
            names = [name for _, name in named]
            groups = [_group(data, name) for name in names]
            self._keys = _common_keys(groups, self._path)
            self._numeric, self.names = _numeric_keys(groups[0], self._keys)
            keys = _camera_keys(groups[0], self._keys, self._path)
            words = _instruction(data, env_args)
            self._demos = [_read_demo(group, words, keys[0]) for group in groups]
            first = read_truth(groups[0], self._demos[0].said)
            self._flipped = attribute(data, "macros_image_convention") == "opengl"
        own = _camera_names(keys)
        self._cameras = {new: own[old] for old, new in renamed(list(own), rename).items()}
        self.cameras = tuple(self._cameras)
        self.episode_indices: Sequence[int] = range(len(self._demos))
        self._starts = list(accumulate((demo.length for demo in self._demos), initial=0))
        self._success = _successes(self._demos)
        declared = () if first is None else first.stage_names
        self.stage_names = self._order([demo.stages for demo in self._demos], declared)
        self.dense_stage_names = self._order([demo.dense_stages for demo in self._demos], ())
        self.fingerprint = rated_fingerprint([self._path], fps)

    def __len__(self) -> int:
        return len(self._demos)

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(index) for index in self.episode_indices)

    def __repr__(self) -> str:
        return f"Robomimic({str(self.root)!r}, episodes={len(self)}, cameras={list(self.cameras)})"

    def episode(self, index: int) -> Episode:
        """One episode by its number; its pictures are not read yet.

        Raises UnknownName for a number that is not in the dataset, DatasetError when its data are damaged.
        """
        if not 0 <= index < len(self):
            raise UnknownName("episode", str(index), [f"0 to {len(self) - 1}"])
        demo = self._demos[index]
        with opened(self._path) as file:
            group = _group(_data(file, self._path), demo.name)
            obs = _obs(group, self._path)
            state, environment_state = (_side_by_side(obs, keys) for keys in self._numeric)
            found = dataset_at(group, ACTIONS)
            action = None if found is None else vectors(found)
            cameras = {name: self._frames(obs, key, index, name) for name, key in self._cameras.items()}
            truth, timestamps = read_truth(group, demo.said), read_timestamps(group)
        recording = demo.said.get("recording") or recording_of(state, action) or f"{self.fingerprint}-{index}"
        try:
            return Episode(
                index=index,
                first_frame=self._starts[index],
                fps=self.fps,
                cameras=cameras,
                instruction=demo.instruction,
                state=state,
                environment_state=environment_state,
                action=action,
                timestamps=timestamps,
                state_names=self._state_names(demo),
                action_names=read_names(demo.said, "action_names"),
                stages=demo.stages,
                dense_stages=demo.dense_stages,
                success=self._success[index],
                truth=truth,
                kind=demo.said.get("kind"),
                recording=recording,
            )
        except InvalidValue as error:
            raise DatasetError(f"{self._path}: {demo.name} does not fit together: {error}; leave it out") from error

    def _frames(self, obs: h5py.Group, key: str, index: int, name: str) -> StoredFrames:
        demo = self._demos[index]
        stored = dataset_at(obs, key)
        if stored is None or not holds_pictures(stored) or len(stored) != demo.length:
            found = "nothing" if stored is None else f"{stored.dtype} {stored.shape}"
            raise DatasetError(
                f"{self._path}: obs/{key} of {demo.name} is {found}; uint8 ({demo.length}, height, width, 3) needed: "
                "leave the demo out"
            )
        return StoredFrames(self._path, stored.name, demo.length, f"episode {index}, camera {name}", self._flipped)

    def _state_names(self, demo: Demo) -> tuple[str, ...] | None:
        if "state_names" in demo.said:
            return read_names(demo.said, "state_names")
        return tuple(self.names["state"]) or None

    def _order(self, stages: list[tuple[Stage, ...] | None], declared: Sequence[str]) -> tuple[str, ...] | None:
        annotated = [(marks, success) for marks, success in zip(stages, self._success, strict=True) if marks]
        found = stage_order([marks for marks, _ in annotated], [success for _, success in annotated])
        return None if found is None else tuple(dict.fromkeys([*declared, *found]))


def _data(file: h5py.File, path: Path) -> h5py.Group:
    """The group of demos. Raises DatasetError, with what is there, for another layout."""
    data = group_at(file, "data")
    if data is None or not any(DEMO.fullmatch(name) for name in members(data)):
        held = described(file if data is None else data)
        place = path if data is None else f"{path}: data"
        raise DatasetError(f"{place} holds {held}; expected data/demo_N with actions and obs/*_image (robomimic)")
    return data


def _group(data: h5py.Group, name: str) -> h5py.Group:
    found = group_at(data, name)
    if found is None:
        raise DatasetError(f"{data.file.filename}: data/{name} is no group; expected actions and obs/*_image in it")
    return found


def _obs(demo: h5py.Group, path: Path) -> h5py.Group:
    found = group_at(demo, "obs")
    if found is None:
        raise DatasetError(
            f"{path}: {demo.name} holds {described(demo)}, and no obs; where only the simulator's states were "
            "recorded, render the pictures first with robomimic's dataset_states_to_obs.py"
        )
    return found


def _common_keys(demos: Sequence[h5py.Group], path: Path) -> list[str]:
    """The observations that every demo has, in order of name."""
    common = set.intersection(*(set(members(_obs(demo, path))) for demo in demos))
    return sorted(common)


def _camera_keys(demo: h5py.Group, keys: Sequence[str], path: Path) -> list[str]:
    obs = _obs(demo, path)
    found = [key for key in keys if (stored := dataset_at(obs, key)) is not None and holds_pictures(stored)]
    if not found:
        raise DatasetError(
            f"{path} has no camera: {obs.name} holds {described(obs)}; expected obs/*_image, uint8 (time, height, "
            "width, 3), in every demo: make them with robomimic's dataset_states_to_obs.py"
        )
    return found


def _camera_names(keys: Sequence[str]) -> dict[str, str]:
    """Name for people -> key; the whole key where two would be called the same."""
    short = {key: next((key.removesuffix(end) for end in IMAGE_SUFFIXES if key.endswith(end)), key) for key in keys}
    names = list(short.values())
    return {name if name and names.count(name) == 1 else key: key for key, name in short.items()}


def _numeric_keys(demo: h5py.Group, keys: Sequence[str]) -> tuple[tuple[list[str], list[str]], dict[str, list[str]]]:
    """The observations that make up state and environment_state, and the names of their values."""
    obs = demo["obs"]
    sizes: dict[str, int] = {}
    for key in keys:
        stored = dataset_at(obs, key)
        if stored is not None and stored.dtype.kind in "fiub" and stored.ndim in (1, 2):
            sizes[key] = 1 if stored.ndim == 1 else stored.shape[1]
    robot = [key for key in sizes if ROBOT.match(key)]
    state = robot or [key for key in sizes if not key.startswith(ENVIRONMENT_STATE)]
    parts = (state, [key for key in sizes if key not in state])
    names = [[f"{key}.{place}" for key in part for place in range(sizes[key])] for part in parts]
    return parts, dict(zip(("state", "environment_state"), names, strict=True))


def _side_by_side(obs: h5py.Group, keys: Sequence[str]) -> Array | None:
    """Observations as float32 (time, dim), one after another along dim; None for none."""
    stored = {key: dataset_at(obs, key) for key in keys}
    parts = {key: vectors(found) for key, found in stored.items() if found is not None}
    lengths = {key: len(values) for key, values in parts.items()}
    if len(parts) < len(keys) or len(set(lengths.values())) > 1:
        raise DatasetError(f"{obs.file.filename}: {obs.name} has observations of different length (frames): {lengths}")
    return np.concatenate(list(parts.values()), axis=1) if parts else None


def _read_demo(demo: h5py.Group, words: str | None, camera: str) -> Demo:
    path = Path(demo.file.filename)
    counted = dataset_at(demo, ACTIONS) or dataset_at(_obs(demo, path), camera)
    length = len(counted) if counted is not None and counted.shape else 0
    promised = attribute(demo, "num_samples")
    if length < 1:
        raise DatasetError(f"{path}: {demo.name} has no frames; delete it")
    if isinstance(promised, int) and promised != length:
        raise DatasetError(f"{path}: {demo.name} promises num_samples {promised} and holds {length}; write it again")
    said = read_said(demo)
    own = said.get("instruction") if "instruction" in said else _instruction(demo, {}) or words
    rewards = dataset_at(demo, "rewards")
    stages, dense = (read_marks(said, name, length, f"{path}: {demo.name}, {name}") for name in MARKS)
    return Demo(
        demo.name.rsplit("/", maxsplit=1)[-1],
        length,
        own,
        said,
        None if rewards is None else numbers(rewards),
        stages,
        dense,
    )


def _control_freq(env_args: Mapping[str, Any]) -> Any:
    kwargs = env_args.get("env_kwargs")
    return kwargs.get("control_freq") if isinstance(kwargs, dict) else None


def _instruction(node: h5py.Group, env_args: Mapping[str, Any]) -> str | None:
    """What a demo or the file says the robot was told; None when it does not."""
    problem = json_attribute(node, "problem_info").get("language_instruction")
    if isinstance(problem, list) and all(isinstance(part, str) for part in problem):
        problem = " ".join(problem)
    said = [attribute(node, name) for name in INSTRUCTIONS]
    said += [json_attribute(node, "ep_meta").get("lang"), problem]
    said += [env_args.get(name) for name in INSTRUCTIONS]
    # LIBERO's are quoted in some files
    texts = (text.strip().strip('"').strip() for text in said if isinstance(text, str))
    return next(filter(None, texts), None)


def _successes(demos: Sequence[Demo]) -> list[bool | None]:
    """Whether each demo succeeded, from our own group or sparse rewards."""
    known = [demo.rewards for demo in demos if demo.rewards is not None]
    sparse = all(bool(np.isin(rewards, (0, 1)).all()) for rewards in known)
    sparse = sparse and any(bool(rewards.any()) for rewards in known)
    found: list[bool | None] = []
    for demo in demos:
        if "success" in demo.said:
            found.append(demo.said["success"])
        else:
            found.append(bool(demo.rewards.any()) if sparse and demo.rewards is not None else None)
    return found
