"""`headway serve` on the command line: what it prints is enough to use it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from headway.serve.server import listen

CLIENT = Path(__file__).parents[3] / "examples" / "reward_client.py"
OURS = "a-key-of-our-own-choice"


@pytest.fixture(autouse=True)
def command(monkeypatch):
    monkeypatch.delenv("HEADWAY_SERVE_KEY", raising=False)


@pytest.fixture
def serving(headway):
    """Runs the command until `person` has done what a person does, then presses Ctrl-C; gives what was printed."""

    def run(*options, person):
        with listen("127.0.0.1", 0) as own:
            port = own.getsockname()[1]

        def act():
            try:
                wait_for(f"http://127.0.0.1:{port}/healthz")
                person(f"http://127.0.0.1:{port}")
            finally:
                os.kill(os.getpid(), signal.SIGINT)

        with ThreadPoolExecutor(1) as pool:
            acted = pool.submit(act)
            done = headway("serve", "--port", port, *options)
            acted.result()
        return done

    return run


def wait_for(address):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(URLError), urlopen(address, timeout=10):
            return
        time.sleep(0.02)
    raise AssertionError("nothing was served")


def test_what_is_printed_is_enough_to_ask_and_ctrl_c_ends_it(serving, headway):
    done = serving("--estimator", "clock", person=lambda address: None)
    assert done.returncode == 0, done.stderr
    key = re.search(r"^key: ([\w-]{43})$", done.stdout, re.M).group(1)
    assert f'curl -H "Authorization: Bearer {key}" http://127.0.0.1:' in done.stdout
    assert "serving clock at http://127.0.0.1:" in done.stdout
    assert "next: POST /v1/estimate; this estimator judges whole episodes only" in done.stdout
    assert done.stdout.endswith("stopped; what was open is closed\n")
    assert "warning" not in done.stdout + done.stderr


def test_the_key_in_the_environment_is_used_and_not_printed(serving, monkeypatch):
    monkeypatch.setenv("HEADWAY_SERVE_KEY", OURS)
    told = []

    def ask(address):
        with urlopen(Request(f"{address}/v1/info", headers={"Authorization": f"Bearer {OURS}"})) as answer:
            told.append(json.load(answer))

    done = serving("--estimator", "constant:0.3", "--max-frames", "7", person=ask)
    assert OURS not in done.stdout
    assert "$HEADWAY_SERVE_KEY" in done.stdout
    assert told[0]["estimator"] == "constant:0.3"
    assert told[0]["limits"]["frames"] == 7


def test_the_example_client_prints_rewards_of_its_pictures(serve_toy):
    url, pictures = serve_toy
    command = [sys.executable, "-S", CLIENT, url, "move the square", "top", *pictures]
    environment = {"HEADWAY_SERVE_KEY": "a-key-for-tests-only"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all(re.search(r"progress 0\.\d+, success 0\.\d+, reward [+-]0\.\d{4}$", line) for line in lines)
    wrong = subprocess.run(command, env={"HEADWAY_SERVE_KEY": "wrong"}, capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 1
    assert wrong.stderr == "send the server's key with every request: Authorization: Bearer KEY\n"


def test_the_example_client_is_short_and_needs_nothing():
    text = CLIENT.read_text()
    assert len(text.splitlines()) <= 30
    assert not re.search(r"(import|from) (torch|headway|numpy|httpx)", text)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0", "--no-key"], "--no-key at 0.0.0.0 would answer everybody who reaches it"),
        (["--exposed"], "--exposed belongs to --no-key"),
        (["--port", "70000"], "--port must be from 0 to 65535"),
        (["--host", "no.such.name.invalid"], "is no address of this machine"),
        (["--max-mib", "0"], "the limit request bytes must be above 0"),
        (["--allow-origin", "http://page.example/"], "without a slash at the end"),
        (["--estimator", "nothing"], "unknown estimator 'nothing'"),
    ],
)
def test_what_cannot_be_served_is_one_line(headway, options, words):
    done = headway("serve", "--estimator", "clock", "--port", "0", *options)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_port_in_use_is_one_line(headway):
    with listen("127.0.0.1", 0) as own:
        port = own.getsockname()[1]
        done = headway("serve", "--estimator", "clock", "--port", port)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"headway: 127.0.0.1 port {port} cannot be used (Address already in use); choose another with --port\n"
    )


def test_a_key_that_can_be_guessed_is_refused(headway, monkeypatch):
    monkeypatch.setenv("HEADWAY_SERVE_KEY", "secret")
    done = headway("serve", "--estimator", "clock", "--port", "0")
    assert "HEADWAY_SERVE_KEY must be at least 16 letters" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "the key and all pictures travel unencrypted"),
        (["--no-key", "--exposed"], "EVERYBODY who reaches this address is answered"),
    ],
)
def test_an_address_that_others_reach_is_warned_of(serving, options, words):
    done = serving("--estimator", "clock", "--host", "0.0.0.0", *options, person=lambda address: None)
    assert done.returncode == 0, done.stderr
    assert "warning: 0.0.0.0 is reached from other machines, and" in done.stdout
    assert words in done.stdout
