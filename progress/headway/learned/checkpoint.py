"""Trained estimators on disk: config.json and one safetensors file a member. No pickle."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from headway.errors import CheckpointError, UnknownName
from headway.files import replacing, write_json
from headway.learned.calibrating import Calibration
from headway.learned.estimator import Learned
from headway.learned.members import Member
from headway.learned.method import Knowledge, Method
from headway.learned.methods import method_from_json
from headway.learned.targets import Scales, StageScale
from headway.learned.trunk import Sizes

CONFIG = "config.json"
VERSION = 2
# what reading an edited or cut off checkpoint can raise, in json, in safetensors and in building the network
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, AssertionError, OSError, SafetensorError)


def save_learned(folder: Path, method: Method, members: Sequence[Member], datasets: Sequence[str] = ()) -> None:
    """Write a checkpoint. The config comes last, so a folder without one is an unfinished checkpoint.

    Args:
        folder: the run's folder.
        method: how the members were trained.
        members: the trained networks.
        datasets: fingerprints of what they were trained on.
    """
    described = []
    for number, member in enumerate(members):
        weights = f"member-{number}.safetensors"
        with replacing(folder / weights) as beside:
            save_file({name: tensor.cpu().contiguous() for name, tensor in member.network.state_dict().items()}, beside)
        described.append(
            {
                "weights": weights,
                "sizes": asdict(member.sizes),
                "knowledge": asdict(member.knowledge),
                "calibration": member.calibration.to_json(),
                "trained_on": sorted(member.trained_on),
            }
        )
    content = {
        "estimator": method.name,
        "version": VERSION,
        "method": asdict(method),  # type: ignore[call-overload]
        "datasets": list(datasets),
        "members": described,
    }
    write_json(folder / CONFIG, content)


def load_learned(name: str, folder: Path, device: str = "cpu") -> Learned:
    """Read a checkpoint of the method `name`. Raises CheckpointError when it is missing, another's, or damaged."""
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no {name}; train one with: headway train {name} DATASET --out {folder}")
    try:
        digest = hashlib.sha256(path.read_bytes())
        content = json.loads(path.read_text())
        if content.get("estimator") != name or content.get("version") != VERSION:
            raise CheckpointError(
                f"{path} is a checkpoint of {content.get('estimator')!r} version {content.get('version')!r}; "
                f"needs {name!r} version {VERSION}: train it again with this version of Headway"
            )
        method = method_from_json(content["method"])
        members = [_load_member(folder, described, method, digest) for described in content["members"]]
        if not members:
            raise ValueError("it has no network")
    except UnknownName as error:
        raise CheckpointError(f"the {name} checkpoint in {folder} is damaged ({error}); train it again") from error
    except DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"the {name} checkpoint in {folder} is damaged ({reason}); train it again") from error
    return Learned(f"{name}:{folder}", f"{name}-{digest.hexdigest()[:16]}", method, members, device)


def _load_member(folder: Path, described: dict[str, Any], method: Method, digest: "hashlib._Hash") -> Member:
    weights = folder / described["weights"]
    digest.update(weights.read_bytes())
    sizes = Sizes(**dict(described["sizes"], feature=tuple(described["sizes"]["feature"])))
    inputs = method.inputs
    if (sizes.cameras, sizes.history, bool(sizes.state_dim)) != (len(inputs.cameras), inputs.history, inputs.use_state):
        raise ValueError("its network and its training settings do not belong together")
    if inputs.encoder == "tiny" and sizes.feature != (inputs.image_size, inputs.image_size, 3):
        raise ValueError("its network and its training settings do not belong together")
    knowledge = Knowledge(**{part: _scales(scales) for part, scales in described["knowledge"].items()})
    network = method.network(sizes, knowledge)
    network.load_state_dict(load_file(weights))
    calibration = Calibration.from_json(described["calibration"])
    return Member(network.eval(), sizes, knowledge, frozenset(described["trained_on"]), calibration)


def _scales(content: dict[str, Any] | None) -> Scales | None:
    if content is None:
        return None
    return Scales(
        tuple(StageScale(**{name: tuple(values) for name, values in task.items()}) for task in content["tasks"])
    )
