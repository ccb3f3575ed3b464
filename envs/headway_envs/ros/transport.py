"""What a participant of a ROS graph can do, whatever carries its messages.

A message is a nested dict with the field names of its `.msg` file, in the form of ROS 2 whatever the wire says: a time
is `{"sec": int, "nanosec": int}`, `uint8[]` is bytes, other arrays are lists, floats may be NaN. A type is named in two
parts, `sensor_msgs/Image`, which is valid in ROS 1 and ROS 2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from headway.errors import HeadwayError

Message = dict[str, Any]


class TransportError(HeadwayError):
    """Something that a person has to mend: an address that is none, a topic published before it was advertised."""


class ServiceFailed(HeadwayError):
    """A service that is not there, did not answer in time, or said that it failed."""


@dataclass(frozen=True)
class Arrival:
    """One message as it came in.

    Attributes:
        topic: its name, with a leading slash.
        message: what it says.
        time: when its last byte was here, in seconds of a clock that never jumps.
        size: in bytes on the wire.
    """

    topic: str
    message: Message
    time: float
    size: int


class Transport(Protocol):
    """One participant. What is subscribed to, advertised and served is declared once, and made again by the transport
    whenever the connection is back. Callbacks come from the transport's own thread and return at once.
    """

    def start(self) -> None:
        """Begin to connect, and return at once."""
        ...

    def close(self) -> None:
        """End all of it; once more does nothing."""
        ...

    @property
    def connected(self) -> bool: ...

    def on_link(self, told: Callable[[bool], None]) -> None:
        """Be told True whenever the connection is there, and False when it is lost."""
        ...

    def subscribe(
        self,
        topic: str,
        kind: str,
        take: Callable[[Arrival], None],
        *,
        throttle_ms: int = 0,
        compression: str = "none",
    ) -> None:
        """Be given what is published, at most once in `throttle_ms`. `compression` is `none` or `cbor`."""
        ...

    def resubscribe(self, topic: str) -> None:
        """Unsubscribe and subscribe again: on ROS 2 what publisher and subscriber promise is matched anew."""
        ...

    def advertise(self, topic: str, kind: str, latch: bool = False) -> None:
        """Announce what will be published. A latched topic tells its last message to whoever comes late."""
        ...

    def publish(self, topic: str, message: Message) -> None:
        """Send a message, or drop it while there is no connection; the last of a latched topic is sent later.

        Never waits. Raises TransportError for a topic that was not advertised.
        """
        ...

    def discard(self, topic: str) -> None:
        """Take back what was published there and is not on its way yet: an old command must not overtake a stop."""
        ...

    def advertise_service(self, name: str, kind: str, answer: Callable[[Message], Message]) -> None:
        """Answer a service. What `answer` raises tells the caller that it failed."""
        ...

    def call_service(self, name: str, kind: str, arguments: Message, timeout: float) -> Message:
        """Ask a service and wait at most `timeout` seconds. Raises ServiceFailed."""
        ...

    def topic_type(self, topic: str, timeout: float = 1.0) -> str | None:
        """The type that the graph gives a topic, in two parts; None when nobody publishes it or nobody answers."""
        ...
