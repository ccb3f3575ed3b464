"""lerobot's SARM labeller, as `compute_rabc_weights` runs it, on this machine and without the hub.

Everything that is timed is lerobot's own code: `compute_sarm_progress` of lerobot.rewards.sarm.compute_rabc_weights,
with lerobot's dataset, processor and network of default size. What is done beside it:

- its CLIP, `openai/clip-vit-base-patch32`, is asked for by that name; a folder of random weights takes its place in a
  hub cache of our own, and the hub is declared out of reach
- loading is done once, before the clock runs; `load_sarm_resources` then hands out what it loaded
- matplotlib, which the module imports to draw and which is not installed with lerobot[sarm], is replaced by an empty
  module; nothing is drawn, nor are its progress bars
- its own `stride` has it label a few frames of each long episode; only those count. The interpolation between them is
  a gift to it of some microseconds
- it stays in its default mode of one stage, which asks the least of it

lerobot finds a dataset by its name under HF_LEROBOT_HOME, so this module has to be imported before lerobot is.
"""

import importlib
import logging
import os
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import huggingface_hub.constants
import numpy as np
import pyarrow.parquet as pq
import torch
from untrained import parameters

CLIP = "openai/clip-vit-base-patch32"
MODULE = "lerobot.rewards.sarm.compute_rabc_weights"


def lay_out(home: Path, dataset: Path, clip: Path, sizes: dict[str, int], camera: str) -> Path:
    """Put dataset and CLIP where lerobot looks for them, save an untrained SARM of its own and return its folder.

    Args:
        home: made; HF_LEROBOT_HOME and the hub's cache.
        dataset: copied to `local/shapes`.
        clip: folder of a CLIP.
        sizes: of lerobot's SARMConfig, where not its defaults.
        camera: that is looked at.
    """
    os.environ["HF_LEROBOT_HOME"] = str(home)
    # where torchcodec cannot be loaded it says so on a hundred lines, and reads video with PyAV
    logging.getLogger("lerobot.utils.import_utils").setLevel(logging.ERROR)
    shutil.copytree(dataset, home / "local/shapes")
    revision = "0" * 40
    cache = home / "hub-cache" / f"models--{CLIP.replace('/', '--')}"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs/main").write_text(revision)
    (cache / "snapshots").mkdir()
    (cache / "snapshots" / revision).symlink_to(clip.resolve(), target_is_directory=True)
    huggingface_hub.constants.HF_HUB_CACHE = str(cache.parent)
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    from lerobot.rewards.sarm.configuration_sarm import SARMConfig
    from lerobot.rewards.sarm.modeling_sarm import SARMRewardModel

    torch.manual_seed(0)
    config = SARMConfig(device="cpu", image_key=f"observation.images.{camera}", **sizes)
    SARMRewardModel(config).save_pretrained(home / "sarm")
    return home / "sarm"


def load(model: Path) -> tuple[Callable[[int], int], dict[str, int]]:
    """What labels every how many-th frame and returns how many those were, and the weights of encoder and head."""
    labeller = _module()
    loaded = labeller.load_sarm_resources("local/shapes", str(model), "cpu")
    labeller.load_sarm_resources = lambda *given: loaded
    dataset, network, process = loaded
    encoder = next(step.clip_model for step in process.steps if hasattr(step, "clip_model"))
    weights = {
        "encoder": parameters(encoder.vision_model) + parameters(encoder.visual_projection),
        "head": parameters(network),
    }
    lengths = [episode["dataset_to_index"] - episode["dataset_from_index"] for episode in dataset.meta.episodes]

    def label(stride: int) -> int:
        out = model.parent / "progress.parquet"
        labeller.compute_sarm_progress("local/shapes", str(model), str(out), "sparse", "cpu", 0, stride=stride)
        progress = pq.read_table(out)["progress_sparse"].to_numpy()
        # it logs a frame that fails, and goes on
        if len(progress) != sum(lengths) or np.isnan(progress).any():
            raise RuntimeError("lerobot's labeller failed on some frames; its log says why")
        return sum(len({*range(0, length, stride), length - 1}) for length in lengths)

    return label, weights


def _module() -> Any:
    if find_spec("matplotlib") is None:
        plotting = {name: ModuleType(name) for name in ("matplotlib", "matplotlib.gridspec", "matplotlib.pyplot")}
        for name in ("gridspec", "pyplot"):
            setattr(plotting["matplotlib"], name, plotting[f"matplotlib.{name}"])
        sys.modules |= plotting
    labeller: Any = importlib.import_module(MODULE)
    labeller.tqdm = lambda items, **settings: items
    return labeller
