"""A websocket that is always being had: connected in a thread of its own, and connected anew whenever it is lost."""

import asyncio
import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from headway.errors import Unsupported
from headway_envs.ros.transport import TransportError

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import (
        ConnectionClosed,
        InvalidHandshake,
        InvalidStatus,
        InvalidURI,
        WebSocketException,
    )
    from websockets.frames import CloseCode
    from websockets.uri import parse_uri
except ImportError as error:  # pragma: no cover - an environment without the extra
    raise Unsupported("the ROS bridge needs websockets; install headway[ros]") from error

_LOG = logging.getLogger("headway.ros")
_QUIET = logging.getLogger("headway.ros.websockets")
_QUIET.setLevel(logging.CRITICAL + 1)
_FLUSH = 0.3
"""Seconds for which `close` waits until what was said is sent."""
_STEADY = 5.0
"""Seconds after which a connection that is lost counts as a good one: the next is tried at once again."""
_MAX_SAYINGS = 10_000


class Outbox:
    """Texts to send, from any thread: what is declared and answered in order, then the newest of each topic."""

    def __init__(self) -> None:
        self._said: deque[str] = deque(maxlen=_MAX_SAYINGS)
        self._published: dict[str, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._said) + len(self._published)

    def say(self, text: str) -> None:
        with self._lock:
            self._said.append(text)

    def publish(self, topic: str, text: str) -> None:
        """In the place of what waited on that topic, so that a busy topic keeps no other back."""
        with self._lock:
            self._published[topic] = text

    def discard(self, topic: str) -> None:
        with self._lock:
            self._published.pop(topic, None)

    def next(self) -> str | None:
        with self._lock:
            if self._said:
                return self._said.popleft()
            return self._published.pop(next(iter(self._published))) if self._published else None

    def clear(self) -> None:
        with self._lock:
            self._said.clear()
            self._published.clear()


class Link:
    """Keeps one connection to a server.

    Args:
        url, token, backoff, max_size: see RosbridgeTransport.
        opened, lost: called in the link's thread with every connection and with its end.
        take: called in the link's thread with every frame; it must neither wait nor raise.

    Attributes:
        connected: whether `say` and `publish` reach a server; they drop what they are given while there is none.
        trouble: why there is no connection, in one line; None while there is one.
        shown: the URL without what is secret.

    Raises:
        TransportError: a URL that is none.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        backoff: tuple[float, float],
        max_size: int,
        opened: Callable[[], None],
        lost: Callable[[], None],
        take: Callable[[str | bytes], None],
    ):
        self._url, self.shown = url, _checked(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        self._backoff, self._max_size = backoff, max_size
        self._opened, self._lost, self._take = opened, lost, take
        self.connected = False
        self.trouble: str | None = f"not connected to {self.shown} yet"
        self.faults: Counter[str] = Counter()
        self._outbox = Outbox()
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake, self._ended = asyncio.Event(), asyncio.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    @property
    def is_here(self) -> bool:
        """Whether this is the link's own thread."""
        return self._thread is threading.current_thread()

    def start(self) -> None:
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="rosbridge", daemon=True)
            self._thread.start()

    def close(self) -> None:
        with self._lock:
            self._closing = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._ended.set)
        if self._thread is not None and not self.is_here:
            self._thread.join(timeout=5.0)

    def say(self, text: str) -> None:
        """Send in order."""
        self._put(self._outbox.say, text)

    def publish(self, topic: str, text: str) -> None:
        """Send unless something newer of that topic comes before it can be sent."""
        self._put(self._outbox.publish, topic, text)

    def discard(self, topic: str) -> None:
        """Take back what waits on a topic."""
        self._outbox.discard(topic)

    def _put(self, put: Callable[..., None], *given: str) -> None:
        with self._lock:
            if self.connected and self._loop is not None:
                put(*given)
                self._loop.call_soon_threadsafe(self._wake.set)

    async def _run(self) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._closing:
                self._ended.set()
        ended = asyncio.create_task(self._ended.wait())
        shortest, longest = self._backoff
        wait = shortest
        while not ended.done():
            began = time.monotonic()
            await self._connect_once(ended)
            if time.monotonic() - began > _STEADY:
                wait = shortest
            wait = min(longest, random.uniform(shortest, 3 * wait))
            await asyncio.wait({ended}, timeout=wait)
        with self._lock:
            self._loop = None

    async def _connect_once(self, ended: "asyncio.Task[Any]") -> None:
        opening = asyncio.create_task(self._open())
        await asyncio.wait({opening, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            return
        try:
            connection = opening.result()
        except (OSError, WebSocketException, TimeoutError, EOFError) as error:
            self._in_trouble(_trouble_of(error, self.shown))
            return
        try:
            await self._attend(connection, ended)
        finally:
            await connection.close()
        self._in_trouble(f"the connection to {self.shown} was lost")

    async def _open(self) -> ClientConnection:
        return await connect(
            self._url,
            additional_headers=self._headers,
            compression=None,
            proxy=None,
            open_timeout=2.0,
            ping_interval=0.5,
            ping_timeout=1.0,
            close_timeout=0.2,
            max_size=self._max_size,
            logger=_QUIET,
        )

    async def _attend(self, connection: ClientConnection, ended: "asyncio.Task[Any]") -> None:
        with self._lock:
            self._outbox.clear()
            self.connected, self.trouble = True, None
        self._opened()
        writer, reader = asyncio.create_task(self._write(connection)), asyncio.create_task(self._read(connection))
        try:
            await asyncio.wait((ended, writer, reader), return_when=asyncio.FIRST_COMPLETED)
            until = time.monotonic() + _FLUSH
            while ended.done() and len(self._outbox) and not writer.done() and time.monotonic() < until:
                await asyncio.sleep(0.002)
        finally:
            writer.cancel()
            reader.cancel()
            with self._lock:
                self.connected = False
                self._outbox.clear()
            self._lost()

    async def _write(self, connection: ClientConnection) -> None:
        try:
            while True:
                while (text := self._outbox.next()) is not None:
                    await connection.send(text)
                await self._wake.wait()
                self._wake.clear()
        except ConnectionClosed:
            pass

    async def _read(self, connection: ClientConnection) -> None:
        try:
            async for data in connection:
                self._take(data)
        except ConnectionClosed as closed:
            if closed.sent is not None and closed.sent.code == CloseCode.MESSAGE_TOO_BIG:
                self.faults["too large"] += 1

    def _in_trouble(self, trouble: str) -> None:
        if trouble != self.trouble and not self._ended.is_set():
            _LOG.warning(trouble)
        self.trouble = trouble


def _checked(url: str) -> str:
    """What of the URL may be shown: a token in it is nobody's business."""
    try:
        parse_uri(url)
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "") + parts.path
    except (InvalidURI, ValueError, TypeError, AttributeError) as error:
        raise TransportError(f"{url!r:.200} is no address of a rosbridge; give one like ws://robot:9090") from error


def _trouble_of(error: Exception, shown: str) -> str:
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        if status in (401, 403):
            return f"{shown} refuses this client ({status}): check the token"
        return f"{shown} answers {status}: it is a web server and no rosbridge"
    if isinstance(error, (InvalidHandshake, EOFError)):
        return f"{shown} does not speak websocket: is it a rosbridge?"
    if isinstance(error, TimeoutError):
        return f"{shown} does not answer"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{shown} cannot be reached: {reason}"
