"""Reading replies: by the frame's label, as much of a reply as can be read, and never a number that is not there."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headway.vlm.chat import Reply
from headway.vlm.judgement import Outcome

# how models say no without the protocol's own field for it, which they do at once
REFUSAL = re.compile(
    r"\W*(?:(?:i'?m|i am) )?(?:sorry|unable|afraid|i (?:cannot|can't|can not|won't|must refuse))\b", re.IGNORECASE
)
LABEL = re.compile(r"\s*(?:frame\s*)?(\d{1,6})\s*:?\s*", re.IGNORECASE)
# drafts of a model that thinks aloud are no part of its answer
THINKING = re.compile(r".*</think>", re.DOTALL)
NUMBER = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*%?\s*")

# the reply that is asked for, for servers that can hold a model to a schema; the description comes first, as it is
# the reasoning that the percentage follows from
FRAMES_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "frames": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "frame": {"type": "integer"},
                    "description": {"type": "string"},
                    "completion": {"type": "integer", "minimum": 0, "maximum": 100},
                },
                "required": ["frame", "description", "completion"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["frames"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Readings[T]:
    """What one reply says of the frames that were asked about.

    Attributes:
        values: label -> what is said of the frame, of those that could be read.
        outcomes: how often each came up: one for each frame asked about, and one for each value of an unknown frame.
    """

    values: Mapping[int, T]
    outcomes: Counter[Outcome] = field(default_factory=Counter)


def read_frames(reply: Reply, labels: Collection[int]) -> Readings[float]:
    """Completions in percent, 0 to 100, out of `{"frames": [{"frame": N, "description": "...", "completion": P}]}`."""
    return read_labelled(reply, labels, "frames", _completion)


def read_labelled[T](
    reply: Reply, labels: Collection[int], name: str, value_of: Callable[[Mapping[str, Any]], T | Outcome]
) -> Readings[T]:
    """Read `{NAME: [{"frame": N, ...}]}`, whole or in part, in any order, whatever stands around it.

    Args:
        reply: what the model said.
        labels: of the frames that were asked about.
        name: of the list.
        value_of: what an entry says of its frame, or why it says nothing.
    """
    if reply.finish == "refusal":
        return Readings({}, Counter({Outcome.REFUSED: len(labels)}))
    said: dict[int, list[T | Outcome]] = {}
    outcomes: Counter[Outcome] = Counter()
    entries = list(_entries(answer_of(reply), name))
    for entry in entries:
        label = _label(entry.get("frame"))
        if label is not None and label in labels:
            said.setdefault(label, []).append(value_of(entry))
        else:
            outcomes[Outcome.UNKNOWN_FRAME] += 1
    unsaid = why_unread(reply, bool(entries))
    values: dict[int, T] = {}
    for label in labels:
        agreed = _agreed(said[label]) if label in said else unsaid
        if isinstance(agreed, Outcome):
            outcomes[agreed] += 1
        else:
            outcomes[Outcome.READ] += 1
            values[label] = agreed
    return Readings(values, outcomes)


def read_object(reply: Reply) -> tuple[dict[str, Any] | None, Outcome]:
    """The first JSON object in a reply, whatever stands around it, or None and why there is none."""
    if reply.finish == "refusal":
        return None, Outcome.REFUSED
    for found in _objects(answer_of(reply)):
        return found, Outcome.READ
    return None, why_unread(reply)


def answer_of(reply: Reply) -> str:
    """The text of a reply, without what the model thought aloud before."""
    return THINKING.sub("", reply.text)


def why_unread(reply: Reply, something: bool = False) -> Outcome:
    """Why a reply, or a frame in one that says `something` of others, gives no value."""
    if reply.finish == "refusal":
        return Outcome.REFUSED
    if reply.finish == "length":
        return Outcome.TRUNCATED
    answer = answer_of(reply)
    if something or not answer.strip():
        return Outcome.MISSING
    return Outcome.REFUSED if REFUSAL.match(answer) else Outcome.PROSE


def number(value: Any) -> float | None:
    """A number out of JSON: 40, 40.5, "40" or "40 %"; None for anything else, such as two numbers in one string."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        # json.loads lets NaN and infinities through
        return float(value) if abs(value) < 1e9 else None
    match = NUMBER.fullmatch(value) if isinstance(value, str) else None
    return float(match.group(1)) if match else None


def _completion(entry: Mapping[str, Any]) -> float | Outcome:
    said = entry.get("completion")
    if said is None:
        return Outcome.MISSING
    percent = number(said)
    if percent is None:
        return Outcome.PROSE
    return percent if 0 <= percent <= 100 else Outcome.OUT_OF_RANGE


def _agreed[T](said: list[T | Outcome]) -> T | Outcome:
    """The one value that all those said of a frame come to; a frame said to be two things is neither."""
    return said[0] if all(value == said[0] for value in said) else Outcome.DUPLICATE


def _label(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = LABEL.fullmatch(value) if isinstance(value, str) else None
    return int(match.group(1)) if match else None


def _entries(text: str, name: str) -> Iterator[dict[str, Any]]:
    """The entries of the list `name`; of a reply cut off, those that are whole."""
    for found in _objects(text):
        # some models put the answer into an object of their own
        holders = [found, *(inner for inner in found.values() if isinstance(inner, dict))]
        listed = next((holder[name] for holder in holders if isinstance(holder.get(name), list)), None)
        if listed is not None:
            yield from (entry for entry in listed if isinstance(entry, dict))
        elif "frame" in found:
            yield found


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every JSON object in a text that is not inside another, whatever stands around it."""
    decoder = json.JSONDecoder()
    place = text.find("{")
    while place >= 0:
        try:
            found, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            # an opening brace of prose, or of the outer object of a reply that was cut off
            end = place + 1
        else:
            if isinstance(found, dict):
                yield found
        place = text.find("{", end)
