"""Real sockets and the wall's clock. `make test-ros` runs these; they wait most of the time, so several run at once."""

import json
import os
import runpy
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from headway.estimator import Needs, Reading
from headway_envs.ros import messages
from headway_envs.ros.config import Arm, BridgeConfig, Link, Topics
from headway_envs.ros.judge import Judge
from headway_envs.ros.memory import Bus
from headway_envs.ros.node import Node
from headway_envs.ros.rosbridge.client import RosbridgeTransport
from headway_envs.ros.rosbridge.server import RosbridgeServer

if not os.environ.get("HEADWAY_LIVE"):
    collect_ignore_glob = ["test_*.py"]

PROXY = runpy.run_path(str(Path(__file__).parents[1] / "proxy.py"))
FaultProxy, Rule = PROXY["FaultProxy"], PROXY["Rule"]
CAMERA = "/camera/image_raw/compressed"
SPEED = 0.2
WATCHDOG = 0.2
"""Radians a second that the joint moves at, and seconds without a command after which it holds still."""
SLACK = 1.0
"""Seconds that a busy machine may add to anything here."""


class Robot(threading.Thread):
    """One joint that follows its target, with a camera, an e-stop box and a dead-man of its own, on a Bus."""

    def __init__(self, bus):
        super().__init__(daemon=True)
        self.graph = bus.connect("robot")
        # as camera drivers of ROS 2 do it, which is what a subscription made too early does not match
        self.graph.advertise(CAMERA, "sensor_msgs/CompressedImage", best_effort=True)
        for topic, kind in (
            ("/joint_states", "sensor_msgs/JointState"),
            ("/progress_node/estop", "std_msgs/Bool"),
            ("/progress_node/task", "std_msgs/String"),
        ):
            self.graph.advertise(topic, kind)
        self.graph.advertise_service("/arm/stop", "std_srvs/Trigger", self._hold)
        self.graph.subscribe("/progress_node/command", "std_msgs/Float64MultiArray", self._command)
        noise = np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3), dtype=np.uint8)
        self._pictures = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in noise]
        self.position, self._target, self._commanded = 0.0, 0.0, -1.0
        self.commands, self.stops, self.moves = [], [], []
        self.pressed, self.speaking = False, True
        self.stamp = self.joint_stamp = lambda now: now
        self._ended = threading.Event()
        self.graph.start()

    def run(self):
        step, number = 0.01, 0
        while not self._ended.wait(step):
            now = time.monotonic()
            alive = now - self._commanded < WATCHDOG
            moved = float(np.clip(self._target - self.position, -SPEED * step, SPEED * step)) if alive else 0.0
            self.position += moved
            if moved:
                self.moves.append(now)
            stamp = self.stamp(time.time())
            number += 1
            if number % 2 == 0:
                felt = messages.joint_state(("b", "a"), (9.0, self.position), stamp=self.joint_stamp(stamp))
                self.graph.publish("/joint_states", felt)
            if number % 3 == 0:
                picture = self._pictures[number // 3 % len(self._pictures)]
                self.graph.publish(CAMERA, messages.compressed_image(picture, stamp=stamp))
            if number % 10 == 0 and self.speaking:
                self.graph.publish("/progress_node/estop", messages.boolean(self.pressed))

    def end(self):
        self._ended.set()
        self.join(5)

    def _command(self, arrival):
        now = time.monotonic()
        self._target, self._commanded = arrival.message["data"][0], now
        self.commands.append(now)

    def _hold(self, arguments):
        self._target = self.position
        self.stops.append(time.monotonic())
        return messages.outcome(True, "held")

    @property
    def moving(self):
        return bool(self.moves) and time.monotonic() - self.moves[-1] < 0.1


class Model:
    """A causal estimator of ten readings a second that can be told to fail."""

    name, fingerprint, needs = "model", "1", Needs()

    def __init__(self):
        self.seconds, self.value, self.fails = 0.05, 0.5, False

    def estimate(self, episodes, stride=1):
        raise NotImplementedError

    def stream(self, instruction=None):
        return self

    def push(self, frames, time_, state=None):
        time.sleep(self.seconds)
        if self.fails:
            raise RuntimeError("out of memory")
        return Reading(time_, self.value, success=0.1)


class Pilot:
    """Always a bit further."""

    def __init__(self):
        self.answer = None

    def begin(self):
        pass

    def act(self, frames, state, seconds):
        return state + 0.2 if self.answer is None else np.array(self.answer)


class Cell:
    """Robot, server, a proxy that breaks things, and the node: all that is between a camera and an arm."""

    def __init__(self, dialect, image_kind="sensor_msgs/CompressedImage", late=False):
        self.bus = Bus(dialect=dialect)
        self.robot = None if late else Robot(self.bus)
        self.server = RosbridgeServer(self.bus.connect("rosbridge"), dialect, port=0)
        self.server.start()
        self.proxy = FaultProxy(self.server.url, seed=1).start()
        self.config = BridgeConfig(
            link=Link(url=self.proxy.url, first_message=1.0),
            topics=Topics(image_kind=image_kind),
            arm=Arm(joints=("a",), max_change=0.5, dry_run=False),
        )
        self.model, self.pilot = Model(), Pilot()
        self.transport = RosbridgeTransport(self.proxy.url)
        judge = Judge(self.model, image_kind, self.pilot)
        self.lines = []
        self.node = Node(self.config, judge, self.transport, [self])
        self.heard = {}
        listener = self.bus.connect("listener")
        listener.start()
        for name, kind in (("state", "String"), ("result", "String"), ("progress", "Float32"), ("valid", "Bool")):
            listener.subscribe(f"/progress_node/{name}", f"std_msgs/{kind}", lambda a, n=name: self._hear(n, a))
        if self.robot is not None:
            self.robot.start()
        self.node.start()

    def power_on(self):
        """The robot comes later than the node."""
        self.robot = Robot(self.bus)
        self.robot.start()

    def saw(self, event, effects, pictures):
        """As an observer of the node."""

    def say(self, level, text):
        self.lines.append(text)

    def _hear(self, name, arrival):
        self.heard.setdefault(name, []).append((time.monotonic(), arrival.message["data"]))

    def said(self, name, since):
        return [value for at, value in self.heard.get(name, ()) if at > since]

    def results(self, since):
        return [json.loads(text) for text in self.said("result", since)]

    @property
    def state(self):
        return self.node.core.state

    def until(self, holds, seconds=15.0):
        """When it first held; fails when it does not in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if holds():
                return time.monotonic()
            time.sleep(0.005)
        raise AssertionError(f"did not come in {seconds} s; {self.state} {self.node.core.reason}")

    def move(self):
        """Running, enabled and really moving; gives the moment."""

        def goes():
            # a machine that does other things may cost the permission before the arm has begun to move
            if not self.node.core.permission.given:
                self.node.ask("enable")
            return self.robot.moving and len(self.robot.commands) > 3

        return self.until(goes, 30)

    def rests_for_good(self, since, within, settled=1.0, asked=True):
        """The arm comes to rest in time, and nothing moves it while all is well again."""
        # asked to, and not only held by its own dead-man
        self.until(lambda: not asked or any(at > since for at in self.robot.stops), within + SLACK)
        rest = self.until(lambda: not self.robot.moving, within + SLACK)
        commands = len(self.robot.commands)
        time.sleep(settled)
        assert len(self.robot.commands) == commands
        assert not self.robot.moving
        assert not self.node.core.permission.given
        return rest - since

    def close(self):
        self.node.close()
        self.proxy.close()
        self.server.close()
        if self.robot is not None:
            self.robot.end()


@pytest.fixture(params=["ros1", "ros2"])
def cell(request):
    made = Cell(request.param)
    yield made
    made.close()


@pytest.fixture(params=["ros1", "ros2"])
def make_cell(request):
    """Makes cells that are odd from the beginning, and ends them."""
    made = []

    def make(**options):
        made.append(Cell(request.param, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def rule():
    return Rule


@pytest.fixture
def camera():
    return CAMERA


@pytest.fixture
def model():
    return Model()
