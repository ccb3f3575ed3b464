import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway.metrics.gains import (
    episode_gains,
    episode_sign_counts,
    episode_weights,
    episode_zero_counts,
    gain_correlation,
    gain_sign,
    non_positive_share,
    sign_counts,
    weight_correlation,
    zero_weight_agreement,
)
from headway.signals.weights import gains, rabc

# rises, stands still, falls back, rises: the only kind of episode on which a clock's gains are wrong
TRUE = np.r_[np.linspace(0, 0.6, 20), np.full(20, 0.6), np.linspace(0.6, 0.2, 20), np.linspace(0.2, 1, 20)]
OTHER = np.r_[np.linspace(0, 0.9, 30), np.linspace(0.9, 0.5, 10)]
CLOCK = [np.linspace(0, 1, len(TRUE)), np.linspace(0, 1, len(OTHER))]
BOTH = [TRUE, OTHER]


def flat(curves):
    """All frames together, with the number of each one's episode."""
    return np.concatenate(curves), np.repeat(np.arange(len(curves)), [len(c) for c in curves])


def test_truth_agrees_with_itself_and_a_clock_does_not():
    for figure in (gain_correlation, gain_sign, weight_correlation, zero_weight_agreement):
        assert figure(BOTH, BOTH, 5) == pytest.approx(1)
        assert figure(CLOCK, BOTH, 5) < 0.8 or np.isnan(figure(CLOCK, BOTH, 5))


def test_figures_are_over_the_frames_of_all_episodes_and_no_gain_crosses_two():
    rng = np.random.default_rng(0)
    estimated = [np.clip(t + rng.normal(0, 0.05, len(t)), 0, 1) for t in BOTH]
    ours, theirs = gains(*flat(estimated), 5), gains(*flat(BOTH), 5)
    assert gain_correlation(estimated, BOTH, 5) == pytest.approx(np.corrcoef(ours, theirs)[0, 1])
    assert weight_correlation(estimated, BOTH, 5) == pytest.approx(np.corrcoef(rabc(ours), rabc(theirs))[0, 1])
    moves = np.abs(theirs) > 0.01
    assert gain_sign(estimated, BOTH, 5) == pytest.approx(((ours > 0) == (theirs > 0))[moves].mean())
    none, none_in_truth = rabc(ours) == 0, rabc(theirs) == 0
    expected = (none & none_in_truth).sum() / (none | none_in_truth).sum()
    assert 0 < expected < 1
    assert zero_weight_agreement(estimated, BOTH, 5) == pytest.approx(expected)


def test_sign_by_hand():
    true, estimated = np.array([0, 0.5, 0.505, 0.3]), np.array([0, 0.1, 0.1, 0.2])
    # over one frame truth gains .5, .005 (too little to count), -.205, 0; the estimate .1, 0, .1, 0
    assert gain_sign([estimated], [true], 1) == 0.5
    # standing still agrees with no movement
    assert gain_sign([np.full(4, 0.5)], [true], 1) == 0
    assert np.isnan(gain_sign([estimated], [np.full(4, 0.5)], 1))


def test_weights_of_one_episode_depend_on_the_gains_of_all():
    small, large = np.linspace(0, 0.005, 10), np.linspace(-0.5, 0.5, 10)
    alone, together = episode_weights([small])[0], episode_weights([small, large])[0]
    assert not np.allclose(alone, together)
    assert together == pytest.approx(rabc(np.r_[small, large])[:10])


@pytest.mark.parametrize("figure", [gain_correlation, gain_sign, weight_correlation, zero_weight_agreement])
def test_an_episode_with_a_nan_enters_nothing(figure):
    rng = np.random.default_rng(0)
    estimated = [np.clip(t + rng.normal(0, 0.05, len(t)), 0, 1) for t in BOTH]
    missing = TRUE.copy()
    missing[40] = np.nan
    assert figure([*estimated, missing], [*BOTH, OTHER[:1].repeat(80)], 5) == pytest.approx(figure(estimated, BOTH, 5))
    assert np.isnan(figure([missing], [TRUE], 5))
    assert np.isnan(figure([], [], 5))


def test_constants_have_no_correlation():
    assert np.isnan(gain_correlation([np.full(80, 0.5)], [TRUE], 5))
    assert np.isnan(weight_correlation([np.full(80, 0.5)], [TRUE], 5))
    quickening = [np.linspace(0, 1, 80) ** 2]
    assert (episode_weights(episode_gains(quickening, 5))[0] > 0).all()
    assert np.isnan(zero_weight_agreement(quickening, quickening, 5)), "no frame is without weight"


def test_the_share_without_gain_by_hand():
    level = [np.array([0, 0.2, 0.2, 0.1, 0.4]), np.array([0.0, 1.0])]
    stages = [np.array([0, 0, 1, 1, 1]), np.array([0, 0])]
    found = non_positive_share(level, (1, 2, 5), stages)
    # over one frame: rises, level, falls, rises; rises. Over two: rises, falls, rises; none has five after it
    assert found.frames.tolist() == [5, 3, 0]
    assert found.overall == pytest.approx([2 / 5, 1 / 3, np.nan], nan_ok=True)
    assert found.by_stage == pytest.approx(np.array([[1 / 3, 1 / 2, np.nan], [1 / 2, 0, np.nan]]), nan_ok=True)
    assert non_positive_share(level, (1,)).by_stage.shape == (0, 1)


def test_frames_whose_look_ahead_the_end_cuts_short_do_not_count():
    rising = [np.linspace(0, 1, 10)]
    assert non_positive_share(rising, (9,)).frames[0] == 1
    assert non_positive_share(rising, (1, 5, 9)).overall.tolist() == [0, 0, 0]
    # as the weights clip it, the last frame gains nothing
    assert (episode_gains(rising, 5)[0] <= 0).any()


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=9), min_size=1, max_size=5),
    st.integers(1, 6),
    st.booleans(),
)
def test_the_share_without_gain_by_a_loop(rows, look_ahead, missing):
    curves = [np.array([value / 3 for value, _ in row], float) for row in rows]
    stages = [np.array([stage for _, stage in row], int) for row in rows]
    if missing and len(curves[0]):
        curves[0][-1] = np.nan
    flat = [
        (stage[t], values[t + look_ahead] <= values[t])
        for values, stage in zip(curves, stages, strict=True)
        if not np.isnan(values).any()
        for t in range(len(values) - look_ahead)
    ]
    found = non_positive_share(curves, (look_ahead,), stages, number=3)
    assert found.overall[0] == pytest.approx(np.mean([no for _, no in flat]) if flat else np.nan, nan_ok=True)
    for which in range(3):
        of_stage = [no for stage, no in flat if stage == which]
        assert found.by_stage[which, 0] == pytest.approx(np.mean(of_stage) if of_stage else np.nan, nan_ok=True)


def test_counts_of_many_episodes_are_those_of_each():
    rng = np.random.default_rng(0)
    true = [rng.normal(0, 0.02, n) for n in (1, 30, 7)]
    estimated = [t + rng.normal(0, 0.02, len(t)) for t in true]
    estimated[2][3] = np.nan
    counts = episode_sign_counts(estimated, true)
    assert counts.tolist() == [list(sign_counts(e, t)) for e, t in zip(estimated, true, strict=True)]
    assert counts[1, 1] == (np.abs(true[1]) > 0.01).sum()
    assert counts[2].tolist() == [0, 0]
    zeros = episode_zero_counts([np.array([0, 1, 0.5]), np.array([0.0])], [np.array([0, 0, 1]), np.array([np.nan])])
    assert zeros.tolist() == [[1, 2], [0, 1]]


def test_look_aheads_and_stages_that_make_no_sense_are_refused():
    with pytest.raises(InvalidValue, match="at least 1 frame"):
        non_positive_share([TRUE], (0,))
    with pytest.raises(InvalidValue, match="frames"):
        non_positive_share([TRUE], (1,), [np.zeros(3, int)])
    with pytest.raises(InvalidValue, match="counted from 0"):
        non_positive_share([np.zeros(2)], (1,), [np.array([-1, 0])])
