"""Reading Minari datasets (https://minari.farama.org) from their HDF5 files, without importing minari."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from headway.episodes import Array, Episode
from headway.errors import DatasetError, InvalidValue, UnknownName
from headway_datasets.cameras import renamed
from headway_datasets.fingerprint import recording_of
from headway_datasets.folder_entries import ONLY_CAMERA
from headway_datasets.hdf5 import (
    StoredFrames,
    attribute,
    dataset_at,
    described,
    frame_rate,
    group_at,
    holds_jpegs,
    holds_pictures,
    json_object,
    members,
    numbers,
    opened,
    rated,
    rated_fingerprint,
    text,
    vectors,
)

EPISODE = re.compile(r"episode_(\d{1,9})")
MAIN = "main_data.hdf5"
METADATA = "metadata.json"
OBSERVATION = "observation"
INSTRUCTIONS = ("mission", "instruction", "language_instruction", "language", "task", "prompt")
SUCCESSES = ("success", "is_success")
DEEPEST = 8


class Minari:
    """A Minari dataset in a local folder (`headway.source.Source`).

    Attributes beyond those of a source: `fps`; `names`, what the values of `state`, `environment_state` and `action`
    are.

    - An episode of N actions has N + 1 observations. Frame t is what was seen before action t; the last observation,
      after the last action, is left out, as LeRobot and robomimic do, because no action belongs to it.
    - Cameras are the observations of uint8 (time, height, width, 3), raw or as JPEGs; one that is not in a dictionary
      is called `camera`, nested ones by their names with dots between.
    - `state` is every other observation of numbers, in order of name, side by side, but for those whose name contains
      `goal` or begins with `object`, which are `environment_state`. `action` likewise, where actions have parts.
    - The instruction is the first text of an observation of texts (`mission`, ...).
    - Success is known where `infos` hold `success` or `is_success`: whether it is ever true. Rewards have no agreed
      scale and terminations also end failures, so neither says anything of it.
    - Minari keeps no frames per second: `fps` in `metadata.json`, or as given with the path.

    Raises DatasetError when it is damaged, stored as Arrow or without pictures, or its frames per second are not known;
    InvalidValue for an `fps` that contradicts it; UnknownName for a rename of a camera that does not exist.
    """

    format = "minari"
    stage_names: tuple[str, ...] | None = None
    dense_stage_names: tuple[str, ...] | None = None

    def __init__(self, root: Path | str, rename: Mapping[str, str] | None = None, fps: float | None = None):
        root = Path(root)
        self.root = rated(root, fps)
        self._path = main_file(root)
        metadata = self._path.with_name(METADATA)
        said = _read_metadata(metadata)
        _check_format(said, root, self._path)
        with opened(self._path) as file:
            found = sorted((int(match[1]), name) for name in members(file) if (match := EPISODE.fullmatch(name)))
            self._episodes = [name for _, name in found]
            if not self._episodes:
                raise DatasetError(f"{self._path} holds {described(file)}; expected episode_N (Minari)")
            promised = said.get("total_episodes", attribute(file, "total_episodes"))
            if isinstance(promised, int) and promised != len(self._episodes):
                raise DatasetError(
                    f"{root} promises total_episodes {promised} and holds {len(self._episodes)}; download it again"
                )
            self._lengths = [_length(_group(file, name)) for name in self._episodes]
            leaves = _leaves(_group(file, self._episodes[0]), "observations")
            keys = [key for key, leaf in leaves.items() if holds_pictures(leaf) or holds_jpegs(leaf)]
            if not keys:
                raise DatasetError(
                    f"{root} has no camera: its observations are {_listed(leaves)}; record it again with pictures "
                    "among them, uint8 (height, width, 3), for instance with gymnasium's AddRenderObservation"
                )
            self._texts = _text_keys(leaves)
            self._numeric = _numeric_keys(leaves, keys)
            self.names = {part: _value_names(leaves, part_keys) for part, part_keys in self._numeric.items()}
            actions = _leaves(_group(file, self._episodes[0]), "actions")
            self.names["action"] = [] if "" in actions else _value_names(actions, list(actions))
        self.fps = frame_rate(said.get("fps"), fps, root, "Minari does not keep it")
        own = {key or ONLY_CAMERA: key for key in keys}
        self._cameras = {new: own[old] for old, new in renamed(list(own), rename).items()}
        self.cameras = tuple(self._cameras)
        self.episode_indices: Sequence[int] = range(len(self._episodes))
        self._starts = list(accumulate(self._lengths, initial=0))
        self.fingerprint = rated_fingerprint([path for path in (self._path, metadata) if path.is_file()], fps)

    def __len__(self) -> int:
        return len(self._episodes)

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(index) for index in self.episode_indices)

    def __repr__(self) -> str:
        return f"Minari({str(self.root)!r}, episodes={len(self)}, cameras={list(self.cameras)})"

    def episode(self, index: int) -> Episode:
        """One episode by its number; its pictures are not read yet.

        Raises UnknownName for a number that is not in the dataset, DatasetError when its data are damaged.
        """
        if not 0 <= index < len(self):
            raise UnknownName("episode", str(index), [f"0 to {len(self) - 1}"])
        length = self._lengths[index]
        with opened(self._path) as file:
            group = _group(file, self._episodes[index])
            leaves = _leaves(group, "observations")
            self._check(leaves, index)
            state, environment_state = (
                _side_by_side([leaves[key] for key in keys], length) for keys in self._numeric.values()
            )
            action = _side_by_side(list(_leaves(group, "actions").values()), length)
            cameras = {
                name: StoredFrames(self._path, leaves[key].name, length, f"episode {index}, camera {name}")
                for name, key in self._cameras.items()
            }
            told = [text(leaves[key]) for key in self._texts]
            success = _success(group)
        try:
            return Episode(
                index=index,
                first_frame=self._starts[index],
                fps=self.fps,
                cameras=cameras,
                instruction=next(filter(None, told), None),
                state=state,
                environment_state=environment_state,
                action=action,
                state_names=tuple(self.names["state"]) or None,
                action_names=tuple(self.names["action"]) or None,
                success=success,
                recording=recording_of(state, action) or f"{self.fingerprint}-{index}",
            )
        except InvalidValue as error:
            raise DatasetError(f"{self._path}: {self._episodes[index]} does not fit together: {error}") from error

    def _check(self, leaves: Mapping[str, h5py.Dataset], index: int) -> None:
        """That an episode has the observations of the first one, and enough rows of each."""
        wanted = [*self._cameras.values(), *self._texts, *(key for keys in self._numeric.values() for key in keys)]
        place = f"{self._path}: {self._episodes[index]}"
        missing = [key for key in wanted if key not in leaves]
        if missing:
            raise DatasetError(f"{place} lacks the observations {', '.join(missing)} that the first episode has")
        rows = {key: len(leaves[key]) if leaves[key].shape else 0 for key in wanted}
        short = {key: count for key, count in rows.items() if not 0 <= count - self._lengths[index] <= 1}
        if short:
            raise DatasetError(
                f"{place} has {self._lengths[index]} actions, and observations of another length: {short}; one more "
                "than actions expected: download the dataset again"
            )
        for key in self._cameras.values():
            if not (holds_pictures(leaves[key]) or holds_jpegs(leaves[key])):
                raise DatasetError(
                    f"{place}: {_listed({key: leaves[key]})} are no pictures; download the dataset again"
                )


def main_file(root: Path) -> Path:
    """The HDF5 file of a Minari dataset given by its folder, its folder `data`, or the file itself."""
    if root.is_file():
        return root
    return root / MAIN if (root / MAIN).exists() else root / "data" / MAIN


def looks_like_minari(root: Path) -> bool:
    """Whether a folder is a Minari dataset, in whichever format it keeps its data."""
    folder = root / "data" if (root / "data").is_dir() else root
    return (folder / MAIN).exists() or "data_format" in _read_metadata(folder / METADATA, lenient=True)


def _read_metadata(path: Path, lenient: bool = False) -> dict[str, Any]:
    """Minari's metadata; empty where there are none. Raises DatasetError for broken ones, unless `lenient`."""
    if not path.is_file():
        return {}
    try:
        return json_object(path.read_text(encoding="utf-8"), str(path))
    except (OSError, ValueError) as error:
        if lenient:
            return {}
        reason = str(error) if isinstance(error, DatasetError) else f"{path} cannot be read ({error}); restore it"
        raise DatasetError(reason) from error
    except DatasetError:
        if lenient:
            return {}
        raise


def _check_format(said: Mapping[str, Any], root: Path, path: Path) -> None:
    stored = said.get("data_format", "hdf5")
    if stored != "hdf5":
        raise DatasetError(
            f"{root} is a Minari dataset stored as {stored}; hdf5 is read: record it with data_format='hdf5', or "
            "copy it with minari.create_dataset_from_buffers(..., data_format='hdf5')"
        )
    if not path.is_file():
        raise DatasetError(f"{root} is a Minari dataset without {path.name}; download it again")


def _group(file: h5py.File, name: str) -> h5py.Group:
    found = group_at(file, name)
    if found is None:
        raise DatasetError(f"{file.filename}: {name} is no group; download the dataset again")
    return found


def _leaves(group: h5py.Group, name: str, depth: int = 0) -> dict[str, h5py.Dataset]:
    """The datasets below `name`, by their names with dots between, in order; by "" when it is one itself."""
    leaf = dataset_at(group, name)
    if leaf is not None:
        return {"": leaf}
    inner = group_at(group, name)
    if inner is None or depth > DEEPEST:
        raise DatasetError(f"{group.file.filename}: {group.name} holds {described(group)}; expected {name} in it")
    found: dict[str, h5py.Dataset] = {}
    for part in sorted(members(inner)):
        below = _leaves(inner, part, depth + 1)
        found |= {f"{part}.{key}" if key else part: leaf for key, leaf in below.items()}
    return found


def _length(episode: h5py.Group) -> int:
    """How many actions an episode has."""
    leaves = _leaves(episode, "actions")
    lengths = {len(leaf) if leaf.shape else 0 for leaf in leaves.values()}
    promised = attribute(episode, "total_steps")
    place = f"{episode.file.filename}: {episode.name}"
    if len(lengths) != 1 or lengths == {0}:
        raise DatasetError(f"{place} has actions {_listed(leaves)}; at least one row, and as many of each part, needed")
    length = lengths.pop()
    if isinstance(promised, int) and promised != length:
        raise DatasetError(f"{place} promises total_steps {promised} and holds {length}; download the dataset again")
    return length


def _numeric_keys(leaves: Mapping[str, h5py.Dataset], cameras: Sequence[str]) -> dict[str, list[str]]:
    """The observations that make up state and environment_state."""
    numeric = [
        key for key, leaf in leaves.items() if key not in cameras and leaf.dtype.kind in "fiub" and leaf.ndim in (1, 2)
    ]
    outside = [key for key in numeric if "goal" in key or key.startswith("object")]
    return {"state": [key for key in numeric if key not in outside], "environment_state": outside}


def _text_keys(leaves: Mapping[str, h5py.Dataset]) -> list[str]:
    """The observations of texts, those called like an instruction first."""
    texts = [key for key, leaf in leaves.items() if h5py.check_string_dtype(leaf.dtype) is not None]
    return sorted(texts, key=lambda key: key.rsplit(".", maxsplit=1)[-1] not in INSTRUCTIONS)


def _value_names(leaves: Mapping[str, h5py.Dataset], keys: Sequence[str]) -> list[str]:
    sizes = {key: leaves[key].shape[1] if leaves[key].ndim == 2 else 1 for key in keys}
    return [f"{key or OBSERVATION}.{place}" for key, size in sizes.items() for place in range(size)]


def _side_by_side(leaves: Sequence[h5py.Dataset], length: int) -> Array | None:
    """The first `length` rows of each as float32 (time, dim), one after another along dim; None for none."""
    parts = [vectors(leaf, length) for leaf in leaves]
    return np.concatenate(parts, axis=1) if parts else None


def _success(episode: h5py.Group) -> bool | None:
    """Whether the environment ever said that the task is done; None when it says nothing of it."""
    infos = group_at(episode, "infos")
    for name in SUCCESSES if infos is not None else ():
        found = dataset_at(infos, name)
        if found is not None and found.dtype.kind in "fiub" and found.shape and len(found):
            values = numbers(found)
            return bool(np.any(values)) if np.isin(values, (0, 1)).all() else None
    return None


def _listed(leaves: Mapping[str, h5py.Dataset]) -> str:
    shown = [f"{key or OBSERVATION} {leaf.dtype} {leaf.shape}" for key, leaf in leaves.items()]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "") if shown else "none"
