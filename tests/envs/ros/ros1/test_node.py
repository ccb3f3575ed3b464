"""The node beside an arm of rospy: in its graph, and through our rosbridge server. ROS's own tools see and ask."""

import dataclasses
import time

import numpy as np
import pytest

from headway.estimator import Needs, Reading
from headway_envs.ros.config import Arm, BridgeConfig, Topics
from headway_envs.ros.judge import Judge
from headway_envs.ros.node import Node
from headway_envs.ros.rosbridge.client import RosbridgeTransport
from headway_envs.ros.rosbridge.server import RosbridgeServer

pytestmark = pytest.mark.ros1
RESTS = 0.01
"""Radians a second below which the arm rests."""


class Both:
    """A model of 20 readings a second, and a policy that always goes a bit further."""

    name, fingerprint, needs = "model", "1", Needs()
    fails = False

    def estimate(self, episodes, stride=1):
        raise NotImplementedError

    def stream(self, instruction=None):
        return self

    def push(self, frames, time_, state=None):
        time.sleep(0.02)
        if self.fails:
            raise RuntimeError("out of memory")
        return Reading(time_, 0.5, success=0.1)

    def begin(self):
        pass

    def act(self, frames, state, seconds):
        return np.asarray(state) + 0.3


class Cell:
    """An arm in the graph, the node, and somebody who sees how fast the arm goes."""

    def __init__(self, node, both, speed):
        self.node, self.both, self._speed = node, both, speed

    @property
    def speed(self):
        return abs(self._speed[-1]) if self._speed else 0.0


@pytest.fixture(params=["in the graph", "through rosbridge"])
def cell(request, own_master, make_graph, start_script, until):
    names = ("--command", "/progress_node/command", "--image", "/arm/image", "--estop", "/progress_node/estop")
    arm = start_script(own_master.uri, "arm_node.py", "--mode", "position", *names)
    topics = Topics(cameras={"front": "/arm/image"}, image_kind="sensor_msgs/Image")
    config = dataclasses.replace(
        BridgeConfig(topics=topics), arm=Arm(joints=("joint_1",), max_change=0.5, dry_run=False), task="turn"
    )
    server = None
    transport = make_graph(own_master.uri, "progress_node")
    if request.param == "through rosbridge":
        server = RosbridgeServer(make_graph(own_master.uri, "rosbridge"), port=0)
        server.start()
        transport = RosbridgeTransport(server.url)
    speed = []
    watcher = make_graph(own_master.uri, "watcher")
    watcher.subscribe("/joint_states", "sensor_msgs/JointState", lambda a: speed.append(a.message["velocity"][0]))
    watcher.start()
    both = Both()
    node = Node(config, Judge(both, topics.image_kind, both), transport)
    node.start()
    until(lambda: node.core.state == "RUNNING", "for the node to run", 60)
    yield Cell(node, both, speed)
    node.close()
    if server is not None:
        server.close()
    watcher.close()
    arm.close()


def moving(cell, until):
    until(lambda: cell.node.ask("enable").success and cell.speed > 0.1, "for the arm to move", 60)


def test_the_tools_of_ros_see_progress_and_may_ask_for_motion(cell, own_master, until):
    assert "/progress_node/progress" in own_master.run("rostopic", "list")
    assert own_master.run("rostopic", "echo", "-n1", "/progress_node/progress").startswith("data: 0.5")
    assert "RUNNING" in own_master.run("rostopic", "echo", "-n1", "/progress_node/state")
    assert "std_msgs/Float32" in own_master.run("rostopic", "type", "/progress_node/progress")
    said = own_master.run("rosservice", "call", "/progress_node/enable", "data: true")
    assert "success: True" in said
    until(lambda: cell.speed > 0.1, "for the arm to move", 60)
    said = own_master.run("rosservice", "call", "/progress_node/stop")
    assert "success: True" in said
    until(lambda: cell.speed < RESTS, "for the arm to rest")
    assert "STOPPED" in own_master.run("rostopic", "echo", "-n1", "/progress_node/state")


def test_a_fault_of_the_model_stops_the_arm_for_good(cell, until):
    moving(cell, until)
    cell.both.fails = True
    until(lambda: cell.node.core.state == "STOPPED" and cell.speed < RESTS, "for the arm to rest")
    time.sleep(0.5)
    assert cell.speed < RESTS


def test_without_a_master_the_arm_rests_and_stays_so(cell, own_master, until):
    moving(cell, until)
    own_master.kill()
    until(lambda: cell.node.core.state in ("STOPPED", "DEGRADED"), "for the node to notice", 60)
    assert not cell.node.core.permission.given
    own_master.start()
    until(lambda: cell.node.core.views.newest(cell.node._clock()) and cell.node.core.reporter.results, "", 60)
    time.sleep(1)
    assert not cell.node.core.permission.given
