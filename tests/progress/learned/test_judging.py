"""Episodes are judged in stretches: what is held does not grow with their length, and no value depends on it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.learned import judging
from headway.learned.windows import PADDING, backward_windows


def chunks(features, size):
    return (features[start : start + size] for start in range(0, len(features), size))


@given(
    length=st.integers(1, 700),
    stride=st.integers(1, 9),
    gap=st.floats(1, 12),
    history=st.integers(1, 8),
    size=st.integers(1, 300),
)
@settings(deadline=None)
def test_every_window_finds_the_very_frames_it_asked_for(length, stride, gap, history, size):
    looked_at = np.arange(0, length, stride)
    windows = backward_windows(looked_at, gap, history)
    wanted = np.unique(windows[windows != PADDING])
    # a frame's feature is its own number
    features = torch.as_tensor(wanted[:, None])
    found = []
    for held, places in judging._in_reach(chunks(features, size), wanted, windows):
        frames = held.numpy()[:, 0][places]
        found.append(np.where(places == PADDING, PADDING, frames))
    assert np.array_equal(np.concatenate(found), windows)


@pytest.mark.parametrize("length", [2_000, 20_000])
def test_no_more_is_held_however_long_the_episode(length):
    windows = backward_windows(np.arange(length), 8.0, 8)
    wanted = np.arange(length)
    features = torch.as_tensor(wanted[:, None])
    most = max(len(held) for held, _ in judging._in_reach(chunks(features, 32), wanted, windows))
    assert most < judging.WINDOWS + 8 * 8 + 32 + 2
