"""The client against a real HTTP server on this machine."""

import asyncio
import base64
import json
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from anyio.from_thread import start_blocking_portal

import headway
from headway.errors import InvalidValue, Unsupported
from headway.vlm.chat import NoReply, Question, Reply, Text, Token, Usage
from headway.vlm.client import OpenAIModel
from headway.vlm.clip import encode
from headway.vlm.reply_cache import ReplyCache

PLAIN = Question((Text("how far?"),))
RED, BLUE = (encode(np.full((32, 48, 3), colour, np.uint8)) for colour in ((200, 0, 0), (0, 0, 200)))
ABLE = {"type": "object", "properties": {"frames": {"type": "array"}}}


def ask(model: OpenAIModel, *questions: Question) -> list[Reply]:
    """Ask all of them at once, in an event loop of their own."""

    async def work() -> list[Reply]:
        replies = await asyncio.gather(*map(model.ask, questions))
        await model.aclose()
        return replies

    return asyncio.run(work())


def holds_to_schemas(server):
    """Let the server pass the probe."""

    def answer(body):
        properties = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
        word = properties.get("word", {}).get("enum", [""])[0]
        return server.says(json.dumps({"word": word}) if word else "fine")

    server.otherwise = answer


def test_parts_go_over_the_wire_in_order_and_pictures_unchanged(server):
    question = Question((Text("Frame 2:"), BLUE, Text("Frame 1:"), RED, Text("how far?")), max_tokens=9, seed=4)
    (reply,) = ask(OpenAIModel("model-a", server.url), question)
    assert (reply.text, reply.finish, reply.tokens) == ("fine", "stop", ())
    body = server.bodies[0]
    assert (body["model"], body["max_tokens"], body["temperature"], body["seed"]) == ("model-a", 9, 0.0, 4)
    assert not {"logprobs", "top_logprobs", "response_format"} & set(body)
    assert [message["role"] for message in body["messages"]] == ["user"]
    content = body["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text", "image_url", "text"]
    assert [part["text"] for part in content[::2]] == ["Frame 2:", "Frame 1:", "how far?"]
    for part, red in ((content[1], 0), (content[3], 200)):
        head, data = part["image_url"]["url"].split(",")
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert head == "data:image/png;base64"
        assert pixels.shape == (32, 48, 3)
        assert pixels[0, 0].tolist() == [200 - red, 0, red]


def test_the_client_counts_what_it_spends(server):
    model = OpenAIModel("m", server.url)
    server.script = [replace(server.says("fine"), delay=0.1)]
    (reply,) = ask(model, PLAIN)
    assert (reply.usage.requests, reply.usage.prompt_tokens, reply.usage.completion_tokens) == (1, 11, 7)
    assert 0.1 <= reply.usage.seconds < 5
    ask(model, PLAIN, PLAIN)
    assert (model.spent.requests, model.spent.prompt_tokens, model.spent.cache_hits) == (3, 33, 0)


def test_the_same_model_serves_one_event_loop_after_another(server):
    model = OpenAIModel("m", server.url)
    # without closing in between: the first loop is gone when the second one starts
    assert [asyncio.run(model.ask(PLAIN)).text for _ in range(3)] == ["fine"] * 3


def test_it_may_be_closed_twice_and_asked_again_in_the_loop_of_another_thread(server):
    model = OpenAIModel("m", server.url)

    async def close() -> None:
        await asyncio.gather(model.aclose(), model.aclose())
        await model.aclose()

    with start_blocking_portal() as portal:
        for seed in range(2):
            assert portal.call(model.ask, replace(PLAIN, seed=seed)).text == "fine"
            connection = model._line.client
            portal.call(close)
            assert connection.is_closed()
    # nothing is open any more, in a loop of its own
    asyncio.run(close())


def test_a_prompt_that_a_server_may_have_cut_is_remarked_once(server):
    many = Question((*[encode(np.zeros((448, 448, 3), np.uint8))] * 30, Text("how far?")))
    model = OpenAIModel("m", server.url)
    for prompt_tokens, remarks in ((0, 0), (7680, 0), (3900, 0), (2400, 1), (2300, 1)):
        server.script = [server.says("fine", prompt_tokens=prompt_tokens)]
        ask(model, many)
        assert len(model.remarks) == remarks
    (remark,) = model.remarks
    assert "counted 2400 prompt tokens where about 7682 were sent" in remark
    assert "OLLAMA_CONTEXT_LENGTH" in remark


def test_what_became_of_a_reply_is_told(server):
    server.script = [
        server.says("half a sen", finish="length"),
        server.says("Sorry.", refusal="I would rather not."),
        server.says("", finish="content_filter"),
        server.fails(400, "The prompt was filtered.", code="content_filter"),
        server.says(None, finish=None),
    ]
    model = OpenAIModel("m", server.url)
    replies = [ask(model, PLAIN)[0] for _ in range(5)]
    assert [(reply.text, reply.finish) for reply in replies] == [
        ("half a sen", "length"),
        ("", "refusal"),
        ("", "refusal"),
        ("", "refusal"),
        ("", "stop"),
    ]


def test_log_probabilities_are_read_with_their_alternatives(server):
    def scored(token, logprob):
        return {"token": token, "logprob": logprob, "bytes": None}

    first = {**scored("A", -0.1), "top_logprobs": [scored("A", -0.1), scored(" A", -2), scored("B", float("-inf"))]}
    second = {**scored("!", -1.5), "top_logprobs": []}
    server.script = [server.says("A!", logprobs={"content": [first, second]})]
    (reply,) = ask(OpenAIModel("m", server.url), replace(PLAIN, top_logprobs=20))
    # what has no probability is no alternative
    assert reply.tokens == (Token("A", -0.1, (("A", -0.1), (" A", -2.0))), Token("!", -1.5))
    assert (server.bodies[0]["logprobs"], server.bodies[0]["top_logprobs"]) == (True, 20)


@pytest.mark.parametrize("logprobs", [None, {"content": None}, {"content": [{"token": "A"}]}, {"tokens": ["A"]}, "x"])
def test_log_probabilities_of_another_form_are_none(server, logprobs):
    server.script = [server.says("A", logprobs=logprobs)]
    (reply,) = ask(OpenAIModel("m", server.url), replace(PLAIN, top_logprobs=1))
    assert (reply.text, reply.tokens) == ("A", ())


def test_more_alternatives_than_the_protocol_allows_are_refused(server):
    with pytest.raises(InvalidValue, match="between 0 and 20"):
        ask(OpenAIModel("m", server.url), replace(PLAIN, top_logprobs=21))
    assert server.seen == []


def test_newer_names_and_refused_parameters_are_learnt_once(server):
    def strict(body):
        if "max_tokens" in body:
            words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'"
            return server.fails(400, f"{words} instead.", param="max_tokens", code="unsupported_parameter")
        if "temperature" in body:
            words = "Unsupported value: 'temperature' does not support 0.0 with this model."
            return server.fails(400, words, param="temperature", code="unsupported_value")
        if "seed" in body:
            loc = [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted: seed"}]
            return replace(server.fails(422), json={"detail": loc})
        return server.says("fine")

    server.otherwise = strict
    model = OpenAIModel("m", server.url)
    (reply,) = ask(model, replace(PLAIN, max_tokens=5, seed=1))
    assert reply.usage.requests == 4
    assert server.bodies[-1]["max_completion_tokens"] == 5
    ask(model, replace(PLAIN, max_tokens=6, seed=2))
    assert len(server.bodies) == 5
    assert not {"max_tokens", "temperature", "seed"} & set(server.bodies[-1])


def test_a_schema_is_sent_to_a_server_that_holds_to_it(server):
    holds_to_schemas(server)
    ask(OpenAIModel("m", server.url), replace(PLAIN, schema=ABLE))
    sent = server.bodies[-1]["response_format"]
    assert (sent["type"], sent["json_schema"]["schema"]) == ("json_schema", ABLE)


def test_a_schema_is_not_sent_to_a_server_that_ignores_it(server):
    (reply,) = ask(OpenAIModel("m", server.url), replace(PLAIN, schema=ABLE))
    assert reply.text == "fine"
    assert "response_format" not in server.bodies[-1]
    assert any("response_format" in body for body in server.bodies)


def test_a_schema_that_a_server_refuses_after_all_is_left_out(server):
    holds_to_schemas(server)
    able = server.otherwise

    def picky(body):
        if "frames" in str(body.get("response_format")):
            return server.fails(400, "Invalid schema for response_format 'reply'", param="response_format")
        return able(body)

    server.otherwise = picky
    (reply,) = ask(OpenAIModel("m", server.url), replace(PLAIN, schema=ABLE))
    assert reply.text == "fine"
    assert "response_format" not in server.bodies[-1]


def test_a_second_run_sends_nothing(server, tmp_path):
    questions = (PLAIN, replace(PLAIN, schema=ABLE, seed=1), Question((RED,)), Question((BLUE,)))
    server.otherwise = lambda body: server.says(f"reply {len(server.seen)}", finish="length")
    first = ask(OpenAIModel("m", server.url, cache=ReplyCache(tmp_path / "replies.sqlite")), *questions)
    sent = len(server.seen)
    model = OpenAIModel("m", server.url + "/", cache=ReplyCache(tmp_path / "replies.sqlite"))
    second = ask(model, *questions)
    assert len(server.seen) == sent
    assert [reply.text for reply in second] == [reply.text for reply in first]
    assert len({reply.text for reply in second}) == 4
    assert {reply.finish for reply in second} == {"length"}
    assert model.spent == Usage(cache_hits=4)


def test_another_model_seed_or_picture_is_another_question(server, tmp_path):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    ask(OpenAIModel("m", server.url, cache=cache), PLAIN, replace(PLAIN, seed=1), Question((RED,)), Question((BLUE,)))
    ask(OpenAIModel("n", server.url, cache=cache), PLAIN)
    assert len(server.seen) == 5


def test_a_process_finds_what_another_asked(server, tmp_path):
    code = """
import asyncio, sys
from pathlib import Path
from headway.vlm.chat import Question, Text
from headway.vlm.client import OpenAIModel
from headway.vlm.reply_cache import ReplyCache
model = OpenAIModel("m", sys.argv[1], cache=ReplyCache(Path(sys.argv[2])))
print(asyncio.run(model.ask(Question((Text("how far?"),)))).text, model.spent.requests)
"""
    server.script = [server.says("asked once")]
    path = tmp_path / "replies.sqlite"
    (here,) = ask(OpenAIModel("m", server.url, cache=ReplyCache(path)), PLAIN)
    there = subprocess.run(
        [sys.executable, "-c", code, server.url, path],
        env={"PYTHONPATH": str(Path(headway.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split() == ["asked", "once", "0"]
    assert here.text == "asked once"
    assert len(server.seen) == 1


def test_no_more_questions_are_under_way_than_allowed(server):
    server.otherwise = lambda body: replace(server.says("fine"), delay=0.05)
    ask(OpenAIModel("m", server.url, at_once=3), *(replace(PLAIN, seed=seed) for seed in range(12)))
    assert server.most_at_once == 3
    assert len(server.seen) == 12


def test_questions_are_under_way_at_the_same_time(server):
    server.otherwise = lambda body: replace(server.says("fine"), delay=0.2)
    started = time.monotonic()
    ask(OpenAIModel("m", server.url), *(replace(PLAIN, seed=seed) for seed in range(8)))
    assert time.monotonic() - started < 1.2
    assert server.most_at_once == 8


def test_the_fingerprint_is_of_the_model_and_the_server():
    def fingerprint(model, url, **more):
        return OpenAIModel(model, url, **more).fingerprint

    one = fingerprint("m", "http://localhost:8000/v1")
    assert fingerprint("m", "HTTP://LOCALHOST:8000/v1/", api_key="secret", at_once=2) == one
    assert len({one, fingerprint("n", "http://localhost:8000/v1"), fingerprint("m", "http://localhost:8001/v1")}) == 3


def test_numbers_out_of_range_are_refused():
    for wrong in ({"at_once": 0}, {"retries": -1}, {"timeout": 0}, {"timeout": float("nan")}):
        with pytest.raises(InvalidValue, match="a client needs"):
            OpenAIModel("m", "http://localhost:8000/v1", **wrong)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(Unsupported, match=r'pip install "headway\[vlm\]"'):
        OpenAIModel("m", "http://localhost:8000/v1")


def test_where_nobody_ever_was_it_is_told_after_one_more_try():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    model = OpenAIModel("m", url)
    with pytest.raises(NoReply, match=r"after 2 attempts.*is the server running"):
        asyncio.run(model.ask(Question((Text("hello"),))))
    assert model.spent.requests == 2
