"""Models for the tests of the methods: planted replies, perfect sight in this process, and perfect sight over HTTP."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import anyio
import numpy as np
import pytest

from headway.episodes import ArrayFrames, Episode
from headway.vlm.chat import Abilities, Picture, Question, Reply, Text, Token, Usage
from headway.vlm.client import OpenAIModel
from headway.vlm.clip import Clip, evenly, take_clip
from headway.vlm.estimator import VlmEstimator
from headway.vlm.judgement import Judgement, VlmMethod
from headway.vlm.wire import request_body
from headway_envs.vlm_server import READERS, Kind, Manner
from headway_envs.vlm_server.answers import answer, tokens
from headway_envs.vlm_server.questions import Asked, understand

ABLE = Abilities(logprobs=True, schema=True)


class Planted:
    """A ChatModel that says what a test tells it to.

    Attributes:
        asked: all questions, in the order in which they came.
    """

    name = "planted"
    fingerprint = "planted"
    at_once = 4
    spent = Usage()

    def __init__(self, say: Callable[[Question], Reply | str], abilities: Abilities = ABLE):
        self._say = say
        self._abilities = abilities
        self.asked: list[Question] = []

    async def ask(self, question: Question) -> Reply:
        self.asked.append(question)
        said = self._say(question)
        return said if isinstance(said, Reply) else Reply(said)

    async def abilities(self) -> Abilities:
        return self._abilities


def seen_in(asked: Asked) -> Reply:
    """What the pixel server says to a request."""
    given = answer(asked, READERS["slider"], Manner.HONEST, np.random.default_rng(asked.entropy))
    words = given.words()
    if asked.top_logprobs is None:
        return Reply(words)
    return Reply(words, tokens=tuple(weighed_token(token.text, token.chances) for token in tokens(given, words)))


def weighed_token(text: str, chances: Mapping[str, float]) -> Token:
    return Token(text, math.log(chances[text]), tuple((other, math.log(chance)) for other, chance in chances.items()))


@dataclass
class Watched:
    """A server of perfect sight, and every request to it about pictures as it came over the wire."""

    server: Any

    @property
    def bodies(self) -> list[Any]:
        return [body for body in self.server.bodies if understand(body).kind != Kind.OTHER]

    @property
    def asked(self) -> list[Asked]:
        return [understand(body) for body in self.bodies]

    def model(self) -> OpenAIModel:
        return OpenAIModel("slider", self.server.url)

    def answer(self, body: Any) -> Any:
        reply = seen_in(understand(body))
        content = [
            {"token": token.text, "logprob": token.logprob, "top_logprobs": _listed(token)} for token in reply.tokens
        ]
        return self.server.says(reply.text, logprobs={"content": content} if content else None)


def _listed(token: Token) -> list[dict[str, Any]]:
    return [{"token": text, "logprob": logprob} for text, logprob in token.alternatives[:20]]


@pytest.fixture
def planted() -> type[Planted]:
    return Planted


@pytest.fixture
def watched(server) -> Watched:
    watching = Watched(server)
    server.otherwise = watching.answer
    return watching


@pytest.fixture
def honest() -> Callable[[Question], Reply]:
    """honest(question): the reply of a model with perfect sight."""
    return lambda question: seen_in(understand(request_body("slider", question)))


@pytest.fixture
def sight() -> Callable[[Picture], float]:
    """sight(picture): the progress that it shows."""

    def read(picture: Picture) -> float:
        shown = understand(request_body("slider", Question((picture, Text("?"))))).shown[0]
        value = READERS["slider"](shown.pixels)
        assert value is not None
        return value

    return read


@pytest.fixture
def weighed() -> Callable[..., Reply]:
    """weighed({token: probability}, text): a reply whose first token could have been each of these."""

    def make(chances: dict[str, float], text: str | None = None) -> Reply:
        likeliest = max(chances, key=lambda word: chances[word])
        return Reply(likeliest if text is None else text, tokens=(weighed_token(likeliest, chances),))

    return make


@pytest.fixture
def exact(make_slider) -> Episode:
    """49 frames, progress 0, 1/48, ..., 1: each step is one pixel, so what is seen is what is true."""
    return make_slider(seconds=4.8, hold=1)


@pytest.fixture
def slow(make_slider) -> Episode:
    """The same with each frame four times: 216 frames, `right` up to frame 96 and `down` up to frame 192."""
    made = make_slider(seconds=4.8, hold=6)
    camera = ArrayFrames(np.repeat(made.cameras["top"].pixels, 4, axis=0))
    stages = tuple(replace(stage, start=4 * stage.start, end=4 * stage.end) for stage in made.stages)
    return replace(made, cameras={"top": camera}, state=None, action=None, stages=stages, truth=None)


@pytest.fixture
def clip_of() -> Callable[[Episode, int], Clip]:
    """clip_of(episode, count): so many pictures of it, evenly spread."""
    return lambda episode, count: take_clip(episode, evenly(len(episode), count))


@pytest.fixture
def judged() -> Callable[..., Judgement]:
    """judged(method, clip, model)"""
    return lambda method, clip, model: anyio.run(method.judge, clip, model)


@pytest.fixture
def curves_of() -> Callable[..., Any]:
    """curves_of(method, model, *episodes): their curves, by an estimator that is closed again."""

    def estimate(method: VlmMethod, model: Any, *episodes: Episode) -> Any:
        estimator = VlmEstimator(method.name, method, model)
        curves = list(estimator.estimate(episodes))
        estimator.close()
        return curves

    return estimate
