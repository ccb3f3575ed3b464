"""The whole way from a video to a curve, over HTTP, against a server that answers from the pixels it gets.

The server stands in for a model with perfect sight (headway_envs.vlm_server). It never learns the true order of frames,
so what comes back in order was put in order here.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from headway.errors import InvalidValue
from headway.metrics.order import summarise_order, value_order_correlation
from headway.vlm.client import OpenAIModel
from headway.vlm.estimator import VlmEstimator
from headway.vlm.examples import with_examples
from headway.vlm.gvl import Gvl
from headway.vlm.judgement import VlmMethod
from headway.vlm.pairwise import Pairwise
from headway.vlm.rubric import Rubric
from headway.vlm.success_question import SuccessQuestion
from headway.vlm.topreward import TopReward
from headway.vlm.verifier import Verifier
from headway_envs.vlm_server import READERS, serving
from headway_envs.vlm_server.broken_gvl import BROKEN
from headway_envs.vlm_server.script import Fault, Manner, Script
from headway_envs.vlm_server.server import PixelServer

FRAMES = 20


@pytest.fixture(scope="module")
def server() -> Iterator[PixelServer]:
    with serving() as running:
        yield running


@pytest.fixture
def rising(make_slider):
    """An episode whose progress rises with every frame."""
    return make_slider(hold=0)


@pytest.fixture
def stalled(make_slider):
    """An episode that halts at 0.4 for good."""
    return make_slider(1, stop_at=0.4)


def asking(method: VlmMethod, server: PixelServer, **client) -> VlmEstimator:
    return VlmEstimator(method.name, method, OpenAIModel("slider", server.base_url, **client))


def judged(estimator: VlmEstimator, episode):
    (curve,) = estimator.estimate([episode])
    return curve


def order(curve) -> float:
    return round(value_order_correlation(curve.values[curve.looked_at]), 12)


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_frames_come_back_in_their_true_order_at_every_seed(server, rising, seed):
    curve = judged(asking(Gvl(FRAMES, permutations=1, seed=seed), server), rising)
    assert curve.looked_at.sum() == FRAMES
    assert order(curve) == 1
    assert np.abs(curve.values - rising.truth.progress).max() < 0.03


@pytest.fixture(scope="module")
def simulated():
    """An expert's and a failing episode of a MuJoCo task."""
    from headway.episodes import ArrayFrames, Episode
    from headway_envs.recording import Recorder, RecordingOptions

    recorder = Recorder("push-to-goal", RecordingOptions())
    made = [recorder.record(3, "expert"), recorder.record(4, "near-miss")]
    recorder.close()
    return [
        Episode(number, 0, each.fps, {"front": ArrayFrames(each.frames["front"])}, instruction="push it to the goal")
        for number, each in enumerate(made)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_of_simulated_episodes_it_gives_back_what_the_server_saw_at_every_seed(server, simulated, seed):
    estimator = VlmEstimator("gvl", Gvl(30, 1, seed=seed), OpenAIModel("push-to-goal", server.base_url))
    for episode, curve in zip(simulated, estimator.estimate(simulated), strict=True):
        seen = np.array([READERS["push-to-goal"](picture) for picture in episode.cameras["front"]])
        counted = np.round(100 * np.clip((seen - seen[0]) / (1 - seen[0]), 0, 1)) / 100
        looked_at = curve.looked_at
        assert looked_at.sum() == 30
        assert curve.values[looked_at] == pytest.approx(counted[looked_at], abs=1e-6)
        assert stats.spearmanr(curve.values[looked_at], counted[looked_at]).statistic == pytest.approx(1)


def test_a_reversed_video_comes_back_reversed(server, rising):
    """From the end to the beginning, each frame has the value that it has forwards, given the same anchor."""
    forwards = judged(asking(Gvl(FRAMES, permutations=1), server), rising)
    pixels = np.stack(list(rising.cameras["top"]))
    camera = type(rising.cameras["top"])(np.concatenate([pixels[:1], pixels[::-1]]))
    backwards = replace(rising, cameras={"top": camera}, state=None, action=None, stages=None, truth=None)
    curve = judged(asking(Gvl(len(pixels) + 1, permutations=1), server), backwards)
    assert order(curve) < -0.8
    frames = np.flatnonzero(forwards.looked_at)
    assert curve.values[1:][::-1][frames] == pytest.approx(forwards.values[frames], abs=0.011)


def test_it_is_told_apart_what_rises_and_what_stalls(server, rising, stalled):
    for method in (Gvl(FRAMES, 1), Verifier(8, 2), Pairwise(10), TopReward(8)):
        done, failed = asking(method, server).estimate([rising, stalled])
        assert done.values[-1] > 0.9, method.name
        assert failed.values[-1] < 0.45, method.name
    # the order of the failure's curve, as far as it goes, is as good as the success's: order is no success
    assert order(failed) > 0.75


def test_a_score_for_the_end_and_a_yes_or_no(server, rising, stalled):
    done, failed = asking(Rubric(), server).estimate([rising, stalled])
    assert (done.values[-1], failed.values[-1]) == (1, 0.25)
    assert np.isnan(done.values[:-1]).all()
    assert done.reason == "a rubric judges an episode by its end"
    yes, no = asking(SuccessQuestion(), server).estimate([rising, stalled])
    assert yes.success[-1] > 0.9
    assert no.success[-1] < 0.3
    assert np.isnan(yes.values).all()


@pytest.mark.parametrize("fault", BROKEN)
def test_every_known_fault_of_such_pipelines_would_show(server, make_slider, fault):
    method = BROKEN[fault](FRAMES, permutations=1)
    estimator = asking(method, server)
    # enough episodes for a model that has lost its bearings to take the wrong ones
    curves = list(estimator.estimate([make_slider(number, hold=0) for number in range(6)]))
    found = summarise_order([curve.values[curve.looked_at] for curve in curves])
    if fault == "red and blue swapped":
        assert found.refused == 1
    elif fault == "wrong frame count":
        assert estimator.outcomes["read"] == 6 * (FRAMES - 1)
        assert all(curve.looked_at.sum() == FRAMES - 1 for curve in curves)
    else:
        assert found.known < 0.9


def test_a_lazy_model_is_caught_by_shuffling_alone(make_slider):
    episodes = [make_slider(number, hold=0) for number in range(8)]
    with serving(Script(manner=Manner.LAZY)) as lazy:
        shuffled = list(asking(Gvl(FRAMES, 1), lazy).estimate(episodes))
        in_order = list(asking(Gvl(FRAMES, 1, shuffled=False), lazy).estimate(episodes))
    assert abs(np.mean([order(curve) for curve in shuffled])) < 0.2
    assert [order(curve) for curve in in_order] == [1] * 8


def test_the_wire_keeps_the_contract(rising):
    """Each picture after its label, but for the anchor; a frame's label tells nothing of its time."""
    with serving() as server:
        judged(asking(Gvl(30, permutations=2), server), replace(rising, cameras=rising.cameras))
        asked = [request for request in server.requests if request.number is not None]
    assert len(asked) == 2
    for request in asked:
        assert request.labels == (None, *range(1, 31))
        assert '{"frames": [{"frame": N, "description": "...", "completion": 0-100}]}' in request.text
        assert rising.instruction in request.text


def test_several_orders_are_asked_and_their_spread_is_the_uncertainty(rising):
    method = Gvl(FRAMES, permutations=3)
    with serving(Script(faults=[Fault.OUT_OF_RANGE])) as server:
        curve = judged(asking(method, server), rising)
        assert len({request.text for request in server.requests if request.number is not None}) >= 2
    assert curve.uncertainty is not None
    assert curve.uncertainty.max() < 0.01  # this server sees the same in every order
    orders = method.orders(method_clip(method, rising))
    assert len({tuple(each) for each in orders}) == 3


def method_clip(method, episode):
    from headway.vlm.clip import take_clip

    return take_clip(episode, method.looks_at(len(episode), 1.0))


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault.TRUNCATED, None),
        (Fault.MISSING, None),
        (Fault.DUPLICATE, None),
        (Fault.UNKNOWN_FRAME, "unknown frame"),
        (Fault.EXTRA_PERCENTAGE, None),
        (Fault.OUT_OF_RANGE, None),
        (Fault.WRONG_TYPE, None),
        (Fault.PROSE_AROUND, None),
        (Fault.FENCE, None),
        (Fault.EMPTY, None),
    ],
)
def test_one_bad_reply_is_mended_by_asking_for_what_is_missing(rising, fault, outcome):
    with serving(Script(faults=[fault])) as server:
        estimator = asking(Gvl(FRAMES, permutations=1), server)
        curve = judged(estimator, rising)
        asked = [request for request in server.requests if request.number is not None]
    assert order(curve) == 1
    assert curve.looked_at.sum() == FRAMES
    assert estimator.outcomes["read"] == FRAMES
    assert set(estimator.outcomes) <= {"read", outcome}
    if fault in (Fault.MISSING, Fault.TRUNCATED, Fault.DUPLICATE):
        assert 1 < len(asked) <= 3
        again = asked[1].labels
        assert again[0] is None, "the anchor is shown again"
        assert 1 <= len(again) - 1 < FRAMES, "and of the frames only those that are missing"


@pytest.mark.parametrize("fault", [Fault.REFUSAL, Fault.REFUSAL_IN_PROSE])
def test_a_refusal_is_no_number_and_is_not_asked_again(rising, fault):
    with serving(Script(faults=lambda number: fault)) as server:
        estimator = asking(Gvl(FRAMES, permutations=1), server)
        curve = judged(estimator, rising)
        asked = [request for request in server.requests if request.number is not None]
    assert np.isnan(curve.values).all()
    assert curve.reason == f"no completion for {FRAMES} of {FRAMES} frames (refused {FRAMES})"
    assert estimator.outcomes == {"refused": FRAMES}
    assert len(asked) == 1


def test_a_server_s_limit_of_pictures_parts_the_question_and_not_the_answer(rising):
    with serving(Script(pictures=8)) as server:
        curve = judged(asking(Gvl(FRAMES, permutations=1), server), rising)
        asked = [request for request in server.requests if request.number is not None]
    assert order(curve) == 1
    assert len(asked) == 3
    assert all(len(request.labels) <= 8 for request in asked)


def test_without_log_probabilities_what_lives_on_them_says_so_and_a_written_answer_is_taken(rising):
    with serving(Script(logprobs="refused")) as server:
        for method in (TopReward(), Verifier()):
            with pytest.raises(InvalidValue, match="gives no log-probabilities"):
                judged(asking(method, server), rising)
        assert judged(asking(SuccessQuestion(), server), rising).success[-1] == 1


def test_examples_come_first_with_their_completion_and_an_example_that_is_scored_is_in_sample(rising, make_slider):
    other = make_slider(7, hold=0)
    with serving() as server:
        estimator = with_examples(asking(Gvl(10, permutations=1), server), [other])
        curve, own = estimator.estimate([rising, other])
        first = next(request for request in server.requests if request.number is not None)
    assert order(curve) == 1
    assert (curve.in_sample, own.in_sample) == (False, True)
    # the example's pictures are labelled before the anchor, which alone has no label
    assert first.labels == (*range(1, 11), None, *range(11, 21))
    assert first.text.count("Completion: ") == 10
    assert "Completion: 100 %" in first.text
    assert asking(Gvl(10, permutations=1), server).fingerprint != estimator.fingerprint


def test_an_episode_without_an_instruction_is_one_clear_line(server, rising):
    with pytest.raises(InvalidValue, match="episode 0 has no instruction to judge it by; give one with --task"):
        judged(asking(Gvl(FRAMES), server), replace(rising, instruction=None))
