"""What the server is told to do wrong, and what it is able to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Fault(StrEnum):
    """What goes wrong with one reply. Those from DUPLICATE to WRONG_TYPE are about lists of frames or stages in JSON; a
    reply that is none stays as it is."""

    RATE_LIMIT = "rate limit"  # 429 with Retry-After
    SERVER_ERROR = "server error"  # 500
    TIMEOUT = "timeout"  # no answer for `slow_s` seconds
    TRUNCATED = "truncated"  # cut off in the middle, finish_reason "length"
    REFUSAL = "refusal"  # in the protocol's own field
    REFUSAL_IN_PROSE = "refusal in prose"
    EMPTY = "empty"
    PROSE_AROUND = "prose around"  # sentences with percentages before and after the JSON
    FENCE = "fence"  # JSON in a markdown fence
    DUPLICATE = "duplicate"  # two values for one entry
    UNKNOWN_FRAME = "unknown frame"  # one entry more, for a frame that was not shown
    EXTRA_PERCENTAGE = "extra percentage"  # other percentages in the descriptions
    OUT_OF_RANGE = "out of range"
    MISSING = "missing"  # every third entry is left out
    WRONG_TYPE = "wrong type"  # a list where a number belongs


class Manner(StrEnum):
    """How the server comes by its answers."""

    HONEST = "honest"  # it looks at the pictures
    LAZY = "lazy"  # it goes by their place in the request: the later, the further
    CONSTANT = "constant"  # one half, always


Faults = Sequence[Fault | None] | Callable[[int], Fault | None]


@dataclass(frozen=True)
class Script:
    """How the server behaves.

    Attributes:
        faults: by the number of the request, from 0; None, and whatever is beyond the sequence's end, goes well. Only
            requests that ask about pictures in a way that the server understands count: a client's probes do not.
        manner: how it comes by its answers.
        logprobs: whether log-probabilities are given, the request refused with 400, forbidden with 403 as OpenAI does
            for some of its models, or the wish ignored.
        thinking: how many tokens it spends before each reply, as models that reason do. They count as the reply's own:
            a request with no larger max_tokens gets nothing but finish_reason "length".
        schema: whether it takes response_format; otherwise 400.
        pictures: the most in a request, else 400; None for any number.
        seed: of everything that is drawn. The same request gets the same answer, in whatever order requests come.
        slow_s: how many seconds a request with TIMEOUT waits before it is answered after all.
        retry_after: what a 429 says in that header, seconds or an HTTP date.
    """

    faults: Faults = ()
    manner: Manner = Manner.HONEST
    logprobs: Literal["given", "refused", "forbidden", "ignored"] = "given"
    thinking: int = 0
    schema: bool = True
    pictures: int | None = None
    seed: int = 0
    slow_s: float = 30.0
    retry_after: str = "0"

    def fault(self, number: int) -> Fault | None:
        """Of that request."""
        if callable(self.faults):
            return self.faults(number)
        return self.faults[number] if number < len(self.faults) else None
