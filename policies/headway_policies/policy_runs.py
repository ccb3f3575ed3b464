"""A run: the folder of a policy that `headway policy train` makes.

training.json        what was asked for, written before the training begins
training.state       while it runs: from where to go on
config.json, policy.safetensors      the policy, once it is trained
evaluation/          what `headway policy eval` found
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headway.errors import CheckpointError, OutputError
from headway.files import make_folder, write_json
from headway_policies import checkpoint, image_checkpoint
from headway_policies.behaviour_cloning import ClonedPolicy
from headway_policies.checkpoint import CONFIG, WEIGHTS, load_policy, save_policy
from headway_policies.image_checkpoint import load_image_policy, save_image_policy
from headway_policies.image_policy import ImagePolicy
from headway_policies.lanes import Setting
from headway_policies.policy_training import Keeping
from headway_policies.recorded import Recorded

TRAINING = "training.json"
STATE = "training.state"
VERSION = 1

Policy = ClonedPolicy | ImagePolicy
LOADERS: dict[str, Callable[[Path], Policy]] = {checkpoint.NAME: load_policy, image_checkpoint.NAME: load_image_policy}


@dataclass(frozen=True, repr=False)
class Run:
    """A finished training.

    Attributes:
        folder: of the run.
        policy: who acts.
        recorded: where its demonstrations were recorded.
        checksum: changes with the policy.
        asked: what the training was asked for.
    """

    folder: Path
    policy: Policy
    recorded: Recorded
    checksum: str
    asked: Mapping[str, Any]

    def setting(self, seconds: float, variation: str | None = None) -> Setting:
        """Where it acts; None is the variation it learnt with."""
        recorded = self.recorded
        look = recorded.variation if variation is None else variation
        return Setting(recorded.task_id, recorded.robot, recorded.action_space, seconds, look)


def prepare(folder: Path, asked: Mapping[str, Any]) -> Keeping | None:
    """Make the folder of a run ready: where its state is kept, or None when the very training is finished.

    Raises OutputError when the folder holds another training, or something else.
    """
    path = folder / TRAINING
    content = json.loads(json.dumps({"version": VERSION, **asked}))
    if folder.is_dir() and any(folder.iterdir()):
        there = _read(path)
        if there is None:
            raise OutputError(f"{folder} is not empty and holds no training; choose another folder with --out")
        other = [name for name in sorted({*content, *there}) if content.get(name) != there.get(name)]
        if other:
            raise OutputError(
                f"{folder} holds a training with another {', '.join(other)}; choose another folder with --out, or "
                "delete it"
            )
        if (folder / CONFIG).is_file():
            load_run(folder)
            return None
    make_folder(folder)
    write_json(path, content)
    return Keeping(folder / STATE, _digest(json.dumps(content, sort_keys=True).encode()))


def finish(folder: Path, policy: Policy) -> None:
    """Write the policy, then remove what only an unfinished training needs."""
    if isinstance(policy, ImagePolicy):
        save_image_policy(folder, policy)
    else:
        save_policy(folder, policy)
    # also what a process that was killed had begun to write
    for path in (folder / STATE, *folder.glob(".*.part")):
        path.unlink(missing_ok=True)


def load_run(folder: Path) -> Run:
    """Read a finished run. Raises CheckpointError when there is none, it is unfinished, or it is damaged."""
    asked = _read(folder / TRAINING)
    if asked is None:
        raise CheckpointError(
            f"{folder} holds no run ({TRAINING} is missing or damaged); train one with: headway policy train DATASET "
            f"--out {folder}"
        )
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"the training in {folder} is not finished; repeat the command that began it")
    try:
        name = json.loads((folder / CONFIG).read_text())["policy"]
        loader = LOADERS[name]
        recorded = Recorded(**asked["recorded"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"the run in {folder} is damaged ({error!r}); train it again") from error
    policy = loader(folder)
    checksum = _digest((folder / CONFIG).read_bytes() + (folder / WEIGHTS).read_bytes())
    return Run(folder, policy, recorded, checksum, asked)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
