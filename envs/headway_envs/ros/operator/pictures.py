"""Pictures for the operator's page: as JPEG, each made once however many look, and none while nobody does."""

import threading
from collections.abc import Callable

import cv2

from headway_datasets.ros_images.decoding import FrameError, decode
from headway_datasets.ros_images.frame_errors import DEFAULT_LIMITS, check_size
from headway_datasets.ros_images.picture_header import read_header
from headway_envs.ros.operator.board import Board
from headway_envs.ros.transport import Message

QUALITY = 80
LONGER_SIDE = 1280
"""Pixels; larger pictures are made smaller when they have to be written anew."""
PERIOD = 0.1
"""Seconds between pictures of one camera."""


class Pictures:
    """The newest picture of each camera as JPEG. Raises FrameError for one that cannot be shown."""

    def __init__(self, board: Board, kind: str, clock: Callable[[], float]):
        self._board, self._kind, self._clock = board, kind, clock
        self._lock = threading.Lock()
        self._made: dict[str, tuple[float, int, float, bytes]] = {}

    def newest(self, camera: str) -> tuple[int, float, bytes] | None:
        """Number of the picture, its age in seconds and its JPEG; None where no picture came yet."""
        with self._lock:
            now = self._clock()
            made = self._made.get(camera)
            if made is None or now - made[0] >= PERIOD:
                made = self._make(camera, now, made)
            return None if made is None else (made[1], now - made[2], made[3])

    def _make(
        self, camera: str, now: float, before: tuple[float, int, float, bytes] | None
    ) -> tuple[float, int, float, bytes] | None:
        newest = self._board.picture(camera)
        if newest is None:
            return None
        number, message, arrived = newest
        if before is None or before[1] != number:
            before = (now, number, arrived, to_jpeg(message, self._kind))
            self._made[camera] = before
        return before


def to_jpeg(message: Message, kind: str) -> bytes:
    """A picture's message as JPEG: as it came where it is an ordinary one, else decoded and written anew.

    Raises FrameError.
    """
    if kind == "sensor_msgs/CompressedImage" and _is_ordinary(message):
        return bytes(message["data"])
    picture = decode(message, kind)
    height, width = picture.shape[:2]
    if max(height, width) > LONGER_SIDE:
        scale = LONGER_SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    written, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not written:
        raise FrameError("the picture cannot be written as JPEG")
    return data.tobytes()


def _is_ordinary(message: Message) -> bool:
    """Whether a browser shows it as the estimator sees it: colours in their usual order, whole, of bearable size."""
    data, words = message.get("data"), message.get("format")
    if not isinstance(data, bytes) or not isinstance(words, str):
        return False
    colour, divided, stored = (part.strip().lower() for part in words.partition(";"))
    usual = colour in ("rgb8", "bgr8") and "jpeg compressed bgr8" in stored if divided else colour in ("jpeg", "jpg")
    if not usual or not data.endswith(b"\xff\xd9"):
        return False
    try:
        header = read_header(data)
        if header is None or header.codec != "jpeg" or header.bits != 8:
            return False
        check_size(header.width, header.height, DEFAULT_LIMITS)
    except (ValueError, FrameError):
        return False
    return True
