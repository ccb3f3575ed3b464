"""A node of its own process, to be killed: python node_process.py URL. It asks for permission until it is told on its
standard input that the arm moves, and never after."""

import dataclasses
import select
import sys
import time

import numpy as np

from headway.estimator import Needs, Reading
from headway_envs.ros.config import Arm, BridgeConfig, Link
from headway_envs.ros.judge import Judge
from headway_envs.ros.node import Node
from headway_envs.ros.rosbridge.client import RosbridgeTransport


class Both:
    """A model and a policy that always goes a bit further."""

    name, fingerprint, needs = "model", "1", Needs()

    def estimate(self, episodes, stride=1):
        raise NotImplementedError

    def stream(self, instruction=None):
        return self

    def push(self, frames, time_, state=None):
        time.sleep(0.05)
        return Reading(time_, 0.5, success=0.1)

    def begin(self):
        pass

    def act(self, frames, state, seconds):
        return np.asarray(state) + 0.2


config = dataclasses.replace(
    BridgeConfig(link=Link(url=sys.argv[1])), arm=Arm(joints=("a",), max_change=0.5, dry_run=False)
)
node = Node(config, Judge(Both(), config.topics.image_kind, Both()), RosbridgeTransport(sys.argv[1]))
node.start()
while not select.select([sys.stdin], [], [], 0.1)[0]:
    node.ask("enable")
time.sleep(3600)
