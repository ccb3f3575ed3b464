"""`headway fetch` against a hub of our own on loopback, through the client that talks to the real one."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import headway
from headway.cli.fetch import Published, fetch_published, needed
from headway.errors import CheckpointError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Models by name, each file by name; what was asked for; which models are gated."""

    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    taken: list[str] = field(default_factory=list)
    address: str = ""
    # of a file whose transfer breaks off
    broken: str = ""
    html: str = ""

    def info(self, name: str) -> dict:
        files = [
            {"rfilename": path, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
            for path, content in self.models[name].items()
        ]
        card = {"license": "apache-2.0"}
        gated = "manual" if name in self.gated else False
        return {"_id": "1", "id": name, "sha": COMMIT, "siblings": files, "cardData": card, "gated": gated, "tags": []}

    def tree(self, name: str) -> list[dict]:
        return [
            {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for path, content in self.models[name].items()
        ]


class Answer(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].lstrip("/")
        if path.startswith("api/models/"):
            self._about(path.removeprefix("api/models/"))
        elif "/resolve/" in path:
            name, _, rest = path.partition("/resolve/")
            self._file(name, rest.partition("/")[2])
        else:
            self._send(404, b"{}")

    do_HEAD = do_GET

    def _about(self, path: str) -> None:
        name = "/".join(path.split("/")[:2])
        if name == "some/cut-off":
            # no answer at all
            self.close_connection = True
            return
        if name not in self.hub.models:
            self._send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
            return
        content = self.hub.tree(name) if "/tree/" in path else self.hub.info(name)
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, file: str) -> None:
        if name in self.hub.gated:
            words = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to it is restricted"}
            self._send(403, b"{}", words)
            return
        content = self.hub.models[name][file]
        etag = hashlib.sha1(content).hexdigest()
        kind = "text/html" if file == self.hub.html else "application/octet-stream"
        if self.command == "GET":
            self.hub.taken.append(file)
        self._send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Content-Type": kind}, file)

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None, file: str = "") -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if file and file == self.hub.broken else content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    handler = type("HubAnswer", (Answer,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub.address = f"http://127.0.0.1:{server.server_port}"
        yield hub
        server.shutdown()


RUN = """
import sys
from headway.cli.fetch import fetch
from headway.encoders.pretrained import find_model
from headway.errors import HeadwayError

def attempt(step):
    kind, name = step.split("=")
    try:
        if kind == "find":
            print("found", find_model(name))
        else:
            print("status", fetch(name, yes=kind == "yes"))
    except HeadwayError as error:
        print("told:", error)

for step in sys.argv[1:]:
    attempt(step)
"""


def run(hub: Hub, cache: Path, *steps: str, typed: str = "") -> str:
    """Take steps in a process whose hub is ours: fetch=NAME asks, yes=NAME does not, find=NAME looks here."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")},
        "PYTHONPATH": str(Path(headway.__file__).parents[1]),
        "HF_HOME": str(cache),
        "HF_ENDPOINT": hub.address,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-c", RUN, *steps]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_is_shown_asked_about_fetched_and_then_loads_without_network(hub, saved, tmp_path):
    from headway.encoders.make import make_frame_encoder

    files = {path.name: path.read_bytes() for path in saved("dinov2").iterdir()}
    more = {
        "pytorch_model.bin": b"pickle",
        "README.md": b"# read me",
        "onnx/model.safetensors": b"x",
        "flax.msgpack": b"x",
    }
    hub.models["some/dino"] = {**files, **more}
    hub.models["some/pickled"] = {"config.json": b"{}", "pytorch_model.bin": b"pickle"}
    hub.models["some/gated"] = dict(files)
    hub.gated = {"some/gated"}
    told = run(
        hub, tmp_path,
        "find=some/dino", "fetch=some/dino", "find=some/dino", "fetch=some/dino", "find=some/dino",
        "yes=some/cut-off", "yes=some/pickled", "yes=some/unknown", "yes=not a name", "yes=some/gated", typed="\ny\n",
    ).splitlines()  # fmt: skip
    refused = [line for line in told if line.startswith("told:")]
    # before it was fetched, and after the question was answered with no
    assert [line for line in refused if "headway fetch some/dino" in line] == refused[:2]
    assert sum("nothing was downloaded" in line for line in told) == 1
    assert "  licence  apache-2.0" in told
    assert f"  files    {len(files)}, {sum(map(len, files.values())) / 1e6:.1f} MB" in told
    assert "status 1" in told
    assert "status 0" in told
    assert sum(line == "next: headway train sarm DATASET --encoder some/dino --out RUN" for line in told) == 1
    (found,) = (line.removeprefix("found ") for line in told if line.startswith("found "))
    assert any(line.endswith(f"kept in {found}") for line in told)
    assert make_frame_encoder(found).fingerprint == make_frame_encoder(str(saved("dinov2"))).fingerprint
    assert sorted(hub.taken) == sorted(files)
    for words in (
        "some/pickled holds no weights as .safetensors",
        "no model called some/unknown",
        "no model called not",
    ):
        assert any(words in line for line in refused), (words, told)
    assert "some/gated is gated: accept its licence" in refused[-1], told
    assert any(f"some/cut-off could not be fetched from {hub.address}" in line for line in refused)
    assert len(refused) == 7


def test_only_what_loading_reads_is_taken():
    wanted = ("model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json",
              "vocab.txt", "spiece.model", "1_Pooling/config.json")  # fmt: skip
    others = ("pytorch_model.bin", "model.fp16.safetensors", "onnx/config.json", "README.md", "flax_model.msgpack",
              "tf_model.h5", "model.pt")  # fmt: skip
    assert [file for file in (*wanted, *others) if needed(file)] == list(wanted)


def fetch_file(hub: Hub, path: Path, file: str = "model.pt", yes: bool = True) -> int:
    published = Published(f"{hub.address}/some/vip/resolve/main/{file}", "CC BY-NC 4.0")
    return fetch_published("vip", published, path, yes)


@pytest.fixture
def vip(hub) -> Hub:
    hub.models["some/vip"] = {"model.pt": os.urandom(3_000_000)}
    return hub


def test_a_published_checkpoint_is_shown_and_kept(vip, tmp_path, capsys, monkeypatch):
    path = tmp_path / "models" / "vip" / "model.pt"
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert fetch_file(vip, path, yes=False) == 1
    assert not path.exists()
    assert vip.taken == []
    assert fetch_file(vip, path) == 0
    assert path.read_bytes() == vip.models["some/vip"]["model.pt"]
    shown = capsys.readouterr().out
    assert "CC BY-NC 4.0" in shown
    assert "1, 3.0 MB" in shown
    assert "--encoder vip" in shown
    assert fetch_file(vip, path) == 0
    assert vip.taken == ["model.pt"]


@pytest.mark.parametrize("harm", ["broken", "html", "absent", "no server"])
def test_a_download_that_fails_is_one_line_and_leaves_nothing(harm, vip, tmp_path):
    vip.broken, vip.html = ("model.pt" if harm == word else "" for word in ("broken", "html"))
    if harm == "absent":
        vip.models = {"some/vip": {"model.pt": b""}}
        vip.address += "/nowhere"
    if harm == "no server":
        vip.address = "http://127.0.0.1:9"
    path = tmp_path / "model.pt"
    with pytest.raises(CheckpointError) as caught:
        fetch_file(vip, path)
    assert "\n" not in str(caught.value)
    assert "vip could not be" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
