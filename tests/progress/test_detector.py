import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headway.episodes import ProgressCurve
from headway.errors import InvalidValue
from headway.estimator import Reading
from headway.signals.calibration import CONFORMAL_ASSUMPTION, fit_conformal
from headway.signals.detector import (
    NEVER,
    DetectorConfig,
    Event,
    Readings,
    SuccessDetector,
    calibrate_detector,
    detect,
    highest_firing,
)

LEVELS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0, math.nan)


def readings_of(success, looked_at=None, time=None, state=None):
    count = len(success)
    return Readings(
        np.arange(count) / 10 if time is None else np.array(time, float),
        np.array(success, float),
        np.ones(count, bool) if looked_at is None else np.array(looked_at, bool),
        state,
    )


def is_open(state):
    return state[0] > 0.5


@st.composite
def episodes(draw):
    count = draw(st.integers(1, 30))
    many = {"min_size": count, "max_size": count}
    success = draw(st.lists(st.sampled_from(LEVELS), **many))
    looked_at = draw(st.lists(st.sampled_from((True, True, True, False)), **many))
    # a period of 0 is a reading that was repeated
    periods = draw(st.lists(st.sampled_from((0.1, 0.1, 0.25, 0.0)), **many))
    state = np.array(draw(st.lists(st.sampled_from((1.0, 1.0, 0.0)), **many)))[:, None]
    return readings_of(success, looked_at, np.cumsum(periods), state)


configs = st.builds(
    DetectorConfig,
    on=st.sampled_from((0.2, 0.5, 0.7, 0.8, 1.0)),
    gap=st.sampled_from((0.0, 0.1, 0.3, 0.9)),
    frames=st.integers(1, 4),
    dwell=st.sampled_from((0.0, 0.1, 0.3, 1.0)),
    condition=st.sampled_from((None, is_open)),
    latch=st.booleans(),
)


def events_by_definition(config, readings):
    """What DetectorConfig says, from the whole rows of frames and without counters."""
    time = readings.time
    fresh = [i for i in range(len(time)) if readings.looked_at[i] and (i == 0 or time[i] > time[i - 1])]
    found, on, since = [], False, time[0]
    for place, frame in enumerate(fresh):
        row = fresh[max(0, place - config.frames + 1) : place + 1]
        success = readings.success[row]
        allowed = [config.condition is None or is_open(readings.state[i]) for i in row]
        sure = all(allowed) and (success >= config.on).all()
        unsure = (success < config.on - config.gap).all()
        long_enough = len(row) == config.frames and time[frame] - since >= config.dwell - 1e-9
        if long_enough and (unsure and not config.latch if on else sure):
            on, since = not on, time[frame]
            found.append(Event(on, since, frame))
    return found


@given(configs, episodes())
def test_the_events_are_those_of_the_definition(config, readings):
    assert detect(config, readings) == events_by_definition(config, readings)


@given(configs, episodes(), st.lists(st.integers(0, 3), min_size=30, max_size=30))
def test_a_robots_loop_that_repeats_readings_sees_the_same_events_at_the_same_times(config, readings, repeats):
    detector, live, frames = SuccessDetector(config), [], []
    for frame, (time, success, fresh, state) in enumerate(
        zip(readings.time, readings.success, readings.looked_at, readings.state, strict=True)
    ):
        given_success = None if math.isnan(success) else float(success)
        for again in range(1 + repeats[frame]):
            # a repetition has the old time, or a new one and says that it is not fresh
            event = detector.push(Reading(float(time), 0.3, success=given_success), state, bool(fresh))
            assert event is None or again == 0
            if event is not None:
                live.append(replace(event, frame=frame))
            frames.append(frame)
        assert detector.on == bool(live and live[-1].on)
    assert live == detect(config, readings)


@given(configs, episodes(), st.integers(0, 30))
def test_what_comes_later_changes_nothing(config, readings, kept):
    parts = (readings.time[:kept], readings.success[:kept], readings.looked_at[:kept], readings.state[:kept])
    assert detect(config, Readings(*parts)) == [event for event in detect(config, readings) if event.frame < kept]


@given(configs, episodes(), episodes())
def test_after_a_reset_an_episode_is_judged_as_by_a_new_detector(config, before, after):
    detector = SuccessDetector(config)

    def events(readings):
        pushed = [
            detector.push(Reading(float(time), 0.0, success=float(success)), state, bool(fresh))
            for time, success, fresh, state in zip(
                readings.time, readings.success, readings.looked_at, readings.state, strict=True
            )
        ]
        return [event for event in pushed if event is not None]

    events(before)
    detector.reset()
    assert not detector.on
    assert events(after) == detect(config, after)


def test_hysteresis_keeps_a_success_that_wavers_around_the_threshold():
    wavering = readings_of([0.9, 0.75, 0.7, 0.9, 0.7, 0.7, 0.5, 0.49, 0.49])
    found = detect(DetectorConfig(on=0.75, gap=0.25, frames=2), wavering)
    assert [(event.on, event.frame) for event in found] == [(True, 1), (False, 8)]
    without = detect(DetectorConfig(on=0.75, gap=0.0, frames=2), wavering)
    assert [(event.on, event.frame) for event in without] == [(True, 1), (False, 5)]
    assert len(detect(DetectorConfig(on=0.75, gap=0.0, frames=2, latch=True), wavering)) == 1


def test_each_state_is_kept_for_the_dwell_the_first_one_too():
    # 0.7 - 0.4 is a little less than 0.3 in floating point
    time = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
    config = DetectorConfig(on=0.5, gap=0.0, frames=1, dwell=0.3)
    found = detect(config, readings_of([1, 1, 1, 1, 0, 0, 0, 0, 1], time=time))
    assert found == [Event(True, 0.7, 3), Event(False, 1.0, 6)]


def test_the_first_dwell_begins_with_the_first_frame_fresh_or_not():
    readings = readings_of([1, 1, 1, 1, 0, 0], looked_at=[False, True, True, True, True, True])
    config = DetectorConfig(on=0.9, frames=1, dwell=0.3)
    assert [event.frame for event in detect(config, readings)] == [3]
    assert highest_firing(config, readings) == 1


def test_a_success_needs_the_gripper_open_to_begin_and_not_to_stay():
    state = np.array([[0.0], [0], [1], [1], [0], [0]])
    found = detect(DetectorConfig(frames=2, condition=is_open), readings_of(np.ones(6), state=state))
    assert [(event.on, event.frame) for event in found] == [(True, 3)]


def test_a_condition_without_a_state_is_an_error():
    with pytest.raises(InvalidValue, match="condition looks at the robot's state"):
        detect(DetectorConfig(condition=is_open), readings_of([1.0]))
    with pytest.raises(InvalidValue, match="condition looks at the robot's state"):
        highest_firing(DetectorConfig(frames=1, condition=is_open), readings_of([1.0]))


@pytest.mark.parametrize("time", [0.5, math.nan, math.inf])
def test_time_may_stand_still_but_not_run_backwards(time):
    detector = SuccessDetector(DetectorConfig())
    detector.push(Reading(1.0, 0.0, success=1.0))
    assert detector.push(Reading(1.0, 0.0, success=1.0)) is None
    with pytest.raises(InvalidValue, match="time must be finite and may not run backwards"):
        detector.push(Reading(time, 0.0, success=1.0))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"on": 0}, "threshold must lie above 0"),
        ({"on": 1.1}, "up to 1"),
        ({"on": math.nan}, "threshold"),
        ({"gap": -0.1}, "gap"),
        ({"gap": math.inf}, "gap"),
        ({"frames": 0}, "whole number from 1"),
        ({"frames": 2.5}, "whole number from 1"),
        ({"dwell": -1}, "dwell"),
        ({"dwell": math.nan}, "dwell"),
    ],
)
def test_settings_without_a_meaning_are_refused(settings, words):
    with pytest.raises(InvalidValue, match=words):
        DetectorConfig(**settings)


def test_readings_of_unequal_length_or_out_of_range_are_refused():
    time, success, fresh = np.arange(3.0), np.zeros(3), np.ones(3, bool)
    with pytest.raises(InvalidValue, match="of one shape"):
        Readings(time, success[:2], fresh)
    with pytest.raises(InvalidValue, match="3 readings but 2 states"):
        Readings(time, success, fresh, np.zeros((2, 1)))
    with pytest.raises(InvalidValue, match=r"success must lie in \[0, 1\] or be NaN, got -3 to 0"):
        Readings(time, np.array([np.nan, 0, -3]), fresh)


def test_a_scored_episode_is_read_at_its_own_rate_and_only_where_it_was_looked_at():
    success = np.array([0, 0.5, 1, 0.5, 0], np.float32)
    looked_at = np.array([True, False, True, False, True])
    curve = ProgressCurve(np.zeros(5, np.float32), looked_at, "sarm", success=success)
    assert detect(DetectorConfig(frames=1, gap=0.25), Readings.of(curve, fps=4)) == [
        Event(True, 0.5, 2),
        Event(False, 1.0, 4),
    ]
    with pytest.raises(InvalidValue, match="'clock' does not"):
        Readings.of(ProgressCurve(np.zeros(5, np.float32), looked_at, "clock"), fps=4)


# what readings can be, what lies between, and both a hair off
THRESHOLDS = sorted({near for x in (*LEVELS[:-1], 0.1, 0.3, 0.7, 0.9) for near in (x, np.nextafter(x, 2)) if near > 0})


@given(configs, episodes())
def test_a_detector_fires_at_a_threshold_exactly_when_it_is_at_most_the_highest_firing_one(config, readings):
    highest = highest_firing(config, readings)
    for on in THRESHOLDS:
        fires = any(event.on for event in detect(replace(config, on=float(on)), readings))
        assert fires == (on <= highest)


def test_of_nothing_and_of_too_little_nothing_fires():
    config = DetectorConfig(frames=3)
    assert highest_firing(config, readings_of([])) == 0 == highest_firing(config, readings_of([1.0, 1.0]))
    assert detect(config, readings_of([])) == []


def test_with_one_frame_it_is_the_rule_of_the_plain_maximum():
    rng = np.random.default_rng(0)
    curves = [rng.random(20) for _ in range(30)]
    plain = fit_conformal(curves, [False] * 30)
    for alpha in (0.05, 0.1, 0.3):
        found = calibrate_detector(DetectorConfig(frames=1), [readings_of(curve) for curve in curves], alpha)
        assert found.config.on == np.nextafter(plain.threshold(alpha), 2)
        assert (found.episodes, found.allowed) == (30, math.floor(31 * alpha + 1e-9))


def test_all_but_the_threshold_stays_and_rows_of_frames_lower_it():
    rng = np.random.default_rng(0)
    failed = [readings_of(rng.random(20), state=rng.random((20, 1))) for _ in range(30)]
    config = DetectorConfig(gap=0.2, frames=3, dwell=0.5, condition=is_open, latch=True)
    found = calibrate_detector(config, failed, 0.1)
    assert replace(found.config, on=config.on) == config
    assert found.assumes == CONFORMAL_ASSUMPTION
    assert found.config.on < calibrate_detector(replace(config, frames=1), failed, 0.1).config.on


def test_a_least_threshold_raises_what_calibration_finds_and_lowers_nothing():
    failed = [readings_of([0.01 * i]) for i in range(19)]
    config = DetectorConfig(on=0.9, frames=1)
    found = calibrate_detector(config, failed, 0.1, least=0.5)
    assert (found.config.on, found.allowed) == (0.5, 2)
    assert calibrate_detector(config, failed, 0.1, least=0.1).config.on == np.nextafter(0.17, 2)


def test_what_cannot_be_promised_is_refused():
    failed = [readings_of([0.1 * i]) for i in range(9)]
    assert calibrate_detector(DetectorConfig(frames=1), failed, 0.1).allowed == 1
    with pytest.raises(InvalidValue, match=r"0\.09 cannot be promised after 9 failed calibration episodes"):
        calibrate_detector(DetectorConfig(frames=1), failed, 0.09)
    with pytest.raises(InvalidValue, match="no failed calibration episode"):
        calibrate_detector(DetectorConfig(), [], 0.5)


def test_failures_that_read_one_are_met_by_never_firing_and_those_without_readings_by_firing_on_anything():
    sure, blind = readings_of(np.ones(9)), readings_of(np.full(9, np.nan))
    never = calibrate_detector(DetectorConfig(), [sure] * 9, 0.1).config
    assert never.on == NEVER
    assert detect(never, sure) == []
    anything = calibrate_detector(DetectorConfig(), [blind] * 9, 0.1).config
    assert detect(anything, blind) == detect(anything, readings_of(np.zeros(9))) == []
    assert len(detect(anything, readings_of(np.full(9, 1e-6)))) == 1


def failures(rng, count, push=0.0, digits=None):
    """Readings that wander, each episode about a level of its own, of which some are high."""
    found = []
    for _ in range(count):
        steps = rng.normal(0, 0.4, 40)
        logit = rng.normal(push - 1, 1.5) + np.convolve(steps, 0.7 ** np.arange(10))[:40]
        success = 1 / (1 + np.exp(-logit))
        found.append(readings_of(success if digits is None else success.round(digits), rng.random(40) < 0.8))
    return found


def shares_of_false_alarms(rng, calibration, test, config, alpha, splits=300):
    """Share of failed test episodes in which the detector fires; where `test` is None, half of `calibration` is."""
    shares, half = [], len(calibration) // 2
    for _ in range(splits):
        order = rng.permutation(len(calibration))
        shown = [calibration[i] for i in order[:half]]
        held = [calibration[i] for i in order[half:]] if test is None else test
        found = calibrate_detector(config, shown, alpha).config
        shares.append(np.mean([any(event.on for event in detect(found, readings)) for readings in held]))
    return np.array(shares)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_the_promise_is_kept_on_exchangeable_failures_and_not_by_never_firing(alpha):
    rng = np.random.default_rng(0)
    config = DetectorConfig(frames=4, gap=0.2, dwell=0.5)
    shares = shares_of_false_alarms(rng, failures(rng, 60), None, config, alpha)
    # given the pool, splits are independent draws of a beta-binomial
    allowed = math.floor(31 * alpha + 1e-9)
    expected = stats.betabinom(30, allowed, 31 - allowed)
    sigma = expected.std() / 30 / math.sqrt(len(shares))
    assert shares.mean() == pytest.approx(allowed / 31, abs=4 * sigma)
    assert allowed / 31 <= alpha
    assert shares.std() == pytest.approx(expected.std() / 30, rel=0.2)


def test_ties_make_fewer_false_alarms_never_more():
    rng = np.random.default_rng(1)
    shares = shares_of_false_alarms(rng, failures(rng, 60, digits=1), None, DetectorConfig(frames=4), 0.2)
    assert 0.05 < shares.mean() <= 0.2


def test_the_promise_breaks_where_failures_are_of_another_kind():
    rng = np.random.default_rng(2)
    others = failures(rng, 40, push=2.0)
    shares = shares_of_false_alarms(rng, failures(rng, 60), others, DetectorConfig(frames=4), 0.1, splits=40)
    assert shares.mean() > 0.2
