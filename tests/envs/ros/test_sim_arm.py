"""The simulated arm: what it publishes, whom it obeys, and that it comes to rest by itself."""

import dataclasses
import math
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from headway.errors import InvalidValue, OutputError, UnknownName
from headway.estimator import Needs, Reading
from headway_datasets.ros_images.decoding import decode
from headway_envs.ros import messages
from headway_envs.ros.config import read_config, to_yaml
from headway_envs.ros.joints import read_joints, read_velocities
from headway_envs.ros.judge import Judge
from headway_envs.ros.memory import Bus
from headway_envs.ros.node import Node
from headway_envs.ros.sim.arm import SimArm
from headway_envs.ros.sim.options import SimOptions, bridge_config

COMMAND, ESTOP = "/progress_node/command", "/progress_node/estop"
JPEG = "/camera/front/image_raw/compressed"
KINDS = {
    JPEG: "sensor_msgs/CompressedImage",
    "/camera/front/image_raw": "sensor_msgs/Image",
    "/joint_states": "sensor_msgs/JointState",
    "/clock": "rosgraph_msgs/Clock",
    "/sim/progress": "std_msgs/Float32",
    "/sim/success": "std_msgs/Bool",
    "/sim/task": "std_msgs/String",
    ESTOP: "std_msgs/Bool",
}
AXES = {
    "gripper": ("hand.x", "hand.y", "hand.z"),
    "arm": ("base_yaw.pos", "shoulder.pos", "elbow.pos", "wrist_roll.pos"),
}
SWEEP = {"gripper": [0.38, -0.26, 0.2, 1.0], "arm": [1.5, 0.2, 0.6, 0.0, -0.8, 1.5, 1.0]}
BACK = {"gripper": [-0.38, 0.24, 0.1, 1.0], "arm": [-1.5, 0.2, 0.6, 0.0, -0.8, -1.5, 1.0]}
FAST = {"gripper": 0.2, "arm": 0.8}
STILL = {"gripper": 0.005, "arm": 0.02}
"""Metres or radians a second."""
SETTLING = 0.35
"""Seconds that the servos take to bring a moving arm to rest once they are told to hold."""


class Bench:
    """An arm on a graph of its own, and somebody who listens and commands."""

    def __init__(self, task="lift", seed=0, cameras=(), **options):
        self.bus = Bus(clock=lambda: self.arm.now())
        self.heard = {topic: [] for topic in KINDS}
        self.arm = SimArm(
            task, self.bus.connect("arm"), SimOptions(cameras=cameras, **options), seed=seed, threads=False
        )
        self.robot = self.arm.options.robot
        self.target = BACK[self.robot]
        self.other = self.bus.connect("other")
        self.other.advertise(COMMAND, "std_msgs/Float64MultiArray")
        for topic, kind in KINDS.items():
            self.other.subscribe(topic, kind, lambda a: self.heard[a.topic].append(a.message))
        self.other.start()
        self.arm.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.arm.close()

    def command(self, values):
        self.other.publish(COMMAND, messages.float64_array(values))

    def call(self, service, kind="std_srvs/Trigger", arguments=None):
        return messages.read_outcome(self.other.call_service(service, kind, arguments or {}, 5))

    def sweep(self, seconds, send=True):
        """Go on for so long, with a command a step towards one end or with none."""
        for _ in range(math.ceil(seconds * self.arm.fps - 1e-9)):
            if send:
                self.command(self.target)
            self.arm.step()

    def last(self, topic):
        return self.heard[topic][-1]

    def speed(self):
        return np.abs(read_velocities(self.last("/joint_states"), AXES[self.robot])).max()

    def place(self):
        return read_joints(self.last("/joint_states"), AXES[self.robot])

    def moving(self):
        """On its way to the other end than the last time."""
        self.target = BACK[self.robot] if self.target is SWEEP[self.robot] else SWEEP[self.robot]
        self.sweep(0.4)
        assert self.speed() > FAST[self.robot], "the arm has to move for the test to say anything"
        return self

    def assert_comes_to_rest(self, meanwhile=lambda: None, within=0.0):
        """Within that time and what the servos take; and that it stays there."""
        for _ in range(math.ceil((within + SETTLING) * self.arm.fps)):
            meanwhile()
            self.arm.step()
        assert self.speed() < STILL[self.robot]
        there = self.place()
        for _ in range(2 * self.arm.fps):
            meanwhile()
            self.arm.step()
            assert self.speed() < STILL[self.robot]
        np.testing.assert_allclose(self.place(), there, atol=0.005)


@pytest.fixture(params=["gripper", "arm"])
def bench(request):
    with Bench(robot=request.param) as made:
        yield made


# ---- it is an arm ----


@pytest.mark.parametrize("robot", ["gripper", "arm"])
def test_the_expert_who_commands_it_finishes_the_task(robot):
    with Bench(robot=robot, seed=3) as bench:
        simulator = bench.arm.world.simulator
        assert messages.read_float32(bench.last("/sim/progress")) < 0.3
        for _ in range(12 * bench.arm.fps):
            bench.command(simulator.command(simulator.task.act(simulator.situation())))
            bench.arm.step()
            if messages.read_boolean(bench.last("/sim/success")):
                break
        assert messages.read_boolean(bench.last("/sim/success"))
        assert messages.read_float32(bench.last("/sim/progress")) == 1
        assert bench.arm.status.state == "following"


def test_joints_are_told_by_name_with_their_velocities(bench):
    bench.moving()
    simulator, told = bench.arm.world.simulator, bench.last("/joint_states")
    sensed = dict(zip(simulator.robot.state_names, simulator.robot.state(simulator.data), strict=True))
    assert told["name"] == [name for name in sensed if not name.endswith(".vel")]
    np.testing.assert_allclose(read_joints(told, ["opening", *AXES[bench.robot]][::-1])[-1], sensed["opening"])
    np.testing.assert_allclose(bench.place(), [sensed[name] for name in AXES[bench.robot]])
    before = bench.place()
    bench.sweep(1 / bench.arm.fps)
    travelled = (bench.place() - before) * bench.arm.fps
    np.testing.assert_allclose(read_velocities(bench.last("/joint_states"), AXES[bench.robot]), travelled, atol=0.4)
    assert np.abs(travelled).max() > FAST[bench.robot]


def test_the_instruction_is_latched_and_a_reset_goes_on_to_the_next_layout():
    with Bench("sort-by-colour", seed=4) as bench:
        late, told = bench.bus.connect("late"), []
        late.start()
        late.subscribe("/sim/task", "std_msgs/String", lambda a: told.append(a.message["data"]))
        assert told == [bench.arm.world.instruction]
        bench.moving()
        before = bench.place()
        assert bench.call("/sim/reset")[0]
        bench.arm.step()
        assert bench.arm.status.seed == 5
        assert bench.arm.status.command_age is None
        assert bench.speed() < STILL["gripper"], "a command for the last episode moves nothing in the next one"
        assert np.abs(bench.place() - before).max() > 0.01
        assert len(told) == 2


def test_what_cannot_be_is_told_in_one_line():
    bus = Bus()
    with pytest.raises(UnknownName, match="unknown task 'juggle'"):
        SimArm("juggle", bus.connect("arm"))
    with pytest.raises(UnknownName, match="unknown camera 'back'"):
        SimArm("lift", bus.connect("arm"), SimOptions(cameras=("back",)))
    with pytest.raises(UnknownName, match="unknown robot 'cobot'"):
        SimOptions(robot="cobot")
    wrong = {"watchdog": 0.0, "fps": math.inf, "quality": 0, "noise": -1.0, "width": 7, "command": "command"}
    for name, value in wrong.items():
        with pytest.raises(InvalidValue):
            SimOptions(**{name: value})
    arm = SimArm("lift", bus.connect("arm"), SimOptions(cameras=()))
    with pytest.raises(InvalidValue, match="needs a picture"):
        bridge_config(arm.world.simulator.robot, arm.options, "lift", "ws://127.0.0.1:9090")


# ---- it comes to rest ----


def test_without_commands_a_moving_arm_comes_to_rest_and_not_before_its_watchdog(bench):
    bench.moving()
    bench.sweep(0.2 - 1 / bench.arm.fps, send=False)
    assert bench.speed() > FAST[bench.robot], "it held before the watchdog's time"
    assert bench.arm.status.state == "following"
    bench.sweep(2 / bench.arm.fps, send=False)
    assert bench.arm.controller.age(bench.arm.now()) < 0.2 + 2.5 / bench.arm.fps
    assert bench.arm.status.state == "holding: no command for 0.2 s", "the step that begins a period later holds"
    bench.assert_comes_to_rest()
    assert bench.arm.status.state == "holding: no command for 0.2 s"
    bench.moving()


def test_a_watchdog_of_another_length(bench):
    with Bench(robot=bench.robot, watchdog=0.4) as slow:
        slow.moving()
        slow.sweep(0.3, send=False)
        assert slow.speed() > FAST[slow.robot]
        slow.assert_comes_to_rest(within=0.2)


def test_the_stop_service_holds_at_once_and_the_next_command_moves_again(bench):
    bench.moving()
    assert bench.call("/arm/stop")[0]
    bench.assert_comes_to_rest()
    assert bench.arm.status.state == "holding: stopped"
    bench.moving()


def test_a_held_arm_does_not_let_go_of_what_it_has():
    with Bench(seed=3) as bench:
        simulator = bench.arm.world.simulator
        while simulator.situation().objects[0][2] < 0.12:
            bench.command(simulator.command(simulator.task.act(simulator.situation())))
            bench.arm.step()
        high = simulator.situation().objects[0][2]
        bench.sweep(2, send=False)
        assert simulator.situation().objects[0][2] > high - 0.01


GARBAGE = (
    ("length", lambda sweep: messages.float64_array(sweep[:-1])),
    ("length", lambda sweep: messages.float64_array([])),
    ("length", lambda sweep: messages.float64_array([*sweep, 0.0])),
    ("not finite", lambda sweep: messages.float64_array([math.nan, *sweep[1:]])),
    ("not finite", lambda sweep: messages.float64_array([*sweep[:-1], math.inf])),
    ("malformed", lambda sweep: {"data": None}),
    ("malformed", lambda sweep: {"data": [True] * len(sweep)}),
    ("malformed", lambda sweep: {"data": ["0"] * len(sweep)}),
    ("malformed", lambda sweep: {"data": [10**400] * len(sweep)}),
    ("malformed", lambda sweep: {}),
)


@pytest.mark.parametrize(("reason", "wrong"), GARBAGE)
def test_a_command_that_is_no_command_is_counted_and_keeps_no_watchdog_quiet(reason, wrong, caplog):
    with Bench() as bench:
        bench.moving()

        def send():
            bench.other.publish(COMMAND, wrong(bench.target))

        bench.assert_comes_to_rest(send, within=0.25)
        count = bench.arm.controller.refused[reason]
        assert count == bench.arm.status.refused > 40
        assert f"command refused, {reason}" in caplog.text
        assert len(caplog.records) < 10, "it is not said a hundred times"


def test_a_far_or_huge_target_is_carried_out_at_the_robots_own_speed(bench):
    for _ in range(3 * bench.arm.fps):
        bench.command([1e9] * len(SWEEP[bench.robot]))
        bench.arm.step()
        assert bench.speed() < 3
    assert np.isfinite(bench.place()).all()


# ---- the e-stop on the bench ----


def test_a_pressed_estop_stops_the_arm_whatever_is_commanded_and_says_so_ten_times_a_second(bench):
    bench.moving()
    assert messages.read_boolean(bench.last(ESTOP)) is False
    before = len(bench.heard[ESTOP])
    assert bench.call("/sim/press", "std_srvs/SetBool", messages.set_bool(True)) == (True, "pressed")
    bench.assert_comes_to_rest(lambda: bench.command(bench.target))
    seconds = 2 + SETTLING
    spoke = bench.heard[ESTOP][before:]
    assert 10 * seconds - 3 <= len(spoke) <= 10 * seconds + 3
    assert all(messages.read_boolean(message) for message in spoke)
    assert bench.arm.status.state == "holding: e-stop"
    assert bench.arm.controller.refused["e-stop"] > 10
    bench.call("/sim/press", "std_srvs/SetBool", messages.set_bool(False))
    bench.sweep(0.5, send=False)
    assert bench.speed() < STILL[bench.robot], "a release moves nothing"
    bench.moving()


def test_no_estop_box_says_nothing():
    with Bench(estop="") as bench:
        bench.sweep(0.5)
        assert not bench.heard[ESTOP]
        assert "/sim/press" not in bench.other.services()


# ---- pictures ----


def test_pictures_are_what_the_camera_sees_stamped_when_it_saw_it(can_draw):
    with Bench(cameras=("front", "wrist"), width=160, height=120, raw=True, noise=1.0) as bench:
        bench.moving()
        stored, raw, clock = bench.last(JPEG), bench.last("/camera/front/image_raw"), bench.last("/clock")["clock"]
        assert stored["header"]["stamp"] == raw["header"]["stamp"] == clock
        assert bench.last("/joint_states")["header"]["stamp"] == clock
        assert messages.stamp_of(stored) == pytest.approx(bench.arm.now())
        assert stored["data"][:2] == b"\xff\xd8"
        seen = bench.arm.world.simulator.frame("front", 120, 160).astype(int)
        bench.arm.world.simulator.close()
        from_jpeg, from_raw = decode(stored, KINDS[JPEG]), decode(raw, "sensor_msgs/Image")
        assert from_jpeg.shape == from_raw.shape == (120, 160, 3)
        assert 0.3 < np.abs(from_raw - seen).mean() < 1.5, "a little noise"
        assert np.abs(from_jpeg - seen).mean() < 6
        assert len(bench.bus.publishers("/camera/wrist/image_raw/compressed")) == 1


def test_a_scene_at_rest_is_no_frozen_camera_unless_there_is_no_noise(can_draw):
    for noise, different in ((2.0, 10), (0.0, 1)):
        with Bench(cameras=("front",), noise=noise) as bench:
            bench.sweep(1, send=False)
            assert len({message["data"] for message in bench.heard[JPEG][-10:]}) == different


def test_in_ros_2_pictures_come_by_best_effort_and_stay_away_from_who_asked_too_early(can_draw):
    bus, taken = Bus(dialect="ros2"), []
    early = bus.connect("early")
    early.start()
    early.subscribe(JPEG, KINDS[JPEG], lambda a: taken.append(a.message))
    arm = SimArm("lift", bus.connect("arm"), threads=False)
    arm.start()
    arm.step()
    assert not taken
    early.resubscribe(JPEG)
    arm.step()
    assert len(taken) == 1
    arm.close()


# ---- lock-step ----


def _lock_step(seed, steps=25, **options):
    """What is published in lock-step, to somebody in another thread who answers every picture."""
    told, seen = [], threading.Semaphore(0)
    bus = Bus()
    arm = SimArm("lift", bus.connect("arm"), SimOptions(lock_step=True, patience=20, **options), seed=seed)
    other = bus.connect("other")
    other.advertise(COMMAND, "std_msgs/Float64MultiArray")

    def take(arrival):
        told.append((arrival.topic, arrival.message))
        if arrival.topic == JPEG:
            seen.release()

    for topic in ("/clock", "/joint_states", "/sim/progress", JPEG):
        other.subscribe(topic, KINDS[topic], take)
    other.start()
    arm.start()
    for step in range(steps):
        assert seen.acquire(timeout=30)
        other.publish(COMMAND, messages.float64_array([0.1 * math.sin(step / 5), 0.0, 0.12, 1 - step / steps]))
    assert seen.acquire(timeout=30)
    began = len(told)
    time.sleep(0.05)
    assert len(told) == began, "time stands still while no command comes"
    arm.close()
    return told, arm


def test_in_lock_step_the_same_commands_give_the_same_bytes(can_draw):
    first, arm = _lock_step(seed=1)
    again, _ = _lock_step(seed=1)
    other, _ = _lock_step(seed=2)
    assert len(first) == 4 * 26
    assert first == again
    assert [topic for topic, _ in other] == [topic for topic, _ in first]
    assert other != first
    stamps = [messages.stamp_of(message) for topic, message in first if topic == JPEG]
    np.testing.assert_allclose(np.diff(stamps), 1 / 20, atol=1e-9)
    assert stamps[0] == 1
    assert not arm.running


def test_in_lock_step_somebody_who_is_gone_leaves_an_arm_that_holds_and_time_that_goes_on(can_draw):
    bus = Bus()
    arm = SimArm("lift", bus.connect("arm"), SimOptions(lock_step=True, patience=0.02))
    other, speeds = bus.connect("other"), []
    other.advertise(COMMAND, "std_msgs/Float64MultiArray")
    joints = ("hand.x", "hand.y", "hand.z")
    kind = KINDS["/joint_states"]
    other.subscribe("/joint_states", kind, lambda a: speeds.append(np.abs(read_velocities(a.message, joints)).max()))
    other.start()
    arm.start()
    try:
        while len(speeds) < 12:
            other.publish(COMMAND, messages.float64_array(SWEEP["gripper"]))
            time.sleep(0.005)
        assert max(speeds) > FAST["gripper"]
        other.close()
        _until(lambda: arm.status.state == "holding: no command for 0.2 s")
        there = arm.now()
        _until(lambda: arm.now() > there + SETTLING)
        assert np.abs(arm.world.velocities).max() < STILL["gripper"]
    finally:
        arm.close()


# ---- a node beside it, which does not know ----


class Still:
    """A causal estimator that has nothing to say."""

    name, fingerprint, needs = "still", "1", Needs()

    def estimate(self, episodes, stride=1):
        raise NotImplementedError

    def stream(self, instruction=None):
        return self

    def push(self, frames, time_, state=None):
        return Reading(time_, 0.5, success=0.0)


class Sweeper:
    """A pilot that goes for the far end."""

    on = True

    def begin(self):
        pass

    def act(self, frames, state, seconds):
        assert state.shape == (4,)
        return np.array(SWEEP["gripper"])


def test_the_node_drives_it_by_the_configuration_written_for_it_and_its_stop_is_obeyed(can_draw):
    with Bench(cameras=("front",)) as bench:
        arm = bench.arm
        config = bridge_config(arm.world.simulator.robot, arm.options, "to be told", "ws://127.0.0.1:1", "still")
        assert "dry_run: true" in to_yaml(config)
        config = dataclasses.replace(config, arm=dataclasses.replace(config.arm, dry_run=False))
        judge = Judge(Still(), config.topics.image_kind, Sweeper())
        node = Node(config, judge, bench.bus.connect("node"), clock=arm.now, threads=False)
        node.start()

        def run(seconds):
            for _ in range(round(seconds * arm.fps)):
                arm.step()
                node.pump()
                node.pump()  # the judgement that the first one led to

        run(1)
        assert node.core.state == "RUNNING", node.core.reason
        assert node.core.task == "lift the red cube"
        assert bench.speed() < STILL["gripper"]
        assert node.ask("enable").success
        run(0.5)
        assert bench.speed() > FAST["gripper"]
        assert bench.arm.status.refused == 0
        assert node.ask("stop").success
        assert bench.arm.status.state == "holding: stopped"
        run(SETTLING)
        assert bench.speed() < STILL["gripper"]
        node.close()


# ---- in real time ----


def _until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@pytest.mark.parametrize("dialect", ["ros1", "ros2"])
def test_behind_rosbridge_a_commander_that_is_cut_off_leaves_an_arm_at_rest(dialect, can_draw):
    from headway_envs.ros.rosbridge.client import RosbridgeTransport
    from headway_envs.ros.rosbridge.server import RosbridgeServer

    bus = Bus(dialect=dialect)
    arm = SimArm("lift", bus.connect("arm"), SimOptions(width=640, height=480))
    server = RosbridgeServer(bus.connect("rosbridge"), dialect, port=0)
    arm.start()
    server.start()
    client = RosbridgeTransport(server.url)
    pictures, joints, task = [], [], []
    client.advertise(COMMAND, "std_msgs/Float64MultiArray")
    client.subscribe(JPEG, KINDS[JPEG], lambda a: pictures.append(a.message), compression="cbor")
    client.subscribe("/joint_states", KINDS["/joint_states"], joints.append)
    client.subscribe("/sim/task", "std_msgs/String", lambda a: task.append(a.message["data"]))
    try:
        client.start()
        _until(lambda: pictures and task and len(joints) > 5)
        assert task == ["lift the red cube"]
        assert decode(pictures[0], KINDS[JPEG]).shape == (480, 640, 3)
        assert abs(messages.stamp_of(joints[-1].message) - time.time()) < 5
        assert arm.status.state == "holding: no command yet"
        client.publish(COMMAND, messages.float64_array([0.1]))
        _until(lambda: arm.status.refused == 1)

        def speed():
            client.publish(COMMAND, messages.float64_array(SWEEP["gripper"]))
            return np.abs(read_velocities(joints[-1].message, AXES["gripper"])).max()

        _until(lambda: speed() > FAST["gripper"])
        cut = time.monotonic()
        client.close()
        _until(lambda: arm.status.state == "holding: no command for 0.2 s")
        held = time.monotonic() - cut
        _until(lambda: np.abs(arm.world.velocities).max() < STILL["gripper"])
        assert 0.15 < held < 5
        assert arm.running
    finally:
        client.close()
        server.close()
        arm.close()


def test_a_slow_renderer_delays_neither_joints_nor_watchdog(can_draw, monkeypatch):
    arm = SimArm("lift", Bus().connect("arm"), SimOptions(width=64, height=64))
    steps = []
    carried_out = arm.world.step
    monkeypatch.setattr(arm.world, "step", lambda action: (steps.append(time.monotonic()), carried_out(action)))
    draw = arm._photographer.take

    def slow(scene):
        time.sleep(0.4)
        yield from draw(scene)

    monkeypatch.setattr(arm._photographer, "take", slow)
    arm.start()
    try:
        _until(lambda: len(steps) > 40)
        assert np.median(np.diff(steps)) < 0.1, "an arm that waited for its pictures would take 0.4 s a step"
        assert arm.status.left_out > 3
    finally:
        arm.close()


def test_an_arm_that_cannot_keep_up_says_how_far_it_is_behind(can_draw, monkeypatch):
    arm = SimArm("lift", Bus().connect("arm"))
    carried_out = arm.world.step
    monkeypatch.setattr(arm.world, "step", lambda action: (time.sleep(0.2), carried_out(action)))
    arm.start()
    try:
        _until(lambda: arm.status.behind > 0.5)
    finally:
        arm.close()


# ---- the command ----

PROGRAM = "import sys, tyro; from headway.cli.bridge_sim import bridge_sim; sys.exit(tyro.cli(bridge_sim))"


def test_the_command_writes_the_nodes_configuration_and_ends_cleanly(can_draw, tmp_path):
    file = tmp_path / "arm.yaml"
    words = [sys.executable, "-c", PROGRAM, "lift", "--port", "0", "--dialect", "ros2", "--write-config", str(file)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            _until(lambda: file.exists() or running.poll() is not None, seconds=60)
            lines = [running.stdout.readline() for _ in range(9)]
            running.send_signal(signal.SIGINT)
            out, errors = running.communicate(timeout=20)
        finally:
            running.kill()
    config = read_config(file)
    assert running.returncode == 0
    assert errors == ""
    assert lines[-1] == f"next: headway bridge --config {file} --estimator SPEC, with a causal one\n"
    assert f"rosbridge of ROS 2 at {config.link.url}" in lines[1]
    assert out.startswith("ended at progress 0.0")
    assert config.arm.joints == ("hand.x", "hand.y", "hand.z", "opening")
    assert config.arm.lower == (-0.4, -0.28, 0.015, -1.0)
    assert config.task == "lift the red cube"


def test_a_configuration_that_somebody_edited_is_left_alone(tmp_path):
    from headway.cli.bridge_sim import _write

    file = tmp_path / "arm.yaml"
    _write(file, "a: 1\n")
    _write(file, "a: 1\n")
    with pytest.raises(OutputError, match="says something else"):
        _write(file, "a: 2\n")
    assert file.read_text() == "a: 1\n"
