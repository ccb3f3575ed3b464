import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway.metrics.success import auroc, average_precision, brier, expected_calibration_error, f1

# few distinct scores, so that ties come up all the time
episodes = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=25).map(
    lambda rows: (np.array([score / 4 for score, _ in rows]), np.array([done for _, done in rows]))
)


@given(episodes)
def test_auroc_is_the_share_of_pairs_in_order_with_ties_as_half(rows):
    score, done = rows
    pairs = [(g > b) + (g == b) / 2 for g, b in itertools.product(score[done], score[~done])]
    area = auroc(score, done)
    assert area == pytest.approx(np.mean(pairs)) if pairs else np.isnan(area)


@given(episodes)
def test_average_precision_is_the_sum_over_distinct_thresholds(rows):
    score, done = rows
    if not done.any():
        assert np.isnan(average_precision(score, done))
        return
    total, before = 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        taken = score >= threshold
        recall = done[taken].sum() / done.sum()
        total += (recall - before) * done[taken].mean()
        before = recall
    assert average_precision(score, done) == pytest.approx(total)


def test_average_precision_does_not_depend_on_the_order_of_ties():
    tied = np.full(4, 0.5)
    assert average_precision(tied, np.array([True, False, False, False])) == 0.25
    assert average_precision(tied, np.array([False, False, False, True])) == 0.25


@given(episodes, st.sampled_from([0.0, 0.25, 0.3, 1.0]))
def test_f1_is_the_harmonic_mean_of_precision_and_recall(rows, threshold):
    score, done = rows
    said = score > threshold
    both = (said & done).sum()
    value = f1(score, done, threshold)
    if not said.any() and not done.any():
        assert np.isnan(value)
    elif not both:
        assert value == 0
    else:
        precision, recall = both / said.sum(), both / done.sum()
        assert value == pytest.approx(2 * precision * recall / (precision + recall))


def test_brier_by_hand():
    assert brier(np.array([0.9, 0.2, 0.5]), np.array([True, False, True])) == pytest.approx((0.01 + 0.04 + 0.25) / 3)


@given(episodes, st.integers(1, 20))
@settings(deadline=None)
def test_calibration_error_by_brute_force(rows, bins):
    probability, done = rows
    total = 0.0
    for b in range(bins):
        last = b == bins - 1
        inside = (probability >= b / bins) & ((probability < (b + 1) / bins) | last)
        if inside.any():
            total += inside.mean() * abs(probability[inside].mean() - done[inside].mean())
    assert expected_calibration_error(probability, done, bins) == pytest.approx(total)


def test_calibration_error_has_fifteen_bins_that_hold_both_ends():
    # 0.66 and 0.67 lie on both sides of 10/15
    apart = expected_calibration_error(np.array([0.66, 0.67]), np.array([True, False]))
    together = expected_calibration_error(np.array([0.67, 0.68]), np.array([True, False]))
    assert apart == pytest.approx((0.34 + 0.67) / 2)
    assert together == pytest.approx(abs(0.675 - 0.5))
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0


def test_an_honest_probability_is_calibrated_and_a_boastful_one_is_not():
    rng = np.random.default_rng(0)
    probability = rng.random(20000)
    done = rng.random(20000) < probability
    assert expected_calibration_error(probability, done) < 0.015
    assert expected_calibration_error(np.where(probability > 0.5, 1.0, 0.0), done) == pytest.approx(0.25, abs=0.015)


FIGURES = [auroc, average_precision, brier, expected_calibration_error, lambda s, d: f1(s, d, 0.5)]


@pytest.mark.parametrize("figure", FIGURES)
def test_an_episode_without_a_score_is_left_out_and_none_at_all_is_nan(figure):
    score, done = np.array([0.9, 0.2, 0.6, 0.1]), np.array([True, False, False, True])
    more = figure(np.r_[score, np.nan, np.nan], np.r_[done, True, False])
    assert more == pytest.approx(figure(score, done))
    assert np.isnan(figure(np.full(2, np.nan), np.array([True, False])))


@pytest.mark.parametrize("figure", FIGURES)
def test_scores_without_outcomes_are_refused(figure):
    with pytest.raises(InvalidValue, match="outcomes"):
        figure(np.array([0.1, 0.2]), np.array([True]))


@pytest.mark.parametrize("figure", [brier, expected_calibration_error])
@pytest.mark.parametrize("outside", [-0.1, 1.1])
def test_what_is_no_probability_is_refused(figure, outside):
    with pytest.raises(InvalidValue, match=r"\[0, 1\]"):
        figure(np.array([0.5, outside]), np.array([True, False]))


def test_a_probability_on_an_edge_belongs_to_the_bin_above():
    error = expected_calibration_error(np.array([0.25, 0.5]), np.array([False, True]), bins=2)
    assert error == pytest.approx((0.25 + 0.5) / 2)
