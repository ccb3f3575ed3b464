"""A policy that acts on pictures, on disk: config.json and policy.safetensors, as `checkpoint` writes the other."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from headway_policies.checkpoint import read_checkpoint, write_checkpoint
from headway_policies.image_policy import ImageNetwork, ImagePolicy, ImageShape
from headway_policies.signature import Signature

NAME = "image-cloning"
VERSION = 1


def save_image_policy(folder: Path, policy: ImagePolicy) -> None:
    """Write a checkpoint. The config comes last, so a folder without one is an unfinished checkpoint."""
    network = policy.network
    settings = {"shape": asdict(network.shape), "executed": policy.executed}
    write_checkpoint(folder, network, {"policy": NAME, "version": VERSION, **settings})


def load_image_policy(folder: Path) -> ImagePolicy:
    """Read a checkpoint. Raises CheckpointError when it is missing, of another policy, or damaged."""

    def build(content: dict[str, Any], signature: Signature) -> ImagePolicy:
        shape = dict(content["shape"])
        cameras = tuple(shape.pop("cameras"))
        return ImagePolicy(ImageNetwork(ImageShape(signature, cameras, **shape)), int(content["executed"]))

    return read_checkpoint(folder, NAME, VERSION, build)
