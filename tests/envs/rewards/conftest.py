"""Small environments whose optimum, ending and pictures are known, and a real SARM with random weights."""

import sys

import cloudpickle
import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from headway.learned.estimator import Learned
from headway.learned.inputs import InputConfig
from headway.learned.members import Member
from headway.learned.method import Knowledge
from headway.learned.sarm import Sarm
from headway.learned.targets import Scales, StageScale
from headway.learned.trunk import Sizes

torch.set_num_threads(1)
# processes started by AsyncVectorEnv cannot import this file
cloudpickle.register_pickle_by_value(sys.modules[__name__])

LAST = 10


class Chain(gymnasium.Env):
    """11 states in a row; left, stay, right. Entering the last one pays 1 and terminates.

    `reset(options={"state": s})` starts at s.
    """

    observation_space = spaces.Discrete(LAST + 1)
    action_space = spaces.Discrete(3)
    state = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = (options or {}).get("state", 0)
        return self.state, {"progress": self.state / LAST}

    def step(self, action):
        self.state = int(np.clip(self.state + action - 1, 0, LAST))
        done = self.state == LAST
        return self.state, float(done), done, False, {"progress": self.state / LAST}


class Replay(gymnasium.Env):
    """Goes through given potentials, whatever is done, and ends as told; the reward is the step's number."""

    observation_space = spaces.Discrete(1)
    action_space = spaces.Discrete(1)

    def __init__(self, potentials, terminates):
        self.potentials, self.terminates, self.at = potentials, terminates, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return 0, {"progress": self.potentials[0]}

    def step(self, action):
        self.at += 1
        over = self.at == len(self.potentials) - 1
        info = {"progress": self.potentials[self.at]}
        return 0, float(self.at), over and self.terminates, over and not self.terminates, info


class Slider(gymnasium.Env):
    """A square goes from the left (the seed says how far) to the right edge, which terminates.

    Renders 32 x 32 pixels; `cameras` adds pictures from the side to the observation. What it is told differs from
    episode to episode.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    action_space = spaces.Box(-2, 4, (1,), np.float32)

    def __init__(self, render_mode="rgb_array", cameras=()):
        self.render_mode = render_mode
        self.cameras = cameras
        parts = dict.fromkeys(cameras, spaces.Box(0, 255, (32, 32, 3), np.uint8))
        self.observation_space = spaces.Dict({"state": spaces.Box(0, 24, (1,), np.float32), **parts})
        self.place = 0.0
        self.drawn = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.uniform(0, 18)
        return self._seen(), {"progress": self.place / 24, "instruction": f"slide on from {round(self.place)}"}

    def step(self, action):
        self.place = float(np.clip(self.place + float(action[0]), 0, 24))
        done = self.place >= 24
        return self._seen(), float(done), done, False, {"progress": self.place / 24}

    def _seen(self):
        picture = self._picture().transpose(1, 0, 2)
        return {"state": np.array([self.place], np.float32), **dict.fromkeys(self.cameras, picture)}

    def _picture(self):
        picture = np.full((32, 32, 3), 80, np.uint8)
        picture[12:20, round(self.place) : round(self.place) + 8] = (230, 40, 40)
        return picture

    def render(self):
        self.drawn += 1
        return self._picture()


def untrained_sarm(*cameras, size=32, state_dim=0):
    """A SARM as training would start it."""
    torch.manual_seed(0)
    method = Sarm(InputConfig(cameras or ("top",), use_state=state_dim > 0, image_size=size))
    knowledge = Knowledge(Scales((StageScale(("first", "second"), (0.5, 0.5), (2.0, 2.0)),)))
    sizes = Sizes((size, size, 3), len(method.inputs.cameras), 256, state_dim, method.inputs.history)
    network = method.network(sizes, knowledge)
    # heads drawn this wide give estimates that differ from frame to frame
    for head in (network.sparse.stage, network.sparse.within):
        torch.nn.init.normal_(head.weight, std=0.5)
    return Learned("sarm:untrained", "untrained", method, [Member(network, sizes, knowledge, frozenset())])


@pytest.fixture(scope="session")
def make_chain():
    return Chain


@pytest.fixture(scope="session")
def make_replay():
    return Replay


@pytest.fixture(scope="session")
def make_slider_env():
    return Slider


@pytest.fixture(scope="session")
def make_sarm():
    return untrained_sarm
