"""`headway watch`: a camera, a stream or a file instead of a robot, through the node that runs beside an arm."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from headway import cli
from headway.cli.replay import replay
from headway.cli.watch import watch
from headway.errors import HeadwayError, InvalidValue, Unsupported, VideoError
from headway.specs import make_estimator
from headway_datasets.video import encode_video
from headway_envs.ros.camera import CameraError, Feed, LerobotCamera, OpenCvCamera, VideoFile, open_camera
from headway_envs.ros.config import BridgeConfig, Limits, Topics
from headway_envs.ros.judge import Judge
from headway_envs.ros.memory import Bus
from headway_envs.ros.node import Node

FPS = 20
FILE = {"latency": 5.0, "frame_age": 1e9, "future": 1e9, "frozen_seconds": 1e9, "restart": 1e-3}
ESTIMATOR = '''
from headway.estimator import Needs, Reading

class Brightness:
    """Progress is how bright the picture is."""

    name, fingerprint = "bright", "1"

    def __init__(self, argument):
        self.needs = Needs(state=argument == "state")
        self.broken = argument == "broken"

    def estimate(self, episodes, stride=1):
        raise NotImplementedError

    def stream(self, instruction=None):
        return self

    def push(self, frames, time, state=None):
        if self.broken:
            raise RuntimeError("broken")
        (picture,) = frames.values()
        return Reading(time, float(picture.mean()) / 255, success=0.0)

def make(argument, device):
    return Brightness(argument)
'''


@pytest.fixture(autouse=True)
def bright(tmp_path_factory, monkeypatch):
    """An estimator of one's own, installed as packages are: `bright`, `bright:state`, `bright:broken`."""
    site = tmp_path_factory.mktemp("site")
    about = site / "bright-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: bright\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[headway.estimators]\nbright = bright_for_watch:make\n")
    (site / "bright_for_watch.py").write_text(ESTIMATOR)
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop("bright_for_watch", None)


def ramp(count, height=48, width=64):
    """Pictures that become brighter, the last one by most."""
    grey = [*np.linspace(10, 150, count - 1).astype(int), 180]
    return [np.full((height, width, 3), value, np.uint8) for value in grey]


@pytest.fixture
def video(tmp_path):
    def make(count=30, name="ramp.mp4"):
        path = tmp_path / name
        encode_video(path, ramp(count), FPS)
        return path

    return make


class Watched:
    """A file fed to a node; keeps what the node said."""

    def __init__(self, source, **limits):
        self.told, bus = [], Bus()
        config = BridgeConfig(
            "bright",
            limits=Limits(
                **({"latency": 5, "frame_age": 1e9, "future": 1e9, "frozen_seconds": 1e9, "restart": 1e-3} | limits)
            ),
            topics=Topics(cameras={"front": "/camera"}, image_kind=source.kind, joints="", arm_stop=""),
        )
        transport = bus.connect("headway")
        self.node = Node(config, Judge(make_estimator("bright"), source.kind), transport, [self])
        self.feed = Feed(source, bus, "/camera", "/progress_node/result", 6)
        self.feed.wait_for(transport)
        self.logs = []

    def saw(self, event, effects, pictures):
        for effect in effects:
            if getattr(effect, "topic", "") == "result":
                self.told.append(json.loads(effect.message["data"]))
            if hasattr(effect, "level"):
                self.logs.append(effect.text)

    def run(self, until=None, seconds=60):
        self.node.start()
        end = time.monotonic() + seconds
        try:
            while not (until() if until else self.feed.ended.is_set()):
                assert time.monotonic() < end, self.logs
                time.sleep(0.01)
        finally:
            self.feed.close()
            self.node.close()
        return self


def test_of_a_file_the_node_tells_what_its_pictures_show_to_the_last_one(video):
    path = video()
    shown = [picture.mean() / 255 for picture in ramp(30)]
    watched = Watched(VideoFile(path)).run()
    assert watched.feed.fault is None
    assert watched.feed.told == len(watched.told) >= 3
    begin = watched.told[0]["stamp"]
    for told in watched.told:
        seconds = told["stamp"][0] - begin[0] + (told["stamp"][1] - begin[1]) / 1e9
        frame = round(seconds * FPS)
        assert seconds * FPS == pytest.approx(frame, abs=0.01), "stamps are the file's own times"
        assert told["progress"] == pytest.approx(shown[frame], abs=0.012)
    assert frame == len(shown) - 1, "the last picture counts"
    assert not [line for line in watched.logs if line.startswith("DEGRADED")]


def test_a_file_takes_its_own_time_and_speed_divides_it(video):
    def seconds(speed):
        source = VideoFile(video(30), speed)
        began = time.monotonic()
        assert len(list(source.messages(threading.Event()))) == 30
        return time.monotonic() - began

    assert seconds(1) >= 29 / FPS
    assert seconds(10) >= 2.9 / FPS


def test_a_still_scene_in_a_file_is_no_camera_that_hangs(tmp_path):
    path = tmp_path / "still.mp4"
    encode_video(path, [np.full((48, 64, 3), 90, np.uint8)] * 50, FPS)
    watched = Watched(VideoFile(path)).run()
    assert not [line for line in watched.logs if "frozen" in line]


def test_a_loop_begins_another_episode_each_time(video):
    watched = Watched(VideoFile(video(12), speed=4, loop=True))
    watched.run(until=lambda: sum("a new episode" in line for line in watched.logs) >= 2)
    assert watched.feed.fault is None
    assert watched.feed.ended.is_set()


def test_the_command_tells_of_a_file_and_its_recording_proves_it(video, tmp_path, capsys):
    out = tmp_path / "run.mcap"
    status = watch(camera=str(video()), estimator="bright", task="brighten", out=out, latency=5.0, page=0)
    printed, told = capsys.readouterr()
    assert status == 0
    assert "readings, 0 commands" in printed
    assert int(printed.split()[0]) >= 3
    assert "operator's page: http://127.0.0.1:" in told
    assert replay(out) == 0


# ---- a live camera: a stream of JPEGs, as phones and network cameras serve it ----


class Stream:
    """Serves moving pictures until `cut`."""

    def __init__(self):
        stream = self
        self.cut = threading.Event()
        self.sent = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                while not stream.cut.wait(0.04):
                    stream.sent += 1
                    pixels = np.full((48, 64, 3), 100, np.uint8)
                    pixels[:, : stream.sent % 64] = 140
                    data = cv2.imencode(".jpg", pixels)[1].tobytes()
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    try:
                        self.wfile.write(head.encode() + data + b"\r\n")
                    except OSError:
                        return

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/camera.mjpg"

    def cut_after(self, pictures):
        def wait():
            while self.sent < pictures:
                time.sleep(0.01)
            self.cut.set()

        threading.Thread(target=wait, daemon=True).start()

    def close(self):
        self.cut.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def stream():
    made = Stream()
    yield made
    made.close()


@pytest.mark.parametrize("option", ["camera", "lerobot_camera"])
def test_a_live_camera_is_told_of_until_it_is_unplugged(stream, option, capfd):
    stream.cut_after(90)
    address = stream.address if option == "camera" else f"opencv:{stream.address}"
    with pytest.raises(CameraError, match="gives no more pictures"):
        watch(**{option: address}, estimator="bright", latency=5.0)
    printed, told = capfd.readouterr()
    assert int(printed.split()[0]) >= 3, printed
    assert "RUNNING" in told
    assert "Traceback" not in told


def test_a_camera_that_hangs_ends_when_it_is_told_to(stream):
    watched = Watched(OpenCvCamera(stream.address), frame_age=0.5)
    watched.run(until=lambda: watched.feed.told >= 2)
    assert not [thread for thread in threading.enumerate() if thread.name == "headway-camera"]


# ---- what is no camera ----


def test_what_is_no_camera_is_told_in_one_line(tmp_path, monkeypatch, capfd):
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    for arguments, words in (
        (["--camera", "63"], "camera 63 cannot be opened: see whether it is plugged in"),
        (["--camera", str(tmp_path / "gone.mp4")], "is no camera and no file"),
        (["--camera", str(tmp_path)], "is no camera and no file"),
        (["--camera", str(text)], "cannot be read as a video"),
        (["--camera", "http://127.0.0.1:9/x.mjpg"], "cannot be opened"),
        (["--lerobot-camera", "opencv:63"], "camera opencv:63 cannot be opened: Failed to open"),
        (["--lerobot-camera", "webcam:0"], "needs TYPE:ID with a type of opencv, intelrealsense, zmq"),
        (["--lerobot-camera", "zmq:here"], "zmq:HOST:PORT/NAME"),
        ([], "give --camera"),
        (["--camera", "0", "--lerobot-camera", "opencv:0"], "give --camera"),
    ):
        assert cli._run("watch", [*arguments, "--estimator", "bright"]) == 1, arguments
        printed, told = capfd.readouterr()
        assert words in told.splitlines()[-1], arguments
        # what FFmpeg says, in brackets, can be switched off only before its first use in a process
        ours = [line for line in told.splitlines() if not line.startswith("[")]
        assert (printed, len(ours)) == ("", 1), told


def test_what_cannot_be_watched_with_is_refused_before_anything_runs(video):
    path = str(video())
    with pytest.raises(Unsupported, match="needs the robot's state"):
        watch(camera=path, estimator="bright:state")
    with pytest.raises(Unsupported, match="has to see the whole episode"):
        watch(camera=path, estimator="clock")
    for speed in (0.0, -1.0, float("nan"), 1e6):
        with pytest.raises(InvalidValue, match="--speed"):
            watch(camera=path, estimator="bright", speed=speed)
    with pytest.raises(HeadwayError, match=r"limits\.latency"):
        watch(camera=path, estimator="bright", latency=0.0)


def test_a_file_that_was_cut_short_is_told_in_one_line(video, tmp_path):
    whole = video(60, "ramp.mkv").read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(VideoError, match=r"cut\.mkv") as caught:
        watch(camera=str(path), estimator="bright", latency=5.0)
    assert "\n" not in str(caught.value)


def test_a_file_of_which_nothing_was_read_is_no_success(video, capsys):
    assert watch(camera=str(video(10)), estimator="bright:broken", latency=0.5) == 1
    assert "nothing was read: STOPPED model: RuntimeError: broken" in capsys.readouterr().out


def test_a_driver_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    with pytest.raises(HeadwayError, match="camera intelrealsense:1"):
        LerobotCamera("intelrealsense:1")


def test_numbers_are_devices_and_paths_are_files(video):
    assert isinstance(open_camera(str(video()), 1.0, False), VideoFile)
    with pytest.raises(CameraError, match="camera 62"):
        open_camera("62", 1.0, False)
    assert Path("62").exists() is False
