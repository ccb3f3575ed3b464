import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torchmetrics.functional.regression import kendall_rank_corrcoef

from headway.errors import InvalidValue
from headway.metrics import ranking
from headway.metrics.ranking import (
    ordered_pair_tau,
    pairwise_accuracy,
    preference_accuracy,
    rank_policies,
    success_margin,
    tau_b,
)

NAN = float("nan")
# steps of 0.05 land on the edge of `apart`, from which rounding pushes either way
step = st.integers(0, 20).map(lambda n: n / 20)
pairs = st.lists(st.tuples(step | st.just(NAN), step), max_size=20).map(
    lambda rows: (np.array([a for a, _ in rows], float), np.array([b for _, b in rows], float))
)


def by_looking_at_each_pair(predicted, true, apart):
    known = ~np.isnan(predicted)
    predicted, true = predicted[known], true[known]
    signs = [
        np.sign(predicted[i] - predicted[j]) * np.sign(true[i] - true[j])
        for i in range(len(true))
        for j in range(i)
        if abs(true[i] - true[j]) > apart
    ]
    return np.mean(signs) if signs else NAN


@given(pairs, st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.3]))
def test_tau_over_ordered_pairs_is_what_looking_at_each_pair_gives(rows, apart):
    predicted, true = rows
    expected = by_looking_at_each_pair(predicted, true, apart)
    assert ordered_pair_tau(predicted, true, apart) == pytest.approx(expected, nan_ok=True)
    assert pairwise_accuracy(predicted, true, apart) == pytest.approx((1 + expected) / 2, nan_ok=True)


@pytest.mark.parametrize(("low", "high", "apart"), [(0.01, 0.16, 0.15), (0.05, 0.1, 0.05), (0.1, 0.3, 0.2)])
def test_a_pair_at_the_edge_counts_by_its_difference_as_computed(low, high, apart):
    found = ordered_pair_tau(np.array([0.0, 1.0]), np.array([low, high]), apart)
    assert found == pytest.approx(1 if high - low > apart else np.nan, nan_ok=True)


def test_a_hundred_thousand_episodes_are_ranked_without_all_their_pairs():
    rng = np.random.default_rng(0)
    true = rng.permutation(100_000).astype(float)
    predicted = true + rng.normal(0, 50_000, len(true))
    begun = time.process_time()
    tau = ordered_pair_tau(predicted, true)
    assert time.process_time() - begun < 3
    assert tau == pytest.approx(stats.kendalltau(predicted, true).statistic)


@given(pairs)
def test_tau_b_is_scipys_and_torchmetrics_and_nan_for_a_constant(rows):
    predicted, true = rows
    known = ~np.isnan(predicted)
    ours, theirs = predicted[known], true[known]
    if len(ours) < 2 or np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        assert np.isnan(tau_b(predicted, true))
        return
    assert tau_b(predicted, true) == pytest.approx(stats.kendalltau(ours, theirs).statistic)
    independent = kendall_rank_corrcoef(torch.tensor(ours), torch.tensor(theirs), variant="b")
    assert tau_b(predicted, true) == pytest.approx(float(independent), abs=1e-5)


def test_pairs_of_episodes_with_a_tie_as_half():
    assert preference_accuracy(np.array([0.9, 0.5, 0.2, NAN]), np.array([0.1, 0.5, 0.3, 0.0])) == pytest.approx(0.5)
    assert np.isnan(preference_accuracy(np.array([NAN]), np.array([0.5])))
    assert pairwise_accuracy(np.full(4, 0.5), np.arange(4.0)) == 0.5


def test_margin_by_hand():
    final, done = np.array([0.9, 0.7, 0.4, NAN, 0.2]), np.array([True, True, False, True, False])
    assert success_margin(final, done) == pytest.approx(0.8 - 0.3)
    assert np.isnan(success_margin(final[:2], done[:2]))


def test_policies_by_hand():
    predicted = np.array([0.2, 0.4, 0.9, 0.7, 0.5, 0.5, NAN])
    true = np.array([0, 0, 1, 1, 1, 0, 1.0])
    found = rank_policies(predicted, true, ["a", "a", "b", "b", "c", "c", "b"])
    assert found.policies == ("a", "b", "c")
    assert found.episodes.tolist() == [2, 2, 2]
    assert found.predicted == pytest.approx([0.3, 0.8, 0.5])
    assert found.true == pytest.approx([0, 1, 0.5])
    assert found.tau_b.value == found.pairwise.value == 1
    assert found.regret.value == 0


@given(st.lists(st.tuples(step, step), min_size=2, max_size=8), st.integers(0, 100))
def test_policies_are_ranked_as_scipy_ranks_their_means(means, seed):
    predicted, true = np.array(means).T
    found = rank_policies(predicted, true, [f"{i:02}" for i in range(len(true))], draws=3)
    assert found.tau_b.value == pytest.approx(tau_b(predicted, true), nan_ok=True)
    assert found.pairwise.value == pytest.approx(pairwise_accuracy(predicted, true), nan_ok=True)
    # one episode a policy: nothing to draw anew, so that the interval has no width
    assert (found.tau_b.low, found.tau_b.high) == pytest.approx((found.tau_b.value,) * 2, nan_ok=True)


def test_episodes_are_drawn_anew_within_their_policy_with_their_truth():
    rng = np.random.default_rng(0)
    policy = np.repeat(["bad", "good"], 200)
    true = (rng.random(400) < np.where(policy == "good", 0.6, 0.4)).astype(float)
    right = rank_policies(true, true, policy)
    assert (right.tau_b.low, right.tau_b.high) == (1, 1), "a prediction that is the truth is right in every draw"
    noisy = rank_policies(rng.random(400), true, policy)
    assert noisy.tau_b.low == -1
    assert noisy.tau_b.high == 1
    wrong = rank_policies(-true, true, policy)
    assert wrong.pairwise.value == 0
    assert wrong.regret.value == pytest.approx(abs(np.subtract(*wrong.true)))
    assert wrong.regret.low < wrong.regret.value < wrong.regret.high


def test_one_policy_cannot_be_ranked_and_names_have_to_fit():
    assert np.isnan(rank_policies(np.zeros(3), np.zeros(3), ["a"] * 3).tau_b.value)
    with pytest.raises(InvalidValue, match="names of policies"):
        rank_policies(np.zeros(3), np.zeros(3), ["a"])
    with pytest.raises(InvalidValue, match="equal length"):
        ordered_pair_tau(np.zeros(3), np.zeros(2))


@pytest.mark.parametrize("apart", [0.0, 0.25])
def test_few_values_and_many_are_ranked_alike(monkeypatch, apart):
    rng = np.random.default_rng(5)
    for values in (1, 2, 7, 60, ranking.DIRECT):
        predicted, true = rng.integers(0, 9, (2, values)) / 8
        directly = ranking.ordered_pair_tau(predicted, true, apart)
        with monkeypatch.context() as patch:
            patch.setattr(ranking, "DIRECT", 0)
            assert ranking.ordered_pair_tau(predicted, true, apart) == pytest.approx(directly, nan_ok=True)
