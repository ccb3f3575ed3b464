"""What is answered is what the estimator says, to the last bit."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest

from headway.controls import backwards, clock, constant, oracle
from headway.ensemble import StreamingEnsemble
from headway.episodes import ProgressCurve
from headway.estimator import Needs, Reading


class Brightness:
    """Progress is how bright the pictures were so far, in whole numbers, so that the order of sums is no matter."""

    name, fingerprint, needs = "brightness", "brightness-1", Needs()

    def estimate(self, episodes: Iterable, stride: int = 1):
        for episode in episodes:
            stream = self.stream()
            said = [stream.push({"top": picture}, 0.0).progress for picture in episode.camera("top")]
            yield ProgressCurve(np.float32(said), np.ones(len(said), bool), self.fingerprint)

    def stream(self, instruction=None):
        return BrightnessStream()


class BrightnessStream:
    def __init__(self):
        self.sum = self.most = 0

    def push(self, frames, time, state=None):
        self.sum += int(frames["top"].astype(np.int64).sum())
        self.most += 255 * frames["top"].size
        return Reading(time, float(np.float32(self.sum / self.most)))


@pytest.fixture(scope="module")
def sarm(serve, toy_sarm):
    return serve(toy_sarm)


@pytest.fixture(scope="module")
def blind(serve):
    return serve(clock())


def pushed(served, episode, packed, **asked):
    frames = served.open(fps=episode.fps, instruction=episode.instruction, **asked)
    sent = (
        {"cameras": {"top": packed(picture)}, "state": state.tolist()}
        for picture, state in zip(episode.cameras["top"], episode.state, strict=True)
    )
    answers = [served.post(frames, each) for each in sent]
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    return [answer.json() for answer in answers]


def test_a_batch_is_the_estimators_own_curves_bit_for_bit(sarm, toy_sarm, make_slider, short, sendable):
    episodes = [short(make_slider(number), length) for number, length in ((3, 12), (4, 7))]
    answer = sarm.post("/v1/estimate", {"episodes": [sendable(episode, state=True) for episode in episodes]})
    assert answer.status_code == 200
    assert answer.json()["fingerprint"] == toy_sarm.fingerprint
    for told, curve in zip(answer.json()["episodes"], toy_sarm.estimate(episodes), strict=True):
        assert told["progress"] == curve.values.tolist()
        assert told["success"] == curve.success.tolist()
        assert told["uncertainty"] == curve.uncertainty.tolist()
        assert told["stage"] == [curve.stage_names[number] for number in curve.stage]
        assert told["reasons"] == {}
        assert told["frames"] == len(curve)


def test_a_session_is_the_estimators_own_stream_bit_for_bit(sarm, toy_sarm, make_slider, short, packed):
    episode = short(make_slider(3), 14)
    stream = toy_sarm.stream(episode.instruction)
    pictures = zip(episode.cameras["top"], episode.state, strict=True)
    own = [stream.push({"top": picture}, t / episode.fps, state) for t, (picture, state) in enumerate(pictures)]
    told = pushed(sarm, episode, packed)
    for part in ("progress", "success", "stage", "uncertainty"):
        assert [each[part] for each in told] == [getattr(reading, part) for reading in own], part
    assert [each["frame"] for each in told] == list(range(14))
    # a network that judges many windows at once rounds otherwise than one that judges one
    (curve,) = toy_sarm.estimate([episode])
    np.testing.assert_allclose([each["progress"] for each in told], curve.values, atol=1e-6)


def test_streaming_equals_batch_bit_for_bit_where_the_estimators_arithmetic_is_exact(
    serve, make_slider, short, sendable, packed
):
    served, episode = serve(Brightness()), short(make_slider(5), 12)
    (batch,) = served.post("/v1/estimate", {"episodes": [sendable(episode)]}).json()["episodes"]
    assert [each["progress"] for each in pushed(served, episode, packed)] == batch["progress"]
    assert len(set(batch["progress"])) > 1


def test_the_reward_is_the_discounted_potentials_difference_and_telescopes(sarm, make_slider, short, packed):
    told = pushed(sarm, short(make_slider(3), 12), packed, gamma=0.9)
    progress, rewards = [each["progress"] for each in told], [each["reward"] for each in told]
    assert rewards[0] == 0
    assert rewards[1:] == [0.9 * after - before for before, after in pairwise(progress)]
    total = sum(0.9**t * reward for t, reward in enumerate(rewards[1:]))
    assert total == pytest.approx(0.9**11 * progress[-1] - progress[0], abs=1e-12)
    assert "first" in told[0]["reasons"]["reward"]


def test_pixel_distance_judges_batches(serve, toy_pixels, make_slider, sendable):
    episode = make_slider(3)
    (told,) = serve(toy_pixels).post("/v1/estimate", {"episodes": [sendable(episode)]}).json()["episodes"]
    (curve,) = toy_pixels.estimate([episode])
    assert told["progress"] == curve.values.tolist()
    assert told["progress"][-1] > 0.5
    assert told["success"] is None
    assert told["reasons"].keys() == {"success", "stage", "uncertainty"}


def test_what_cannot_be_known_is_null_with_the_reason(serve, make_slider, short, sendable):
    sent = {"episodes": [sendable(short(make_slider(3), 4))]}
    (told,) = serve(oracle()).post("/v1/estimate", sent).json()["episodes"]
    assert told["progress"] == [None] * 4
    assert told["reasons"]["progress"] == "the dataset carries no truth; only simulated ones do"


def test_an_estimator_of_whole_episodes_answers_batches_and_refuses_sessions(blind, make_slider, short, sendable):
    sent = {"episodes": [sendable(short(make_slider(3), 5))]}
    assert blind.post("/v1/estimate", sent).json()["episodes"][0]["progress"] == [0, 0.25, 0.5, 0.75, 1]
    refused = blind.post("/v1/sessions", {})
    assert refused.status_code == 409
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["detail"] == ("clock does not judge running episodes; send whole ones to POST /v1/estimate")
    assert blind.client.get("/v1/info").json()["streams"] is False


def test_info_says_what_has_to_be_sent(sarm, toy_sarm):
    info = sarm.client.get("/v1/info").json()
    assert info["cameras"] == ["top"]
    assert info["state_dim"] == 1
    assert info["stages"] == ["right", "down"]
    assert info["streams"] is True
    assert info["needs"]["state"] is True
    assert info["limits"]["frames"] == 2000
    assert {"headway", "torch", "python"} <= info["versions"].keys()


def test_an_ensembles_needs_are_those_of_its_members(serve, toy_sarm, make_slider, short, packed):
    served = serve(StreamingEnsemble("ensemble:two", (toy_sarm, toy_sarm)))
    info = served.client.get("/v1/info").json()
    assert (info["cameras"], info["state_dim"]) == (["top"], 1)
    told = pushed(served, short(make_slider(3), 3), packed)
    assert told[2]["uncertainty"] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": None}, "sarm:toy needs the robot's state"),
        ({"state": [[0.0, 1.0]] * 4}, "takes a state of 1 values; sent were 2"),
        ({"state": [[0.0], [1.0], [0.0], [1.0, 2.0]]}, "rows of the state differ"),
        ({"state": [[0.0]] * 3}, "different length"),
        ({"cameras": {"wrist": ["AAAA"]}}, "looks at the camera 'top'"),
        ({"cameras": {"top": ["AAAA"] * 4}}, "episodes.0.cameras.top.0: 3 bytes that are no JPEG"),
        ({"cameras": {"top": ["data:image/png;base64,AAAA"] * 4}}, "not in base64; leave out what stands before"),
        ({"fps": 0}, "body.episodes.0.fps: Input should be greater than 0"),
        ({"fps": "10"}, "valid number"),
        ({"colour": 1}, "colour: Extra inputs are not permitted"),
    ],
)
def test_an_episode_that_cannot_be_judged_gets_one_clear_line(sarm, make_slider, short, sendable, change, words):
    sent = sendable(short(make_slider(3), 4), state=True) | change
    refused = sarm.post("/v1/estimate", {"episodes": [sent]})
    assert refused.status_code == 422
    problem = refused.json()
    assert problem.keys() == {"type", "title", "status", "detail"}
    assert words in problem["detail"]
    assert "\n" not in problem["detail"]


def test_frames_of_two_sizes_and_damaged_ones_name_the_frame(sarm, make_slider, short, sendable, packed):
    sent = sendable(short(make_slider(3), 4), state=True)
    pictures = sent["cameras"]["top"]
    other = {"cameras": {"top": [*pictures[:3], packed(np.zeros((8, 9, 3), np.uint8))]}}
    assert "of one size" in sarm.post("/v1/estimate", {"episodes": [sent | other]}).json()["detail"]
    cut = {"cameras": {"top": [*pictures[:3], pictures[3][:400]]}}
    assert "episodes.0.cameras.top.3: the PNG" in sarm.post("/v1/estimate", {"episodes": [sent | cut]}).json()["detail"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000, b'{"episodes": NaN}'])
def test_a_body_that_is_no_json_is_refused(sarm, content):
    refused = sarm.client.post("/v1/estimate", content=content, headers={"Content-Type": "application/json"})
    assert refused.status_code in (400, 422)
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert "\n" not in refused.json()["detail"]


def test_reversed_is_served_too(serve, make_slider, short, sendable):
    sent = {"episodes": [sendable(short(make_slider(3), 3))]}
    assert serve(backwards(clock())).post("/v1/estimate", sent).json()["episodes"][0]["progress"] == [1, 0.5, 0]
    assert serve(constant(0.3)).post("/v1/sessions", {}).status_code == 409
