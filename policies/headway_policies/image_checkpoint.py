"""A policy that acts on pictures, on disk: config.json and policy.safetensors, as `checkpoint` writes the other."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from headway.errors import CheckpointError
from headway.files import replacing, write_json
from headway_policies.checkpoint import CONFIG, WEIGHTS
from headway_policies.image_policy import ImageNetwork, ImagePolicy, ImageShape
from headway_policies.signature import Signature

NAME = "image-cloning"
VERSION = 1


def save_image_policy(folder: Path, policy: ImagePolicy) -> None:
    """Write a checkpoint. The config comes last, so a folder without one is an unfinished checkpoint."""
    network = policy.network
    with replacing(folder / WEIGHTS) as beside:
        save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, beside)
    content = {"policy": NAME, "version": VERSION, "shape": asdict(network.shape), "executed": policy.executed}
    write_json(folder / CONFIG, content)


def load_image_policy(folder: Path) -> ImagePolicy:
    """Read a checkpoint. Raises CheckpointError when it is missing, of another policy, or damaged."""
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no policy ({CONFIG} is missing); train one and save it there")
    try:
        content = json.loads(path.read_text())
        if content.get("policy") != NAME or content.get("version") != VERSION:
            raise CheckpointError(
                f"{path} describes policy {content.get('policy')!r} version {content.get('version')!r}; "
                f"needs {NAME!r} version {VERSION}: train it again with this version of Headway"
            )
        shape = content["shape"]
        names = {part: tuple(values) for part, values in shape.pop("signature").items()}
        cameras = tuple(shape.pop("cameras"))
        network = ImageNetwork(ImageShape(Signature(**names), cameras, **shape))
        network.load_state_dict(load_file(folder / WEIGHTS))
        return ImagePolicy(network, int(content["executed"]))
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"the policy in {folder} is damaged ({reason}); train it again") from error
