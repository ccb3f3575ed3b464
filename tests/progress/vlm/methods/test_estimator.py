"""From judgements of a few frames to curves of all, what is remarked on the way, and how a run is stopped."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from headway.vlm.chat import Reply
from headway.vlm.client import OpenAIModel
from headway.vlm.clip import Clip, evenly
from headway.vlm.estimator import VlmEstimator, to_curve
from headway.vlm.gvl import Gvl
from headway.vlm.judgement import Judgement
from headway.vlm.pairwise import Pairwise
from headway.vlm.plan import Plan, money, plan_one
from headway.vlm.rubric import Rubric
from headway.vlm.success_question import SuccessQuestion
from headway.vlm.topreward import TopReward
from headway.vlm.verifier import Verifier
from headway_envs.vlm_server import Fault, Script, serving


def curve_of(progress, length: int, **more):
    progress = np.array(progress, float)
    clip = Clip((), evenly(length, len(progress)), length, "move it", 0)
    return to_curve(clip, Judgement(progress, **more), "print")


@pytest.mark.parametrize(("missing", "bridged"), [(1, True), (2, True), (3, False)])
def test_one_or_two_frames_without_a_value_are_bridged_and_three_are_not(missing, bridged):
    values = np.arange(11) / 10
    values[4 : 4 + missing] = np.nan
    curve = curve_of(values, 101)
    straight = np.arange(101) / 100
    inner = np.arange(31, 10 * (4 + missing))
    known = np.setdiff1d(np.arange(101), [] if bridged else inner)
    assert curve.values[known] == pytest.approx(straight[known], abs=1e-6)
    assert np.isnan(curve.values).sum() == 101 - len(known)
    assert curve.reason == (None if bridged else "the model said nothing of these frames")
    assert curve.looked_at.sum() == 11 - missing
    assert not curve.looked_at[40]


def test_two_known_frames_of_thirty_are_no_curve():
    values = np.full(30, np.nan)
    values[[0, 29]] = (0.1, 0.9)
    curve = curve_of(values, 291, reason="no completion for 28 of 30 frames (prose 28)")
    assert np.flatnonzero(~np.isnan(curve.values)).tolist() == [0, 290]
    assert curve.values[[0, 290]] == pytest.approx([0.1, 0.9])
    assert curve.reason == "no completion for 28 of 30 frames (prose 28)"


def test_before_the_first_and_after_the_last_value_nothing_is_known():
    curve = curve_of([np.nan, 0.2, 0.4, np.nan], 31)
    assert np.flatnonzero(~np.isnan(curve.values)).tolist() == [*range(10, 21)]
    assert curve.values[15] == pytest.approx(0.3)


def test_a_gap_that_is_bridged_needs_no_reason_though_the_method_gave_one():
    assert curve_of([0, np.nan, 1], 3, reason="no completion for 1 of 3 frames").reason is None


def test_raw_uncertainty_and_success_are_kept_apart_and_progress_alone_within_the_scale():
    parts = {"raw": [-7, 3], "uncertainty": [0.1, 0.3], "success": [np.nan, 0.5]}
    curve = curve_of([-0.2, 1.4], 3, **{name: np.array(part) for name, part in parts.items()})
    assert curve.values == pytest.approx([0, 0.6, 1])
    assert curve.raw == pytest.approx([-7, -2, 3])
    assert curve.uncertainty == pytest.approx([0.1, 0.2, 0.3])
    assert curve.success == pytest.approx([np.nan, np.nan, 0.5], nan_ok=True)


def test_a_rubric_s_five_is_raw_and_its_progress_one(planted, curves_of, exact):
    (curve,) = curves_of(Rubric(), planted(lambda question: "ANSWER: 5"), exact)
    assert (curve.values[-1], curve.raw[-1]) == (1, 5)
    assert np.isnan(curve.values[:-1]).all()
    assert np.isnan(curve.raw[:-1]).all()


def test_remarks_are_of_all_episodes_and_outcomes_are_counted(planted, weighed, exact):
    masses = iter([0.2] * 6 + [0.9] * 6)
    model = planted(lambda question: weighed({"T": next(masses), "?": 0.05}))
    estimator = VlmEstimator("verifier:planted", Verifier(2), model)
    list(estimator.estimate([exact, replace(exact, index=1)]))
    estimator.close()
    warning = "the model hardly answers with letters; its scores mean little"
    assert estimator.remarks() == {"probability_on_letters": 0.55, "warning": warning}
    facts = estimator.facts()
    assert facts["outcomes"] == {"read": 12}
    assert facts["notes"] == estimator.remarks()
    assert facts["prompt_version"] == Verifier(2).version
    assert facts["spent"]["requests"] == 0


def test_remarks_in_words_are_told_once_each(exact, planted):
    estimator = VlmEstimator("success:planted", SuccessQuestion(), planted(lambda question: "Yes"))
    estimator.notes += [{"form": "exact"}, {"form": "weaker"}, {"form": "exact"}]
    assert estimator.remarks() == {"form": "exact; weaker"}


def test_who_is_among_the_examples_is_in_sample(planted, make_slider):
    model = planted(lambda question: "ANSWER: 5")
    estimator = VlmEstimator("rubric:planted", Rubric(), model, frozenset({"toy-1"}))
    curves = estimator.estimate([make_slider(0), make_slider(1), replace(make_slider(2), recording=None)])
    assert [curve.in_sample for curve in curves] == [False, True, False]
    estimator.close()


def test_a_run_is_stopped_at_once_though_the_server_is_silent(exact):
    ended: list[BaseException] = []

    def run() -> None:
        try:
            list(estimator.estimate([exact]))
        except BaseException as error:  # noqa: BLE001 - what ends it is what is asked
            ended.append(error)

    with serving(Script(faults=lambda number: Fault.TIMEOUT, slow_s=30)) as server:
        estimator = VlmEstimator("gvl", Gvl(5, 2), OpenAIModel("slider", server.base_url))
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        until = time.monotonic() + 10
        while sum(request.number is not None for request in server.requests) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert thread.is_alive()
        started = time.monotonic()
        estimator.stop()
        thread.join(5)
        estimator.close()
        assert time.monotonic() - started < 2
        assert not thread.is_alive()
    assert [type(error) for error in ended] == [KeyboardInterrupt]
    with pytest.raises(KeyboardInterrupt):
        list(estimator.estimate([exact]))


def test_closed_it_may_be_asked_again(exact):
    with serving() as server:
        estimator = VlmEstimator("gvl", Gvl(5, 1), OpenAIModel("slider", server.base_url))
        (first,) = estimator.estimate([exact])
        estimator.close()
        estimator.close()
        (second,) = estimator.estimate([exact])
        estimator.close()
    assert first.values.tolist() == second.values.tolist()
    assert estimator.outcomes == {"read": 10}


METHODS = [
    Gvl(6, 3),
    TopReward(5),
    Verifier(4, criteria=2, repeats=2),
    Rubric(),
    SuccessQuestion(4),
    Pairwise(2),
    Pairwise(6),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: f"{method.name}-{method.frames}")
def test_a_plan_counts_the_requests_and_pictures_of_a_run_in_which_all_is_read(exact, planted, honest, method):
    model = planted(honest)
    estimator = VlmEstimator(method.name, method, model)
    plan = plan_one(estimator, exact)
    assert model.asked == [], "a plan asks nothing"
    list(estimator.estimate([exact]))
    estimator.close()
    assert plan.requests == len(model.asked)
    assert plan.pictures == sum(len(question.pictures) for question in model.asked)
    assert plan.completion_tokens == sum(question.max_tokens for question in model.asked)
    assert plan.prompt_tokens > 0


def test_what_a_plan_costs():
    assert money(1_000_000, 0, (1, 2)) == 1
    assert money(0, 1_000_000, (1, 2)) == 2
    assert money(500_000, 250_000, (4, 8)) == 4
    assert Plan(1, 2, 3, 4).times(3) == Plan(3, 6, 9, 12)


def test_a_plan_leaves_the_estimator_as_it_was(exact, planted):
    estimator = VlmEstimator("rubric:planted", Rubric(), planted(lambda question: Reply("ANSWER: 5")))
    plan_one(estimator, exact)
    assert not estimator.outcomes
    assert estimator.notes == []
