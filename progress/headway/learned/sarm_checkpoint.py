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
# what reading an edited or cut off checkpoint can raise, in json, in safetensors and in building the network
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, AssertionError, OSError, SafetensorError)


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
                "trained_on": sorted(member.trained_on),
            }
        )
    content = {"estimator": "sarm", "version": VERSION, "training": asdict(config), "members": described}
    write_json(folder / CONFIG, content)


def load_sarm(folder: Path, device: str = "cpu") -> Sarm:
    """Read a checkpoint. Raises CheckpointError when it is missing, of another estimator, or damaged."""
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no SARM; train one with: headway train sarm DATASET --out {folder}")
    try:
        digest = hashlib.sha256(path.read_bytes())
        content = json.loads(path.read_text())
        if content.get("estimator") != "sarm" or content.get("version") != VERSION:
            raise CheckpointError(
                f"{path} is a checkpoint of {content.get('estimator')!r} version {content.get('version')!r}; "
                f"needs 'sarm' version {VERSION}: train it again with this version of Headway"
            )
        config = SarmConfig(**dict(content["training"], cameras=tuple(content["training"]["cameras"])))
        members = [_load_member(folder, described, config, digest) for described in content["members"]]
        if not members:
            raise ValueError("it has no network")
    except DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"the SARM checkpoint in {folder} is damaged ({reason}); train it again") from error
    return Sarm(f"sarm:{folder}", f"sarm-{digest.hexdigest()[:16]}", config, members, device)


def _load_member(folder: Path, described: dict, config: SarmConfig, digest: "hashlib._Hash") -> SarmMember:
    weights = folder / described["weights"]
    digest.update(weights.read_bytes())
    scale = StageScale(**{name: tuple(values) for name, values in described["scale"].items()})
    shape = SarmShape(**described["shape"])
    wanted = SarmShape(
        len(scale.names),
        len(config.cameras),
        shape.state_dim,
        config.image_size,
        config.history,
        shape.dimension,
        shape.layers,
        shape.heads,
    )
    if shape != wanted or bool(shape.state_dim) != config.use_state:
        raise ValueError("its network, its stages and its training settings do not belong together")
    network = SarmNetwork(shape)
    network.load_state_dict(load_file(weights))
    return SarmMember(network, scale, frozenset(described["trained_on"]))
