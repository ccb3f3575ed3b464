import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch

from headway.errors import InvalidValue
from headway_policies.behaviour_cloning import CloningConfig, action_chunks, clone, weighted_loss

SMALL = CloningConfig(chunk=4, executed=2, width=32, blocks=1, steps=150, batch=64, learning_rate=5e-3)


def first_actions(policy, demonstrations, frames=40):
    pairs = zip(demonstrations.state[:frames], demonstrations.environment_state[:frames], strict=True)
    return np.stack([policy.act(state, environment)[0] for state, environment in pairs])


def step_right(policy, demonstrations):
    """How far to the right of the hand the policy aims, in metres, on average."""
    return float((first_actions(policy, demonstrations) - demonstrations.state[:40])[:, 0].mean())


@pytest.mark.parametrize(("right", "left", "expected"), [(1.0, 0.0, 0.02), (0.0, 1.0, -0.02), (1.0, 0.1, 0.02)])
def test_the_policy_follows_the_frames_that_weigh_more(contradiction, right, left, expected):
    cloned = clone(contradiction, np.repeat([right, left], 40), SMALL)
    assert step_right(cloned.policy, contradiction) == pytest.approx(expected, abs=0.006)


def test_frames_without_a_weight_are_left_out_and_counted(contradiction):
    weight = np.repeat([1.0, np.nan], 40)
    weight[0] = 0
    cloned = clone(contradiction, weight, SMALL)
    assert (cloned.frames, cloned.left_out) == (39, 40)
    assert step_right(cloned.policy, contradiction) == pytest.approx(0.02, abs=0.006)


def test_the_loss_is_the_weighted_mean_of_each_frames_error():
    error = torch.tensor([[[1.0, -1.0]], [[3.0, 3.0]], [[100.0, 100.0]]])
    inside = torch.ones(3, 1, dtype=torch.bool)
    assert float(weighted_loss(error, inside, torch.tensor([1.0, 0.5, 0.0]))) == pytest.approx(2.5 / 1.5, rel=1e-5)


def test_what_lies_beyond_an_episodes_end_enters_no_loss_and_dilutes_none():
    error = torch.full((1, 4, 2), 2.0)
    error[0, 2:] = 1000.0
    inside = torch.tensor([[True, True, False, False]])
    assert float(weighted_loss(error, inside, torch.ones(1))) == pytest.approx(2.0, rel=1e-5)


def test_a_chunk_ends_where_its_episode_ends():
    action = np.arange(10, dtype=np.float32)[:, None]
    episode = np.repeat([0, 1], [6, 4])
    chunks, inside = action_chunks(action, episode, np.array([0, 4, 5, 6, 9]), 3)
    assert inside.tolist() == [
        [True, True, True],
        [True, True, False],
        [True, False, False],
        [True, True, True],
        [True, False, False],
    ]
    assert chunks[..., 0].tolist() == [[0, 1, 2], [4, 5, 5], [5, 5, 5], [6, 7, 8], [9, 9, 9]]


def test_the_same_seed_gives_the_same_policy_and_another_seed_another(contradiction):
    weight = np.repeat([1.0, 0.0], 40)
    one, again = (first_actions(clone(contradiction, weight, SMALL).policy, contradiction) for _ in range(2))
    other = first_actions(
        clone(contradiction, weight, CloningConfig(**vars(SMALL) | {"seed": 1})).policy, contradiction
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_policy_does_not_depend_on_the_number_of_threads_and_leaves_it_alone(contradiction):
    before = torch.get_num_threads()
    policies, used = [], []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            policies.append(clone(contradiction, np.ones(80), SMALL).policy)
            policies[-1].network.register_forward_hook(lambda *_: used.append(torch.get_num_threads()))
            policies[-1].act(contradiction.state[0], contradiction.environment_state[0])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert used == [1, 1]
    assert np.array_equal(*(first_actions(policy, contradiction) for policy in policies))


def test_a_policy_acts_the_same_in_another_process(contradiction):
    policy = clone(contradiction, np.ones(80), SMALL).policy
    observation = contradiction.state[0], contradiction.environment_state[0]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(policy.act, *observation).result()
    assert np.array_equal(there, policy.act(*observation))


def test_a_policy_acts_for_as_many_steps_as_it_is_told(contradiction):
    policy = clone(contradiction, np.ones(80), SMALL).policy
    assert policy.act(contradiction.state[0], contradiction.environment_state[0]).shape == (2, 4)


def test_what_was_learnt_at_one_place_holds_at_another(contradiction):
    policy = clone(contradiction, np.repeat([1.0, 0.0], 40), SMALL).policy
    aside = np.float32([0.05, 0, 0, 0])
    before = policy.act(contradiction.state[0], contradiction.environment_state[0])[0]
    after = policy.act(contradiction.state[0] + aside, contradiction.environment_state[0])[0]
    assert (after - before)[0] == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.ones(79), "one weight for each of 80 frames"),
        (np.full(80, -1.0), "at least 0, got -1"),
        (np.full(80, np.inf), "finite"),
        (np.full(80, np.nan), "80 have no weight and 0 weigh 0"),
        (np.zeros(80), "0 have no weight and 80 weigh 0"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_in_one_line(contradiction, weight, words):
    with pytest.raises(InvalidValue, match=words) as raised:
        clone(contradiction, weight, SMALL)
    assert "\n" not in str(raised.value)


def test_more_actions_than_a_chunk_holds_cannot_be_carried_out():
    with pytest.raises(InvalidValue, match="1 to 4"):
        CloningConfig(chunk=4, executed=5)
