"""A rosbridge server: puts any Transport, a simulated arm or a real ROS 1 graph, behind rosbridge's websocket.

It does what a genuine server does, silence included: no frame ever tells a client that a type was wrong, a field
unknown or JSON malformed. `notes` has it. Differences on purpose: it listens on loopback unless told otherwise, asks
for a token elsewhere, refuses pages of other origins, and never lets a slow client make its memory grow.
"""

import asyncio
import logging
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection
from typing import Any

from headway.errors import OutputError, Unsupported
from headway_envs.ros.memory import Dialect
from headway_envs.ros.rosbridge.doors import Door, is_loopback
from headway_envs.ros.rosbridge.routes import Routes
from headway_envs.ros.rosbridge.server_clients import Client
from headway_envs.ros.transport import Transport

try:
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.http11 import Request, Response
except ImportError as error:  # pragma: no cover - an environment without the extra
    raise Unsupported("the ROS bridge needs websockets; install headway[ros]") from error

_LOG = logging.getLogger("headway.ros")
_QUIET = logging.getLogger("headway.ros.websockets")
_QUIET.setLevel(logging.CRITICAL + 1)
_SEND_BUFFER = 256 << 10
"""Bytes that the kernel holds for a client that does not read: what is in there cannot be made newer."""


class RosbridgeServer:
    """Serves a graph to rosbridge clients, in a thread of its own.

    Args:
        backend: a participant of the graph; the server starts and closes it. If it can also tell about topics, services
            and nodes (see `rosapi.Graph`), clients can ask for them.
        dialect: `ros1` writes secs, nsecs and seq and takes types in two parts; `ros2` writes sec and nanosec, takes
            types in two or three parts, drops messages with a seq, and answers `rosapi` in three parts.
        host: where to listen. Anything but loopback needs a token, or `allow_unauthenticated`.
        port: 0 takes any that is free.
        token: what clients have to bring, as `?token=` or `Authorization: Bearer`.
        allow_origins: origins whose pages may connect, such as `http://localhost:8080`.
        allow_hosts: names besides `localhost` and the machine's own by which clients may reach it.
        max_size: bytes of an incoming frame; a larger one ends the connection.
        service_timeout: seconds that a service may take to answer.
        strings_in_cbor: see `outgoing.Outgoing`; by default as a genuine server of the dialect.

    Attributes:
        notes: the last 200 lines about what was refused or left out.
        faults: how many frames and messages were refused, by reason.
        dropped: messages that a slow client did not get, by topic.

    Raises:
        InvalidValue: a host that others can reach without a token.
    """

    def __init__(
        self,
        backend: Transport,
        dialect: Dialect = "ros1",
        host: str = "127.0.0.1",
        port: int = 9090,
        token: str | None = None,
        *,
        allow_unauthenticated: bool = False,
        allow_origins: Collection[str] = (),
        allow_hosts: Collection[str] = (),
        max_size: int = 10 << 20,
        service_timeout: float = 10.0,
        strings_in_cbor: bool | None = None,
    ):
        self._door = Door(host, token, allow_unauthenticated, allow_origins, allow_hosts)
        self._host, self._port = host, port
        self.max_size = max_size
        self.backend = backend
        self.dialect: Dialect = dialect
        self.notes: deque[str] = deque(maxlen=200)
        self.faults: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        strings = dialect == "ros2" if strings_in_cbor is None else strings_in_cbor
        self.routes = Routes(backend, dialect, service_timeout, strings, self.fault)
        self._clients: set[Client] = set()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._port}"

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def start(self) -> None:
        """Listen; clients can connect as soon as this returns. Raises OutputError when the port is taken."""
        own = _listen(self._host, self._port)
        self._port = own.getsockname()[1]
        if self._door.open_to_all:
            _LOG.warning("anybody who reaches %s can use this bridge: it asks for no token", self.url)
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(own, ready.set)), name="rosbridge-server", daemon=True
        )
        self._thread.start()
        ready.wait()
        self.backend.start()

    def close(self) -> None:
        """End every connection; once more does nothing."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._ended is None:
            return
        self.routes.end()
        self._loop.call_soon_threadsafe(self._ended.set)
        thread.join(timeout=5.0)
        self.backend.close()

    def fault(self, reason: str, line: str) -> None:
        """Count something refused, and note it."""
        self.faults[reason] += 1
        if not self.notes or self.notes[-1] != line:
            self.notes.append(line)

    async def _serve(self, own: socket.socket, ready: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self.routes.bind(self._loop)
        settings: dict[str, Any] = {"ping_interval": 5.0, "ping_timeout": 10.0, "close_timeout": 0.5}
        async with serve(
            self._attend,
            sock=own,
            process_request=self._admit,
            max_size=self.max_size,
            compression=None,
            logger=_QUIET,
            server_header=None,
            **settings,
        ):
            ready()
            await self._ended.wait()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        refused = self._door.refusal(request.path, request.headers)
        if refused is None:
            return None
        self.fault("refused", f"refused a client: {refused[1]}")
        return connection.respond(refused[0], refused[1] + "\n")

    async def _attend(self, connection: ServerConnection) -> None:
        client = Client(connection, self)
        self._clients.add(client)
        try:
            await client.run()
        finally:
            self._clients.discard(client)
            self.routes.leave(client)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    own = socket.socket(family, socket.SOCK_STREAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    try:
        own.bind((host, port))
        own.listen()
    except (OSError, OverflowError) as error:
        own.close()
        where = "" if is_loopback(host) else f" of {host}"
        raise OutputError(f"port {port}{where} cannot be used ({error}); choose another") from error
    return own
