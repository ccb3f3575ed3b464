"""Scores out of one reply each: the verifier's letters, the rubric's number, and a yes or no."""

import numpy as np
import pytest

from headway.vlm.chat import Abilities, Reply
from headway.vlm.judgement import Outcome
from headway.vlm.rubric import Rubric, read_score
from headway.vlm.success_question import SuccessQuestion, read_answer
from headway.vlm.verifier import CRITERIA, LITTLE, Verifier

FOUR = Abilities(logprobs=True, schema=True, pictures=4)
GOOD = "Nearly.\nANSWER: 4"


def criterion_of(question) -> str:
    """Which criterion a question asks about."""
    asked = question.parts[-1].text
    (found,) = [name for name, (worst, best) in CRITERIA.items() if worst in asked and best in asked]
    return found


def test_all_three_criteria_are_asked_of_every_prefix_in_words(watched, curves_of, exact):
    (curve,) = curves_of(Verifier(5), watched.model(), exact)
    asked = watched.asked
    for worst, best in CRITERIA.values():
        told = [each for each in asked if f"A means {worst}, T means {best}," in each.tail]
        assert sorted(len(each.shown) for each in told) == [1, 2, 3, 4, 5]
    assert len(asked) == 15
    assert {(body["max_tokens"], body["logprobs"], body["top_logprobs"]) for body in watched.bodies} == {(1, True, 20)}
    assert curve.values == pytest.approx(exact.truth.progress, abs=1e-3)


def test_progress_is_the_mean_over_criteria_and_their_spread_is_told(planted, weighed, judged, clip_of, exact):
    letters = {"completion": {"A": 0.8}, "goal": {"T": 0.4, " T": 0.4}, "remaining": {"A": 0.4, "T": 0.4}}
    model = planted(lambda question: weighed(letters[criterion_of(question)]))
    judgement = judged(Verifier(3), clip_of(exact, 3), model)
    assert judgement.progress == pytest.approx([0.5] * 3)
    assert judgement.uncertainty == pytest.approx([np.std([0, 1, 0.5])] * 3)
    assert judgement.notes == {"probability_on_letters": 0.8}
    assert judgement.outcomes == {Outcome.READ: 9}
    assert judgement.reason == ""


def test_one_criterion_alone_is_the_first_and_has_no_spread(planted, weighed, judged, clip_of, exact):
    model = planted(lambda question: weighed({"T": 0.9}))
    judgement = judged(Verifier(3, criteria=1), clip_of(exact, 3), model)
    assert {criterion_of(question) for question in model.asked} == {"completion"}
    assert judgement.uncertainty is None


def test_one_question_without_a_letter_leaves_its_prefix_unknown(planted, weighed, judged, clip_of, exact):
    def say(question):
        silent = criterion_of(question) == "goal" and len(question.pictures) == 2
        return weighed({"The": 0.9} if silent else {"T": 0.9})

    judgement = judged(Verifier(3), clip_of(exact, 3), planted(say))
    assert judgement.progress == pytest.approx([1, np.nan, 1], nan_ok=True)
    assert judgement.reason == "a letter of the scale is an unlikely answer to 1 of 9 questions"
    assert judgement.outcomes == {Outcome.READ: 8, Outcome.UNLIKELY: 1}


@pytest.mark.parametrize(("mass", "warned"), [(LITTLE - 0.01, True), (LITTLE + 0.01, False)])
def test_little_probability_on_the_letters_is_told(planted, weighed, judged, clip_of, exact, mass, warned):
    model = planted(lambda question: weighed({"T": mass, "Hello": 0.4}))
    judgement = judged(Verifier(2), clip_of(exact, 2), model)
    assert judgement.progress == pytest.approx([1, 1])
    assert judgement.notes["probability_on_letters"] == pytest.approx(mass)
    warning = judgement.notes.get("warning")
    assert warning == ("the model hardly answers with letters; its scores mean little" if warned else None)


def test_no_letter_at_all_is_no_score(planted, judged, clip_of, exact):
    judgement = judged(Verifier(2), clip_of(exact, 2), planted(lambda question: Reply("A")))
    assert np.isnan(judgement.progress).all()
    assert judgement.notes["probability_on_letters"] == 0
    assert "warning" in judgement.notes


def test_repeats_have_seeds_of_their_own_and_are_averaged(planted, weighed, judged, clip_of, exact):
    model = planted(lambda question: weighed({"A": 0.9} if question.seed == 0 else {"T": 0.9}))
    judgement = judged(Verifier(2, criteria=2, repeats=4), clip_of(exact, 2), model)
    found = sorted((len(question.pictures), criterion_of(question), question.seed) for question in model.asked)
    criteria = list(CRITERIA)[:2]
    assert found == [(shown, name, seed) for shown in (1, 2) for name in criteria for seed in range(4)]
    assert judgement.progress == pytest.approx([0.75, 0.75])


@pytest.mark.parametrize("method", [Verifier(13, criteria=1), Rubric(13), SuccessQuestion(13)])
def test_a_limit_of_pictures_thins_the_clip(planted, honest, judged, clip_of, exact, method):
    model = planted(honest, FOUR)
    judgement = judged(method, clip_of(exact, 13), model)
    assert judgement.clip.frames.tolist() == [0, 16, 32, 48]
    assert max(len(question.pictures) for question in model.asked) == 4
    assert model.asked[-1].pictures[0] == clip_of(exact, 2).pictures[0]
    assert len(judgement.progress) == 4


def test_a_limited_rubric_still_sees_the_end(planted, honest, curves_of, exact):
    (curve,) = curves_of(Rubric(), planted(honest, Abilities(logprobs=False, schema=False, pictures=2)), exact)
    assert curve.values[-1] == 1
    assert np.flatnonzero(curve.looked_at).tolist() == [48]


def test_a_rubric_that_is_cut_off_has_no_score(planted, judged, clip_of, exact):
    reply = Reply("Of the 5 steps, 3 requirements are", finish="length")
    assert read_score(Reply("3 requirements are", finish="length"))[1] == Outcome.TRUNCATED
    judgement = judged(Rubric(), clip_of(exact, 4), planted(lambda question: reply))
    assert np.isnan(judgement.progress).all()
    assert np.isnan(judgement.raw).all()
    assert judgement.outcomes == {Outcome.TRUNCATED: 1}
    assert judgement.reason == "the reply is truncated"
    # what was said before the end is said
    assert read_score(Reply("ANSWER: 3\nThat is because", finish="length")) == (3, Outcome.READ)


@pytest.mark.parametrize("bad", ["It went rather well.", "", "2 out of 5"])
def test_a_rubric_without_a_score_is_asked_for_once_more(planted, judged, clip_of, exact, bad):
    replies = iter([bad, GOOD])
    model = planted(lambda question: next(replies))
    judgement = judged(Rubric(), clip_of(exact, 4), model)
    assert [question.seed for question in model.asked] == [None, 1]
    assert model.asked[0].parts == model.asked[1].parts
    assert judgement.progress == pytest.approx([np.nan, np.nan, np.nan, 0.75], nan_ok=True)
    assert judgement.raw == pytest.approx([np.nan, np.nan, np.nan, 4], nan_ok=True)
    assert judgement.outcomes == {Outcome.READ: 1}


@pytest.mark.parametrize("said", [GOOD, "ANSWER: 9", "I'm sorry, I cannot.", Reply("", finish="refusal")])
def test_a_rubric_s_other_replies_are_taken_as_said(planted, judged, clip_of, exact, said):
    model = planted(lambda question: said)
    judgement = judged(Rubric(), clip_of(exact, 4), model)
    assert len(model.asked) == 1
    assert np.isnan(judgement.progress[-1]) == (said != GOOD)


def test_success_is_weighed_by_log_probabilities_that_are_asked_for(watched, curves_of, make_slider, exact):
    half = make_slider(1, seconds=4.8, stop_at=0.5, hold=1)
    done, halted = curves_of(SuccessQuestion(), watched.model(), exact, half)
    assert [body["top_logprobs"] for body in watched.bodies] == [20, 20]
    assert done.success[-1] == pytest.approx(1 / (1 + np.exp(-5)), abs=1e-5)
    assert halted.success[-1] == pytest.approx(0.5, abs=1e-3)
    for curve in (done, halted):
        assert np.isnan(curve.success[:-1]).all()
        assert np.isnan(curve.values).all()
        assert curve.reason == "a yes-or-no question says nothing of progress"


def test_success_without_log_probabilities_is_as_written_and_says_so(planted, judged, clip_of, exact):
    model = planted(lambda question: "No, not yet.", Abilities(logprobs=False, schema=False))
    judgement = judged(SuccessQuestion(), clip_of(exact, 4), model)
    assert model.asked[0].top_logprobs == 0
    assert judgement.success == pytest.approx([np.nan, np.nan, np.nan, 0], nan_ok=True)
    assert judgement.notes == {"from": "the written answer"}


def test_a_reply_that_begins_with_a_mark_is_read_from_its_text(weighed):
    chances = {"**": 0.9, "Yes": 0.01, "No": 0.004}
    assert read_answer(weighed(chances, "**No**")) == (0, Outcome.READ)
    assert read_answer(weighed(chances, "**Yes**")) == (1, Outcome.READ)
    assert np.isnan(read_answer(weighed(chances, "**"))[0])


def test_a_success_nobody_told_has_its_reason(planted, judged, clip_of, exact):
    judgement = judged(SuccessQuestion(), clip_of(exact, 4), planted(lambda question: "Perhaps."))
    assert np.isnan(judgement.success).all()
    assert judgement.reason == "the reply is prose"
    assert judgement.outcomes == {Outcome.PROSE: 1}
