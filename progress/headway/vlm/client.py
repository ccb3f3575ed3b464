"""A client for servers that speak OpenAI's protocol: vLLM, SGLang, Ollama, LM Studio, llama.cpp, OpenAI, Gemini."""

import asyncio
import hashlib
import time
from dataclasses import replace
from typing import Any

from headway.errors import InvalidValue
from headway.vlm.chat import Abilities, NoReply, Question, Reply, Usage
from headway.vlm.failures import (
    FILTERED,
    PATIENCE,
    SPENT_ON_THINKING,
    Failure,
    hint,
    may_pass,
    seconds_to_wait,
    shown,
    spared_parameter,
    words_of,
)
from headway.vlm.probe import Refused, find_out
from headway.vlm.reply_cache import Known, ReplyCache, abilities_key, known_from_json, question_key
from headway.vlm.server import Line, address, check_key, key_variable, line_to, openai_package
from headway.vlm.server import key_for as key_for
from headway.vlm.tokens import remark_on_cut
from headway.vlm.wire import (
    NOT_JSON,
    NotAReply,
    decoded,
    ran_out,
    reply_from_json,
    reply_of,
    reply_to_json,
    request_body,
)

MODELS_NAMED = 10
# tokens beyond those of a reply, tried one after another where a model that thinks first comes to no reply
THINKING = (0, 4096, 16384)
# a slow model's, for how long it may then stay silent
TOKENS_A_SECOND = 50


class OpenAIModel:
    """A model behind an address.

    A reply is asked for once: the cache answers the second time. A question's schema is sent only to a server that
    was found to hold to it. A server that refuses `max_tokens`, `temperature`, `seed` or the schema is asked again
    without it (`max_tokens` under its newer name), and never sent it again. A model that thinks first may use up all of
    `max_tokens` and come to no reply: it is asked again with more on top, and from then on given as much at once.

    Attributes:
        remarks: what a person should be told of the server, such as that it may have cut a prompt; mostly empty.

    Args:
        model: as the server calls it.
        base_url: of the server, such as http://localhost:8000/v1.
        api_key: for this server alone (see `key_for`); None where it needs none. Never kept, never printed.
        cache: of replies; None keeps none.
        at_once: questions under way at the same time, at least 1.
        timeout: seconds a server may stay silent; longer where the model is given room to think.
        retries: further attempts after a failure that may pass: status 408, 409, 425, 429 or 5xx, silence, a lost
            connection. One at most where nobody was ever at the address. Retry-After is honoured up to two minutes.

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
        self.remarks: set[str] = set()
        self._key = api_key
        self._cache = cache
        self._openai = openai_package()
        self._line: Line | None = None
        self._known = Known()
        self._not_taken: frozenset[str] = frozenset()
        self._reached = False

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name})"

    async def ask(self, question: Question) -> Reply:
        """The reply, from the cache or the server. Raises NoReply in one line, OutputError for a damaged cache."""
        key = question_key(self.base_url, self.model, question)
        kept = self._cache.get(key) if self._cache else None
        reply = None if kept is None else reply_from_json(kept)
        if reply is not None and not ran_out(question, reply):
            self.spent += reply.usage
            return reply
        self._recall()
        if question.schema is not None and not (await self._found_out()).schema:
            question = replace(question, schema=None)
        try:
            reply = await self._send(question)
        except Refused as error:
            raise await self._about_pictures(question, error) from None
        if self._cache and not ran_out(question, reply):
            self._cache.put(key, reply_to_json(reply))
        return reply

    async def abilities(self) -> Abilities:
        """What the server can do: asked once, then known for a day.

        Raises NoReply when it is not there, or takes no pictures at all.
        """
        found = await self._found_out()
        if found.pictures == 0:
            raise self._blind()
        return found

    async def aclose(self) -> None:
        """Close the connections, once or several times. The model may be asked again: it then opens new ones."""
        line, self._line = self._line, None
        # what belonged to a loop that has ended can no longer be closed in order
        if line is not None and line.loop is asyncio.get_running_loop():
            await line.client.close()

    async def _found_out(self) -> Abilities:
        async with self._connected().probing:
            self._recall()
            if self._known.abilities is None:
                found = await find_out(self._send)
                self._learn(replace(self._known, abilities=found, at=time.time()))
                return found
            return self._known.abilities

    def _recall(self) -> None:
        if self._cache and not self._known.at:
            self._known = known_from_json(self._cache.get(abilities_key(self.base_url, self.model)))

    def _learn(self, known: Known) -> None:
        self._known = known
        # who mends a server that takes no pictures need not wait a day
        blind = known.abilities is not None and known.abilities.pictures == 0
        if self._cache and not blind:
            self._cache.put(abilities_key(self.base_url, self.model), known.to_json())

    async def _about_pictures(self, question: Question, error: Refused) -> NoReply:
        """Why a question was refused: the error itself, unless pictures are at the bottom of it."""
        number = len(question.pictures)
        if number > 1 and error.failure.too_many_pictures:
            return NoReply(
                f"{self.name} does not take the {number} pictures that one question shows: {error.failure.words} "
                f"(status {error.failure.status}); show fewer, with ?frames=N in the spec"
            )
        try:
            return self._blind() if number and (await self._found_out()).pictures == 0 else error
        except NoReply:
            return error

    def _blind(self) -> NoReply:
        return NoReply(f"{self.name} takes no pictures; choose a vision-language model")

    async def _send(self, question: Question) -> Reply:
        """Ask the server, with more room where the model thought until there was none. Raises Refused, NoReply."""
        used, reply = Usage(), None
        # the first token alone is wanted: room after it is of use only where a server gives no other
        first = 0 if question.max_tokens == 1 and question.top_logprobs else self._known.thinking
        for room in (room for room in THINKING if room >= first):
            try:
                reply = await self._ask_server(question, room)
            except Refused:
                # the server may have no such room; what it says with less of it stands
                if room == 0:
                    raise
                return replace(reply, usage=used) if reply else await self._ask_server(question, 0)
            used += reply.usage
            if room > self._known.thinking:
                self._learn(replace(self._known, thinking=room, at=self._known.at or time.time()))
            if not ran_out(question, reply):
                break
        assert reply is not None
        return replace(reply, usage=used)

    async def _ask_server(self, question: Question, room: int) -> Reply:
        """Ask, again where that may help; with room for tokens beyond the reply's own. Raises Refused, NoReply."""
        used = Usage()
        failures = 0
        line = self._connected()
        wider = replace(question, max_tokens=question.max_tokens + room)
        async with line.room:
            while True:
                body = request_body(self.model, wider, self._not_taken)
                answer, cost = await self._attempt(line, body, self.timeout + room / TOKENS_A_SECOND)
                self.spent += cost
                used += cost
                self._reached |= isinstance(answer, Reply) or answer.connected
                if isinstance(answer, Reply):
                    remark = remark_on_cut(question, answer.usage.prompt_tokens)
                    # its numbers differ from question to question: the first will do
                    if remark and not self.remarks:
                        self.remarks.add(remark)
                    return replace(answer, usage=used)
                if answer.parameter:
                    self._not_taken |= {answer.parameter}
                    continue
                wait = seconds_to_wait(failures, answer.retry_after)
                failures += 1
                # at an address where nothing ever answered, somebody has to do something first
                retries = self.retries if self._reached else min(self.retries, 1)
                if failures > retries or wait > PATIENCE or not may_pass(answer.status, answer.code):
                    raise await self._no_reply(line, answer, failures, wait)
                await asyncio.sleep(wait)

    async def _attempt(self, line: Line, body: dict[str, Any], timeout: float) -> tuple[Reply | Failure, Usage]:
        """One request: what came of it, and what it cost."""
        openai = self._openai
        started = time.monotonic()
        answer: Reply | Failure
        try:
            sent = line.client.post("/chat/completions", cast_to=object, body=body, options={"timeout": timeout})
            answer = reply_of(decoded(await sent))
        except openai.APITimeoutError:
            answer = Failure(f"it was silent for {timeout:.4g} s")
        except openai.APIConnectionError as error:
            answer = Failure(self._clean(str(error.__cause__ or error)) or "the connection failed", connected=False)
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
        if status == 400 and SPENT_ON_THINKING.search(words.lower()):
            return Reply("", finish="length")
        parameter = spared_parameter(words, error.param, body) if status in (400, 422) else None
        return Failure(self._clean(words), status, code, parameter, error.response.headers.get("retry-after"))

    def _clean(self, words: str) -> str:
        return shown(words_of(words), self._key)

    async def _no_reply(self, line: Line, failure: Failure, attempts: int, wait: float) -> NoReply:
        what, todo = failure.words, hint(failure, wait)
        status = failure.status
        if failure.forbids_logprobs:
            what = "it may not be asked for log-probabilities"
        elif status in (401, 403):
            # what is said of a key may hold pieces of it
            what = "the key is refused" if self._key else "it needs a key"
            todo = f"put one that may use this model into {key_variable(self.base_url)}"
        elif status == 404:
            todo = await self._models(line)
        count = f" after {attempts} attempts" if attempts > 1 else ""
        numbered = f" (status {status})" if status not in (None, 200) else ""
        text = f"{self.name} gave no reply{count}: {what or 'no reason given'}{numbered}"
        text = f"{text}; {todo}" if todo else text
        return Refused(text, failure) if failure.refuses else NoReply(text)

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
            self._line = line_to(self.base_url, self._key, self.timeout, self.at_once)
        return self._line
