import sys
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from headway.errors import InvalidValue, UnknownName, Unsupported
from headway_envs.rewards import true_progress
from headway_policies.online_rl import REWARDS, OnlineTask, make_env, make_vector, succeeds

pytest.importorskip("stable_baselines3", reason="needs the extra rl")


def over_the_cube(layout):
    x, y, z = layout.objects[0]
    return replace(layout, hand=(x, y, z + 0.02), opening=0.07)


LIFT = OnlineTask("lift", "gripper", seconds=4, repeat=5, start=over_the_cube)


def grasp_and_lift(seen):
    """What is best in LIFT: down to the cube, close, go up."""
    cube = seen[-7:-4] / 0.4
    closed = seen[3] < 0.54
    closing = np.abs(cube).max() < 0.25
    return np.array([*np.clip(cube[:2], -1, 1), 1.0 if closed else np.clip(cube[2], -1, 1), -1.0 if closing else 1.0])


class Branch(gymnasium.Env):
    """One step from progress 0.8 to where it is told to lead, and the end."""

    observation_space, action_space = spaces.Discrete(1), spaces.Discrete(1)

    def __init__(self, after):
        self.after = after

    def reset(self, *, seed=None, options=None):
        return 0, {"progress": 0.8}

    def step(self, action):
        return 0, 0.0, True, False, {"progress": self.after}


def worth(reward, after):
    """Of the step that ends at that progress, for no outcome."""
    env = REWARDS[reward](Branch(after), true_progress, 0.95, 1.0)
    env.reset()
    return env.step(0)[1]


def test_only_the_naive_difference_makes_giving_up_better_than_a_push_that_may_fail():
    """From 0.8: a push succeeds with 0.3 and earns 1, else everything is dropped; giving up changes nothing."""

    def push_and_give_up(reward):
        return 0.3 * (1 + worth(reward, 1.0)) + 0.7 * worth(reward, 0.0), worth(reward, 0.8)

    assert push_and_give_up("sparse") == pytest.approx((0.3, 0))
    assert push_and_give_up("difference") == pytest.approx((-0.2, 0))
    assert push_and_give_up("shaped") == pytest.approx((-0.5, -0.8))


def rewards_of(reward, actions, task=LIFT, **settings):
    env = make_env(task, reward, **settings)
    _, info = env.reset(seed=3)
    progress, earned, ends = [info["progress"]], [], []
    observation = env.reset(seed=3)[0]
    for _ in range(actions):
        observation, now, terminated, truncated, info = env.step(grasp_and_lift(observation))
        earned.append(now)
        progress.append(info["progress"])
        ends.append((terminated, truncated))
        if terminated or truncated:
            break
    env.close()
    return np.array(earned), np.array(progress), ends


def test_rewards_are_what_their_names_say():
    sparse, progress, ends = rewards_of("sparse", 20, scale=10)
    assert ends[-1] == (True, False)
    assert sparse.tolist() == [0] * (len(sparse) - 1) + [10]
    assert (np.diff(progress) > 0.05).any()
    after = np.append(progress[1:-1], 0)
    shaped, _, _ = rewards_of("shaped", 20, gamma=0.9, scale=10)
    assert np.allclose(shaped, sparse + 10 * (0.9 * after - progress[:-1]))
    difference, _, _ = rewards_of("difference", 20, gamma=0.9, scale=10)
    assert np.allclose(difference, sparse + 10 * np.diff(progress))
    dense, _, _ = rewards_of("dense", 20, scale=10)
    assert np.allclose(dense, 10 * progress[1:])


def test_out_of_time_is_over_without_an_outcome_and_shaping_takes_back_what_it_gave():
    short = replace(LIFT, seconds=0.5)
    assert rewards_of("sparse", 20, task=short)[0].tolist() == [0, 0]
    shaped, progress, ends = rewards_of("shaped", 20, task=short, gamma=0.9)
    assert ends == [(False, False), (True, False)]
    assert progress[2] > 0.2
    assert np.allclose(shaped, [0.9 * progress[1] - progress[0], -progress[1]])


@pytest.mark.parametrize("reward", ["sparse", "shaped"])
def test_the_time_left_is_seen(reward):
    env = make_env(replace(LIFT, seconds=1.1), reward)
    for _ in range(2):
        seen = [env.reset(seed=0)[0]]
        terminated = False
        while not terminated:
            observation, _, terminated, _, _ = env.step(np.array([0, 0, 1.0, 1.0]))
            seen.append(observation)
        assert np.allclose([values[-1] for values in seen], [1, 0.8, 0.6, 0.4, 0.2, 0])
    env.close()


def test_nothing_is_bootstrapped_from_behind_the_end():
    env = make_vector(replace(LIFT, seconds=0.5), "shaped")
    env.reset()
    infos = [env.step(np.zeros((1, 4)))[3][0] for _ in range(2)]
    assert "terminal_observation" in infos[-1]
    assert not infos[-1]["TimeLimit.truncated"]


def test_progress_counts_from_the_drawn_layout_so_a_nearer_start_has_made_some():
    _, near, _ = rewards_of("sparse", 1)
    _, far, _ = rewards_of("sparse", 1, task=replace(LIFT, start=None))
    assert near[0] > 0.2
    assert far[0] == 0


def test_actions_are_small_steps_from_where_the_hand_is_and_the_grip_is_absolute():
    env = make_env(replace(LIFT, repeat=1, start=None), "sparse")
    assert env.action_space.shape == (4,)
    assert (env.action_space.low, env.action_space.high) == (pytest.approx(-1), pytest.approx(1))
    inside = env.unwrapped
    env.reset(seed=0)
    before = np.array(inside.situation.hand)
    for _ in range(10):
        env.step(np.array([1.0, 0, 0, 1]))
    moved = np.array(inside.situation.hand) - before
    assert moved[0] > 0.05
    assert np.abs(moved[1:]).max() < 0.01
    assert inside.situation.opening > 0.08
    env.close()


def test_an_observation_tells_in_decimetres_where_things_are_as_seen_from_the_hand():
    env = make_env(LIFT, "sparse")
    seen, _ = env.reset(seed=5)
    assert env.observation_space.contains(seen)
    situation = env.unwrapped.situation
    from_hand = np.array(situation.objects) - situation.hand
    assert np.allclose(seen[-7:-1], from_hand.reshape(-1) * 10, atol=1e-4)
    assert np.allclose(seen[:4], [10 * value for value in (*situation.hand, situation.opening)], atol=1e-3)
    env.close()


def test_the_arm_learns_with_scaled_actions_too():
    pytest.importorskip("mink")
    env = make_env(OnlineTask("lift", "arm", "ee-delta"), "shaped")
    assert env.action_space.high.tolist() == [1] * 7
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen)
    assert np.isfinite(env.step(env.action_space.sample())[1])
    env.close()


def test_success_is_counted_on_the_layouts_asked_for():
    assert succeeds(grasp_and_lift, LIFT, range(6)).all()
    assert not succeeds(lambda seen: np.array([0, 0, 1.0, 1.0]), LIFT, range(3)).any()


def test_a_learner_gets_as_many_environments_as_it_wants_with_layouts_from_the_seed_alone():
    firsts = {
        (reward, seed): make_vector(LIFT, reward, envs=2, seed=seed).reset()
        for reward, seed in (("sparse", 1), ("shaped", 1), ("shaped", 2))
    }
    same, too, other = firsts.values()
    assert same.shape[0] == 2
    assert np.array_equal(same, too)
    assert not np.array_equal(same, other)
    assert not np.array_equal(same[0], same[1])


def test_sac_of_stable_baselines3_runs_on_them():
    from stable_baselines3 import SAC

    env = make_vector(LIFT, "shaped", gamma=0.95, seed=0)
    agent = SAC("MlpPolicy", env, learning_starts=20, batch_size=16, seed=0, device="cpu").learn(40)
    assert agent.num_timesteps == 40
    assert agent.predict(env.reset(), deterministic=True)[0].shape == (1, 4)


def test_without_stable_baselines3_one_line_tells_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("stable_baselines3")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Unsupported, match=r"install it with pip install 'headway\[rl\]'") as raised:
        make_vector(LIFT, "sparse")
    assert "\n" not in str(raised.value)


def test_wrong_names_and_numbers_are_refused():
    with pytest.raises(UnknownName, match="available: dense, difference, shaped, sparse"):
        make_env(LIFT, "thick")
    with pytest.raises(InvalidValue, match="at least one environment, got 0"):
        make_vector(LIFT, "sparse", envs=0)
    with pytest.raises(InvalidValue, match="at least once, got repeat=0"):
        make_env(replace(LIFT, repeat=0), "sparse")
