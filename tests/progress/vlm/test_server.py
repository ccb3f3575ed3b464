"""Which key goes where."""

import asyncio

import pytest

from headway.errors import InvalidValue
from headway.vlm.chat import NoReply, Question, Text
from headway.vlm.client import OpenAIModel, key_for
from headway.vlm.reply_cache import ReplyCache
from headway.vlm.server import address

OPENAI = "https://api.openai.com/v1"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/openai/"
HERE = "http://localhost:8000/v1"
KEYS = ("HEADWAY_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


def test_a_provider_s_key_goes_to_that_provider_alone(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of-openai")
    monkeypatch.setenv("GEMINI_API_KEY", "of-gemini")
    assert key_for(OPENAI) == "of-openai"
    assert key_for(GEMINI) == "of-gemini"
    elsewhere = (HERE, "https://api.openai.com.example.org/v1", "https://example.org/api.openai.com/v1")
    assert [key_for(url) for url in elsewhere] == [None] * 3


def test_our_own_key_goes_wherever_it_is_meant_to(monkeypatch):
    assert key_for(HERE) is None
    monkeypatch.setenv("HEADWAY_API_KEY", "of-headway")
    assert key_for(HERE) == key_for(OPENAI) == key_for(GEMINI) == "of-headway"


def test_a_private_server_s_key_does_not_go_to_a_provider_that_has_its_own(monkeypatch):
    monkeypatch.setenv("HEADWAY_API_KEY", "of-headway")
    monkeypatch.setenv("OPENAI_API_KEY", "of-openai")
    monkeypatch.setenv("GEMINI_API_KEY", "of-gemini")
    assert [key_for(url) for url in (HERE, OPENAI, GEMINI)] == ["of-headway", "of-openai", "of-gemini"]
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    assert key_for(OPENAI) == "of-headway"


@pytest.mark.parametrize(
    "host", ["example.org", "8.8.8.8", "134744072", "0x8080808", "[::ffff:8.8.8.8]", "api.openai.com"]
)
def test_a_key_does_not_cross_the_internet_unencrypted(host):
    with pytest.raises(InvalidValue, match="unencrypted") as caught:
        OpenAIModel("m", f"http://{host}/v1", api_key="sk-secret")
    assert "sk-secret" not in str(caught.value)
    OpenAIModel("m", f"http://{host}/v1")


def test_a_key_of_impossible_characters_is_told_and_not_repeated(monkeypatch):
    monkeypatch.setenv("HEADWAY_API_KEY", "sk-secret\n")
    assert key_for(HERE) == "sk-secret"
    for wrong in ("sk-secret\nsk-other", "sk-sécret"):
        with pytest.raises(InvalidValue, match="HEADWAY_API_KEY") as caught:
            OpenAIModel("m", HERE, api_key=wrong)
        assert "sk-" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "192.168.1.7", "10.0.0.2", "100.64.0.9", "gpu-box", "nas.local"]
)
def test_a_key_may_go_unencrypted_to_a_neighbour(host):
    OpenAIModel("m", f"http://{host}:8000/v1", api_key="sk-secret")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("HTTP://LocalHost:8000/v1/", "http://localhost:8000/v1"),
        ("https://api.openai.com:443/v1", OPENAI),
        ("http://localhost:8000/v1/chat/completions", HERE),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://localhost/Path", "http://localhost/Path"),
    ],
)
def test_one_server_has_one_address(given, expected):
    assert address(given) == expected


@pytest.mark.parametrize("given", ["localhost:8000/v1", "ftp://h/v1", "", "http://", "http://h:x/v1", "http://[::1/v1"])
def test_what_is_no_address_is_told(given):
    with pytest.raises(InvalidValue, match="http://localhost:8000/v1"):
        OpenAIModel("m", given)


@pytest.mark.parametrize(
    "given",
    [
        "https://sk-secret@h/v1",
        "https://me:sk-secret@h/v1",
        "https://h/v1?key=sk-secret",
        "https://me:sk-secret/x@h/v1",
        "https://me/sk-secret@h/v1",
        "https://sk-secret/x@h/v1",
        "me:sk-secret@h/v1",
        "ftp://me:sk-secret@h/v1",
        "https://me:sk-secret@h:port/v1",
        "https://me:sk-secret@[h/v1",
    ],
)
def test_a_key_in_the_address_is_refused_and_not_repeated(given):
    with pytest.raises(InvalidValue, match="HEADWAY_API_KEY") as caught:
        OpenAIModel("m", given)
    assert "sk-secret" not in str(caught.value)


def test_the_key_is_in_its_header_and_nowhere_else(server, tmp_path):
    model = OpenAIModel("m", server.url, api_key="sk-secret-7", cache=ReplyCache(tmp_path / "r.sqlite"), retries=0)
    server.otherwise = lambda body: (
        server.says("fine") if len(server.seen) == 1 else server.fails(400, "not sk-secret-7")
    )
    asyncio.run(model.ask(Question((Text("a"),))))
    with pytest.raises(NoReply) as caught:
        asyncio.run(model.ask(Question((Text("b"),))))
    assert server.seen[0].headers["authorization"] == "Bearer sk-secret-7"
    assert "sk-secret-7" not in str(server.bodies)
    assert "not [key]" in str(caught.value)
    assert "sk-secret-7" not in f"{model!r} {model.name} {model.fingerprint} {caught.value!r}"
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert files
    assert not any(b"sk-secret-7" in path.read_bytes() for path in files)


def test_what_the_environment_holds_for_openai_stays_away_from_others(server, monkeypatch):
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{name}", "sk-private")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: sk-private\nAuthorization: Bearer sk-private")
    asyncio.run(OpenAIModel("m", server.url, api_key=key_for(server.url)).ask(Question((Text("a"),))))
    assert "sk-private" not in str(server.seen[0].headers)
    assert not any(name.startswith(("x-stainless", "openai-")) for name in server.seen[0].headers)


def test_a_password_in_what_others_say_is_left_out(server):
    server.otherwise = lambda body: server.fails(400, "no route to http://me:sk-secret@upstream:80/v1 or https://x@y")
    with pytest.raises(NoReply, match="no route to http://upstream:80/v1 or https://y") as caught:
        asyncio.run(OpenAIModel("m", server.url).ask(Question((Text("a"),))))
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["gopher://me:sk-secret@h:1", "socks5://me:sk-secret@h:1"])
def test_a_proxy_that_cannot_be_used_is_one_line(monkeypatch, proxy):
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(InvalidValue, match="look at HTTPS_PROXY") as caught:
        asyncio.run(OpenAIModel("m", "http://server.invalid/v1").ask(Question((Text("a"),))))
    assert "sk-secret" not in str(caught.value)
