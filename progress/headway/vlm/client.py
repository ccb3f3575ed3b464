"""A client for servers that speak OpenAI's protocol: vLLM, SGLang, Ollama, LM Studio, llama.cpp, OpenAI, Gemini."""

import asyncio
import hashlib
import time
from dataclasses import asdict, dataclass, replace
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from headway.errors import InvalidValue, Unsupported
from headway.vlm.chat import Abilities, NoReply, Question, Reply, Usage
from headway.vlm.failures import (
    FILTERED,
    PATIENCE,
    REFUSALS,
    may_pass,
    seconds_to_wait,
    shown,
    spared_parameter,
    words_of,
)
from headway.vlm.probe import Refused, find_out
from headway.vlm.reply_cache import ReplyCache, abilities_key, question_key
from headway.vlm.server import address, check_key, is_loopback, key_variable
from headway.vlm.server import key_for as key_for
from headway.vlm.wire import NOT_JSON, NotAReply, decoded, reply_from_json, reply_of, reply_to_json, request_body

NO_KEY = "none"
# the only headers that a server other than OpenAI's own needs
HEADERS = ("host", "accept", "accept-encoding", "connection", "content-length", "content-type", "authorization")
MODELS_NAMED = 10


@dataclass(frozen=True)
class Line:
    """What belongs to one event loop: sockets and locks must not outlive theirs."""

    loop: asyncio.AbstractEventLoop
    client: Any
    room: asyncio.Semaphore
    probing: asyncio.Lock


@dataclass(frozen=True)
class Failure:
    """One attempt that gave no reply.

    Attributes:
        words: what the server, or the network, said.
        status: of HTTP; None where the connection itself failed.
        code: of OpenAI's protocol.
        parameter: that the server does not take, and that the request can do without.
        retry_after: the header.
    """

    words: str
    status: int | None = None
    code: str | None = None
    parameter: str | None = None
    retry_after: str | None = None


class OpenAIModel:
    """A model behind an address.

    A reply is asked for once: the cache answers the second time. A question's schema is sent only to a server that
    was found to hold to it. A server that refuses `max_tokens`, `temperature`, `seed` or the schema is asked again
    without it (`max_tokens` under its newer name), and never sent it again.

    Args:
        model: as the server calls it.
        base_url: of the server, such as http://localhost:8000/v1.
        api_key: for this server alone (see `key_for`); None where it needs none. Never kept, never printed.
        cache: of replies; None keeps none.
        at_once: questions under way at the same time, at least 1.
        timeout: seconds a server may stay silent.
        retries: further attempts after a failure that may pass: status 408, 409, 425, 429 or 5xx, silence, a lost
            connection. Retry-After is honoured up to two minutes.

    Raises:
        InvalidValue: an address that is none, a key that is none or would travel unencrypted, a number out of range.
        Unsupported: the package openai is not installed.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str | None = None,
        cache: ReplyCache | None = None,
        at_once: int = 8,
        timeout: float = 120.0,
        retries: int = 4,
    ):
        if at_once < 1 or retries < 0 or not timeout > 0:
            raise InvalidValue(
                f"a client needs at_once >= 1, retries >= 0 and timeout > 0, got {at_once}, {retries} and {timeout}"
            )
        self.model = model
        self.base_url = address(base_url)
        if api_key:
            check_key(api_key, self.base_url)
        self.name = f"{model}@{self.base_url}"
        self.fingerprint = hashlib.sha256(f"{model}\0{self.base_url}".encode()).hexdigest()[:16]
        self.at_once = at_once
        self.timeout = timeout
        self.retries = retries
        self.spent = Usage()
        self._key = api_key
        self._cache = cache
        self._openai = _openai()
        self._line: Line | None = None
        self._abilities: Abilities | None = None
        self._not_taken: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name})"

    async def ask(self, question: Question) -> Reply:
        """The reply, from the cache or the server. Raises NoReply in one line, OutputError for a damaged cache."""
        key = question_key(self.base_url, self.model, question)
        kept = self._cache.get(key) if self._cache else None
        if kept is not None:
            reply = reply_from_json(kept)
            self.spent += reply.usage
            return reply
        if question.schema is not None and not (await self.abilities()).schema:
            question = replace(question, schema=None)
        reply = await self._send(question)
        if self._cache:
            self._cache.put(key, reply_to_json(reply))
        return reply

    async def abilities(self) -> Abilities:
        """What the server can do: asked once, then known to the cache. Raises NoReply when it is not there."""
        async with self._connected().probing:
            if self._abilities is None:
                key = abilities_key(self.base_url, self.model)
                kept = self._cache.get(key) if self._cache else None
                self._abilities = await find_out(self._send) if kept is None else Abilities(**kept)
                if self._cache and kept is None:
                    self._cache.put(key, asdict(self._abilities))
            return self._abilities

    async def aclose(self) -> None:
        """Close the connections. The model may be asked again: it then opens new ones."""
        line, self._line = self._line, None
        # what belonged to a loop that has ended can no longer be closed in order
        if line is not None and line.loop is asyncio.get_running_loop():
            await line.client.close()

    async def _send(self, question: Question) -> Reply:
        """Ask the server, again where that may help. Raises Refused, NoReply."""
        used = Usage()
        failures = 0
        line = self._connected()
        async with line.room:
            while True:
                body = request_body(self.model, question, self._not_taken)
                answer, cost = await self._attempt(line, body)
                self.spent += cost
                used += cost
                if isinstance(answer, Reply):
                    return replace(answer, usage=used)
                if answer.parameter:
                    self._not_taken |= {answer.parameter}
                    continue
                wait = seconds_to_wait(failures, answer.retry_after)
                failures += 1
                if failures > self.retries or wait > PATIENCE or not may_pass(answer.status, answer.code):
                    raise await self._no_reply(line, answer, failures, wait)
                await asyncio.sleep(wait)

    async def _attempt(self, line: Line, body: dict[str, Any]) -> tuple[Reply | Failure, Usage]:
        """One request: what came of it, and what it cost."""
        openai = self._openai
        started = time.monotonic()
        answer: Reply | Failure
        try:
            answer = reply_of(decoded(await line.client.post("/chat/completions", cast_to=object, body=body)))
        except openai.APITimeoutError:
            answer = Failure(f"it was silent for {self.timeout:g} s")
        except openai.APIConnectionError as error:
            answer = Failure(self._clean(str(error.__cause__ or error)) or "the connection failed")
        except openai.APIStatusError as error:
            answer = self._status_failure(error, body)
        except (NotAReply, ValueError) as error:
            # some servers report a failure of their own in place of the reply; asking again may help
            words = str(error) if isinstance(error, NotAReply) else NOT_JSON
            answer = Failure(self._clean(words), status=200)
        cost = Usage(requests=1, seconds=time.monotonic() - started)
        return answer, cost + answer.usage if isinstance(answer, Reply) else cost

    def _status_failure(self, error: Any, body: dict[str, Any]) -> Reply | Failure:
        status, code = error.status_code, error.code
        if status == 400 and code in FILTERED:
            return Reply("", finish="refusal")
        words = words_of(error.body)
        parameter = spared_parameter(words, error.param, body) if status in (400, 422) else None
        return Failure(self._clean(words), status, code, parameter, error.response.headers.get("retry-after"))

    def _clean(self, words: str) -> str:
        return shown(words_of(words), self._key)

    async def _no_reply(self, line: Line, failure: Failure, attempts: int, wait: float) -> NoReply:
        what, hint = failure.words, ""
        status = failure.status
        if status is None:
            hint = "is the server running, and is the address right?"
        elif status in (401, 403):
            # what is said of a key may hold pieces of it
            what = "the key is refused" if self._key else "it needs a key"
            hint = f"put one that may use this model into {key_variable(self.base_url)}"
        elif status == 404:
            hint = await self._models(line)
        elif 300 <= status < 400:
            hint = "the server has moved: give the address it moved to"
        elif wait > PATIENCE:
            hint = f"it wants to be asked again in {wait:.0f} s, not before"
        elif status == 429:
            hint = "ask less at once, or raise the limit of the account"
        elif status >= 500:
            hint = "its own log says more"
        count = f" after {attempts} attempts" if attempts > 1 else ""
        numbered = f" (status {status})" if status not in (None, 200) else ""
        text = f"{self.name} gave no reply{count}: {what or 'no reason given'}{numbered}"
        kind = Refused if status in REFUSALS else NoReply
        return kind(f"{text}; {hint}" if hint else text)

    async def _models(self, line: Line) -> str:
        """What the server offers, for one who asked for something else."""
        elsewhere = "is the address right? Most end in /v1"
        try:
            listed = await line.client.get("/models", cast_to=object)
            names = sorted(str(model["id"]) for model in listed["data"])
        except (self._openai.APIError, ValueError, LookupError, TypeError):
            return elsewhere
        finally:
            self.spent += Usage(requests=1)
        more = f" and {len(names) - MODELS_NAMED} more" if len(names) > MODELS_NAMED else ""
        return f"it offers {', '.join(names[:MODELS_NAMED])}{more}" if names else "it offers no model"

    def _connected(self) -> Line:
        loop = asyncio.get_running_loop()
        if self._line is None or self._line.loop is not loop:
            self._line = Line(loop, self._client(), asyncio.Semaphore(self.at_once), asyncio.Lock())
        return self._line

    def _client(self) -> Any:
        host = urlsplit(self.base_url).hostname or ""
        hooks = {} if host == "api.openai.com" else {"request": [_bare]}
        key = self._key or NO_KEY
        return self._openai.AsyncOpenAI(
            api_key=key,
            # said here, it is not taken from OPENAI_CUSTOM_HEADERS
            default_headers={"Authorization": f"Bearer {key}"},
            base_url=self.base_url,
            timeout=self.timeout,
            max_retries=0,
            # a redirect would carry the key elsewhere; a proxy has no business between this machine and itself
            http_client=self._openai.DefaultAsyncHttpxClient(
                follow_redirects=False, trust_env=not is_loopback(host), event_hooks=hooks
            ),
        )


async def _bare(request: Any) -> None:
    """Take away what the openai package adds from OPENAI_* variables, and what it tells of this machine."""
    for name in set(request.headers) - set(HEADERS):
        del request.headers[name]


def _openai() -> ModuleType:
    try:
        import openai
    except ImportError as error:
        raise Unsupported('asking a server needs the package openai: pip install "headway[vlm]"') from error
    return openai
