"""A small server of OpenAI's protocol on this machine, which says what a test tells it to."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web


@dataclass
class Answer:
    """What the server sends: JSON, or a text under a content type of its own."""

    json: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    text: str | None = None
    content_type: str = "text/html"


@dataclass
class Seen:
    """A request, as it came over the wire."""

    path: str
    body: Any
    headers: dict[str, str]
    at: float


class Scripted:
    """Answers from `script`, one entry a request; when that is used up, from `otherwise`.

    Attributes:
        url: base URL, with /v1.
        seen: requests in the order of their coming.
        most_at_once: the most that were ever under way.
    """

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.otherwise: Callable[[Any], Answer] = lambda body: self.says("fine")
        self.models: list[str] = ["model-a", "model-b"]
        self.seen: list[Seen] = []
        self.most_at_once = 0
        self.url = ""
        self._under_way = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def says(
        self,
        text: str | None,
        finish: str | None = "stop",
        logprobs: Any = None,
        prompt_tokens: int = 11,
        **message: Any,
    ) -> Answer:
        """A chat completion."""
        choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 7, "total_tokens": prompt_tokens + 7}
        return Answer({"object": "chat.completion", "choices": [{**choice, "logprobs": logprobs}], "usage": usage})

    def fails(self, status: int, message: str = "no", delay: float = 0.0, headers: Any = None, **more: Any) -> Answer:
        """An error in OpenAI's form."""
        return Answer({"error": {"message": message, **more}}, status, headers or {}, delay)

    @property
    def bodies(self) -> list[Any]:
        return [seen.body for seen in self.seen if seen.path == "/v1/chat/completions"]

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        application = web.Application(client_max_size=1 << 26)
        application.router.add_post("/v1/chat/completions", self._complete)
        application.router.add_get("/v1/models", self._list)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"

    async def _complete(self, request: web.Request) -> web.Response:
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            body = await request.json()
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.seen.append(Seen(request.path, body, headers, time.monotonic()))
            answer = self.script.pop(0) if self.script else self.otherwise(body)
            await asyncio.sleep(answer.delay)
        finally:
            self._under_way -= 1
        if answer.text is not None:
            return web.Response(
                text=answer.text, status=answer.status, headers=answer.headers, content_type=answer.content_type
            )
        return web.json_response(answer.json, status=answer.status, headers=answer.headers)

    async def _list(self, request: web.Request) -> web.Response:
        self.seen.append(Seen(request.path, None, {}, time.monotonic()))
        return web.json_response({"object": "list", "data": [{"id": name} for name in self.models]})


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    scripted.start()
    yield scripted
    scripted.stop()
