"""Who may connect to a server of ours: the token, the origin of a browser's page, the name by which it was reached."""

import hmac
import ipaddress
import socket
from collections.abc import Collection, Mapping
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from headway.errors import InvalidValue


class Door:
    """Refuses who must not come in.

    Args:
        host: where the server listens.
        token: what a client has to bring; None asks for nothing.
        allow_unauthenticated: listen beyond loopback without a token.
        allow_origins, allow_hosts: see RosbridgeServer.

    Raises:
        InvalidValue: a host beyond loopback without a token, or an empty token.
    """

    def __init__(
        self,
        host: str,
        token: str | None,
        allow_unauthenticated: bool,
        allow_origins: Collection[str],
        allow_hosts: Collection[str],
    ):
        if token == "":
            raise InvalidValue("an empty token lets everybody in; give one of at least a few letters, or none")
        self.open_to_all = token is None and not is_loopback(host)
        if self.open_to_all and not allow_unauthenticated:
            raise InvalidValue(
                f"{host} can be reached from other machines: give a token, or allow unauthenticated clients explicitly"
            )
        self._token = token
        self._origins = {origin.lower().rstrip("/") for origin in allow_origins}
        ours = socket.gethostname()
        self._hosts = {name.lower() for name in (*allow_hosts, host, "localhost", ours, f"{ours}.local")}

    def refusal(self, path: str, headers: Mapping[str, str]) -> tuple[HTTPStatus, str] | None:
        """Why a client that asks for `path` is refused, or None."""
        origin = headers.get("Origin")
        # without an Origin it is no browser's page; one of ours is named when the server is made
        if origin is not None and origin.lower().rstrip("/") not in self._origins:
            return HTTPStatus.FORBIDDEN, f"pages from {origin[:100]!r} may not connect"
        if not self._known_host(headers.get("Host", "")):
            return HTTPStatus.FORBIDDEN, f"this server is not called {headers.get('Host', '')[:100]!r}"
        if self._token is not None and not any(_same(given, self._token) for given in _tokens(path, headers)):
            return HTTPStatus.UNAUTHORIZED, "a token is needed, as ?token= or as Authorization: Bearer"
        return None

    def _known_host(self, given: str) -> bool:
        """A page that had its own name resolved to this machine would send that name; an address is nobody's name."""
        try:
            name = (urlsplit(f"//{given}").hostname or "").lower()
        except ValueError:
            return False
        return name in self._hosts or _address(name) is not None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _tokens(path: str, headers: Mapping[str, str]) -> list[str]:
    given = headers.get("Authorization", "")
    bearer = [given[7:].strip()] if given[:7].lower() == "bearer " else []
    return bearer + parse_qs(urlsplit(path).query).get("token", [])


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode("utf-8"))
