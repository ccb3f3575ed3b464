"""`headway policy train`."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro

from headway.cli.options import Bar, CamerasOption, DatasetArgument, EpisodesOption, open_source, parse_episodes
from headway.episodes import Array, Episode
from headway.errors import InvalidValue
from headway.signals.weights.table import weights_of

if TYPE_CHECKING:
    from headway_policies.behaviour_cloning import Cloned, CloningConfig
    from headway_policies.demonstrations import Demonstrations
    from headway_policies.image_cloning import ClonedFromPictures, ImageConfig
    from headway_policies.policy_training import Keeping


def train(
    dataset: DatasetArgument,
    /,
    *,
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")],
    weights: Annotated[Path | None, tyro.conf.arg(metavar="FILE.parquet")] = None,
    policy: Literal["state", "image"] = "state",
    seed: int = 0,
    steps: int = 0,
    batch: int = 0,
    chunk: int = 8,
    executed: int = 4,
    width: int = 256,
    episodes: EpisodesOption = "",
    cameras: CamerasOption = "",
    image_size: int = 64,
) -> int:
    """Train a policy on demonstrations that headway collect recorded.

    A training cut short goes on when the command is repeated, and ends in the same policy. For example:

        headway policy train demos/tidy --weights tidy-weights.parquet --out runs/weighted

    Args:
        out: folder of the new run
        weights: what headway weights wrote; frames without a weight are left out. Default: all frames count alike
        policy: state: acts on what only a simulator knows; image: on pictures and what the robot senses
        seed: of the network and of the order
        steps: of training; default: 700 for state, 2000 for image
        batch: frames in a step; default: 256 for state, 64 for image
        chunk: actions predicted at once
        executed: how many of them are carried out before the network is asked again
        width: of the network
        image_size: image only: pixels square that the network sees
    """
    from headway_policies.demonstrations import gather
    from headway_policies.policy_runs import finish, prepare
    from headway_policies.recorded import frame_indices, read_recorded
    from headway_policies.signature import signature_of

    source = open_source(dataset, cameras)
    recorded = read_recorded(Path(source.root))
    numbers = parse_episodes(episodes, source.episode_indices) or tuple(source.episode_indices)
    config = _config(policy, seed, steps, batch, chunk, executed, width, image_size)
    index, whole = frame_indices(source, numbers), frame_indices(source, tuple(source.episode_indices))
    given = np.ones(len(whole)) if weights is None else weights_of(weights, whole)
    weight = given[np.isin(whole, index)].astype(np.float64)
    looks = source.cameras if policy == "image" else ()
    asked = {
        "policy": policy,
        "dataset": source.fingerprint,
        "recorded": asdict(recorded),
        "episodes": list(numbers),
        "weights": None if weights is None else hashlib.sha256(weight.tobytes()).hexdigest()[:16],
        "cameras": list(looks),
        "config": asdict(config),
    }
    signature = signature_of(recorded.task_id, recorded.robot, recorded.action_space)
    chosen = [source.episode(number) for number in numbers]
    demonstrations = gather(chosen, signature)
    _check(weight, demonstrations)
    keeping = prepare(out, asked)
    if keeping is None:
        print(f"{out} holds this very policy, trained before; nothing to do")
    else:
        cloned = _train(chosen, demonstrations, looks, weight, config, keeping)
        finish(out, cloned.policy)
        zero = len(demonstrations) - cloned.frames - cloned.left_out
        print(
            f"trained on {cloned.frames} frames of {len(numbers)} episodes; {zero} weigh 0, {cloned.left_out} have no"
        )
        print(f"weight and are left out; the run is {out}")
    print(f"next: headway policy eval {out}")
    return 0


def _config(
    policy: str, seed: int, steps: int, batch: int, chunk: int, executed: int, width: int, image_size: int
) -> "CloningConfig | ImageConfig":
    from headway_policies.behaviour_cloning import CloningConfig
    from headway_policies.image_cloning import ImageConfig

    for option, value in (("--seed", seed), ("--steps", steps), ("--batch", batch)):
        if value < 0:
            raise InvalidValue(f"{option} must be 0 or more, got {value}")
    given = {name: value for name, value in (("steps", steps), ("batch", batch)) if value}
    shared: dict[str, Any] = {"chunk": chunk, "executed": executed, "width": width, "seed": seed, **given}
    return CloningConfig(**shared) if policy == "state" else ImageConfig(**shared, size=image_size)


def _check(weight: Array, demonstrations: "Demonstrations") -> None:
    """That the weights leave something, before a folder is made."""
    from headway_policies.behaviour_cloning import check_weights

    check_weights(weight, len(demonstrations))


def _train(
    episodes: list[Episode],
    demonstrations: "Demonstrations",
    cameras: tuple[str, ...],
    weight: Array,
    config: "CloningConfig | ImageConfig",
    keeping: "Keeping",
) -> "Cloned | ClonedFromPictures":
    from headway_policies.behaviour_cloning import clone
    from headway_policies.image_cloning import ImageConfig, clone_from_pictures, gather_pictures

    if not isinstance(config, ImageConfig):
        with Bar("training", "step") as bar:
            return clone(demonstrations, weight, config, bar.at_loss, keeping)
    with Bar("reading", "episode") as bar:
        pictures = gather_pictures(episodes, cameras, config.size, weight > 0, bar.at)
    with Bar("training", "step") as bar:
        return clone_from_pictures(demonstrations, pictures, weight, config, bar.at_loss, keeping)
