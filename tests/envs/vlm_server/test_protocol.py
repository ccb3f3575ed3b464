"""The server as a client meets it: what it takes, what it refuses, and how it ends."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from headway.errors import InvalidValue, OutputError
from headway_envs.vlm_server import READERS, Fault, Kind, Manner, Script, serving

YES = {"type": "text", "text": "Is the task done? Answer with Yes or No."}


def test_its_models_are_its_readers():
    with serving() as server:
        listed = httpx.get(f"{server.base_url}/models").json()
    assert [model["id"] for model in listed["data"]] == list(READERS)


def test_it_is_gone_after_the_block():
    with serving() as server:
        pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.base_url}/models")


def test_a_port_in_use_is_one_line():
    with serving() as server:
        port = int(server.base_url.split(":")[2].split("/")[0])
        with (
            pytest.raises(OutputError, match=f"cannot listen on 127.0.0.1:{port}: .*choose another --port"),
            serving(port=port),
        ):
            pass


def test_a_port_that_cannot_be_is_one_line():
    with pytest.raises(InvalidValue, match="from 1 to 65535"), serving(port=70000):
        pass


@pytest.mark.parametrize(
    ("words", "status", "model", "parameters"),
    [
        ("there are: slider", 404, "gpt-unknown", {}),
        ("does not stream", 400, "slider", {"stream": True}),
        ("top_logprobs must be", 400, "slider", {"logprobs": True, "top_logprobs": 21}),
        ("max_tokens must be", 400, "slider", {"max_tokens": 0}),
        ("no schema", 400, "slider", {"response_format": {"type": "json_schema", "json_schema": "x"}}),
    ],
)
def test_a_request_is_refused_in_openais_form(asker, slide, words, status, model, parameters):
    with serving() as server:
        response = asker(server, model).frames(slide[:2], **parameters)
        assert server.requests == []
    assert response.status_code == status
    assert words in response.json()["error"]["message"]
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/picture.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,####"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": None},
        {"type": "input_audio"},
    ],
)
def test_what_is_no_picture_is_a_bad_request(asker, part):
    with serving() as server:
        assert asker(server).ask([part]).status_code == 400
        assert server.requests == []


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"messages": []}', b'{"messages": [3]}', b"\xff"])
def test_what_is_no_request_is_a_bad_request(body):
    with serving() as server:
        response = httpx.post(f"{server.base_url}/chat/completions", content=body)
    assert response.status_code == 400


def test_limits_that_a_client_has_to_find_out(asker, slide):
    schema = {"type": "json_schema", "json_schema": {"name": "reply", "schema": {"type": "object"}}}
    with serving(Script(pictures=3, schema=False, logprobs="refused")) as server:
        ask = asker(server)
        assert ask.frames(slide[:3]).status_code == 200
        assert "at most 3" in ask.frames(slide[:4]).json()["error"]["message"]
        assert ask.frames(slide[:2], response_format=schema).status_code == 400
        assert ask.frames(slide[:2], logprobs=True).status_code == 400


def test_a_probe_gets_what_its_schema_wants_and_is_not_counted(asker, say):
    schema = {"type": "object", "properties": {"word": {"type": "string", "enum": ["plum"]}, "n": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    with serving() as server:
        response = asker(server).ask([{"type": "text", "text": "Name a colour."}], response_format=wanted)
        assert say["content"](response) == '{"word": "plum", "n": 0}'
        assert [(served.number, served.kind) for served in server.requests] == [(None, Kind.OTHER)]


def test_usage_counts_pictures_and_words(asker, slide, say):
    with serving() as server:
        one, two = (asker(server).frames(slide[:1] * count, labels=range(1, count + 1)).json() for count in (1, 2))
    assert one["usage"]["total_tokens"] == one["usage"]["prompt_tokens"] + one["usage"]["completion_tokens"]
    # 32 pixels are two patches of 28 each way
    assert 4 <= two["usage"]["prompt_tokens"] - one["usage"]["prompt_tokens"] <= 4 + 5
    assert two["usage"]["completion_tokens"] > 1.5 * one["usage"]["completion_tokens"]


def test_max_tokens_cuts_a_reply_off_under_either_name(asker, slide, say):
    with serving() as server:
        whole = say["content"](asker(server).frames(slide))
        for name in ("max_tokens", "max_completion_tokens"):
            cut = say["choice"](asker(server).frames(slide, **{name: 20}))
            assert cut["finish_reason"] == "length"
            assert 0 < len(cut["message"]["content"]) < len(whole)


def test_thinking_is_taken_from_the_reply_s_tokens(asker, slide, say):
    with serving() as server:
        plain = asker(server).frames(slide).json()["usage"]
        whole = say["content"](asker(server).frames(slide))
    with serving(Script(thinking=50)) as server:
        nothing, cut, enough, unlimited = (
            asker(server).frames(slide, **limit)
            for limit in ({"max_tokens": 50}, {"max_completion_tokens": 60}, {"max_tokens": 9000}, {})
        )
    assert (say["choice"](nothing)["finish_reason"], say["content"](nothing)) == ("length", "")
    assert nothing.json()["usage"]["completion_tokens"] == 50
    assert (say["choice"](cut)["finish_reason"], cut.json()["usage"]["completion_tokens"]) == ("length", 60)
    assert 0 < len(say["content"](cut)) < len(whole)
    for response in (enough, unlimited):
        assert say["choice"](response)["finish_reason"] == "stop"
        assert len(say["content"](response)) == len(whole)
        assert response.json()["usage"]["completion_tokens"] == plain["completion_tokens"] + 50


def test_log_probabilities_may_be_forbidden(asker, slide):
    with serving(Script(logprobs="forbidden")) as server:
        response = asker(server).frames(slide[:2], logprobs=True)
        assert response.status_code == 403
        assert "not allowed to request logprobs" in response.json()["error"]["message"]
        assert asker(server).frames(slide[:2]).status_code == 200


def test_the_log_tells_what_was_shown(asker, slide):
    with serving() as server:
        asker(server).frames(slide[1:3], anchor=slide[0], labels=(7, 4))
        (served,) = server.requests
    assert (served.number, served.kind, served.labels, served.status) == (0, Kind.FRAMES, (None, 7, 4), 200)
    assert "Frame 7:" in served.text
    assert served.authorization is None


def test_the_log_tells_who_asked_and_how_many_at_once(slide, asker):
    with serving(Script(faults=[Fault.TIMEOUT] * 3, slow_s=0.3)) as server:
        body = {"model": "slider", "messages": [{"role": "user", "content": [asker(server).image(slide[0]), YES]}]}
        with ThreadPoolExecutor(3) as pool:
            headers = {"Authorization": "Bearer abc"}
            url = f"{server.base_url}/chat/completions"
            list(pool.map(lambda _: httpx.post(url, json=body, headers=headers), range(3)))
        assert server.most_at_once == 3
        assert [served.authorization for served in server.requests] == ["Bearer abc"] * 3


def test_the_same_request_gets_the_same_answer_whenever_it_comes(asker, shuffled, say):
    pictures, _ = shuffled
    with serving(Script(seed=1)) as server:
        first = say["content"](asker(server).frames(pictures))
    with serving(Script(seed=1)) as server:
        asker(server).frames(pictures[:2])
        assert say["content"](asker(server).frames(pictures)) == first
    with serving(Script(seed=2)) as server:
        assert say["content"](asker(server).frames(pictures)) != first


def test_lazy_goes_by_the_place_in_the_request(asker, shuffled, say):
    pictures, order = shuffled
    with serving(Script(manner=Manner.LAZY)) as server:
        said = say["completions"](asker(server).frames(pictures, anchor=pictures[0]))
        last = say["content"](asker(server).prefix(pictures[:4], "Is the task done? Answer with Yes or No."))
    values = [said[label] for label in range(1, len(pictures) + 1)]
    assert values == [round(100 * place / (len(pictures) - 1)) for place in range(len(pictures))]
    assert abs(np.corrcoef(values, order)[0, 1]) < 0.7
    assert last == "Yes"


def test_constant_says_one_half_of_everything(asker, slide, say):
    with serving(Script(manner=Manner.CONSTANT)) as server:
        assert set(say["completions"](asker(server).frames(slide, anchor=slide[0])).values()) == {50}


def test_it_runs_as_a_program():
    command = [sys.executable, "-m", "headway_envs.vlm_server", "--port", "0"]
    # a job in the background has its interrupts ignored, and so would the program
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **heard) as program:
        try:
            base_url = next(word for word in program.stdout.readline().split() if word.startswith("http")).rstrip(";")
            listed = httpx.get(f"{base_url}/models").json()
            program.send_signal(signal.SIGINT)
            assert program.wait(timeout=10) == 0
        finally:
            program.kill()
    assert len(listed["data"]) == len(READERS)


def test_a_late_answer_does_not_keep_the_server_from_ending(asker, slide):
    began = time.monotonic()
    with serving(Script(faults=[Fault.TIMEOUT])) as server, pytest.raises(httpx.ReadTimeout):
        asker(server).frames(slide, timeout=0.3)
    assert time.monotonic() - began < 3
