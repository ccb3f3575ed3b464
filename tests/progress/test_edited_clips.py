"""Edited clips: by hand, and for every length and seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.edited_clips import edited_clip, phase, play


def test_a_clip_by_hand_double_speed_pause_half_speed_back_and_on():
    shown = play([0, 4, 4, 5, 2, 6], [2, 3, 2, 3, 4])
    assert shown.tolist() == [0, 2, 4, 4, 4, 4, 4, 5, 4, 3, 2, 3, 4, 5, 6]
    assert phase(shown, 9) == pytest.approx(shown / 8)


def test_the_phase_of_a_recording_of_one_frame_is_its_start():
    assert phase(np.array([0]), 1).tolist() == [0.0]


@given(length=st.integers(1, 600), seed=st.integers(0, 10_000))
def test_a_clip_shows_frames_that_exist_from_the_first_on(length, seed):
    shown = edited_clip(length, np.random.default_rng(seed))
    assert shown.dtype == np.int64
    assert shown[0] == 0
    assert shown.min() >= 0
    assert shown.max() < length
    assert (phase(shown, length) <= 1).all()
    assert (np.abs(np.diff(shown)) <= 3).all(), "twice the speed, and rounding"


@given(seed=st.integers(0, 10_000))
def test_every_clip_pauses_runs_back_and_mostly_stops_early(seed):
    rng = np.random.default_rng(seed)
    clips = [edited_clip(300, rng) for _ in range(20)]
    for shown in clips:
        steps = np.diff(shown)
        still = "".join("0" if step == 0 else "1" for step in steps)
        assert "0" * 28 in still, "at least a tenth of the episode"
        assert (steps < 0).any()
    assert np.mean([shown[-1] < 295 for shown in clips]) > 0.7


def test_the_same_draw_makes_the_same_clip():
    one, other = (edited_clip(100, np.random.default_rng(3)) for _ in range(2))
    assert (one == other).all()
