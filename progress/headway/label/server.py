"""The page's server: this machine alone, and no other page in the browser, may talk to it."""

import asyncio
import json
import socket

import jinja2
from aiohttp import web

from headway.errors import HeadwayError, InvalidValue, OutputError, UnknownName
from headway.label.desk import Changed, Desk
from headway.label.films import Films, NotYet
from headway.local_page import Handler, asset, fixed, own_pages_only, script

PACKAGE = "headway.label"
SCRIPTS = ("marks.js", "pictures.js", "timeline.js", "boundaries.js", "saving.js", "drawing.js", "keys.js", "page.js")


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
    app = web.Application(middlewares=[own_pages_only(port), _one_line])
    app.router.add_get("/", fixed("text/html", _page(desk)))
    app.router.add_get("/page.css", fixed("text/css", asset(PACKAGE, "page.css")))
    app.router.add_get("/page.js", fixed("text/javascript", script(PACKAGE, SCRIPTS)))

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


def _page(desk: Desk) -> str:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(asset(PACKAGE, "page.html.j2")).render(dataset=desk.source.root.name)
