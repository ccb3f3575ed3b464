"""Who takes which topic of a ROS 1 graph, and the thread that calls them back."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from headway_envs.ros.ros1.sidecar.frames import DEPTH, Mailbox
from headway_envs.ros.transport import Arrival

_LOG = logging.getLogger("headway.ros")


@dataclass
class _Subscription:
    take: Callable[[Arrival], None]
    throttle: float
    last: float = float("-inf")


@dataclass
class _Stream:
    """One topic as one type, and whom it feeds; `latched` is the last of a latched topic, for those who come late."""

    topic: str
    kind: str
    subscriptions: list[_Subscription] = field(default_factory=list)
    latched: Arrival | None = None


class Streams:
    """Everybody is called back from one thread, and what comes in meanwhile takes the place of what waits.

    Args:
        fault: is told of a callback that failed, as a reason and a line.
    """

    def __init__(self, fault: Callable[[str, str], None]):
        self.kinds: dict[str, str] = {}
        self.waiting = Mailbox()
        self._fault = fault
        self._lock = threading.Lock()
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._told: list[Callable[[bool], None]] = []

    def start(self) -> None:
        threading.Thread(target=self._deliver, name="ros1-deliver", daemon=True).start()

    def close(self) -> None:
        """What waits is still delivered."""
        self.waiting.close()

    def on_link(self, told: Callable[[bool], None]) -> None:
        self._told.append(told)

    def add(self, topic: str, kind: str, take: Callable[[Arrival], None], throttle: float) -> bool:
        """Whether the graph has yet to be asked for this topic as this type."""
        subscription = _Subscription(take, throttle)
        with self._lock:
            stream = self._streams.setdefault((topic, kind), _Stream(topic, kind))
            stream.subscriptions.append(subscription)
            known, self.kinds[topic] = self.kinds.get(topic), kind
            if known == kind and stream.latched is not None:
                self.waiting.put((subscription, stream.latched))
        return known != kind

    def begin_anew(self, topic: str) -> str | None:
        """Forget when the last message came; the type that the topic is taken as, if it is."""
        kind = self.kinds.get(topic)
        if kind is not None:
            for subscription in self._streams[topic, kind].subscriptions:
                subscription.last = float("-inf")
        return kind

    def link(self, up: bool) -> None:
        """Tell of the connection. What was latched before it was lost is no longer known to be so."""
        with self._lock:
            for stream in self._streams.values() if not up else ():
                stream.latched = None
        self.waiting.put(up)

    def latched(self, topic: str) -> bool:
        """Whether what came in was latched."""
        with self._lock:
            return any(stream.topic == topic and stream.latched is not None for stream in self._streams.values())

    def take(self, frame: dict[str, Any], size: int) -> None:
        """A message, as a frame of the process that has rospy."""
        topic, message = frame["topic"], frame["message"]
        stream = self._streams.get((topic, frame["kind"]))
        if stream is None:
            return
        arrival = Arrival(topic, message, frame["time"], size)
        if frame["latched"]:
            with self._lock:
                stream.latched = arrival
        holds_bytes = any(isinstance(value, bytes) for value in message.values())
        self.waiting.put((stream, arrival), topic, 1 if holds_bytes else DEPTH)

    def _deliver(self) -> None:
        while (item := self.waiting.take()) is not None:
            if isinstance(item, bool):
                for told in list(self._told):
                    self._call(partial(told, item))
                continue
            target, arrival = item
            for subscription in list(target.subscriptions) if isinstance(target, _Stream) else [target]:
                if arrival.time - subscription.last >= subscription.throttle:
                    subscription.last = arrival.time
                    self._call(partial(subscription.take, arrival))

    def _call(self, back: Callable[[], Any]) -> None:
        try:
            back()
        except Exception as error:  # noqa: BLE001 (one that fails must not silence the others)
            _LOG.debug("a callback failed", exc_info=True)
            self._fault("callback", f"a callback failed: {type(error).__name__}: {error}")
