import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import headway_envs
from headway.errors import InvalidValue, UnknownName
from headway_envs.tasks import TASKS

IDS = {"headway/TidyDrawer-v0": "tidy-drawer", "headway/StackThree-v0": "stack-three"}


def expert_action(env):
    (x, y, z), grip = env.unwrapped.task.act(env.unwrapped.situation)
    return np.array([x, y, z, grip], dtype=np.float32)


@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_own_checker_finds_nothing_to_mend(name, can_draw):
    env = gymnasium.make(name, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # actions are targets in metres on purpose, as the recordings have them
        warnings.filterwarnings("ignore", message=".*symmetric and normalized.*")
        check_env(env.unwrapped)


@pytest.mark.parametrize("name", IDS)
def test_a_seed_gives_the_layout_of_the_recordings(name, record_states):
    env = gymnasium.make(name)
    observation, info = env.reset(seed=6)
    trajectory = record_states(IDS[name], 6)
    assert np.array_equal(observation["state"], trajectory.state[0])
    assert np.array_equal(observation["environment_state"], trajectory.environment_state[0])
    assert info == {"progress": 0.0, "stage": 0, "success": False}


def test_resetting_without_a_seed_draws_another_layout_each_time():
    env = gymnasium.make("headway/TidyDrawer-v0")
    env.reset(seed=1)
    drawn = [env.reset()[0]["environment_state"].tobytes() for _ in range(3)]
    assert len(set(drawn)) == 3


@pytest.mark.parametrize("name", IDS)
def test_the_expert_ends_the_episode_half_a_second_after_it_is_done(name):
    env = gymnasium.make(name)
    env.reset(seed=0)
    rewards, stages = [], []
    for _ in range(headway_envs.MAX_EPISODE_STEPS):
        _, reward, terminated, truncated, info = env.step(expert_action(env))
        rewards.append(reward)
        stages.append(info["stage"])
        if terminated:
            break
    assert terminated
    assert not truncated
    assert rewards[-10:] == [1.0] * 10
    assert rewards[-11] == 0.0
    assert sorted(set(stages)) == [0, 1, 2, 3]
    assert info["progress"] == 1.0


def test_an_episode_that_goes_nowhere_is_truncated():
    env = gymnasium.make("headway/StackThree-v0")
    observation, _ = env.reset(seed=0)
    still = np.append(observation["state"][:3], 1.0).astype(np.float32)
    ends = []
    for _ in range(headway_envs.MAX_EPISODE_STEPS):
        _, _, terminated, truncated, info = env.step(still)
        ends.append((terminated, truncated))
    assert ends == [(False, False)] * 399 + [(False, True)]
    assert info["progress"] < 0.02


def test_a_far_target_moves_the_hand_no_faster_than_a_near_one():
    env = gymnasium.make("headway/TidyDrawer-v0")
    start = env.reset(seed=0)[0]["state"][:3]
    after = env.step(np.array([0.34, 0.26, 0.26, 1.0], dtype=np.float32))[0]["state"][:3]
    assert np.abs(after - start).max() < 0.04


def test_frames_come_only_when_asked_for(can_draw):
    assert gymnasium.make("headway/TidyDrawer-v0").unwrapped.render() is None
    env = gymnasium.make("headway/TidyDrawer-v0", render_mode="rgb_array", size=64, camera="wrist")
    env.reset(seed=0)
    assert env.render().shape == (64, 64, 3)
    env.close()


def test_wrong_settings_are_refused():
    with pytest.raises(UnknownName, match="available: front, wrist"):
        gymnasium.make("headway/TidyDrawer-v0", camera="top")
    with pytest.raises(InvalidValue, match="render_mode must be 'rgb_array' or None, got 'human'"):
        headway_envs.gym_env.HeadwayEnv("tidy-drawer", render_mode="human")


def test_every_task_has_an_environment():
    assert sorted(IDS.values()) == sorted(TASKS)
    assert set(IDS) <= set(gymnasium.registry)
