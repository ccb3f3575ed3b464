"""Questions and replies in the form of OpenAI's chat completions, which most servers speak."""

import base64
import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from headway.errors import InvalidValue
from headway.vlm.chat import Part, Question, Reply, Text, Token, Usage
from headway.vlm.failures import words_of

MOST_ALTERNATIVES = 20
FINISHES = {"length": "length", "max_tokens": "length", "content_filter": "refusal"}
# what some servers say of a reply that they could not end
BROKEN_OFF = ("error", "abort")
NOT_JSON = "it sent something else than a chat completion; is the address right? Most end in /v1"


class NotAReply(ValueError):
    """What a server sent is no chat completion."""


def request_body(model: str, question: Question, refused: Collection[str] = ()) -> dict[str, Any]:
    """The JSON that asks a question.

    Args:
        model: as the server calls it.
        question: its parts become one user message, in order.
        refused: parameters that this server does not take: `max_tokens` goes by its newer name,
            `max_completion_tokens`; the others are left out.
    """
    if not 0 <= question.top_logprobs <= MOST_ALTERNATIVES:
        raise InvalidValue(f"top_logprobs is between 0 and {MOST_ALTERNATIVES}, got {question.top_logprobs}")
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": [_content(part) for part in question.parts]}],
        "max_tokens": question.max_tokens,
        "temperature": question.temperature,
    }
    if question.seed is not None:
        body["seed"] = question.seed
    if question.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": question.top_logprobs}
    if question.schema is not None:
        schema = {"name": "reply", "strict": True, "schema": question.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if "max_tokens" in refused:
        body["max_completion_tokens"] = body["max_tokens"]
    return {name: value for name, value in body.items() if name not in refused}


def _content(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    data = base64.b64encode(part.data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{data}"}}


def reply_of(completion: object) -> Reply:
    """Read a chat completion, as decoded JSON; its usage counts tokens alone. Raises NotAReply."""
    if not isinstance(completion, Mapping):
        raise NotAReply(NOT_JSON)
    if completion.get("error"):
        raise NotAReply(words_of(completion["error"]))
    choices = completion.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping):
        raise NotAReply("it sent a chat completion without a message")
    ended = choice.get("finish_reason")
    message = choice.get("message")
    # Gemini sends none where its thinking took all of max_tokens
    if message is None and FINISHES.get(str(ended)) == "length":
        message = {}
    if not isinstance(message, Mapping):
        raise NotAReply("it sent a chat completion without a message")
    if ended in BROKEN_OFF:
        raise NotAReply(f"it broke off its reply ({ended})")
    text = message.get("content")
    refused = bool(message.get("refusal"))
    usage = completion.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    return Reply(
        # a message that holds no words is an empty one: whoever asked will find nothing to read in it
        text=text if isinstance(text, str) and not refused else "",
        finish="refusal" if refused else FINISHES.get(str(ended), "stop"),
        tokens=_tokens(choice.get("logprobs")),
        usage=Usage(
            prompt_tokens=_count(usage.get("prompt_tokens")), completion_tokens=_count(usage.get("completion_tokens"))
        ),
    )


def ran_out(question: Question, reply: Reply) -> bool:
    """Whether a model had used up the reply's tokens before it said a word, as one that thinks first may.

    Where one token and its log-probabilities were asked for and given, nothing is missing.
    """
    scored = question.max_tokens == 1 and question.top_logprobs and reply.tokens
    return reply.finish == "length" and not reply.text and not scored


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _tokens(logprobs: object) -> tuple[Token, ...]:
    """The reply's tokens, or none at all where one of them has no log-probability."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    tokens = []
    for entry in content if isinstance(content, list) else ():
        chosen = _scored(entry)
        if chosen is None:
            return ()
        others = entry.get("top_logprobs") or ()
        # an alternative of no probability is none
        tokens.append(Token(*chosen, tuple(scored for scored in map(_scored, others) if scored is not None)))
    return tuple(tokens)


def _scored(entry: object) -> tuple[str, float] | None:
    if not isinstance(entry, Mapping):
        return None
    text, logprob = entry.get("token"), entry.get("logprob")
    if not isinstance(text, str) or not isinstance(logprob, int | float) or not math.isfinite(logprob):
        return None
    return text, float(logprob)


def reply_to_json(reply: Reply) -> dict[str, Any]:
    """What a cache keeps of a reply: what it cost is not part of it."""
    tokens = [[token.text, token.logprob, [list(other) for other in token.alternatives]] for token in reply.tokens]
    return {"text": reply.text, "finish": reply.finish, "tokens": tokens}


def reply_from_json(kept: Mapping[str, Any]) -> Reply:
    """A reply that was kept; its usage is one cache hit."""
    tokens = (Token(text, logprob, tuple((a, b) for a, b in others)) for text, logprob, others in kept["tokens"])
    return Reply(kept["text"], kept["finish"], tuple(tokens), Usage(cache_hits=1))


def decoded(answer: object) -> object:
    """JSON that came under another content type, and so as text, or what it is already. Raises NotAReply."""
    if not isinstance(answer, str):
        return answer
    try:
        return json.loads(answer)
    except ValueError as error:
        raise NotAReply(NOT_JSON) from error
