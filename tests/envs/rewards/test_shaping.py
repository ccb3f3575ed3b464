"""The algebra, through the wrapper itself."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway_envs.rewards import DifferenceReward, ShapeReward, true_progress
from headway_envs.rewards.shaping import Shaping, known_potential

GAMMA = 0.95
PUSH, GIVE_UP = 0, 1


class PushOrGiveUp(gymnasium.Env):
    """One step at Phi = 0.8: push, which pays 1 and ends at Phi = 1, or drops everything to 0; or stop where one is."""

    observation_space = spaces.Discrete(1)
    action_space = spaces.Discrete(2)
    succeeds = True

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.succeeds = (options or {}).get("succeeds", True)
        return 0, {"progress": 0.8}

    def step(self, action):
        if action == GIVE_UP:
            return 0, 0.0, True, False, {"progress": 0.8}
        return 0, float(self.succeeds), True, False, {"progress": float(self.succeeds)}


def worth(env, action):
    """The expected reward of an action, when a push succeeds with 0.3."""
    rewards = []
    for succeeds in (True, False):
        env.reset(options={"succeeds": succeeds})
        rewards.append(env.step(action)[1])
    return 0.3 * rewards[0] + 0.7 * rewards[1]


def test_shaping_prefers_the_push_that_alone_can_earn_anything():
    env = ShapeReward(PushOrGiveUp(), true_progress, gamma=GAMMA)
    assert worth(env, PUSH) == pytest.approx(-0.500, abs=1e-12)
    assert worth(env, GIVE_UP) == pytest.approx(-0.800, abs=1e-12)
    assert worth(env, PUSH) - worth(env, GIVE_UP) == pytest.approx(worth(env.env, PUSH) - worth(env.env, GIVE_UP))


def test_the_naive_difference_prefers_to_give_up():
    env = DifferenceReward(PushOrGiveUp(), true_progress)
    assert worth(env, PUSH) == pytest.approx(-0.200, abs=1e-12)
    assert worth(env, GIVE_UP) == pytest.approx(0.0, abs=1e-12)


def optimal_values(env):
    """Q* (state, action) by value iteration over what `env` itself pays; only a termination has no value after it."""
    reward, after, goes_on = (np.zeros((11, 3)) for _ in range(3))
    for state in range(10):
        for action in range(3):
            env.reset(options={"state": state})
            seen, reward[state, action], terminated, _, _ = env.step(action)
            after[state, action], goes_on[state, action] = seen, not terminated
    q = np.zeros((11, 3))
    for _ in range(1000):
        q = reward + GAMMA * goes_on * q.max(axis=1)[after.astype(int)]
    return q[:10]


PHI = np.random.default_rng(0).uniform(0, 1, 11)


def phi(observation, info):
    return PHI[observation]


def test_the_best_values_of_the_shaped_problem_are_the_old_ones_less_the_potential(make_chain):
    plain = optimal_values(make_chain())
    shaped = optimal_values(ShapeReward(make_chain(), phi, GAMMA))
    assert np.abs(plain - (shaped + PHI[:10, None])).max() < 1e-12
    assert PHI[10] > 0.5  # the goal's own potential would show


def test_so_they_are_where_every_step_is_truncated_and_the_learner_bootstraps(make_chain):
    plain = optimal_values(make_chain())
    shaped = optimal_values(ShapeReward(TimeLimit(make_chain(), 1), phi, GAMMA))
    assert np.abs(plain - (shaped + PHI[:10, None])).max() < 1e-12


def test_the_naive_difference_changes_the_best_values(make_chain):
    plain = optimal_values(make_chain())
    shaped = optimal_values(DifferenceReward(make_chain(), phi))
    assert np.abs(plain - (shaped + PHI[:10, None])).max() > 0.3


potentials = st.floats(-5, 5) | st.just(np.nan) | st.just(np.inf)


@given(st.lists(potentials, min_size=2, max_size=30), st.booleans(), st.floats(0, 1), st.floats(-3, 3))
def test_over_an_episode_the_shaping_adds_up_to_its_two_ends(make_replay, values, terminates, gamma, scale):
    env = ShapeReward(make_replay(values, terminates), true_progress, gamma, scale)
    env.reset()
    total, held = 0.0, []
    for t in range(len(values) - 1):
        _, reward, terminated, truncated, info = env.step(0)
        assert reward == info["reward/original"] + info["reward/shaping"]
        assert info["reward/original"] == t + 1
        total += gamma**t * info["reward/shaping"]
        held.append(info["reward/held"])
    assert (terminated, truncated) == (terminates, not terminates)
    known = [value for value in values if np.isfinite(value)]
    first = values[0] if np.isfinite(values[0]) else 0.0
    last = 0.0 if terminates or not known else known[-1]
    assert total == pytest.approx(scale * (gamma ** (len(values) - 1) * last - first), abs=1e-9)
    unknown = [not np.isfinite(value) for value in values[1:]]
    assert held == [*unknown[:-1], unknown[-1] and not terminates]


def test_the_same_algebra_serves_a_batch():
    estimate = np.array([0.5, np.nan, 0.5, np.nan])
    potential, held = known_potential(estimate, np.full(4, 0.2), np.array([False, False, True, True]))
    assert potential.tolist() == [0.5, 0.2, 0.0, 0.0]
    assert held.tolist() == [False, True, False, False]
    assert Shaping(0.5, 2.0)(np.full(4, 0.1), potential) == pytest.approx([0.3, 0.0, -0.2, -0.2])


@pytest.mark.parametrize(("gamma", "scale"), [(1.01, 1), (-0.1, 1), (np.nan, 1), (0.9, np.inf), (0.9, np.nan)])
def test_a_discount_or_scale_that_makes_no_sense_is_refused(make_chain, gamma, scale):
    with pytest.raises(InvalidValue, match=r"gamma must lie in|scale must be a finite"):
        ShapeReward(make_chain(), true_progress, gamma, scale)
