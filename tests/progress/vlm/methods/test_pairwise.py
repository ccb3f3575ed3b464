"""Pairs on a task whose truth is known to the pixel: the whole curve, and what becomes of pairs nobody can compare."""

import json

import numpy as np
import pytest

from headway.episodes import ArrayFrames
from headway.vlm.chat import Reply
from headway.vlm.judgement import Outcome
from headway.vlm.pairwise import SCHEMA, Pairwise
from headway_envs.vlm_server import READERS

PROSE = "They look much the same to me."


def pair_of(question, sight) -> tuple[int, int]:
    """Numbers of the two frames of an `exact` episode that a question shows, in order of time."""
    return tuple(sorted(round(48 * sight(picture)) for picture in question.pictures[1:]))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_whole_curve_is_the_truth_whichever_frame_is_shown_first(watched, curves_of, exact, seed):
    (curve,) = curves_of(Pairwise(15, seed), watched.model(), exact)
    assert curve.values == pytest.approx(exact.truth.progress, abs=0.01)
    assert curve.reason is None
    shown = [[READERS["slider"](each.pixels) for each in request.shown] for request in watched.asked]
    assert all(anchor == 0 for anchor, _, _ in shown)
    assert {first < second for _, first, second in shown} == {True, False}, "either may come first"
    assert [body["seed"] for body in watched.bodies] == [seed] * 14
    assert all(body["response_format"]["json_schema"]["schema"] == SCHEMA for body in watched.bodies)


def test_a_fall_is_followed_down_and_raw_is_the_plain_sum(planted, honest, judged, clip_of, exact):
    pixels = exact.cameras["top"].pixels
    fallen = type(exact)(0, 0, 10.0, {"top": ArrayFrames(pixels[[0, 12, 36, 24, 12, 36]])}, instruction="move it")
    judgement = judged(Pairwise(6), clip_of(fallen, 6), planted(honest))
    assert judgement.progress == pytest.approx([0, 0.25, 0.75, 0.5, 0.25, 0.75], abs=0.005)
    assert judgement.raw == pytest.approx(np.cumsum([0, 1 / 4, 2 / 3, -1 / 2, -1 / 3, 2 / 3]), abs=0.005)


def test_a_frame_that_cannot_be_compared_is_passed_over_and_its_neighbours_compared(
    planted, honest, sight, judged, clip_of, exact
):
    """Frame 24 of 0, 8, 16, ..., 48, with the one before it."""
    model = planted(lambda question: PROSE if pair_of(question, sight) == (16, 24) else honest(question))
    judgement = judged(Pairwise(7), clip_of(exact, 7), model)
    expected = np.arange(7) / 6
    expected[3] = np.nan
    assert judgement.progress == pytest.approx(expected, abs=0.01, nan_ok=True)
    assert judgement.reason == "1 of 7 frames could not be compared with others"
    asked = [pair_of(question, sight) for question in model.asked]
    assert asked == [*((at, at + 8) for at in range(0, 48, 8)), (16, 32)]
    assert judgement.outcomes == {Outcome.READ: 6, Outcome.PROSE: 1}


def test_a_frame_that_nobody_can_see_does_not_spoil_the_rest(planted, honest, sight, judged, clip_of, exact):
    model = planted(lambda question: PROSE if 24 in pair_of(question, sight) else honest(question))
    judgement = judged(Pairwise(7), clip_of(exact, 7), model)
    known = ~np.isnan(judgement.progress)
    assert not known[3]
    assert known.sum() >= 5
    assert judgement.progress[known] == pytest.approx(np.arange(7)[known] / 6, abs=0.01)


def test_where_the_last_pair_cannot_be_compared_the_one_before_it_is_passed_over(
    planted, honest, sight, judged, clip_of, exact
):
    model = planted(lambda question: PROSE if pair_of(question, sight) == (40, 48) else honest(question))
    judgement = judged(Pairwise(7), clip_of(exact, 7), model)
    assert judgement.progress == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, np.nan, 1], abs=0.01, nan_ok=True)
    assert [pair_of(question, sight) for question in model.asked[6:]] == [(32, 48)]


def test_the_estimator_bridges_the_frame_that_was_passed_over(planted, honest, sight, curves_of, exact):
    model = planted(lambda question: PROSE if 24 in pair_of(question, sight) else honest(question))
    (curve,) = curves_of(Pairwise(7), model, exact)
    assert curve.values == pytest.approx(exact.truth.progress, abs=0.01)
    assert curve.reason is None
    assert curve.looked_at[[0, 16, 24, 48]].tolist() == [True, True, False, True]


def test_a_refused_pair_is_no_change(planted, judged, clip_of, exact):
    model = planted(lambda question: Reply("", finish="refusal"))
    judgement = judged(Pairwise(2), clip_of(exact, 2), model)
    assert judgement.progress == pytest.approx([0, np.nan], nan_ok=True)
    assert judgement.raw == pytest.approx([0, np.nan], nan_ok=True)
    assert judgement.reason == "1 of 2 frames could not be compared with others"
    assert judgement.outcomes == {Outcome.REFUSED: 1}
    assert len(model.asked) == 1


def test_which_comes_first_depends_on_the_seed_and_the_episode_alone(planted, sight, judged, clip_of, make_slider):
    def orders(episode: int, seed: int) -> list[bool]:
        model = planted(lambda question: json.dumps({"further": 0, "percent": 0}))
        judged(Pairwise(13, seed), clip_of(make_slider(episode, seconds=4.8, hold=1), 13), model)
        shown = {pair_of(question, sight): question.pictures[1:] for question in model.asked}
        return [sight(first) < sight(second) for _, (first, second) in sorted(shown.items())]

    assert orders(0, 0) == orders(0, 0)
    assert orders(0, 0) != orders(0, 1)
    assert orders(0, 0) != orders(1, 0)
