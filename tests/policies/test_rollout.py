import numpy as np
import pytest
import torch

from headway.errors import CheckpointError, InvalidValue, UnknownName
from headway_envs.gym_env import HeadwayEnv
from headway_envs.seeds import unseen_seeds
from headway_policies.behaviour_cloning import ClonedPolicy
from headway_policies.rollout import Rollout, evaluate, where_failures_end
from headway_policies.rows import ROWS


class Still(ClonedPolicy):
    """A policy that asks the hand to stay where it is."""

    def act(self, state, environment_state):
        return state[None].copy()


def by_hand(policy, task_id, layout_seed, robot, max_steps):
    """One rollout through the environment as a user would write it."""
    env = HeadwayEnv(task_id, robot)
    observation, info = env.reset(seed=layout_seed)
    furthest, steps, done = info["stage"], 0, False
    while not done and steps < max_steps:
        for action in policy.act(observation["state"], observation["environment_state"]):
            observation, _, done, _, info = env.step(action)
            steps += 1
            furthest = max(furthest, info["stage"])
            if done or steps == max_steps:
                break
    return Rollout(layout_seed, done, info["progress"], info["stage"], furthest, steps)


def test_thirty_experts_are_enough_for_unseen_layouts(good_policy):
    rollouts = evaluate(good_policy, "tidy-drawer", unseen_seeds(10), "gripper")
    assert sum(rollout.success for rollout in rollouts) >= 8
    succeeded = [rollout for rollout in rollouts if rollout.success]
    assert all(rollout.progress == 1 and rollout.furthest == 3 and rollout.steps < 400 for rollout in succeeded)


def test_thirty_experts_are_enough_for_the_arm_too(arm_policy):
    rollouts = evaluate(arm_policy, "tidy-drawer", unseen_seeds(10), "arm")
    assert sum(rollout.success for rollout in rollouts) >= 8


@pytest.mark.parametrize("robot", ["gripper", "arm"])
def test_in_step_is_as_one_after_the_other_in_the_environment(good_policy, arm_policy, robot):
    policy = good_policy if robot == "gripper" else arm_policy
    seeds = unseen_seeds(5, start=20)
    fps = 20 if robot == "gripper" else 30
    expected = [by_hand(policy, "tidy-drawer", seed, robot, 11 * fps) for seed in seeds]
    assert len({rollout.steps for rollout in expected}) > 2, "the layouts end at different times"
    for together in (1, 3):
        assert evaluate(policy, "tidy-drawer", seeds, robot, seconds=11, together=together) == expected


def test_workers_change_nothing_and_every_rollout_is_told(good_policy):
    seeds, told = unseen_seeds(20), []
    alone = evaluate(good_policy, "tidy-drawer", seeds, "gripper", seconds=2)
    shared = evaluate(good_policy, "tidy-drawer", seeds, "gripper", seconds=2, workers=2, advance=told.append)
    assert shared == alone
    assert sorted(told, key=lambda rollout: rollout.layout_seed) == alone


@pytest.mark.parametrize("several", [1, 2, 5, ROWS, ROWS + 1])
def test_an_answer_does_not_depend_on_who_else_asks(good_policy, experts, several):
    rng = np.random.default_rng(several)
    for _ in range(5):
        frames = rng.integers(len(experts), size=several)
        state, environment = experts.state[frames], experts.environment_state[frames]
        together = good_policy.act_together(state, environment)
        alone = [good_policy.act(*pair) for pair in zip(state, environment, strict=True)]
        assert np.array_equal(together, np.stack(alone))


def test_a_layout_ends_the_same_whichever_others_are_tried(good_policy):
    seeds = unseen_seeds(3)
    together = evaluate(good_policy, "tidy-drawer", seeds, "gripper")
    alone = evaluate(good_policy, "tidy-drawer", seeds[2:], "gripper")
    assert together[2:] == alone


def test_the_number_of_threads_changes_nothing(good_policy):
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(evaluate(good_policy, "tidy-drawer", unseen_seeds(3), "gripper", seconds=4))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_whoever_does_nothing_fails_after_the_last_step_in_the_first_stage(good_policy):
    still = Still(good_policy.network, executed=1)
    (rollout,) = evaluate(still, "tidy-drawer", unseen_seeds(1), "gripper", seconds=1.5)
    assert (rollout.success, rollout.steps, rollout.stage, rollout.furthest) == (False, 30, 0, 0)
    assert rollout.progress < 0.1


def test_failures_are_counted_by_the_stage_they_end_in(good_policy):
    lazy = evaluate(Still(good_policy.network, executed=1), "tidy-drawer", unseen_seeds(2), "gripper", seconds=0.2)
    assert where_failures_end(lazy, ("open", "pick")) == {"open": 2, "pick": 0}


def test_a_policy_for_another_task_is_refused_in_one_line(good_policy):
    with pytest.raises(CheckpointError, match="does not fit stack-three with the robot 'gripper'") as raised:
        evaluate(good_policy, "stack-three", unseen_seeds(1), "gripper")
    assert "\n" not in str(raised.value)


def test_a_policy_for_another_robot_is_refused(good_policy):
    with pytest.raises(CheckpointError, match=r"value 0 of its state is 'hand\.x', there it is 'base_yaw\.pos'"):
        evaluate(good_policy, "tidy-drawer", unseen_seeds(1), "arm")


def test_an_unknown_task_is_refused(good_policy):
    with pytest.raises(UnknownName, match="tidy-drawer"):
        evaluate(good_policy, "make-tea", unseen_seeds(1), "gripper")


def test_nobody_to_roll_is_refused(good_policy):
    with pytest.raises(InvalidValue, match="at least one simulator and one worker"):
        evaluate(good_policy, "tidy-drawer", unseen_seeds(1), "gripper", together=0)
