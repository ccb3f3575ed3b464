import numpy as np
import pytest
import sklearn.metrics
import torch
import torchmetrics
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torchmetrics.functional.regression import pearson_corrcoef

from headway.errors import InvalidValue
from headway.metrics.errors import (
    isotonic_errors,
    mean_absolute_error,
    mean_absolute_errors,
    pearson,
    pearsons,
    pooled_pearson,
    root_mean_square_error,
    root_mean_square_errors,
)


def test_errors_by_hand():
    estimated, true = np.array([0.1, 0.5, 0.6], np.float32), np.array([0.2, 0.5, 1.0], np.float32)
    assert mean_absolute_error(estimated, true) == pytest.approx(0.5 / 3)
    assert root_mean_square_error(estimated, true) == pytest.approx(np.sqrt(0.17 / 3))
    assert pearson(estimated, true) == pytest.approx(stats.pearsonr(estimated, true).statistic, abs=1e-6)


@pytest.mark.parametrize("error", [mean_absolute_error, root_mean_square_error, pearson])
def test_an_episode_that_is_not_known_throughout_has_no_error(error):
    assert np.isnan(error(np.array([0.1, np.nan]), np.array([0.1, 0.2])))
    assert np.isnan(error(np.zeros(0), np.zeros(0)))


def test_pooled_correlation_falls_where_episodes_are_off_by_different_amounts():
    true = [np.linspace(0, 1, 50)] * 2
    shifted = [true[0] / 4, true[1] / 4 + 0.75]
    assert [pearson(e, t) for e, t in zip(shifted, true, strict=True)] == pytest.approx([1, 1])
    assert pooled_pearson(shifted, true) == pytest.approx(np.corrcoef(np.r_[*shifted], np.r_[*true])[0, 1])
    assert pooled_pearson(shifted, true) < 0.5
    assert pooled_pearson([*shifted, np.full(50, np.nan)], [*true, true[0]]) == pooled_pearson(shifted, true)


def test_a_monotone_distortion_costs_nothing_after_the_map():
    rng = np.random.default_rng(0)
    true = [np.sort(rng.random(300)) for _ in range(10)]
    distorted = [t**3 for t in true]
    assert np.mean([mean_absolute_error(e, t) for e, t in zip(distorted, true, strict=True)]) > 0.2
    assert isotonic_errors(distorted, true).max() < 0.02


def test_the_map_does_not_flatter_an_estimator_that_knows_nothing():
    rng = np.random.default_rng(0)
    # one frame an episode: a map fitted on the same episodes would learn half of the noise by heart
    true = [rng.random(1) for _ in range(400)]
    noise = [rng.random(1) for _ in range(400)]
    best_constant = np.abs(np.concatenate(true) - np.mean(true)).mean()
    assert isotonic_errors(noise, true).mean() > 0.97 * best_constant


def test_no_episode_is_mapped_by_itself_and_each_is_mapped():
    true = [np.array([value]) for value in (0.0, 0.3, 1.0)]
    constant = [np.array([0.5])] * 3
    errors = isotonic_errors(constant, true)
    others = [
        {abs(t - mean) for mean in means}
        for t, means in zip((0, 0.3, 1), ((0.3, 1, 0.65), (0, 1, 0.5), (0, 0.3, 0.15)), strict=True)
    ]
    assert all(any(error == pytest.approx(of) for of in allowed) for error, allowed in zip(errors, others, strict=True))


def test_a_long_episode_weighs_no_more_in_the_fit_than_a_short_one():
    long, short, judged = np.zeros(90), np.ones(10), np.zeros(5)
    for seed in range(20):
        errors = isotonic_errors(
            [np.full(len(t), 0.5) for t in (long, short, judged, judged)], [long, short, judged, judged], seed
        )
        # whichever half holds both, its constant is mapped to the mean of episodes: 0.5, not 0.1
        if errors[2] == errors[3] > 0:
            assert errors[2] == pytest.approx(0.5)
            return
    pytest.fail("no seed put the long and the short episode into one half")


def test_unknown_episodes_stay_unknown_and_one_alone_has_no_map():
    true = [np.linspace(0, 1, 5)] * 3
    errors = isotonic_errors([true[0], np.array([0, np.nan, 0, 0, 0]), true[2]], true)
    assert np.isnan(errors).tolist() == [False, True, False]
    assert np.isnan(isotonic_errors(true[:1], true[:1])).all()
    assert isotonic_errors([], []).shape == (0,)


NAN = float("nan")
curves = st.lists(
    st.lists(st.tuples(*[st.integers(0, 4).map(lambda n: n / 4) | st.just(NAN)] * 2), max_size=6)
    | st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), max_size=12),
    min_size=1,
    max_size=6,
).map(lambda rows: [[np.array([pair[side] for pair in row], float) for row in rows] for side in (0, 1)])


def looped(figure, estimated, true):
    return np.array(
        [figure(e, t) if len(t) and not np.isnan(e + t).any() else NAN for e, t in zip(estimated, true, strict=True)]
    )


@given(curves)
def test_errors_of_many_episodes_are_scikit_learns_of_each(sides):
    estimated, true = sides
    assert mean_absolute_errors(estimated, true) == pytest.approx(
        looped(sklearn.metrics.mean_absolute_error, estimated, true), nan_ok=True
    )
    assert root_mean_square_errors(estimated, true) == pytest.approx(
        looped(sklearn.metrics.root_mean_squared_error, estimated, true), nan_ok=True
    )


@given(curves)
def test_correlations_of_many_episodes_are_scipys_of_each(sides):
    def correlation(e, t):
        return stats.pearsonr(e, t).statistic if min(np.ptp(e), np.ptp(t)) > 0 else NAN

    found, expected = pearsons(*sides), looped(correlation, *sides)
    # a spread within rounding of none has no digits left, in scipy's either
    clear = np.array([len(t) == 0 or not 0 < min(np.ptp(e), np.ptp(t)) < 1e-4 for e, t in zip(*sides, strict=True)])
    assert found[clear] == pytest.approx(expected[clear], abs=1e-6, nan_ok=True)


def test_torchmetrics_agrees_on_ragged_episodes():
    rng = np.random.default_rng(0)
    true = [rng.random(n) for n in (5, 80, 31, 5)]
    estimated = [t + rng.normal(0, 0.1, len(t)) for t in true]
    for ours, theirs in (
        (pearsons, pearson_corrcoef),
        (mean_absolute_errors, torchmetrics.functional.mean_absolute_error),
    ):
        expected = [float(theirs(torch.tensor(e), torch.tensor(t))) for e, t in zip(estimated, true, strict=True)]
        assert ours(estimated, true) == pytest.approx(expected, abs=1e-6)


def test_curves_that_do_not_fit_name_the_episode():
    with pytest.raises(InvalidValue, match="episode 1 have 3 and 2 frames"):
        mean_absolute_errors([np.zeros(2), np.zeros(3)], [np.zeros(2), np.zeros(2)])
    with pytest.raises(InvalidValue, match="1 curves but 2"):
        pearsons([np.zeros(2)], [np.zeros(2)] * 2)
