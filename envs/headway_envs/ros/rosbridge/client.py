"""The client's side of rosbridge: a Transport over a websocket, for ROS 1 and ROS 2.

A thread of its own always reads, so that nothing grows old in a buffer, and hands each message on at once. A connection
that says nothing is not trusted: it is pinged, and given up after a second and a half. What was declared is declared
again on every new connection.
"""

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from headway.errors import HeadwayError
from headway_envs.ros.memory import Dialect, copied, slashed
from headway_envs.ros.messages import from_wire, to_wire, two_part
from headway_envs.ros.rosbridge.errors import WireError
from headway_envs.ros.rosbridge.links import Link
from headway_envs.ros.rosbridge.wire import MAX_SIZE, Frame, Reader, encode_json
from headway_envs.ros.transport import Arrival, Message, ServiceFailed, TransportError

_LOG = logging.getLogger("headway.ros")
_VERSION = "/rosapi/get_ros_version"
_MAX_ASKED = 100
"""Calls of our services that may wait for their answer."""


@dataclass
class _Subscription:
    kind: str
    take: Callable[[Arrival], None]
    throttle_ms: int
    compression: str
    number: int


class RosbridgeTransport:
    """A participant of the graph behind a rosbridge server.

    Args:
        url: `ws://HOST:PORT` or `wss://`.
        ros_version: 1, 2, or `auto`: ask the server on each connection. Until it has said, times are written as ROS 1
            does, which both versions read.
        token: sent as `Authorization: Bearer`.
        backoff: the shortest and longest seconds between two attempts to connect.
        max_size: bytes of a frame; a server that sends a larger one is left and connected to anew.
        clock: gives the time of every arrival.

    Attributes:
        faults: frames and messages that were no good, by reason; those of a kind that was never seen have no entry.

    Raises:
        TransportError: a URL that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        ros_version: str | int = "auto",
        token: str | None = None,
        backoff: tuple[float, float] = (0.2, 2.0),
        max_size: int = MAX_SIZE,
        clock: Callable[[], float] = time.monotonic,
    ):
        if str(ros_version) not in ("auto", "1", "2"):
            raise TransportError(f"ros_version must be 1, 2 or auto, got {ros_version!r}")
        self._link = Link(url, token, backoff, max_size, self._opened, self._lost, self._arrived)
        self._given = None if ros_version == "auto" else int(ros_version)
        self._version = self._given
        self._max_size, self._clock = max_size, clock
        self.faults: Counter[str] = self._link.faults
        self._reader = Reader(max_size)
        self._subscriptions: dict[str, _Subscription] = {}
        self._published: dict[str, tuple[str, bool]] = {}
        self._latched: dict[str, Message] = {}
        self._answers: dict[str, tuple[str, Callable[[Message], Message]]] = {}
        self._asked: dict[str, Future[Any]] = {}
        self._told: list[Callable[[bool], None]] = []
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._answering = ThreadPoolExecutor(1, thread_name_prefix="rosbridge-answers")
        self._room = threading.Semaphore(_MAX_ASKED)

    # what a Transport does

    def start(self) -> None:
        self._link.start()

    def close(self) -> None:
        """As of Transport; what was just published is still sent, if that takes no time."""
        self._answering.shutdown(wait=False, cancel_futures=True)
        self._link.close()

    @property
    def connected(self) -> bool:
        return self._link.connected

    @property
    def trouble(self) -> str | None:
        """Why there is no connection, in one line; None while there is one."""
        return self._link.trouble

    @property
    def ros_version(self) -> int | None:
        """1 or 2; None while the server has not said."""
        return self._version

    def on_link(self, told: Callable[[bool], None]) -> None:
        self._told.append(told)

    def subscribe(
        self,
        topic: str,
        kind: str,
        take: Callable[[Arrival], None],
        *,
        throttle_ms: int = 0,
        compression: str = "none",
    ) -> None:
        """As of Transport, once a topic. Ask for joint states without compression: ROS 1 loses them in CBOR.

        Of a throttled topic, and of one in CBOR, which is for images, the server is asked to keep the newest message
        only; of others none is to be left out, for an e-stop may be pressed and released within a moment.
        """
        topic = slashed(topic)
        if compression not in ("none", "cbor"):
            raise TransportError(f"compression must be none or cbor, got {compression!r}")
        with self._lock:
            if topic in self._subscriptions:
                raise TransportError(f"{topic} is subscribed to already; one subscription serves all who read it")
            self._subscriptions[topic] = _Subscription(kind, take, throttle_ms, compression, next(self._numbers))
            self._say(self._subscribing(topic))

    def resubscribe(self, topic: str) -> None:
        topic = slashed(topic)
        with self._lock:
            subscription = self._subscriptions.get(topic)
            if subscription is None:
                raise TransportError(f"{topic} was not subscribed to")
            self._say({"op": "unsubscribe", "id": f"subscribe:{topic}:{subscription.number}", "topic": topic})
            subscription.number = next(self._numbers)
            self._say(self._subscribing(topic))

    def advertise(self, topic: str, kind: str, latch: bool = False) -> None:
        topic = slashed(topic)
        with self._lock:
            if self._published.setdefault(topic, (kind, latch)) != (kind, latch):
                raise TransportError(f"{topic} was advertised before, as another type or latched otherwise")
            self._say(self._advertising(topic))

    def publish(self, topic: str, message: Message) -> None:
        """As of Transport; of several that wait, the newest of each topic is sent. Raises MessageError for what ROS
        cannot hold, such as a NaN.
        """
        topic = slashed(topic)
        if topic not in self._published:
            raise TransportError(f"{topic} was not advertised; advertise it before publishing on it")
        text = self._publishing(topic, message)
        with self._lock:
            if self._published[topic][1]:
                self._latched[topic] = copied(message)
            self._link.publish(topic, text)

    def discard(self, topic: str) -> None:
        self._link.discard(slashed(topic))

    def advertise_service(self, name: str, kind: str, answer: Callable[[Message], Message]) -> None:
        name = slashed(name)
        with self._lock:
            self._answers[name] = kind, answer
            self._say(self._serving(name))

    def call_service(self, name: str, kind: str, arguments: Message, timeout: float) -> Message:
        """As of Transport; not from a callback, which would wait for itself."""
        name = slashed(name)
        if self._link.is_here:
            raise ServiceFailed(f"{name} cannot be called from a callback of the transport: it would wait for itself")
        future: Future[Any] = Future()
        with self._lock:
            if not self._link.connected:
                raise ServiceFailed(f"{name}: not connected to {self._link.shown}")
            number = f"call:{name}:{next(self._numbers)}"
            self._asked[number] = future
            asked = to_wire(arguments, self._dialect)
            self._say({"op": "call_service", "id": number, "service": name, "type": kind, "args": asked})
        try:
            values = future.result(timeout)
        except TimeoutError:
            raise ServiceFailed(f"{name} did not answer within {timeout:g} s") from None
        except CancelledError:
            raise ServiceFailed(f"{name}: the connection was lost") from None
        finally:
            with self._lock:
                self._asked.pop(number, None)
        return from_wire(values, f"{kind}Response")

    def topic_type(self, topic: str, timeout: float = 1.0) -> str | None:
        try:
            there = self.call_service("/rosapi/topic_type", "rosapi/TopicType", {"topic": slashed(topic)}, timeout)
        except HeadwayError:
            return None
        return two_part(there["type"]) if isinstance(there.get("type"), str) and there["type"] else None

    # frames

    @property
    def _dialect(self) -> Dialect:
        return "ros2" if self._version == 2 else "ros1"

    def _subscribing(self, topic: str) -> Frame:
        of = self._subscriptions[topic]
        frame: Frame = {"op": "subscribe", "id": f"subscribe:{topic}:{of.number}", "topic": topic, "type": of.kind}
        newest_only = of.throttle_ms > 0 or of.compression == "cbor"
        frame |= {"throttle_rate": of.throttle_ms, "queue_length": int(newest_only)}
        return frame | {"compression": of.compression}

    def _advertising(self, topic: str) -> Frame:
        kind, latch = self._published[topic]
        return {"op": "advertise", "id": f"advertise:{topic}", "topic": topic, "type": kind, "latch": latch}

    def _serving(self, name: str) -> Frame:
        return {"op": "advertise_service", "id": f"serve:{name}", "service": name, "type": self._answers[name][0]}

    def _publishing(self, topic: str, message: Message) -> str:
        return encode_json({"op": "publish", "topic": topic, "msg": to_wire(message, self._dialect)})

    def _say(self, frame: Frame) -> None:
        """Nothing while there is no connection: all that is declared is said when there is one."""
        self._link.say(encode_json(frame))

    # in the link's thread

    def _opened(self) -> None:
        with self._lock:
            self._reader = Reader(self._max_size)
            self._version = self._given
            if self._given is None:
                self._say({"op": "call_service", "id": _VERSION, "service": _VERSION, "args": {}})
            for topic in self._published:
                self._say(self._advertising(topic))
            for topic, message in self._latched.items():
                self._link.publish(topic, self._publishing(topic, message))
            for name in self._answers:
                self._say(self._serving(name))
            for topic in self._subscriptions:
                self._say(self._subscribing(topic))
        self._tell(True)

    def _lost(self) -> None:
        with self._lock:
            asked = list(self._asked.values())
        for future in asked:
            future.cancel()
        self._tell(False)

    def _tell(self, up: bool) -> None:
        for told in list(self._told):
            self._guarded(told, up)

    def _arrived(self, data: str | bytes) -> None:
        self._guarded(self._take, data, self._clock())

    def _guarded(self, do: Callable[..., None], *given: Any) -> None:
        """Nothing that comes in, and nothing that a callback does, ends the thread."""
        try:
            do(*given)
        except WireError as error:
            self.faults[error.reason] += 1
        except HeadwayError:
            self.faults["bad message"] += 1
        except Exception:  # noqa: BLE001 - a reader that ended would leave the node blind
            self.faults["callback"] += 1
            _LOG.exception("a callback failed")

    def _take(self, data: str | bytes, now: float) -> None:
        frame = self._reader.read(data, now)
        if frame is None:
            return
        match frame["op"]:
            case "publish":
                self._deliver(frame, now, self._reader.size)
            case "service_response":
                self._answered(frame)
            case "call_service":
                if not self._room.acquire(blocking=False):
                    raise WireError("too many calls")
                self._answering.submit(self._answer, frame).add_done_callback(lambda _: self._room.release())
            case "status":
                self.faults["status"] += 1
            case _:
                raise WireError("unknown op")

    def _deliver(self, frame: Frame, now: float, size: int) -> None:
        topic = frame.get("topic")
        subscription = self._subscriptions.get(slashed(topic)) if isinstance(topic, str) else None
        if subscription is None:
            raise WireError("unknown topic")
        message = from_wire(frame.get("msg"), subscription.kind)
        subscription.take(Arrival(slashed(str(topic)), message, now, size))

    def _answered(self, frame: Frame) -> None:
        number, values, well = frame.get("id"), frame.get("values"), frame.get("result") is True
        if number == _VERSION and self._given is None:
            self._version = 2 if well and isinstance(values, dict) and values.get("version") == 2 else 1
            return
        future = self._asked.pop(number, None) if isinstance(number, str) else None
        if future is None or not future.set_running_or_notify_cancel():
            raise WireError("not asked")
        if well and isinstance(values, dict):
            future.set_result(values)
        else:
            future.set_exception(ServiceFailed(f"{frame.get('service')!s:.200}: {values!s:.500}"))

    def _answer(self, frame: Frame) -> None:
        """In a thread of its own: an answer may itself wait for a service."""
        name, well = str(frame.get("service")), False
        values: Any
        try:
            kind, answer = self._answers.get(slashed(name), ("", _nobody))
            asked = from_wire(frame.get("args") or {}, f"{kind}Request")
            values, well = to_wire(answer(asked), self._dialect), True
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            values = str(error) or type(error).__name__
        given = {"id": frame["id"]} if "id" in frame else {}
        self._say({"op": "service_response", "service": name, "values": values, "result": well} | given)


def _nobody(asked: Message) -> Message:
    raise ServiceFailed("this service does not exist")
