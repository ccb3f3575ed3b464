from dataclasses import dataclass

import numpy as np
import pytest

from headway.episodes import Array, ArrayFrames, Episode, Truth
from headway_envs.recording import Recorder
from headway_envs.seeds import collection_seeds
from headway_policies.behaviour_cloning import CloningConfig, clone
from headway_policies.demonstrations import gather


@dataclass
class Numbers:
    state: Array | None
    environment_state: Array | None
    action: Array | None


@pytest.fixture
def contradiction():
    """Two recordings of the same place: in the first the hand goes right, in the second it goes left."""
    rng = np.random.default_rng(0)
    frames = 40
    state = rng.uniform(-0.1, 0.1, (frames, 4)).astype(np.float32)
    objects = rng.uniform(-0.1, 0.1, (frames, 7)).astype(np.float32)
    goes = []
    for way in (0.02, -0.02):
        action = np.concatenate([state[:, :3] + np.float32([way, 0, 0]), np.ones((frames, 1), np.float32)], axis=1)
        goes.append(Numbers(state, objects, action))
    return gather(goes)


@pytest.fixture
def make_episode():
    def make(index=0, progress=(0.0, 0.5, 1.0), success=True, kind=None, truth=None):
        frames = len(progress)
        curve = None
        if truth is not None:
            known = np.float32(truth)
            curve = Truth(known, np.zeros(frames, np.int64), known >= 1, ("all",), (1.0,))
        pixels = ArrayFrames(np.zeros((frames, 1, 1, 3), np.uint8))
        return Episode(index, 0, 20.0, {"top": pixels}, success=success, kind=kind, truth=curve)

    return make


@pytest.fixture(scope="session")
def experts():
    """The numbers of thirty expert episodes of tidy-drawer."""
    recorder = Recorder("tidy-drawer", cameras=())
    return gather([recorder.record(seed) for seed in collection_seeds(0, 30)])


@pytest.fixture(scope="session")
def good_policy(experts):
    return clone(experts, np.ones(len(experts)), CloningConfig(width=128, steps=500)).policy
