"""The page's server: this machine alone, and no other page in the browser, may talk to it."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import jinja2
from aiohttp import web

from headway.errors import HeadwayError, InvalidValue, OutputError, UnknownName
from headway.label.desk import Changed, Desk
from headway.label.films import Films, NotYet

HOST = "127.0.0.1"
SCRIPTS = ("marks.js", "pictures.js", "timeline.js", "boundaries.js", "saving.js", "drawing.js", "keys.js", "page.js")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # another dataset may be served from the same address tomorrow
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def listen(port: int) -> socket.socket:
    """A socket that this machine alone reaches; port 0 takes any that is free. Raises OutputError when it is taken."""
    if not 0 <= port < 2**16:
        raise InvalidValue(f"--port must be from 0 to 65535, got {port}")
    own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        own.bind((HOST, port))
        # whoever opens the page as soon as its address is printed waits, and is not refused
        own.listen()
    except OSError as error:
        own.close()
        raise OutputError(f"port {port} cannot be used ({error.strerror}); choose another with --port") from error
    return own


def serve(desk: Desk, own: socket.socket) -> None:
    """Serve the page on a socket of `listen` until Ctrl-C."""
    films = Films(desk.read)
    try:
        web.run_app(make_app(desk, films, own.getsockname()[1]), sock=own, print=None, shutdown_timeout=1.0)
    finally:
        films.stop()


def make_app(desk: Desk, films: Films, port: int) -> web.Application:
    """The page, its data and its pictures.

    GET /, /page.css, /page.js, /dataset.json, /episode/3.json and /episode/3/camera/top/frame/120.jpg;
    PUT /episode/3.json takes {"before": marks, "after": marks} and answers with the episode.
    """
    app = web.Application(middlewares=[_own_pages_only(port), _one_line])
    pages = {"/": ("text/html", _page(desk)), "/page.css": ("text/css", _file("page.css"))}
    # the report's small helpers serve here too
    scripts = [(files("headway.report") / "dom.js").read_text(encoding="utf-8"), *map(_file, SCRIPTS)]
    pages["/page.js"] = ("text/javascript", "(() => {\n'use strict';\n" + "\n".join(scripts) + "})();\n")
    for path, (kind, text) in pages.items():
        app.router.add_get(path, _text(kind, text))

    async def dataset(request: web.Request) -> web.Response:
        return web.json_response(desk.dataset())

    async def episode(request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(desk.episode, int(request.match_info["index"])))

    async def put(request: web.Request) -> web.Response:
        sent = await _sent(request)
        return web.json_response(await asyncio.to_thread(desk.put, int(request.match_info["index"]), *sent))

    async def frame(request: web.Request) -> web.Response:
        index, camera, number = (request.match_info[part] for part in ("index", "camera", "frame"))
        picture = await asyncio.to_thread(films.picture, int(index), camera, int(number))
        return web.Response(body=picture, content_type="image/jpeg")

    app.router.add_get("/dataset.json", dataset)
    app.router.add_get(r"/episode/{index:\d+}.json", episode)
    app.router.add_put(r"/episode/{index:\d+}.json", put)
    app.router.add_get(r"/episode/{index:\d+}/camera/{camera:.+}/frame/{frame:\d+}.jpg", frame)
    return app


def _own_pages_only(port: int) -> Any:
    """Refuse what another page in the same browser sends, or has the browser send under another name.

    A name that was made to lead here (DNS rebinding) shows in Host, a page of elsewhere in Origin or Sec-Fetch-Site.
    """
    hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
    origins = {f"http://{host}" for host in hosts}

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


@web.middleware
async def _one_line(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors on purpose become their one line."""
    try:
        return await handler(request)
    except UnknownName as error:
        return web.Response(status=404, text=str(error))
    except NotYet as error:
        return web.Response(status=202, text=str(error))
    except Changed as error:
        return web.Response(status=409, text=str(error))
    except OutputError as error:
        return web.Response(status=507, text=str(error))
    except HeadwayError as error:
        return web.Response(status=422, text=str(error))


async def _sent(request: web.Request) -> tuple[object, object]:
    if request.content_type != "application/json":
        raise InvalidValue("marks are sent as application/json")
    try:
        content = await request.json()
        return content["before"], content["after"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, RecursionError) as error:
        raise InvalidValue("marks are sent as JSON with before and after") from error


def _text(kind: str, text: str) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=kind)

    return answer


def _page(desk: Desk) -> str:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_file("page.html.j2")).render(dataset=desk.source.root.name)


def _file(name: str) -> str:
    return (files("headway.label") / name).read_text(encoding="utf-8")
