"""From a checkpoint of ours to one of lerobot's own type, for a robot where Headway is not installed."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from headway.errors import CheckpointError, OutputError
from headway.files import make_folder, write_json

CONFIG = "config.json"
OWN_TYPE = {"headway_act": "act", "headway_diffusion": "diffusion"}
OURS = ("weights_path", "fallback_weight", "look_ahead")
# what lerobot-train writes for itself, and names our type
TRAIN_CONFIG = "train_config.json"


def export_to_lerobot(checkpoint: Path | str, folder: Path | str) -> None:
    """Write a trained policy as lerobot's own `act` or `diffusion`: same parameters, same processors.

    Args:
        checkpoint: a `pretrained_model` folder that lerobot-train wrote for `headway_act` or `headway_diffusion`.
        folder: a new or empty folder.

    Raises CheckpointError when `checkpoint` holds neither, OutputError when `folder` is taken.
    """
    checkpoint, folder = Path(checkpoint), Path(folder)
    try:
        config = json.loads((checkpoint / CONFIG).read_text())
        config["type"] = OWN_TYPE[config["type"]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        kinds = " or ".join(OWN_TYPE)
        raise CheckpointError(f"{checkpoint} holds no {kinds} ({error}); give its pretrained_model folder") from error
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} already exists and is not empty; name another folder or remove it")
    make_folder(folder.parent)
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as beside:
        written = Path(beside) / "model"
        shutil.copytree(checkpoint, written, ignore=shutil.ignore_patterns(TRAIN_CONFIG))
        write_json(written / CONFIG, {key: value for key, value in config.items() if key not in OURS})
        written.rename(folder)
