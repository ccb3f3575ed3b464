from dataclasses import dataclass

import numpy as np
import pytest

from headway.episodes import Array, ArrayFrames, Episode, Truth
from headway_envs.recording import Recorder, RecordingOptions
from headway_envs.seeds import collection_seeds
from headway_policies.behaviour_cloning import CloningConfig, clone
from headway_policies.demonstrations import gather
from headway_policies.signature import Signature, signature_of

HAND = ("hand.x", "hand.y", "hand.z")
OBJECTS = ("red.x", "red.y", "red.z", "blue.x", "blue.y", "blue.z", "drawer")
FLYING = Signature((*HAND, "opening"), OBJECTS, (*HAND, "grip"))
JOINTED = Signature(("elbow.pos", "wrist.pos", "opening", *HAND), OBJECTS, ("elbow.pos", "wrist.pos", "grip"))
"""A hand that is told where to go, and one at the end of two joints that are."""


@dataclass
class Numbers:
    state: Array | None
    environment_state: Array | None
    action: Array | None


@pytest.fixture
def jointed():
    """The signature of a robot with two joints, its hand's place after those."""
    return JOINTED


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
    return gather(goes, FLYING)


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


def recorded(task_id, robot, episodes):
    recorder = Recorder(task_id, RecordingOptions(robot=robot, cameras=()))
    return gather([recorder.record(seed) for seed in collection_seeds(0, episodes)], signature_of(task_id, robot))


@pytest.fixture(scope="session")
def experts():
    """The numbers of thirty expert episodes of tidy-drawer by the gripper."""
    return recorded("tidy-drawer", "gripper", 30)


@pytest.fixture(scope="session")
def good_policy(experts):
    return clone(experts, np.ones(len(experts)), CloningConfig(width=128, steps=500)).policy


@pytest.fixture(scope="session")
def arm_policy():
    """Cloned from expert episodes of tidy-drawer by the arm."""
    experts = recorded("tidy-drawer", "arm", 30)
    return clone(experts, np.ones(len(experts)), CloningConfig(width=128, steps=500)).policy
