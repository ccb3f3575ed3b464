"""The operator's page: served by the node to its own machine, for whoever has the address with its token.

The page asks and the server answers, one message at a time, and every answer repeats when it was asked. So the page
knows how old what it shows is at most, whatever waits in buffers on the way: a page that hangs cannot look alive.
"""

import asyncio
import json
import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jinja2
from aiohttp import WSCloseCode, WSMsgType, web

from headway.local_page import HOST, Handler, asset, fixed, listen, origins_of, own_pages_only, script
from headway_datasets.ros_images.decoding import FrameError
from headway_envs.ros.core import SERVICES
from headway_envs.ros.events import Effect, Event
from headway_envs.ros.node import Node
from headway_envs.ros.operator.board import Board, Seen
from headway_envs.ros.operator.pictures import Pictures
from headway_envs.ros.rosbridge.doors import Door
from headway_envs.ros.transport import Message

PACKAGE = "headway_envs.ros"
SCRIPTS = ("operator/time.js", "operator/curve.js", "operator/pictures.js", "operator/buttons.js", "operator/page.js")
PERIOD = 0.1
"""Seconds between two answers to one page."""
SILENCE = 30.0
"""Seconds after which a page that asks no more is let go of."""
LONGEST = 1000
"""Characters of what a page asks."""


class Page:
    """Serves the page on a port of this machine, in a thread of its own; an `Observer` that never holds up the node.

    Args:
        node: whose page it is; it must be told of it with `node.observe`.
        port: 0 takes any that is free.
        clock: the node's.

    Raises OutputError when the port is taken.
    """

    def __init__(self, node: Node, port: int, clock: Callable[[], float] = time.monotonic):
        self.board = Board(node.core, clock)
        self._node = node
        self._pictures = Pictures(self.board, node.config.topics.image_kind, clock)
        self._own = listen(port, "--page")
        self.port: int = self._own.getsockname()[1]
        self.token = secrets.token_urlsafe(16)
        self._loop = asyncio.new_event_loop()
        self._helpers = ThreadPoolExecutor(4, "headway-page-asks")
        self._encoder = ThreadPoolExecutor(1, "headway-page-pictures")
        self._sockets: set[web.WebSocketResponse] = set()
        self._thread = threading.Thread(target=self._run, name="headway-page", daemon=True)

    @property
    def url(self) -> str:
        """With the token, without which nothing is answered. It is in no cookie: ports share those."""
        return f"http://{HOST}:{self.port}/?token={self.token}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """End it; once more does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
        self._own.close()

    def saw(self, event: Event, effects: Sequence[Effect], pictures: Mapping[int, Message]) -> None:
        self.board.saw(event, effects, pictures)

    def say(self, level: str, text: str) -> None:
        """A line that no event led to."""
        self.board.say(level, text)

    # ---- its thread ----

    def _run(self) -> None:
        runner = web.AppRunner(self._app(), shutdown_timeout=0.5, access_log=None)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.SockSite(runner, self._own).start())
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._helpers.shutdown(wait=False, cancel_futures=True)
        self._encoder.shutdown(wait=False, cancel_futures=True)
        self._loop.close()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[own_pages_only(self.port), self._door()], client_max_size=LONGEST)
        environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        html = environment.from_string(asset(PACKAGE, "operator/page.html.j2")).render(token=self.token)
        app.router.add_get("/", fixed("text/html", html))
        app.router.add_get("/page.css", fixed("text/css", asset(PACKAGE, "operator/page.css")))
        app.router.add_get("/page.js", fixed("text/javascript", script(PACKAGE, SCRIPTS)))
        app.router.add_get("/live", self._live)
        app.router.add_get(r"/picture/{camera:\d{1,3}}", self._picture)
        app.router.add_post(r"/service/{name:\w{1,20}}", self._service)
        app.on_shutdown.append(self._say_goodbye)
        return app

    def _door(self) -> Any:
        door = Door(HOST, self.token, False, origins_of(self.port), ())

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            refusal = door.refusal(request.path_qs, request.headers)
            if refusal is not None:
                words = "open the whole address that headway printed, with its token; it is another one each time"
                return web.Response(status=refusal[0], text=f"{words}\n")
            return await handler(request)

        return check

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        """Answers what a page asks, at most every PERIOD."""
        socket = web.WebSocketResponse(max_msg_size=LONGEST, timeout=1.0)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            while True:
                received = await socket.receive(timeout=SILENCE)
                asked = _asked(received.data) if received.type == WSMsgType.TEXT else None
                if asked is None:
                    break
                began = self._loop.time()
                told = {"asked": asked[0], **self.board.told(asked[1])}
                await socket.send_str(json.dumps(told, allow_nan=False, separators=(",", ":")))
                await asyncio.sleep(began + PERIOD - self._loop.time())
        except (TimeoutError, ConnectionResetError):
            pass
        finally:
            self._sockets.discard(socket)
        if not socket.closed:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION)
        return socket

    async def _picture(self, request: web.Request) -> web.Response:
        cameras = list(self._node.config.topics.cameras)
        index = int(request.match_info["camera"])
        if index >= len(cameras):
            return web.Response(status=404, text="no such camera")
        try:
            newest = await self._loop.run_in_executor(self._encoder, self._pictures.newest, cameras[index])
        except FrameError as error:
            return web.Response(status=422, text=str(error))
        if newest is None:
            return web.Response(status=404, text="no picture yet")
        number, age, data = newest
        told = {"X-Number": str(number), "X-Age": f"{age:.3f}"}
        return web.Response(body=data, content_type="image/jpeg", headers=told)

    async def _service(self, request: web.Request) -> web.Response:
        """Asks the node for one of its services; enable takes {"value": true or false}."""
        name = request.match_info["name"]
        if name not in SERVICES:
            return web.Response(status=404, text="no such service")
        # a stop is never refused for how it was asked
        value = await _value(request) if name == "enable" else True
        if value is None:
            return web.Response(status=422, text='enable takes {"value": true} or {"value": false}')
        answered = await self._loop.run_in_executor(self._helpers, self._node.ask, name, value)
        return web.json_response({"success": answered.success, "message": answered.message})

    async def _say_goodbye(self, app: web.Application) -> None:
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the node ended")


async def _value(request: web.Request) -> bool | None:
    """What enable is asked for; None for what is neither true nor false."""
    try:
        value = (await request.json())["value"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return value if isinstance(value, bool) else None


def _asked(text: str) -> tuple[float, Seen] | None:
    """When a page asked, by its own clock, and what it has already; None for what no page of ours sends."""
    try:
        content = json.loads(text)
        asked, numbers = content["asked"], [content[name] for name in ("edition", "points", "line")]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    whole = all(type(number) is int and -1 <= number < 2**53 for number in numbers)
    if type(asked) not in (int, float) or not math.isfinite(asked) or not whole or numbers[1] < 0:
        return None
    return asked, Seen(*numbers)
