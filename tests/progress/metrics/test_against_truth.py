import time
from dataclasses import fields, replace

import numpy as np
import pytest

from headway import controls
from headway.controls import missing_curve
from headway.episodes import ArrayFrames, Episode, ProgressCurve, Truth
from headway.metrics.against_truth import AgainstTruth, against_truth
from headway.metrics.errors import pooled_pearson
from headway.metrics.gains import gain_correlation, gain_sign, weight_correlation
from headway.metrics.intervals import Estimate
from headway.metrics.success import auroc, expected_calibration_error

FIGURES = [field.name for field in fields(AgainstTruth) if field.type is Estimate]


def noisy(episodes, success=False, seed=0):
    """Truth with noise; success, where asked for, is 1 - progress, so that a mix-up with progress shows."""
    rng = np.random.default_rng(seed)
    curves = []
    for episode in episodes:
        values = np.clip(episode.truth.progress + rng.normal(0, 0.1, len(episode)), 0, 1).astype(np.float32)
        curves.append(
            ProgressCurve(values, np.ones(len(values), bool), "noisy", success=1 - values if success else None)
        )
    return curves


def same(one, other, figures=FIGURES):
    return all(
        np.array_equal(np.array([*vars(getattr(one, f)).values()]), [*vars(getattr(other, f)).values()], equal_nan=True)
        for f in figures
    )


def test_the_oracle_is_right_in_every_new_figure(make_sliders):
    episodes = make_sliders(5, failing=5)
    row = against_truth("oracle", episodes, list(controls.oracle().estimate(episodes)), look_ahead=5)
    assert row.unscored == 0
    assert row.mae_imperfect_isotonic.value < 0.02
    assert row.pearson.value == row.gain_sign.value == pytest.approx(1)
    assert row.weight_correlation.value == pytest.approx(1)
    assert np.isnan(row.success_head_auroc.value), "it gives no success"
    assert np.isnan(row.success_ece.value)


def test_each_figure_is_the_one_of_its_own_module(make_sliders):
    episodes = make_sliders(4, failing=4)
    curves = noisy(episodes, success=True)
    row = against_truth("noisy", episodes, curves, look_ahead=5)
    estimated, true = [c.values for c in curves], [e.truth.progress for e in episodes]
    assert row.pearson.value == pytest.approx(pooled_pearson(estimated, true))
    assert row.gain_correlation.value == pytest.approx(gain_correlation(estimated, true, 5))
    assert row.gain_sign.value == pytest.approx(gain_sign(estimated, true, 5))
    assert row.weight_correlation.value == pytest.approx(weight_correlation(estimated, true, 5))
    last = np.array([c.success[-5:].mean() for c in curves])
    done = np.array([e.truth.succeeded for e in episodes])
    assert row.success_head_auroc.value == pytest.approx(auroc(last, done)) == 0
    assert row.success_auroc.value == 1
    assert row.success_ece.value == pytest.approx(expected_calibration_error(last, done))
    assert row.success_ece.value > 0.5


def test_a_wrong_scale_costs_error_but_none_after_the_monotone_map(make_sliders):
    episodes = make_sliders(6, failing=6)
    squeezed = [ProgressCurve(0.5 + 0.4 * e.truth.progress, np.ones(len(e), bool), "squeezed") for e in episodes]
    row = against_truth("squeezed", episodes, squeezed)
    assert row.mae_imperfect.value > 0.2
    assert row.mae_imperfect_isotonic.value < 0.03
    clock = against_truth("clock", episodes, list(controls.clock().estimate(episodes)))
    assert clock.mae_imperfect_isotonic.value > 3 * row.mae_imperfect_isotonic.value, (
        "no map tells a clock which episodes fail"
    )


def test_every_interval_holds_its_figure_and_has_width(make_sliders):
    episodes = make_sliders(6, failing=6)
    row = against_truth("noisy", episodes, noisy(episodes, success=True), look_ahead=5)
    for name in ("pearson", "mae_imperfect_isotonic", "gain_sign", "weight_correlation", "success_ece"):
        figure = getattr(row, name)
        assert figure.low < figure.value < figure.high


def test_episodes_without_a_whole_curve_are_counted_and_change_no_figure(make_sliders):
    episodes = make_sliders(5, failing=5)
    curves = noisy(episodes, success=True)
    before = against_truth("noisy", episodes, curves, look_ahead=5)
    gap = curves[0].values.copy()
    gap[3] = np.nan
    more = [*episodes, episodes[0], episodes[9]]
    partly = replace(curves[0], values=gap, reason="one frame is black")
    after = against_truth("noisy", more, [*curves, partly, missing_curve(len(episodes[9]), "noisy", "no text")], 5)
    assert after.unscored == 2
    assert same(before, after)


def test_without_a_single_whole_curve_nothing_is_defined(make_sliders):
    episodes = make_sliders(2, failing=2)
    row = against_truth("none", episodes, [missing_curve(len(e), "none", "no text") for e in episodes])
    assert row.unscored == 4
    assert all(np.isnan(getattr(row, name).value) for name in FIGURES)


def test_success_is_judged_on_the_episodes_that_have_one(make_sliders):
    episodes = make_sliders(4, failing=4)
    curves = noisy(episodes, success=True)
    some = [replace(curve, success=None) if i in (0, 7) else curve for i, curve in enumerate(curves)]
    row, kept = against_truth("some", episodes, some), against_truth("kept", episodes[1:7], curves[1:7])
    assert row.unscored == 0
    assert row.success_ece.value == pytest.approx(kept.success_ece.value)
    assert row.success_auroc.value == 1


def test_a_row_over_three_hundred_episodes_takes_seconds():
    rng = np.random.default_rng(0)
    episodes = []
    for index in range(300):
        progress = np.minimum(np.linspace(0, 1.1, 300), 1 if index % 2 else rng.uniform(0.2, 0.9)).astype(np.float32)
        truth = Truth(progress, (progress > 0.5).astype(int), progress >= 1, ("a", "b"), (0.5, 0.5))
        pixels = ArrayFrames(np.zeros((300, 1, 1, 3), np.uint8))
        episodes.append(
            Episode(index, 300 * index, 20.0, {"top": pixels}, truth=truth, kind="expert" if index % 2 else "x")
        )
    started = time.process_time()
    against_truth("noisy", episodes, noisy(episodes, success=True))
    assert time.process_time() - started < 10
