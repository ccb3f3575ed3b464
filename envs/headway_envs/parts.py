"""The finished episodes of a collection that is still under way, one file each, so that it can be taken up again.

A collection to DIR works in `.DIR.collecting` beside it. There lie its settings and `parts/000012.npz` and so on, each
written beside its place and moved there when whole: whatever is there is good, after a kill too.
"""

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headway.episodes import Truth
from headway.errors import OutputError
from headway.files import make_folder, replacing, write_json
from headway_envs.trajectory import Trajectory

_NUMBERS = ("state", "environment_state", "action")
_TRUTH = ("progress", "stage", "success", "imperfection", "value", "value_interval")


class Parts:
    """The working folder of a collection to `out` with these settings (JSON's types).

    Raises OutputError when it cannot be written, or holds a collection with other settings.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any]):
        self.folder = out.with_name(f".{out.name}.collecting")
        self._parts = self.folder / "parts"
        claim = self.folder / "settings.json"
        if claim.exists():
            if json.loads(claim.read_text()) != json.loads(json.dumps(settings)):
                raise OutputError(
                    f"{self.folder} holds an unfinished collection with other settings; repeat its command to finish "
                    "it, delete that folder, or choose another --out"
                )
            return
        make_folder(self._parts)
        write_json(claim, settings)

    def missing(self, episodes: int) -> list[int]:
        """The numbers of the episodes that are not there yet."""
        return [index for index in range(episodes) if not self.path(index).exists()]

    def path(self, index: int) -> Path:
        """Where the episode of that number lies."""
        return self._parts / f"{index:06d}.npz"

    @property
    def dataset(self) -> Path:
        """Where the dataset is put together."""
        return self.folder / "dataset"

    def fresh_dataset(self) -> Path:
        """The same, without what an interrupted run may have left of it."""
        for left in self.folder.iterdir():
            if left.is_dir() and left != self._parts:
                shutil.rmtree(left)
        return self.dataset

    def remove(self) -> None:
        """Take the folder away; the collection is complete."""
        shutil.rmtree(self.folder)


def save_part(path: Path, trajectory: Trajectory) -> None:
    """Write one episode; without loss, frames compressed."""
    truth = {f"truth.{name}": getattr(trajectory.truth, name) for name in _TRUTH}
    frames = {f"frames.{name}": pixels for name, pixels in trajectory.frames.items()}
    about = {
        "instruction": trajectory.instruction,
        "seed": trajectory.seed,
        "kind": trajectory.kind,
        "fps": trajectory.fps,
        "stage_names": trajectory.truth.stage_names,
        "proportions": trajectory.truth.proportions,
        "imperfections": trajectory.truth.imperfections,
    }
    arrays = {name: getattr(trajectory, name) for name in _NUMBERS} | truth | frames
    with replacing(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("about.json", json.dumps(about))
        for name, values in arrays.items():
            if values is not None:
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)


def load_part(path: Path) -> Trajectory:
    """Read one episode back."""
    with zipfile.ZipFile(path) as archive:
        about = json.loads(archive.read("about.json"))
        arrays = {}
        for entry in archive.namelist():
            if entry.endswith(".npy"):
                with archive.open(entry) as file:
                    arrays[entry.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
    known: dict[str, Any] = {name: arrays.get(f"truth.{name}") for name in _TRUTH}
    known |= {name: tuple(about[name]) for name in ("stage_names", "proportions", "imperfections")}
    return Trajectory(
        **{name: about[name] for name in ("instruction", "seed", "kind", "fps")},
        **{name: arrays[name] for name in _NUMBERS},
        truth=Truth(**known),
        frames={name.removeprefix("frames."): values for name, values in arrays.items() if name.startswith("frames.")},
    )
