"""A marked dataset of the toy task that lerobot opens, and a SARM trained on it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from headway.encoders.cache import FeatureCache
from headway.learned.checkpoint import save_learned
from headway.learned.cross_fit import train_members
from headway.learned.inputs import InputConfig
from headway.learned.members import Workshop
from headway.learned.method import TaskEpisodes, TrainingConfig
from headway.learned.sarm import Sarm
from headway_datasets.lerobot_v3 import LeRobotV3
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
def root(tmp_path_factory, session_sliders) -> Path:
    """Five successes, one failure and one episode that nobody marked; 10 frames per second."""
    *episodes, last = session_sliders(6, failing=1)
    root = tmp_path_factory.mktemp("lerobot") / "slider"
    write_dataset(root, [*episodes[:5], replace(episodes[5], stages=None), last])
    return root


@pytest.fixture(scope="session")
def source(root) -> LeRobotV3:
    return LeRobotV3(root)


@pytest.fixture(scope="session")
def run(tmp_path_factory, source) -> Path:
    """A SARM with state, briefly trained: its curve is not flat."""
    method = Sarm(InputConfig(("top",), image_size=32, use_state=True), TrainingConfig(epochs=8, batch=4, validation=0))
    workshop = Workshop(FeatureCache(tmp_path_factory.mktemp("cache")))
    tasks = [TaskEpisodes(list(source)[:4], source.stage_names)]
    folder = tmp_path_factory.mktemp("runs") / "slider"
    save_learned(folder, method, train_members(method, tasks, workshop, 1))
    return folder


@pytest.fixture
def curve_of():
    def curve(estimator, episode, stride=1):
        (found,) = estimator.estimate([episode], stride)
        return found

    return curve
