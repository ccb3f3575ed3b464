from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.signals.weights.scored import ScoredFrames
from headway_policies.failure_credit import HIGHEST, calibrate, credited, deeds, failure_credit
from headway_policies.signature import Signature

HAND = ("hand.x", "hand.y", "hand.z")
SIGNATURE = Signature((*HAND, "opening"), ("cube.x", "cube.y", "cube.z"), (*HAND, "grip"))


@dataclass
class Numbers:
    state: Array
    environment_state: Array
    action: Array | None = None


def attempt(layout, reach=1.0, frames=40, lift=True):
    """The hand goes `reach` of the way to the cube in 20 frames, closes if it is there, and lifts it in 20 more."""
    rng = np.random.default_rng(layout)
    cube, start = np.append(rng.uniform(-0.2, 0.2, 2), 0.025), np.append(rng.uniform(-0.2, 0.2, 2), 0.2)
    way = np.minimum(np.arange(frames) / 20, 1)[:, None] * reach
    rise = np.clip((np.arange(frames) - 20) / 20, 0, 1)[:, None] * np.array([0, 0, 0.15])
    grasped = reach == 1.0 and lift
    hand = start + way * (cube - start) + rise * grasped
    opening = np.where((np.arange(frames) >= 20) & grasped, 0.05, 0.08)[:, None]
    state = np.concatenate([hand, opening], axis=1).astype(np.float32)
    return Numbers(state, (cube + rise * grasped).astype(np.float32))


@pytest.fixture(scope="module")
def calibration():
    return calibrate([deeds(attempt(layout), SIGNATURE) for layout in range(12)])


def path(*args, **options):
    return deeds(attempt(*args, **options), SIGNATURE)


def test_who_gets_nearer_to_success_gets_more(calibration):
    still, halfway, nearly = (calibration.reward(path(50, reach=reach, lift=False)) for reach in (0.0, 0.5, 1.0))
    assert 0 < still < halfway < nearly < HIGHEST
    assert calibration.reward(path(50)) > 0.5, "one who does all of it is as near as successes are to each other"


def test_a_reward_does_not_depend_on_the_other_failures(calibration):
    bad, worse = attempt(50, reach=0.5, lift=False), attempt(51, reach=0.0, lift=False)
    alone, _ = failure_credit([bad], [False], calibration, SIGNATURE)
    together, _ = failure_credit([worse, bad, worse], [False] * 3, calibration, SIGNATURE)
    assert together[1] == alone[0]


def test_the_layout_makes_no_difference():
    moved = attempt(3)
    moved.state[:, :3] += np.float32([0.1, -0.05, 0])
    moved.environment_state += np.float32([0.1, -0.05, 0])
    assert np.allclose(deeds(moved, SIGNATURE), path(3), atol=1e-6)


def test_the_good_part_of_a_failure_ends_where_it_got_furthest(calibration):
    there_and_back = path(50, reach=1.0, lift=False)[:21]
    lost = np.concatenate([there_and_back, there_and_back[::-1]])
    assert 15 <= calibration.good_prefix(lost) <= 21
    assert calibration.good_prefix(path(50)) >= 35
    assert calibration.good_prefix(path(50) + 100) == 0


def test_successes_count_in_full_and_failures_by_their_good_part(calibration):
    failed = attempt(60, reach=0.7, lift=False)
    rewards, weights = failure_credit([attempt(61), failed], [True, False], calibration, SIGNATURE)
    assert rewards[0] == 1
    assert (weights[0] == 1).all()
    assert 0 < rewards[1] < HIGHEST
    kept = int((weights[1] > 0).sum())
    assert 1 <= kept < 40
    assert (weights[1][:kept] == rewards[1]).all()
    assert (weights[1][kept:] == 0).all()


def test_in_a_loop_the_scorer_says_what_succeeded(calibration):
    rollouts = [attempt(61), attempt(60, reach=0.7, lift=False), attempt(62)]
    frames = ScoredFrames(np.zeros(120), np.repeat([0, 1, 2], 40), 20.0, np.array([1.0, 0.0, np.nan]))
    weights = credited(calibration, SIGNATURE)(frames, rollouts).reshape(3, 40)
    _, expected = failure_credit(rollouts[:2], [True, False], calibration, SIGNATURE)
    assert np.array_equal(weights[:2], expected)
    assert np.isnan(weights[2]).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.floats(-1e6, 1e6), st.integers(0, 1000))
def test_any_failure_is_worth_less_than_a_success(frames, size, seed):
    calibration = calibrate([deeds(attempt(layout), SIGNATURE) for layout in range(3)])
    reward = calibration.reward(size * np.random.default_rng(seed).normal(size=(frames, 7)))
    assert 0 <= reward < HIGHEST


def test_one_success_or_idle_ones_are_nothing_to_measure_by():
    with pytest.raises(InvalidValue, match="at least two successes, got 1"):
        calibrate([path(0)])
    with pytest.raises(InvalidValue, match="nothing to measure by"):
        calibrate([path(layout, reach=0.0, lift=False) for layout in range(3)])
