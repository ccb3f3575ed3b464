"""From replies to numbers: the arithmetic of the methods, without a model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.vlm.chat import Reply, Token
from headway.vlm.judgement import Outcome
from headway.vlm.logprobs import answer_probabilities, spellings
from headway.vlm.pairwise import accumulate, read_change
from headway.vlm.rubric import Rubric, read_score
from headway.vlm.success_question import read_answer
from headway.vlm.topreward import minmax, success_of
from headway.vlm.verifier import LETTERS, expectation


def reply_of(probabilities: dict[str, float], text: str = "") -> Reply:
    alternatives = tuple((word, float(np.log(chance))) for word, chance in probabilities.items())
    first = max(alternatives, key=lambda each: each[1])
    return Reply(text or first[0], tokens=(Token(*first, alternatives),))


def test_both_spellings_of_an_answer_count_and_no_token_counts_twice():
    reply = reply_of({" True": 0.5, "True": 0.2, "False": 0.1, "true": 0.05})
    found = answer_probabilities(reply, {"True": spellings("True"), "False": spellings("False")})
    assert found == pytest.approx({"True": 0.7, "False": 0.1})
    assert answer_probabilities(Reply("True"), {"True": spellings("True")}) == {}


@given(st.lists(st.floats(0.001, 1), min_size=20, max_size=20), st.floats(0.05, 1))
def test_the_expectation_is_over_the_letters_alone_and_their_mass_is_told(chances, share):
    shares = np.array(chances) / sum(chances)
    score, mass = expectation(dict(zip(LETTERS, shares * share, strict=True)))
    assert score == pytest.approx(shares @ np.linspace(0, 1, 20))
    assert mass == pytest.approx(share)


def test_the_ends_of_the_scale_and_a_model_that_names_no_letter():
    assert expectation({"A": 0.9}) == (0, 0.9)
    assert expectation({"T": 0.2}) == (1, 0.2)
    score, mass = expectation({})
    assert np.isnan(score)
    assert mass == 0


@given(st.lists(st.floats(-1, 1), max_size=20))
def test_pairs_add_up_to_a_curve_within_the_scale(changes):
    curve = accumulate(np.array(changes))
    assert len(curve) == len(changes) + 1
    assert curve.min() >= 0
    assert curve.max() <= 1


@given(st.lists(st.floats(0, 0.99), min_size=2, max_size=20))
def test_pairs_of_any_true_curve_give_it_back_falls_included(inner):
    true = np.array([0.0, *inner])
    behind, ahead = np.minimum(true[:-1], true[1:]), np.maximum(true[:-1], true[1:])
    changes = np.sign(np.diff(true)) * (ahead - behind) / (1 - behind)
    assert accumulate(changes) == pytest.approx(true, abs=1e-6)


def test_from_an_unknown_pair_on_nothing_is_known():
    assert np.isnan(accumulate(np.array([0.5, np.nan, 0.5]))).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("text", "change", "outcome"),
    [
        ('{"further": 2, "percent": 30}', 0.3, Outcome.READ),
        ('Sure: {"further": "1", "percent": "30%"}', -0.3, Outcome.READ),
        ('{"further": 0}', 0.0, Outcome.READ),
        ('{"further": 2}', None, Outcome.MISSING),
        ('{"further": 3, "percent": 30}', None, Outcome.OUT_OF_RANGE),
        ('{"further": 2, "percent": 130}', None, Outcome.OUT_OF_RANGE),
        ("Frame 2, by 30 %", None, Outcome.PROSE),
    ],
)
def test_a_pairs_reply(text, change, outcome):
    said, found = read_change(Reply(text))
    assert found == outcome
    assert np.isnan(said) if change is None else said == pytest.approx(change)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("The cup stands. ANSWER: 4", 4),
        ("ANSWER: 2, no.\nANSWER: **5**", 5),
        ("I would say 3.", 3),
        ("2 out of 5", None),
        ("Score: 4/5", None),
        ("ANSWER: 4.5", None),
        ("ANSWER: 0", None),
        ("I'm sorry, I cannot rate this attempt from 1 to 5.", None),
        ("ANSWER: 7", None),
        ("It took 12 seconds, 3.5 m.", None),
        ("none", None),
    ],
)
def test_a_rubrics_score_is_what_the_reply_ends_with(text, score):
    found, _ = read_score(Reply(text))
    assert np.isnan(found) if score is None else found == score


def test_a_rubric_looks_once_a_second_at_both_ends_and_not_for_ever():
    assert Rubric().looks_at(300, 10.0).tolist() == np.linspace(0, 299, 11).round().tolist()
    assert Rubric().looks_at(30, 0.5).tolist() == [0, 29]
    assert len(Rubric().looks_at(100_000, 3333.0)) == 60


def test_a_yes_is_weighed_where_it_can_be_and_else_taken_as_written():
    probability, _ = read_answer(reply_of({"Yes": 0.3, " yes": 0.3, "No": 0.2}))
    assert probability == pytest.approx(0.75)
    assert read_answer(Reply("No."))[0] == 0
    assert read_answer(Reply("**Yes**, it is"))[0] == 1
    probability, outcome = read_answer(Reply("Not yet"))
    assert np.isnan(probability)
    assert outcome == Outcome.PROSE


def test_minmax_has_no_curve_where_nothing_changes():
    assert minmax(np.array([-3.0, -1.0, np.nan, -2.0])) == pytest.approx([0, 1, np.nan, 0.5], nan_ok=True)
    assert np.isnan(minmax(np.array([-2.0, -2.0]))).all()


def test_success_is_of_the_raw_values_so_that_a_failure_does_not_end_at_one():
    raw = np.log([0.01, 0.02, 0.03, 0.04])
    success = success_of(raw)
    assert success[-1] == pytest.approx(np.exp(raw[1:].mean()))
    assert success.max() < 0.05
