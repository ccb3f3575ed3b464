"""SARM on disk: config.json and one safetensors file a member. No pickle."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from headway.errors import CheckpointError
from headway.files import replacing, write_json
from headway.learned.sarm import Sarm, SarmMember
from headway.learned.sarm_network import SarmNetwork, SarmShape
from headway.learned.sarm_training import SarmConfig
from headway.learned.targets import StageScale

CONFIG = "config.json"
VERSION = 1


def save_sarm(folder: Path, config: SarmConfig, members: Sequence[SarmMember]) -> None:
    """Write a checkpoint. The config comes last, so a folder without one is an unfinished checkpoint."""
    described = []
    for number, member in enumerate(members):
        weights = f"member-{number}.safetensors"
        with replacing(folder / weights) as beside:
            save_file({name: tensor.cpu().contiguous() for name, tensor in member.network.state_dict().items()}, beside)
        described.append(
            {
                "weights": weights,
                "shape": asdict(member.network.shape),
                "scale": asdict(member.scale),
                "trained_on": {name: list(indices) for name, indices in member.trained_on.items()},
            }
        )
    content = {"estimator": "sarm", "version": VERSION, "training": asdict(config), "members": described}
    write_json(folder / CONFIG, content)


def load_sarm(folder: Path, device: str = "cpu") -> Sarm:
    """Read a checkpoint. Raises CheckpointError when it is missing, of another estimator, or damaged."""
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no SARM; train one with: headway train sarm DATASET --out {folder}")
    digest = hashlib.sha256(path.read_bytes())
    try:
        content = json.loads(path.read_text())
        if content.get("estimator") != "sarm" or content.get("version") != VERSION:
            raise CheckpointError(
                f"{path} is a checkpoint of {content.get('estimator')!r} version {content.get('version')!r}; "
                f"needs 'sarm' version {VERSION}: train it again with this version of Headway"
            )
        training = dict(content["training"], cameras=tuple(content["training"]["cameras"]))
        config = SarmConfig(**training)
        members = [_load_member(folder, described, digest) for described in content["members"]]
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError, SafetensorError) as error:
        raise CheckpointError(f"the SARM checkpoint in {folder} is damaged ({error}); train it again") from error
    return Sarm(f"sarm:{folder}", f"sarm-{digest.hexdigest()[:16]}", config, members, device)


def _load_member(folder: Path, described: dict, digest: "hashlib._Hash") -> SarmMember:
    weights = folder / described["weights"]
    digest.update(weights.read_bytes())
    network = SarmNetwork(SarmShape(**described["shape"]))
    network.load_state_dict(load_file(weights))
    scale = StageScale(**{name: tuple(values) for name, values in described["scale"].items()})
    return SarmMember(network, scale, described["trained_on"])
