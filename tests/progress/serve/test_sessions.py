"""Sessions: in order, apart from each other, closed when idle."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from headway.errors import DatasetError
from headway.estimator import Needs, Reading
from headway.serve.limits import Limits


class Scripted:
    """Says of each frame what its first pixel means: 255 nothing, 254 out of range, 253 fails, 252 refuses."""

    name, fingerprint, needs = "scripted", "scripted-1", Needs()

    def estimate(self, episodes, stride=1):
        raise NotImplementedError

    def stream(self, instruction=None):
        return self

    def push(self, frames, time, state=None):
        value = int(next(iter(frames.values()))[0, 0, 0])
        if value == 253:
            raise ZeroDivisionError("the model broke")
        if value == 252:
            raise DatasetError("this estimator wants something else")
        return Reading(time, {255: float("nan"), 254: 1.7}.get(value, value / 100))


class Summing:
    """Remembers all it was shown: progress is their sum. What another session showed would be seen."""

    name, fingerprint, needs = "summing", "summing-1", Needs()

    def estimate(self, episodes, stride=1):
        raise NotImplementedError

    def stream(self, instruction=None):
        return SummingStream()


class SummingStream:
    def __init__(self):
        self.sum = 0

    def push(self, frames, time, state=None):
        self.sum += int(frames["top"][0, 0, 0])
        return Reading(time, self.sum / 10_000)


@pytest.fixture(scope="module")
def scripted(serve):
    return serve(Scripted(), Limits(sessions=3, idle_seconds=60))


@pytest.fixture
def grey(packed):
    return lambda value, **more: {"cameras": {"top": packed(np.full((4, 4, 3), value, np.uint8))}, **more}


@pytest.fixture
def opened(scripted):
    """Opens sessions and closes them."""
    paths = []

    def make(**asked):
        paths.append(scripted.open(**asked))
        return paths[-1]

    yield make
    for path in paths:
        scripted.client.delete(path.removesuffix("/frames"))


def test_reward_joins_valid_consecutive_frames_alone(scripted, opened, grey):
    frames = opened(fps=10, gamma=0.5)
    told = [scripted.post(frames, grey(value)).json() for value in (20, 60, 255, 80, 90, 254, 40)]
    assert [each["progress"] for each in told] == [0.2, 0.6, None, 0.8, 0.9, None, 0.4]
    expected = [0, 0.5 * 0.6 - 0.2, 0, 0, 0.5 * 0.9 - 0.8, 0, 0]
    assert [each["reward"] for each in told] == expected
    assert (
        told[2]["reasons"]["progress"]
        == told[5]["reasons"]["progress"]
        == ("the estimator gave no number in its range")
    )
    assert told[3]["reasons"]["reward"] == "the frame before has no progress"


def test_reward_is_not_paid_across_a_gap_in_time(scripted, opened, grey):
    frames = opened(max_gap=0.5)
    told = [scripted.post(frames, grey(50, time=100 + at)).json() for at in (0, 0.5, 1.2, 1.7)]
    assert [each["time"] for each in told] == pytest.approx([0, 0.5, 1.2, 1.7])
    assert [each["reward"] for each in told] == pytest.approx([0, -0.005, 0, -0.005])
    assert "more than max_gap" in told[2]["reasons"]["reward"]


def test_where_the_episode_terminates_the_potential_is_zero_and_the_session_over(scripted, opened, grey):
    frames = opened(fps=10, gamma=0.9)
    scripted.post(frames, grey(70))
    last = scripted.post(frames, grey(100, terminated=True)).json()
    assert last["progress"] == 1
    assert last["reward"] == -0.7
    after = scripted.post(frames, grey(100))
    assert after.status_code == 409
    assert after.json()["detail"] == "the session is over; open another"
    assert scripted.client.get(frames.removesuffix("/frames")).json()["ended"] is True


def test_a_frame_that_cannot_be_used_changes_nothing(scripted, opened, grey):
    frames = opened()
    scripted.post(frames, grey(20, time=5.0))
    damaged = {"cameras": {"top": "iVBORw0KGgo="}, "time": 6.0}
    for sent, words in (
        (damaged, "cameras.top: the PNG of 8 bytes is truncated"),
        (grey(30, time=5.0), "the time 5.000 s does not come 0.001 s after the last, 5.000 s"),
        (grey(30, time=4.0), "does not come"),
        (grey(30), "send the frame's time in seconds, or open the session with fps"),
        (grey(30, time="6"), "valid number"),
    ):
        refused = scripted.post(frames, sent)
        assert refused.status_code == 422
        assert words in refused.json()["detail"]
    told = scripted.post(frames, grey(30, time=6.0)).json()
    assert (told["frame"], told["time"]) == (1, 1.0)
    assert told["reward"] == pytest.approx(0.99 * 0.3 - 0.2)


@pytest.mark.parametrize(("value", "status"), [(253, 500), (252, 422)])
def test_a_stream_that_fails_ends_its_session_and_no_other(scripted, opened, grey, value, status):
    frames, other = opened(fps=10), opened(fps=10)
    scripted.post(frames, grey(20))
    failed = scripted.post(frames, grey(value))
    assert failed.status_code == status
    assert failed.headers["Content-Type"] == "application/problem+json"
    assert "Traceback" not in failed.text
    assert scripted.post(frames, grey(20)).status_code == 409
    assert scripted.post(other, grey(20)).json()["progress"] == 0.2
    assert scripted.client.get("/healthz").json() == {"status": "ok"}


def test_an_answer_that_was_lost_can_be_asked_for(scripted, opened, grey):
    frames = opened(fps=5, gamma=0.8, instruction="tidy up")
    answer = scripted.post(frames, grey(20)).json()
    told = scripted.client.get(frames.removesuffix("/frames")).json()
    assert told["last"] == answer
    assert (told["frames"], told["fps"], told["gamma"], told["instruction"]) == (1, 5, 0.8, "tidy up")


def test_idle_sessions_expire_and_used_ones_do_not(scripted, grey):
    used, idle = scripted.open(fps=10), scripted.open(fps=10)
    scripted.clock.now += 59
    assert scripted.post(used, grey(20)).status_code == 200
    assert scripted.client.get(idle.removesuffix("/frames")).json()["expires_in"] == 1
    assert scripted.metric("headway_sessions ") == 2
    scripted.clock.now += 1
    gone = scripted.post(idle, grey(20))
    assert gone.status_code == 404
    assert "one that nobody uses for 60 s is closed" in gone.json()["detail"]
    assert scripted.metric("headway_sessions ") == 1
    assert scripted.post(used, grey(20)).status_code == 200
    scripted.clock.now += 60
    assert scripted.metric("headway_sessions ") == 0


def test_so_many_sessions_and_no_more(scripted, opened):
    paths = [opened() for _ in range(3)]
    refused = scripted.post("/v1/sessions", {})
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "60"
    assert "3 sessions are open" in refused.json()["detail"]
    assert scripted.client.delete(paths[0].removesuffix("/frames")).status_code == 204
    assert scripted.client.delete(paths[0].removesuffix("/frames")).status_code == 404
    opened()


def test_parallel_sessions_do_not_mix(serve, grey):
    served = serve(Summing())
    started = threading.Barrier(6)

    def run(number: int) -> list[float]:
        frames = served.open(fps=10)
        started.wait()
        return [served.post(frames, grey(number)).json()["progress"] for _ in range(12)]

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(run, range(1, 7)))
    assert found == [[number * count / 10_000 for count in range(1, 13)] for number in range(1, 7)]
    assert served.metric("headway_frames_total") == 72
