"""Finding out what a server can do, by asking it."""

import json
from collections.abc import Awaitable, Callable

import numpy as np

from headway.vlm.chat import Abilities, NoReply, Picture, Question, Reply, Text
from headway.vlm.clip import encode
from headway.vlm.failures import Failure
from headway.vlm.wire import MOST_ALTERNATIVES

# as many as most methods show; who takes these is not asked for more until it has to
MANY_PICTURES = 40
FEWER_PICTURES = (16, 8, 4, 2)
# some models refuse pictures below 28 pixels
SIDE = 32
# no model says this by itself
WORD = "headway-7391"
SCHEMA = {
    "type": "object",
    "properties": {"word": {"type": "string", "enum": [WORD]}},
    "required": ["word"],
    "additionalProperties": False,
}
PLAIN = (Text("Reply with the letter A and nothing else."),)
# models that think before they speak refuse a limit of one token
FEW_TOKENS = 16

Send = Callable[[Question], Awaitable[Reply]]


class Refused(NoReply):
    """The server is there and takes no such request (status 400, 413, 415, 422, 501; 403 for log-probabilities)."""

    def __init__(self, line: str, failure: Failure):
        super().__init__(line)
        self.failure = failure


async def find_out(send: Send) -> Abilities:
    """Ask a server five or so short questions.

    Args:
        send: sends a question, with room to think for a model that does; raises Refused where the server takes no such
            request, NoReply otherwise.

    Raises:
        NoReply: it is not there, or refuses even the plainest question.
    """
    logprobs = await _has_logprobs(send)
    schema = await _holds_to_schema(send)
    pictures = await _most_pictures(send)
    if not (logprobs or schema or pictures is None or pictures):
        await send(Question(PLAIN, max_tokens=FEW_TOKENS))
    return Abilities(logprobs, schema, pictures)


async def _has_logprobs(send: Send) -> bool:
    """Of the reply itself: those of the thinking before it are of no use."""
    try:
        reply = await send(Question(PLAIN, max_tokens=FEW_TOKENS, top_logprobs=MOST_ALTERNATIVES))
    except Refused:
        return False
    if not reply.tokens or not reply.tokens[0].alternatives:
        return False
    return reply.text.strip().startswith(reply.tokens[0].text.strip())


async def _holds_to_schema(send: Send) -> bool:
    """A server that ignores the schema answers the question, which asks for something else."""
    try:
        reply = await send(Question((Text("Name a colour."),), max_tokens=256, schema=SCHEMA))
        return bool(json.loads(reply.text) == {"word": WORD})
    except (Refused, ValueError):
        return False


async def _most_pictures(send: Send) -> int | None:
    if not await _takes_pictures(send, 1):
        return 0
    if await _takes_pictures(send, MANY_PICTURES):
        return None
    for count in FEWER_PICTURES:
        if await _takes_pictures(send, count):
            return count
    return 1


async def _takes_pictures(send: Send, count: int) -> bool:
    try:
        await send(Question((*_pictures(count), *PLAIN), max_tokens=FEW_TOKENS))
    except Refused:
        return False
    return True


def _pictures(count: int) -> tuple[Picture, ...]:
    """Grey squares, each of another shade."""
    shades = np.linspace(0, 255, count).astype(np.uint8)
    return tuple(encode(np.full((SIDE, SIDE, 3), shade)) for shade in shades)
