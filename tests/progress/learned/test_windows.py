import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headway.learned.windows import PADDING, backward_windows, rewind


def test_a_window_is_the_first_frame_and_then_the_past_up_to_now():
    assert backward_windows(np.array([20]), 4, 3).tolist() == [[0, 12, 16, 20]]


def test_places_before_the_start_are_padding_never_a_repeated_frame():
    assert backward_windows(np.array([0, 5]), 4, 3).tolist() == [[0, PADDING, PADDING, 0], [0, PADDING, 1, 5]]


def test_a_fractional_gap_takes_the_nearest_frames():
    assert backward_windows(np.array([24]), 9.6, 3).tolist() == [[0, 5, 14, 24]]


@given(st.integers(0, 500), st.floats(0.5, 40), st.integers(1, 12))
def test_no_window_ever_looks_ahead(present, gap, history):
    window = backward_windows(np.array([present]), gap, history)[0]
    assert window.max() == present
    assert window[-1] == present
    known = window[1:][window[1:] != PADDING]
    assert (np.diff(known) >= 0).all()


def test_a_rewound_window_runs_forward_then_back_one_step_at_a_time():
    windows = backward_windows(np.arange(30), 1, 8)
    turned = rewind(windows, 1.0, np.random.default_rng(0))
    changed = [row for row in range(30) if not np.array_equal(turned[row], windows[row])]
    assert changed == list(range(1, 30)), "every window with a past is turned, frame 0 has none"
    for row in changed:
        places = turned[row, 1:]
        places = places[places != PADDING]
        steps = np.diff(places)
        turn = int(places.argmax())
        assert places[turn] == row
        assert (steps[:turn] == 1).all()
        assert (steps[turn:] == -1).all()
        assert places[-1] < row
        assert places.min() >= 0


def test_each_window_is_turned_on_its_own():
    windows = backward_windows(np.arange(8, 1008), 1, 8)
    turned = rewind(windows, 0.4, np.random.default_rng(0))
    share = (turned != windows).any(axis=1).mean()
    assert 0.35 < share < 0.45
    assert len(np.unique(windows[:, -1] - turned[:, -1])) == 8, "0 to 7 steps back all occur"


def test_no_share_leaves_the_windows_alone():
    windows = backward_windows(np.arange(30), 1, 8)
    assert np.array_equal(rewind(windows, 0.0, np.random.default_rng(0)), windows)
