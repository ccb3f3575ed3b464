"""A socket, and the application served on it until Ctrl-C."""

import contextlib
import socket

import uvicorn
from starlette.types import ASGIApp

from headway.errors import InvalidValue, OutputError
from headway.serve.worker import Worker

STOPPING_SECONDS = 5


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address; port 0 takes any that is free. Raises OutputError when it cannot be had."""
    if not 0 <= port < 2**16:
        raise InvalidValue(f"--port must be from 0 to 65535, got {port}")
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise InvalidValue(f"--host {host!r} is no address of this machine ({error.strerror})") from error
    own = socket.socket(family, kind)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        own.bind(address)
        # whoever asks while the estimator is being loaded waits, and is not refused
        own.listen()
    except OSError as error:
        own.close()
        words = f"{host} port {port} cannot be used ({error.strerror}); choose another with --port"
        raise OutputError(words) from error
    return own


class Server(uvicorn.Server):
    """Uvicorn's, which gives up what is under way when it is told to stop."""

    def __init__(self, app: ASGIApp, worker: Worker):
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=STOPPING_SECONDS,
            )
        )
        self._worker = worker

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._worker.stop()
        await super().shutdown(sockets)


def serve(app: ASGIApp, worker: Worker, own: socket.socket) -> None:
    """Serve on a socket of `listen` until Ctrl-C or SIGTERM."""
    # uvicorn stops in order and then has Ctrl-C happen once more
    with contextlib.suppress(KeyboardInterrupt):
        Server(app, worker).run(sockets=[own])
