"""Random vision-language models of two layers, saved once a session."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from headway.vlm.chat import Picture
from headway.vlm.clip import encode
from headway_envs.tiny_vlms import save_tiny_vlm


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """saved("qwen3") -> the folder of a random Qwen3-VL; one folder a type, not to be changed."""
    torch.set_num_threads(1)
    folders: dict[str, Path] = {}

    def save(kind: str) -> Path:
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind)
            save_tiny_vlm(kind, folders[kind])
        return folders[kind]

    return save


@pytest.fixture(scope="session")
def pictures() -> list[Picture]:
    """Not square, and of two sizes, as two cameras would give."""
    rng = np.random.default_rng(0)
    sizes = [(3, 4), (3, 4), (2, 3), (3, 4)]
    return [encode(rng.integers(0, 256, (h, w, 3), np.uint8).repeat(32, 0).repeat(32, 1)) for h, w in sizes]
