import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch

from headway.errors import CheckpointError, InvalidValue
from headway_envs.seeds import unseen_seeds
from headway_policies.behaviour_cloning import CloningConfig, clone
from headway_policies.checkpoint import CONFIG, WEIGHTS
from headway_policies.conditioned_cloning import (
    ConditionedPolicy,
    clone_conditioned,
    load_conditioned,
    save_conditioned,
)
from headway_policies.demonstrations import Demonstrations
from headway_policies.rollout import evaluate

SMALL = CloningConfig(chunk=4, executed=2, width=32, blocks=1, steps=200, batch=64, learning_rate=5e-3)
TINY = CloningConfig(**vars(SMALL) | {"steps": 10})
RIGHT_IS_GOOD = np.repeat([1.0, 0.0], 40)


def first_actions(policy, demonstrations, frames=40):
    pairs = zip(demonstrations.state[:frames], demonstrations.environment_state[:frames], strict=True)
    return np.stack([policy.act(state, environment)[0] for state, environment in pairs])


def steps_right(policy, demonstrations):
    """How far to the right of the hand the policy aims in each of 40 frames, in metres."""
    return (first_actions(policy, demonstrations) - demonstrations.state[:40])[:, 0]


@pytest.mark.parametrize(("advantage", "way"), [(RIGHT_IS_GOOD, 0.02), (1 - RIGHT_IS_GOOD, -0.02)])
def test_it_does_what_good_frames_do_in_every_place_where_plain_cloning_does_not(contradiction, advantage, way):
    conditioned = clone_conditioned(contradiction, advantage, SMALL)
    assert (conditioned.good, conditioned.bad, conditioned.unknown) == (40, 40, 0)
    assert np.abs(steps_right(conditioned.policy, contradiction) - way).mean() < 0.006
    plain = clone(contradiction, np.ones(80), SMALL).policy
    assert np.abs(steps_right(plain, contradiction) - way).mean() > 0.01


def test_what_only_unknown_frames_show_is_not_done_though_they_are_learnt_from(contradiction):
    advantage = np.where(RIGHT_IS_GOOD == 1, 1.0, np.nan)
    conditioned = clone_conditioned(contradiction, advantage, SMALL)
    assert (conditioned.good, conditioned.bad, conditioned.unknown) == (40, 0, 40)
    assert np.abs(steps_right(conditioned.policy, contradiction) - 0.02).mean() < 0.006


def test_guidance_goes_beyond_the_good_action_away_from_what_is_done_without_condition(contradiction):
    advantage = np.where(RIGHT_IS_GOOD == 1, 1.0, np.nan)
    policy = clone_conditioned(contradiction, advantage, SMALL, dropped=0.5).policy
    by_guidance = [
        first_actions(ConditionedPolicy(policy.network, policy.executed, guidance), contradiction)
        for guidance in (1, 2, 3)
    ]
    # without condition it has seen all left steps and half of the right ones
    assert (by_guidance[1] - by_guidance[0])[:, 0].mean() > 0.004
    # out = uncond + g (cond - uncond) is linear in g
    assert np.allclose(by_guidance[2] - by_guidance[1], by_guidance[1] - by_guidance[0], atol=1e-5)


def test_guidance_of_one_is_the_plain_condition(contradiction):
    policy = clone_conditioned(contradiction, RIGHT_IS_GOOD, TINY).policy
    barely = ConditionedPolicy(policy.network, policy.executed, 1 + 1e-9)
    assert np.allclose(first_actions(policy, contradiction), first_actions(barely, contradiction), atol=1e-6)


def test_dropping_teaches_what_to_do_without_a_condition(contradiction):
    """All frames are good, so only dropped conditions can teach what is done without one."""
    whole = {name: values[:40] for name, values in vars(contradiction).items() if name != "signature"}
    right = Demonstrations(**whole, signature=contradiction.signature)

    def unconditional_error(dropped):
        network = clone_conditioned(right, np.ones(40), SMALL, dropped=dropped).policy.network
        with torch.inference_mode():
            state, environment = torch.as_tensor(right.state), torch.as_tensor(right.environment_state)
            aimed = network(state, environment, torch.zeros(40, 2))[:, 0].numpy()
        return np.abs((aimed - right.action)[:, 0]).mean()

    assert unconditional_error(0.3) < 0.002
    assert unconditional_error(0.0) > 2 * unconditional_error(0.3)


def test_a_single_good_frame_among_many_does_not_blow_up_the_condition(contradiction):
    advantage = np.zeros(80)
    advantage[3] = 1
    actions = first_actions(clone_conditioned(contradiction, advantage, SMALL).policy, contradiction)
    assert np.abs(actions[:, :3]).max() < 0.5


def test_the_same_seed_gives_the_same_policy_and_another_seed_another(contradiction):
    one, again, other = (
        first_actions(
            clone_conditioned(contradiction, RIGHT_IS_GOOD, CloningConfig(**vars(TINY) | {"seed": seed})).policy,
            contradiction,
        )
        for seed in (0, 0, 1)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_it_is_evaluated_like_any_cloned_policy_and_acts_the_same_in_another_process(experts):
    advantage = np.ones(len(experts))
    policy = clone_conditioned(experts, advantage, CloningConfig(width=128, steps=500), guidance=1.5).policy
    assert policy.signature == experts.signature
    rollouts = evaluate(policy, "tidy-drawer", unseen_seeds(8), "gripper")
    assert np.mean([rollout.success for rollout in rollouts]) > 0.6
    together = policy.act_together(experts.state[:9], experts.environment_state[:9])
    observation = experts.state[0], experts.environment_state[0]
    assert np.array_equal(together[0], policy.act(*observation))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(policy.act, *observation).result()
    assert np.array_equal(there, policy.act(*observation))


@pytest.fixture
def saved(contradiction, tmp_path):
    policy = clone_conditioned(contradiction, RIGHT_IS_GOOD, TINY, guidance=2.0).policy
    save_conditioned(tmp_path / "policy", policy)
    return tmp_path / "policy", policy


def test_a_loaded_policy_acts_as_the_saved_one_guidance_included(saved, contradiction):
    folder, policy = saved
    loaded = load_conditioned(folder)
    assert loaded.guidance == 2.0
    assert np.array_equal(first_actions(loaded, contradiction), first_actions(policy, contradiction))
    assert {path.name for path in folder.iterdir()} == {CONFIG, WEIGHTS}


def spoilt(folder, how):
    if how == "missing":
        (folder / CONFIG).unlink()
    elif how == "of plain cloning":
        content = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(content | {"policy": "behaviour-cloning"}))
    else:
        (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:100])


@pytest.mark.parametrize(
    ("how", "words"),
    [("missing", "holds no policy"), ("of plain cloning", "needs 'conditioned-cloning'"), ("cut", "damaged")],
)
def test_a_checkpoint_that_does_not_serve_is_refused_in_one_line(saved, how, words):
    folder, _ = saved
    spoilt(folder, how)
    with pytest.raises(CheckpointError, match=words) as raised:
        load_conditioned(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("advantage", "settings", "words"),
    [
        (np.ones(79), {}, "one advantage for each of 80 frames"),
        (np.full(80, 0.5), {}, "must be 1 .good., 0 .not. or NaN .unknown., got 0.5"),
        (np.full(80, np.inf), {}, "got inf"),
        (np.full(80, np.nan), {}, "none of 80 frames is good"),
        (np.ones(80), {"dropped": 1.0}, r"\[0, 1\), got 1"),
        (np.ones(80), {"guidance": 0.5}, "at least 1 .plain condition., got 0.5"),
        (np.ones(80), {"guidance": np.nan}, "finite"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(contradiction, advantage, settings, words):
    with pytest.raises(InvalidValue, match=words) as raised:
        clone_conditioned(contradiction, advantage, TINY, **settings)
    assert "\n" not in str(raised.value)
