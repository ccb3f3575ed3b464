"""A recording, lived through once more: the same events lead to the same readings and messages, bit for bit.

Core and judge are made anew, the events are handled in their order, every reading is computed again from the recorded
pictures, and each view, reading and message is held against what was recorded. A policy is not run again: its commands
are taken as they were.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from headway.errors import DatasetError
from headway.estimator import Estimator
from headway_datasets.bag_files import Bag
from headway_envs.ros.core import Core
from headway_envs.ros.events import Effect, ImageArrived, Published, ViewJudged, ViewTaken
from headway_envs.ros.judge import Judge, Judgement
from headway_envs.ros.messages import MessageError
from headway_envs.ros.recording.recorder import place_of
from headway_envs.ros.recording.records import END, EVENTS, RECORDING, Header, Line, as_json, read_header, read_line
from headway_envs.ros.recording.typed import Types
from headway_envs.ros.transport import Message

SUFFIX = ".mcap"
DIGESTS = 1000
"""Pictures whose digest is kept; a view is of the newest ones."""


@dataclass(frozen=True)
class Difference:
    """Where replay and recording part.

    Attributes:
        time: seconds of the node's clock.
        what: the topic of a message, `view`, `reading`, `picture` or another effect's kind.
        recorded, replayed: both values.
    """

    time: float
    what: str
    recorded: str
    replayed: str


@dataclass(frozen=True)
class Point:
    """One reading that counted: seconds of the node's clock, and what was told with it."""

    time: float
    progress: float
    reward: float
    success: float
    state: str


@dataclass
class Outcome:
    """What a replay found.

    Attributes:
        events, pictures, views, readings, messages: how many were handled, read, offered, computed and compared.
        differing: how many of the views, readings, messages and other effects are not the same.
        first: the first of them.
        progress_off: mean and largest difference of progress between recorded and computed readings.
        incomplete: why the recording does not hold everything; empty when it does.
        cut: whether it ends without its end: everything up to there was replayed.
        policy: whose commands were taken as recorded; empty without one.
        curve: of the readings as replayed.
    """

    events: int = 0
    pictures: int = 0
    views: int = 0
    readings: int = 0
    messages: int = 0
    differing: int = 0
    first: Difference | None = None
    progress_off: tuple[float, float] = (0.0, 0.0)
    incomplete: str = ""
    cut: bool = False
    policy: str = ""
    curve: list[Point] = field(default_factory=list)

    @property
    def identical(self) -> bool:
        """Whether nothing differs and nothing is missing."""
        return not self.differing and not self.incomplete and self.events > 0


def recording_header(path: Path) -> Header:
    """What a recording is of. Raises DatasetError for a file that is damaged, or none of ours."""
    with _opened(path) as bag:
        for _, _, raw in bag.messages([RECORDING]):
            text = bag.read(RECORDING, raw).data
            with _told(path):
                return read_header(text)
    raise DatasetError(f"{path} was cut off before anything was recorded; there is nothing to replay")


def replay(path: Path, estimator: Estimator) -> Outcome:
    """Replay a recording with an estimator, usually the recorded one.

    Memory does not grow with the recording, but for the curve. Raises DatasetError for a file that is damaged, or none
    of ours; Unsupported for an estimator that cannot run beside an arm.
    """
    header = recording_header(path)
    with _opened(path) as bag:
        return _Replay(path, header, estimator).run(bag)


def _opened(path: Path) -> Bag:
    if not path.is_file():
        raise DatasetError(f"there is no file {path}; give a recording that headway bridge --out made")
    if path.suffix.lower() != SUFFIX:
        raise DatasetError(f"{path} is no {SUFFIX} file; give a recording that headway bridge --out made")
    return _Ours(path)


class _Ours(Bag):
    """A bag with the topics of a recording."""

    def __enter__(self) -> "_Ours":
        super().__enter__()
        if RECORDING not in self.types:
            self.__exit__(None, None, None)
            if self.cut and not self.types:
                raise DatasetError(f"{self.path} was cut off before anything was recorded; there is nothing to replay")
            raise DatasetError(
                f"{self.path} has no {RECORDING}: it was not recorded by headway bridge; `headway score` reads any bag"
            )
        return self


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Says which file it is that something is wrong with."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


class _Replay:
    def __init__(self, path: Path, header: Header, estimator: Estimator):
        self._path, self._header = path, header
        with _told(path):
            self._config = header.bridge_config()
        self._judge = Judge(estimator, self._config.topics.image_kind)
        self._core = Core(self._config, header.model, header.wall)
        self._types = Types()
        self._cameras = {topic: camera for camera, topic in self._config.topics.cameras.items()}
        self._pictures: dict[str, Message] = {}
        self._digests: dict[int, str] = {}
        self._typed: dict[str, list[bytes]] = {}
        self._judged: Judgement | None = None
        self._off: list[float] = [0.0, 0.0]
        self._compared = 0
        self._at = 0.0
        self._ended = False
        self.outcome = Outcome(policy=header.pilot)

    def run(self, bag: Bag) -> Outcome:
        for line in self._lines(bag):
            if line.number != self.outcome.events:
                self.outcome.incomplete = f"events are missing after the first {self.outcome.events}"
                break
            self.outcome.events += 1
            with self._sound(line.number):
                self._at = float(line.event.time)
                self._live(line)
            self._typed.clear()
        self.outcome.cut = not self._ended
        if self._compared:
            self.outcome.progress_off = self._off[0] / self._compared, self._off[1]
        return self.outcome

    def _lines(self, bag: Bag) -> Iterator[Line]:
        """The events. Pictures and messages before each are put aside on the way."""
        for topic, _, raw in bag.messages(bag.types):
            if topic == EVENTS:
                text = bag.read(EVENTS, raw).data
                with _told(self._path):
                    line = read_line(text)
                yield line
            elif topic == END:
                self._ended = True
                with self._sound(self.outcome.events):
                    self._end(bag.read(END, raw).data)
            elif topic in self._cameras:
                self.outcome.pictures += 1
                with self._sound(self.outcome.events):
                    self._pictures[self._cameras[topic]] = self._types.unpack(self._config.topics.image_kind, raw)
            else:
                self._typed.setdefault(topic, []).append(raw)

    def _end(self, text: str) -> None:
        said = json.loads(text)
        if said["incomplete"]:
            self.outcome.incomplete = said["incomplete"]
        elif said["events"] != self.outcome.events:
            self.outcome.incomplete = f"it had {said['events']} events, and {self.outcome.events} are there"

    @contextmanager
    def _sound(self, number: int) -> Iterator[None]:
        """What cannot be lived through at all was not recorded like that."""
        try:
            yield
        except (MessageError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__} {' '.join(str(error).split())[:100]}"
            raise DatasetError(f"{self._path} is damaged at event {number} ({reason}); copy it again") from error

    # ---- one event ----

    def _live(self, line: Line) -> None:
        event = line.event
        if isinstance(event, ViewTaken):
            self._take(line, event)
            return
        if isinstance(event, ViewJudged):
            event = self._judge_again(event, line)
        elif isinstance(event, ImageArrived):
            self._digests[event.number] = event.digest
            self._digests.pop(event.number - DIGESTS, None)
        self._compare(line, self._core.handle(event))

    def _take(self, line: Line, event: ViewTaken) -> None:
        """A view was offered: is it now, and what does the estimator say of it?"""
        self.outcome.views += 1
        offered = self._core.offer(event.time)
        self._same("view", line.json, as_json(offered))
        lacking = [camera for camera in event.pictures if camera not in line.stored and camera not in line.odd]
        if lacking:
            self.outcome.incomplete = self.outcome.incomplete or f"it lacks pictures of {', '.join(lacking)}"
            self._judged = None
            return
        pictures = {camera: line.odd.get(camera, self._pictures.get(camera, {})) for camera in event.pictures}
        for camera, number in event.pictures.items():
            data = pictures[camera].get("data")
            if isinstance(data, bytes) and number in self._digests:
                self._same("picture", self._digests[number], hashlib.blake2b(data, digest_size=8).hexdigest())
        self._judged = self._judge.judge(event, pictures)

    def _judge_again(self, event: ViewJudged, line: Line) -> ViewJudged:
        """The event with the reading that was computed now, which is compared with the recorded one."""
        made, self._judged = self._judged, None
        if made is None:
            return event
        self.outcome.readings += 1
        if self._header.pilot and event.fault and not made.fault:
            # the policy's, which is not run again
            return event
        now = replace(event, reading=made.reading, fault=made.fault, damaged=made.damaged)
        self._same("reading", line.json, as_json(now))
        if event.reading is not None and made.reading is not None:
            off = abs(float(made.reading.progress) - event.reading.progress)
            if math.isfinite(off):
                self._compared += 1
                self._off = [self._off[0] + off, max(self._off[1], off)]
        return now

    def _compare(self, line: Line, effects: list[Effect]) -> None:
        """What an event led to, then and now: as told in the line, and as written on the topics."""
        now = [as_json(effect) for effect in effects]
        for number in range(max(len(now), len(line.effects))):
            recorded, replayed = (part[number] if number < len(part) else "nothing" for part in (line.effects, now))
            self._same(_named(replayed if recorded == "nothing" else recorded), recorded, replayed)
        written: dict[str, list[bytes]] = {}
        for effect in effects:
            if isinstance(effect, Published):
                self.outcome.messages += 1
                topic, kind = place_of(effect.topic, self._config)
                # what cannot be packed is in the line of the event only
                with suppress(MessageError):
                    written.setdefault(topic, []).append(self._types.pack(kind, effect.message))
                self._mark(effect)
        # a difference in content is told already
        if self.outcome.first is None:
            for topic, raw in written.items():
                if self._typed.get(topic) != raw:
                    self._same(topic, f"{self._typed.get(topic)!r}", f"{raw!r}")

    def _mark(self, effect: Published) -> None:
        if effect.topic == "result":
            said = json.loads(effect.message["data"])
            state = self._core.state
            self.outcome.curve.append(Point(self._at, said["progress"], said["reward"], said["success"], state))

    def _same(self, what: str, recorded: str, replayed: str) -> None:
        if recorded == replayed:
            return
        self.outcome.differing += 1
        if self.outcome.first is None:
            self.outcome.first = Difference(self._at, what, recorded, replayed)


def _named(effect: str) -> str:
    """What an effect is called where it differs: its topic, or its kind."""
    said = json.loads(effect)
    return str(said.get("topic", said["effect"]))
