"""What the client does when a server gives no reply."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.vlm import failures
from headway.vlm.chat import NoReply, Question, Reply, Text
from headway.vlm.client import OpenAIModel
from headway.vlm.failures import LONGEST_WAIT, may_pass, seconds_to_wait, shown, spared_parameter, words_of
from headway.vlm.reply_cache import ReplyCache

PLAIN = Question((Text("how far?"),))


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(failures, "FIRST_WAIT", 0.01)


def ask(model: OpenAIModel) -> Reply:
    async def work() -> Reply:
        try:
            return await model.ask(PLAIN)
        finally:
            await model.aclose()

    return asyncio.run(work())


def failing(model: OpenAIModel) -> str:
    """The one line of a question that gets no reply."""
    with pytest.raises(NoReply) as caught:
        ask(model)
    assert "\n" not in str(caught.value)
    assert model.name in str(caught.value)
    return str(caught.value)


def test_a_busy_server_is_asked_again_when_it_says(server):
    server.script = [server.fails(429, "slow down", headers={"Retry-After": "0.4"}) for _ in range(2)]
    model = OpenAIModel("m", server.url)
    reply = ask(model)
    assert reply.text == "fine"
    first, second, third = (seen.at for seen in server.seen)
    assert 0.4 <= second - first < 2
    assert 0.4 <= third - second < 2
    assert reply.usage.requests == model.spent.requests == 3
    # waiting between requests is not waiting for a reply
    assert model.spent.seconds < 0.4


def test_a_date_is_understood_as_well(server):
    then = datetime.now(UTC) + timedelta(seconds=2)
    server.script = [server.fails(503, headers={"Retry-After": format_datetime(then, usegmt=True)})]
    assert ask(OpenAIModel("m", server.url)).text == "fine"
    # such a date has no fractions of a second
    assert 0.9 <= server.seen[1].at - server.seen[0].at < 3


def test_one_that_wants_a_long_rest_is_not_waited_for(server):
    server.script = [server.fails(429, "come tomorrow", headers={"Retry-After": "3600"})]
    assert re.search(r"come tomorrow.*3600 s", failing(OpenAIModel("m", server.url)))
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again_until_enough(server, status):
    server.otherwise = lambda body: server.fails(status, "out of order")
    line = failing(OpenAIModel("m", server.url, retries=2))
    assert len(server.seen) == 3
    assert "after 3 attempts" in line
    assert "out of order" in line
    assert str(status) in line


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422, 501])
def test_what_does_not_pass_is_not_tried_again(server, status):
    server.otherwise = lambda body: server.fails(status, "max_tokens is too large: 2048")
    failing(OpenAIModel("m", server.url))
    assert len(server.bodies) == 1


def test_an_empty_purse_is_not_tried_again(server):
    server.otherwise = lambda body: server.fails(429, "You exceeded your current quota", code="insufficient_quota")
    assert "quota" in failing(OpenAIModel("m", server.url))
    assert len(server.seen) == 1


def test_silence_is_tried_again(server):
    late = server.says("late")
    late.delay = 1.0
    server.script = [late]
    reply = ask(OpenAIModel("m", server.url, timeout=0.2))
    assert (reply.text, reply.usage.requests) == ("fine", 2)
    server.otherwise = lambda body: late
    assert "silent for 0.2 s" in failing(OpenAIModel("m", server.url, timeout=0.2, retries=1))


def test_a_server_that_is_not_there():
    # nothing listens at the port of the discard protocol
    assert "is the server running" in failing(OpenAIModel("m", "http://127.0.0.1:9/v1", retries=1))


def test_a_refused_key_names_the_variable_and_not_the_key(server):
    server.otherwise = lambda body: server.fails(401, "Incorrect API key provided: sk-sec****et-7.")
    line = failing(OpenAIModel("m", server.url, api_key="sk-secret-7"))
    assert "HEADWAY_API_KEY" in line
    assert "sk-" not in line
    assert "it needs a key" in failing(OpenAIModel("m", server.url))


def test_an_unknown_model_is_told_with_those_there_are(server):
    server.otherwise = lambda body: server.fails(404, "The model `m` does not exist.")
    line = failing(OpenAIModel("m", server.url))
    assert "model-a, model-b" in line
    server.models = [f"model-{number:02}" for number in range(30)]
    assert "model-09 and 20 more" in failing(OpenAIModel("m", server.url))


def test_a_wrong_address_is_told(server):
    assert "Most end in /v1" in failing(OpenAIModel("m", server.url.removesuffix("/v1")))


@pytest.mark.parametrize("sent", ["<!DOCTYPE html><html>\n<body>welcome</body></html>", "{", "null", "[]", "{}"])
def test_what_is_no_chat_completion_is_no_reply(server, sent):
    for kind in ("text/html", "application/json"):
        page = server.says("")
        page.text, page.content_type = sent, kind
        server.script = [page, page]
        failing(OpenAIModel("m", server.url, retries=1))
        assert server.script == []


def test_a_completion_under_the_wrong_content_type_is_read(server):
    answer = server.says("fine")
    answer.text = json.dumps(answer.json)
    server.script = [answer]
    assert ask(OpenAIModel("m", server.url, retries=0)).text == "fine"


def test_a_failure_in_place_of_a_reply_is_tried_again(server):
    failed = server.says("")
    failed.json = {"error": {"message": "upstream is down", "code": 502}}
    server.script = [failed, server.says("half", finish="error")]
    assert ask(OpenAIModel("m", server.url)).usage.requests == 3
    server.script = [failed]
    assert "upstream is down" in failing(OpenAIModel("m", server.url, retries=0))


def test_failures_are_not_kept(server, tmp_path):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    server.script = [server.fails(500)]
    failing(OpenAIModel("m", server.url, cache=cache, retries=0))
    assert ask(OpenAIModel("m", server.url, cache=cache)).text == "fine"


def test_a_redirect_is_not_followed(server):
    server.script = [server.fails(307, "", headers={"Location": "http://127.0.0.1:9/v1/chat/completions"})]
    assert "moved" in failing(OpenAIModel("m", server.url, api_key="secret"))
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("words", "parameter", "spared"),
    [
        ("Use 'max_completion_tokens' instead of 'max_tokens'.", None, "max_tokens"),
        ("'max_tokens' is too large: 9. This model's context length is 4", "max_tokens", None),
        ("'max_completion_tokens' is not supported", None, None),
        ("'temperature' must be between 0 and 2", "temperature", None),
        ("unrecognized request argument supplied: seed", None, "seed"),
        ("unsupported response_format", None, "response_format"),
        ("the model does not support images", None, None),
        ("unsupported parameter", "messages", None),
    ],
)
def test_only_a_parameter_that_is_not_taken_is_left_out(words, parameter, spared):
    body = {"max_tokens": 9, "temperature": 0.0, "seed": 1, "response_format": {}, "messages": []}
    assert spared_parameter(words, parameter, body) == spared
    assert spared_parameter(words, parameter, {}) is None


@given(st.integers(0, 2000), st.one_of(st.none(), st.text(), st.floats().map(str)))
def test_a_wait_is_never_negative_nor_endless(attempt, retry_after):
    wait = seconds_to_wait(attempt, retry_after)
    assert 0 <= wait < float("inf")


def test_backoff_doubles_and_is_capped(monkeypatch):
    monkeypatch.setattr(failures, "FIRST_WAIT", 0.5)
    for attempt in range(20):
        waits = [seconds_to_wait(attempt, None) for _ in range(50)]
        most = min(LONGEST_WAIT, 0.5 * 2**attempt)
        assert most / 2 <= min(waits) < max(waits) <= most


def test_a_date_in_the_past_means_now():
    assert seconds_to_wait(5, "Wed, 21 Oct 2015 07:28:00 GMT") == 0


def test_which_failures_may_pass():
    assert [status for status in (None, 400, 401, 403, 404, 429, 500, 501, 503) if may_pass(status, None)] == [
        None,
        429,
        500,
        503,
    ]


@pytest.mark.parametrize(
    "content",
    [
        {"error": {"message": "out of\n order"}},
        {"message": "out of order"},
        {"error": "out of order"},
        [{"error": {"message": "out of order"}}],
        {"detail": [{"msg": "out of order"}]},
        "out of order",
    ],
)
def test_what_an_error_says_is_found_in_every_form(content):
    assert words_of(content) == "out of order"


def test_long_words_are_cut():
    assert len(shown("x" * 9000, None)) == 300


@given(st.integers(0, 320))
def test_no_piece_of_a_key_is_left_where_words_are_cut(before):
    text = shown("x" * before + "sk-secret" + "y" * 300, "sk-secret")
    assert "s" not in text
    assert len(text) <= 300
