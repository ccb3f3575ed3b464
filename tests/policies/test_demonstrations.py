import numpy as np
import pytest

from headway.errors import DatasetError, InvalidValue
from headway_policies.demonstrations import Demonstrations, gather
from headway_policies.signature import signature_of

TIDY = signature_of("tidy-drawer", "gripper")


class Numbers:
    def __init__(self, frames, environment_dim=7):
        self.state = np.zeros((frames, 4), np.float32)
        self.environment_state = np.zeros((frames, environment_dim), np.float32)
        self.action = np.full((frames, 4), frames, np.float32)


def test_episodes_lie_one_after_another_in_the_order_given():
    gathered = gather([Numbers(2), Numbers(3)], TIDY)
    assert gathered.episode.tolist() == [0, 0, 1, 1, 1]
    assert gathered.action[:, 0].tolist() == [2, 2, 3, 3, 3]


def test_an_episode_without_environment_state_is_refused_by_its_number():
    real = Numbers(2)
    real.environment_state = None
    with pytest.raises(DatasetError, match="number 1 has no environment_state"):
        gather([Numbers(2), real], TIDY)


def test_no_episode_at_all_is_refused():
    with pytest.raises(DatasetError, match="no episode"):
        gather([], TIDY)


def test_episodes_of_two_tasks_are_refused():
    with pytest.raises(DatasetError, match=r"differ.*7, 9"):
        gather([Numbers(2), Numbers(2, environment_dim=9)], TIDY)


def test_numbers_that_are_not_finite_are_refused():
    broken = Numbers(2)
    broken.action[1, 2] = np.nan
    with pytest.raises(DatasetError, match="action holds values that are not finite"):
        gather([broken], TIDY)


def test_frames_out_of_order_are_refused():
    numbers = Numbers(3)
    with pytest.raises(InvalidValue, match="in order"):
        Demonstrations(numbers.state, numbers.environment_state, numbers.action, np.array([0, 1, 0]), TIDY)


def test_recordings_of_another_robot_than_the_one_named_are_refused():
    with pytest.raises(
        InvalidValue, match=r"state of 2 frames.*\(2, 20\), got \(2, 4\).*name the task, robot"
    ) as raised:
        gather([Numbers(2)], signature_of("tidy-drawer", "arm"))
    assert "\n" not in str(raised.value)
