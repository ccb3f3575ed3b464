"""A websocket man in the middle that does to frames what networks, drivers and broken bridges do.

Tests load it with `runpy.run_path(Path(__file__).with_name("proxy.py"))["FaultProxy"]`.
"""

import asyncio
import contextlib
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import cbor2
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, WebSocketException

KINDS = ("drop", "delay", "duplicate", "reorder", "corrupt", "freeze", "oversize", "close", "garbage")
DOWN, UP = "down", "up"
"""From the server to the client, and from the client to the server."""


@dataclass
class Rule:
    """What happens to a frame.

    Args:
        kind: one of KINDS. `freeze` sends the content of the first frame it met on that topic again and again, under
            the header of the frame that it takes away. `reorder` keeps a frame back until the next one has passed.
            `garbage` lets the frame pass and something that is no frame after it.
        topic: of the frames it meets; None meets all, those of services too.
        direction: `down` or `up`.
        share: the probability that it acts.
        seconds: of a delay.
        size: bytes of an oversized frame.
        count: how often it may act; None without end.
    """

    kind: str
    topic: str | None = None
    direction: str = DOWN
    share: float = 1.0
    seconds: float = 0.1
    size: int = 64 << 20
    count: int | None = None
    kept: dict = field(default_factory=dict)

    def __post_init__(self):
        assert self.kind in KINDS, self.kind
        assert self.direction in (DOWN, UP), self.direction


class FaultProxy:
    """Stands before a server.

    Args:
        target_url: of the server.
        seed: of everything random.
        rules: that act from the beginning; `rules` may be replaced at any time.

    Attributes:
        url: where clients connect.
        done: how often each kind acted, and `up` and `down` for the frames that passed either way.
        refusing: let no new client in, as a server that is down.
        attempts: when clients tried to connect.
        stalled: keep everything back and answer no ping, as a server that hangs.
    """

    def __init__(self, target_url, seed=0, rules=()):
        self.target_url, self.rules = target_url, list(rules)
        self.done = Counter()
        self.refusing = self.stalled = False
        self.attempts = []
        self.url = None
        self._random = random.Random(seed)
        self._clients = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def start(self):
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def close(self):
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def cut(self):
        """End all connections at once, without a word."""
        self._loop.call_soon_threadsafe(lambda: [client.transport.abort() for client in list(self._clients)])

    async def _serve(self):
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        settings = {"compression": None, "max_size": None, "ping_interval": None, "close_timeout": 0.1}
        async with serve(self._attend, "127.0.0.1", 0, process_request=self._admit, **settings) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._ready.set()
            await self._ended.wait()
            for client in self._clients:
                client.transport.abort()

    def _admit(self, connection, request):
        self.attempts.append(time.monotonic())
        return connection.respond(503, "down\n") if self.refusing else None

    async def _attend(self, client):
        self._clients.add(client)
        settings = {"compression": None, "max_size": None, "ping_interval": None, "close_timeout": 0.1, "proxy": None}
        try:
            async with connect(self.target_url, **settings) as server:
                both = [
                    asyncio.create_task(self._carry(server, client, DOWN)),
                    asyncio.create_task(self._carry(client, server, UP)),
                ]
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                for each in both:
                    each.cancel()
        except (OSError, WebSocketException):
            pass
        finally:
            self._clients.discard(client)

    async def _carry(self, source, sink, direction):
        kept_back = []
        watch = asyncio.create_task(self._hang(source, sink))
        try:
            async for data in source:
                while self.stalled:
                    await asyncio.sleep(0.01)
                for out, wait in self._changed(data, direction, kept_back, sink):
                    if wait:
                        self._loop.call_later(wait, lambda out=out: asyncio.ensure_future(_send(sink, out)))
                    else:
                        await sink.send(out)
                        self.done[direction] += 1
        except ConnectionClosed:
            pass
        finally:
            watch.cancel()

    async def _hang(self, *connections):
        """A process that is stopped reads nothing: not even pings."""
        paused = False
        while True:
            await asyncio.sleep(0.01)
            if self.stalled != paused:
                paused = self.stalled
                for each in connections:
                    (each.transport.pause_reading if paused else each.transport.resume_reading)()

    def _changed(self, data, direction, kept_back, sink):
        """The frames that go on in place of one, each with the seconds it waits."""
        out, wait, late = [data], 0.0, kept_back[:]
        kept_back.clear()
        for rule in list(self.rules):
            if rule.direction != direction or not out or not self._meets(rule, out[0]):
                continue
            self.done[rule.kind] += 1
            match rule.kind:
                case "drop":
                    out = []
                case "delay":
                    wait += rule.seconds
                case "duplicate":
                    out = out * 2
                case "reorder":
                    kept_back += out
                    out = []
                case "corrupt":
                    out = [self._corrupted(each) for each in out]
                case "freeze":
                    out = [_frozen(each, rule.kept) for each in out]
                case "oversize":
                    out = ["x" * rule.size]
                case "garbage":
                    out = [*out, self._random.choice(["{", "[1]", '{"op":"x"}', b"\x00\xff", '{"op":"publish"}', ""])]
                case "close":
                    out = []
                    sink.transport.abort()
        return [(each, wait) for each in out] + [(each, 0.0) for each in late]

    def _meets(self, rule, data):
        if rule.topic is not None and _read(data).get("topic") != rule.topic:
            return False
        if rule.count == 0 or self._random.random() >= rule.share:
            return False
        if rule.count is not None:
            rule.count -= 1
        return True

    def _corrupted(self, data):
        raw = bytearray(data.encode() if isinstance(data, str) else data)
        for _ in range(self._random.randint(1, 4)):
            raw[self._random.randrange(len(raw))] = self._random.randrange(256)
        return raw.decode("utf-8", "replace") if isinstance(data, str) else bytes(raw)


def _read(data):
    try:
        frame = json.loads(data) if isinstance(data, str) else cbor2.loads(data)
    except (ValueError, cbor2.CBORDecodeError):
        return {}
    return frame if isinstance(frame, dict) else {}


def _frozen(data, kept):
    frame = _read(data)
    topic, message = frame.get("topic"), frame.get("msg")
    if not isinstance(message, dict):
        return data
    frozen = dict(kept.setdefault(topic, message))
    if "header" in message:
        frozen["header"] = message["header"]
    frame["msg"] = frozen
    return json.dumps(frame) if isinstance(data, str) else cbor2.dumps(frame)


async def _send(sink, data):
    with contextlib.suppress(ConnectionClosed):
        await sink.send(data)
