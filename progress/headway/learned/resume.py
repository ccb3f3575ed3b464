"""A training run's state on disk, so that one cut short goes on where it was. Read without pickle's powers."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from headway.files import replacing


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors, numbers, texts, lists and dictionaries, atomically."""
    with replacing(path) as beside:
        torch.save(dict(state), beside)


def forget_states(folder: Path) -> None:
    """Remove the states of a run whose checkpoint is written."""
    for path in folder.glob("member-*.state"):
        path.unlink()


def load_state(path: Path, identity: str) -> dict[str, Any] | None:
    """What was saved for this very run; None when there is nothing, or it is damaged or another run's."""
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, AttributeError, UnpicklingError):
        return None
    return state if isinstance(state, dict) and state.get("identity") == identity else None
