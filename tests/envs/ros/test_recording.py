"""What a recording holds, whatever happens to the disk or the process."""

import ast
import json
import os
import signal
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader

from headway.errors import DatasetError, OutputError
from headway.estimator import Reading
from headway.specs import make_estimator
from headway_datasets.bag_files import Bag
from headway_envs.ros import messages
from headway_envs.ros.config import Arm, BridgeConfig
from headway_envs.ros.events import (
    Answered,
    ArmStopAsked,
    EstopSpoke,
    ImageArrived,
    JointsArrived,
    LinkChanged,
    Logged,
    Published,
    Resubscribed,
    ServiceAsked,
    TaskTold,
    Ticked,
    ViewJudged,
    ViewTaken,
)
from headway_envs.ros.messages import MessageError
from headway_envs.ros.recording import recorder as recording_module
from headway_envs.ros.recording.mcap import McapLog
from headway_envs.ros.recording.recorder import Recorder
from headway_envs.ros.recording.records import END, EVENTS, LOG, RECORDING, as_json, read_header, read_line, write_line
from headway_envs.ros.recording.typed import Types

CAMERA = "/camera/image_raw/compressed"
WALL = 1_700_000_000.25


def picture(level, size=16):
    pixels = np.full((size, size, 3), level, np.uint8)
    return messages.compressed_image(cv2.imencode(".png", pixels)[1].tobytes(), "png", stamp=1000.5 + level)


@pytest.fixture
def config():
    return BridgeConfig(estimator="constant", arm=Arm(joints=("a", "b")), task="open it")


@pytest.fixture
def make(tmp_path, config):
    def made(name="run.mcap", **options):
        return Recorder(tmp_path / name, config, make_estimator("constant"), WALL, **options)

    return made


def see(recorder, number, message, time, looked_at=True):
    """A picture comes in, and is looked at or not."""
    pictures = {number: message}
    recorder.saw(ImageArrived(time, "front", number, 1, None, "d"), (), pictures)
    if looked_at:
        recorder.saw(ViewTaken(time + 0.001, {"front": number}, (0.1, 0.2), 0.0, "open it", number == 0), (), pictures)
        reading = Reading(0.1, 0.5)
        effects = (Published("progress", messages.float32(0.5)), Published("state", messages.string("RUNNING")))
        recorder.saw(ViewJudged(time + 0.002, time + 0.001, reading), effects, pictures)


def lines(path):
    with Bag(path) as bag:
        return [read_line(bag.read(EVENTS, raw).data) for _, _, raw in bag.messages([EVENTS])]


def texts(path, topic):
    with Bag(path) as bag:
        return [json.loads(bag.read(topic, raw).data) for _, _, raw in bag.messages([topic])]


def test_any_tool_reads_it(make):
    recorder = make()
    recorder.saw(LinkChanged(0.5, True), (), {})
    for number in range(4):
        see(recorder, number, picture(number), 1.0 + number, looked_at=number % 2 == 0)
    joints = messages.joint_state(("a", "b"), (0.1, float("nan")), stamp=3.0)
    recorder.saw(JointsArrived(6.0, joints), (), {})
    recorder.close()
    assert recorder.incomplete == ""
    with AnyReader([recorder.path]) as reader:
        found = [(one.topic, time, reader.deserialize(raw, one.msgtype)) for one, time, raw in reader.messages()]
    pictures = [message for topic, _, message in found if topic == CAMERA]
    assert [one.data.tobytes() for one in pictures] == [picture(number)["data"] for number in (0, 2)]
    assert [one.header.stamp.sec for one in pictures] == [1000, 1002]
    assert [message.data for topic, _, message in found if topic == "/progress_node/progress"] == [0.5, 0.5]
    assert [message.data for topic, _, message in found if topic == "/progress_node/state"] == ["RUNNING"] * 2
    (told,) = [message for topic, _, message in found if topic == "/joint_states"]
    assert told.name == ["a", "b"]
    np.testing.assert_equal(told.position, [0.1, np.nan])
    times = [time for _, time, _ in found]
    assert times == sorted(times)
    # the node's clock, brought to the wall's
    assert times[-2] == round((WALL + 6.0) * 1e9)
    assert len(lines(recorder.path)) == 1 + 2 * 3 + 2 + 1


def test_it_says_what_it_is_of(make, config):
    recorder = make(pilot="runs/act", device="cpu")
    recorder.close()
    (said,) = texts(recorder.path, RECORDING)
    header = read_header(json.dumps(said))
    assert header == recorder.header
    assert header.bridge_config() == config
    assert (header.estimator, header.pilot, header.wall) == ("constant", "runs/act", WALL)
    assert header.fingerprint == make_estimator("constant").fingerprint
    assert header.versions["torch"]
    assert texts(recorder.path, END) == [{"events": 0, "incomplete": ""}]


def test_a_later_format_is_refused():
    with pytest.raises(DatasetError, match="version 99"):
        read_header('{"version": 99}')


finite = st.floats(allow_nan=True, allow_infinity=True)
strings = st.text(max_size=20)
times = st.floats(0, 1e9)
readings = st.builds(
    Reading, times, finite, st.none() | strings, st.none() | finite, st.none() | st.floats(width=32).map(np.float32)
)
events = st.one_of(
    st.builds(LinkChanged, times, st.booleans()),
    st.builds(ImageArrived, times, strings, st.integers(0), st.none() | st.integers(0, 2**63), st.none(), strings),
    st.builds(
        JointsArrived,
        times,
        st.dictionaries(strings, st.none() | finite | st.binary(max_size=9) | st.lists(finite | strings)),
    ),
    st.builds(TaskTold, times, strings),
    st.builds(EstopSpoke, times, st.booleans()),
    st.builds(ServiceAsked, times, strings, st.booleans()),
    st.builds(
        ViewTaken,
        times,
        st.dictionaries(strings, st.integers(0)),
        st.none() | st.lists(finite).map(tuple),
        times,
        strings,
        st.booleans(),
    ),
    st.builds(ViewJudged, times, times, st.none() | readings, st.none() | st.lists(finite).map(tuple), strings),
    st.builds(Ticked, times),
)


@settings(max_examples=300, deadline=None)
@given(events, st.integers(0))
def test_events_come_back_as_they_were(event, number):
    effects = [
        Published("result", {"data": "x"}),
        ArmStopAsked("e-stop"),
        Resubscribed("/a"),
        Answered(True, "yes"),
        Logged("info", "b"),
    ]
    line = read_line(write_line(number, event, effects))
    assert line.number == number
    assert type(line.event) is type(event)
    assert as_json(line.event) == as_json(event) == line.json
    assert list(line.effects) == [as_json(effect) for effect in effects]
    if not isinstance(event, ViewJudged):
        # a float32 comes back as the float64 of the same value
        assert repr(line.event) == repr(event)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"n":0,"event":"Boo","time":1}', '{"n":0,"event":"Ticked"}', "{"])
def test_what_is_no_event_is_one_line(text):
    with pytest.raises(DatasetError, match="an event cannot be read"):
        read_line(text)


# --- types -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("std_msgs/Bool", messages.boolean(True)),
        ("std_msgs/Float32", messages.float32(0.5)),
        ("std_msgs/Float64MultiArray", messages.float64_array([0.1, -0.0, 1e300])),
        ("trajectory_msgs/JointTrajectory", messages.joint_trajectory(("a", "b"), (1.0, 2.0), 0.1)),
        ("diagnostic_msgs/DiagnosticArray", messages.diagnostics(1, "node", "late", {"a": "1"}, 2.5)),
        ("sensor_msgs/JointState", messages.joint_state(("a",), (1.5,), stamp=7.25)),
        ("sensor_msgs/CompressedImage", picture(3)),
        ("sensor_msgs/Image", messages.image(np.arange(24, dtype=np.uint8).reshape(2, 4, 3), 1.5)),
    ],
)
def test_every_message_of_the_node_has_its_true_type(kind, message):
    types = Types()
    assert types.unpack(kind, types.pack(kind, message)) == message


def test_the_number_of_a_header_of_ros_1_is_left_out():
    types, message = Types(), messages.joint_state(("a",), (1.0,))
    numbered = {**message, "header": {**message["header"], "seq": 4}}
    assert types.pack("sensor_msgs/JointState", numbered) == types.pack("sensor_msgs/JointState", message)


@pytest.mark.parametrize(
    "message",
    [
        None,
        {},
        {"data": "1"},
        {"data": None},
        {"data": [1.0]},
    ],
)
def test_what_is_not_of_its_type_is_refused(message):
    with pytest.raises(MessageError):
        Types().pack("std_msgs/Float32", message)
    for name, wrong in (("width", -1), ("height", 2**32), ("data", "text"), ("encoding", 3), ("header", None)):
        with pytest.raises(MessageError):
            Types().pack("sensor_msgs/Image", {**messages.image(np.zeros((2, 2, 3), np.uint8)), name: wrong})


def test_events_that_come_late_leave_a_file_in_order_of_time(make):
    recorder = make()
    # a picture that arrived before a tick, and was handled behind it
    for time_ in (5.0, 4.99, 5.01):
        recorder.saw(Ticked(time_), (), {})
    recorder.close()
    assert [line.event.time for line in lines(recorder.path)] == [5.0, 4.99, 5.01]
    with AnyReader([recorder.path]) as reader:
        logged = [time_ for _, time_, _ in reader.messages()]
    assert logged == sorted(logged)
    assert logged[-1] == round((WALL + 5.01) * 1e9)


# --- trouble ---------------------------------------------------------------------------------------------------------


def test_a_file_that_exists_is_left_alone(make, tmp_path):
    (tmp_path / "run.mcap").write_text("precious")
    with pytest.raises(OutputError, match=r"run\.mcap exists and is not replaced"):
        make()
    assert (tmp_path / "run.mcap").read_text() == "precious"
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        make("file/run.mcap")


def test_a_picture_that_is_no_message_of_its_type_is_kept_all_the_same(make):
    recorder = make()
    wrong = {"header": None, "format": 3, "data": b"\x00\xff"}
    see(recorder, 0, wrong, 1.0)
    recorder.saw(ViewTaken(2.0, {"front": 0}, None, 1.0, "", False), (), {0: wrong})
    see(recorder, 1, {**wrong, "data": bytes(2 << 20)}, 3.0)
    recorder.close()
    taken = [line for line in lines(recorder.path) if isinstance(line.event, ViewTaken)]
    assert [line.odd for line in taken] == [{"front": wrong}, {"front": wrong}, {}]
    assert [line.stored for line in taken] == [(), (), ()]
    assert "too large" in recorder.incomplete


def test_a_picture_looked_at_twice_is_stored_once(make):
    recorder = make()
    see(recorder, 0, picture(1), 1.0)
    see(recorder, 0, picture(1), 2.0)
    recorder.close()
    with Bag(recorder.path) as bag:
        assert len(list(bag.messages([CAMERA]))) == 1
    assert [line.stored for line in lines(recorder.path) if isinstance(line.event, ViewTaken)] == [("front",)] * 2


def test_lines_that_no_event_led_to_are_kept(make):
    recorder = make()
    recorder.say("error", "before anything")
    recorder.saw(Ticked(5.0), (), {})
    recorder.say("warning", "behind it")
    recorder.close()
    assert [one["text"] for one in texts(recorder.path, LOG)] == ["before anything", "behind it"]
    with AnyReader([recorder.path]) as reader:
        assert reader.start_time == round((WALL + 5.0) * 1e9)


class Sparing:
    """A file that takes a few bytes at a time, as files may."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        return self.file.write(bytes(data[:11]))

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_what_the_system_takes_in_parts_is_written_whole(make):
    recorder = make()
    recorder._log._file = Sparing(recorder._log._file)
    see(recorder, 0, picture(1), 1.0)
    recorder.close()
    assert recorder.incomplete == ""
    assert len(lines(recorder.path)) == 3


def test_a_slow_disk_costs_pictures_and_never_the_node_s_time(make, monkeypatch):
    gate, write = threading.Event(), McapLog._write
    monkeypatch.setattr(recording_module, "PICTURES_WAITING", 40_000)
    recorder = make()
    # one write that hangs, as on a disk that is busy
    monkeypatch.setattr(McapLog, "_write", lambda self, data: (gate.wait(60), write(self, data))[1])
    large = {**picture(0), "data": bytes(15_000)}
    began = time.thread_time()
    for number in range(200):
        see(recorder, number, large, 1.0 + number)
        assert recorder._pictures_waiting <= 40_000
    assert time.thread_time() - began < 1.0
    assert "pictures" in recorder.incomplete
    gate.set()
    recorder.close()
    found = lines(recorder.path)
    assert [line.number for line in found] == list(range(600))
    kept = [line.stored for line in found if isinstance(line.event, ViewTaken)]
    assert kept.count(("front",)) in (2, 3)
    assert texts(recorder.path, END)[0]["incomplete"] == "the disk was too slow for the pictures"


def test_a_disk_that_hangs_for_long_costs_events(make, monkeypatch):
    gate, write = threading.Event(), McapLog._write
    monkeypatch.setattr(recording_module, "EVENTS_WAITING", 50)
    recorder = make()
    monkeypatch.setattr(McapLog, "_write", lambda self, data: (gate.wait(60), write(self, data))[1])
    for number in range(100):
        recorder.saw(Ticked(float(number)), (), {})
    gate.set()
    recorder.close()
    numbers = [line.number for line in lines(recorder.path)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) < 60
    assert texts(recorder.path, END) == [{"events": 100, "incomplete": "the disk was too slow for the events"}]


CHILD = """
import resource, sys, time
from pathlib import Path
from types import SimpleNamespace
from headway_envs.ros.config import BridgeConfig
from headway_envs.ros.events import Ticked
from headway_envs.ros.recording.recorder import Recorder

def recorder(name):
    estimator = SimpleNamespace(name="constant", fingerprint="1")
    return Recorder(
        Path(sys.argv[1]) / name, BridgeConfig(), estimator, 0.0, tell=lambda level, text: told.append(text)
    )

told = []
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
full, number = recorder("full.mcap"), 0
while not told and number < 5000:
    full.saw(Ticked(float(number)), (), {})
    number += 1
    time.sleep(0.001)
full.saw(Ticked(1e6), (), {})
full.close()
print(told, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
killed = recorder("killed.mcap")
for number in range(500):
    killed.saw(Ticked(float(number)), (), {})
while killed._waiting:
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def unlucky(tmp_path_factory):
    """Two recordings of another process: one on a disk that was full, one that was killed; and what was told."""
    folder = tmp_path_factory.mktemp("unlucky")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CHILD, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    told = process.stdout.readline()
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    return folder, ast.literal_eval(told)


def test_what_was_recorded_before_kill_9_is_there(unlucky):
    # the last one may have been on its way from the queue to the disk
    assert len(lines(unlucky[0] / "killed.mcap")) >= 499


def test_a_full_disk_is_told_in_one_line_and_leaves_what_was_recorded(unlucky):
    folder, (told,) = unlucky
    assert told.startswith("the recording ended: no room left on the disk while writing")
    assert (folder / "full.mcap").stat().st_size == 20_000
    found = lines(folder / "full.mcap")
    assert [line.number for line in found] == list(range(len(found)))
    assert len(found) > 50
