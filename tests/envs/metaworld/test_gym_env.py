import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import headway_envs  # noqa: F401 (registers the environments)
from headway.errors import InvalidValue
from headway_envs.metaworld.gym_env import MetaWorldEnv

ID = "headway/MetaworldDrawerOpen-v0"


@pytest.fixture
def env(recorder_of):
    recorder_of("reach")
    made = gymnasium.make(ID, render_mode="rgb_array", size=32)
    yield made
    made.close()


def test_gymnasiums_own_checker_finds_nothing_to_mend(env, can_draw):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def test_a_seed_gives_the_layout_of_the_recordings(env, record):
    observation, info = env.reset(seed=6)
    trajectory = record("drawer-open", 6)
    assert np.array_equal(observation["state"], trajectory.state[0])
    assert np.array_equal(observation["environment_state"], trajectory.environment_state[0])
    assert (info["progress"], info["stage"], info["success"]) == (trajectory.truth.progress[0], 0, False)


def test_resetting_without_a_seed_draws_another_layout_each_time(env):
    env.reset(seed=1)
    drawn = [env.reset()[0]["environment_state"].tobytes() for _ in range(3)]
    assert len(set(drawn)) == 3


def test_the_expert_is_rewarded_once_done_and_ends_the_episode(env):
    env.reset(seed=0)
    rewards, dense = [], []
    for _ in range(200):
        _, reward, terminated, truncated, info = env.step(env.unwrapped.expert_action())
        rewards.append(reward)
        dense.append(info["dense_reward"])
        if terminated:
            break
    assert terminated
    assert not truncated
    assert rewards[-4:] == [0.0, 1.0, 1.0, 1.0]
    assert sum(rewards) == 3
    assert info["progress"] == 1.0
    assert 9 < dense[-1] <= 10, "Meta-World's own reward rises to 10"
    assert dense[0] < 5


def test_an_episode_that_goes_nowhere_is_truncated_after_500_steps(env):
    env.reset(seed=0)
    ends = [env.step(np.array([0, 0, 0, -1], np.float32))[2:4] for _ in range(500)]
    assert ends == [(False, False)] * 499 + [(False, True)]


def test_wrong_settings_are_refused(recorder_of):
    recorder_of("reach")
    with pytest.raises(InvalidValue, match="render_mode must be 'rgb_array' or None, got 'human'"):
        MetaWorldEnv("metaworld/reach", render_mode="human")
