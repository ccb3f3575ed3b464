"""What the operator's page shows: kept by the node's thread, read by the page's."""

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headway_envs.ros.core import Core
from headway_envs.ros.events import Effect, Event, ImageArrived, Logged, Published, ViewTaken
from headway_envs.ros.transport import Message

MOST_POINTS = 600
"""Of a curve; twice as many as its width on a phone has pixels."""
LINES = 40
COUNTERS = ("results", "commands", "clock_skew_s")
TIMES = ("latency_", "frame_age_", "dropped: ")


@dataclass(frozen=True)
class Seen:
    """What a page has already: of the curve's edition so many points, and log lines up to a number."""

    edition: int = -1
    points: int = 0
    line: int = -1


@dataclass
class Curve:
    """Progress of the running episode, at most MOST_POINTS: beyond, every other one is dropped.

    Attributes:
        points: (seconds since the episode's first view, progress, whether something is missing before it).
        edition: changes whenever `points` did other than grow.
        done: seconds at which success was declared; None before.
    """

    points: list[tuple[float, float, bool]] = field(default_factory=list)
    edition: int = 0
    done: float | None = None
    began: float | None = None
    _spacing: float = 0.0
    _gap: bool = False

    def begin(self, now: float) -> None:
        """An episode begins."""
        self.points, self.edition = [], self.edition + 1
        self.done, self.began, self._spacing, self._gap = None, now, 0.0, False

    def gap(self) -> None:
        """What comes next does not follow from what was before."""
        self._gap = True

    def push(self, now: float, progress: float) -> None:
        """Take a reading; those nearer to the last one than points are kept are left out."""
        seconds = now - (now if self.began is None else self.began)
        if self.points and not self._gap and seconds - self.points[-1][0] < self._spacing:
            return
        self.points.append((round(seconds, 3), round(progress, 4), self._gap and bool(self.points)))
        self._gap = False
        if len(self.points) > MOST_POINTS:
            self._thin()

    def _thin(self) -> None:
        """Drop every other point; a gap before one that goes is a gap before the next."""
        followed = [False, *(gap for _, _, gap in self.points[1::2])]
        kept = zip(self.points[::2], followed, strict=False)
        self.points = [(seconds, progress, gap or lost) for (seconds, progress, gap), lost in kept]
        self.edition += 1
        self._spacing = 2 * (self.points[-1][0] - self.points[0][0]) / MOST_POINTS


@dataclass
class _Camera:
    """The newest picture of one, and since when it shows the same."""

    number: int
    message: Message
    arrived: float
    digest: str
    same_since: float


class Board:
    """An observer that keeps what a page needs to know, of bounded size.

    Args:
        core: the node's.
        clock: the node's.
    """

    def __init__(self, core: Core, clock: Callable[[], float]):
        self._core, self._clock = core, clock
        self._lock = threading.Lock()
        self._lived = clock()
        self._curve = Curve()
        self._cameras: dict[str, _Camera] = {}
        self._result: tuple[float, dict[str, Any]] | None = None
        self._valid = False
        self._counters: dict[str, str] = {}
        self._lines: deque[tuple[int, float, str, str]] = deque(maxlen=LINES)
        self._line = 0
        self._flags = self._read_flags(self._lived)

    # ---- the node's thread ----

    def saw(self, event: Event, effects: Sequence[Effect], pictures: Mapping[int, Message]) -> None:
        with self._lock:
            self._lived = self._clock()
            if isinstance(event, ImageArrived) and event.number in pictures:
                self._see(event, pictures[event.number])
            elif isinstance(event, ViewTaken) and event.restart:
                self._curve.begin(event.time)
            for effect in effects:
                if isinstance(effect, Published):
                    self._read(effect, event.time)
                elif isinstance(effect, Logged):
                    self._log(event.time, effect.level, effect.text)
            self._flags = self._read_flags(event.time)

    def say(self, level: str, text: str) -> None:
        """A line that no event led to; from any thread."""
        with self._lock:
            self._log(self._clock(), level, text)

    def _see(self, event: ImageArrived, message: Message) -> None:
        before = self._cameras.get(event.camera)
        same = before is not None and before.digest == event.digest
        since = before.same_since if before is not None and same else event.time
        self._cameras[event.camera] = _Camera(event.number, message, event.time, event.digest, since)

    def _read(self, told: Published, now: float) -> None:
        match told.topic:
            case "result":
                # what is no number has no place in JSON, and Python writes it all the same
                result = json.loads(told.message["data"], parse_constant=lambda _: None)
                self._result = (now, result)
                self._curve.push(now, result["progress"])
            case "valid":
                self._valid = told.message["data"]
                if not self._valid:
                    self._curve.gap()
            case "success" if told.message["data"]:
                self._curve.done = self._curve.points[-1][0] if self._curve.points else 0.0
            case "diagnostics":
                values = {each["key"]: each["value"] for each in told.message["status"][0]["values"]}
                self._counters = {
                    key: value for key, value in values.items() if key in COUNTERS or key.startswith(TIMES)
                }

    def _log(self, now: float, level: str, text: str) -> None:
        self._lines.append((self._line, now, level, text))
        self._line += 1

    def _read_flags(self, now: float) -> dict[str, Any]:
        core = self._core
        return {
            "state": core.state,
            "reason": core.reason,
            "task": core.task,
            "dry_run": core.config.arm.dry_run,
            "motion": core.permission.given,
            "estop_latched": core.estop.latched,
            "estop_alive": core.estop.alive(now),
            "success": core.readings.success,
        }

    # ---- the page's thread ----

    def told(self, seen: Seen) -> dict[str, Any]:
        """All that a page has to know, as plain JSON. Ages are in seconds."""
        with self._lock:
            now = self._clock()
            curve = self._curve
            first = seen.points if seen.edition == curve.edition else 0
            result = None if self._result is None else {**self._result[1], "age": round(now - self._result[0], 3)}
            return {
                **self._flags,
                "node_age": round(now - self._lived, 3),
                "valid": self._valid,
                "result": result,
                "curve": {
                    "edition": curve.edition,
                    "first": first,
                    "points": curve.points[first:],
                    "done": curve.done,
                },
                "cameras": [self._tell_camera(name, now) for name in self._core.config.topics.cameras],
                "frame_age": self._core.config.limits.frame_age,
                "counters": self._counters,
                "lines": [
                    {"number": number, "age": round(now - time, 1), "level": level, "text": text}
                    for number, time, level, text in self._lines
                    if number > seen.line
                ],
            }

    def picture(self, camera: str) -> tuple[int, Message, float] | None:
        """Number of the newest picture of a camera, its message and when it came; None where there is none."""
        with self._lock:
            newest = self._cameras.get(camera)
            return None if newest is None else (newest.number, newest.message, newest.arrived)

    def _tell_camera(self, name: str, now: float) -> dict[str, Any]:
        newest = self._cameras.get(name)
        if newest is None:
            return {"name": name, "number": None}
        return {
            "name": name,
            "number": newest.number,
            "age": round(now - newest.arrived, 3),
            "same": round(newest.arrived - newest.same_since, 1),
        }
