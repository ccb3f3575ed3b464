"""What a request has to pass before it is answered: who asks, from where, how much at once and how many at a time."""

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headway.serve.limits import Limits
from headway.serve.metrics import Metrics
from headway.serve.problems import CLIENT_GONE, Problem, response_of

HEALTH = "/healthz"
MOST_VALUES = 500_000
"""In a request's JSON; two thousand frames with a state of two hundred have fewer."""
METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE")
DRAIN_SECONDS = 2.0
DRAINED = 3
"""Times what is taken of a body is let in before the connection is cut."""
ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}


@dataclass(frozen=True)
class Rules:
    """Who is let in.

    Attributes:
        key: that every request but the one for health has to carry; None lets everybody in.
        hosts: names, in lower case, that the server is called by. A name that somebody else made to lead here (DNS
            rebinding) is none of them.
        any_address: whether it may be called by any IP address too. No name leads to a wrong one.
        origins: of pages that may ask, `scheme://host[:port]`.
    """

    key: str | None
    hosts: frozenset[str]
    any_address: bool = False
    origins: frozenset[str] = frozenset()

    def check(self, headers: Headers, path: str) -> None:
        """Raises Problem for one who is not let in."""
        name = host_name(headers.get("host", ""))
        if name not in self.hosts and not (self.any_address and _is_address(name)):
            raise Problem(403, f"this server is not called {name!r}; start it with --allow-host to call it so")
        origin = headers.get("origin")
        if origin is not None and origin not in self.origins:
            raise Problem(403, f"pages of {origin!r} may not ask; start the server with --allow-origin to let them")
        if path != HEALTH and self.key is not None:
            self._check_key(headers.getlist("authorization"))

    def _check_key(self, sent: list[str]) -> None:
        scheme, _, key = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
        known = (self.key or "").encode()
        # the same time for every wrong key
        if not hmac.compare_digest(key.strip().encode("utf-8", "replace"), known) or scheme.lower() != "bearer":
            words = "send the server's key with every request: Authorization: Bearer KEY"
            raise Problem(401, words, {"WWW-Authenticate": 'Bearer realm="headway"'})


def host_name(host: str) -> str:
    """The name of a Host header in lower case, without port and brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name = host.partition(":")[0] if host.count(":") == 1 else host
    return name.rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Door:
    """ASGI middleware, the outermost. A body is read here, within its limits, and handed on whole."""

    def __init__(self, app: ASGIApp, rules: Rules, limits: Limits, metrics: Metrics):
        self.app, self.rules, self.limits, self.metrics = app, rules, limits, metrics
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served")
        started = time.perf_counter()
        headers = Headers(scope=scope)
        answering = _Answering(send, self._added(headers))
        try:
            await self._pass(scope, headers, receive, answering)
        except Problem as problem:
            await response_of(problem)(scope, receive, answering)
        finally:
            # what routing found out
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.metrics.request(route, method, answering.status, time.perf_counter() - started)

    def _added(self, headers: Headers) -> dict[str, str]:
        origin = headers.get("origin")
        if origin is None or origin not in self.rules.origins:
            return ALWAYS
        return {**ALWAYS, "Access-Control-Allow-Origin": origin, "Vary": "Origin"}

    async def _pass(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        asks = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        if asks and headers.get("origin") in self.rules.origins:
            await Response(status_code=204, headers=PREFLIGHT)(scope, receive, send)
            return
        try:
            self.rules.check(headers, scope["path"])
            self._check_body(headers)
            if scope["method"] == "POST":
                self._check_busy()
        except Problem:
            if "expect" not in headers:
                await self._drain(receive)
            raise
        if scope["method"] != "POST":
            await self.app(scope, _Replay(b"", receive), send)
            return
        self.in_flight += 1
        try:
            body = await self._read(receive)
            await self.app(scope, _Replay(body, receive), send)
        finally:
            self.in_flight -= 1

    def _check_body(self, headers: Headers) -> None:
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(415, "a body is taken as it is, not compressed: leave Content-Encoding out")
        length = headers.get("content-length", "0")
        # the server beneath refuses what is no number
        if int(length) > self.limits.request_bytes:
            raise self._too_large(f"a body of {length} bytes")

    def _check_busy(self) -> None:
        if self.in_flight >= self.limits.requests:
            words = f"busy with {self.in_flight} requests; ask again in a second"
            raise Problem(503, words, {"Retry-After": "1"})

    def _too_large(self, what: str) -> Problem:
        words = f"{what} is too large: at most {self.limits.request_bytes} are taken; send fewer frames"
        return Problem(413, words, {"Connection": "close"})

    async def _read(self, receive: Receive) -> bytes:
        """The whole body. What is beyond its limit is let in and forgotten, as in `_drain`. Raises Problem."""
        parts, length, most = bytearray(), 0, self.limits.request_bytes
        try:
            async with asyncio.timeout(self.limits.sending_seconds):
                async for part in _parts(receive):
                    length += len(part)
                    if length <= most:
                        parts += part
                    elif length > DRAINED * most:
                        break
        except TimeoutError:
            if length <= most:
                words = f"the body did not arrive within {self.limits.sending_seconds:g} seconds"
                raise Problem(408, words, {"Connection": "close"}) from None
        if length > most:
            raise self._too_large(f"a body of more than {most} bytes")
        # [1],[1],... becomes sixty times its size in memory
        if sum(map(parts.count, (b",", b"[", b"{"))) > MOST_VALUES:
            raise Problem(413, f"the body holds more than {MOST_VALUES} values; send fewer frames")
        return bytes(parts)

    async def _drain(self, receive: Receive) -> None:
        """Let a body of bearable size arrive and forget it: a connection cut while sending shows no answer."""
        length = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                async for part in _parts(receive):
                    length += len(part)
                    if length > DRAINED * self.limits.request_bytes:
                        return
        except (TimeoutError, Problem):
            return


async def _parts(receive: Receive) -> Any:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(CLIENT_GONE, "the client left before its request had arrived")
        more = message.get("more_body", False)
        yield message.get("body", b"")


class _Replay:
    """A body that was read, as a server would hand it over; afterwards whatever comes, which is the client leaving."""

    def __init__(self, body: bytes, receive: Receive):
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Answering:
    """Adds headers to the answer, and remembers its status."""

    def __init__(self, send: Send, added: dict[str, str]):
        self._send, self._added = send, added
        self.status = CLIENT_GONE

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message).update(self._added)
        await self._send(message)


def names_of(host: str, given: Iterable[str] = ()) -> frozenset[str]:
    """What a server bound to `host` may be called: that, names of this machine where it is one, and those `given`."""
    own = {"localhost", "127.0.0.1", "::1"}
    return frozenset({*map(host_name, given), host_name(host)} | (own if host in own else {"localhost"}))
