"""A cloned policy on disk: config.json and policy.safetensors. No pickle."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from headway.errors import CheckpointError
from headway.files import replacing, write_json
from headway_policies.behaviour_cloning import ClonedPolicy
from headway_policies.network import CloningNetwork, CloningShape
from headway_policies.signature import Signature

CONFIG = "config.json"
WEIGHTS = "policy.safetensors"
NAME = "behaviour-cloning"
VERSION = 2


class Networked(Protocol):
    """A policy with a network."""

    @property
    def network(self) -> nn.Module: ...


def save_policy(folder: Path, policy: ClonedPolicy) -> None:
    """Write a checkpoint. The config comes last, so a folder without one is an unfinished checkpoint."""
    network = policy.network
    settings = {"shape": asdict(network.shape), "executed": policy.executed}
    write_checkpoint(folder, network, {"policy": NAME, "version": VERSION, **settings})


def load_policy(folder: Path) -> ClonedPolicy:
    """Read a checkpoint. Raises CheckpointError when it is missing, of another policy, or damaged."""

    def build(content: dict[str, Any], signature: Signature) -> ClonedPolicy:
        return ClonedPolicy(CloningNetwork(CloningShape(signature, **content["shape"])), int(content["executed"]))

    return read_checkpoint(folder, NAME, VERSION, build)


def write_checkpoint(folder: Path, network: nn.Module, content: dict[str, Any]) -> None:
    """Write a network's weights and then `content`, JSON's types, which says what they are the weights of."""
    with replacing(folder / WEIGHTS) as beside:
        save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, beside)
    write_json(folder / CONFIG, content)


def read_checkpoint[P: Networked](
    folder: Path, name: str, version: int, build: Callable[[dict[str, Any], Signature], P]
) -> P:
    """The policy that `build` makes of a checkpoint's content and its signature, with the checkpoint's weights.

    The signature is taken out of `content["shape"]`. Raises CheckpointError when the checkpoint is missing, of another
    policy or version than these, or damaged.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no policy ({CONFIG} is missing); train one and save it there")
    try:
        content = json.loads(path.read_text())
        if content.get("policy") != name or content.get("version") != version:
            raise CheckpointError(
                f"{path} describes policy {content.get('policy')!r} version {content.get('version')!r}; "
                f"needs {name!r} version {version}: train it again with this version of Headway"
            )
        names = {part: tuple(values) for part, values in content["shape"].pop("signature").items()}
        policy = build(content, Signature(**names))
        policy.network.load_state_dict(load_file(folder / WEIGHTS))
        return policy
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"the policy in {folder} is damaged ({reason}); train it again") from error
