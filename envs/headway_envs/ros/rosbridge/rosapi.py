"""The services of a `rosapi` node that clients ask a bridge for."""

import time
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from headway_envs.ros.memory import Dialect, slashed
from headway_envs.ros.messages import two_part
from headway_envs.ros.transport import Message, Transport


@runtime_checkable
class Graph(Protocol):
    """What a Transport may tell beside, if it knows. Without it a bridge knows only about its own clients."""

    def topics(self) -> dict[str, str]:
        """The type of every topic, in two parts."""
        ...

    def services(self) -> dict[str, str]:
        """The type of every service, in two parts; an empty text where it is not known."""
        ...

    def nodes(self) -> list[str]: ...

    def latched(self, topic: str) -> bool:
        """Whether somebody latches a topic."""
        ...


class Rosapi:
    """Answers for a graph.

    Args:
        backend: the graph, asked for what it can tell.
        dialect: `ros2` gives types in three parts, and has `get_ros_version`, which ROS 1 lacks.
        known_topics, known_services: what the bridge's own clients advertise.
    """

    def __init__(
        self,
        backend: Transport,
        dialect: Dialect,
        known_topics: Callable[[], dict[str, str]],
        known_services: Callable[[], dict[str, str]],
    ):
        self._backend, self._dialect = backend, dialect
        self._known_topics, self._known_services = known_topics, known_services
        self._answers: dict[str, Callable[[dict[str, Any]], Message]] = {
            "/rosapi/topics": self._topics,
            "/rosapi/topic_type": self._topic_type,
            "/rosapi/topics_for_type": self._topics_for_type,
            "/rosapi/services": lambda asked: {"services": sorted(self.services())},
            "/rosapi/service_type": self._service_type,
            "/rosapi/services_for_type": self._services_for_type,
            "/rosapi/nodes": lambda asked: {"nodes": backend.nodes() if isinstance(backend, Graph) else []},
            "/rosapi/get_time": self._time,
        }
        if dialect == "ros2":
            self._answers["/rosapi/get_ros_version"] = lambda asked: {"version": 2, "distro": "headway"}

    def has(self, service: str) -> bool:
        return service in self._answers

    def answer(self, service: str, asked: Any) -> Message:
        """May wait for the backend."""
        return self._answers[service](asked if isinstance(asked, dict) else {})

    def services(self) -> dict[str, str]:
        """Those of the graph, without our clients' that have gone, and our clients'."""
        there = self._backend.services() if isinstance(self._backend, Graph) else {}
        known = self._known_services()
        return {name: kind for name, kind in (there | known).items() if known.get(name, kind) != GONE}

    def topics(self) -> dict[str, str]:
        there = self._backend.topics() if isinstance(self._backend, Graph) else {}
        return self._known_topics() | there

    def _topics(self, asked: dict[str, Any]) -> Message:
        topics = self.topics()
        return {"topics": list(topics), "types": [self._named(kind, "msg") for kind in topics.values()]}

    def _topic_type(self, asked: dict[str, Any]) -> Message:
        topic = slashed(str(asked.get("topic", "")))
        return {"type": self._named(self._backend.topic_type(topic) or self._known_topics().get(topic, ""), "msg")}

    def _topics_for_type(self, asked: dict[str, Any]) -> Message:
        kind = two_part(str(asked.get("type", "")))
        return {"topics": [topic for topic, each in self.topics().items() if each == kind]}

    def _service_type(self, asked: dict[str, Any]) -> Message:
        return {"type": self._named(self.services().get(slashed(str(asked.get("service", ""))), ""), "srv")}

    def _services_for_type(self, asked: dict[str, Any]) -> Message:
        kind = two_part(str(asked.get("type", "")))
        return {"services": [name for name, each in self.services().items() if each == kind]}

    def _time(self, asked: dict[str, Any]) -> Message:
        seconds, rest = divmod(time.time_ns(), 10**9)
        return {"time": {"sec": seconds, "nanosec": rest}}

    def _named(self, kind: str, part: str) -> str:
        """A two-part name as the dialect's rosapi gives it."""
        return kind.replace("/", f"/{part}/", 1) if self._dialect == "ros2" and kind.count("/") == 1 else kind


GONE = "gone"
"""In place of a type: a service whose client has left."""
