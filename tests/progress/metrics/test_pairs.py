import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.metrics.pairs import pair_sums


@given(st.lists(st.integers(1, 8), min_size=1, max_size=6), st.integers(0, 1000), st.floats(-1e4, 1e4))
@settings(deadline=None)
def test_sums_give_the_correlation_of_the_frames_put_together(lengths, seed, offset):
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=n) + offset for n in lengths]
    y = [a + rng.normal(size=len(a)) for a in x]
    picked = rng.integers(len(lengths), size=len(lengths))
    frames = np.concatenate([np.stack([x[i], y[i]]) for i in picked], axis=1)
    correlation = pair_sums(x, y).correlation(picked)
    if len(np.unique(frames[0])) == 1:
        assert np.isnan(correlation)
    else:
        assert correlation == pytest.approx(np.corrcoef(frames)[0, 1], abs=1e-6)


def test_a_constant_has_no_correlation_even_where_its_sums_round():
    wavering = np.random.default_rng(0).random(1000)
    assert np.isnan(pair_sums([np.full(1000, 0.1)], [wavering]).correlation())
    assert np.isnan(pair_sums([wavering], [np.full(1000, 0.1)]).correlation())


def test_an_episode_that_is_constant_by_itself_may_still_differ_from_the_next():
    sums = pair_sums([np.full(3, 0.1), np.full(3, 0.9)], [np.full(3, 0.2), np.full(3, 0.4)])
    assert sums.correlation() == pytest.approx(1)
    assert np.isnan(sums.correlation(np.array([1, 1])))


def test_an_episode_with_a_nan_counts_no_frames():
    x, y = [np.array([0.0, 1, 2]), np.array([np.nan, 9, 9])], [np.array([0.0, 2, 1]), np.array([0.0, -5, 7])]
    assert pair_sums(x, y).correlation() == pytest.approx(np.corrcoef(x[0], y[0])[0, 1])
    assert pair_sums(y, x).correlation() == pytest.approx(np.corrcoef(x[0], y[0])[0, 1])
    assert np.isnan(pair_sums(x[1:], y[1:]).correlation())


def test_no_episodes_have_no_correlation():
    assert np.isnan(pair_sums([], []).correlation())


def test_a_large_common_offset_costs_no_digits():
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    y = x + rng.normal(size=500)
    assert pair_sums([x + 1e9], [y - 1e9]).correlation() == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)
