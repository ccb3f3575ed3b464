"""Our client asks `transformers serve`, a server of OpenAI's protocol that others wrote, with a tiny random model."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from urllib.error import URLError

import anyio
import pytest
from safetensors.torch import load_file, save_file

from headway.vlm.chat import Abilities, NoReply, Picture, Question, Reply, Text
from headway.vlm.client import OpenAIModel
from headway.vlm.local import LocalModel
from headway.vlm.reply_cache import ReplyCache

# seconds for it to import, on a busy machine
PATIENCE = 90
# the command's own entry point, run by this interpreter whether or not its folder is on the path
SERVE = "import sys; from transformers.cli.transformers import main; sys.argv = ['transformers', *sys.argv[1:]]; main()"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_up(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False


@pytest.fixture(scope="module")
def folder(saved: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose words, not only their probabilities, change with the pictures and their order."""
    folder = shutil.copytree(saved("qwen3"), tmp_path_factory.mktemp("serve") / "model")
    weights = load_file(folder / "model.safetensors")
    save_file({key: 4 * weight for key, weight in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its base URL. The process and what it started are gone afterwards."""
    home = tmp_path_factory.mktemp("serve")
    # where it looks for the models it can list
    (home / "hub").mkdir()
    port = free_port()
    settings = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", SERVE, "serve", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    log = home / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--device", "cpu", "--dtype", "float32"],
            env={**os.environ, **settings},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + PATIENCE
        while not is_up(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(base_url: str, model: str, *questions: Question, cache: ReplyCache | None = None) -> list[Reply]:
    async def all_of_them() -> list[Reply]:
        client = OpenAIModel(model, base_url, cache=cache)
        try:
            return [await client.ask(question) for question in questions]
        finally:
            await client.aclose()

    return anyio.run(all_of_them)


def question(*pictures: Picture, **settings: object) -> Question:
    parts = [part for number, picture in enumerate(pictures) for part in (Text(f"Frame {number}:"), picture)]
    return Question((*parts, Text("Which?")), **settings)


def test_pictures_go_over_and_a_reply_comes_back(server, folder, pictures):
    """The same weights, asked the same on this side, say the same: so pictures and their order arrived whole."""
    asked = [question(*pair, max_tokens=12) for pair in permutations(pictures[:3], 2)]
    replies = ask(server, str(folder), *asked)
    local = LocalModel(str(folder))
    expected = [anyio.run(local.ask, one) for one in asked]
    # this server cuts off what Python takes for white space
    assert [reply.text.strip() for reply in replies] == [reply.text.strip() for reply in expected]
    # were the order lost, there would be three
    assert len({reply.text for reply in replies}) > 3
    for reply, known in zip(replies, expected, strict=True):
        assert reply.usage.prompt_tokens == known.usage.prompt_tokens
        assert reply.usage.requests == 1


def test_max_tokens_are_respected(server, folder, pictures):
    short, longer = ask(server, str(folder), *(question(pictures[0], max_tokens=count) for count in (2, 5)))
    assert (short.usage.completion_tokens, longer.usage.completion_tokens) == (2, 5)
    assert short.finish == longer.finish == "length"


def test_the_probe_finds_what_this_server_can_do(server, folder):
    """It ignores `logprobs` and `response_format`: neither must be taken for granted because nothing was refused."""

    async def find_out() -> Abilities:
        client = OpenAIModel(str(folder), server)
        try:
            return await client.abilities()
        finally:
            await client.aclose()

    assert anyio.run(find_out) == Abilities(logprobs=False, schema=False, pictures=None)


def test_a_question_that_wants_logprobs_gets_its_words_alone(server, folder, pictures):
    plain = question(pictures[0], max_tokens=4)
    told, bare = ask(server, str(folder), replace(plain, top_logprobs=5), plain)
    assert told.tokens == ()
    assert told.text == bare.text


def test_what_was_asked_before_is_not_sent_again(server, folder, pictures, tmp_path):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    one = question(pictures[0], max_tokens=4)
    first, second = ask(server, str(folder), one, one, cache=cache)
    assert first.text == second.text
    assert (first.usage.requests, second.usage.requests, second.usage.cache_hits) == (1, 0, 1)


def test_another_model_than_the_servers_is_told_in_one_line(server, pictures):
    with pytest.raises(NoReply, match="other-model") as told:
        ask(server, "other-model", question(pictures[0]))
    assert "\n" not in str(told.value)
