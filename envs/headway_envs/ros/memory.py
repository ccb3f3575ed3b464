"""A ROS graph within this process: for tests with a clock of their own, and behind `RosbridgeServer`.

Everything is delivered within `publish`, in the thread that publishes. As in ROS, what does not fit together is silent:
the graph takes a note of it, and the subscriber gets nothing.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from headway_envs.ros.transport import Arrival, Message, ServiceFailed, TransportError

Dialect = Literal["ros1", "ros2"]
_Take = Callable[[Arrival], None]


@dataclass
class _Publisher:
    kind: str
    latch: bool
    best_effort: bool
    last: Message | None = None


@dataclass
class _Subscription:
    """What ROS 2 settles when the subscription is made: whether it takes best effort, whether it is given the past."""

    topic: str
    kind: str
    take: _Take
    throttle: float
    best_effort: bool = False
    transient: bool = False
    last: float = field(default=float("-inf"))


class Bus:
    """The graph: topics and services of all its participants.

    Args:
        clock: gives the time of every arrival, in seconds.
        dialect: `ros2` adds quality of service as a rosbridge of ROS 2 settles it, once, when it subscribes: best
            effort or the past of a latched topic are asked for only if a publisher that is already there offers them. A
            subscription that asks for reliable delivery gets nothing from a best-effort publisher that comes later,
            nor one that asks for the past from a publisher without.

    Attributes:
        notes: the last 200 lines about what was not delivered and why; a ROS node has them in its log.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, dialect: Dialect = "ros1"):
        self.clock = clock
        self.dialect = dialect
        self.notes: deque[str] = deque(maxlen=200)
        self.members: list[Participant] = []
        self.lock = threading.RLock()

    def connect(self, name: str) -> "Participant":
        """A new participant; it takes part once it is started."""
        return Participant(self, name)

    def publishers(self, topic: str) -> list[_Publisher]:
        with self.lock:
            return [each.published[topic] for each in self.members if topic in each.published]

    def settle(self, subscription: _Subscription) -> None:
        """Match what a subscription asks for with the publishers that are there now."""
        there = self.publishers(subscription.topic)
        subscription.best_effort = any(each.best_effort for each in there)
        subscription.transient = any(each.latch for each in there)

    def fits(self, publisher: _Publisher, subscription: _Subscription) -> bool:
        """Whether anything published reaches the subscription; a note where it does not."""
        topic = subscription.topic
        if publisher.kind != subscription.kind:
            self.note(f"{topic} is a {publisher.kind}, a subscriber asked for a {subscription.kind}")
            return False
        if self.dialect == "ros1":
            return True
        if publisher.best_effort and not subscription.best_effort:
            self.note(f"{topic} is published by best effort, a subscriber asked for reliable delivery")
            return False
        if subscription.transient and not publisher.latch:
            self.note(f"{topic} is not latched, a subscriber asked for its past")
            return False
        return True

    def note(self, line: str) -> None:
        if not self.notes or self.notes[-1] != line:
            self.notes.append(line)

    def find_service(self, name: str) -> "tuple[str, Callable[[Message], Message]] | None":
        with self.lock:
            found = [each.answers[name] for each in self.members if name in each.answers]
        return found[-1] if found else None


class Participant:
    """A Transport on a Bus, and what a `rosapi` node may ask of a graph: topics, services, nodes, latched."""

    def __init__(self, bus: Bus, name: str):
        self.name = slashed(name)
        self.published: dict[str, _Publisher] = {}
        self.answers: dict[str, tuple[str, Callable[[Message], Message]]] = {}
        self._bus = bus
        self._subscriptions: list[_Subscription] = []
        self._told: list[Callable[[bool], None]] = []
        self._closed = False

    def start(self) -> None:
        if not self._closed:
            self.mend()

    def close(self) -> None:
        self._closed = True
        self.cut()

    @property
    def connected(self) -> bool:
        return self in self._bus.members

    def cut(self) -> None:
        """Lose the connection, as by a pulled cable."""
        with self._bus.lock:
            if not self.connected:
                return
            self._bus.members.remove(self)
        for told in self._told:
            told(False)

    def mend(self) -> None:
        """Have the connection back, and with it all that was declared."""
        with self._bus.lock:
            if self.connected:
                return
            self._bus.members.append(self)
        for told in self._told:
            told(True)
        for topic in list(self.published):
            self._tell_last(topic)
        for subscription in list(self._subscriptions):
            self._open(subscription)

    def on_link(self, told: Callable[[bool], None]) -> None:
        self._told.append(told)

    def subscribe(self, topic: str, kind: str, take: _Take, *, throttle_ms: int = 0, compression: str = "none") -> None:
        """As of Transport; what comes within `throttle_ms` after another message is dropped."""
        subscription = _Subscription(slashed(topic), kind, take, throttle_ms / 1000)
        with self._bus.lock:
            self._subscriptions.append(subscription)
        if self.connected:
            self._open(subscription)

    def resubscribe(self, topic: str) -> None:
        for subscription in self._on(slashed(topic)):
            subscription.last = float("-inf")
            if self.connected:
                self._open(subscription)

    def advertise(self, topic: str, kind: str, latch: bool = False, *, best_effort: bool = False) -> None:
        """As of Transport; `best_effort` is what camera drivers of ROS 2 offer."""
        with self._bus.lock:
            self.published.setdefault(slashed(topic), _Publisher(kind, latch, best_effort))

    def publish(self, topic: str, message: Message) -> None:
        topic = slashed(topic)
        if topic not in self.published:
            raise TransportError(f"{topic} was not advertised; advertise it before publishing on it")
        publisher = self.published[topic]
        publisher.last = copied(message) if publisher.latch else None
        if not self.connected:
            return
        with self._bus.lock:
            listeners = [each for member in self._bus.members for each in member._on(topic)]
        for subscription in listeners:
            if self._bus.fits(publisher, subscription):
                self._give(subscription, message)

    def discard(self, topic: str) -> None:
        """Nothing waits here: what is published has arrived."""

    def advertise_service(self, name: str, kind: str, answer: Callable[[Message], Message]) -> None:
        with self._bus.lock:
            self.answers[slashed(name)] = kind, answer

    def call_service(self, name: str, kind: str, arguments: Message, timeout: float) -> Message:
        """As of Transport. It is answered in this thread, which waits for it; what comes too late is refused."""
        name = slashed(name)
        found = self._bus.find_service(name) if self.connected else None
        if found is None:
            raise ServiceFailed(f"Service {name} does not exist" if self.connected else f"{name}: not connected")
        if kind and found[0] != kind:
            raise ServiceFailed(f"{name} is a {found[0]}, not a {kind}")
        began = self._bus.clock()
        try:
            answer = found[1](copied(arguments))
        except Exception as error:
            raise ServiceFailed(f"{name}: {error}") from error
        if self._bus.clock() - began > timeout:
            raise ServiceFailed(f"{name} did not answer within {timeout:g} s")
        return copied(answer)

    def topic_type(self, topic: str, timeout: float = 1.0) -> str | None:
        there = self._bus.publishers(slashed(topic)) if self.connected else []
        return there[0].kind if there else None

    def topics(self) -> dict[str, str]:
        """The type of every topic that anybody publishes or takes."""
        with self._bus.lock:
            members = list(self._bus.members)
            taken = {each.topic: each.kind for member in members for each in member._subscriptions}
            return taken | {topic: each.kind for member in members for topic, each in member.published.items()}

    def services(self) -> dict[str, str]:
        """The type of every service."""
        with self._bus.lock:
            return {name: kind for member in self._bus.members for name, (kind, _) in member.answers.items()}

    def nodes(self) -> list[str]:
        """The names of all participants."""
        with self._bus.lock:
            return [member.name for member in self._bus.members]

    def latched(self, topic: str) -> bool:
        """Whether somebody latches a topic."""
        return any(each.latch for each in self._bus.publishers(slashed(topic)))

    def _on(self, topic: str) -> list[_Subscription]:
        return [each for each in self._subscriptions if each.topic == topic]

    def _open(self, subscription: _Subscription) -> None:
        self._bus.settle(subscription)
        for publisher in self._bus.publishers(subscription.topic):
            self._give_last(publisher, subscription)

    def _tell_last(self, topic: str) -> None:
        """To those who have been waiting; in ROS 2 only to those who asked for the past."""
        with self._bus.lock:
            listeners = [each for member in self._bus.members if member is not self for each in member._on(topic)]
        for subscription in listeners:
            self._give_last(self.published[topic], subscription)

    def _give_last(self, publisher: _Publisher, subscription: _Subscription) -> None:
        asked = self._bus.dialect == "ros1" or subscription.transient
        if publisher.last is not None and asked and self._bus.fits(publisher, subscription):
            self._give(subscription, publisher.last)

    def _give(self, subscription: _Subscription, message: Message) -> None:
        now = self._bus.clock()
        if now - subscription.last < subscription.throttle:
            return
        subscription.last = now
        subscription.take(Arrival(subscription.topic, copied(message), now, size_of(message)))


def slashed(name: str) -> str:
    """A name of the graph, with its leading slash."""
    return name if name.startswith("/") else f"/{name}"


def copied(value: Any) -> Any:
    """A copy that shares nothing that can be changed."""
    if isinstance(value, dict):
        return {key: copied(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [copied(part) for part in value]
    return value


def size_of(value: Any) -> int:
    """About how many bytes a message takes on a wire: eight a number, one a character."""
    if isinstance(value, dict):
        return sum(len(key) + size_of(part) for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return sum(map(size_of, value))
    return len(value) if isinstance(value, (str, bytes)) else 8
