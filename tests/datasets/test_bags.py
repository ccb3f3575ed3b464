"""ROS bags as data sets: bags of both versions of ROS, written by rosbags."""

import json
from dataclasses import dataclass, field

import cv2
import numpy as np
import pyarrow.parquet
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from headway.cli.report import report
from headway.cli.score import score
from headway.errors import DatasetError, UnknownName, VideoError
from headway_datasets.bags import Bags
from headway_datasets.opening import open_dataset

EPOCH = 1_700_000_000_000_000_000
FRONT, JOINTS, TASK = "/front/image_raw", "/joint_states", "/robot/task"
KINDS = ("bag", "db3", "mcap")


@dataclass
class Scene:
    """What a robot publishes in a second or so: pictures whose grey level is their number, joints, an instruction.

    Each message is (topic, type, nanoseconds logged, fields).
    """

    store: object
    messages: list = field(default_factory=list)

    def header(self, stamp):
        types = self.store.types
        extra = {"seq": 0} if "seq" in [name for name, _ in self.store.fielddefs["std_msgs/msg/Header"][1]] else {}
        time = types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
        return types["std_msgs/msg/Header"](stamp=time, frame_id="", **extra)

    def add(self, topic, kind, logged, **fields):
        self.messages.append((topic, kind, logged, self.store.types[kind](**fields)))

    def picture(self, topic, logged, level, stamp=None, encoding="bgr8"):
        pixels = np.full((6, 8, 3), (level, 7, 250), np.uint8)
        depth = np.full((6, 8), level, np.uint16)
        data = (depth if encoding == "16UC1" else pixels).tobytes()
        self.add(
            topic,
            "sensor_msgs/msg/Image",
            logged,
            header=self.header(logged if stamp is None else stamp),
            height=6,
            width=8,
            encoding=encoding,
            is_bigendian=0,
            step=len(data) // 6,
            data=np.frombuffer(data, np.uint8),
        )

    def stored(self, topic, logged, level, stamp=None, data=None):
        pixels = np.full((6, 8, 3), (level, 7, 250), np.uint8)
        data = cv2.imencode(".png", pixels)[1].tobytes() if data is None else data
        self.add(
            topic,
            "sensor_msgs/msg/CompressedImage",
            logged,
            header=self.header(logged if stamp is None else stamp),
            format="png",
            data=np.frombuffer(data, np.uint8),
        )

    def joints(self, logged, names, positions, stamp=None, topic=JOINTS):
        empty = np.empty(0)
        self.add(
            topic,
            "sensor_msgs/msg/JointState",
            logged,
            header=self.header(logged if stamp is None else stamp),
            name=list(names),
            position=np.array(positions, float),
            velocity=empty,
            effort=empty,
        )

    def text(self, topic, logged, text):
        self.add(topic, "std_msgs/msg/String", logged, data=text)

    def write(self, path):
        ordered = sorted(self.messages, key=lambda one: one[2])
        if path.suffix == ".bag":
            with Writer1(path) as writer:
                self._write(writer, ordered, self.store.serialize_ros1)
            return path
        plugin = StoragePlugin.MCAP if path.suffix == ".mcap" else StoragePlugin.SQLITE3
        with Writer2(path.with_suffix(""), version=9, storage_plugin=plugin) as writer:
            self._write(writer, ordered, self.store.serialize_cdr)
        return path.with_suffix("")

    def _write(self, writer, ordered, pack):
        connections = {}
        for topic, kind, logged, message in ordered:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=self.store)
            writer.write(connections[topic], logged, pack(message, kind))


def scene_for(kind):
    return Scene(get_typestore(Stores.ROS1_NOETIC if kind == "bag" else Stores.ROS2_HUMBLE))


def at(seconds):
    return EPOCH + round(seconds * 1e9)


def simple(kind="mcap", frames=20, fps=10, start=0.0):
    """A camera and joints at 50 Hz, of which joint `a` is the time."""
    scene = scene_for(kind)
    for number in range(frames):
        scene.picture(FRONT, at(start + number / fps), 10 + number)
    for number in range(5 * frames * 10 // fps):
        time = number / 50
        scene.joints(
            at(start + time), ("b", "a") if number % 2 else ("a", "b"), (-1, time) if number % 2 else (time, -1)
        )
    scene.text(TASK, at(start - 1), "open the drawer")
    return scene


@pytest.mark.parametrize("kind", KINDS)
def test_a_bag_is_an_episode(kind, tmp_path):
    path = simple(kind).write(tmp_path / f"run.{kind}")
    source = open_dataset(path)
    assert isinstance(source, Bags)
    assert (len(source), source.format, source.cameras) == (1, "bag", (FRONT,))
    episode = source.episode(0)
    assert (len(episode), episode.fps, episode.instruction) == (20, 10, "open the drawer")
    pictures = list(episode.cameras[FRONT])
    assert [picture[0, 0].tolist() for picture in pictures] == [[250, 7, 10 + number] for number in range(20)]
    # by name, although every second message has them the other way round
    assert episode.state_names == ("a", "b")
    np.testing.assert_allclose(episode.state, [[number / 10, -1] for number in range(20)], atol=1e-6)
    np.testing.assert_allclose(episode.timestamps, np.arange(20) / 10, atol=1e-9)
    # decoded anew each time
    assert len(list(episode.cameras[FRONT])) == 20


@pytest.mark.parametrize("kind", ["db3", "mcap"])
def test_the_file_in_the_folder_is_a_bag_too(kind, tmp_path):
    folder = simple(kind).write(tmp_path / f"run.{kind}")
    (file,) = folder.glob(f"*.{kind}")
    assert len(open_dataset(file).episode(0)) == 20


def test_frames_are_steady_where_pictures_are_not(tmp_path):
    scene = scene_for("mcap")
    late = [0, 0.004, -0.003, 0.002, -0.004, 0.001]
    for number in range(60):
        scene.picture(FRONT, at(number / 30 + late[number % 6]), number)
    episode = open_dataset(scene.write(tmp_path / "run.mcap")).episode(0)
    assert episode.fps == 30
    assert len(episode) == 60
    assert [picture[0, 0, 2] for picture in episode.cameras[FRONT]] == list(range(60))
    assert np.ptp(np.diff(episode.timestamps)) < 1e-8


def test_one_lost_picture_is_bridged_and_a_silence_is_left_out(tmp_path):
    scene = scene_for("mcap")
    for number in range(40):
        if number != 5 and not 20 <= number < 30:
            scene.picture(FRONT, at(number / 10), number)
    episode = open_dataset(scene.write(tmp_path / "run.mcap")).episode(0)
    levels = [int(picture[0, 0, 2]) for picture in episode.cameras[FRONT]]
    assert levels[:8] == [0, 1, 2, 3, 4, 4, 6, 7]
    steps = np.diff(episode.timestamps)
    # the frames next to the silence are near enough to a picture
    assert steps.max() == pytest.approx(0.9, abs=1e-6)
    assert (steps > 0.11).sum() == 1
    assert levels[-1] == 39


def test_two_cameras_are_brought_together_at_the_slower_one(tmp_path):
    scene = scene_for("mcap")
    for number in range(60):
        scene.picture(FRONT, at(number / 30), number)
    for number in range(20):
        scene.stored("/hand/image_raw/compressed", at(0.2 + number / 10 + 0.01), 100 + number)
    source = open_dataset(scene.write(tmp_path / "run.mcap"), rename={"/hand/image_raw/compressed": "hand"})
    assert source.cameras == (FRONT, "hand")
    episode = source.episode(0)
    assert episode.fps == 10
    front, hand = ([int(picture[0, 0, 2]) for picture in episode.cameras[name]] for name in source.cameras)
    assert hand == list(range(100, 100 + len(hand)))
    assert front == [6 + 3 * number for number in range(len(front))]


def test_a_camera_that_fell_silent_does_not_spoil_the_others(tmp_path):
    scene = simple()
    scene.picture("/hand/image_raw", at(0), 1)
    path = scene.write(tmp_path / "run.mcap")
    with pytest.raises(DatasetError, match=r"no two pictures of each camera.*/hand/image_raw 1.*--cameras"):
        open_dataset(path)
    assert len(open_dataset(path, cameras=[FRONT]).episode(0)) == 20
    with pytest.raises(UnknownName, match="nowhere"):
        open_dataset(path, cameras=["nowhere"])


def test_the_same_camera_twice_and_depth_are_left_out(tmp_path):
    scene = simple()
    for number in range(20):
        scene.stored(f"{FRONT}/compressed", at(number / 10), 10 + number)
        scene.picture("/depth/image_raw", at(number / 10), 900, encoding="16UC1")
    assert open_dataset(scene.write(tmp_path / "run.mcap")).cameras == (FRONT,)


def test_times_are_stamps_unless_they_cannot_be_trusted(tmp_path):
    stamped, unset, foreign = scene_for("mcap"), scene_for("mcap"), scene_for("mcap")
    for number in range(20):
        # logged in bursts of two, stamped evenly
        logged = at((number // 2) / 5)
        stamped.picture(FRONT, logged + number, number, stamp=at(number / 10) - 10**8)
        unset.picture(FRONT, at(number / 10), number, stamp=0)
        # the camera's clock began when it was switched on
        foreign.picture(FRONT, at(number / 10), number, stamp=5 * 10**9 + number * 10**8)
        foreign.joints(at(number / 10), ("a",), (number,))
    names = ("stamped", "unset", "foreign")
    episodes = {
        name: open_dataset(scene.write(tmp_path / f"{name}.mcap")).episode(0)
        for name, scene in zip(names, (stamped, unset, foreign), strict=True)
    }
    for episode in episodes.values():
        assert (len(episode), episode.fps) == (20, 10)
        assert [picture[0, 0, 2] for picture in episode.cameras[FRONT]] == list(range(20))
    assert episodes["foreign"].state[:, 0].tolist() == list(range(20))


def test_joints_that_say_nothing_whole_are_passed_over(tmp_path):
    scene = scene_for("mcap")
    for number in range(10):
        scene.picture(FRONT, at(number / 10), number)
        scene.joints(at(number / 10), ("a", "b"), (number, 1))
        scene.joints(at(number / 10) + 1, ("gripper",), (9,))
        scene.joints(at(number / 10) + 2, ("a", "b"), (np.nan, 1))
    episode = open_dataset(scene.write(tmp_path / "run.mcap")).episode(0)
    assert episode.state.tolist() == [[number, 1] for number in range(10)]


def test_without_joints_and_task_there_is_no_state_and_no_instruction(tmp_path):
    scene = scene_for("mcap")
    for number in range(10):
        scene.picture(FRONT, at(number / 10), number)
    scene.text("/robot/status", at(0), "warm")
    episode = open_dataset(scene.write(tmp_path / "run.mcap")).episode(0)
    assert (episode.state, episode.state_names, episode.instruction) == (None, None, None)


def test_the_instruction_is_the_last_one_before_the_pictures(tmp_path):
    scene = simple()
    for seconds, text in ((-5, "close it"), (-0.5, "push it"), (1, "lift it")):
        scene.text(TASK, at(seconds), text)
    assert open_dataset(scene.write(tmp_path / "run.mcap")).episode(0).instruction == "push it"


def test_a_folder_of_bags_is_many_episodes(tmp_path):
    for number, kind in enumerate(KINDS):
        simple(kind, frames=10 + number).write(tmp_path / f"run{number}.{kind}")
    source = open_dataset(tmp_path)
    assert [len(episode) for episode in source] == [10, 11, 12]
    assert [episode.first_frame for episode in source] == [0, 10, 21]
    assert len({episode.recording for episode in source}) == 3
    before = source.fingerprint
    assert open_dataset(tmp_path).fingerprint == before
    simple("bag", frames=14).write(tmp_path / "run9.bag")
    assert open_dataset(tmp_path).fingerprint != before
    with pytest.raises(UnknownName):
        source.episode(3)


def test_bags_must_have_a_camera_in_common(tmp_path):
    simple().write(tmp_path / "a.mcap")
    other = scene_for("mcap")
    for number in range(10):
        other.picture("/top/image_raw", at(number / 10), number)
    other.write(tmp_path / "b.mcap")
    with pytest.raises(DatasetError, match=r"no camera in common \(a: /front/image_raw; b: /top/image_raw\).*--rename"):
        open_dataset(tmp_path)
    source = open_dataset(tmp_path, rename={FRONT: "eye", "/top/image_raw": "eye"})
    assert source.cameras == ("eye",)
    assert [len(list(episode.cameras["eye"])) for episode in source] == [20, 10]


def test_a_damaged_picture_is_told_when_it_is_looked_at(tmp_path):
    scene = scene_for("mcap")
    for number in range(10):
        scene.stored("/eye/compressed", at(number / 10), number, data=b"\x89PNG\r\n\x1a\nno" if number == 4 else None)
    episode = open_dataset(scene.write(tmp_path / "run.mcap")).episode(0)
    with pytest.raises(VideoError, match=r"episode 0, camera /eye/compressed: frame 4 of .* is no picture"):
        list(episode.cameras["/eye/compressed"])


def complaint(path):
    """What is said of a file when all of it is read; empty where it can be. Nothing but a DatasetError is raised."""
    try:
        for episode in open_dataset(path):
            for frames in episode.cameras.values():
                list(frames)
    except DatasetError as error:
        said = str(error)
    else:
        return ""
    assert "\n" not in said
    assert str(path) in said
    return said


def test_score_and_report_work_on_a_bag(tmp_path):
    path, scores = simple("bag").write(tmp_path / "run.bag"), tmp_path / "scores"
    assert score(str(path), estimator="clock", rename=f"{FRONT}=front", out=scores) == 0
    frames = pyarrow.parquet.read_table(scores / "frames.parquet").to_pydict()
    np.testing.assert_allclose(frames["progress_sparse"], np.linspace(0, 1, 20), atol=1e-6)
    assert report(scores, out=tmp_path / "report.html") == 0
    assert "open the drawer" in (tmp_path / "report.html").read_text()


# --- what cannot be read ---------------------------------------------------------------------------------------------


def test_a_bag_without_pictures_says_what_it_holds(tmp_path):
    scene = scene_for("mcap")
    scene.joints(at(0), ("a",), (1,))
    with pytest.raises(DatasetError, match=r"has no pictures: it holds /joint_states \(sensor_msgs/JointState\)"):
        open_dataset(scene.write(tmp_path / "run.mcap"))
    scene.picture("/depth", at(0), 4, encoding="16UC1")
    with pytest.raises(DatasetError, match=r"no pictures that can be seen: /depth: .*colour"):
        open_dataset(scene.write(tmp_path / "depth.mcap"))


def test_types_that_nobody_knows_do_no_harm(tmp_path):
    scene = simple()
    scene.store.register(get_types_from_msg("int32 angle\nfloat64[3] force", "my_robot/msg/Grip"))
    scene.add("/grip", "my_robot/msg/Grip", at(0.1), angle=3, force=np.zeros(3))
    assert len(open_dataset(scene.write(tmp_path / "run.mcap")).episode(0)) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_damaged_is_one_line(kind, tmp_path):
    path = simple(kind).write(tmp_path / f"run.{kind}")
    file = path if path.is_file() else next(path.glob(f"*.{kind}"))
    whole = file.read_bytes()
    random = np.random.default_rng(0)
    told = []
    for trial in range(15):
        broken = tmp_path / f"broken{trial}.{kind}"
        data = bytearray(whole)
        if trial % 3 == 0:
            data = data[: random.integers(0, len(data))]
        else:
            place = random.integers(0, len(data) - 40)
            data[place : place + 40] = random.bytes(40)
        broken.write_bytes(data)
        told.append(complaint(broken))
    assert sum(map(bool, told)) > 2


@pytest.mark.parametrize("name", ["a.bag", "a.db3", "a.mcap"])
@pytest.mark.parametrize("data", [b"", b"hello", b"\x89MCAP0\r\n", b"#ROSBAG V2.0\n"])
def test_what_is_no_bag_is_one_line(name, data, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DatasetError, match="cannot be read as a bag"):
        open_dataset(tmp_path / name)


def test_an_mcap_file_that_was_cut_off_is_read_up_to_the_cut(tmp_path):
    folder = simple("mcap", frames=200).write(tmp_path / "run.mcap")
    (file,) = folder.glob("*.mcap")
    # one chunk of rosbags is a megabyte; a second one begins behind it
    scene = scene_for("mcap")
    for number in range(60):
        pixels = np.random.default_rng(number).integers(0, 256, (200, 200, 3), np.uint8)
        scene.stored("/eye", at(number / 10), 0, data=cv2.imencode(".png", pixels)[1].tobytes())
    (file,) = scene.write(tmp_path / "large.mcap").glob("*.mcap")
    whole = file.read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    episode = open_dataset(cut).episode(0)
    assert 20 <= len(episode) < 60
    pictures = list(episode.cameras["/eye"])
    whole_ones = list(open_dataset(file).episode(0).cameras["/eye"])
    assert all(np.array_equal(one, other) for one, other in zip(pictures, whole_ones, strict=False))


def test_a_folder_that_only_looks_like_a_bag_is_none(tmp_path):
    (tmp_path / "metadata.yaml").write_text(json.dumps({"name": "something else"}))
    with pytest.raises(DatasetError, match="of no known layout"):
        open_dataset(tmp_path)
    folder = simple("db3").write(tmp_path / "run.db3")
    (folder / "metadata.yaml").write_text("{")
    with pytest.raises(DatasetError, match="cannot be read as a bag"):
        open_dataset(folder)
