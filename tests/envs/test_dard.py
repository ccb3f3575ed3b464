"""DARD in Gymnasium's Reacher-v5 and in one of our tasks."""

import sys
from importlib.util import find_spec
from types import ModuleType

import gymnasium
import numpy as np
import pytest

from headway.errors import InvalidValue, Unsupported
from headway_envs.dard import GymnasiumWorld, SimulatorWorld, branch, dard_distance, visit
from headway_envs.simulator import Simulator
from headway_envs.tasks import TASKS

GAMMA = 0.99


@pytest.fixture(scope="module")
def reacher():
    with pytest.MonkeyPatch.context() as patch:
        if find_spec("imageio") is None:
            # Gymnasium imports it for a viewer that no test opens
            patch.setitem(sys.modules, "imageio", ModuleType("imageio"))
        env = gymnasium.make("Reacher-v5")
    env.reset(seed=0)
    return GymnasiumWorld(env)


@pytest.fixture(scope="module")
def reacher_branches(reacher):
    rng = np.random.default_rng(0)
    visits = visit(reacher, lambda state: rng.uniform(-1, 1, 2), 120)
    return branch(reacher, visits, rng.uniform(-1, 1, (8, 2)))


def away(state):
    return np.linalg.norm(state[:, 8:10], axis=1)


def true_reward(state, action, next_state):
    return -away(next_state) - 0.1 * np.square(action).sum(axis=1)


def shaped(reward, potential):
    return lambda s, a, n: reward(s, a, n) + GAMMA * potential(n) - potential(s)


def test_a_world_put_back_repeats_itself_to_the_last_bit(reacher):
    saved, action = reacher.save(), np.array([0.7, -0.3])
    once = reacher.step(action)
    reacher.step(-action)
    reacher.restore(saved)
    assert (reacher.step(action) == once).all()


def test_branches_are_what_the_simulator_does_next(reacher, reacher_branches):
    made = reacher_branches
    assert made.first.shape == made.second.shape == (120, 8, 10)
    # from the next state by action 3, as from the following transition's own state
    assert (made.second[:-1] == made.first[1:]).all()
    assert not np.allclose(made.first[:, 0], made.first[:, 1])


def test_nothing_is_between_a_reward_and_its_scaled_and_shaped_self(reacher_branches):
    frequencies = np.random.default_rng(1).normal(0, 10, 10)
    alike = {
        "itself": true_reward,
        "scaled": lambda s, a, n: 5 * true_reward(s, a, n),
        "shaped by the distance": shaped(true_reward, away),
        "shaped by anything": shaped(true_reward, lambda s: 3 * np.sin(s @ frequencies)),
    }
    for name, reward in alike.items():
        assert dard_distance(true_reward, reward, reacher_branches, GAMMA).value == pytest.approx(0, abs=1e-6), name


def test_a_negation_is_as_far_as_can_be_and_order_does_not_matter(reacher_branches):
    def effort(state, action, next_state):
        return -np.square(action).sum(axis=1)

    found = dard_distance(true_reward, lambda s, a, n: -true_reward(s, a, n), reacher_branches, GAMMA)
    assert found.value == pytest.approx(1)
    assert found.samples == 8
    there = dard_distance(true_reward, effort, reacher_branches, GAMMA).value
    assert there == pytest.approx(dard_distance(effort, true_reward, reacher_branches, GAMMA).value)
    assert 0.01 < there < 0.99


def test_pure_shaping_is_nothing_and_has_no_distance(reacher_branches):
    found = dard_distance(true_reward, shaped(lambda s, a, n: np.zeros(len(s)), away), reacher_branches, GAMMA)
    assert np.isnan(found.value)
    assert "second reward" in found.reason


def test_a_task_of_ours_is_a_world():
    task = TASKS["push-to-goal"]
    simulator = Simulator(task, "gripper")
    simulator.reset(task.layout(3))
    world = SimulatorWorld(simulator)
    robot = simulator.robot
    rng = np.random.default_rng(0)
    visits = visit(world, lambda state: rng.uniform(robot.action_low, robot.action_high), 12)
    made = branch(world, visits, rng.uniform(robot.action_low, robot.action_high, (3, len(robot.action_low))))
    assert (made.second[:-1] == made.first[1:]).all()

    def near(state):
        return -np.abs(state[:, :3]).sum(axis=1)

    def reward(state, action, next_state):
        return near(next_state)

    assert dard_distance(reward, shaped(reward, near), made, GAMMA).value == pytest.approx(0, abs=1e-6)
    assert dard_distance(reward, lambda s, a, n: -near(n), made, GAMMA).value == pytest.approx(1)
    simulator.close()


def test_what_cannot_be_done_is_one_clear_line(reacher, reacher_branches):
    with pytest.raises(Unsupported, match="is no MuJoCo environment"):
        GymnasiumWorld(gymnasium.make("CartPole-v1"))
    with pytest.raises(InvalidValue, match="needs transitions and actions to try, got 0 and 0"):
        branch(reacher, [], np.zeros((0, 2)))
    with pytest.raises(InvalidValue, match="the discount must lie"):
        dard_distance(true_reward, true_reward, reacher_branches, 1.5)
