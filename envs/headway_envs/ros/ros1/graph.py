"""A ROS 1 graph, through a process of the Python that has rospy.

rospy lives in the Python of the operating system, not in ours. So `sidecar` runs there as the node, and talks to
us by pipes. It is started again whenever it ends: killed, hung, or because the master has gone, of which rospy itself
would never tell. What was declared is declared anew then.
"""

import logging
import os
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass
from typing import Any

from headway.errors import InvalidValue
from headway_envs.ros.memory import slashed
from headway_envs.ros.messages import two_part
from headway_envs.ros.ros1.keeper import Keeper
from headway_envs.ros.ros1.process import Process, check_ros1
from headway_envs.ros.ros1.sidecar.frames import FrameError, encode
from headway_envs.ros.ros1.sidecar.master import Master, MasterError
from headway_envs.ros.ros1.streams import Streams
from headway_envs.ros.transport import Arrival, Message, ServiceFailed, TransportError

_LOG = logging.getLogger("headway.ros")
_NAME = re.compile(r"(/[A-Za-z]\w*)+", re.ASCII)
_KIND = re.compile(r"[A-Za-z]\w*/[A-Za-z]\w*", re.ASCII)
_NODE = re.compile(r"[A-Za-z]\w*", re.ASCII)
_SERVING = 8
"""Services of ours that are answered at a time."""
SERVICE_SECONDS = 10.0
"""How long an answer of ours may take before the caller is told that there is none."""


@dataclass
class _Publisher:
    kind: str
    latch: bool
    last: list[bytes] | None = None


class RosGraph:
    """A Transport that is a node of a ROS 1 graph; it can also tell about topics, services and nodes.

    Pictures, and whatever else holds bytes, wait nowhere: a newer one takes the place of an older one. Of other topics
    up to 100 messages may wait. A message that could not be published within half a second, because something hung,
    never is, unless its topic is latched. Values that do not fit their type are refused and counted, not published.

    Args:
        master_uri: such as http://localhost:11311; by default what ROS_MASTER_URI says. With a master on this machine
            nothing can be reached from outside, unless ROS_IP or ROS_HOSTNAME is set.
        node_name: without slashes. When another node takes this name, this one leaves the graph for good.
        python: the interpreter that has rospy.
        hang_after: seconds without a sign of life after which the process counts as hung.
        backoff: seconds between attempts to start it, the least and the most.

    Attributes:
        faults: how many things went wrong, by reason.
        notes: the last 200 lines about them.

    Raises:
        InvalidValue: a name or an address that cannot be one.
        Unsupported: `python` is missing or has no rospy.
    """

    def __init__(
        self,
        master_uri: str | None = None,
        node_name: str = "headway",
        python: str = "/usr/bin/python3",
        *,
        hang_after: float = 2.0,
        backoff: tuple[float, float] = (0.2, 2.0),
    ):
        if not _NODE.fullmatch(node_name):
            raise InvalidValue(f"a ROS node's name is letters, digits and _, got {node_name!r}")
        self.master_uri = master_uri or os.environ.get("ROS_MASTER_URI") or "http://localhost:11311"
        if not re.fullmatch(r"https?://[^/\s:]+:\d{1,5}/?", self.master_uri):
            raise InvalidValue(f"a ROS master is at an address like http://localhost:11311, got {self.master_uri!r}")
        check_ros1(python)
        self.faults: Counter[str] = Counter()
        self.notes: deque[str] = deque(maxlen=200)
        self._name, self._python = node_name, python
        self._keeper = Keeper(node_name, self._begin, self._went_down, self._fault, hang_after, backoff)
        self._master = Master(self.master_uri, f"/{node_name}")
        self._lock = threading.RLock()
        self._process: Process | None = None
        self._up = False
        self._streams = Streams(self._fault)
        self._published: dict[str, _Publisher] = {}
        self._answers: dict[str, tuple[str, Callable[[Message], Message]]] = {}
        self._calls: dict[int, Future[Message]] = {}
        self._next_call = 0
        self._pool = ThreadPoolExecutor(_SERVING, "ros1-service")

    # life

    def start(self) -> None:
        if self._keeper.start():
            self._streams.start()

    def close(self) -> None:
        self._keeper.end()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._streams.close()

    @property
    def restarts(self) -> int:
        """How often the process was started again."""
        return self._keeper.restarts

    @property
    def connected(self) -> bool:
        return self._up

    def on_link(self, told: Callable[[bool], None]) -> None:
        self._streams.on_link(told)

    # topics

    def subscribe(
        self,
        topic: str,
        kind: str,
        take: Callable[[Arrival], None],
        *,
        throttle_ms: int = 0,
        compression: str = "none",
    ) -> None:
        """As of Transport; `compression` means nothing here. A topic can be taken as one type only: the one asked last.

        Raises TransportError for a topic or a type that cannot be named so.
        """
        topic, kind = _topic(topic), _kind(kind)
        with self._lock:
            if self._streams.add(topic, kind, take, throttle_ms / 1000):
                self._tell("subscribe", topic=topic, kind=kind)

    def resubscribe(self, topic: str) -> None:
        """What is latched comes again."""
        topic = _topic(topic)
        with self._lock:
            kind = self._streams.begin_anew(topic)
            if kind is not None:
                self._tell("subscribe", topic=topic, kind=kind)

    def advertise(self, topic: str, kind: str, latch: bool = False) -> None:
        """As of Transport. Raises TransportError for a name that cannot be one, and for a second type of a topic."""
        topic, kind = _topic(topic), _kind(kind)
        with self._lock:
            known = self._published.get(topic)
            if known is None:
                self._published[topic] = _Publisher(kind, latch)
                self._tell("advertise", topic=topic, kind=kind, latch=latch)
            elif known.kind != kind:
                raise TransportError(f"{topic} was advertised as {known.kind}; it cannot be a {kind} too")

    def publish(self, topic: str, message: Message) -> None:
        """As of Transport. Raises TransportError, too, for a value that no message can hold; what does not fit the type
        is a fault, since only the other process knows the type.
        """
        topic = slashed(topic)
        publisher = self._published.get(topic)
        if publisher is None:
            raise TransportError(f"{topic} was not advertised; advertise it before publishing on it")
        frame = {"op": "publish", "topic": topic, "message": message, "time": time.monotonic()}
        try:
            pieces = encode(frame)
        except FrameError as error:
            raise TransportError(f"{topic}: {error}") from None
        with self._lock:
            if publisher.latch:
                publisher.last = pieces
            if self._up and self._process is not None:
                self._process.publish(topic, pieces)

    def discard(self, topic: str) -> None:
        with self._lock:
            if self._process is not None:
                self._process.discard(slashed(topic))

    def topic_type(self, topic: str, timeout: float = 1.0) -> str | None:
        return dict(self._ask_master("getPublishedTopics", "", default=[], timeout=timeout)).get(slashed(topic))

    # services

    def advertise_service(self, name: str, kind: str, answer: Callable[[Message], Message]) -> None:
        """As of Transport; an answer may take its time, but no longer than SERVICE_SECONDS."""
        name, kind = _topic(name), _kind(kind)
        with self._lock:
            known = self._answers.get(name)
            self._answers[name] = kind, answer
            if known is None or known[0] != kind:
                self._tell("serve", service=name, kind=kind, seconds=SERVICE_SECONDS)

    def call_service(self, name: str, kind: str, arguments: Message, timeout: float) -> Message:
        """As of Transport; an empty `kind` means whatever the service is."""
        name = slashed(name)
        answer: Future[Message] = Future()
        with self._lock:
            if not self._up or self._process is None:
                raise ServiceFailed(f"{name}: not connected to the ROS master at {self.master_uri}")
            self._next_call += 1
            number = self._next_call
            values = {"service": name, "kind": kind and two_part(kind), "arguments": arguments, "timeout": timeout}
            self._calls[number] = answer
            try:
                self._process.tell("call", id=number, **values)
            except FrameError as error:
                del self._calls[number]
                raise ServiceFailed(f"{name}: {error}") from None
        try:
            return answer.result(timeout)
        except NoAnswer:
            raise ServiceFailed(f"{name} did not answer within {timeout:g} s") from None
        finally:
            with self._lock:
                self._calls.pop(number, None)

    # what a rosapi node can tell

    def topics(self) -> dict[str, str]:
        """The type of every topic that anybody publishes or takes; empty when the master does not answer."""
        return dict(self._ask_master("getTopicTypes", default=[]))

    def services(self) -> dict[str, str]:
        """The type of every service; an empty text where the node that answers it does not tell."""
        _, _, there = self._ask_master("getSystemState", default=([], [], []))
        return {name: self._service_type(name) for name, _ in there}

    def nodes(self) -> list[str]:
        """The names of all nodes."""
        state = self._ask_master("getSystemState", default=())
        return sorted({node for part in state for _, nodes in part for node in nodes})

    def latched(self, topic: str) -> bool:
        """Whether what came in on a topic was latched, or we latch it."""
        topic = slashed(topic)
        ours = self._published.get(topic)
        return (ours is not None and ours.latch) or self._streams.latched(topic)

    def _ask_master(self, method: str, *arguments: Any, default: Any, timeout: float = 1.0) -> Any:
        try:
            return self._master.ask(method, *arguments, timeout=timeout)
        except (MasterError, LookupError):
            return default

    def _service_type(self, name: str) -> str:
        if name in self._answers:
            return self._answers[name][0]
        try:
            return self._master.service_type(name)
        except (MasterError, LookupError):
            return ""

    # the process

    def _begin(self) -> Process:
        self._process = Process(self._python, self._name, self.master_uri, self._take)
        return self._process

    def _came_up(self, process: Process) -> None:
        with self._lock:
            if self._keeper.ended or process.left:
                return
            self._process, self._up, process.up = process, True, True
            for topic, kind in self._streams.kinds.items():
                self._tell("subscribe", topic=topic, kind=kind)
            for topic, publisher in self._published.items():
                self._tell("advertise", topic=topic, kind=publisher.kind, latch=publisher.latch)
            for name, (kind, _) in self._answers.items():
                self._tell("serve", service=name, kind=kind, seconds=SERVICE_SECONDS)
            for topic, publisher in self._published.items():
                if publisher.last is not None:
                    process.publish(topic, publisher.last)
            self._streams.link(True)

    def _went_down(self, process: Process) -> None:
        with self._lock:
            process.left = True
            was_up, self._up, self._process = self._up, False, None
            waiting, self._calls = list(self._calls.values()), {}
        for answer in waiting:
            answer.set_exception(ServiceFailed("the connection to the ROS graph was lost"))
        if was_up:
            self._streams.link(False)

    def _tell(self, op: str, **values: Any) -> None:
        if self._up and self._process is not None:
            self._process.tell(op, **values)

    def _take(self, process: Process, frame: dict[str, Any], size: int) -> None:
        """A frame of the process, in its reading thread, which must never wait."""
        match frame["op"]:
            case "message":
                self._streams.take(frame, size)
            case "up":
                self._came_up(process)
            case "fault":
                self._fault(str(frame["reason"]), str(frame["line"]))
            case "called":
                self._take_answer(frame)
            case "asked":
                try:
                    self._pool.submit(self._answer, process, frame)
                except RuntimeError:  # the pool has been shut
                    return

    def _take_answer(self, frame: dict[str, Any]) -> None:
        with self._lock:
            answer = self._calls.pop(frame["id"], None)
        if answer is None:
            return
        if "error" in frame:
            answer.set_exception(ServiceFailed(str(frame["error"])))
        else:
            answer.set_result(frame["values"])

    def _answer(self, process: Process, frame: dict[str, Any]) -> None:
        name = frame["service"]
        try:
            values = self._answers[name][1](frame["arguments"])
            process.tell("answered", id=frame["id"], values=values)
        except Exception as error:  # noqa: BLE001 (whatever the answer raises tells the caller that it failed)
            process.tell("answered", id=frame["id"], error=f"{name}: {error}")

    def _fault(self, reason: str, line: str) -> None:
        self.faults[reason] += 1
        if not self.notes or self.notes[-1] != line:
            self.notes.append(line)
            _LOG.warning("%s", line)


def _topic(name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(slashed(name)):
        raise TransportError(f"{name!r} cannot be a name in a ROS graph; one is like /camera/image_raw")
    return slashed(name)


def _kind(kind: str) -> str:
    if not isinstance(kind, str) or not _KIND.fullmatch(two_part(kind)):
        raise TransportError(f"{kind!r} cannot be a type in a ROS graph; one is like sensor_msgs/Image")
    return two_part(kind)
