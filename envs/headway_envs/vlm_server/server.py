"""A local HTTP server that speaks OpenAI's protocol and answers from the pixels of the pictures that it gets.

It stands in for a vision-language model with perfect sight, so that everything between a video and a table can be
checked end to end. It cannot know the true order of frames: it sees their labels and their pixels, nothing else.
"""

import asyncio
import json
import math
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web

from headway.errors import InvalidValue, OutputError
from headway_envs.vlm_server.answers import Token, answer, tokens
from headway_envs.vlm_server.damage import REFUSAL, spoil
from headway_envs.vlm_server.questions import Asked, BadRequest, Kind, understand
from headway_envs.vlm_server.readers import READERS
from headway_envs.vlm_server.script import Fault, Script

HOST = "127.0.0.1"
MOST_BYTES = 256 * 2**20
"""Of a request."""
_PERFECT = Script()
PICTURE_PATCH = 28
"""Pixels of the side of a square that is counted as a token, as Qwen-VL cuts pictures."""


@dataclass(frozen=True)
class Served:
    """A request that came in.

    Attributes:
        number: by which the script was asked for a fault; None for one that is not counted, such as a probe.
        kind: what it asked for.
        model: the reader that it named.
        labels: of its pictures in order, None for one without.
        text: all that it said.
        fault: what was done to the answer.
        status: of the HTTP answer.
        authorization: that header, as it came; None without.
    """

    number: int | None
    kind: Kind
    model: str
    labels: tuple[int | None, ...]
    text: str
    fault: Fault | None
    status: int
    authorization: str | None


@dataclass
class PixelServer:
    """A server that runs.

    Attributes:
        base_url: what a client is given, `http://127.0.0.1:PORT/v1`.
        script: how it behaves.
        requests: those to /v1/chat/completions that it understood, in the order in which they came in.
        most_at_once: the most requests that it was busy with at one time.
    """

    script: Script
    base_url: str = ""
    requests: list[Served] = field(default_factory=list)
    most_at_once: int = 0
    _counted: int = 0
    _busy: int = 0

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._completions)
        return app

    async def _models(self, _: web.Request) -> web.Response:
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "headway"} for name in READERS]
        return web.json_response({"object": "list", "data": listed})

    async def _completions(self, request: web.Request) -> web.Response:
        self._busy += 1
        self.most_at_once = max(self.most_at_once, self._busy)
        try:
            asked = await asyncio.to_thread(_understood, await request.read())
            self._check(asked)
            return await self._reply(asked, request.headers.get("Authorization"))
        except BadRequest as error:
            return _error(error.status, str(error))
        finally:
            self._busy -= 1

    def _check(self, asked: Asked) -> None:
        if asked.model not in READERS:
            raise BadRequest(f"the model {asked.model!r} does not exist; there are: {', '.join(READERS)}", 404)
        if self.script.logprobs == "refused" and asked.top_logprobs is not None:
            raise BadRequest("logprobs is not enabled for this model")
        if self.script.logprobs == "forbidden" and asked.top_logprobs is not None:
            raise BadRequest("You are not allowed to request logprobs from this model", 403)
        if not self.script.schema and asked.schema is not None:
            raise BadRequest("response_format is not supported by this model")
        most = self.script.pictures
        if most is not None and len(asked.shown) > most:
            raise BadRequest(f"at most {most} image(s) may be provided in one prompt, got {len(asked.shown)}")

    async def _reply(self, asked: Asked, authorization: str | None) -> web.Response:
        number = fault = None
        if asked.kind is not Kind.OTHER:
            number = self._counted
            self._counted += 1
            fault = self.script.fault(number)
        status = {Fault.RATE_LIMIT: 429, Fault.SERVER_ERROR: 500}.get(fault, 200) if fault else 200
        labels = tuple(shown.label for shown in asked.shown)
        self.requests.append(Served(number, asked.kind, asked.model, labels, asked.text, fault, status, authorization))
        if status == 429:
            return _error(429, "slow down", {"Retry-After": self.script.retry_after})
        if status == 500:
            return _error(500, "something broke")
        if fault is Fault.TIMEOUT:
            await asyncio.sleep(self.script.slow_s)
        # reading pictures would hold up the other requests
        completion = await asyncio.to_thread(_completion, asked, fault, self.script)
        return web.json_response(completion)


@contextmanager
def serving(script: Script = _PERFECT, port: int = 0) -> Iterator[PixelServer]:
    """Run a server in a thread of its own for as long as the block lasts.

    Args:
        script: how it behaves.
        port: on the loopback interface; 0 for any that is free.

    Raises:
        InvalidValue: there is no such port.
        OutputError: the port cannot be had.
    """
    if not 0 <= port <= 65535:
        raise InvalidValue(f"a port is from 1 to 65535, or 0 for any that is free, got {port}")
    server = PixelServer(script)
    started: Future[_Running] = Future()
    thread = threading.Thread(target=_run, args=(server, port, started), name="pixel-server", daemon=True)
    thread.start()
    try:
        running = started.result()
    except OSError as error:
        raise OutputError(f"cannot listen on {HOST}:{port}: {error.strerror}; choose another --port") from error
    server.base_url = f"http://{HOST}:{running.port}/v1"
    try:
        yield server
    finally:
        running.loop.call_soon_threadsafe(running.ended.set)
        thread.join()


@dataclass(frozen=True)
class _Running:
    """How to reach a server's event loop from other threads."""

    loop: asyncio.AbstractEventLoop
    ended: asyncio.Event
    port: int


def _run(server: PixelServer, port: int, started: Future[_Running]) -> None:
    try:
        asyncio.run(_listen(server, port, started))
    finally:
        started.cancel()  # whatever went wrong before it started: nobody waits for ever


async def _listen(server: PixelServer, port: int, started: Future[_Running]) -> None:
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    ended = asyncio.Event()
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as error:
        started.set_exception(error)
    else:
        started.set_result(_Running(asyncio.get_running_loop(), ended, runner.addresses[0][1]))
        await ended.wait()
    finally:
        await runner.cleanup()


def _understood(body: bytes) -> Asked:
    try:
        decoded = json.loads(body)
    except ValueError as error:
        raise BadRequest("the body is not JSON") from error
    return understand(decoded)


def _completion(asked: Asked, fault: Fault | None, script: Script) -> dict[str, Any]:
    """The body of an answer."""
    rng = np.random.default_rng([script.seed, asked.entropy])
    given = answer(asked, READERS[asked.model], script.manner, rng)
    said = tokens(given, spoil(given, fault, rng))
    finish = "length" if fault is Fault.TRUNCATED else "stop"
    thought = script.thinking
    if asked.max_tokens is not None and thought + len(said) > asked.max_tokens:
        thought = min(thought, asked.max_tokens)
        said, finish = said[: asked.max_tokens - thought], "length"
    message: dict[str, Any] = {"role": "assistant", "content": "".join(token.text for token in said), "refusal": None}
    if fault is Fault.REFUSAL:
        message |= {"content": None, "refusal": REFUSAL}
    prompt_tokens = sum(_picture_tokens(shown.pixels.shape) for shown in asked.shown) + math.ceil(len(asked.text) / 4)
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    if asked.top_logprobs is not None and script.logprobs == "given" and fault is not Fault.REFUSAL:
        choice["logprobs"] = {"content": [_logprobs(token, asked.top_logprobs) for token in said], "refusal": None}
    return {
        "id": f"chatcmpl-{asked.entropy:016x}",
        "object": "chat.completion",
        "created": 0,
        "model": asked.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": thought + len(said),
            "total_tokens": prompt_tokens + thought + len(said),
        },
    }


def _logprobs(token: Token, top: int) -> dict[str, Any]:
    likeliest = sorted(token.chances.items(), key=lambda chance: -chance[1])[:top]
    own = _entry(token.text, token.chances[token.text])
    return own | {"top_logprobs": [_entry(text, chance) for text, chance in likeliest]}


def _entry(text: str, chance: float) -> dict[str, Any]:
    return {"token": text, "logprob": math.log(chance), "bytes": list(text.encode())}


def _picture_tokens(shape: tuple[int, ...]) -> int:
    height, width = shape[:2]
    return math.ceil(height / PICTURE_PATCH) * math.ceil(width / PICTURE_PATCH)


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    kind = {
        400: "invalid_request_error",
        403: "invalid_request_error",
        404: "invalid_request_error",
        429: "rate_limit_error",
    }.get(status, "server_error")
    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return web.json_response(body, status=status, headers=headers)
