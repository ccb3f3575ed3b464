import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway_policies.demonstrations import Demonstrations
from headway_policies.offline_rl.rewards import outcome, shaping
from headway_policies.offline_rl.transitions import transitions_of, weight_of_frames
from headway_policies.signature import Signature

HAND = ("hand.x", "hand.y", "hand.z")
EPISODE = np.array([4, 4, 4, 7, 7])
ENDS = np.array([True, False])
"""The first episode has three frames and terminates, the second has two and is truncated."""


@pytest.fixture
def demonstrations():
    hand = np.float32([[0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 0, 0], [6, 0, 0]])
    action = hand + np.float32([[1, 0, 0], [1, 0, 0], [0.5, 0, 0], [1, 0, 0], [9, 0, 0]])
    return Demonstrations(hand, np.zeros((5, 1), np.float32), action, EPISODE, Signature(HAND, ("lid",), HAND))


REWARD = np.array([1.0, 2.0, 4.0, 8.0, np.nan])


def test_a_termination_has_no_value_behind_it_and_a_truncation_has(demonstrations):
    made = transitions_of(demonstrations, REWARD, ENDS, 0.5)
    assert made.frame.tolist() == [0, 1, 2, 3]
    assert made.reward.tolist() == [1, 2, 4, 8]
    assert made.discount.tolist() == [0.5, 0.5, 0, 0.5]
    assert made.following.tolist() == [1, 2, -1, -1]
    assert made.next_observation[[0, 1, 3], 0].tolist() == [1, 2, 6]


def test_over_several_frames_rewards_add_up_discounted_and_stop_at_the_end(demonstrations):
    made = transitions_of(demonstrations, REWARD, ENDS, 0.5, span=2)
    assert made.reward.tolist() == [1 + 1, 2 + 2, 4, 8]
    assert made.discount.tolist() == [0.25, 0, 0, 0.5]
    assert made.following.tolist() == [2, -1, -1, -1]
    assert made.next_observation[[0, 3], 0].tolist() == [2, 6]
    # targets relative to where the hand is, first and second action
    assert made.action[:, [0, 3]].tolist() == [[1, 2], [1, 1.5], [0.5, 0.5], [1, 10]]


def test_frames_without_a_transition_get_no_weight(demonstrations):
    weight = weight_of_frames(transitions_of(demonstrations, REWARD, ENDS, 0.5), np.array([1.0, 2.0, 3.0, 4.0]))
    assert np.array_equal(weight, [1, 2, 3, 4, np.nan], equal_nan=True)


def test_the_outcome_is_earned_by_the_last_action_of_a_success():
    success = outcome(EPISODE, ENDS, np.array([True, False]))
    assert np.array_equal(success, [0, 0, 1, 0, np.nan], equal_nan=True)
    failure = outcome(EPISODE, ENDS, np.array([False, False]))
    assert np.array_equal(failure, [0, 0, 0, 0, np.nan], equal_nan=True)


def test_shaping_is_zero_behind_a_termination_and_unknown_behind_a_truncation():
    added = shaping(np.array([0.2, 0.6, 1.0, 0.1, 0.3]), EPISODE, ENDS, 0.5, scale=10)
    assert np.allclose(added, [3 - 2, 5 - 6, -10, 1.5 - 1, np.nan], equal_nan=True)


def test_unknown_progress_is_held_and_nothing_comes_from_the_episode_before():
    added = shaping(np.array([0.2, np.nan, 1.0, np.nan, 0.5]), EPISODE, ENDS, 1.0)
    assert np.allclose(added, [0, 0.8, -1, 0.5, np.nan], equal_nan=True)


@given(
    st.lists(st.lists(st.floats(0, 1) | st.just(np.nan), min_size=1, max_size=8), min_size=1, max_size=5),
    st.floats(0.5, 1),
)
def test_over_an_episode_that_terminates_shaping_adds_up_to_what_no_action_can_change(progress, gamma):
    episode = np.repeat(np.arange(len(progress)), [len(each) for each in progress])
    added = shaping(np.concatenate(progress), episode, np.ones(len(progress), bool), gamma)
    for number, each in enumerate(progress):
        total = sum(gamma**step * value for step, value in enumerate(added[episode == number]))
        assert total == pytest.approx(-np.nan_to_num(each[0]), abs=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reward": REWARD[:4]}, "5 frames in 2 episodes need as many rewards and ends"),
        ({"terminated": np.array([True])}, "5 frames in 2 episodes"),
        ({"terminated": np.array([True, True])}, "1 have no known reward"),
        ({"gamma": 1.5}, "gamma"),
        ({"span": 0}, "span from 1"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(demonstrations, change, words):
    given = {"reward": REWARD, "terminated": ENDS, "gamma": 0.5, "span": 1} | change
    with pytest.raises(InvalidValue, match=words) as raised:
        transitions_of(demonstrations, **given)
    assert "\n" not in str(raised.value)


def test_a_success_without_an_end_is_refused_because_its_outcome_would_be_lost():
    with pytest.raises(InvalidValue, match="1 episodes succeeded but did not terminate"):
        outcome(EPISODE, ENDS, np.array([True, True]))
