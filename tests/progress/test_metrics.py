import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headway.metrics.intervals import bootstrap
from headway.metrics.order import summarise_order, value_order_correlation
from headway.metrics.ranking import ordered_pair_tau
from headway.metrics.stages import stage_of
from headway.metrics.success import auroc

values = st.lists(st.floats(0, 1, width=16), min_size=2, max_size=12)


def test_order_correlation_is_spearmans_with_ties_averaged():
    assert value_order_correlation(np.array([0, 0.1, 0.1, 0.4])) == pytest.approx(
        stats.spearmanr([0, 1, 2, 3], [0, 0.1, 0.1, 0.4]).statistic
    )


@pytest.mark.parametrize("undefined", [[0.5, 0.5, 0.5], [0.5], [0.1, np.nan, 0.3]])
def test_an_undefined_order_is_nan_not_zero(undefined):
    assert np.isnan(value_order_correlation(np.array(undefined)))


def test_tau_over_ordered_pairs_by_hand():
    true = np.array([0.0, 0.5, 0.5, 1.0])
    # ordered pairs: 5, of which (0, 3) is tied, (1, 3) discordant, the rest concordant
    predicted = np.array([0.2, 0.9, 0.3, 0.2])
    concordant, discordant = 2, 2
    assert ordered_pair_tau(predicted, true) == pytest.approx((concordant - discordant) / 5)


def test_ties_in_the_truth_do_not_cap_a_perfect_ranking():
    true = np.array([0.0, 0.0, 1.0, 1.0])
    assert ordered_pair_tau(np.array([0.1, 0.2, 0.8, 0.9]), true) == 1
    assert stats.kendalltau([0.1, 0.2, 0.8, 0.9], true).statistic < 1


def test_pairs_closer_than_asked_for_do_not_count():
    true, predicted = np.array([0.02, 0.05, 0.5]), np.array([0.2, 0.1, 0.9])
    assert ordered_pair_tau(predicted, true) == pytest.approx(1 / 3)
    assert ordered_pair_tau(predicted, true, apart=0.05) == 1
    assert np.isnan(ordered_pair_tau(predicted, true, apart=0.6))


def test_a_constant_ranks_nothing_and_a_truth_without_differences_cannot_be_ranked():
    assert ordered_pair_tau(np.full(3, 0.5), np.array([0, 0.5, 1])) == 0
    assert np.isnan(ordered_pair_tau(np.array([0, 0.5, 1]), np.full(3, 0.5)))


@given(values)
def test_tau_turns_over_with_the_prediction_and_agrees_with_scipy_without_ties(true):
    true = np.array(true)
    predicted = np.random.default_rng(0).permutation(len(true)).astype(float)
    tau = ordered_pair_tau(predicted, true)
    if np.isnan(tau):
        assert len(set(true)) == 1
        return
    assert ordered_pair_tau(-predicted, true) == pytest.approx(-tau)
    if len(set(true)) == len(true):
        assert tau == pytest.approx(stats.kendalltau(predicted, true).statistic)


def test_the_bootstrap_covers_a_known_mean():
    rng = np.random.default_rng(0)
    covered = 0
    for draw in range(100):
        sample = rng.normal(3, 1, 40)
        estimate = bootstrap(lambda picked, sample=sample: float(sample[picked].mean()), 40, seed=draw)
        covered += estimate.low <= 3 <= estimate.high
    assert covered >= 85


def test_nothing_to_resample_is_nan():
    assert np.isnan(bootstrap(lambda picked: 1.0, 0).value)
    assert str(bootstrap(lambda picked: 1.0, 0)) == "-"


def test_auroc_needs_both_outcomes():
    assert np.isnan(auroc(np.array([0.1, 0.2]), np.array([True, True])))
    assert auroc(np.array([0.1, 0.2, 0.2, 0.9]), np.array([False, True, False, True])) == pytest.approx(0.875)


def test_a_boundary_belongs_to_the_stage_it_begins():
    assert stage_of(np.array([0, 0.2, 0.25, 0.6, 1.0]), (0.25, 0.35, 0.4)).tolist() == [0, 0, 1, 2, 2]


def test_the_order_of_refused_episodes_is_told_under_every_convention():
    rising, falling = np.arange(5.0), -np.arange(5.0)
    refused, tied = np.full(5, np.nan), np.full(5, 0.5)
    found = summarise_order([rising, rising, falling, refused, tied])
    assert found.known == pytest.approx(1 / 3)
    assert found.refused_as_zero == pytest.approx(1 / 4)
    assert found.refused_as_minus_one == pytest.approx(0)
    assert (found.refused, found.undefined) == (0.2, 0.2)


def test_an_episode_read_in_part_counts_by_what_was_read():
    assert summarise_order([np.array([0.1, np.nan, 0.3, 0.2])]).known == pytest.approx(0.5)


def test_a_plateau_keeps_its_order_which_is_why_order_is_no_success():
    stalled = np.minimum(np.arange(100), 50) / 100
    assert summarise_order([stalled]).known > 0.9
