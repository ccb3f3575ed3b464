import numpy as np
import pytest

from headway.errors import InvalidValue
from headway_policies.offline_rl.awr import AwrConfig, awr_advantage, awr_weights, returns
from headway_policies.offline_rl.transitions import transitions_of

GAMMA = 0.9
CONFIG = AwrConfig(width=32, rounds=4, steps=150, batch=128, learning_rate=1e-2)


@pytest.fixture(scope="module")
def transitions(corridor):
    return transitions_of(corridor.demonstrations, corridor.reward, corridor.terminated, GAMMA)


@pytest.fixture(scope="module")
def advantage(transitions):
    return awr_advantage(transitions, CONFIG)


def test_it_improves_on_cloning_everything(advantage, transitions, cloned_way, worth_of, corridor):
    cloned = worth_of(cloned_way(np.ones(len(corridor.place))))
    improved = worth_of(cloned_way(awr_weights(advantage, transitions)))
    assert cloned < 0.05
    assert improved > 0.4


def test_its_baseline_is_what_whoever_recorded_earned_from_there(advantage, transitions, corridor, expectile_values):
    """The expectile of a half is the mean, so it gives the advantage over whoever recorded exactly."""
    v, q = expectile_values(0.5)
    place, way = corridor.place[transitions.frame], corridor.way[transitions.frame]
    found = [[advantage[(place == there) & (way == where)].mean() for where in (-1, 1)] for there in range(7)]
    # a few hundred returns a place: they are noisy
    assert np.abs(found - (q - v[:, None])).mean() < 0.05
    assert np.abs(found - (q - v[:, None])).max() < 0.12


def test_returns_end_with_the_episode_and_go_on_behind_a_truncation(corridor):
    assert 0 < corridor.terminated[:30].sum() < 30
    transitions = transitions_of(corridor.demonstrations, corridor.reward, corridor.terminated, GAMMA)
    found = returns(transitions, np.full(len(transitions), 2.0))
    for episode, ended in enumerate(corridor.terminated[:30]):
        frames = np.flatnonzero(corridor.demonstrations.episode == episode)
        rewards = corridor.reward[frames]
        if ended:
            expected = sum(GAMMA**step * reward for step, reward in enumerate(rewards))
        else:
            # the value 2 lies where the last frame is
            expected = sum(GAMMA**step * reward for step, reward in enumerate(rewards[:-1]))
            expected += 2 * GAMMA ** (len(frames) - 1)
        assert found[transitions.frame == frames[0]] == pytest.approx([expected], rel=1e-5)


def test_weights_are_clipped_at_twenty_and_rise_with_the_advantage(advantage, transitions):
    weight = awr_weights(advantage, transitions, beta=1e-4)[transitions.frame]
    assert weight.max() == pytest.approx(20)
    mild = awr_weights(advantage, transitions, beta=10.0)[transitions.frame]
    assert np.allclose(np.log(mild) * 10, advantage)


@pytest.mark.parametrize("beta", [0.0, -1.0, np.nan])
def test_a_beta_that_makes_no_sense_is_refused(advantage, transitions, beta):
    with pytest.raises(InvalidValue, match="beta must be above 0"):
        awr_weights(advantage, transitions, beta)


def test_the_same_seed_gives_the_same_advantage(transitions):
    one, again, other = (awr_advantage(transitions, AwrConfig(16, 1, 10, seed=seed)) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
