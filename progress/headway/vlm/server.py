"""Where a server is, which key it may see, and a connection that shows it nothing else."""

import asyncio
import ipaddress
import os
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from headway.errors import InvalidValue, Unsupported

ANY_KEY = "HEADWAY_API_KEY"
# a provider's own variable is for that provider alone
PROVIDER_KEYS = {"api.openai.com": "OPENAI_API_KEY", "generativelanguage.googleapis.com": "GEMINI_API_KEY"}
# names that are not looked up in the public Internet
PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".home.arpa")
NO_KEY = "none"
# the only headers that a server other than OpenAI's own needs
HEADERS = ("host", "accept", "accept-encoding", "connection", "content-length", "content-type", "authorization")


def address(base_url: str) -> str:
    """A base URL in one spelling: lower-case host, no closing slash, no `/chat/completions`.

    Raises InvalidValue for anything but http or https, and for a URL that carries a key or a password.
    """
    # a password with a slash in it is no longer seen as one by urlsplit; and so nothing with an @ is ever repeated
    if any(sign in base_url for sign in "@?#"):
        raise InvalidValue(
            f"a server's address must hold neither a key nor a query; put the key into {ANY_KEY}, and keep it out of "
            "the address"
        )
    try:
        parts = urlsplit(base_url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidValue("a server's address is like http://localhost:8000/v1; this one is not") from error
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidValue(f"a server's address is like http://localhost:8000/v1, got {base_url!r}")
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    place = host if port in (None, usual) else f"{host}:{port}"
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return urlunsplit((parts.scheme, place, path, "", ""))


def key_variable(base_url: str) -> str:
    """The environment variable that a person would put this server's key into."""
    return PROVIDER_KEYS.get(urlsplit(base_url).hostname or "", ANY_KEY)


def key_for(base_url: str) -> str | None:
    """The key for a server, from the environment; None when there is none for it.

    OPENAI_API_KEY goes to api.openai.com alone, GEMINI_API_KEY to generativelanguage.googleapis.com alone.
    HEADWAY_API_KEY goes to whatever other server is named, and to these two where their own is not set: a private
    server's key does not go to a provider that has one.
    """
    keys = (os.environ.get(name, "").strip() for name in (key_variable(address(base_url)), ANY_KEY))
    return next((key for key in keys if key), None)


def check_key(key: str, base_url: str) -> None:
    """Raise InvalidValue for a key that no header can carry, or that would cross the Internet unencrypted."""
    if not (key.isascii() and key.isprintable()):
        raise InvalidValue(f"the key holds characters that no key has; look at {key_variable(base_url)}")
    parts = urlsplit(base_url)
    if parts.scheme == "http" and not is_private(parts.hostname or ""):
        raise InvalidValue(
            f"the key would go to {parts.hostname} unencrypted; write https://, or unset {key_variable(base_url)} if "
            "it needs no key"
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name alone: nothing is looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    number = _number(host)
    return number is not None and number.is_loopback


def is_private(host: str) -> bool:
    """Whether a host is this machine or one of a private network, by its name alone: nothing is looked up."""
    number = _number(host)
    if number is not None:
        return not number.is_global
    # `gpu-box`, or a container's name; one that begins with a digit may be an IP address in disguise
    short = "." not in host and host[:1].isalpha()
    return short or host.endswith(PRIVATE_ENDINGS)


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def openai_package() -> ModuleType:
    """The package openai. Raises Unsupported where it is not installed."""
    try:
        import openai
    except ImportError as error:
        raise Unsupported('asking a server needs the package openai: pip install "headway[vlm]"') from error
    return openai


@dataclass(frozen=True)
class Line:
    """What belongs to one event loop: sockets and locks must not outlive theirs."""

    loop: asyncio.AbstractEventLoop
    client: Any
    room: asyncio.Semaphore
    probing: asyncio.Lock


def line_to(base_url: str, key: str | None, timeout: float, at_once: int) -> Line:
    """A line to a server for the loop that runs. Raises InvalidValue, see `connection`."""
    client = connection(base_url, key, timeout)
    return Line(asyncio.get_running_loop(), client, asyncio.Semaphore(at_once), asyncio.Lock())


def connection(base_url: str, key: str | None, timeout: float) -> Any:
    """An openai.AsyncOpenAI that sends a server its key and what a request needs, and asks once.

    Raises InvalidValue where the environment names a proxy that cannot be used.
    """
    openai = openai_package()
    host = urlsplit(base_url).hostname or ""
    hooks = {} if host == "api.openai.com" else {"request": [_bare]}
    try:
        # a redirect would carry the key elsewhere; a proxy has no business between this machine and itself
        http_client = openai.DefaultAsyncHttpxClient(
            follow_redirects=False, trust_env=not is_loopback(host), event_hooks=hooks
        )
    except (ImportError, ValueError) as error:
        # the error may hold the proxy's password
        raise InvalidValue(
            f"{host} cannot be reached through the proxy that the environment names; look at HTTPS_PROXY and ALL_PROXY"
        ) from error
    return openai.AsyncOpenAI(
        api_key=key or NO_KEY,
        # said here, it is not taken from OPENAI_CUSTOM_HEADERS
        default_headers={"Authorization": f"Bearer {key or NO_KEY}"},
        base_url=base_url,
        timeout=timeout,
        max_retries=0,
        http_client=http_client,
    )


async def _bare(request: Any) -> None:
    """Take away what the openai package adds from OPENAI_* variables, and what it tells of this machine."""
    for name in set(request.headers) - set(HEADERS):
        del request.headers[name]
