"""The node on a graph in this process: what it joins, what it says there, and what it asks of the arm."""

import dataclasses
import json
import threading
import time

import cv2
import numpy as np
import pytest

from headway.controls import clock
from headway.errors import Unsupported
from headway.estimator import Needs, Reading
from headway.specs import make_estimator
from headway_envs.ros import messages
from headway_envs.ros.config import Arm
from headway_envs.ros.judge import Judge
from headway_envs.ros.memory import Bus
from headway_envs.ros.node import Node
from headway_envs.ros.transport import ServiceFailed

KIND = "sensor_msgs/CompressedImage"
CAMERA = "/camera/image_raw/compressed"


class Brightness:
    """A causal estimator that reads how bright the picture is, and fails when told to."""

    name, fingerprint = "brightness", "1"
    needs = Needs()

    def __init__(self):
        self.fails = self.slow = 0

    def estimate(self, episodes, stride=1):
        raise NotImplementedError

    def stream(self, instruction=None):
        return self

    def push(self, frames, time_, state=None):
        time.sleep(self.slow)
        if self.fails:
            raise RuntimeError("out of\nmemory")
        bright = float(frames["front"].mean()) / 255
        # as models give them, of which no JSON can be made
        return Reading(time_, np.float32(bright), success=np.float32(bright))


class Pilot:
    def begin(self):
        self.begun = True

    def act(self, frames, state, seconds):
        return state + 0.1


class World:
    """A graph with a camera, joints, an e-stop and an arm that can be stopped, on a clock that only `run` moves."""

    def __init__(self, config, estimator=None, pilot=None, **options):
        self.now = 100.0
        self.bus = Bus(clock=lambda: self.now)
        self.robot = self.bus.connect("robot")
        self.robot.start()
        self.stopped, self.heard, self.light, self.count = [], {}, 128, 0
        self.sending = True
        self.robot.advertise(CAMERA, KIND)
        self.robot.advertise("/joint_states", "sensor_msgs/JointState")
        self.robot.advertise("/progress_node/estop", "std_msgs/Bool")
        self.robot.advertise("/progress_node/task", "std_msgs/String")
        self.robot.advertise_service("/arm/stop", "std_srvs/Trigger", self._stop)
        self.estimator = estimator or Brightness()
        self.node = Node(
            config,
            Judge(self.estimator, KIND, pilot),
            self.bus.connect("node"),
            clock=lambda: self.now,
            threads=False,
            **options,
        )
        self.node.start()
        for topic, kind in (
            *[(name, "std_msgs/Float32") for name in ("progress", "value", "reward")],
            *[(name, "std_msgs/Bool") for name in ("success", "valid", "heartbeat")],
            *[(name, "std_msgs/String") for name in ("state", "result")],
            ("command", "std_msgs/Float64MultiArray"),
        ):
            self.robot.subscribe(f"/progress_node/{topic}", kind, lambda a, n=topic: self._hear(n, a))

    def _stop(self, arguments):
        self.stopped.append(self.now)
        return messages.outcome(True, "stopped")

    def _hear(self, name, arrival):
        self.heard.setdefault(name, []).append(arrival.message["data"])

    def picture(self):
        pixels = np.full((48, 64, 3), self.light, np.uint8)
        pixels[0, : self.count % 64] += 1
        self.count += 1
        return messages.compressed_image(cv2.imencode(".png", pixels)[1].tobytes(), "png", stamp=self.now)

    def run(self, seconds):
        for _ in range(round(seconds / 0.02)):
            self.now += 0.02
            if self.sending:
                self.robot.publish("/joint_states", messages.joint_state(("a", "b"), (0.0, 0.0), stamp=self.now))
                self.robot.publish("/progress_node/estop", messages.boolean(False))
                self.robot.publish(CAMERA, self.picture())
            self.node.pump()
        return self

    def call(self, name, value=None):
        kind = "std_srvs/Trigger" if value is None else "std_srvs/SetBool"
        arguments = {} if value is None else {"data": value}
        return self.robot.call_service(f"/progress_node/{name}", kind, arguments, 1.0)


@pytest.fixture
def world(arm_config):
    return World(arm_config)


def test_progress_reaches_whoever_listens(world):
    world.light = 51
    world.run(1)
    assert world.heard["progress"][-1] == pytest.approx(0.2, abs=0.01)
    assert world.heard["state"][-1] == "RUNNING"
    assert world.heard["valid"][-1] is True
    told = json.loads(world.heard["result"][-1])
    assert told["model"] == "brightness 1"
    assert told["stamp"][0] + told["stamp"][1] / 1e9 == pytest.approx(world.now, abs=0.1)


def test_an_instruction_on_the_topic_begins_an_episode(world):
    world.run(0.5)
    world.robot.publish("/progress_node/task", messages.string("close it"))
    world.run(0.5)
    assert json.loads(world.heard["result"][-1])["task"] == "close it"


def test_services_answer_and_motion_has_to_be_enabled(arm_config):
    world = World(arm_config, pilot=Pilot()).run(1)
    assert "command" not in world.heard
    assert world.call("enable", True)["success"]
    world.run(0.5)
    assert world.heard["command"][-1] == pytest.approx([0.1, 0.1])
    assert world.stopped == []
    assert world.call("stop")["success"]
    assert len(world.stopped) == 1
    world.run(0.5)
    count = len(world.heard["command"])
    assert not world.call("enable", True)["success"]
    world.run(0.5)
    assert len(world.heard["command"]) == count


def test_a_picture_that_is_damaged_is_dropped_and_the_next_one_counts(world):
    world.run(0.5)
    picture, before = world.picture, len(world.heard["progress"])

    def damaged():
        message = picture()
        return {**message, "data": message["data"][:60]}

    world.picture = damaged
    world.run(0.3)
    assert len(world.heard["progress"]) == before
    assert world.heard["state"][-1].startswith("DEGRADED picture")
    world.picture = picture
    world.run(0.3)
    assert world.heard["state"][-1] == "RUNNING"


@pytest.mark.parametrize("data", [None, 3, "text", [1, 2], {}])
def test_a_message_that_is_no_picture_does_no_harm(world, data):
    world.run(0.5)
    world.robot.publish = lambda topic, message, publish=world.robot.publish: publish(
        topic, {**message, "data": data} if topic == CAMERA else message
    )
    world.run(0.5)
    assert world.heard["state"][-1].startswith("DEGRADED")


def test_a_model_that_raises_stops_the_arm_and_is_told_in_one_line(arm_config):
    world = World(arm_config, pilot=Pilot()).run(1)
    world.call("enable", True)
    world.run(0.3)
    world.estimator.fails = 1
    world.run(0.3)
    assert world.heard["state"][-1] == "STOPPED model: RuntimeError: out of memory"
    assert len(world.stopped) == 1


def test_an_arm_that_refuses_to_stop_is_asked_again_and_told_of(arm_config):
    said = []

    class Listener:
        def saw(self, event, effects, pictures):
            pass

        def say(self, level, text):
            said.append(text)

    world = World(arm_config, pilot=Pilot(), observers=[Listener()]).run(1)
    asked = []

    def refuse(*_, **__):
        asked.append(1)
        raise ServiceFailed("it is busy")

    world.node.transport.call_service = refuse
    world.call("enable", True)
    world.call("stop")
    assert len(asked) == 5
    assert "did not stop the arm: it is busy" in said[-1]


def test_pictures_that_are_not_needed_are_forgotten(world):
    world.run(3)
    assert len(world.node._pictures) <= 2


def test_what_a_silent_topic_is_really_is_told(arm_config):
    said = []

    class Listener:
        def saw(self, event, effects, pictures):
            pass

        def say(self, level, text):
            said.append(text)

    config = dataclasses.replace(
        arm_config, topics=dataclasses.replace(arm_config.topics, image_kind="sensor_msgs/Image")
    )
    world = World(config, observers=[Listener()])
    world.run(4)
    assert f"no data on {CAMERA}: it is a {KIND} and not a sensor_msgs/Image; set topics.image_kind" in said[0]


def test_only_causal_estimators_run_beside_an_arm():
    with pytest.raises(Unsupported, match="has to see the whole episode"):
        Judge(clock(), KIND)
    with pytest.raises(Unsupported, match=r"simulator's truth|whole episode"):
        Judge(make_estimator("oracle"), KIND)
    Judge(Brightness(), KIND)


def test_with_threads_a_slow_model_delays_nothing_and_is_told(arm_config):
    """The only test here on the wall's clock: pictures go on being taken while the model thinks."""
    # on a busy machine this thread may not send anything for a while: the pictures' age is not what is looked at here
    limits = dataclasses.replace(arm_config.limits, latency=0.2, frame_age=10)
    estimator, bus = Brightness(), Bus()
    robot = bus.connect("robot")
    robot.start()
    states = []
    robot.advertise(CAMERA, KIND)
    node = Node(
        dataclasses.replace(
            arm_config,
            limits=limits,
            topics=dataclasses.replace(arm_config.topics, joints="", arm_stop=""),
            arm=Arm(),
        ),
        Judge(estimator, KIND),
        bus.connect("node"),
    )
    robot.subscribe("/progress_node/state", "std_msgs/String", lambda a: states.append(a.message["data"]))
    node.start()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 32, 32, 3), dtype=np.uint8)
    numbers = iter(range(10**6))

    def until(state, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (states and states[-1].startswith(state)):
            picture = pixels[next(numbers) % 40]
            data = cv2.imencode(".png", picture)[1].tobytes()
            robot.publish(CAMERA, messages.compressed_image(data, "png", time.time()))
            time.sleep(0.02)
        return states[-1]

    try:
        assert until("RUNNING") == "RUNNING"
        estimator.slow = 1.0
        # said while the model still thinks; what waits for it would only say afterwards that it came too late
        assert until("DEGRADED the model is late") == "DEGRADED the model is late"
        estimator.slow = 0
        assert until("RUNNING") == "RUNNING"
        assert node.ask("stop").success
        assert until("STOPPED") == "STOPPED stop was called"
    finally:
        before = threading.active_count()
        node.close()
        node.close()
    assert threading.active_count() < before


class Breaking:
    """An observer that raises at the first event after it was told to."""

    armed = False

    def saw(self, event, effects, pictures):
        if self.armed:
            raise BrokenPipeError("the terminal is gone")


def test_an_observer_that_raises_is_let_go_and_the_arm_is_stopped_all_the_same(arm_config):
    breaking = Breaking()
    world = World(arm_config, pilot=Pilot(), observers=[breaking]).run(1)
    world.call("enable", True)
    world.run(0.3)
    breaking.armed = True
    world.robot.publish("/progress_node/estop", messages.boolean(True))
    world.node.pump()
    assert len(world.stopped) == 1
    world.run(0.3)
    assert world.heard["state"][-1] == "STOPPED e-stop"


def test_the_arm_is_stopped_before_anything_is_told(arm_config):
    limits = dataclasses.replace(arm_config.limits, slew=1000)
    world = World(dataclasses.replace(arm_config, limits=limits), pilot=Pilot()).run(1)
    world.call("enable", True)
    world.run(0.3)
    order, transport = [], world.node.transport
    publish, call = transport.publish, transport.call_service
    transport.publish = lambda topic, message: order.append(topic) or publish(topic, message)
    transport.call_service = lambda name, *rest, **more: order.append(name) or call(name, *rest, **more)
    world.light = 255  # success
    world.run(1)
    assert world.node.core.readings.success
    assert order.index("/arm/stop") < order.index("/progress_node/success")


def until(holds, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return
        time.sleep(0.005)
    raise AssertionError("did not come")


@pytest.fixture
def threaded(arm_config):
    """A node with threads of its own, and how often the arm was stopped."""
    bus, stopped = Bus(), []
    robot = bus.connect("robot")
    robot.start()
    robot.advertise_service("/arm/stop", "std_srvs/Trigger", lambda _: stopped.append(1) or messages.outcome(True, ""))
    node = Node(arm_config, Judge(Brightness(), KIND, Pilot()), bus.connect("node"))
    node.start()
    until(lambda: node.core.state == "WAITING")
    yield node, stopped, robot
    node.close()


def test_a_node_that_breaks_down_stops_the_arm_and_says_so(threaded):
    node, stopped, _ = threaded
    node.core.handle = lambda event: 1 / 0
    until(lambda: node.broken)
    until(lambda: stopped)
    assert node.broken == "the node broke down: ZeroDivisionError: division by zero"
    assert not node.ask("enable").success


def test_what_a_hung_node_did_not_answer_does_not_come_true_later(threaded, monkeypatch):
    monkeypatch.setattr("headway_envs.ros.node.SERVICE_SECONDS", 0.2)
    node, _stopped, _ = threaded
    go, handle = threading.Event(), node.core.handle
    node.core.handle = lambda event: (go.wait(), handle(event))[1]
    assert node.ask("stop").message == "the node does not answer"
    assert node.ask("start").message == "the node does not answer"
    go.set()
    until(lambda: node.core.state == "STOPPED")
    time.sleep(0.2)
    assert (node.core.state, node.core.reason) == ("STOPPED", "stop was called")


def test_closing_asks_for_the_stop_though_the_node_hangs_and_the_arm_is_slow(arm_config, monkeypatch):
    monkeypatch.setattr("headway_envs.ros.node.SERVICE_SECONDS", 0.2)
    bus, stopped = Bus(), []
    robot = bus.connect("robot")
    robot.start()

    def slow(_):
        time.sleep(0.3)
        stopped.append(1)
        return messages.outcome(True, "")

    robot.advertise_service("/arm/stop", "std_srvs/Trigger", slow)
    node = Node(arm_config, Judge(Brightness(), KIND), bus.connect("node"))
    node.start()
    until(lambda: node.core.state == "WAITING")
    go, handle = threading.Event(), node.core.handle
    node.core.handle = lambda event: (go.wait(), handle(event))[1]
    node.close()
    go.set()
    assert stopped
    assert not node.transport.connected


def test_a_result_that_waited_for_a_node_that_hung_counts_by_when_it_is_handled(arm_config):
    world = World(arm_config, pilot=Pilot()).run(1)
    world.call("enable", True)
    world.run(0.3)
    count, handle = len(world.heard["command"]), world.node._judged
    kept = []
    world.node._judged = lambda *given: kept.append(given)
    world.run(0.1)
    handle(*kept[0])  # it is in the inbox, and the node hangs for three seconds
    world.now += 3
    world.node.pump()
    assert len(world.heard["command"]) == count
    assert world.stopped


def test_complaints_about_silent_topics_leave_room_for_the_stop(threaded):
    """Asking the graph for types may take a second each; the arm's stop must not wait behind that."""
    node, stopped, _ = threaded
    go = threading.Event()
    node.transport.topic_type = lambda topic, timeout=1.0: go.wait(20)
    for topic in ("/camera", "/joint_states", "/another", "/fourth"):
        node._help(lambda topic=topic: node._complain(topic))
    node.ask("stop")
    until(lambda: stopped, 5)
    go.set()
