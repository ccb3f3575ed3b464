"""One SARM, trained for real on the toy task, for all tests that only look at it."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from headway.encoders.cache import FeatureCache
from headway.learned.cross_fit import train_members
from headway.learned.estimator import Learned
from headway.learned.inputs import InputConfig
from headway.learned.members import Workshop
from headway.learned.method import TaskEpisodes, TrainingConfig
from headway.learned.sarm import Sarm

INPUTS = InputConfig(("top",), image_size=32)
TRAINING = TrainingConfig(epochs=50, batch=6, validation=0)
NAMES = ("right", "down")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory) -> Workshop:
    return Workshop(FeatureCache(tmp_path_factory.mktemp("cache")))


@dataclass
class Learn:
    """Trains a method on the toy task: the estimator."""

    workshop: Workshop

    def __call__(self, method, episodes, folds=1, folder: Path | None = None) -> Learned:
        return self.tasks(method, [TaskEpisodes(episodes, NAMES)], folds, folder)

    def with_dense(self, method, episodes, dense_names) -> Learned:
        return self.tasks(method, [TaskEpisodes(episodes, NAMES, dense_names)])

    def tasks(self, method, tasks, folds=1, folder: Path | None = None) -> Learned:
        members = train_members(method, tasks, replace(self.workshop, folder=folder), folds)
        return Learned(f"{method.name}:toy", f"{method.name}-toy", method, members)


@pytest.fixture(scope="session")
def learn(workshop) -> Learn:
    return Learn(workshop)


@pytest.fixture(scope="session")
def method() -> Sarm:
    return Sarm(INPUTS, TRAINING)


@pytest.fixture(scope="session")
def sarm(learn, method, session_sliders) -> Learned:
    return learn(method, session_sliders(10, failing=4))


@pytest.fixture(scope="session")
def unseen(session_sliders):
    return [replace(episode, recording=f"unseen-{episode.index}") for episode in session_sliders(6, failing=4, seed=7)]


@pytest.fixture(scope="session")
def one():
    """The curve of one episode."""

    def curve(estimator, episode, stride=1):
        (found,) = estimator.estimate([episode], stride)
        return found

    return curve
