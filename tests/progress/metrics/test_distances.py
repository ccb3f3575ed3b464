"""Distances between rewards: what must cost nothing, what must cost all, and Gymnasium's Reacher-v5."""

import sys
from importlib.util import find_spec
from types import ModuleType

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway.metrics.distances import (
    Transitions,
    epic_canonical,
    epic_distance,
    fourier_features,
    raw_distance,
    starc_distance,
)

GAMMA = 0.9
RNG = np.random.default_rng(0)
AT = Transitions(RNG.normal(size=(300, 2)), RNG.uniform(-1, 1, (300, 1)), RNG.normal(size=(300, 2)))


def polynomials(state):
    x, y = state.T
    return np.column_stack([np.ones(len(state)), x, y, x * y, x * x, y * y])


def bowl(state):
    """A potential that `polynomials` represents."""
    return 3 * state[:, 0] ** 2 - state[:, 1] + 2


def ripple(state):
    """One that it does not."""
    return 2 * np.sin(9 * state[:, 0])


def arrive(state, action, next_state):
    return -np.abs(next_state).sum(axis=1) - action[:, 0] ** 2


def effort(state, action, next_state):
    return -(action[:, 0] ** 2) + 0.1 * state[:, 1]


def other(state, action, next_state):
    return np.tanh(next_state[:, 0] * state[:, 1]) + action[:, 0]


def epic(first, second, at=AT):
    return epic_distance(first, second, at, GAMMA, samples=32)


def starc(first, second, at=AT):
    return starc_distance(first, second, at, GAMMA, polynomials)


def shaped(reward, potential, gamma=GAMMA):
    return lambda s, a, n: reward(s, a, n) + gamma * potential(n) - potential(s)


def times(factor, reward, shift=0.0):
    return lambda s, a, n: factor * reward(s, a, n) + shift


@pytest.mark.parametrize("metric", [epic, starc])
def test_identity_scale_constant_and_representable_shaping_cost_nothing(metric):
    assert metric(arrive, arrive).value == 0
    assert metric(arrive, times(70, arrive)).value == pytest.approx(0, abs=1e-6)
    assert metric(arrive, times(0.01, arrive, shift=5)).value == pytest.approx(0, abs=1e-4)
    assert metric(arrive, shaped(times(2, arrive), bowl)).value == pytest.approx(0, abs=1e-4)
    assert metric(shaped(arrive, bowl), arrive).value == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("metric", [epic, starc, lambda one, two: raw_distance(one, two, AT)])
def test_a_negation_costs_all(metric):
    assert metric(arrive, times(-3, arrive)).value == pytest.approx(1)


def test_any_potential_costs_nothing_under_epic_and_something_under_starc():
    found = epic(arrive, shaped(arrive, ripple))
    assert found.value == pytest.approx(0, abs=1e-6)
    assert (found.samples, found.transitions, found.basis) == (32, 300, None)
    missed = starc(arrive, shaped(arrive, ripple))
    assert missed.value > 0.3
    assert (missed.basis, missed.transitions, missed.samples) == (6, 300, None)
    assert raw_distance(arrive, shaped(arrive, bowl), AT).value > 0.3


def test_shaping_with_another_discount_is_a_difference():
    assert epic(arrive, shaped(arrive, bowl, gamma=0.3)).value > 0.05
    assert starc(arrive, shaped(arrive, bowl, gamma=0.3)).value > 0.05


def test_the_epic_reward_is_its_definition_and_a_potential_is_nothing_whatever_the_sample():
    at = Transitions(AT.state[:6], AT.action[:6], AT.next_state[:6])
    found = epic_canonical(other, at, GAMMA, samples=4, seed=3).values
    rng = np.random.default_rng(3)
    visited = np.concatenate([at.state, at.next_state])
    ends = visited[rng.integers(12, size=4)]
    actions = at.action[rng.integers(6, size=4)]

    def mean_from(state):
        return other(np.tile(state, (4, 1)), actions, ends).mean()

    by_hand = other(at.state, at.action, at.next_state) + [
        GAMMA * mean_from(n) - mean_from(s) for s, n in zip(at.state, at.next_state, strict=True)
    ]
    assert found == pytest.approx(by_hand - by_hand.mean())
    pure = epic_canonical(shaped(times(0, other), ripple), at, GAMMA, samples=1)
    assert np.abs(pure.values).max() < 1e-12


def test_starc_of_arrays_is_starc_of_functions():
    arrays = [reward(AT.state, AT.action, AT.next_state) for reward in (arrive, effort)]
    assert starc(*arrays).value == starc(arrive, effort).value
    with pytest.raises(InvalidValue, match="give a function, or use STARC"):
        epic(*arrays)


def test_without_discount_a_constant_potential_does_nothing():
    found = starc_distance(arrive, other, AT, 1.0, lambda s: np.ones((len(s), 1)))
    assert found.value == pytest.approx(starc_distance(arrive, other, AT, 1.0, lambda s: np.zeros((len(s), 2))).value)
    one, two = (r(AT.state, AT.action, AT.next_state) for r in (arrive, other))
    cosine = one @ two / np.sqrt(one @ one * (two @ two))
    assert found.value == pytest.approx(np.sqrt((1 - cosine) / 2)), "no shaping is left to take out"


def test_the_potential_of_a_terminal_state_is_zero():
    over = np.arange(300) % 10 == 9
    at = Transitions(AT.state, AT.action, AT.next_state, over)
    values = arrive(AT.state, AT.action, AT.next_state)
    right = values + GAMMA * np.where(over, 0, bowl(AT.next_state)) - bowl(AT.state)
    wrong = values + GAMMA * bowl(AT.next_state) - bowl(AT.state)
    assert starc(values, right, at).value == pytest.approx(0, abs=1e-4)
    assert starc(values, wrong, at).value > 0.1
    # where nothing ends a constant is shaping; where episodes end it pays for going on
    assert np.isnan(starc(values, np.ones(300)).value)
    assert starc(values, np.ones(300), at).value > 0


@pytest.mark.parametrize("metric", [epic, starc])
def test_nothing_but_a_constant_or_shaping_has_no_distance(metric):
    for nothing in (times(0, arrive), times(0, arrive, shift=7), shaped(times(0, arrive), bowl)):
        for first, second, word in ((arrive, nothing, "second"), (nothing, arrive, "first")):
            found = metric(first, second)
            assert np.isnan(found.value)
            assert f"nothing but a constant or shaping is in the {word} reward" in found.reason


@pytest.mark.parametrize("metric", [epic, starc, lambda one, two: raw_distance(one, two, AT)])
def test_an_unknown_reward_has_no_distance(metric):
    found = metric(arrive, lambda s, a, n: np.where(s[:, 0] > 1, np.nan, 1.0))
    assert np.isnan(found.value)
    assert "second reward is not finite" in found.reason


weights = st.lists(st.floats(-3, 3), min_size=3, max_size=3).filter(lambda w: max(map(abs, w)) > 0.1)


@settings(max_examples=25)
@given(first=weights, second=weights, third=weights)
@pytest.mark.parametrize("metric", [epic, starc])
def test_they_are_symmetric_within_bounds_and_keep_the_triangle(metric, first, second, third):
    def mixed(shares):
        return lambda s, a, n: sum(w * r(s, a, n) for w, r in zip(shares, (arrive, effort, other), strict=True))

    one, two, three = (mixed(shares) for shares in (first, second, third))
    there = metric(one, two).value
    assert there == pytest.approx(metric(two, one).value, abs=1e-9)
    assert 0 <= there <= 1
    assert there <= metric(one, three).value + metric(three, two).value + 1e-9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: epic_distance(arrive, other, AT, 1.1), "the discount must lie in"),
        (lambda: epic_distance(arrive, other, AT, 0.9, samples=0), "at least one sample"),
        (lambda: starc_distance(arrive, other, AT, -0.1, polynomials), "the discount must lie in"),
        (lambda: starc(arrive, np.zeros(3)), r"must have shape \(300,\), got \(3,\)"),
        (lambda: starc_distance(arrive, other, AT, 0.9, fourier_features(AT.state, 200)), "a basis of 203 functions"),
        (lambda: starc_distance(arrive, other, AT, 0.9, lambda s: s[:, 0]), "features of 300 states"),
        (
            lambda: starc_distance(arrive, other, AT, 0.9, lambda s: np.where(s > 2, np.nan, s)),
            "features are not finite",
        ),
        (lambda: Transitions(AT.state, AT.action[:5], AT.next_state), "transitions need state"),
        (lambda: Transitions(AT.state[:2], AT.action[:2], AT.next_state[:2]), "at least 3 transitions"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line(call, message):
    with pytest.raises(InvalidValue, match=message):
        call()


# Reacher-v5 with a tenth of its cost of action: 60 random episodes, 3000 transitions, discount 0.99.
@pytest.fixture(scope="module")
def reacher():
    with pytest.MonkeyPatch.context() as patch:
        if find_spec("imageio") is None:
            # Gymnasium imports it for a viewer that no test opens
            patch.setitem(sys.modules, "imageio", ModuleType("imageio"))
        env = gymnasium.make("Reacher-v5", reward_control_weight=0.1)
    rows = []
    for seed in range(60):
        state, _ = env.reset(seed=seed)
        env.action_space.seed(seed)
        for _ in range(50):
            action = env.action_space.sample()
            next_state, reward, *_ = env.step(action)
            rows.append((state, action.astype(float), next_state, reward))
            state = next_state
    *parts, rewards = (np.array(column) for column in zip(*rows, strict=True))
    return Transitions(*parts), rewards


def away(state):
    return np.linalg.norm(state[:, 8:10], axis=1)


def reach(state, action, next_state):
    return -away(next_state) - 0.1 * np.square(action).sum(axis=1)


def wave(state):
    return 3 * np.sin(state @ np.random.default_rng(1).normal(0, 20, 10))


# raw, EPIC, STARC
TABLE = {
    "scaled and shaped by the distance": (
        shaped(times(5, reach), lambda s: 3 * away(s), 0.99),
        (0.048, 0.000, 0.001),
    ),
    "shaped by a random sinusoid": (shaped(reach, wave, 0.99), (0.697, 0.000, 0.698)),
    "sparse": (lambda s, a, n: (away(n) < 0.05).astype(float), (0.588, 0.588, 0.580)),
    "change of distance": (lambda s, a, n: away(s) - away(n), (0.681, 0.207, 0.238)),
    "cost of action": (lambda s, a, n: -np.square(a).sum(axis=1), (0.552, 0.552, 0.530)),
    "negated": (times(-1, reach), (1.0, 1.0, 1.0)),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_table_of_reacher_measured_independently(reacher, name):
    at, rewards = reacher
    assert reach(at.state, at.action, at.next_state) == pytest.approx(rewards, abs=1e-6)
    half = Transitions(at.state[::2], at.action[::2], at.next_state[::2])
    fourier = fourier_features(at.state, 180)

    def features(state):
        return np.column_stack([fourier(state), away(state)])

    reward, expected = TABLE[name]
    starc = starc_distance(reach, reward, at, 0.99, features)
    assert starc.basis == 192
    found = raw_distance(reach, reward, at).value, epic_distance(reach, reward, half, 0.99).value, starc.value
    assert found == pytest.approx(expected, abs=0.05)
    for value, figure in zip(found, expected, strict=True):
        assert value == pytest.approx(0, abs=2e-3) or figure > 0.002, "what costs nothing costs nothing"
