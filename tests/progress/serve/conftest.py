"""The reward server for real: Uvicorn on a port of its own, in a thread, asked over HTTP."""

import base64
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import httpx
import numpy as np
import pytest

from headway.encoders.cache import FeatureCache
from headway.episodes import ArrayFrames, Episode
from headway.learned.cross_fit import train_members
from headway.learned.estimator import Learned
from headway.learned.inputs import InputConfig
from headway.learned.members import Workshop
from headway.learned.method import TaskEpisodes, TrainingConfig
from headway.learned.pixels import load_pixels, train_pixels
from headway.learned.sarm import Sarm
from headway.serve.app import make_app
from headway.serve.desk import Desk
from headway.serve.door import Rules, names_of
from headway.serve.limits import Limits
from headway.serve.server import Server, listen

KEY = "a-key-for-tests-only"


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Served:
    """A server that runs: where, its clock, and a client that has its key."""

    url: str
    port: int
    clock: Clock
    client: httpx.Client
    server: Server

    def post(self, path: str, content: object, **options) -> httpx.Response:
        return self.client.post(path, json=content, **options)

    def open(self, **asked) -> str:
        """A session's frames, as a path."""
        answer = self.post("/v1/sessions", asked)
        assert answer.status_code == 201, answer.text
        return f"/v1/sessions/{answer.json()['id']}/frames"

    def metric(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., Served]]:
    """Serves an estimator."""
    stops = []

    def start(estimator, limits=None, key: str | None = KEY, origins=()) -> Served:
        clock, own = Clock(), listen("127.0.0.1", 0)
        rules = Rules(key, names_of("127.0.0.1"), origins=frozenset(origins))
        server = Server(*make_app(Desk(estimator, limits or Limits()), rules, clock))
        thread = threading.Thread(target=server.run, args=([own],), daemon=True)
        thread.start()
        port = own.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)

        def stop() -> None:
            client.close()
            server.should_exit = True
            thread.join(30)
            own.close()
            assert not thread.is_alive()

        stops.append(stop)
        return Served(url, port, clock, client, server)

    yield start
    for stop in stops:
        stop()


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object]], None]:
    """Waits for something to become so."""

    def wait(so: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not so():
            assert time.monotonic() < deadline, "it never became so"
            time.sleep(0.01)

    return wait


def png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="session")
def packed() -> Callable[[np.ndarray], str]:
    """A picture as it is sent, without loss."""
    return lambda picture: in_base64(png(picture))


@pytest.fixture(scope="session")
def sendable(packed) -> Callable[[Episode], dict]:
    """An episode as it is sent."""

    def make(episode: Episode, state: bool = False) -> dict:
        cameras = {name: [packed(picture) for picture in frames] for name, frames in episode.cameras.items()}
        sent = {"fps": episode.fps, "cameras": cameras, "instruction": episode.instruction}
        return sent | ({"state": episode.state.tolist()} if state else {})

    return make


@pytest.fixture(scope="session")
def toy_sarm(session_sliders, tmp_path_factory) -> Learned:
    """A SARM that looks at pictures and state; it was trained for moments, so it knows little."""
    method = Sarm(InputConfig(("top",), image_size=32, use_state=True), TrainingConfig(epochs=1, batch=6, validation=0))
    workshop = Workshop(FeatureCache(tmp_path_factory.mktemp("cache")))
    tasks = [TaskEpisodes(session_sliders(4, failing=1), ("right", "down"))]
    members = train_members(method, tasks, workshop, 1)
    return Learned("sarm:toy", "sarm-toy", method, members)


@pytest.fixture(scope="session")
def toy_pixels(session_sliders, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pixels")
    train_pixels(session_sliders(3), "top", folder)
    return load_pixels(folder)


@pytest.fixture(scope="session")
def short():
    """The first frames of an episode."""

    def cut(episode: Episode, time: int) -> Episode:
        pixels = np.stack(list(episode.cameras["top"]))[:time]
        return Episode(0, 0, episode.fps, {"top": ArrayFrames(pixels)}, episode.instruction, episode.state[:time])

    return cut


@pytest.fixture(scope="module")
def serve_toy(serve, session_sliders, tmp_path_factory):
    """A server whose SARM looks at pictures alone, and three pictures in files."""
    folder = tmp_path_factory.mktemp("pictures")
    method = Sarm(InputConfig(("top",), image_size=32), TrainingConfig(epochs=1, batch=6, validation=0))
    tasks = [TaskEpisodes(session_sliders(4, failing=1), ("right", "down"))]
    members = train_members(method, tasks, Workshop(FeatureCache(folder / "cache")), 1)
    pictures = list(session_sliders(1)[0].cameras["top"])[:3]
    paths = [folder / f"frame{number}.png" for number in range(3)]
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(png(picture))
    return serve(Learned("sarm:toy", "sarm-toy", method, members)).url, paths
