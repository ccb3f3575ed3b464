"""The pixel-distance control: progress = 1 - d(o_t, g) / d(o_0, g), clipped to [0, 1].

d is the Euclidean distance between small pictures and g the mean last frame of the successful training episodes,
without the episode that is being judged. With a fixed camera and a fixed goal it tells success well and knows nothing
else, which is why tables carry it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from headway.episodes import Array, Episode, ProgressCurve
from headway.errors import CheckpointError, DatasetError
from headway.estimator import Needs
from headway.files import replacing, write_json
from headway.pictures import frames_to_look_at, interpolate, take_frames

SIZE = 32


@dataclass(frozen=True, repr=False)
class PixelDistance:
    """Distance to the goal picture.

    Attributes:
        goals: the last frames of the successful training episodes, float32 (goals, SIZE, SIZE, 3).
        of: the recording each goal is from.
        camera: the camera it looks at.
    """

    name: str
    fingerprint: str
    goals: Array
    of: Sequence[str | None]
    camera: str
    needs: Needs = field(default_factory=Needs)

    def estimate(self, episodes: Iterable[Episode], stride: int = 1) -> Iterator[ProgressCurve]:
        for episode in episodes:
            looked_at = frames_to_look_at(len(episode), stride)
            pictures = take_frames(episode.camera(self.camera), looked_at, SIZE).astype(np.float32)
            others = [recording is None or recording != episode.recording for recording in self.of]
            goal = self.goals[others].mean(axis=0)
            distance = np.sqrt(((pictures - goal) ** 2).sum(axis=(1, 2, 3)))
            progress = (1 - distance / max(float(distance[0]), 1e-6)).clip(0, 1)
            seen = np.zeros(len(episode), dtype=bool)
            seen[looked_at] = True
            yield ProgressCurve(interpolate(progress, looked_at, len(episode)), seen, self.fingerprint)


def train_pixels(episodes: Iterable[Episode], camera: str, folder: Path) -> None:
    """Save the last frame of every success. Raises DatasetError when fewer than two episodes are labelled so."""
    goals, of = [], []
    for episode in episodes:
        if episode.success:
            last = take_frames(episode.camera(camera), [len(episode) - 1], SIZE)
            goals.append(last[0].astype(np.float32))
            of.append(episode.recording)
    if len(goals) < 2:
        raise DatasetError(f"pixels needs at least two episodes labelled a success, found {len(goals)}")
    with replacing(folder / "goals.safetensors") as beside:
        save_file({"goals": np.stack(goals)}, beside)
    write_json(folder / "config.json", {"estimator": "pixels", "camera": camera, "of": of})


def load_pixels(folder: Path) -> PixelDistance:
    """Read what `train_pixels` saved. Raises CheckpointError when it is missing or damaged."""
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no pixels; make it with: headway train pixels DATASET --out {folder}")
    try:
        content = json.loads(path.read_text())
        if content.get("estimator") != "pixels":
            raise CheckpointError(f"{path} is a checkpoint of {content.get('estimator')!r}, not of 'pixels'")
        weights = (folder / "goals.safetensors").read_bytes()
        goals = load_file(folder / "goals.safetensors")["goals"]
        of = list(content["of"])
        if len(of) != len(goals) or len(of) < 2 or goals.shape[1:] != (SIZE, SIZE, 3):
            raise ValueError(f"{len(of)} recordings for goals of shape {goals.shape}")
        digest = hashlib.sha256(path.read_bytes() + weights).hexdigest()
        return PixelDistance(f"pixels:{folder}", f"pixels-{digest[:16]}", goals, of, content["camera"])
    except (ValueError, KeyError, TypeError, AttributeError, OSError, SafetensorError) as error:
        raise CheckpointError(f"the pixels checkpoint in {folder} is damaged ({error}); make it again") from error
