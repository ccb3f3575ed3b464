import pytest

from headway.errors import CheckpointError, UnknownName
from headway_envs.seeds import unseen_seeds
from headway_policies.behaviour_cloning import ClonedPolicy
from headway_policies.rollout import evaluate, where_failures_end


class Still(ClonedPolicy):
    """A policy that asks the hand to stay where it is."""

    def act(self, state, environment_state):
        return state[None].copy()


def test_thirty_experts_are_enough_for_unseen_layouts(good_policy):
    rollouts = evaluate(good_policy, "tidy-drawer", unseen_seeds(10), "gripper")
    assert sum(rollout.success for rollout in rollouts) >= 8
    succeeded = [rollout for rollout in rollouts if rollout.success]
    assert all(rollout.progress == 1 and rollout.furthest == 3 and rollout.steps < 400 for rollout in succeeded)


def test_thirty_experts_are_enough_for_the_arm_too(arm_policy):
    rollouts = evaluate(arm_policy, "tidy-drawer", unseen_seeds(10), "arm")
    assert sum(rollout.success for rollout in rollouts) >= 8


def test_a_layout_ends_the_same_whichever_others_are_tried(good_policy):
    seeds = unseen_seeds(3)
    together = evaluate(good_policy, "tidy-drawer", seeds, "gripper")
    alone = evaluate(good_policy, "tidy-drawer", seeds[2:], "gripper")
    assert together[2:] == alone


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
