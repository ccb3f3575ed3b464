from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from headway.errors import UnknownName
from headway.signals.segments import FRAMES_OF_SUCCESS, KINDS, cut_episode, falls, idle, success_begins

FPS = 10.0


def ramp(*parts):
    """A curve from parts (from, to, frames)."""
    return np.concatenate([np.linspace(low, high, frames, endpoint=False) for low, high, frames in parts])


def spans(cuts):
    return [(cut.start, cut.end, cut.why) for cut in cuts]


def test_a_demonstration_that_moves_on_stays_whole():
    pieces, cuts = cut_episode(7, ramp((0, 0.85, 60)), FPS)
    assert not cuts
    (piece,) = pieces
    assert (piece.episode, piece.start, piece.end, piece.whole, piece.to_the_end) == (7, 0, 60, True, True)


def test_standing_still_in_the_middle_makes_two_pieces():
    curve = ramp((0, 0.4, 20), (0.4, 0.4, 25), (0.4, 0.8, 20))
    pieces, cuts = cut_episode(0, curve, FPS)
    assert spans(cuts) == [(20, 46, "idle")]
    assert [(piece.start, piece.end) for piece in pieces] == [(0, 20), (46, 65)]
    assert [piece.to_the_end for piece in pieces] == [False, True]
    assert not any(piece.whole for piece in pieces)


def test_a_pause_shorter_than_a_second_is_no_idling():
    curve = ramp((0, 0.4, 20), (0.4, 0.4, 9), (0.4, 0.8, 20))
    assert not idle(curve, FPS).any()


def test_slow_progress_is_no_idling():
    assert not idle(ramp((0, 0.3, 300)), FPS).any()


def test_the_way_down_goes_and_high_and_low_stay():
    curve = ramp((0, 0.6, 30), (0.6, 0.2, 8), (0.2, 0.8, 30))
    pieces, cuts = cut_episode(0, curve, FPS, ["regressing"])
    assert spans(cuts) == [(31, 38, "regressing")]
    assert curve[30] == curve[:40].max()
    assert curve[38] == curve[30:].min()
    assert [(piece.start, piece.end) for piece in pieces] == [(0, 31), (38, 68)]


def test_a_small_fall_is_left_alone():
    assert falls(ramp((0, 0.6, 30), (0.6, 0.52, 8), (0.52, 0.8, 30))) == []


def test_a_fall_by_steps_is_one_and_two_falls_are_two():
    by_steps = ramp((0, 0.8, 20), (0.8, 0.5, 5), (0.5, 0.55, 5), (0.55, 0.2, 5), (0.2, 0.5, 10))
    assert falls(by_steps) == [(21, 35)]
    two = ramp((0, 0.8, 20), (0.8, 0.5, 5), (0.5, 0.8, 10), (0.8, 0.3, 5), (0.3, 0.4, 10))
    assert falls(two) == [(21, 25), (36, 40)]


def test_a_fall_at_the_end_goes_with_the_outcome():
    pieces, cuts = cut_episode(0, ramp((0, 0.6, 30), (0.6, 0.1, 15)), FPS)
    assert spans(cuts) == [(31, 44, "regressing"), (44, 45, "too short")]
    assert [(piece.start, piece.end, piece.to_the_end) for piece in pieces] == [(0, 31, False)]


def test_half_a_second_of_holding_still_after_success_stays_and_the_outcome_with_it():
    curve = ramp((0, 1, 40), (1, 1, 30))
    success = np.where(np.arange(70) >= 40, 0.9, 0.1)
    pieces, cuts = cut_episode(0, curve, FPS, KINDS, success)
    assert spans(cuts) == [(45, 70, "after-success")]
    assert [(piece.start, piece.end, piece.to_the_end) for piece in pieces] == [(0, 45, True)]


def test_cutting_idle_stretches_alone_spares_that_half_second_too():
    curve = ramp((0, 1, 40), (1, 1, 30))
    _, cuts = cut_episode(0, curve, FPS, ["idle"], np.where(np.arange(70) >= 40, 0.9, 0.1))
    assert spans(cuts) == [(45, 70, "idle")]


def test_without_a_probability_of_success_progress_tells():
    curve = ramp((0, 0.95, 40), (0.95, 0.95, 30))
    assert success_begins(curve, None) == int(np.argmax(curve >= 0.9))
    assert success_begins(curve, np.full(70, np.nan)) == success_begins(curve, None)


def test_a_success_that_does_not_last_is_none():
    success = np.where((np.arange(60) >= 20) & (np.arange(60) < 40), 0.9, 0.1)
    assert success_begins(np.zeros(60), success) is None
    again = np.where(np.arange(60) >= 50, 0.9, success)
    assert success_begins(np.zeros(60), again) == 50


def test_a_success_is_believed_after_frames_that_were_looked_at():
    success = np.where(np.arange(40) >= 20, 0.9, 0.1)
    assert success_begins(np.zeros(40), success, np.arange(40) % 4 == 0) == 20
    assert success_begins(np.zeros(40), success, np.arange(40) % 5 == 0) is None
    assert FRAMES_OF_SUCCESS == 5


def test_nothing_comes_after_the_success_of_an_episode_that_a_person_calls_failed():
    curve = ramp((0, 1, 40), (1, 1, 30))
    pieces, cuts = cut_episode(0, curve, FPS, ["after-success"], failed=True)
    assert not cuts
    assert pieces[0].whole


def test_what_is_left_shorter_than_a_second_goes_and_says_so():
    curve = ramp((0.3, 0.3, 20), (0.3, 0.5, 8), (0.5, 0.5, 20), (0.5, 0.8, 20))
    pieces, cuts = cut_episode(0, curve, FPS)
    assert [cut.why for cut in cuts] == ["idle", "too short", "idle"]
    assert len(pieces) == 1


def test_a_short_episode_without_cuts_stays():
    pieces, cuts = cut_episode(0, ramp((0, 0.5, 4)), FPS)
    assert not cuts
    assert pieces[0].whole


def test_nothing_is_cut_where_progress_is_unknown():
    curve = np.full(60, np.nan)
    assert cut_episode(0, curve, FPS)[1] == []
    curve[::5] = 0.3
    assert not idle(curve, FPS).any()


def test_an_unknown_kind_lists_the_known():
    with pytest.raises(UnknownName, match=r"'idel'.*after-success, idle, regressing"):
        cut_episode(0, np.zeros(10), FPS, ["idel"])


curves = hnp.arrays(
    np.float64, st.integers(1, 120), elements=st.sampled_from([0.0, 0.2, 0.204, 0.5, 0.9, 1.0, float("nan")])
)


@given(curves, st.sets(st.sampled_from(KINDS)), st.sampled_from([1.0, 5.0, 30.0]))
def test_pieces_and_cuts_divide_the_episode_without_gap_or_overlap(curve, kinds, fps):
    pieces, cuts = cut_episode(3, curve, fps, sorted(kinds))
    parts = sorted([(each.start, each.end) for each in (*pieces, *cuts)])
    assert parts[0][0] == 0
    assert parts[-1][1] == len(curve)
    assert all(one[1] == other[0] for one, other in pairwise(parts))
    assert all(start < end for start, end in parts)
    assert {cut.why for cut in cuts} <= {*kinds, "too short"}
    assert all(piece.whole == (not cuts) for piece in pieces)
    assert sum(piece.to_the_end for piece in pieces) <= 1


@given(curves)
def test_no_frame_after_success_within_the_half_second_is_ever_cut(curve):
    done = success_begins(curve, None)
    pieces, _ = cut_episode(0, curve, 10.0)
    if done is not None and done >= 10:
        kept = np.zeros(len(curve), bool)
        for piece in pieces:
            kept[piece.start : piece.end] = True
        if any(piece.start <= done < piece.end for piece in pieces):
            assert kept[done : done + 5].all()


@given(curves)
def test_idle_frames_are_those_of_still_seconds(curve):
    expected = np.zeros(len(curve), bool)
    for start in range(len(curve) - 10):
        window = curve[start : start + 11]
        if not np.isnan(window).any() and np.ptp(window) < 0.005:
            expected[start : start + 11] = True
    np.testing.assert_array_equal(idle(curve, 10.0), expected)
