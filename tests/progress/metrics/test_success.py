import itertools

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_calibration_error,
    binary_f1_score,
)

from headway.errors import InvalidValue
from headway.metrics.success import auroc, average_precision, brier, expected_calibration_error, f1, reliability

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


@given(episodes)
def test_figures_are_scikit_learns(rows):
    score, done = rows
    if done.all() or not done.any():
        return
    assert auroc(score, done) == pytest.approx(sklearn.metrics.roc_auc_score(done, score))
    assert average_precision(score, done) == pytest.approx(sklearn.metrics.average_precision_score(done, score))
    assert brier(score, done) == pytest.approx(sklearn.metrics.brier_score_loss(done, score))
    # scikit-learn closes its bins above where we close them below, and hides the empty ones
    inside = score + 1e-6 * (score < 1)
    share, mean = calibration_curve(done, inside, n_bins=7)
    diagram = reliability(inside, done, 7)
    filled = diagram.episodes > 0
    assert diagram.succeeded[filled] == pytest.approx(share)
    assert diagram.said[filled] == pytest.approx(mean)


@given(episodes)
def test_figures_are_torchmetrics(rows):
    score, done = rows
    tensors = torch.tensor(score), torch.tensor(done.astype(int))
    if 0 < done.sum() < len(done):
        assert auroc(score, done) == pytest.approx(float(binary_auroc(*tensors)), abs=1e-5)
    if done.any():
        assert average_precision(score, done) == pytest.approx(float(binary_average_precision(*tensors)), abs=1e-5)
        # it too calls a success what lies strictly above the threshold
        assert f1(score, done, 0.5) == pytest.approx(float(binary_f1_score(*tensors, threshold=0.5)), abs=1e-5)
    # bins of other edges than our scores, on which the two need not agree
    error = binary_calibration_error(*tensors, n_bins=15, norm="l1")
    assert expected_calibration_error(score, done) == pytest.approx(float(error), abs=1e-5)


def test_only_successes_or_only_failures_have_what_can_be_said_of_them():
    score = np.array([0.9, 0.2])
    assert brier(score, np.array([True, True])) == pytest.approx((0.01 + 0.64) / 2)
    assert brier(score, np.array([False, False])) == pytest.approx((0.81 + 0.04) / 2)
    assert average_precision(score, np.array([True, True])) == 1
    assert f1(score, np.array([False, False]), 0.5) == 0
    assert f1(score, np.array([True, True]), 0.5) == pytest.approx(2 / 3)


def test_a_diagram_by_hand():
    diagram = reliability(np.array([0.1, 0.3, 0.5, 1.0, np.nan]), np.array([False, True, True, True, False]), bins=2)
    assert diagram.edges.tolist() == [0, 0.5, 1]
    assert diagram.episodes.tolist() == [2, 2]
    assert diagram.said == pytest.approx([0.2, 0.75])
    assert diagram.succeeded == pytest.approx([0.5, 1])
    assert np.isnan(reliability(np.array([0.1]), np.array([True]), bins=2).said[1])
    with pytest.raises(InvalidValue, match="at least one bin"):
        reliability(np.array([0.1]), np.array([True]), bins=0)
