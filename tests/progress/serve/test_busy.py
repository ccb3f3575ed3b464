"""While the estimator works: others wait or are told to, health answers, and who leaves costs nothing."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx
import numpy as np
import pytest

from headway.episodes import ProgressCurve
from headway.errors import VideoError
from headway.estimator import Needs, Reading
from headway.serve.limits import Limits

KEY = "a-key-for-tests-only"


class Slow:
    """Judges when it is let; remembers what it began."""

    name, fingerprint, needs = "slow", "slow-1", Needs()

    def __init__(self):
        self.let, self.began, self.at_once, self.most = threading.Event(), [], 0, 0

    def estimate(self, episodes, stride=1):
        for episode in episodes:
            self._work(episode.instruction)
            for picture in episode.camera("top"):
                self._seen = picture
            yield ProgressCurve(np.zeros(len(episode), np.float32), np.ones(len(episode), bool), self.fingerprint)

    def stream(self, instruction=None):
        return self

    def push(self, frames, time, state=None):
        self._work("frame")
        return Reading(time, 0.5)

    def _work(self, name) -> None:
        self.began.append(name)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        assert self.let.wait(60)
        self.at_once -= 1


@pytest.fixture
def slow(serve):
    estimator = Slow()
    yield serve(estimator, Limits(requests=3)), estimator
    estimator.let.set()


@pytest.fixture
def episode(packed):
    picture = packed(np.zeros((4, 4, 3), np.uint8))
    return lambda name, length=1: {
        "episodes": [{"fps": 10, "instruction": name, "cameras": {"top": [picture] * length}}]
    }


def test_a_busy_server_says_when_to_ask_again_and_stays_healthy(slow, episode, until):
    served, estimator = slow
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(served.post, "/v1/estimate", episode(str(number))) for number in range(3)]
        until(lambda: served.metric("headway_requests_in_flight") == 3 and estimator.began)
        refused = served.post("/v1/estimate", episode("too many"))
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "1"
        assert refused.json()["detail"] == "busy with 3 requests; ask again in a second"
        began = time.monotonic()
        assert served.client.get("/healthz").status_code == served.client.get("/v1/info").status_code == 200
        assert time.monotonic() - began < 10
        estimator.let.set()
        assert [each.result().status_code for each in asked] == [200] * 3
    assert estimator.most == 1
    assert sorted(estimator.began) == ["0", "1", "2"]
    assert served.post("/v1/estimate", episode("after")).status_code == 200


def test_a_second_frame_before_the_answer_to_the_first_is_refused(slow, packed, until):
    served, estimator = slow
    frame = {"cameras": {"top": packed(np.zeros((4, 4, 3), np.uint8))}}
    frames = served.open(fps=10)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(served.post, frames, frame)
        until(lambda: estimator.began)
        assert served.post(frames, frame).status_code == 409
        # it may be closed meanwhile, and one that is judged does not expire
        served.clock.now += 10_000
        assert served.client.get(frames.removesuffix("/frames")).status_code == 200
        estimator.let.set()
        assert first.result().status_code == 200
    assert served.post(frames, frame).json()["frame"] == 1


def leave(served, path: str, content: bytes, after) -> None:
    """Ask, and be gone before the answer, as a client that is killed is."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as own:
        own.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        after()


def test_a_client_killed_while_it_waits_or_is_judged_holds_nobody_up(slow, episode, until):
    served, estimator = slow
    content = served.client.build_request("POST", "/v1/estimate", json=episode("killed", 50)).content
    waiting = content.replace(b"killed", b"waited")
    leave(
        served,
        "/v1/estimate",
        content,
        lambda: (
            until(lambda: estimator.began),
            leave(served, "/v1/estimate", waiting, lambda: until(lambda: in_flight(served) == 2)),
        ),
    )
    until(lambda: served.metric('headway_requests_total{route="/v1/estimate"') == 0 and in_flight(served) == 2)
    seen_to_be_gone(served)
    estimator.let.set()
    until(lambda: in_flight(served) == 0)
    # the one under way was cut short at its frames, the one that waited was never begun
    assert estimator.began == ["killed"]
    assert served.metric('headway_requests_total{route="/v1/estimate",method="POST",status="499"}') == 2
    assert served.metric("headway_frames_total") == 0
    assert served.post("/v1/estimate", episode("next")).status_code == 200


def test_a_frame_whose_client_is_gone_before_its_turn_is_not_taken(slow, episode, packed, until):
    served, estimator = slow
    frame = {"cameras": {"top": packed(np.zeros((4, 4, 3), np.uint8))}}
    frames = served.open(fps=10)
    content = served.client.build_request("POST", frames, json=frame).content
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(served.post, "/v1/estimate", episode("first"))
        until(lambda: estimator.began)
        leave(served, frames, content, lambda: until(lambda: in_flight(served) == 2))
        seen_to_be_gone(served)
        estimator.let.set()
        assert batch.result().status_code == 200
    until(lambda: in_flight(served) == 0)
    assert estimator.began == ["first"]
    assert served.client.get(frames.removesuffix("/frames")).json()["frames"] == 0


def seen_to_be_gone(served) -> None:
    """The server takes events in their order: who asks after they left is answered after they were missed."""
    for _ in range(3):
        assert httpx.get(f"{served.url}/healthz").status_code == 200


def in_flight(served) -> float:
    return served.metric("headway_requests_in_flight")


def test_a_client_killed_while_it_sends_holds_nobody_up(slow, episode, until):
    served, estimator = slow
    estimator.let.set()
    head = (
        f"POST /v1/estimate HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 1000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as own:
        own.sendall(head.encode() + b'{"episodes": [')
        until(lambda: in_flight(served) == 1)
    until(lambda: in_flight(served) == 0)
    assert not estimator.began
    assert served.post("/v1/estimate", episode("next")).status_code == 200


class Endless(Slow):
    """Looks at the same frames again and again."""

    def estimate(self, episodes, stride=1):
        (episode,) = episodes
        for number in count():
            self.began.append(number)
            for _ in episode.camera("top"):
                time.sleep(0.001)
        raise VideoError("never")
        yield


def test_a_server_that_is_stopped_gives_up_what_is_under_way(serve, episode, until):
    estimator = Endless()
    served = serve(estimator)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(served.post, "/v1/estimate", episode("endless"))
        until(lambda: estimator.began)
        served.server.should_exit = True
        answer = asked.result()
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the server is being stopped"
