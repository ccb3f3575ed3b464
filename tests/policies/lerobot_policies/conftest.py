"""A dataset of the toy task with two actions, and lerobot kept off the hub."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headway.signals.weights import write_weights
from headway_datasets.lerobot_writer import write_dataset


@pytest.fixture(scope="session", autouse=True)
def no_hub():
    """Before lerobot and transformers are imported: whoever looks for the hub fails at once."""
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    yield
    os.environ.pop("HF_HUB_OFFLINE")
    if before is not None:
        os.environ["HF_HUB_OFFLINE"] = before


@pytest.fixture(scope="session")
def episodes(session_sliders):
    """Three episodes; state and environment state have two values."""
    rng = np.random.default_rng(0)
    found = []
    for episode in session_sliders(3):
        both = np.stack([episode.truth.progress, rng.normal(size=len(episode))], axis=1).astype(np.float32)
        found.append(replace(episode, state=both, environment_state=both[:, ::-1].copy()))
    return found


@pytest.fixture(scope="session")
def root(tmp_path_factory, episodes) -> Path:
    root = tmp_path_factory.mktemp("lerobot-policies") / "slider"
    write_dataset(root, episodes)
    return root


@pytest.fixture
def table(tmp_path):
    """Writes weights, NaN for none, as headway weights does."""

    def write(weights, index=None, name="weights.parquet"):
        weights = np.asarray(weights, np.float64)
        write_weights(tmp_path / name, np.arange(len(weights)) if index is None else np.asarray(index), weights)
        return tmp_path / name

    return write
