import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway.signals.weights.gains import DONE_WITHIN, done_from, gains, noise, smoothed

CURVE = st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=1, max_size=30).map(np.array)


def test_gains_look_ahead_within_the_episode_and_stop_at_its_last_frame():
    progress = np.array([0, 0.1, 0.3, 0.6, 0.5, 0.9])
    episode = np.array([0, 0, 0, 0, 1, 1])
    assert gains(progress, episode, 2) == pytest.approx([0.3, 0.5, 0.3, 0, 0.4, 0])


def test_a_gain_with_an_unknown_end_is_unknown():
    got = gains(np.array([0, np.nan, 0.2, 0.3]), np.zeros(4, int), 1)
    assert np.isnan(got).tolist() == [True, True, False, False]


def test_a_look_ahead_of_nothing_is_refused():
    with pytest.raises(InvalidValue, match="at least 1 frame, got 0"):
        gains(np.zeros(3), np.zeros(3, int), 0)


@given(st.lists(CURVE, min_size=1, max_size=4), CURVE, st.integers(1, 40))
def test_an_episode_more_changes_no_gain_of_those_before(curves, another, look_ahead):
    def of(some):
        return gains(np.concatenate(some), np.repeat(np.arange(len(some)), [len(c) for c in some]), look_ahead)

    before, after = of(curves), of([*curves, another])
    np.testing.assert_array_equal(after[: len(before)], before)
    np.testing.assert_array_equal(after[len(before) :], of([another]))


def test_an_episode_is_done_from_where_it_stays_near_its_end():
    assert done_from(np.r_[np.linspace(0, 1, 11), np.ones(5)]) == 10
    # it was up there before, and fell
    assert done_from(np.array([0, 1, 0.5, 1, 1, 1, 1, 1, 1])) == 3
    assert done_from(np.full(4, 0.3)) == 0
    assert done_from(np.full(4, np.nan)) == 3


def test_one_bad_frame_at_the_very_end_does_not_move_where_it_is_done():
    values = np.r_[np.linspace(0, 1, 20), np.ones(8), 1 + 5 * DONE_WITHIN]
    assert done_from(values) == 19


def test_noise_is_that_of_the_frames_and_not_of_the_movement():
    rng = np.random.default_rng(0)
    moving = np.linspace(0, 1, 4000)
    assert noise(moving) == pytest.approx(0, abs=1e-12)
    assert noise(moving + rng.normal(0, 0.03, 4000)) == pytest.approx(0.03, rel=0.1)
    assert noise(np.array([0.1, 0.9])) == 0


def test_smoothing_keeps_straight_lines_the_ends_and_what_is_unknown():
    line = np.linspace(0, 1, 9)
    assert smoothed(line, 5) == pytest.approx(line)
    jagged = np.array([0.0, 1, 0, 1, 0])
    assert smoothed(jagged, 3) == pytest.approx([0, 1 / 3, 2 / 3, 1 / 3, 0])
    gap = np.array([0.2, np.nan, 0.4, 0.4])
    assert smoothed(gap, 3) == pytest.approx([0.2, np.nan, 0.4, 0.4], nan_ok=True)
