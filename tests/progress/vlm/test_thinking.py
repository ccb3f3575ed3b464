"""The client and models that think before they speak: thinking takes tokens from the reply's own."""

import asyncio
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from headway.vlm import client
from headway.vlm.chat import Abilities, Question, Reply, Text
from headway.vlm.client import OpenAIModel
from headway.vlm.clip import encode
from headway.vlm.reply_cache import ReplyCache, abilities_key, question_key
from headway.vlm.wire import reply_to_json
from headway_envs.vlm_server import Script, serving

PLAIN = Question((Text("how far?"),), max_tokens=100)
SHOWN = Question((Text("Frame 1:"), encode(np.zeros((32, 32, 3), np.uint8)), Text("Answer with True or not.")))
TOO_FEW = (
    "Could not finish the message because max_tokens or model output limit was reached. Please try again with higher "
    "max_tokens."
)
ABLE = {"type": "object", "properties": {"word": {"type": "string", "enum": ["plum"]}}}


def ask(model: OpenAIModel, *questions: Question) -> list[Reply]:
    async def work() -> list[Reply]:
        replies = [await model.ask(question) for question in questions]
        await model.aclose()
        return replies

    return asyncio.run(work())


def abilities(model: OpenAIModel) -> Abilities:
    return asyncio.run(model.abilities())


def limits(server) -> list[int]:
    return [body["max_tokens"] for body in server.bodies]


@pytest.fixture(params=["empty", "null", "no message", "400"])
def thinks(request, server):
    """Let the server spend so many tokens before it speaks, and say so in one of the ways there are."""
    ways = {
        "empty": lambda: server.says("", finish="length"),
        "null": lambda: server.says(None, finish="length"),
        "no message": lambda: replace(server.says(None), json={"choices": [{"finish_reason": "length", "index": 0}]}),
        "400": lambda: server.fails(400, TOO_FEW, type="invalid_request_error"),
    }

    def think(tokens: int) -> None:
        server.otherwise = lambda body: server.says("fine") if body["max_tokens"] > tokens else ways[request.param]()

    return think


def test_it_is_given_more_room_and_keeps_it(server, thinks):
    thinks(1000)
    model = OpenAIModel("m", server.url)
    first, second = ask(model, PLAIN, replace(PLAIN, seed=1, max_tokens=200))
    assert (first.text, first.finish, first.usage.requests) == ("fine", "stop", 2)
    assert (second.text, second.usage.requests) == ("fine", 1)
    assert limits(server) == [100, 4196, 4296]
    assert model.spent.requests == 3


def test_more_still_and_then_no_more(server, thinks):
    thinks(9000)
    assert ask(OpenAIModel("m", server.url), PLAIN)[0].text == "fine"
    assert limits(server) == [100, 4196, 16484]
    thinks(99000)
    model = OpenAIModel("m", server.url)
    (reply,) = ask(model, PLAIN)
    assert (reply.text, reply.finish, reply.usage.requests, model.spent.requests) == ("", "length", 3, 3)


def test_what_came_to_nothing_is_not_kept(server, thinks, tmp_path):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    thinks(99000)
    ask(OpenAIModel("m", server.url, cache=cache), PLAIN)
    thinks(0)
    assert ask(OpenAIModel("m", server.url, cache=cache), PLAIN)[0].text == "fine"


def test_an_empty_reply_that_was_kept_before_is_asked_for_again(server, tmp_path):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    cache.put(question_key(server.url, "m", PLAIN), reply_to_json(Reply("", finish="length")))
    assert ask(OpenAIModel("m", server.url, cache=cache), PLAIN)[0].text == "fine"


def test_the_next_process_begins_with_the_room_that_was_needed(server, thinks, tmp_path):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    thinks(1000)
    ask(OpenAIModel("m", server.url, cache=cache), PLAIN)
    ask(OpenAIModel("m", server.url, cache=cache), replace(PLAIN, seed=1))
    assert limits(server) == [100, 4196, 4196]
    # found out with the abilities as well, and not lost when they are added
    abilities(OpenAIModel("m", server.url, cache=cache))
    sent = len(server.bodies)
    ask(OpenAIModel("m", server.url, cache=cache), replace(PLAIN, seed=2))
    assert limits(server)[sent:] == [4196]
    ask(OpenAIModel("another", server.url, cache=cache), PLAIN)
    assert limits(server)[sent + 1 :] == [100, 4196]


def test_a_reply_that_is_cut_off_is_not_asked_for_again(server):
    server.otherwise = lambda body: server.says("half a sen", finish="length")
    (reply,) = ask(OpenAIModel("m", server.url), PLAIN)
    assert (reply.text, reply.finish, len(server.bodies)) == ("half a sen", "length", 1)


def test_a_server_without_such_room_is_left_with_what_it_has(server):
    def small(body):
        if body["max_tokens"] > 2000:
            return server.fails(400, "max_tokens is too large: this model's maximum context length is 2048 tokens")
        return server.says("" if "far" in str(body) else "fine", finish="length")

    server.otherwise = small
    model = OpenAIModel("m", server.url)
    (reply,) = ask(model, PLAIN)
    assert (reply.text, reply.finish) == ("", "length")
    ask(model, replace(PLAIN, parts=(Text("how near?"),)))
    assert limits(server) == [100, 4196, 100]


def test_a_question_too_long_for_the_room_is_asked_without_it(server):
    def small(body):
        if len(str(body)) > 1000 and body["max_tokens"] > 2000:
            return server.fails(400, "this model's maximum context length is 8192 tokens")
        return server.says("fine" if len(str(body)) > 1000 or body["max_tokens"] > 2000 else "", finish="length")

    server.otherwise = small
    first, long = ask(OpenAIModel("m", server.url), PLAIN, replace(PLAIN, parts=(Text("far " * 500),)))
    assert (first.text, long.text) == ("fine", "fine")
    assert limits(server) == [100, 4196, 4196, 100]


def test_one_token_with_its_alternatives_is_all_that_was_wanted(server, tmp_path):
    one = replace(PLAIN, max_tokens=1, top_logprobs=5)
    token = {"token": "", "logprob": -0.1}
    server.script = [server.says("", finish="length", logprobs={"content": [{**token, "top_logprobs": [token]}]})]
    cache = ReplyCache(tmp_path / "replies.sqlite")
    (reply,) = ask(OpenAIModel("m", server.url, cache=cache), one)
    assert len(reply.tokens) == 1
    ask(OpenAIModel("m", server.url, cache=cache), one)
    assert limits(server) == [1]
    # where none came, there is something to be had
    server.script = [server.says("", finish="length")]
    assert ask(OpenAIModel("m", server.url), one)[0].text == "fine"
    assert limits(server) == [1, 1, 4097]


def test_thinking_may_be_silent_for_longer(server, monkeypatch):
    monkeypatch.setattr(client, "TOKENS_A_SECOND", 4096)
    server.script = [server.says("", finish="length"), replace(server.says("late"), delay=0.7)]
    assert ask(OpenAIModel("m", server.url, timeout=0.4, retries=0), PLAIN)[0].text == "late"


def test_what_such_a_server_can_do_is_found_out():
    with serving(Script(thinking=900, logprobs="forbidden", pictures=16)) as server:
        model = OpenAIModel("slider", server.base_url)
        assert abilities(model) == Abilities(logprobs=False, schema=True, pictures=16)


def test_log_probabilities_of_the_thinking_are_of_no_use(server):
    def scored(text, first):
        return server.says(text, logprobs={"content": [{**first, "top_logprobs": [first]}]})

    for token, found in (("Okay", False), ("A", True), (" A", True)):
        server.otherwise = lambda _, token=token: scored("A", {"token": token, "logprob": -0.1})
        assert abilities(OpenAIModel("m", server.url)).logprobs is found


@pytest.mark.parametrize(("thinking", "requests"), [(0, 1), (60, 2), (4000, 2), (9000, 3)])
def test_end_to_end(thinking, requests):
    question = replace(SHOWN, max_tokens=50)
    with serving(Script(thinking=thinking)) as server:
        model = OpenAIModel("slider", server.base_url)
        (reply,) = ask(model, question)
    assert (bool(reply.text), reply.finish) == (True, "stop")
    assert reply.usage.requests == model.spent.requests == requests
    assert reply.usage.completion_tokens > thinking


def test_end_to_end_with_a_schema(tmp_path):
    question = replace(PLAIN, schema=ABLE)
    with serving(Script(thinking=2000)) as server:
        make = partial(OpenAIModel, "slider", server.base_url, cache=ReplyCache(tmp_path / "replies.sqlite"))
        (reply,) = ask(make(), question)
        assert json.loads(reply.text) == {"word": "plum"}
        kept = make()._cache.get(abilities_key(server.base_url, "slider"))
        assert (kept["thinking"], kept["abilities"]["schema"]) == (4096, True)
