"""A camera without ROS: its pictures on a graph in this process, where the node finds them as it finds an arm's."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import cv2

from headway.episodes import Array
from headway.errors import HeadwayError, InvalidValue, Unsupported
from headway_datasets.video import VideoFrames, probe
from headway_envs.ros import messages
from headway_envs.ros.config import IMAGE_KINDS
from headway_envs.ros.freshness import NANOSECONDS
from headway_envs.ros.memory import Bus
from headway_envs.ros.messages import stamp_ns
from headway_envs.ros.transport import Arrival, Message, Transport

OPENING_MS = 5000
"""Milliseconds that a camera on the network may take to answer, and for each picture."""
SILENCE = 10.0
"""Seconds without a picture after which a camera of lerobot is given up; the node says so long before."""
QUALITY = 95
"""Of a live picture's JPEG; that of a file is sent as it is."""


class CameraError(HeadwayError):
    """A camera that is not there, or not any more."""


class Source(Protocol):
    """Where pictures come from.

    Attributes:
        kind: type of the messages.
    """

    kind: str

    def messages(self, ended: threading.Event) -> Iterator[Message]:
        """Each picture when it is due, until the last one or until `ended`. Raises HeadwayError when they break off."""
        ...

    def close(self) -> None: ...


class OpenCvCamera:
    """A camera as OpenCV knows it: number, `/dev/video0`, or the address of a stream.

    Raises CameraError when it cannot be opened or shows nothing.
    """

    kind = IMAGE_KINDS[0]

    def __init__(self, which: int | str):
        _silence_opencv()
        self._which = which
        if isinstance(which, str) and "://" in which:
            waits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPENING_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, OPENING_MS]
            self._capture = cv2.VideoCapture(which, cv2.CAP_FFMPEG, waits)
        else:
            self._capture = cv2.VideoCapture(which)
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if not self._capture.isOpened() or not self._capture.read()[0]:
            self.close()
            raise CameraError(
                f"camera {which} cannot be opened: see whether it is plugged in, has another number, or is in use by "
                "another program"
            )

    def messages(self, ended: threading.Event) -> Iterator[Message]:
        while not ended.is_set():
            there, picture = self._capture.read()
            if not there:
                raise CameraError(f"camera {self._which} gives no more pictures: it was unplugged, or its stream ended")
            yield _jpeg(picture, time.time())

    def close(self) -> None:
        self._capture.release()


class VideoFile:
    """A video file at its own rate. Stamps are its own times, so the estimator is told the same as of a recording.

    A computer that cannot keep up plays it slower and leaves nothing out.

    Args:
        path: of the file.
        speed: times its own rate, above 0 and up to 100.
        loop: begin again after its end; stamps go back, so that it is another episode.

    Raises VideoError for a file that is no video.
    """

    kind = IMAGE_KINDS[1]

    def __init__(self, path: Path, speed: float = 1.0, loop: bool = False):
        if not 0 < speed <= 100:
            raise InvalidValue(f"--speed must be above 0 and up to 100, got {speed:g}")
        info = probe(path)
        self._frames = VideoFrames(path, info.frames, path.name)
        self._fps, self._speed, self._loop = info.fps, speed, loop
        self._began = time.time()

    def messages(self, ended: threading.Event) -> Iterator[Message]:
        yield from self._once(ended)
        while self._loop and not ended.is_set():
            yield from self._once(ended)

    def _once(self, ended: threading.Event) -> Iterator[Message]:
        begin, period = time.monotonic(), 1 / (self._fps * self._speed)
        for number, picture in enumerate(self._frames):
            ahead = begin + number * period - time.monotonic()
            begin += max(0.0, -ahead - 1.0)
            if ended.wait(max(0.0, ahead)):
                return
            yield messages.image(picture, self._began + number / self._fps)

    def close(self) -> None: ...


class LerobotCamera:
    """A camera as lerobot knows it.

    Args:
        name: `TYPE:ID`: opencv:0, opencv:/dev/video2, intelrealsense:SERIAL, zmq:HOST:PORT/NAME.

    Raises InvalidValue for another type, Unsupported where its driver is missing, CameraError when it cannot be opened.
    """

    kind = IMAGE_KINDS[0]

    def __init__(self, name: str):
        _silence_opencv()
        self._name = name
        self._quiet = _quiet_readers()
        config = _lerobot_config(name)
        from lerobot.cameras import make_cameras_from_configs

        self._quiet.__enter__()
        try:
            (self._camera,) = make_cameras_from_configs({"camera": config}).values()
            self._camera.connect()
        except ImportError as error:
            self.close()
            raise Unsupported(f"camera {name} needs a driver that is missing: {_line(error)}") from error
        # drivers raise whatever they like
        except Exception as error:
            self.close()
            raise CameraError(f"camera {name} cannot be opened: {_line(error)}") from error

    def messages(self, ended: threading.Event) -> Iterator[Message]:
        heard = time.monotonic()
        while not ended.is_set():
            try:
                picture = self._camera.async_read(timeout_ms=500)
            except TimeoutError as error:
                if time.monotonic() - heard > SILENCE:
                    raise CameraError(f"camera {self._name} shows nothing for {SILENCE:.0f} s") from error
                continue
            except Exception as error:
                raise CameraError(f"camera {self._name} gives no more pictures: {_line(error)}") from error
            heard = time.monotonic()
            yield _jpeg(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), time.time())

    def close(self) -> None:
        camera = getattr(self, "_camera", None)
        if camera is not None and camera.is_connected:
            camera.disconnect()
        self._quiet.__exit__(None, None, None)


class Feed:
    """Publishes a source's pictures on a topic, in a thread of its own, from when the node is there.

    Args:
        source: of the pictures; closed at the end.
        bus: the graph that the node is on.
        topic: of the pictures.
        results: the node's topic of results.
        patience: seconds that the node has after a file's last picture to tell of it.
        ended: set at the end: by the feed, or by whoever ends it.

    Attributes:
        fault: why pictures broke off; None where they did not.
        told: how many results there were.
    """

    def __init__(
        self, source: Source, bus: Bus, topic: str, results: str, patience: float, ended: threading.Event | None = None
    ):
        self.ended = ended or threading.Event()
        self.fault: HeadwayError | None = None
        self.told = 0
        self._source, self._topic, self._patience = source, topic, patience
        self._member = bus.connect("camera")
        self._member.advertise(topic, source.kind)
        self._member.subscribe(results, "std_msgs/String", self._hear)
        self._last: int | None = None
        self._done = threading.Condition()
        self._heard: int | None = None
        self._thread = threading.Thread(target=self._run, name="headway-camera", daemon=True)

    def wait_for(self, transport: Transport) -> None:
        """Begin once a transport is connected: what is published before reaches nobody."""

        def linked(up: bool) -> None:
            if up and not self._thread.is_alive() and not self.ended.is_set():
                self._member.start()
                self._thread.start()

        transport.on_link(linked)

    def close(self) -> None:
        """End it; once more does nothing. A camera that hangs is left to hang."""
        self.ended.set()
        if self._thread.ident is None:
            self._source.close()
        else:
            self._thread.join(2)

    def _run(self) -> None:
        try:
            for message in self._source.messages(self.ended):
                self._last = stamp_ns(message)
                self._member.publish(self._topic, message)
            self._wait_for_last()
        except HeadwayError as error:
            self.fault = error
        # whatever a driver raises, the person who watches is told
        except Exception as error:  # noqa: BLE001
            self.fault = CameraError(f"the camera failed: {_line(error)}")
        finally:
            self._source.close()
            self._member.close()
            self.ended.set()

    def _hear(self, arrival: Arrival) -> None:
        seconds, nanoseconds = json.loads(arrival.message["data"])["stamp"]
        with self._done:
            self.told += 1
            self._heard = seconds * NANOSECONDS + nanoseconds
            self._done.notify()

    def _wait_for_last(self) -> None:
        with self._done:
            self._done.wait_for(lambda: self._heard == self._last or self.ended.is_set(), self._patience)


def open_camera(which: str, speed: float, loop: bool) -> OpenCvCamera | VideoFile:
    """A device by number, path or address, or a video file. Raises HeadwayError when it is none of them."""
    path = Path(which)
    if which.isdecimal():
        return OpenCvCamera(int(which))
    if "://" in which or path.is_char_device():
        return OpenCvCamera(which)
    if not path.is_file():
        raise CameraError(f"{which} is no camera and no file; give a number such as 0, a video file or an address")
    return VideoFile(path, speed, loop)


def _lerobot_config(name: str) -> Any:
    kind, _, rest = name.partition(":")
    if not rest or kind not in _LEROBOT:
        raise InvalidValue(f"--lerobot-camera needs TYPE:ID with a type of {', '.join(_LEROBOT)}, got {name!r}")
    try:
        return _LEROBOT[kind](rest)
    except ImportError as error:
        raise Unsupported(f"camera {name} needs a driver that is missing: {_line(error)}") from error
    except (ValueError, TypeError) as error:
        raise InvalidValue(f"--lerobot-camera {name}: {_line(error)}") from error


def _opencv(which: str) -> Any:
    from lerobot.cameras.opencv import OpenCVCameraConfig

    return OpenCVCameraConfig(index_or_path=int(which) if which.isdecimal() else which)


def _realsense(which: str) -> Any:
    from lerobot.cameras.realsense import RealSenseCameraConfig

    return RealSenseCameraConfig(serial_number_or_name=which)


def _zmq(which: str) -> Any:
    from lerobot.cameras.zmq import ZMQCameraConfig

    place, _, camera = which.partition("/")
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidValue(f"--lerobot-camera zmq:HOST:PORT/NAME, got zmq:{which}")
    return ZMQCameraConfig(server_address=host, port=int(port), **({"camera_name": camera} if camera else {}))


_LEROBOT: dict[str, Callable[[str], Any]] = {"opencv": _opencv, "intelrealsense": _realsense, "zmq": _zmq}


def _silence_opencv() -> None:
    """It writes to the terminal what is raised here as one line."""
    # read once, when the first video is opened; -8 is AV_LOG_QUIET
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@contextlib.contextmanager
def _quiet_readers() -> Iterator[None]:
    """lerobot's reading threads end by raising; what they say is told once, as an error of ours."""
    before = threading.excepthook

    def hook(told: Any) -> None:
        if told.thread is None or not told.thread.name.endswith("_read_loop"):
            before(told)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _jpeg(picture: Array, stamp: float) -> Message:
    """A message of a picture as uint8 BGR (height, width, 3)."""
    written, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not written:
        raise CameraError("a picture of the camera cannot be written as JPEG")
    return messages.compressed_image(data.tobytes(), "jpeg", stamp)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
