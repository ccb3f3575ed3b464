import numpy as np
import pytest
import torch

from headway.errors import InvalidValue
from headway_policies.offline_rl.iql import IqlConfig, expectile_loss, fit_iql, iql_weights
from headway_policies.offline_rl.rewards import shaping
from headway_policies.offline_rl.transitions import transitions_of

GAMMA = 0.9
CONFIG = IqlConfig(expectile=0.95, width=32, steps=600, batch=128, learning_rate=1e-2, target_rate=0.05)


@pytest.fixture(scope="module")
def transitions(corridor):
    return transitions_of(corridor.demonstrations, corridor.reward, corridor.terminated, GAMMA)


@pytest.fixture(scope="module")
def critic(transitions):
    return fit_iql(transitions, CONFIG)


@pytest.fixture(scope="module")
def potential(corridor):
    """Anything but progress: high in the middle, lowest where it is best to be."""
    return np.array([0.1, 0.9, 0.3, 0.8, 0.2, 0.6, 0.0])[corridor.place]


@pytest.fixture(scope="module")
def shaped(corridor, potential):
    added = shaping(potential, corridor.demonstrations.episode, corridor.terminated, GAMMA)
    return transitions_of(corridor.demonstrations, corridor.reward + added, corridor.terminated, GAMMA)


def q_of(critic, pairs):
    return critic.q(pairs.observation, pairs.action).numpy().reshape(-1, 2)


def v_of(critic, pairs):
    return critic.value(pairs.observation).numpy()[::2]


def test_values_are_those_that_the_expectile_has_exactly(critic, all_pairs, expectile_values):
    v, q = expectile_values(CONFIG.expectile)
    assert np.abs(v_of(critic, all_pairs) - v).max() < 0.03
    assert np.abs(q_of(critic, all_pairs) - q).max() < 0.03


def test_values_are_nearly_those_of_the_best_recorded_actions(critic, all_pairs, optimal_q):
    """The best way was taken 3 times in 10: an expectile of 0.95 leaves less than 0.1 of a prize of 1 out."""
    assert np.abs(v_of(critic, all_pairs) - optimal_q.max(1)).max() < 0.1
    assert np.abs(q_of(critic, all_pairs) - optimal_q).max() < 0.1


def test_its_policy_is_the_best_one_though_cloning_everything_does_the_opposite(
    critic, transitions, cloned_way, best, corridor
):
    assert (cloned_way(np.ones(len(corridor.place))) == -best).all()
    assert (cloned_way(iql_weights(critic, transitions, temperature=50)) == best).all()


def test_shaping_moves_values_by_the_potential_and_leaves_the_policy(
    critic, shaped, all_pairs, cloned_way, best, potential, corridor
):
    moved = fit_iql(shaped, CONFIG)
    at_place = np.array([potential[corridor.place == place][0] for place in range(7)])
    assert np.abs(v_of(moved, all_pairs) - (v_of(critic, all_pairs) - at_place)).max() < 0.05
    assert np.abs(q_of(moved, all_pairs) - (q_of(critic, all_pairs) - at_place[:, None])).max() < 0.05
    assert (cloned_way(iql_weights(moved, shaped, temperature=50)) == best).all()


def test_truncations_taken_for_ends_would_make_everything_worth_less(corridor, all_pairs, optimal_q):
    """What the tests above rely on: this corridor tells a learner that does not bootstrap behind truncations."""
    reward = np.nan_to_num(corridor.reward)
    wrong = transitions_of(corridor.demonstrations, reward, np.ones_like(corridor.terminated), GAMMA)
    assert np.abs(q_of(fit_iql(wrong, CONFIG), all_pairs) - optimal_q).max() > 0.15


def test_the_expectile_is_the_mean_at_a_half_and_nears_the_maximum_above():
    values = torch.tensor([0.0, 1.0, 5.0])
    grid = torch.linspace(0, 5, 501)

    def lowest(expectile):
        losses = torch.stack([expectile_loss(values - at, expectile) for at in grid])
        return float(grid[losses.argmin()])

    assert lowest(0.5) == pytest.approx(2.0, abs=0.02)
    at = lowest(0.95)
    # where the derivative is 0
    assert 0.95 * (5 - at) == pytest.approx(0.05 * (at + at - 1), abs=0.02)


def test_weights_rise_with_the_advantage_up_to_a_hundred_and_frames_that_lead_nowhere_have_none(
    critic, transitions, corridor
):
    weight = iql_weights(critic, transitions, temperature=1000)
    assert np.isnan(weight).sum() == (~corridor.terminated).sum()
    known = weight[~np.isnan(weight)]
    assert known.max() == pytest.approx(100)
    advantage = critic.advantage(transitions).numpy()
    assert (known[advantage < -0.01] < 1).all()
    assert np.allclose(known[advantage > 0.01], 100)
    assert (iql_weights(critic, transitions, temperature=0)[transitions.frame] == 1).all()


def test_the_same_seed_gives_the_same_values_and_another_seed_others(transitions, all_pairs):
    few = [IqlConfig(width=16, steps=20, seed=seed) for seed in (0, 0, 1)]
    one, again, other = (q_of(fit_iql(transitions, config), all_pairs) for config in few)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("setting", "words"), [({"expectile": 1.0}, "between 0 and 1, got 1"), ({"steps": 0}, "steps")]
)
def test_settings_that_make_no_sense_are_refused_in_one_line(setting, words):
    with pytest.raises(InvalidValue, match=words):
        IqlConfig(**setting)
