"""A node with a page, a camera, an e-stop and an arm that can be stopped, all in this process and on the wall's clock.

Tests load it with `runpy.run_path(Path(__file__).with_name("operated.py"))["Operated"]`.
"""

import dataclasses
import threading
import time

import cv2
import numpy as np

from headway.estimator import Needs, Reading
from headway_envs.ros import messages
from headway_envs.ros.config import Arm, BridgeConfig
from headway_envs.ros.judge import Judge
from headway_envs.ros.memory import Bus
from headway_envs.ros.node import Node
from headway_envs.ros.operator.page import Page

CAMERA = "/camera/image_raw/compressed"
PERIOD = 0.04


class Told:
    """A causal estimator that says what a test wants."""

    name, fingerprint, needs = "told", "1", Needs()

    def __init__(self):
        self.progress, self.uncertainty = 0.25, 0.1

    def estimate(self, episodes, stride=1):
        raise NotImplementedError

    def stream(self, instruction=None):
        return self

    def push(self, frames, time, state=None):
        return Reading(time, self.progress, "pull", self.progress, self.uncertainty)


class Hung:
    """An observer that can hold up the node's thread."""

    def __init__(self):
        self.go = threading.Event()
        self.go.set()

    def saw(self, event, effects, pictures):
        self.go.wait()


class Operated:
    """`motion`: commands could flow. `kind`: of the pictures, whose message `picture` makes."""

    def __init__(self, motion=False, task="open the drawer", kind="sensor_msgs/CompressedImage"):
        arm = Arm(joints=("a",), dry_run=False) if motion else Arm()
        config = dataclasses.replace(BridgeConfig(), task=task, arm=arm)
        # a busy machine must not look like a broken camera
        limits = dataclasses.replace(config.limits, frame_age=1.5, joint_age=1.5, latency=1.5, estop_age=1.5, sync=1.5)
        config = dataclasses.replace(config, limits=limits, topics=dataclasses.replace(config.topics, image_kind=kind))
        self.kind, self.motion, self.bus, self.hung = kind, motion, Bus(), Hung()
        self.estimator, self.stops, self.count = Told(), 0, 0
        self.filming = self.estop = True
        self.robot = self.bus.connect("robot")
        self.robot.advertise(CAMERA, kind)
        self.robot.advertise("/joint_states", "sensor_msgs/JointState")
        self.robot.advertise("/progress_node/estop", "std_msgs/Bool")
        self.robot.advertise_service("/arm/stop", "std_srvs/Trigger", self._stop)
        self.robot.start()
        self.node = Node(config, Judge(self.estimator, kind), self.bus.connect("node"), [self.hung])
        self.page = Page(self.node, 0)
        self.node.observe(self.page)
        self.page.start()
        self.node.start()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _stop(self, arguments):
        self.stops += 1
        return messages.outcome(True, "stopped")

    def picture(self):
        pixels = np.full((48, 64, 3), 90, np.uint8)
        pixels[:, : self.count % 64] = (20, 60, 200)
        return messages.compressed_image(cv2.imencode(".jpg", pixels)[1].tobytes(), "jpeg", time.time())

    def _run(self):
        while not self._ended.wait(PERIOD):
            self.count += 1
            if self.filming:
                self.robot.publish(CAMERA, self.picture())
            if self.motion:
                self.robot.publish("/joint_states", messages.joint_state(("a",), (0.0,), stamp=time.time()))
            if self.estop:
                self.robot.publish("/progress_node/estop", messages.boolean(False))

    def until(self, condition, seconds=20):
        """Wait for a condition on this world."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"never came: the node is {self.node.core.state} {self.node.core.reason}"
            time.sleep(0.01)
        return self

    def running(self):
        return self.until(lambda: self.node.core.state == "RUNNING")

    def close(self):
        self.hung.go.set()
        self._ended.set()
        self._thread.join(5)
        self.page.close()
        self.node.close()
