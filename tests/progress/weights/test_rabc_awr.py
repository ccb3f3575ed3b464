"""The scheme of `auto`: what moves the task on weighs, what does so best weighs most, and nothing of it vanishes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.signals.weights.rabc_auto import rabc_auto
from headway.signals.weights.rabc_awr import MOST, rabc_awr
from headway.signals.weights.scored import ScoredFrames

LOOK_AHEAD = 10


def make(curves, success=1.0):
    success = np.broadcast_to(np.asarray(success, float), len(curves))
    lengths = [len(curve) for curve in curves]
    return ScoredFrames(np.concatenate(curves), np.repeat(np.arange(len(curves)), lengths), 20.0, success)


def test_of_frames_at_like_progress_the_quicker_weigh_more_and_the_slower_do_not_vanish():
    quick, slow = np.linspace(0, 1, 100), np.linspace(0, 1, 180)
    frames = make([*[quick] * 4, *[slow] * 4])
    assert rabc_auto(frames, LOOK_AHEAD).min() == 1, "that rule takes them for alike"
    weight = rabc_awr(frames, LOOK_AHEAD)
    quick_one, slow_one = weight[20:70], weight[4 * 100 + 40 : 4 * 100 + 120]
    assert quick_one.min() > 3 * slow_one.max()
    assert slow_one.min() >= 1 / MOST**2 - 1e-12


def test_what_is_slow_for_everybody_is_no_worse_than_what_is_quick_for_everybody():
    # all of them close the gripper in the middle, which moves the task on by little
    closing = np.r_[np.linspace(0, 0.45, 40), np.linspace(0.45, 0.55, 40)[1:], np.linspace(0.55, 1, 40)[1:]]
    rng = np.random.default_rng(0)
    frames = make([closing + rng.normal(0, 1e-4, len(closing)) for _ in range(6)])
    weight = rabc_awr(frames, LOOK_AHEAD).reshape(6, -1)
    assert weight[:, 50:65].mean() == pytest.approx(weight[:, 10:25].mean(), rel=0.35)


def test_where_all_gain_alike_it_is_a_quarter_of_rabc_auto():
    frames = make([np.linspace(0, 1, 100)] * 5)
    inside = np.tile(np.arange(100) < 85, 5)
    assert rabc_awr(frames, LOOK_AHEAD)[inside] == pytest.approx(rabc_auto(frames, LOOK_AHEAD)[inside] / MOST, rel=0.1)
    still = make([np.full(30, 0.5)] * 3)
    assert rabc_awr(still, LOOK_AHEAD) == pytest.approx(rabc_auto(still, LOOK_AHEAD) / MOST)


@given(seed=st.integers(0, 1000), share=st.floats(0, 0.5))
def test_it_lies_between_a_sixteenth_and_all_of_rabc_auto_and_is_unknown_where_that_is(seed, share):
    rng = np.random.default_rng(seed)
    curves = [np.clip(np.linspace(0, 1, 60) + rng.normal(0, 0.1, 60), 0, 1) for _ in range(4)]
    frames = make([np.where(rng.random(60) < share, np.nan, curve) for curve in curves], rng.integers(0, 2, 4))
    whole, weight = rabc_auto(frames, LOOK_AHEAD), rabc_awr(frames, LOOK_AHEAD)
    assert (np.isnan(weight) == np.isnan(whole)).all()
    known = ~np.isnan(whole)
    assert (weight[known] <= whole[known] + 1e-12).all()
    assert (weight[known] >= whole[known] / MOST**2 - 1e-12).all()


def test_a_fall_weighs_nothing_though_others_fall_deeper():
    falls = np.r_[np.linspace(0, 0.6, 60), np.linspace(0.6, 0.4, 30), np.linspace(0.4, 1, 60)]
    deeper = np.r_[np.linspace(0, 0.6, 60), np.linspace(0.6, 0.1, 30), np.linspace(0.1, 1, 60)]
    frames = make([*[np.linspace(0, 1, 100)] * 5, falls, *[deeper] * 3])
    assert rabc_awr(frames, LOOK_AHEAD)[500 + 62 : 500 + 80].max() == 0
