"""What the client finds out about servers of several kinds."""

import asyncio
import json

import pytest

from headway.vlm import failures
from headway.vlm.chat import Abilities, NoReply
from headway.vlm.client import OpenAIModel
from headway.vlm.reply_cache import ReplyCache


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


@pytest.mark.parametrize(("most", "found"), [(0, 0), (1, 1), (3, 2), (5, 4), (16, 16), (39, 16), (40, None)])
def test_how_many_pictures_a_server_takes(server, most, found):
    behaves(server, pictures=most)
    assert abilities(OpenAIModel("m", server.url)).pictures == found


def test_a_server_that_talks_json_of_its_own_does_not_hold_to_schemas(server):
    server.otherwise = lambda body: server.says('{"colour": "blue"}')
    assert not abilities(OpenAIModel("m", server.url)).schema


def test_a_text_model_is_told_from_one_that_answers_nothing(server):
    behaves(server, logprobs=False, schema=False, pictures=0)
    assert abilities(OpenAIModel("m", server.url)) == Abilities(logprobs=False, schema=False, pictures=0)
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
