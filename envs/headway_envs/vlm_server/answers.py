"""From what was read in the pictures to what a model would say, with the probability of every token.

Only answers that are a single token have chances worth looking at: `True` or `False`, and the letters of a scale. The
tokens of all other text have one chance, near 1.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headway_envs.vlm_server.questions import Asked, Kind
from headway_envs.vlm_server.readers import STAGES, Reader
from headway_envs.vlm_server.script import Manner

Readings = Sequence[float | None]

LETTERS = "ABCDEFGHIJKLMNOPQRST"
_SURE = 0.97
"""Of a token that is no choice between answers."""
_ELSEWHERE = {"\n": 0.01, " The": 0.01, "I": 0.005, "#": 0.003}
"""What other tokens have, in place of an answer that is a single token."""
_STEEPNESS = 10.0
"""Of the probability of True over progress, a logistic curve about one half."""
_DONE = 0.98
"""Progress from which on no stage is under way any more."""
_PIECE = re.compile(r"\s?\w+|\s?[^\w\s]|\s")
_WORDS = ("nothing is done yet", "it has begun", "it is about half done", "it is nearly done", "it is done")


@dataclass(frozen=True)
class Token:
    """A token of a reply, and the chances of all that could stand in its place; they sum to 1 or less."""

    text: str
    chances: Mapping[str, float]


@dataclass
class Answer:
    """What is to be said.

    Attributes:
        entries: of the JSON that is the answer, where it is a list of things; damage may be done to them.
        name: of that list.
        text: the answer, where it is not.
        chances: token -> probability, where the answer is that single token.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    name: str = ""
    text: str = ""
    chances: Mapping[str, float] = field(default_factory=dict)

    def words(self) -> str:
        return json.dumps({self.name: self.entries}) if self.name else self.text


def read(asked: Asked, reader: Reader, manner: Manner, rng: np.random.Generator) -> Readings:
    """Progress in [0, 1] of each picture shown; None where the reader sees nothing.

    Where frames are judged or compared, it is counted from the anchor, which is 0. Without an anchor a model has lost
    its bearings: it may take the end for the beginning, and its numbers are out by anything; both are drawn anew for
    each request. A rubric counts from the first picture. Elsewhere it is what the picture shows
    by itself.
    """
    number = len(asked.shown)
    if manner is Manner.CONSTANT:
        return [0.5] * number
    if manner is Manner.LAZY:
        return _by_place(asked)
    values = [reader(shown.pixels) for shown in asked.shown]
    if asked.kind is Kind.RUBRIC:
        return _from(values[0], values)
    if asked.kind not in (Kind.FRAMES, Kind.PAIR):
        return values
    if asked.anchor is None:
        sign, offset = rng.choice((-1.0, 1.0)), rng.uniform(-0.3, 0.3)
        return [None if value is None else _within(0.5 + sign * (value - 0.5) + offset) for value in values]
    return _from(values[asked.anchor], values)


def answer(asked: Asked, reader: Reader, manner: Manner, rng: np.random.Generator) -> Answer:
    """What a model says that sees through this reader."""
    if asked.kind is Kind.OTHER:
        return Answer(text="OK" if asked.schema is None else json.dumps(_instance(asked.schema)))
    readings = read(asked, reader, manner, rng)
    if not _seen(asked, readings):
        return Answer(text="I'm sorry, but I cannot see in these pictures what the task is about.")
    return _ANSWERS[asked.kind](asked, readings, rng)


def tokens(given: Answer, words: str) -> list[Token]:
    """The words in tokens; whatever damage was done to them."""
    if given.chances and words in given.chances:
        return [Token(words, given.chances)]
    return [Token(piece, {"\n": 0.01, piece: _SURE}) for piece in _PIECE.findall(words)]


def _seen(asked: Asked, readings: Readings) -> bool:
    """Whether enough was read for an answer."""
    if asked.kind is Kind.PAIR:
        return len(asked.wanted) >= 2 and all(readings[place] is not None for place in asked.wanted[:2])
    if asked.kind is Kind.STAGES and not asked.subtasks:
        return False
    if asked.kind in (Kind.FRAMES, Kind.STAGES):
        return any(readings[place] is not None for place in asked.wanted)
    return readings[-1] is not None


def _frames(asked: Asked, readings: Readings, rng: np.random.Generator) -> Answer:
    entries = []
    for place in asked.wanted:
        value = readings[place]
        if value is not None:
            label, words = asked.shown[place].label, _in_words(value)
            entries.append({"frame": label, "description": words, "completion": round(100 * value)})
    return Answer(entries=[entries[place] for place in _scrambled(len(entries), rng)], name="frames")


def _truth(asked: Asked, readings: Readings, _: np.random.Generator) -> Answer:
    value = readings[-1] or 0.0
    yes, no = ("Yes", "No") if "yes or no" in asked.text.lower() else ("True", "False")
    likely = 1 / (1 + math.exp(-_STEEPNESS * (value - 0.5)))
    spellings = {
        yes: 0.9 * likely,
        f" {yes}": 0.05 * likely,
        yes.lower(): 0.02 * likely,
        no: 0.9 * (1 - likely),
        f" {no}": 0.05 * (1 - likely),
        no.lower(): 0.02 * (1 - likely),
    }
    return Answer(text=yes if likely >= 0.5 else no, chances=spellings | _ELSEWHERE)


def _letter(asked: Asked, readings: Readings, _: np.random.Generator) -> Answer:
    """Binomial: its mean over the letters' numbers is just what was read."""
    value = readings[-1] or 0.0
    last = len(LETTERS) - 1
    chances = {
        letter: _SURE * math.comb(last, number) * value**number * (1 - value) ** (last - number)
        for number, letter in enumerate(LETTERS)
    }
    # no other tokens: the 20 that a server reports have to be the letters
    chances = {letter: chance for letter, chance in chances.items() if chance > 0}
    return Answer(text=max(chances, key=lambda letter: chances[letter]), chances=chances)


def _rubric(asked: Asked, readings: Readings, _: np.random.Generator) -> Answer:
    """5 from 96.25 % on: hands and edges hide the last bit."""
    value = readings[-1] or 0.0
    return Answer(text=f"{_in_words(value).capitalize()}.\nANSWER: {1 + int(4 * value + 0.15)}")


def _pair(asked: Asked, readings: Readings, _: np.random.Generator) -> Answer:
    """Which of two frames is further, and the share of what the other one lacks that it has done."""
    first, second = (readings[place] or 0.0 for place in asked.wanted[:2])
    behind, ahead = sorted((first, second))
    said = {"further": 0, "percent": 0.0}
    if ahead > behind:
        said = {"further": 1 if first > second else 2, "percent": round(100 * (ahead - behind) / (1 - behind), 1)}
    return Answer(text=json.dumps(said))


def _stages(asked: Asked, readings: Readings, rng: np.random.Generator) -> Answer:
    """By the task's own shares of progress, or by equal ones where the names asked about are more or fewer."""
    names, shares = asked.subtasks, list(STAGES[asked.model].values())
    if len(names) != len(shares):
        shares = [1 / len(names)] * len(names)
    entries = []
    for place in asked.wanted:
        value = readings[place]
        if value is not None:
            number = int(np.searchsorted(np.cumsum(shares[:-1]) - 1e-9, value, side="right"))
            stage = names[number] if value < _DONE else "none"
            entries.append({"frame": asked.shown[place].label, "description": _in_words(value), "stage": stage})
    return Answer(entries=[entries[place] for place in _scrambled(len(entries), rng)], name="stages")


def _propose(asked: Asked, _: Readings, __: np.random.Generator) -> Answer:
    return Answer(text=json.dumps({"subtasks": list(STAGES[asked.model])}))


_ANSWERS = {
    Kind.FRAMES: _frames,
    Kind.TRUTH: _truth,
    Kind.LETTER: _letter,
    Kind.RUBRIC: _rubric,
    Kind.PAIR: _pair,
    Kind.STAGES: _stages,
    Kind.PROPOSE: _propose,
}


def _from(start: float | None, values: Readings) -> Readings:
    """The same readings, with `start` for 0."""
    if start is None:
        return [None] * len(values)
    return [None if value is None else _within((value - start) / max(1 - start, 1e-6)) for value in values]


def _by_place(asked: Asked) -> Readings:
    """Of frames to be judged, evenly from 0 to 1; else the more pictures there are, the further the last one is."""
    values = [1 - 1 / (1 + place) for place in range(len(asked.shown))]
    if asked.kind in (Kind.FRAMES, Kind.STAGES):
        for rank, place in enumerate(asked.wanted):
            values[place] = rank / max(1, len(asked.wanted) - 1)
    return values


def _in_words(value: float) -> str:
    return _WORDS[min(4, int(5 * value))]


def _scrambled(number: int, rng: np.random.Generator) -> list[int]:
    """Any order but the one they have."""
    order = rng.permutation(number)
    while number > 1 and np.array_equal(order, np.arange(number)):
        order = rng.permutation(number)
    return order.tolist()


def _instance(schema: Mapping[str, Any]) -> Any:
    """Something that meets a simple JSON schema."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: _instance(each) for name, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [_instance(schema.get("items", {}))] * schema.get("minItems", 0)
    plain: dict[Any, Any] = {"integer": schema.get("minimum", 0), "number": schema.get("minimum", 0), "boolean": True}
    return plain.get(kind, "yes")


def _within(value: float) -> float:
    return min(1.0, max(0.0, value))
