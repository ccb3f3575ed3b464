"""What the clients of a bridge share: its subscriptions, publishers and services in the graph behind it."""

import asyncio
import itertools
import re
import threading
from collections.abc import Callable, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headway.errors import HeadwayError
from headway_envs.ros.memory import Dialect
from headway_envs.ros.messages import from_wire, to_wire, two_part
from headway_envs.ros.rosbridge.errors import WireError
from headway_envs.ros.rosbridge.fields import arguments, filled
from headway_envs.ros.rosbridge.outgoing import Outgoing, Queue, nulled
from headway_envs.ros.rosbridge.rosapi import GONE, Graph, Rosapi
from headway_envs.ros.transport import Arrival, Message, ServiceFailed, Transport

if TYPE_CHECKING:
    from headway_envs.ros.rosbridge.server_clients import Client

_KIND = {"ros1": re.compile(r"\w+/\w+"), "ros2": re.compile(r"\w+/(\w+/)?\w+")}
_INTAKE = 100
"""Messages of a topic that may wait for the server's loop."""
_MAX_NAMES = 5000
"""Topics and services that clients may have made known, each; the graph keeps them when their clients have gone."""
_ASKING = 16
"""Services that clients may be waiting for at a time; more wait for their turn."""


@dataclass
class _Stream:
    """One subscription in the graph, and the clients that it feeds."""

    topic: str
    kind: str
    clients: "set[Client]" = field(default_factory=set)
    waiting: Queue[Arrival] = field(default_factory=lambda: Queue(_INTAKE))
    last: Outgoing | None = None
    seq: int = 0


class Routes:
    """Made for one server; everything but what the graph calls runs in the server's loop."""

    def __init__(
        self,
        backend: Transport,
        dialect: Dialect,
        service_timeout: float,
        strings_in_cbor: bool,
        fault: Callable[[str, str], None],
    ):
        self._backend = backend
        self._dialect: Dialect = dialect
        self._timeout = service_timeout
        self._strings_in_cbor = strings_in_cbor
        self._fault = fault
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._published: dict[str, tuple[str, bool]] = {}
        self._servers: dict[str, tuple[str, Client | None]] = {}
        self._asked: dict[str, tuple[Client, Future[Message]]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_ASKING, thread_name_prefix="rosbridge-service")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._rosapi = Rosapi(backend, dialect, self._known_topics, self._known_services)

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()

    def end(self) -> None:
        """Let nobody wait any longer."""
        for _, future in list(self._asked.values()):
            future.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    # topics

    async def subscribe(self, client: "Client", topic: str, kind: str | None) -> None:
        """Feed a client. Raises WireError where a genuine server would only write to its log."""
        there = await self._in_graph(topic)
        kind = self.kind(kind) if kind else there
        if kind is None:
            raise WireError("no type", f"cannot infer the type of {topic}: nobody publishes it yet")
        if there is not None and there != kind:
            raise WireError("wrong type", f"tried to register {topic} as {kind}, but it is a {there}")
        stream = self._streams.get((topic, kind))
        known = stream is not None
        if stream is None:
            _check_room(self._streams)
            stream = self._streams[topic, kind] = _Stream(topic, kind)
        alone = not stream.clients
        stream.clients.add(client)
        if not known:
            self._backend.subscribe(topic, kind, lambda arrival: self._arrived(stream, arrival))
        elif alone:
            self._backend.resubscribe(topic)
        elif stream.last is not None and self._is_latched(topic):
            client.offer(stream.last)

    def unsubscribe(self, client: "Client", topic: str) -> None:
        for stream in self._streams.values():
            if stream.topic == topic:
                stream.clients.discard(client)

    async def advertise(self, topic: str, kind: str, latch: bool) -> None:
        kind = self.kind(kind)
        there = self._published[topic][0] if topic in self._published else await self._in_graph(topic)
        if there is not None and there != kind:
            raise WireError("wrong type", f"tried to register {topic} as {kind}, but it is a {there}")
        if topic not in self._published:
            _check_room(self._published)
            self._published[topic] = kind, latch
            self._backend.advertise(topic, kind, latch)

    async def publish(self, topic: str, message: Any) -> None:
        if topic not in self._published:
            there = await self._in_graph(topic)
            if there is None:
                raise WireError("no type", f"cannot infer the type of {topic}: it was not advertised")
            await self.advertise(topic, there, False)
        kind = self._published[topic][0]
        self._backend.publish(topic, from_wire(filled(message, kind, self._dialect), kind))

    def kind(self, given: str) -> str:
        """A type's name in two parts. Raises WireError for one that the dialect does not know."""
        if not _KIND[self._dialect].fullmatch(given):
            raise WireError("wrong type", f"{given[:100]!r} is not a valid type string")
        return two_part(given)

    # services

    async def call(self, name: str, kind: str, given: Any, timeout: float | None) -> Message:
        """Ask a service, as the wire gives and takes it. Raises ServiceFailed and WireError."""
        loop = asyncio.get_running_loop()
        if self._rosapi.has(name):
            return to_wire(await loop.run_in_executor(self._pool, self._rosapi.answer, name, given), self._dialect)
        kind = two_part(kind) if kind else self._rosapi.services().get(name, "")
        asked = from_wire(arguments(given, kind, self._dialect), f"{kind}Request")
        seconds = self._timeout if timeout is None else min(timeout, self._timeout)
        answer = await loop.run_in_executor(self._pool, self._backend.call_service, name, kind, asked, seconds)
        return to_wire(nulled(answer), self._dialect)

    def serve(self, client: "Client", name: str, kind: str) -> None:
        """A client answers a service from now on; the last one to say so does."""
        kind = self.kind(kind) if kind.count("/") < 2 else two_part(kind)
        known = name in self._servers
        if not known:
            _check_room(self._servers)
        self._servers[name] = kind, client
        if not known:
            self._backend.advertise_service(name, kind, lambda asked: self._ask(name, asked))

    def stop_serving(self, client: "Client", name: str) -> None:
        if self._servers.get(name, ("", None))[1] is client:
            self._servers[name] = GONE, None

    def answered(self, client: "Client", name: object, values: Any, result: bool) -> None:
        """A client's answer to what it was asked."""
        owner, future = self._asked.get(str(name), (None, None))
        if owner is not client or future is None:
            raise WireError("not asked", f"an answer to {str(name)[:100]!r}, which nobody asked")
        if future.done():
            return
        if not result or not isinstance(values, dict):
            future.set_exception(ServiceFailed(str(values)[:500]))
            return
        kind = self._servers.get(str(name).removeprefix("service_request:").rpartition(":")[0], ("", None))[0]
        future.set_result(from_wire(values, f"{kind}Response"))

    def leave(self, client: "Client") -> None:
        """A client has gone."""
        for stream in self._streams.values():
            stream.clients.discard(client)
        for name in list(self._servers):
            self.stop_serving(client, name)
        for owner, future in list(self._asked.values()):
            if owner is client and not future.done():
                future.set_exception(ServiceFailed("the client that answers it has gone"))

    # what the graph calls, from any thread

    def _arrived(self, stream: _Stream, arrival: Arrival) -> None:
        with self._lock:
            asleep = not len(stream.waiting)
            stream.waiting.put(arrival, arrival.size)
        if asleep and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._spread, stream)

    def _ask(self, name: str, asked: Message) -> Message:
        client = self._servers[name][1]
        if client is None or self._loop is None:
            raise ServiceFailed(f"Service {name} does not exist")
        if threading.get_ident() == self._thread:
            raise ServiceFailed(f"{name} cannot be asked from the thread that would carry the answer")
        frame_id = f"service_request:{name}:{next(self._numbers)}"
        future: Future[Message] = Future()
        self._asked[frame_id] = client, future
        values = to_wire(nulled(asked), self._dialect)
        frame = {"op": "call_service", "id": frame_id, "service": name, "args": values}
        try:
            self._loop.call_soon_threadsafe(client.reply, frame)
            return future.result(self._timeout)
        except TimeoutError:
            raise ServiceFailed(f"{name} did not answer within {self._timeout:g} s") from None
        finally:
            del self._asked[frame_id]

    # in the loop

    def _spread(self, stream: _Stream) -> None:
        while True:
            with self._lock:
                if not len(stream.waiting):
                    return
                arrival = stream.waiting.take()
            stream.seq += 1
            stream.last = Outgoing(
                stream.topic, arrival.message, arrival.size, self._dialect, stream.seq, self._strings_in_cbor
            )
            for client in list(stream.clients):
                client.offer(stream.last)

    async def _in_graph(self, topic: str) -> str | None:
        """The type of a topic, which a graph may take a while to tell."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._pool, self._backend.topic_type, topic)
        except HeadwayError as error:
            self._fault("backend", str(error))
            return None
        return two_part(found) if found else None

    def _is_latched(self, topic: str) -> bool:
        ours = topic in self._published and self._published[topic][1]
        return ours or (isinstance(self._backend, Graph) and self._backend.latched(topic))

    def _known_topics(self) -> dict[str, str]:
        return {topic: kind for topic, (kind, _) in self._published.items()}

    def _known_services(self) -> dict[str, str]:
        return {name: kind for name, (kind, _) in self._servers.items()}


def _check_room(names: Sized) -> None:
    if len(names) >= _MAX_NAMES:
        raise WireError("too many names", f"clients have made {_MAX_NAMES} names known already")
