"""`headway serve`."""

import ipaddress
import os
import secrets
from typing import TYPE_CHECKING, Annotated

import tyro

from headway.cli.options import DeviceOption, check_device
from headway.errors import InvalidValue, Unsupported

if TYPE_CHECKING:
    from headway.serve.desk import Desk

KEY = "HEADWAY_SERVE_KEY"
SHORTEST_KEY = 16


def serve(
    *,
    estimator: Annotated[str, tyro.conf.arg(metavar="SPEC")],
    host: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = "127.0.0.1",
    port: int = 8008,
    allow_host: Annotated[str, tyro.conf.arg(metavar="A,B")] = "",
    allow_origin: Annotated[str, tyro.conf.arg(metavar="A,B")] = "",
    no_key: bool = False,
    exposed: bool = False,
    device: DeviceOption = "cpu",
    max_mib: int = 32,
    max_frames: int = 2000,
    max_pixels: int = 2048 * 2048,
    max_requests: int = 16,
    max_sessions: int = 64,
    idle: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 600,
) -> int:
    """Answer with progress, success and reward over HTTP. Only this machine is answered, but for --host.

    The key that every request has to carry is taken from HEADWAY_SERVE_KEY, or made and printed. For example:

        headway serve --estimator sarm:runs/tidy

    Args:
        estimator: what judges: sarm:RUN, vip:RUN, ensemble:SPEC+SPEC, gvl:MODEL@URL, clock
        host: address to listen at; 0.0.0.0 is every one of this machine
        port: 0 takes any that is free
        allow_host: further names that the server is called by, such as robot.lan
        allow_origin: pages that may ask, such as http://localhost:3000; default: none
        no_key: ask for no key
        exposed: with --no-key: also at an address that others reach
        max_mib: of a request's body
        max_frames: pictures in a request
        max_pixels: of a picture
        max_requests: at once; the estimator judges one at a time
        max_sessions: open at once
        idle: after which a session that nobody uses is closed
    """
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise Unsupported(f"headway serve needs {error.name}: pip install 'headway[serve]'") from error
    from headway.serve.app import make_app
    from headway.serve.desk import Desk
    from headway.serve.door import Rules, names_of
    from headway.serve.limits import Limits
    from headway.serve.server import listen
    from headway.serve.server import serve as serve_app
    from headway.specs import make_estimator

    loopback = _is_loopback(host)
    if no_key and not loopback and not exposed:
        raise InvalidValue(
            f"--no-key at {host} would answer everybody who reaches it; leave it out, or add --exposed to have it so"
        )
    if exposed and not no_key:
        raise InvalidValue("--exposed belongs to --no-key; with a key --host is enough")
    key, given = (None, False) if no_key else _key()
    limits = Limits(max_mib * 2**20, max_frames, max_pixels, max_requests, max_sessions, idle)
    names = names_of(host, _listed(allow_host))
    rules = Rules(key, names, not loopback, frozenset(map(_origin, _listed(allow_origin))))
    with listen(host, port) as own:
        desk = Desk(make_estimator(estimator, check_device(device)), limits)
        app, worker = make_app(desk, rules)
        _tell(desk, host, own.getsockname()[1], key, given, loopback)
        serve_app(app, worker, own)
    print("\nstopped; what was open is closed")
    return 0


def _tell(desk: "Desk", host: str, port: int, key: str | None, given: bool, loopback: bool) -> None:
    reached = "127.0.0.1" if host == "0.0.0.0" else "[::1]" if host == "::" else f"[{host}]" if ":" in host else host
    url = f"http://{reached}:{port}"
    if not loopback:
        what = (
            "the key and all pictures travel unencrypted" if key else "EVERYBODY who reaches this address is answered"
        )
        print(f"warning: {host} is reached from other machines, and {what}; put TLS in front of it, or a tunnel")
    print(f"serving {desk.estimator.name} at {url}; Ctrl-C here ends")
    header = ""
    if key is not None:
        print(f"key: {f'the one in {KEY}' if given else key}")
        header = f'-H "Authorization: Bearer {f"${KEY}" if given else key}" '
    print(f"try: curl {header}{url}/v1/info")
    ways = "POST /v1/sessions for a running episode, POST /v1/estimate for whole ones"
    if desk.streaming is None:
        ways = "POST /v1/estimate; this estimator judges whole episodes only"
    print(f"next: {ways}; {url}/openapi.json has the details, examples/reward_client.py a client", flush=True)


def _key() -> tuple[str, bool]:
    """The key, and whether it was given."""
    given = os.environ.get(KEY, "").strip()
    if not given:
        return secrets.token_urlsafe(32), False
    if len(given) < SHORTEST_KEY or not given.isascii() or any(letter.isspace() for letter in given):
        raise InvalidValue(
            f"{KEY} must be at least {SHORTEST_KEY} letters of ASCII without blanks; unset it to have one made"
        )
    return given, True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _origin(text: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or text != f"{parts.scheme}://{parts.netloc}":
        raise InvalidValue(f"--allow-origin takes scheme://host[:port] without a slash at the end, got {text!r}")
    return text.lower()
