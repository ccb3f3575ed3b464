"""What is said to a vision-language model and what it says back, whoever serves it.

A question is one user turn of texts and pictures in order. A `ChatModel` answers it: a server that speaks OpenAI's
protocol (client.py), or a model on this machine (local.py).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from headway.errors import HeadwayError


@dataclass(frozen=True)
class Text:
    """A piece of text."""

    text: str


@dataclass(frozen=True, repr=False)
class Picture:
    """An encoded picture. Its bytes tell nothing of when it was taken: no name, no metadata.

    Attributes:
        data: the file's bytes.
        width: pixels.
        height: pixels.
        media_type: `image/png` or `image/jpeg`.
    """

    data: bytes
    width: int
    height: int
    media_type: str = "image/png"

    @cached_property
    def digest(self) -> str:
        """By which a cache knows the picture."""
        return hashlib.sha256(self.data).hexdigest()

    def __repr__(self) -> str:
        return f"Picture({self.width}x{self.height}, {len(self.data)} bytes)"


Part = Text | Picture


@dataclass(frozen=True)
class Question:
    """One user turn and how it is to be answered.

    Attributes:
        parts: texts and pictures in order.
        max_tokens: of the reply.
        temperature: 0 takes the likeliest token each time.
        seed: for servers that draw; also tells repeats of one question apart in a cache.
        top_logprobs: how many alternatives to report at every token of the reply, at most 20; 0 for none.
        schema: the JSON schema that the reply must meet, for servers that can hold a model to it.
    """

    parts: tuple[Part, ...]
    max_tokens: int = 2048
    temperature: float = 0.0
    seed: int | None = None
    top_logprobs: int = 0
    schema: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(part for part in self.parts if isinstance(part, Picture))


@dataclass(frozen=True)
class Token:
    """One token of a reply, and the likeliest ones in its place: (text, natural logarithm of its probability)."""

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Usage:
    """What requests cost. Sums with +.

    Attributes:
        requests: sent over the wire, or run on this machine; retries count.
        cache_hits: questions answered without a request.
        prompt_tokens: as the server counts them, pictures included.
        completion_tokens: as the server counts them.
        seconds: spent waiting for replies, summed over requests.
    """

    requests: int = 0
    cache_hits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True)
class Reply:
    """What a model said.

    Attributes:
        text: its words; empty when it refused.
        finish: `stop`, `length` (cut off at max_tokens) or `refusal` (a content filter, or the model itself in the
            protocol's own field).
        tokens: with their alternatives; empty unless log-probabilities were asked for and given.
        usage: of this reply alone.
    """

    text: str
    finish: str = "stop"
    tokens: tuple[Token, ...] = ()
    usage: Usage = Usage()


@dataclass(frozen=True)
class Abilities:
    """What a server was found to be able to do.

    Attributes:
        logprobs: it reports log-probabilities of a reply's tokens.
        schema: it holds a reply to a JSON schema.
        pictures: the most pictures it takes in one request; None when no limit was met.
    """

    logprobs: bool
    schema: bool
    pictures: int | None = None


class NoReply(HeadwayError):
    """A model gave no reply: the server is not there, refuses the request, or failed at every attempt."""


class ChatModel(Protocol):
    """Answers questions. Its methods may be called from one event loop at a time.

    Attributes:
        name: as a user would write it in a spec (`MODEL@URL`, or a folder).
        fingerprint: changes whenever its answers could.
        at_once: how many questions it is worth asking at the same time.
        spent: what it has cost so far.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def at_once(self) -> int: ...
    @property
    def spent(self) -> Usage: ...

    async def ask(self, question: Question) -> Reply:
        """Raises NoReply, in one line."""
        ...

    async def abilities(self) -> Abilities:
        """What it can do; found out once, by asking. Raises NoReply when it is not there."""
        ...
