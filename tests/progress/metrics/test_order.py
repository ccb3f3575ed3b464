"""Vectorised figures of order, against scipy in a loop over the episodes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headway.errors import InvalidValue
from headway.metrics import ragged
from headway.metrics.counting import below_in_prefix, inversions
from headway.metrics.order import (
    bumps,
    kendall_tau_a,
    kendall_tau_b,
    max_drawdown,
    monotonicity,
    summarise_order,
    value_order_correlations,
)

NAN = float("nan")
# few values, so that ties and constants come up all the time; lengths from none on; a NaN now and then
value = st.one_of(st.integers(0, 4).map(lambda n: n / 4), st.floats(-1, 1), st.just(NAN))
ragged_curves = st.lists(
    st.lists(st.one_of(st.integers(0, 4).map(lambda n: n / 4), st.floats(-1, 1)), max_size=20)
    | st.lists(value, max_size=8),
    min_size=1,
    max_size=8,
).map(lambda rows: [np.array(row, float) for row in rows])


def looped(figure, curves):
    """The figure of each episode by itself, NaN for one with a NaN or without frames."""
    return np.array([figure(v) if len(v) and not np.isnan(v).any() else NAN for v in curves])


def scipys(correlation):
    def figure(v):
        return correlation(np.arange(len(v)), v).statistic if len(v) > 1 and np.ptp(v) > 0 else NAN

    return figure


def signs(v):
    return [np.sign(v[j] - v[i]) for j in range(len(v)) for i in range(j)]


@given(ragged_curves)
def test_spearman_and_tau_b_are_scipys_on_each_episode(curves):
    assert value_order_correlations(curves) == pytest.approx(
        looped(scipys(stats.spearmanr), curves), abs=1e-9, nan_ok=True
    )
    assert kendall_tau_b(curves) == pytest.approx(looped(scipys(stats.kendalltau), curves), abs=1e-9, nan_ok=True)


@given(ragged_curves)
def test_tau_a_is_the_mean_sign_over_all_pairs(curves):
    expected = looped(lambda v: np.mean(signs(v)) if len(v) > 1 else NAN, curves)
    assert kendall_tau_a(curves) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_the_two_taus_are_not_the_same_where_values_tie():
    tied = [np.array([0.0, 0.5, 0.5, 1.0])]
    assert kendall_tau_a(tied)[0] == pytest.approx(5 / 6)
    assert kendall_tau_b(tied)[0] == pytest.approx(5 / np.sqrt(5 * 6))


def test_constants_and_single_frames():
    curves = [np.full(5, 0.3), np.array([0.3]), np.zeros(0)]
    for undefined in (value_order_correlations, kendall_tau_b):
        assert np.isnan(undefined(curves)).all()
    assert kendall_tau_a(curves)[0] == 0
    assert np.isnan(kendall_tau_a(curves)[1:]).all()
    assert monotonicity(curves) == pytest.approx([0, NAN, NAN], nan_ok=True)
    assert max_drawdown(curves) == pytest.approx([0, 0, NAN], nan_ok=True)
    assert bumps(curves).count == pytest.approx([0, NAN, NAN], nan_ok=True)


@given(ragged_curves)
def test_order_turns_round_with_time(curves):
    backwards = [v[::-1] for v in curves]
    for figure in (value_order_correlations, kendall_tau_a, kendall_tau_b):
        assert figure(backwards) == pytest.approx(-figure(curves), abs=1e-12, nan_ok=True)


@given(ragged_curves)
def test_falls_by_brute_force(curves):
    def falls(v):
        return [max(v[i] - v[j], 0) for j in range(len(v)) for i in range(j + 1)]

    def runs(v):
        down = "".join("d" if a > b else " " for a, b in itertools.pairwise(v))
        return len(down.split()) if len(v) > 1 else NAN

    def depth(v):
        return sum(max(a - b, 0) for a, b in itertools.pairwise(v)) if len(v) > 1 else NAN

    def rising(v):
        return np.mean([b > a for a, b in itertools.pairwise(v)]) if len(v) > 1 else NAN

    assert max_drawdown(curves) == pytest.approx(looped(lambda v: max(falls(v)), curves), nan_ok=True)
    assert bumps(curves).count == pytest.approx(looped(runs, curves), nan_ok=True)
    assert bumps(curves).depth == pytest.approx(looped(depth, curves), nan_ok=True)
    assert monotonicity(curves) == pytest.approx(looped(rising, curves), nan_ok=True)


def test_falls_by_hand():
    values = [np.array([0.0, 0.5, 0.4, 0.2, 0.2, 0.1, 0.9, 0.8])]
    found = bumps(values)
    # down twice, level, down once; up; down once
    assert (found.count[0], found.steps[0]) == (3, 4)
    assert found.depth[0] == pytest.approx(0.5)
    assert max_drawdown(values)[0] == pytest.approx(0.4)
    assert monotonicity(values)[0] == pytest.approx(2 / 7)


def test_long_episodes_are_as_scipy_says():
    # beyond 65,536 frames another type holds the places
    rng = np.random.default_rng(0)
    for time in (1000, 70_000):
        values = np.round(np.linspace(0, 1, time) + rng.normal(0, 0.3, time), 2)
        assert kendall_tau_b([values])[0] == pytest.approx(stats.kendalltau(np.arange(time), values).statistic)
        assert value_order_correlations([values])[0] == pytest.approx(
            stats.spearmanr(np.arange(time), values).statistic
        )


@given(st.lists(st.permutations(range(11)), min_size=1, max_size=4))
def test_inversions_by_brute_force(rows):
    expected = [sum(row[i] > row[j] for j in range(11) for i in range(j)) for row in rows]
    assert inversions(np.array(rows)).tolist() == expected


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(0, 20), st.integers(0, 12))
def test_counting_below_by_brute_force(ranks, prefix, bound):
    prefix = min(prefix, len(ranks))
    found = below_in_prefix(np.array(ranks, int), np.array([prefix]), np.array([bound]))
    assert found.tolist() == [sum(rank < bound for rank in ranks[:prefix])]


def test_infinite_values_have_an_order_and_are_not_taken_for_missing():
    curves = [np.array([-np.inf, 0, np.inf]), np.array([np.inf, 0, -np.inf])]
    assert value_order_correlations(curves).tolist() == [1, -1]
    assert kendall_tau_b(curves).tolist() == [1, -1]


def test_an_array_of_episodes_is_as_good_as_a_list_and_whole_numbers_as_good_as_others():
    values = np.array([[0, 1, 3], [2, 1, 1]])
    assert value_order_correlations(values) == pytest.approx(value_order_correlations(list(values.astype(float))))


def test_no_episodes_have_no_figures():
    assert value_order_correlations([]).shape == (0,)
    assert bumps([]).count.shape == (0,)
    with pytest.raises(InvalidValue, match="at least one episode"):
        summarise_order([])


@given(ragged_curves)
def test_the_summary_is_over_known_frames(curves):
    known = [v[~np.isnan(v)] for v in curves]
    orders = looped(scipys(stats.spearmanr), known)
    found = summarise_order(curves)
    defined = orders[~np.isnan(orders)]
    assert found.known == pytest.approx(defined.mean() if defined.size else NAN, nan_ok=True)
    assert found.refused == pytest.approx(np.mean([len(v) < 2 for v in known]))


def test_figures_do_not_depend_on_how_episodes_are_stacked(monkeypatch):
    rng = np.random.default_rng(0)
    curves = [np.round(rng.random(rng.integers(1, 6)), 1) for _ in range(200)]
    whole = value_order_correlations(curves)
    monkeypatch.setattr(ragged, "STACK", 7)
    assert np.array_equal(value_order_correlations(curves), whole, equal_nan=True)
    assert np.isfinite(whole).any()
