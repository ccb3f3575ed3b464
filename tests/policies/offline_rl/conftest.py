"""A corridor of seven places whose values can be computed exactly.

Left or right from each. At the far right waits 1, at the far left 0.7, either ends the episode; discount 0.9. It pays
to go left from the first two places and right from all others. Whoever recorded mostly did the opposite. Half of the
episodes are truncated after a few steps.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from headway.episodes import Array
from headway_policies.behaviour_cloning import CloningConfig, clone
from headway_policies.demonstrations import Demonstrations
from headway_policies.offline_rl.transitions import transitions_of
from headway_policies.signature import Signature

PLACES, LEFT_PRIZE, RIGHT_PRIZE = 7, 0.7, 1.0
GAMMA = 0.9
BEST = np.array([-1, -1, 1, 1, 1, 1, 1])
"""The way to go from each place, which `optimal_q` confirms."""
WRONG = 0.7
"""How often whoever recorded went the other way."""
ONE_HOT = Signature(("hand.x", "hand.y", "hand.z"), tuple(f"place {place}" for place in range(PLACES)), ("right",))


@dataclass(frozen=True)
class Corridor:
    demonstrations: Demonstrations
    place: Array
    way: Array
    reward: Array
    terminated: Array


def one_hot(places):
    return np.eye(PLACES, dtype=np.float32)[places]


def numbers(places, ways, episodes):
    nothing = np.zeros((len(places), 3), np.float32)
    action = np.asarray(ways, np.float32)[:, None]
    return Demonstrations(nothing, one_hot(places), action, np.asarray(episodes), ONE_HOT)


def moved(place, way):
    """Where it leads, or None at the end, and what it earns."""
    if place == 0 and way < 0:
        return None, LEFT_PRIZE
    if place == PLACES - 1 and way > 0:
        return None, RIGHT_PRIZE
    return place + way, 0.0


def bellman(v):
    """Q of each place and way (left, right), given V of each place."""
    q = np.empty((PLACES, 2))
    for place in range(PLACES):
        for column, way in enumerate((-1, 1)):
            there, earned = moved(place, way)
            q[place, column] = earned + (0 if there is None else GAMMA * v[there])
    return q


@pytest.fixture(scope="session")
def optimal_q():
    """Q of each place and way by value iteration, (place, 2)."""
    v = np.zeros(PLACES)
    for _ in range(500):
        v = bellman(v).max(1)
    q = bellman(v)
    assert np.array_equal(np.where(q[:, 1] > q[:, 0], 1, -1), BEST)
    return q


@pytest.fixture(scope="session")
def corridor():
    rng = np.random.default_rng(0)
    places, ways, rewards, episodes, terminated = [], [], [], [], []
    for episode in range(400):
        place, most = int(rng.integers(PLACES)), 6 if episode % 2 else 40
        for step in range(most + 1):
            way = int(BEST[place] * (-1 if rng.random() < WRONG else 1))
            there, earned = moved(place, way)
            # the last frame of a truncated episode tells where it got to, and no reward
            cut = step == most and there is not None
            for known, value in ((places, place), (ways, way), (rewards, np.nan if cut else earned)):
                known.append(value)
            episodes.append(episode)
            if there is None:
                break
            place = there
        terminated.append(there is None)
    assert 50 < sum(terminated) < 380
    demonstrations = numbers(np.array(places), np.array(ways), episodes)
    return Corridor(demonstrations, np.array(places), np.array(ways), np.array(rewards), np.array(terminated))


def goes(policy):
    """The way that a cloned policy takes from each place, (place,)."""
    nothing = np.zeros(3, np.float32)
    return np.array([np.sign(policy.act(nothing, seen)[0, 0]) for seen in one_hot(np.arange(PLACES))]).astype(int)


def worth(ways):
    """The mean over all places of what going these ways from there on earns, discounted."""
    v = np.zeros(PLACES)
    columns = (np.asarray(ways) > 0).astype(int)
    for _ in range(500):
        v = bellman(v)[np.arange(PLACES), columns]
    return v.mean()


@pytest.fixture(scope="session")
def cloned_way(corridor):
    """The way that cloning with these weights takes from each place."""

    def way(weight):
        config = CloningConfig(chunk=1, executed=1, width=32, blocks=1, steps=300, batch=128, learning_rate=5e-3)
        return goes(clone(corridor.demonstrations, weight, config).policy)

    return way


@pytest.fixture(scope="session")
def worth_of():
    return worth


@pytest.fixture(scope="session")
def best():
    return BEST


@pytest.fixture(scope="session")
def all_pairs():
    """Transitions whose observations and actions are each place with left and right, (place, way)."""
    places, ways = np.repeat(np.arange(PLACES), 2), np.tile([-1, 1], PLACES)
    return transitions_of(numbers(places, ways, np.arange(2 * PLACES)), np.zeros(14), np.ones(14, bool), GAMMA)


@pytest.fixture(scope="session")
def expectile_values():
    """V and Q that a given expectile has for ever, exactly: (place,), (place, way)."""

    def fixed_point(expectile):
        v = np.zeros(PLACES)
        wrong = np.where(BEST > 0, 0, 1)  # the column of the way that is not best
        share = np.full((PLACES, 2), 1 - WRONG)
        share[np.arange(PLACES), wrong] = WRONG
        for _ in range(500):
            q = bellman(v)
            v = np.array([_expectile(*pair, expectile) for pair in zip(q, share, strict=True)])
        return v, bellman(v)

    return fixed_point


def _expectile(values, share, expectile):
    at = values.mean()
    for _ in range(100):
        pull = share * np.where(values > at, expectile, 1 - expectile)
        at = (pull * values).sum() / pull.sum()
    return at
