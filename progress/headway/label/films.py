"""An episode's pictures by frame number: decoded once, in order, and kept small in memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

import cv2

from headway.episodes import Array, Episode, Frames
from headway.errors import HeadwayError, InvalidValue

SIDE = 640
SMALLEST = 96
QUALITY = 90
# JPEG at this quality takes about so many bytes a pixel of a robot's video
BYTES_A_PIXEL = 0.25
BUDGET = 256 * 2**20
# seconds; a browser sends few requests at once, and none may wait long before those behind it
PATIENCE = 0.25


class NotYet(HeadwayError):
    """A frame is still to be decoded."""


class Film:
    """One camera of one episode as JPEG pictures, decoded by a thread of its own from the first frame on.

    A long episode is kept at a smaller size, so that it fits into `budget` bytes. Every picture is that very frame:
    the video is never sought in.
    """

    def __init__(self, frames: Frames, budget: int = BUDGET):
        self._frames = frames
        self._budget = budget
        self._pictures: list[bytes] = []
        self._error: HeadwayError | None = None
        self._stopped = False
        self._changed = threading.Condition()
        # no daemon: a process that ends in the middle of decoding is aborted
        threading.Thread(target=self._decode).start()

    @property
    def size(self) -> int:
        """Bytes in memory."""
        with self._changed:
            return sum(map(len, self._pictures))

    @property
    def unfinished(self) -> bool:
        """Whether frames are still to come."""
        with self._changed:
            return not self._stopped and self._error is None and len(self._pictures) < len(self._frames)

    def picture(self, number: int, patience: float | None = None) -> bytes:
        """The JPEG file of frame `number`, waited for.

        Raises NotYet when it is not decoded within `patience` seconds, InvalidValue beyond the end, and VideoError as
        decoding does.
        """
        if not 0 <= number < len(self._frames):
            raise InvalidValue(f"frame {number} is not among the episode's frames 0 to {len(self._frames) - 1}")
        with self._changed:
            self._changed.wait_for(lambda: len(self._pictures) > number or self._error or self._stopped, patience)
            if len(self._pictures) > number:
                return self._pictures[number]
            raise self._error or NotYet(f"frame {number} is not decoded yet; ask again")

    def stop(self) -> None:
        """Decode no further; those who wait are told."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _decode(self) -> None:
        try:
            for picture in self._small():
                with self._changed:
                    if self._stopped:
                        return
                    self._pictures.append(picture)
                    self._changed.notify_all()
        except HeadwayError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whoever waits must be told, whatever it is
            self._fail(InvalidValue(f"frame {len(self._pictures)} cannot be decoded: {error}"))

    def _fail(self, error: HeadwayError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def _small(self) -> Iterator[bytes]:
        for frame in self._frames:
            yield encode(frame, side_within(self._budget, len(self._frames), frame))


class Films:
    """The films of the episode last asked for within `budget` bytes, and of others within half as many.

    Args:
        read: an episode by its number; called from several threads.
    """

    def __init__(self, read: Callable[[int], Episode], budget: int = BUDGET):
        self._read = read
        self._budget = budget
        self._films: OrderedDict[tuple[int, str], Film] = OrderedDict()
        self._lock = threading.Lock()

    def picture(self, episode: int, camera: str, number: int) -> bytes:
        """The JPEG file of one frame. Raises NotYet, UnknownName, InvalidValue, VideoError."""
        return self._film(episode, camera).picture(number, PATIENCE)

    def stop(self) -> None:
        """Decode nothing further."""
        with self._lock:
            for film in self._films.values():
                film.stop()

    def _film(self, episode: int, camera: str) -> Film:
        key = (episode, camera)
        with self._lock:
            if key not in self._films:
                found = self._read(episode)
                self._films[key] = Film(found.camera(camera), self._budget // len(found.cameras))
                self._drop(episode)
            self._films.move_to_end(key)
            return self._films[key]

    def _drop(self, current: int) -> None:
        """What is half decoded and left, and the longest unseen beyond the budget."""
        others = [key for key in self._films if key[0] != current]
        total = sum(film.size for film in self._films.values())
        for key in others:
            film = self._films[key]
            if film.unfinished or total > self._budget // 2:
                total -= film.size
                film.stop()
                del self._films[key]


def encode(frame: Array, side: int) -> bytes:
    """A JPEG file of uint8 RGB (height, width, 3), shrunk to `side` pixels at its longer side where it is larger."""
    longer = max(frame.shape[:2])
    if longer > side:
        height, width = (max(1, round(each * side / longer)) for each in frame.shape[:2])
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return coded.tobytes()


def side_within(budget: int, length: int, frame: Array) -> int:
    """The longer side at which `length` frames like this fit into `budget` bytes, at most 640 pixels."""
    height, width = frame.shape[:2]
    pixels = budget / (length * BYTES_A_PIXEL)
    fitting = int(max(height, width) * (pixels / (height * width)) ** 0.5)
    return max(SMALLEST, min(SIDE, fitting))
