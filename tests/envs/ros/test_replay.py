"""A recorded run, lived through once more: the same comes out, bit for bit, or it is said where not."""

import csv
import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch

from headway.cli.replay import replay as command
from headway.encoders.cache import FeatureCache
from headway.errors import DatasetError, HeadwayError
from headway.estimator import Needs, Reading
from headway.learned.checkpoint import save_learned
from headway.learned.cross_fit import train_members
from headway.learned.inputs import InputConfig
from headway.learned.members import Workshop
from headway.learned.method import TaskEpisodes, TrainingConfig
from headway.learned.sarm import Sarm
from headway.specs import make_estimator
from headway_datasets.bag_files import Bag
from headway_datasets.opening import open_dataset
from headway_envs.ros import messages
from headway_envs.ros.config import Arm, BridgeConfig, Topics
from headway_envs.ros.judge import Judge
from headway_envs.ros.memory import Bus
from headway_envs.ros.node import Node
from headway_envs.ros.recording.recorder import Recorder
from headway_envs.ros.recording.replay import replay

KIND = "sensor_msgs/CompressedImage"
FRONT, HAND = "/camera/image_raw/compressed", "/hand/image_raw/compressed"


class Brightness:
    """Reads how bright the pictures are, smoothed over the episode, so that order and every picture matter."""

    name, fingerprint, needs = "brightness", "b1", Needs()

    def __init__(self, gain=1.0):
        self.gain = gain

    def estimate(self, episodes, stride=1):
        raise NotImplementedError

    def stream(self, instruction=None):
        return Smoothed(self.gain)


class Smoothed:
    def __init__(self, gain):
        self.gain, self.mean = gain, np.float32(0)

    def push(self, frames, time, state=None):
        if frames["front"][0, 0].tolist() == [255, 0, 255]:
            raise RuntimeError("a colour it cannot stand")
        bright = np.mean([picture.mean() for picture in frames.values()])
        self.mean = np.float32(0.7) * self.mean + np.float32(0.3 * bright * self.gain / 255 + 0.01 * state[0])
        return Reading(time, float(self.mean), success=float(self.mean))


class Pilot:
    def begin(self):
        self.count = 0

    def act(self, frames, state, seconds):
        self.count += 1
        return state + 0.01 * self.count


class World:
    """A robot on a graph in this process, and a node that is recorded, on a clock that only `run` moves."""

    def __init__(self, path, config, estimator, pilot=None):
        self.now, self.light, self.count, self.sending = 100.0, 60.0, 0, True
        self.bus = Bus(clock=lambda: self.now)
        self.robot = self.bus.connect("robot")
        self.robot.start()
        self.config, self.heard = config, {}
        for topic in config.topics.cameras.values():
            self.robot.advertise(topic, config.topics.image_kind)
        self.robot.advertise("/joint_states", "sensor_msgs/JointState")
        self.robot.advertise("/progress_node/estop", "std_msgs/Bool")
        self.robot.advertise("/progress_node/task", "std_msgs/String")
        self.robot.advertise_service("/arm/stop", "std_srvs/Trigger", lambda _: messages.outcome(True, "stopped"))
        judge = Judge(estimator, config.topics.image_kind, pilot)
        self.node = Node(config, judge, self.bus.connect("node"), clock=lambda: self.now, threads=False)
        self.recorder = Recorder(path, config, estimator, self.node.wall, pilot="runs/act" if pilot else "")
        self.node.observe(self.recorder)
        self.node.start()
        for name, kind in (("progress", "Float32"), ("result", "String"), ("command", "Float64MultiArray")):
            self.robot.subscribe(f"/progress_node/{name}", f"std_msgs/{kind}", lambda a, n=name: self._hear(n, a))

    def _hear(self, name, arrival):
        self.heard.setdefault(name, []).append(arrival.message["data"])

    def picture(self, camera):
        self.count += 1
        noise = np.random.default_rng(self.count).integers(0, 40, (24, 32, 3))
        pixels = (self.light + noise).clip(0, 255).astype(np.uint8)
        return messages.compressed_image(cv2.imencode(".jpg", pixels)[1].tobytes(), stamp=self.now)

    def run(self, seconds):
        for _ in range(round(seconds / 0.02)):
            self.now = round(self.now + 0.02, 6)
            self.light += 0.3
            if self.sending:
                position = (np.sin(self.now), 0.2)
                self.robot.publish("/joint_states", messages.joint_state(("a", "b"), position, stamp=self.now))
                self.robot.publish("/progress_node/estop", messages.boolean(False))
                for camera, topic in self.config.topics.cameras.items():
                    if camera != "hand" or self.count % 3:
                        self.robot.publish(topic, self.picture(camera))
            self.node.pump()
        return self

    def call(self, name, value=None):
        kind = "std_srvs/Trigger" if value is None else "std_srvs/SetBool"
        arguments = {} if value is None else {"data": value}
        return self.robot.call_service(f"/progress_node/{name}", kind, arguments, 1.0)

    def paint(self, **fields):
        """Have other messages come as pictures; undone by `del`."""
        header = messages.header
        self.picture = lambda camera: {"header": header(self.now), "format": "jpeg", **fields}

    def end(self):
        self.node.close()
        self.recorder.close()
        return self.recorder.path


@pytest.fixture
def run_config(arm_config):
    topics = dataclasses.replace(arm_config.topics, cameras={"front": FRONT, "hand": HAND})
    return dataclasses.replace(arm_config, topics=topics)


def eventful(world):
    """All that may happen to a node."""
    world.run(1)
    assert world.call("enable", True)["success"]
    world.run(0.5)
    assert world.heard["command"]
    world.robot.publish("/progress_node/task", messages.string("close it"))
    world.run(0.5)
    good = world.picture("front")
    for wrong in ({"data": good["data"][:80]}, {"data": None}, {"format": 3, "data": b"\xff\xfe"}):
        world.paint(**wrong)
        world.run(0.1)
    del world.picture
    world.run(0.5)
    world.sending = False
    world.run(1)
    world.sending = True
    world.run(0.5)
    world.robot.publish("/joint_states", {"name": ["a"], "position": b"\x00\x01", "extra": float("nan")})
    world.robot.publish("/progress_node/estop", messages.boolean(True))
    world.run(0.5)
    world.call("reset")
    world.run(0.5)
    colour = cv2.imencode(".png", np.full((24, 32, 3), (255, 0, 255), np.uint8))[1].tobytes()
    world.paint(data=colour)
    world.run(0.2)
    del world.picture
    assert world.node.core.reason.startswith("model: RuntimeError")
    world.run(0.2)
    world.call("start")
    world.run(0.5)
    return world


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run without a policy, two seconds, and what was heard of it."""
    config = BridgeConfig(arm=Arm(joints=("a", "b")), task="open it", estimator="constant:0.5")
    path = tmp_path_factory.mktemp("recorded") / "run.mcap"
    world = World(path, config, Brightness()).run(1)
    world.call("reset")
    world.run(1)
    return world.end(), world


def lines(path):
    with Bag(path) as bag:
        return [bag.read("/headway/events", raw).data for _, _, raw in bag.messages(["/headway/events"])]


def test_the_same_comes_out(run_config, tmp_path):
    world = eventful(World(tmp_path / "run.mcap", run_config, Brightness(), Pilot()))
    path = world.end()
    outcome = replay(path, Brightness())
    assert outcome.first is None
    assert outcome.identical
    assert (outcome.cut, outcome.incomplete, outcome.policy) == (False, "", "runs/act")
    assert outcome.readings == outcome.views > 50
    assert outcome.events > 400
    told = [json.loads(text)["progress"] for text in world.heard["result"]]
    assert [point.progress for point in outcome.curve] == told
    assert {point.state for point in outcome.curve} >= {"RUNNING", "STOPPED"}


def test_pictures_that_were_not_looked_at_are_not_kept(recorded):
    path, world = recorded
    outcome = replay(path, Brightness())
    assert outcome.identical
    assert outcome.pictures == outcome.views < world.count * 0.6


def test_another_estimator_shows_how_it_differs(recorded):
    outcome = replay(recorded[0], Brightness(gain=1.1))
    assert not outcome.identical
    assert outcome.first.what == "reading"
    mean, largest = outcome.progress_off
    assert 0.01 < mean < largest < 0.1
    assert outcome.readings == outcome.views
    assert {point.progress for point in outcome.curve}.isdisjoint(
        point.progress for point in replay(recorded[0], Brightness()).curve
    )


@pytest.mark.parametrize(
    ("what", "change"),
    [
        # the last bit of a mantissa, a byte within a JPEG, a task, a stamp, what a topic carries
        ("reading", lambda data: last_digit(data, b'"event":"ViewJudged"', b'"progress":')),
        ("result", lambda data: last_digit(data, b'"effect":"Published","topic":"result"', b'\\"reward\\": ')),
        ("picture", lambda data: bent(data, b"\xff\xda", 20)),
        ("view", lambda data: data.replace(b'"task":"open it"', b'"task":"open if"', 1)),
        ("/progress_node/progress", lambda data: float_on_topic(data)),
    ],
)
def test_the_smallest_change_is_found_and_named(recorded, tmp_path, what, change):
    data = recorded[0].read_bytes()
    changed = change(data)
    assert len(changed) == len(data)
    assert changed != data
    (tmp_path / "changed.mcap").write_bytes(changed)
    outcome = replay(tmp_path / "changed.mcap", Brightness())
    assert not outcome.identical
    assert outcome.first.what == what
    assert outcome.first.recorded != outcome.first.replayed
    assert 100 <= outcome.first.time <= 103


def last_digit(data, behind, name):
    place = data.index(name, data.index(behind, len(data) // 2)) + len(name)
    end = place
    while chr(data[end]) in "0123456789.-":
        end += 1
    # the sixteenth digit or so: the last one may be beyond what a float tells apart
    digit = b"3" if data[end - 3 : end - 2] != b"3" else b"4"
    return data[: end - 3] + digit + data[end - 2 :]


def bent(data, behind, offset):
    place = data.index(behind, len(data) // 2) + offset
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def float_on_topic(data):
    """The Float32 written just before the first result's event: 4 bytes of CDR header, then the value."""
    import struct

    value = struct.pack("<f", json.loads(first_result(data))["progress"])
    place = data.index(b"\x00\x01\x00\x00" + value)
    return data[: place + 4] + bytes([value[0] ^ 1]) + data[place + 5 :]


def first_result(data):
    place = data.index(b'"topic":"result","message":{"data":') + len(b'"topic":"result","message":{"data":')
    text, _ = json.JSONDecoder().raw_decode(data[place : place + 2000].decode(errors="ignore"))
    return text


def test_a_recording_that_was_cut_off_is_the_same_up_to_the_cut(recorded, tmp_path):
    data = recorded[0].read_bytes()
    random, cut = np.random.default_rng(1), tmp_path / "cut.mcap"
    begin = data.index(b'"event":"ViewTaken"')
    before = 0
    for end in sorted(random.integers(begin, len(data) - 1, 12)):
        cut.write_bytes(data[:end])
        outcome = replay(cut, Brightness())
        assert outcome.identical
        assert outcome.cut == (outcome.events < len(lines(recorded[0])) or end < len(data) - 400)
        assert outcome.events >= before
        before = outcome.events
    cut.write_bytes(data[:200])
    with pytest.raises(DatasetError, match=r"cut\.mcap was cut off before anything was recorded"):
        replay(cut, Brightness())


def test_an_event_that_is_missing_is_found(recorded, tmp_path):
    data = recorded[0].read_bytes()
    number = len(lines(recorded[0])) // 2
    # an event is taken for another topic's message, as if it had not been written
    assert data.count(f'{{"n":{number},'.encode()) == 1
    (tmp_path / "gap.mcap").write_bytes(data.replace(f'{{"n":{number},'.encode(), f'{{"n":{number + 1},'.encode()))
    outcome = replay(tmp_path / "gap.mcap", Brightness())
    assert not outcome.identical
    assert outcome.incomplete == f"events are missing after the first {number}"


def test_what_is_incomplete_is_never_called_identical(tmp_path, arm_config, monkeypatch):
    monkeypatch.setattr("headway_envs.ros.recording.recorder.PICTURES_WAITING", 1)
    world = World(tmp_path / "run.mcap", arm_config, Brightness())
    # the disk hangs while pictures come
    with world.recorder._lock:
        world.recorder._pictures_waiting += 1
    path = world.run(0.5).end()
    outcome = replay(path, Brightness())
    assert not outcome.identical
    assert "pictures" in outcome.incomplete
    assert outcome.differing == 0
    assert outcome.readings == 0


def test_the_model_is_not_called_by_where_it_lies(recorded):
    class Moved(Brightness):
        name = "elsewhere/brightness"

    assert replay(recorded[0], Moved()).identical


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(session_sliders, tmp_path_factory):
    """Two SARMs that were trained for moments and differ in one bias, as specs, and a recording with the first."""
    folder = tmp_path_factory.mktemp("runs")
    method = Sarm(InputConfig(("top",), image_size=32), TrainingConfig(epochs=1, batch=6, validation=0))
    tasks = [TaskEpisodes(session_sliders(4, failing=1), ("right", "down"))]
    members = train_members(method, tasks, Workshop(FeatureCache(folder / "cache")), 1)
    save_learned(folder / "a", method, members)
    with torch.no_grad():
        members[0].network.sparse.stage.bias += torch.tensor([1.0, -1.0, 0.5])
    save_learned(folder / "b", method, members)
    topics = Topics(cameras={"top": FRONT})
    config = BridgeConfig(estimator=f"sarm:{folder / 'a'}", task="push it", topics=topics)
    world = World(folder / "run.mcap", config, make_estimator(config.estimator)).run(1.5)
    return folder, world.end()


def test_the_command_says_that_it_is_identical(runs, tmp_path, capsys):
    _, path = runs
    assert command(path, curve=tmp_path / "curve.csv") == 0
    said = capsys.readouterr().out
    assert "identical  yes" in said
    rows = list(csv.DictReader((tmp_path / "curve.csv").open()))
    assert len(rows) > 10
    assert len({row["progress"] for row in rows}) > 5
    assert rows[-1]["state"] == "RUNNING"


def test_the_command_shows_what_another_estimator_says(runs, capsys):
    folder, path = runs
    assert command(path, estimator=f"sarm:{folder / 'b'}") == 1
    said = capsys.readouterr().out
    assert "identical  no" in said
    assert " on average" in said
    assert "s, reading" in said
    recorded, replayed = [line for line in said.splitlines() if '"progress":' in line]
    assert recorded.strip().startswith("recorded")
    assert recorded.split()[1] != replayed.split()[1]


def test_the_command_refuses_an_estimator_that_has_changed(runs, tmp_path):
    folder, path = runs
    moved = tmp_path / "moved.mcap"
    # the same length: the recording names the other run now
    moved.write_bytes(path.read_bytes().replace(f"{folder.name}/a".encode(), f"{folder.name}/b".encode()))
    with pytest.raises(HeadwayError, match=r"was recorded with sarm:.* of fingerprint .*, which is now") as raised:
        command(moved)
    assert "\n" not in str(raised.value)
    # said where the recorded one lies, it is the same again
    assert command(moved, estimator=f"sarm:{folder / 'a'}") == 0


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("absent.mcap", None, "there is no file"),
        ("run.bag", b"", "is no .mcap file"),
        ("run.mcap", b"", "cannot be read as a bag"),
        ("run.mcap", b"something else entirely", "cannot be read as a bag"),
        ("run.mcap", b"\x89MCAP0\r\n", "cannot be read as a bag"),
    ],
)
def test_what_is_no_recording_is_one_line(tmp_path, name, content, line):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=line) as raised:
        command(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_damage_is_one_line_or_a_difference(recorded, tmp_path):
    data, random = recorded[0].read_bytes(), np.random.default_rng(3)
    told = []
    for _ in range(12):
        place = int(random.integers(0, len(data) - 20))
        (tmp_path / "broken.mcap").write_bytes(data[:place] + random.bytes(20) + data[place + 20 :])
        told.append(complaint(tmp_path / "broken.mcap"))
    # what nothing depends on, such as a picture's frame_id, may be anything
    assert sum(map(bool, told)) >= 10
    assert not any("\n" in said for said in told)


def complaint(path):
    """What is wrong with a recording: an error's line, or why it is not identical."""
    try:
        outcome = replay(path, Brightness())
    except DatasetError as error:
        return str(error)
    return "" if outcome.identical else outcome.incomplete or outcome.first.what


# --- as a data set ---------------------------------------------------------------------------------------------------


def test_a_recording_is_a_data_set_of_its_episodes(run_config, tmp_path):
    path = eventful(World(tmp_path / "run.mcap", run_config, Brightness(), Pilot())).end()
    source = open_dataset(path)
    assert source.cameras == ("front", "hand")
    assert len(source) == 4
    first = source.episode(0)
    assert first.instruction == "open the drawer"
    assert source.episode(1).instruction == "close it"
    assert first.state_names == ("a", "b")
    assert len(first) >= 20
    assert 10 < first.fps <= 20
    moments = 100.02 + first.timestamps
    np.testing.assert_allclose(first.state[:, 0], np.sin(moments), atol=0.06)


def test_the_pictures_of_a_data_set_are_those_that_were_looked_at(recorded):
    path, _ = recorded
    source = open_dataset(path)
    assert [episode.instruction for episode in source] == ["open it", "open it"]
    with Bag(path) as bag:
        messages_ = [bag.read(FRONT, raw) for _, _, raw in bag.messages([FRONT])]
    decoded = [cv2.cvtColor(cv2.imdecode(one.data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) for one in messages_]
    seen = [picture for episode in source for picture in episode.cameras["front"]]
    assert len(seen) >= len(decoded) - 3
    assert all(any(np.array_equal(picture, one) for one in decoded) for picture in seen)
