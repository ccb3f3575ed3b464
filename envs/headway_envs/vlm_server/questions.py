"""Requests of OpenAI's chat protocol, as the server understands them: what is shown, and what is asked about it."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cv2
import numpy as np

from headway.episodes import Array


class Kind(StrEnum):
    """What a request asks for."""

    FRAMES = "frames"  # the completion of labelled frames, in JSON
    PAIR = "pair"  # which of two frames is further, and by how much
    STAGES = "stages"  # the stage that is under way in labelled frames, in JSON
    PROPOSE = "propose"  # names of the stages that a task parts into, in JSON
    RUBRIC = "rubric"  # a score of 1 to 5, `ANSWER: k`
    LETTER = "letter"  # a letter from A to T
    TRUTH = "truth"  # True or False, yes or no
    OTHER = "other"  # something that no picture is needed for, such as a client's probe


MARKERS: tuple[tuple[str, Kind], ...] = (
    ('{"frames":', Kind.FRAMES),
    ('{"further":', Kind.PAIR),
    ('{"stages":', Kind.STAGES),
    ('{"subtasks":', Kind.PROPOSE),
    ("answer:", Kind.RUBRIC),
    ("20 letters", Kind.LETTER),
    ("true or not", Kind.TRUTH),
    ("yes or no", Kind.TRUTH),
)
"""By which words of a request, in small letters, its kind is known; the first that occurs counts."""

_LABEL = re.compile(r"\bFrame (\d+):\s*$")
_WANTED = re.compile(r"\bframes?\s+(\d+(?:,\s*\d+)*)", re.IGNORECASE)
_SUBTASKS = re.compile(r"\bSubtasks, in order: (.*?)\.\n")
_DATA_URL = re.compile(r"data:image/(?:png|jpeg);base64,(.*)", re.DOTALL)


class BadRequest(ValueError):
    """A request that the server refuses, in one line and with that HTTP status."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, repr=False)
class Shown:
    """A picture of a request.

    Attributes:
        pixels: uint8 RGB (height, width, 3).
        label: the N of the `Frame N:` that ends the text directly before it; None without.
    """

    pixels: Array
    label: int | None


@dataclass(frozen=True, repr=False)
class Asked:
    """A request.

    Attributes:
        kind: what is asked for.
        model: the reader that is to answer.
        shown: its pictures in order.
        text: all it says, the parts joined by line breaks.
        tail: what it says after the last picture.
        top_logprobs: alternatives to report with each token; None when no log-probabilities are asked for.
        max_tokens: of the reply; None for any number.
        schema: that the reply is to meet, or None.
        entropy: a number that is drawn from all of this, for what the answer leaves to chance.
    """

    kind: Kind
    model: str
    shown: tuple[Shown, ...]
    text: str
    tail: str
    top_logprobs: int | None
    max_tokens: int | None
    schema: Mapping[str, Any] | None
    entropy: int

    @property
    def anchor(self) -> int | None:
        """Place of the first picture without a label, which shows the scene at 0 %."""
        return next((place for place, shown in enumerate(self.shown) if shown.label is None), None)

    @property
    def wanted(self) -> tuple[int, ...]:
        """Places of the pictures asked about: those whose labels are listed after the last picture; else all with a
        label that come after the anchor."""
        listed = {int(label) for found in _WANTED.findall(self.tail) for label in found.split(",")}
        labelled = [place for place, shown in enumerate(self.shown) if shown.label is not None]
        named = tuple(place for place in labelled if self.shown[place].label in listed)
        return named or tuple(place for place in labelled if place >= (self.anchor or 0))

    @property
    def subtasks(self) -> tuple[str, ...]:
        """Names of the stages to choose from, in order."""
        found = _SUBTASKS.search(self.text)
        return tuple(name.strip() for name in found[1].split(";")) if found else ()


def understand(body: Any) -> Asked:
    """Read a request's JSON. Raises BadRequest."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        raise BadRequest("the body must be a JSON object with a list of `messages`")
    if body.get("stream"):
        raise BadRequest("this server does not stream")
    texts, shown, tail = [], [], ""
    before = ""
    for part in _parts(body["messages"]):
        kind = part.get("type")
        if kind == "text":
            before = str(part.get("text", ""))
            texts.append(before)
            tail += before + "\n"
        elif kind == "image_url":
            label = _LABEL.search(before)
            shown.append(Shown(_pixels(part.get("image_url")), int(label[1]) if label else None))
            before, tail = "", ""
        else:
            raise BadRequest(f"a part's type must be `text` or `image_url`, got {kind!r}")
    text = "\n".join(texts)
    return Asked(
        kind=_kind(text) if shown else Kind.OTHER,
        model=str(body.get("model", "")),
        shown=tuple(shown),
        text=text,
        tail=tail,
        top_logprobs=_top_logprobs(body),
        max_tokens=_whole(body, "max_completion_tokens") or _whole(body, "max_tokens"),
        schema=_schema(body.get("response_format")),
        entropy=int.from_bytes(hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()[:8]),
    )


def _kind(text: str) -> Kind:
    small = text.lower()
    return next((kind for phrase, kind in MARKERS if phrase in small), Kind.OTHER)


def _parts(messages: list[Any]) -> list[dict[str, Any]]:
    """The parts of all turns in order; a turn's plain text is one part."""
    parts: list[dict[str, Any]] = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            parts.append({"type": "text", "text": content})
        elif isinstance(content, list) and all(isinstance(part, dict) for part in content):
            parts += content
        else:
            raise BadRequest("a message's `content` must be text or a list of parts")
    return parts


def _pixels(image: Any) -> Array:
    """Of a data URL; the server fetches nothing from elsewhere."""
    url = image.get("url") if isinstance(image, dict) else None
    match = _DATA_URL.fullmatch(url) if isinstance(url, str) else None
    if match is None:
        raise BadRequest("an image_url must be a data URL with a PNG or JPEG in base64")
    try:
        data = np.frombuffer(base64.b64decode(match[1], validate=True), np.uint8)
    except binascii.Error as error:
        raise BadRequest(f"an image is no valid base64: {error}") from error
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if decoded is None:
        raise BadRequest("an image is no PNG or JPEG that can be decoded")
    return np.ascontiguousarray(decoded[:, :, ::-1])  # OpenCV gives blue, green, red


def _top_logprobs(body: Mapping[str, Any]) -> int | None:
    if not body.get("logprobs"):
        return None
    number = body.get("top_logprobs") or 0
    if not isinstance(number, int) or not 0 <= number <= 20:
        raise BadRequest(f"top_logprobs must be from 0 to 20, got {number!r}")
    return number


def _whole(body: Mapping[str, Any], name: str) -> int | None:
    number = body.get(name)
    if number is not None and (not isinstance(number, int) or number < 1):
        raise BadRequest(f"{name} must be a whole number of at least 1, got {number!r}")
    return number


def _schema(wanted: Any) -> Mapping[str, Any] | None:
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return None
    named = wanted.get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    if not isinstance(schema, dict):
        raise BadRequest("response_format asks for json_schema but gives no schema")
    return schema
