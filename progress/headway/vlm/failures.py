"""Why a server gave no reply: whether to ask it again, when, and what to tell a person."""

import math
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

# seconds before the second attempt; doubled before each further one
FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0
# a server that wants to be left alone for longer than this is not waited for
PATIENCE = 120.0
# 200: what came was no reply
PASSING = (200, 408, 409, 425, 429)
REFUSALS = (400, 413, 415, 422, 501)
# in the place of a reply, where the question itself was filtered
FILTERED = ("content_filter", "content_policy_violation")
# what a request can do without; max_tokens has a newer name
SPARABLE = ("max_tokens", "temperature", "seed", "response_format")
NOT_TAKEN = re.compile(r"unsupported|not support|instead|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed")
LONGEST_WORDS = 300
# what OpenAI says in place of an empty reply, where a model's thinking took all of max_tokens
SPENT_ON_THINKING = re.compile(r"could not finish the message because max_tokens or model output limit was reached")
PICTURES = re.compile(r"\b(?:images?|image\(s\)|pictures?)")
LIMIT = re.compile(
    r"at most|too many|up to|fewer than|more than|maximum (?:number|count)|max(?:imum)? (?:is|of)|limit|exceed|"
    r"\bonly (?:one|a single|\d)"
)
# of the pictures themselves, not of their number
SIZE = re.compile(r"\bsize|dimension|pixel|bytes?\b|\d ?[km]b\b|resolution|too large")
NOT_ONE = re.compile(r"at most (?:0|no)\b")
CREDENTIALS = re.compile(r"(?<=://)[^\s@]*@")


@dataclass(frozen=True)
class Failure:
    """One attempt that gave no reply.

    Attributes:
        words: what the server, or the network, said; without a key.
        status: of HTTP; None where the connection itself failed.
        code: of OpenAI's protocol.
        parameter: that the server does not take, and that the request can do without.
        retry_after: the header.
        connected: whether there was anybody at the address.
    """

    words: str
    status: int | None = None
    code: str | None = None
    parameter: str | None = None
    retry_after: str | None = None
    connected: bool = True

    @property
    def forbids_logprobs(self) -> bool:
        """Whether it is the log-probabilities that may not be had, and not the model."""
        return self.status == 403 and "logprobs" in self.words.lower()

    @property
    def refuses(self) -> bool:
        """Whether the server is there and takes no such request."""
        return self.status in REFUSALS or self.forbids_logprobs

    @property
    def too_many_pictures(self) -> bool:
        """Whether the server takes pictures, but not so many."""
        low = self.words.lower()
        told = bool(PICTURES.search(low) and LIMIT.search(low)) and not (SIZE.search(low) or NOT_ONE.search(low))
        return self.status == 413 or (self.status in REFUSALS and told)


def may_pass(status: int | None, code: str | None) -> bool:
    """Whether asking again could help. A status of None is a connection that failed; no money is no passing matter."""
    if code == "insufficient_quota":
        return False
    return status is None or status in PASSING or (status >= 500 and status not in REFUSALS)


def spared_parameter(words: str, parameter: str | None, body: Mapping[str, Any]) -> str | None:
    """The parameter of a request that a server does not take, if the request can do without it.

    A value out of its range is not such a case: a request is never changed for it.

    Args:
        words: what the server said.
        parameter: what it named as the culprit, in OpenAI's field for that.
        body: the request.
    """
    low = words.lower()
    for name in SPARABLE:
        named = parameter == name or re.search(rf"\b{name}\b", low) is not None
        if name in body and named and (name == "response_format" or NOT_TAKEN.search(low)):
            return name
    return None


def seconds_to_wait(attempt: int, retry_after: str | None) -> float:
    """How long to wait after a failed attempt, the first being 0.

    What the server says in Retry-After (seconds or an HTTP date, RFC 9110 section 10.2.3), else exponential backoff:
    between half and all of FIRST_WAIT 2^attempt, at most LONGEST_WAIT.
    """
    told = _told(retry_after) if retry_after else None
    if told is not None:
        return told
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt, 100)) * random.uniform(0.5, 1)


def _told(retry_after: str) -> float | None:
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def words_of(content: object) -> str:
    """What a server's error says, in one line, whichever of the usual forms it has."""
    if isinstance(content, list) and content:
        return words_of(content[0])
    if isinstance(content, Mapping):
        for name in ("error", "message", "detail", "msg"):
            if content.get(name):
                return words_of(content[name])
    text = " ".join(str(content or "").split())
    if text[:15].lower().startswith(("<!doctype", "<html")):
        return "a web page came"
    return text


def shown(words: str, key: str | None) -> str:
    """A server's words as a person may see them: without the key, and cut after that, lest a piece of it is left.

    An address among them loses a name and password.
    """
    text = CREDENTIALS.sub("", words.replace(key, "[key]") if key else words)
    return text if len(text) <= LONGEST_WORDS else text[: LONGEST_WORDS - 1] + "…"


def hint(failure: Failure, wait: float) -> str:
    """What a person can do about a failure, or nothing. `wait`: seconds after which the server wants to be asked."""
    status = failure.status
    if status is None:
        return "is the server running, and is the address right?"
    if 300 <= status < 400:
        return "the server has moved: give the address it moved to"
    if wait > PATIENCE:
        return f"it wants to be asked again in {wait:.0f} s, not before"
    if status == 429:
        return "ask less at once, or raise the limit of the account"
    return "its own log says more" if status >= 500 else ""
