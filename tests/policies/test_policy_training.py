from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from headway_policies.behaviour_cloning import CloningConfig, clone
from headway_policies.policy_training import Keeping, optimise, rate

SMALL = CloningConfig(chunk=4, executed=2, width=16, blocks=1, steps=30, batch=16, learning_rate=5e-3)


class Killed(Exception):
    pass


def killed_after(step):
    def on_step(done, steps, loss):
        if done == step:
            raise Killed

    return on_step


def weights_of(cloned):
    return {name: tensor.numpy() for name, tensor in cloned.policy.network.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("killed", [1, 7, 8, 20, 29])
def test_a_training_that_goes_on_ends_in_the_same_weights(contradiction, tmp_path, killed):
    whole = weights_of(clone(contradiction, np.ones(80), SMALL))
    keeping = Keeping(tmp_path / "state", "this", every=7)
    with pytest.raises(Killed):
        clone(contradiction, np.ones(80), SMALL, killed_after(killed), keeping)
    seen = []
    resumed = clone(contradiction, np.ones(80), SMALL, lambda step, *_: seen.append(step), keeping)
    assert same(weights_of(resumed), whole)
    assert seen[0] == killed // 7 * 7 + 1, "it goes on from the last state, not from the start"


def test_keeping_a_state_changes_nothing(contradiction, tmp_path):
    kept = clone(contradiction, np.ones(80), SMALL, keeping=Keeping(tmp_path / "state", "this", every=5))
    assert same(weights_of(kept), weights_of(clone(contradiction, np.ones(80), SMALL)))


@pytest.mark.parametrize("damage", ["another's", "cut off", "empty"])
def test_a_state_that_cannot_be_used_is_not(contradiction, tmp_path, damage):
    keeping = Keeping(tmp_path / "state", "this", every=5)
    with pytest.raises(Killed):
        clone(contradiction, np.ones(80), SMALL, killed_after(12), keeping)
    if damage == "another's":
        keeping = Keeping(keeping.path, "that", every=5)
    else:
        content = keeping.path.read_bytes()
        keeping.path.write_bytes(content[: len(content) // 2] if damage == "cut off" else b"")
    seen = []
    cloned = clone(contradiction, np.ones(80), SMALL, lambda step, *_: seen.append(step), keeping)
    assert seen[0] == 1
    assert same(weights_of(cloned), weights_of(clone(contradiction, np.ones(80), SMALL)))


@dataclass
class Pace:
    steps: int = 40
    learning_rate: float = 0.1


def test_the_learning_rate_rises_falls_and_ends_near_nothing():
    rates = [rate(step, 100) for step in range(100)]
    assert max(rates) == 1
    assert rates.index(1) in (4, 5)
    assert rates[0] == pytest.approx(0.2)
    assert rates[-1] < 0.001
    assert all(before > after for before, after in pairwise(rates[5:]))


def test_chance_comes_from_the_generator_alone():
    """A loss that draws: its numbers go on where they were."""
    drawn = []

    def train(on_step, keeping=None):
        torch.manual_seed(0)
        network = nn.Linear(1, 1)

        def loss_of(rng):
            number = rng.normal()
            drawn.append(number)
            return (network.weight.sum() - number) ** 2

        optimise(network, loss_of, Pace(), np.random.default_rng(5), on_step, keeping)

    train(lambda *_: None)
    assert drawn == list(np.random.default_rng(5).normal(size=40))
