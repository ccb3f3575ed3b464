"""Where a server is, and which key it may see."""

import ipaddress
import os
from urllib.parse import urlsplit, urlunsplit

from headway.errors import InvalidValue

ANY_KEY = "HEADWAY_API_KEY"
# a provider's own variable is for that provider alone
PROVIDER_KEYS = {"api.openai.com": "OPENAI_API_KEY", "generativelanguage.googleapis.com": "GEMINI_API_KEY"}
# names that are not looked up in the public Internet
PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".home.arpa")


def address(base_url: str) -> str:
    """A base URL in one spelling: lower-case host, no closing slash, no `/chat/completions`.

    Raises InvalidValue for anything but http or https, and for a URL that carries a key.
    """
    try:
        parts = urlsplit(base_url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidValue(f"a server's address is like http://localhost:8000/v1; this one is not: {error}") from error
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InvalidValue(
            f"the address of {host} must hold neither a key nor a query; put the key into {ANY_KEY}, and keep it "
            "out of the address"
        )
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

    HEADWAY_API_KEY goes to whatever server is named. OPENAI_API_KEY goes to api.openai.com alone, GEMINI_API_KEY to
    generativelanguage.googleapis.com alone.
    """
    key = os.environ.get(ANY_KEY) or os.environ.get(key_variable(address(base_url))) or ""
    return key.strip() or None


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
