"""A page that this machine serves to itself: its socket, its headers, and who may talk to it."""

import socket
from collections.abc import Awaitable, Callable, Iterable
from importlib.resources import files
from typing import Any

from aiohttp import web

from headway.errors import InvalidValue, OutputError

HOST = "127.0.0.1"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # something else may be served from the same address tomorrow
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def listen(port: int, option: str = "--port") -> socket.socket:
    """A socket that this machine alone reaches; port 0 takes any that is free.

    Args:
        port: from 0 to 65535.
        option: that named it, for messages.

    Raises OutputError when the port is taken.
    """
    if not 0 <= port < 2**16:
        raise InvalidValue(f"{option} must be from 0 to 65535, got {port}")
    own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        own.bind((HOST, port))
        # whoever opens the page as soon as its address is printed waits, and is not refused
        own.listen()
    except OSError as error:
        own.close()
        raise OutputError(f"port {port} cannot be used ({error.strerror}); choose another with {option}") from error
    return own


def origins_of(port: int) -> set[str]:
    """Of the pages that are served from a port."""
    return {f"http://{name}:{port}" for name in (HOST, "localhost")}


def own_pages_only(port: int) -> Any:
    """Middleware that refuses what another page in the same browser sends, or has the browser send under another name.

    A name that was made to lead here (DNS rebinding) shows in Host, a page of elsewhere in Origin or Sec-Fetch-Site.
    """
    origins = origins_of(port)
    hosts = {origin.removeprefix("http://") for origin in origins}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        elsewhere = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
        arriving = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.method == "GET"
        known = request.headers.get("Host") in hosts and (origin is None or origin in origins)
        if not known or (elsewhere and not arriving):
            return web.Response(status=403, text=f"open http://{HOST}:{port}/ itself\n", headers=HEADERS)
        response = await handler(request)
        response.headers.update(HEADERS)
        return response

    return check


def asset(package: str, name: str) -> str:
    """A file of a page, in the folder of a package."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def script(package: str, names: Iterable[str]) -> str:
    """Script files of a page as one, after the helpers of the report's page; nothing of it is seen outside."""
    parts = [asset("headway.report", "dom.js"), *(asset(package, name) for name in names)]
    return "(() => {\n'use strict';\n" + "\n".join(parts) + "})();\n"


def fixed(kind: str, text: str) -> Handler:
    """Answers with a text of a kind."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=kind)

    return answer
