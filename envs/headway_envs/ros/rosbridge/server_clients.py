"""One client of a bridge: what it asks for, and what waits to be sent to it."""

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from headway.errors import HeadwayError
from headway_envs.ros.memory import slashed
from headway_envs.ros.rosbridge.errors import WireError
from headway_envs.ros.rosbridge.fragments import split
from headway_envs.ros.rosbridge.outgoing import Outgoing, Queue
from headway_envs.ros.rosbridge.wire import Frame, Reader, encode_json

if TYPE_CHECKING:
    from headway_envs.ros.rosbridge.server import RosbridgeServer

DEPTH = 100
"""Messages that wait where a client did not say; small ones only, see Queue."""
MAX_CALLS = 32
"""Services that one client may be waiting for."""
MAX_REPLIES = 1000
"""Answers that may wait for a client; it is cut off beyond."""
MAX_TOPICS = 1000
"""Topics that one client may subscribe to."""
_FORMS = ("none", "cbor", "png")


@dataclass(frozen=True)
class _Wish:
    """One `subscribe` frame. Throttle in seconds; depth 0 queues nothing, so that what comes too early is dropped."""

    throttle: float
    depth: int
    compression: str
    fragment_size: float


@dataclass
class _Subscription:
    """All that a client wished for a topic: as a genuine server, the most demanding of each."""

    wishes: dict[object, _Wish] = field(default_factory=dict)
    waiting: Queue[Outgoing] = field(default_factory=lambda: Queue(DEPTH))
    due: float = -math.inf

    def settle(self) -> None:
        wishes = self.wishes.values()
        self.throttle = min(wish.throttle for wish in wishes)
        self.depth = min(wish.depth for wish in wishes)
        self.fragment_size = min(wish.fragment_size for wish in wishes)
        self.compression = max((wish.compression for wish in wishes), key=_FORMS.index)
        self.waiting = Queue(min(self.depth, 100) or DEPTH)


class Client:
    """Runs in the server's loop."""

    def __init__(self, connection: ServerConnection, server: "RosbridgeServer"):
        self._connection, self._server = connection, server
        self._routes = server.routes
        self._reader = Reader(server.max_size)
        self._subscriptions: dict[str, _Subscription] = {}
        self._replies: deque[Frame] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._fragments = 0
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Until the connection ends."""
        writer = asyncio.create_task(self._write())
        try:
            async for data in self._connection:
                await self._take(data)
        except ConnectionClosed:
            pass
        finally:
            writer.cancel()
            for call in self._calls:
                call.cancel()

    def reply(self, frame: Frame) -> None:
        """Send a frame that must not be lost."""
        if len(self._replies) >= MAX_REPLIES:
            self._server.fault("too slow", "a client that reads none of its answers is cut off")
            self._connection.transport.abort()
            return
        self._replies.append(frame)
        self._wake.set()

    def offer(self, message: Outgoing) -> None:
        """Send a message if the client wants it now; older ones make room."""
        subscription = self._subscriptions.get(message.topic)
        if subscription is None or (subscription.depth == 0 and self._loop.time() < subscription.due):
            return
        if subscription.depth == 0:
            subscription.due = self._loop.time() + subscription.throttle
        dropped = subscription.waiting.put(message, message.size)
        if dropped and not subscription.throttle:
            self._server.dropped[message.topic] += dropped
        self._wake.set()

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while frames := self._next():
                    for frame in frames:
                        await self._connection.send(frame)
        except ConnectionClosed:
            pass

    def _next(self) -> list[str | bytes]:
        """What to send now: answers first, then one message of the topic that waited longest."""
        if self._replies:
            return [encode_json(self._replies.popleft(), self._server.dialect == "ros1")]
        now = self._loop.time()
        for topic, subscription in self._subscriptions.items():
            if not len(subscription.waiting):
                continue
            if subscription.depth and now < subscription.due:
                self._loop.call_at(subscription.due, self._wake.set)
                continue
            message = subscription.waiting.take()
            if subscription.depth:
                subscription.due = now + subscription.throttle
            # the next one's turn
            self._subscriptions[topic] = self._subscriptions.pop(topic)
            try:
                return self._frames(message, subscription)
            except HeadwayError as error:
                self._server.fault("not a message", str(error))
                return self._next()
        return []

    def _frames(self, message: Outgoing, subscription: _Subscription) -> list[str | bytes]:
        if subscription.compression == "cbor":
            return [message.cbor]
        text = message.png if subscription.compression == "png" else message.json
        if len(text) <= subscription.fragment_size:
            return [text]
        self._fragments += 1
        pieces = split(text, int(subscription.fragment_size), self._fragments)
        return [encode_json(piece) for piece in pieces]

    async def _take(self, data: str | bytes) -> None:
        try:
            frame = self._reader.read(data, self._loop.time())
            if frame is not None:
                await self._do(frame)
        except WireError as error:
            self._server.fault(error.reason, str(error))
        except HeadwayError as error:
            self._server.fault("backend", str(error))

    async def _do(self, frame: Frame) -> None:
        match frame["op"]:
            case "subscribe":
                await self._subscribe(frame)
            case "unsubscribe":
                self._unsubscribe(_name(frame, "topic"), frame.get("id"))
            case "advertise":
                await self._routes.advertise(_name(frame, "topic"), _text(frame, "type"), frame.get("latch") is True)
            case "unadvertise":
                _name(frame, "topic")
            case "publish":
                await self._routes.publish(_name(frame, "topic"), frame.get("msg", {}))
            case "call_service":
                self._call(frame)
            case "advertise_service":
                self._routes.serve(self, _name(frame, "service"), _text(frame, "type"))
            case "unadvertise_service":
                self._routes.stop_serving(self, _name(frame, "service"))
            case "service_response":
                self._routes.answered(self, frame.get("id"), frame.get("values"), frame.get("result") is True)
            case other:
                raise WireError("unknown op", f"Unknown operation: {other[:100]}")

    async def _subscribe(self, frame: Frame) -> None:
        topic = _name(frame, "topic")
        wish = _Wish(
            throttle=_number(frame, "throttle_rate", 0) / 1000,
            depth=int(_number(frame, "queue_length", 0)),
            compression=frame.get("compression", "none"),
            fragment_size=_number(frame, "fragment_size", math.inf),
        )
        if wish.compression not in _FORMS:
            raise WireError("wrong field", f"compression {wish.compression!r:.100} is not among {', '.join(_FORMS)}")
        if wish.fragment_size < 1 or len(self._subscriptions) >= MAX_TOPICS:
            raise WireError("wrong field", "fragments of no size, or too many topics")
        identity = frame.get("id") if isinstance(frame.get("id"), (str, int)) else None
        had = topic in self._subscriptions
        subscription = self._subscriptions.setdefault(topic, _Subscription())
        if len(subscription.wishes) >= MAX_CALLS:
            raise WireError("wrong field", f"too many subscriptions to {topic}")
        before = dict(subscription.wishes)
        subscription.wishes[identity] = wish
        subscription.settle()
        try:
            await self._routes.subscribe(self, topic, frame.get("type") and _text(frame, "type"))
        except HeadwayError:
            subscription.wishes = before
            if had:
                subscription.settle()
            else:
                del self._subscriptions[topic]
            raise

    def _unsubscribe(self, topic: str, identity: object) -> None:
        subscription = self._subscriptions.get(topic)
        if subscription is None:
            return
        if identity is None:
            subscription.wishes.clear()
        elif isinstance(identity, (str, int)):
            subscription.wishes.pop(identity, None)
        if subscription.wishes:
            subscription.settle()
        else:
            del self._subscriptions[topic]
            self._routes.unsubscribe(self, topic)

    def _call(self, frame: Frame) -> None:
        asked, name = _text(frame, "service"), _name(frame, "service")
        if len(self._calls) >= MAX_CALLS:
            self._answer(frame, asked, f"Service {asked}: too many calls at a time", False)
            return

        async def call() -> None:
            kind, timeout = frame.get("type"), frame.get("timeout")
            seconds = float(timeout) if isinstance(timeout, (int, float)) and 0 < timeout < math.inf else None
            try:
                kind = kind if isinstance(kind, str) else ""
                values = await self._routes.call(name, kind, frame.get("args"), seconds)
            except HeadwayError as error:
                detail = str(error).removeprefix("wrong field: ") if isinstance(error, WireError) else str(error)
                self._answer(frame, asked, detail, False)
            else:
                self._answer(frame, asked, values, True)

        task = asyncio.create_task(call())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def _answer(self, frame: Frame, service: str, values: Any, result: bool) -> None:
        answer: Frame = {"op": "service_response", "service": service, "values": values, "result": result}
        self.reply(answer | ({"id": frame["id"]} if "id" in frame else {}))


def _text(frame: Frame, key: str) -> str:
    value = frame.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 1000:
        raise WireError("wrong field", f"{frame['op'][:100]} without a proper {key}")
    return value


def _name(frame: Frame, key: str) -> str:
    return slashed(_text(frame, key))


def _number(frame: Frame, key: str, default: float) -> float:
    value = frame.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise WireError("wrong field", f"{key} {value!r:.100} is no number")
    return value
