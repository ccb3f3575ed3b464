"""lerobot's batches of windows -> what a Headway network is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lerobot.utils.constants import OBS_STATE
from torch import Tensor

from headway.episodes import Array
from headway.errors import DatasetError, InvalidValue
from headway.learned.estimator import Eyes
from headway.learned.windows import PADDING


@dataclass(frozen=True, repr=False)
class Windows:
    """A batch of windows.

    Attributes:
        features: the encoder's, (window, 1 + history, camera, *shape).
        state: float32 (window, 1 + history, state_dim) or None.
        places: int64 (window, 1 + history), each place's own number, PADDING where there is no frame.
        tasks: the instruction of each window.
    """

    features: Array
    state: Array | None
    places: Array
    tasks: list[str]

    def __len__(self) -> int:
        return len(self.places)


def read_batch(batch: Mapping[str, Any], image_keys: Sequence[str], length: int, eyes: Eyes) -> Windows:
    """Take a batch apart.

    Args:
        batch: of a lerobot dataset with the config's `observation_delta_indices`: pictures (window, length, 3,
            height, width) in [0, 1] or uint8, `KEY_is_pad` (window, length), `observation.state`, `task`.
        image_keys: its cameras, in the estimator's order.
        length: places in a window.
        eyes: the estimator's encoders.

    Raises DatasetError for a key that is missing, InvalidValue for pictures that are no windows.
    """
    for key in [*image_keys, *(f"{key}_is_pad" for key in image_keys)]:
        if key not in batch:
            raise DatasetError(
                f"the batch has no {key!r}; it needs windows as config.observation_delta_indices asks for, from a "
                "dataset opened with delta_timestamps; name the cameras with --reward_model.image_keys"
            )
    cameras = [_pictures(batch[key], key, length) for key in image_keys]
    windows = len(cameras[0])
    flat = [camera.reshape(-1, *camera.shape[2:]) for camera in cameras]
    features = eyes.see(list(zip(*flat, strict=True)))
    padding = batch[f"{image_keys[0]}_is_pad"].cpu().numpy().astype(bool)
    places = np.where(padding, PADDING, np.arange(length)[None])
    places[:, 0] = 0  # lerobot calls the episode's first frame padding, since it lies before the window
    return Windows(
        features.reshape(windows, length, *features.shape[1:]),
        _state(batch, windows, length) if eyes.inputs.use_state else None,
        places,
        _tasks(batch, windows),
    )


def _pictures(given: Tensor, key: str, length: int) -> Array:
    """Pictures (window, length, 3, height, width) -> uint8 (window, length, height, width, 3)."""
    if given.ndim != 5 or given.shape[1:3] != (length, 3):
        raise InvalidValue(
            f"{key} has shape {tuple(given.shape)}; needs (window, {length}, 3, height, width): the episode's first "
            "frame and the history, as config.observation_delta_indices asks for"
        )
    pixels = given
    if given.dtype != torch.uint8:
        if given.min() < 0 or given.max() > 1:
            raise InvalidValue(f"{key} holds pictures outside [0, 1]; give them without normalisation")
        pixels = (given * 255).round().to(torch.uint8)
    if not pixels[:, 0].any():
        raise InvalidValue(
            f"every episode's first frame in {key} is black, as a streamed dataset leaves it; set "
            "--dataset.streaming=false"
        )
    return pixels.permute(0, 1, 3, 4, 2).cpu().numpy()


def _state(batch: Mapping[str, Any], windows: int, length: int) -> Array:
    state = batch.get(OBS_STATE)
    if state is None or state.shape[:2] != (windows, length):
        found = "none" if state is None else str(tuple(state.shape))
        raise DatasetError(f"needs {OBS_STATE} of shape ({windows}, {length}, state_dim), got {found}")
    # a state of one number comes from lerobot without its last axis
    return state.reshape(windows, length, -1).cpu().numpy().astype(np.float32)


def _tasks(batch: Mapping[str, Any], windows: int) -> list[str]:
    task = batch.get("task", "")
    return [task or ""] * windows if isinstance(task, str) or task is None else list(task)
