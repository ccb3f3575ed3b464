"""What the client finds out about servers of several kinds."""

import asyncio
import json

import numpy as np
import pytest

from headway.vlm import failures
from headway.vlm.chat import Abilities, NoReply, Question, Text
from headway.vlm.client import OpenAIModel
from headway.vlm.clip import encode
from headway.vlm.reply_cache import DAY, ReplyCache, abilities_key
from headway_envs.vlm_server import Script, serving


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(failures, "FIRST_WAIT", 0.01)


def behaves(server, logprobs=True, schema=True, pictures=None, refuses=True):
    """Make a server that can do so much, and refuses the rest or passes over it."""

    def answer(body):
        shown = sum(part["type"] == "image_url" for part in body["messages"][0]["content"])
        if pictures is not None and shown > pictures:
            return server.fails(400, f"At most {pictures} image(s) may be provided in one request.")
        if not logprobs and refuses and body.get("logprobs"):
            return server.fails(400, "logprobs is not supported by this model")
        if not schema and refuses and "response_format" in body:
            return server.fails(400, "unsupported response_format")
        text, scored = "A", None
        if schema and "response_format" in body:
            text = json.dumps(
                {"word": body["response_format"]["json_schema"]["schema"]["properties"]["word"]["enum"][0]}
            )
        if logprobs and body.get("logprobs"):
            token = {"token": "A", "logprob": -0.1}
            scored = {"content": [{**token, "top_logprobs": [token]}]}
        return server.says(text, logprobs=scored)

    server.otherwise = answer


def abilities(model):
    async def work():
        # several who want to know at once: one of them asks
        found = await asyncio.gather(*(model.abilities() for _ in range(3)))
        await model.aclose()
        assert len(set(found)) == 1
        return found[0]

    return asyncio.run(work())


def test_a_server_that_can_do_all(server):
    behaves(server)
    assert abilities(OpenAIModel("m", server.url)) == Abilities(logprobs=True, schema=True, pictures=None)
    assert len(server.seen) == 4


@pytest.mark.parametrize("refuses", [True, False])
@pytest.mark.parametrize("able", [{"logprobs": False}, {"schema": False}, {"logprobs": False, "schema": False}])
def test_a_server_that_refuses_or_ignores_what_it_cannot(server, able, refuses):
    behaves(server, **able, refuses=refuses)
    expected = Abilities(**{"logprobs": True, "schema": True, **able})
    assert abilities(OpenAIModel("m", server.url)) == expected


@pytest.mark.parametrize(("most", "found"), [(1, 1), (3, 2), (5, 4), (16, 16), (39, 16), (40, None)])
def test_how_many_pictures_a_server_takes(server, most, found):
    behaves(server, pictures=most)
    assert abilities(OpenAIModel("m", server.url)).pictures == found


def test_a_server_that_talks_json_of_its_own_does_not_hold_to_schemas(server):
    server.otherwise = lambda body: server.says('{"colour": "blue"}')
    assert not abilities(OpenAIModel("m", server.url)).schema


def test_a_text_model_is_told_from_one_that_answers_nothing(server):
    behaves(server, logprobs=False, schema=False, pictures=0)
    with pytest.raises(NoReply, match="takes no pictures; choose a vision-language model"):
        abilities(OpenAIModel("m", server.url))
    server.otherwise = lambda body: server.fails(400, "no model is loaded")
    with pytest.raises(NoReply, match="no model is loaded"):
        abilities(OpenAIModel("m", server.url))


def test_a_server_that_fails_is_no_server_that_cannot(server, tmp_path):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    server.otherwise = lambda body: server.fails(503)
    with pytest.raises(NoReply):
        abilities(OpenAIModel("m", server.url, cache=cache, retries=0))
    behaves(server)
    assert abilities(OpenAIModel("m", server.url, cache=cache)).logprobs


def test_it_is_found_out_once_for_a_server_and_a_model(server, tmp_path):
    behaves(server, logprobs=False, pictures=4)
    cache = ReplyCache(tmp_path / "replies.sqlite")
    first = abilities(OpenAIModel("m", server.url, cache=cache))
    sent = len(server.seen)
    model = OpenAIModel("m", server.url, cache=cache)
    assert abilities(model) == first == Abilities(logprobs=False, schema=True, pictures=4)
    assert len(server.seen) == sent
    assert model.spent.requests == 0
    abilities(OpenAIModel("n", server.url, cache=cache))
    assert len(server.seen) > sent


def test_log_probabilities_that_are_forbidden_are_no_matter_of_the_key(server):
    behaves(server)
    able = server.otherwise
    words = "You are not allowed to request logprobs from this model"
    server.otherwise = lambda body: server.fails(403, words) if body.get("logprobs") else able(body)
    model = OpenAIModel("m", server.url, api_key="sk-secret")
    assert abilities(model) == Abilities(logprobs=False, schema=True, pictures=None)
    assert "may not be asked for log-probabilities" in refused(model, Question((Text("a"),), top_logprobs=5))
    server.otherwise = lambda body: server.fails(403, "no access to this model")
    with pytest.raises(NoReply, match="the key is refused"):
        abilities(OpenAIModel("m", server.url, api_key="sk-secret"))


@pytest.mark.parametrize(
    "words", ["'logprobs' is not supported with this model.", "Unsupported parameter: 'top_logprobs'", "max_tokens"]
)
def test_a_400_about_log_probabilities_means_there_are_none(server, words):
    behaves(server)
    able = server.otherwise
    server.otherwise = lambda body: server.fails(400, words) if body.get("logprobs") else able(body)
    assert abilities(OpenAIModel("m", server.url)) == Abilities(logprobs=False, schema=True, pictures=None)


@pytest.mark.parametrize("logprobs", ["forbidden", "refused", "ignored"])
def test_a_server_without_log_probabilities_end_to_end(logprobs):
    with serving(Script(logprobs=logprobs)) as server:
        assert abilities(OpenAIModel("slider", server.base_url)) == Abilities(False, True, None)


@pytest.mark.parametrize(("age", "asked"), [(0.9 * DAY, False), (1.1 * DAY, True), (-0.1 * DAY, True)])
def test_what_was_found_out_is_believed_for_a_day(server, tmp_path, age, asked):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    behaves(server, pictures=4)
    abilities(OpenAIModel("m", server.url, cache=cache))
    # the server is started again, and takes more
    behaves(server)
    key = abilities_key(server.url, "m")
    kept = cache.get(key)
    cache.put(key, {**kept, "at": kept["at"] - age})
    assert abilities(OpenAIModel("m", server.url, cache=cache)).pictures == (None if asked else 4)
    sent = len(server.seen)
    abilities(OpenAIModel("m", server.url, cache=cache))
    assert len(server.seen) == sent


def refused(model, question):
    """The one line of a question that gets no reply."""
    with pytest.raises(NoReply) as caught:
        asyncio.run(model.ask(question))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def showing(number):
    grey = encode(np.full((32, 32, 3), 99, np.uint8))
    return Question((*[grey] * number, Text("how far?")))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "At most 50 image(s) may be provided in one prompt."),
        (400, "Too many images in request. Max is 50."),
        (400, "This model supports up to 50 images"),
        (422, "Please use fewer than 51 images in your request"),
        (413, "Request Entity Too Large"),
    ],
)
def test_too_many_pictures_are_told_with_their_number_and_what_to_do(server, status, words):
    def few(body):
        shown = sum(part["type"] == "image_url" for part in body["messages"][0]["content"])
        return server.fails(status, words) if shown > 50 else server.says("fine")

    server.otherwise = few
    model = OpenAIModel("m", server.url)
    assert abilities(model).pictures is None
    line = refused(model, showing(61))
    assert "61 pictures" in line
    assert "?frames=N" in line
    assert words in line
    assert asyncio.run(model.ask(showing(50))).text == "fine"


@pytest.mark.parametrize(
    "words", ["invalid image: maximum size is 20 MB", "the model is overloaded", "image is broken"]
)
def test_other_refusals_are_told_as_they_are(server, words):
    def picky(body):
        shown = sum(part["type"] == "image_url" for part in body["messages"][0]["content"])
        return server.fails(400, words) if shown == 3 else server.says("fine")

    server.otherwise = picky
    line = refused(OpenAIModel("m", server.url), showing(3))
    assert words in line
    assert "frames=N" not in line


@pytest.mark.parametrize("words", ["At most 0 image(s) may be provided in one prompt.", "m is not a multimodal model"])
@pytest.mark.parametrize("shown", [1, 3])
def test_a_model_without_eyes_is_told_as_one(server, words, shown):
    def blind(body):
        pictures = any(part["type"] == "image_url" for part in body["messages"][0]["content"])
        return server.fails(400, words) if pictures else server.says("fine")

    server.otherwise = blind
    model = OpenAIModel("m", server.url)
    assert refused(model, showing(shown)) == f"{model.name} takes no pictures; choose a vision-language model"
    assert asyncio.run(model.ask(showing(0))).text == "fine"


def test_a_server_that_was_given_eyes_is_believed_at_once(server, tmp_path):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    behaves(server, pictures=0)
    refused(OpenAIModel("m", server.url, cache=cache), showing(2))
    behaves(server)
    assert abilities(OpenAIModel("m", server.url, cache=cache)).pictures is None


def test_a_model_without_eyes_takes_a_schema_all_the_same(server):
    behaves(server, pictures=0)
    model = OpenAIModel("m", server.url)
    schema = {"type": "object", "properties": {"word": {"enum": ["plum"]}}}
    assert asyncio.run(model.ask(Question((Text("which?"),), schema=schema))).text == '{"word": "plum"}'


def test_too_many_pictures_end_to_end():
    with serving(Script(pictures=45)) as server:
        line = refused(OpenAIModel("slider", server.base_url), showing(60))
        assert "60 pictures" in line
        assert "at most 45 image(s)" in line
    with serving(Script(pictures=0)) as server:
        model = OpenAIModel("slider", server.base_url)
        assert "takes no pictures" in refused(model, showing(2))
        with pytest.raises(NoReply, match="takes no pictures"):
            abilities(model)
