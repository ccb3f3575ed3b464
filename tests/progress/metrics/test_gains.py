import numpy as np
import pytest

from headway.metrics.gains import (
    episode_gains,
    episode_weights,
    gain_correlation,
    gain_sign,
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
