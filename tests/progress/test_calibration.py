import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from headway.errors import CheckpointError, InvalidValue
from headway.signals.calibration import (
    CONFORMAL_ASSUMPTION,
    KNOTS,
    ConformalSuccess,
    MonotoneMap,
    Temperature,
    fit_conformal,
    fit_monotone,
    fit_success_temperature,
    fit_temperature,
)

frames = st.lists(st.tuples(st.floats(-100, 100, width=32), st.floats(0, 1, width=32)), min_size=1, max_size=30)


@given(frames)
@settings(deadline=None)
def test_a_map_never_falls_stays_in_range_and_fits_as_well_as_isotonic_regression(pairs):
    raw, target = np.array(pairs).T
    fitted = fit_monotone(raw, target)
    anywhere = fitted(np.linspace(-200, 200, 1001))
    assert (np.diff(anywhere) >= 0).all()
    assert anywhere.min() >= 0
    assert anywhere.max() <= 1
    # the reference has no ties: sort by raw and, within one raw value, give all the mean
    group = np.unique(raw, return_inverse=True)[1]
    mass = np.bincount(group)
    best = optimize.isotonic_regression(np.bincount(group, target) / mass, weights=mass).x[group]
    assert fitted(raw) == pytest.approx(best, abs=2e-3)


def test_a_map_undoes_a_monotone_distortion_of_any_scale():
    rng = np.random.default_rng(0)
    progress = rng.random(4000)
    raw = -50 + 300 * progress**3
    fitted = fit_monotone(raw + rng.normal(0, 0.01, raw.size), progress)
    assert len(fitted.x) <= KNOTS
    unseen = np.linspace(0.05, 1, 500)
    assert np.abs(fitted(-50 + 300 * unseen**3) - unseen).max() < 0.02


def test_thinning_keeps_the_map_close_where_it_bends():
    rng = np.random.default_rng(1)
    raw = np.sort(rng.random(20000))
    target = (raw > 0.5).astype(float) * 0.8 + 0.2 * raw
    fitted = fit_monotone(raw, target)
    assert len(fitted.x) <= KNOTS
    assert np.abs(fitted(raw) - target).max() < 0.01
    assert (fitted.x[0], fitted.x[-1]) == (raw[0], raw[-1])


def test_a_map_of_more_corners_than_knots_keeps_no_more_knots():
    # 300 steps, each higher than what thinning may move, so that all 600 corners are wanted
    raw, target = np.arange(600.0), np.repeat(np.arange(300), 2) / 299
    fitted = fit_monotone(raw, target)
    assert len(fitted.x) == KNOTS == 100
    assert np.abs(fitted(raw) - target).max() < 0.02


def test_weights_count_as_repeats_and_zero_leaves_a_frame_out():
    raw, target = np.array([0.0, 1, 1, 2]), np.array([0.0, 0.2, 0.8, 0.1])
    weight = np.array([1.0, 3, 1, 0])
    assert fit_monotone(raw, target, weight) == fit_monotone(
        np.array([0.0, 1, 1, 1, 1]), np.array([0, 0.2, 0.2, 0.2, 0.8])
    )
    assert fit_monotone(raw, target, weight)(1.0) == pytest.approx(0.35)


def test_beyond_the_knots_a_map_is_constant_and_a_nan_stays_one():
    fitted = MonotoneMap((1.0, 3.0), (0.2, 0.6))
    assert fitted(np.array([-np.inf, 0, 2, 9, np.inf])) == pytest.approx([0.2, 0.2, 0.4, 0.6, 0.6])
    assert np.isnan(fitted(np.array([np.nan, 1.0]))).tolist() == [True, False]


def test_a_constant_output_is_mapped_to_the_mean():
    fitted = fit_monotone(np.full(4, 7.0), np.array([0, 0.2, 0.4, 1.0]))
    assert fitted(np.array([-3.0, 7.0, 9.0])) == pytest.approx(0.4)


def test_frames_that_are_not_known_are_left_out_of_a_fit():
    raw = np.array([0, np.nan, 1, 2, np.inf, -np.inf])
    target = np.array([0, 1, 0.5, np.nan, 0, 1])
    assert fit_monotone(raw, target) == fit_monotone(np.array([0.0, 1]), np.array([0, 0.5]))


@pytest.mark.parametrize(
    ("raw", "target", "weight", "words"),
    [
        ([np.nan, 1], [0.5, np.nan], None, "none of 2 calibration frames"),
        ([], [], None, "none of 0 calibration frames"),
        ([0, 1], [0, 1], [0, 0], "none of 2 calibration frames"),
        ([0, 1], [0, 1.1], None, r"targets must lie in \[0, 1\], got 0 to 1.1"),
        ([0, 1], [0, 1], [1, -1], "at least 0"),
        ([0, 1], [0, 1], [1, np.nan], "finite"),
        ([0, 1], [0], None, r"alike, got \(2,\), \(1,\)"),
    ],
)
def test_a_fit_that_cannot_be_made_says_why(raw, target, weight, words):
    with pytest.raises(InvalidValue, match=words):
        fit_monotone(np.array(raw, float), np.array(target, float), None if weight is None else np.array(weight, float))


@pytest.mark.parametrize(
    ("x", "y"),
    [((), ()), ((0, 1), (0,)), ((1, 1), (0, 1)), ((0, np.inf), (0, 1)), ((0, 1), (0.5, 0.4)), ((0, 1), (0, np.nan))],
)
def test_a_map_that_is_none_is_refused(x, y):
    with pytest.raises(InvalidValue, match="monotone map"):
        MonotoneMap(x, y)


def negative_log_likelihood(logits, labels):
    return -special.log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_a_temperature_is_found_again_and_no_other_is_better(true):
    rng = np.random.default_rng(0)
    right = rng.normal(0, 2, (20000, 3))
    labels = np.array([rng.choice(3, p=p) for p in special.softmax(right, axis=1)])
    logits = right * true
    fitted = fit_temperature(logits, labels)
    assert fitted.value == pytest.approx(true, rel=0.05)
    least = negative_log_likelihood(fitted.apply(logits), labels)
    assert all(least <= negative_log_likelihood(logits / t, labels) + 1e-9 for t in np.geomspace(0.05, 20, 60))


def test_the_temperature_of_one_sigmoid_is_that_of_its_two_classes():
    rng = np.random.default_rng(0)
    right = rng.normal(0, 2, 20000)
    success = rng.random(20000) < special.expit(right)
    fitted = fit_success_temperature(3 * right, success)
    assert fitted.value == pytest.approx(3, rel=0.05)
    probability = special.expit(fitted.apply(3 * right))
    sure = probability > 0.9
    assert success[sure].mean() == pytest.approx(probability[sure].mean(), abs=0.02)


def test_readings_that_are_told_apart_without_a_mistake_say_nothing_of_the_temperature():
    logits, success = np.array([3.0, 0.2, -0.1, -8, -8]), np.array([True, True, False, False, False])
    assert fit_success_temperature(logits, success).value == 1
    mistaken = fit_success_temperature(np.append(logits, 3.0), np.append(success, False))
    assert mistaken.value > 1


def test_a_temperature_stays_bounded_where_the_likelihood_is_not():
    logits = np.array([[0.1, 0], [0, 0.1]])
    always_right, always_wrong = fit_temperature(logits, np.array([0, 1])), fit_temperature(logits, np.array([1, 0]))
    assert always_right.value == pytest.approx(0.02, rel=1e-3)
    assert always_wrong.value == pytest.approx(50, rel=1e-3)


def test_logits_that_say_nothing_keep_temperature_one():
    assert fit_temperature(np.zeros((5, 3)), np.array([0, 1, 2, 0, 1])).value == 1


def test_frames_without_logits_do_not_enter_a_temperature():
    logits, labels = np.array([[2.0, 0], [0, 1], [3, 1], [np.nan, 0]]), np.array([0, 1, 1, 0])
    assert fit_temperature(logits, labels) == fit_temperature(logits[:3], labels[:3])


@pytest.mark.parametrize(
    ("logits", "labels", "words"),
    [
        ([[0, 1]], [2], "labels must lie in 0 to 1"),
        ([[0, 1]], [-1], "labels must lie in 0 to 1"),
        ([[0, np.inf]], [0], "must be finite"),
        ([[0, np.nan]], [0], "none of 1 calibration frames"),
        ([0, 1], [0, 1], r"got \(2,\)"),
    ],
)
def test_a_temperature_that_cannot_be_fitted_says_why(logits, labels, words):
    with pytest.raises(InvalidValue, match=words):
        fit_temperature(np.array(logits, float), np.array(labels))


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_a_temperature_must_be_above_zero(value):
    with pytest.raises(InvalidValue, match="temperature"):
        Temperature(value)


def test_the_threshold_is_the_rank_of_split_conformal_prediction():
    maxima = ConformalSuccess(tuple(np.arange(1, 20) / 20))
    # n + 1 = 20: ceil(20 * 0.9) = 18th, ceil(20 * 0.95) = 19th, ceil(20 * 0.92) = 19th, ceil(20 * 0.5) = 10th
    assert [maxima.threshold(a) for a in (0.1, 0.05, 0.08, 0.5)] == pytest.approx([0.9, 0.95, 0.95, 0.5])


@given(st.integers(1, 400), st.data())
def test_an_alpha_that_is_a_whole_number_of_episodes_loses_none_to_rounding(episodes, data):
    above = data.draw(st.integers(1, episodes))
    assert ConformalSuccess(tuple(range(1, episodes + 1))).threshold(above / (episodes + 1)) == episodes + 1 - above


@given(st.integers(1, 200), st.floats(1e-4, 0.9999))
def test_the_rank_is_the_exact_one_or_refused(episodes, alpha):
    exact = math.ceil((episodes + 1) * (1 - alpha))
    detector = ConformalSuccess(tuple(range(1, episodes + 1)))
    if abs((episodes + 1) * alpha - round((episodes + 1) * alpha)) < 1e-6:
        return
    if exact > episodes:
        with pytest.raises(InvalidValue):
            detector.threshold(alpha)
    else:
        assert detector.threshold(alpha) == exact


@pytest.mark.parametrize("episodes", [2, 6, 9, 48, 70])
def test_the_smallest_alpha_that_is_named_is_possible_and_less_is_refused(episodes):
    detector = ConformalSuccess(tuple(np.linspace(0, 1, episodes)))
    with pytest.raises(InvalidValue, match=f"after {episodes} failed calibration episodes") as refused:
        detector.threshold(0.999 / (episodes + 1))
    named = float(str(refused.value).split(" = ")[1].split(":")[0])
    assert detector.threshold(named) == detector.threshold(1 / (episodes + 1)) == 1
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 2, math.nan])
def test_a_rate_outside_zero_to_one_is_refused(alpha):
    with pytest.raises(InvalidValue, match="between 0 and 1"):
        ConformalSuccess((0.1, 0.2)).threshold(alpha)


def false_positive_rate(draw, episodes, alpha, trials=3000):
    """Of one more failed episode after `episodes` of them, over many calibrations."""
    rng = np.random.default_rng(0)
    fired = 0
    for _ in range(trials):
        maxima = draw(rng, episodes + 1)
        fired += maxima[-1] > ConformalSuccess(tuple(sorted(maxima[:-1]))).threshold(alpha)
    return fired / trials


@pytest.mark.parametrize(("episodes", "alpha"), [(19, 0.1), (9, 0.1), (30, 0.2), (12, 0.1)])
def test_failed_episodes_raise_a_false_alarm_as_often_as_allowed_and_hardly_less(episodes, alpha):
    rate = false_positive_rate(lambda rng, n: rng.beta(2, 3, n), episodes, alpha)
    spread = 3 * math.sqrt(alpha * (1 - alpha) / 3000)
    assert rate <= alpha + spread
    assert rate >= alpha - 1 / (episodes + 1) - spread


def test_ties_make_fewer_false_alarms_never_more():
    assert false_positive_rate(lambda rng, n: rng.integers(0, 3, n) / 2, 19, 0.2) <= 0.2
    assert false_positive_rate(lambda rng, n: np.ones(n), 19, 0.2) == 0


def test_only_failed_episodes_calibrate_each_by_its_highest_reading():
    readings = [np.array([0.1, 0.7, 0.2]), np.array([0.9, 0.95]), np.array([0.3, 0.1]), np.array([0.2, np.nan])]
    assert fit_conformal(readings, [False, True, False, False]).maxima == (0.3, 0.7)


@pytest.mark.parametrize("succeeded", [[True], []])
def test_without_failures_nothing_can_be_promised(succeeded):
    with pytest.raises(InvalidValue, match="no failed calibration episode"):
        fit_conformal([np.array([0.5])] * len(succeeded), succeeded)


@pytest.mark.parametrize("maxima", [(0.5, 0.1), (0.1, math.inf), (math.nan,)])
def test_maxima_that_are_unsorted_or_not_numbers_are_refused(maxima):
    with pytest.raises(InvalidValue, match="finite and sorted"):
        ConformalSuccess(maxima)


def test_the_assumption_names_policy_and_scene():
    assert "same policy" in CONFORMAL_ASSUMPTION
    assert "same scene" in CONFORMAL_ASSUMPTION


@pytest.mark.parametrize(
    "stored",
    [
        fit_monotone(np.random.default_rng(0).normal(size=50), np.random.default_rng(1).random(50)),
        Temperature(1 / 3),
        ConformalSuccess((0.1, 1 / 3, 0.9)),
    ],
)
def test_a_checkpoint_gives_back_what_it_was_given(stored):
    text = json.dumps(stored.to_json(), allow_nan=False)
    assert type(stored).from_json(json.loads(text)) == stored


@pytest.mark.parametrize("kind", [MonotoneMap, Temperature, ConformalSuccess])
@pytest.mark.parametrize(
    "stored",
    [{}, {"x": [1, 0], "y": [0, 1], "value": 0, "maxima": [1, 0]}, {"x": 3, "y": "a", "value": "a", "maxima": 2}],
)
def test_a_damaged_checkpoint_is_said_to_be_damaged(kind, stored):
    with pytest.raises(CheckpointError, match="damaged"):
        kind.from_json(stored)
