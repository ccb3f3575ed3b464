"""What a dataset that `headway collect` recorded says of itself."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headway.episodes import Array
from headway.errors import DatasetError
from headway.source import Source
from headway_datasets.lerobot_layout import HEADWAY
from headway_envs.tasks import TASKS


@dataclass(frozen=True)
class Recorded:
    """Where and how demonstrations were recorded, which is where a policy that learns from them acts."""

    task_id: str
    task_version: int
    robot: str
    action_space: str | None
    variation: str


def read_recorded(root: Path) -> Recorded:
    """What `meta/headway.json` of a collection says.

    Raises DatasetError when there is none, or it is of a task that is not ours or of another version of it.
    """
    path = root / HEADWAY
    try:
        notes = json.loads(path.read_text())
        found = Recorded(
            str(notes["task_id"]),
            int(notes["task_version"]),
            str(notes["robot"]),
            notes["action_space"],
            str(notes["variation"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise DatasetError(
            f"{root} does not say in which simulated task it was recorded ({HEADWAY}), so no policy can act there; "
            "record one with: headway collect TASK"
        ) from None
    if found.task_id not in TASKS:
        raise DatasetError(f"{root} was recorded in {found.task_id}; policies act in {', '.join(TASKS)}")
    version = TASKS[found.task_id].version
    if found.task_version != version:
        raise DatasetError(
            f"{root} was recorded in version {found.task_version} of {found.task_id}, this is version {version}; "
            "collect it again"
        )
    return found


def frame_indices(source: Source, episodes: tuple[int, ...]) -> Array:
    """int64 (frames,): the dataset's index of every frame of those episodes, one episode after another."""
    chosen = [source.episode(number) for number in episodes]
    return np.concatenate([np.arange(one.first_frame, one.first_frame + len(one)) for one in chosen])
