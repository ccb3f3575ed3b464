"""What only a process of its own can suffer: kill -9 and SIGSTOP of the node, and of the bridge."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headway_envs.ros.config import BridgeConfig, Link, Topics
from headway_envs.ros.judge import Judge
from headway_envs.ros.node import Node
from headway_envs.ros.rosbridge.client import RosbridgeTransport
from headway_envs.ros.sim.options import image_topic

WATCHDOG = 0.2


@pytest.fixture
def other_node(cell):
    """The cell's arm, driven by a node of another process."""
    cell.node.close()
    script = Path(__file__).with_name("node_process.py")
    process = subprocess.Popen([sys.executable, str(script), cell.proxy.url], stdin=subprocess.PIPE, text=True)
    cell.until(lambda: cell.robot.moving and len(cell.robot.commands) > 3, 60)
    print("it moves", file=process.stdin, flush=True)
    cell.until(lambda: cell.robot.moving)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_node_that_dies_or_hangs_leaves_an_arm_that_rests(cell, other_node, how):
    other_node.send_signal(how)
    gone = time.monotonic()
    rest = cell.until(lambda: not cell.robot.moving, 5)
    assert cell.robot.moves[-1] - gone < WATCHDOG + 0.1 + 0.5
    time.sleep(0.7)
    assert cell.robot.moves[-1] <= rest
    if how == signal.SIGSTOP:
        commands = len(cell.robot.commands)
        other_node.send_signal(signal.SIGCONT)
        time.sleep(1.5)
        # it wakes among data that is old by then, and what it says first must not move the arm
        assert len(cell.robot.commands) == commands
        assert not cell.robot.moving


def test_a_node_that_ends_stops_the_arm_first(cell):
    cell.move()
    assert not cell.robot.stops
    cell.node.close()
    assert cell.robot.stops


class Sim:
    """`headway bridge-sim` on a port of its own, to be killed and started again."""

    def __init__(self, folder, dialect):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._log, self._dialect = folder / "sim.log", dialect
        self.start()

    def start(self):
        command = ["bridge-sim", "lift", "--port", str(self.port), "--dialect", self._dialect, "--size", "64x64"]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from headway.cli import main; main()", *command], stdout=log, stderr=log
            )

    def end(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


@pytest.fixture(params=["ros1", "ros2"])
def sim(request, tmp_path):
    made = Sim(tmp_path, request.param)
    yield made
    made.end()


@pytest.fixture
def watcher(sim, model):
    """A node that only looks, and what it said of its state."""
    url = f"ws://127.0.0.1:{sim.port}"
    config = dataclasses.replace(
        BridgeConfig(link=Link(url=url)),
        topics=Topics(cameras={"front": f"{image_topic('front')}/compressed"}, joints=""),
    )
    node = Node(config, Judge(model, config.topics.image_kind), RosbridgeTransport(url))
    node.start()
    yield node
    node.close()


def until(holds, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return time.monotonic()
        time.sleep(0.005)
    raise AssertionError("did not come")


def test_a_bridge_that_is_stopped_is_noticed_by_the_age_of_its_data(sim, watcher):
    until(lambda: watcher.core.state == "RUNNING")
    os.kill(sim.process.pid, signal.SIGSTOP)
    hung = time.monotonic()
    noticed = until(lambda: watcher.core.state != "RUNNING", 10)
    assert noticed - hung < 0.5 + 0.1 + 1.0
    results = watcher.core.reporter.results
    time.sleep(1)
    assert watcher.core.reporter.results == results
    os.kill(sim.process.pid, signal.SIGCONT)
    until(lambda: watcher.core.reporter.results > results)


def test_a_bridge_that_is_killed_and_comes_back(sim, watcher):
    until(lambda: watcher.core.state == "RUNNING")
    sim.process.kill()
    sim.process.wait()
    until(lambda: watcher.core.state == "STOPPED", 10)
    results = watcher.core.reporter.results
    sim.start()
    until(lambda: watcher.transport.connected)
    back = time.monotonic()
    until(lambda: watcher.core.reporter.results > results)
    assert time.monotonic() - back < 3 + 2
    assert watcher.core.state == "STOPPED"
