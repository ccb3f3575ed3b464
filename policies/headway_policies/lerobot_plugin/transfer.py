"""A Headway run as a folder that lerobot loads, and back; the weights and what belongs to them stay the same."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from headway.errors import CheckpointError, OutputError
from headway.files import make_folder, replacing, write_json
from headway.learned.checkpoint import CONFIG, load_learned, save_learned
from headway.learned.estimator import Learned
from headway.learned.members import Member
from headway.learned.method import Method

WEIGHTS = "model.safetensors"
# lerobot saves the reward model, of which our network is one attribute
PREFIX = "network."
MEMBER = "member-0.safetensors"


def export_to_lerobot(run: Path | str, folder: Path | str, fps: float) -> None:
    """Write a run as a lerobot reward model: config.json with its "type", and model.safetensors.

    Args:
        run: what `headway train` wrote; of a cross-fit the first network is taken.
        folder: a new or empty folder.
        fps: frames per second of the data that lerobot will show it.

    Raises CheckpointError when `run` holds no estimator that lerobot is told of, OutputError when `folder` is taken.
    """
    from headway_policies.lerobot_plugin.modeling_headway import make_model

    run, folder = Path(run), Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} already exists and is not empty; name another folder or remove it")
    model = make_model(load_run(run), fps)
    make_folder(folder.parent)
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as beside:
        written = Path(beside) / "model"
        model.save_pretrained(written)
        written.rename(folder)


def import_from_lerobot(folder: Path | str, run: Path | str) -> str:
    """Write a reward model of ours that lerobot saved as a Headway run; the estimator's spec, such as `sarm:RUN`.

    Raises CheckpointError when `folder` holds none, OutputError when `run` already holds a trained estimator.
    """
    folder, run = Path(folder), Path(run)
    if (run / CONFIG).exists():
        raise OutputError(f"{run} already holds a trained estimator; choose another folder, or delete it")
    name = _unpack(folder, run)
    load_learned(name, run)
    return f"{name}:{run}"


def load_run(folder: Path, name: str | None = None, device: str = "cpu") -> Learned:
    """The estimator in a run, or in a folder that lerobot saved.

    Raises CheckpointError when there is none, or one that is not called `name`.
    """
    with _as_run(folder) as run:
        found = read_config(run).get("estimator")
        if not isinstance(found, str):
            raise CheckpointError(f"{folder} holds no estimator of Headway; train one with: headway train sarm DATASET")
        return load_learned(name or found, run, device)


def describe(method: Method, member: Member) -> dict[str, Any]:
    """What a run's config.json says of one network."""
    with TemporaryDirectory() as folder:
        save_learned(Path(folder), method, [member])
        return read_config(Path(folder))


def read_config(folder: Path) -> dict[str, Any]:
    """A folder's config.json. Raises CheckpointError when it is missing or damaged."""
    try:
        content = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG} cannot be read ({error}); give a trained model's folder") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{folder / CONFIG} is no description of a model; give a trained model's folder")
    return content


@contextmanager
def _as_run(folder: Path) -> Iterator[Path]:
    if "type" not in read_config(folder):
        yield folder
        return
    with TemporaryDirectory() as run:
        _unpack(folder, Path(run))
        yield Path(run)


def _unpack(folder: Path, run: Path) -> str:
    """Write what lerobot saved as a run; the estimator's name."""
    content = read_config(folder).get("checkpoint") or {}
    try:
        name, (described, *_) = str(content["estimator"]), content["members"]
        tensors = load_file(folder / WEIGHTS)
        weights = {key.removeprefix(PREFIX): tensor for key, tensor in tensors.items()}
        # the name in the description is not trusted: it could lead out of the folder
        content = dict(content, members=[dict(described, weights=MEMBER)])
        with replacing(run / MEMBER) as beside:
            save_file(weights, beside)
    except (LookupError, TypeError, ValueError, SafetensorError, FileNotFoundError) as error:
        raise CheckpointError(f"{folder} holds no whole reward model of Headway ({error}); save it again") from error
    write_json(run / CONFIG, content)
    return name
