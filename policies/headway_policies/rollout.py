"""Closed-loop evaluation: a policy acts in the simulation, without pictures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from headway.errors import CheckpointError
from headway_envs import MAX_EPISODE_STEPS
from headway_envs.gym_env import HeadwayEnv
from headway_envs.simulator import ACTION_LOW
from headway_policies.behaviour_cloning import ClonedPolicy


@dataclass(frozen=True)
class Rollout:
    """What became of one layout.

    Attributes:
        layout_seed: which layout.
        success: whether the task was done and stayed done for half a second.
        progress: true progress at the end, in [0, 1].
        stage: index of the stage at the end.
        furthest: the highest index of a stage on the way.
        steps: how many it took.
    """

    layout_seed: int
    success: bool
    progress: float
    stage: int
    furthest: int
    steps: int


def evaluate(
    policy: ClonedPolicy, task_id: str, layout_seeds: Sequence[int], max_steps: int = MAX_EPISODE_STEPS
) -> list[Rollout]:
    """Let the policy act from each layout. What becomes of one layout does not depend on the others.

    Raises UnknownName for an unknown task, CheckpointError when the policy was made for another.
    """
    env = HeadwayEnv(task_id)
    try:
        _check_fit(policy, env)
        return [_roll(policy, env, seed, max_steps) for seed in layout_seeds]
    finally:
        env.close()


def where_failures_end(rollouts: Sequence[Rollout], stage_names: Sequence[str]) -> dict[str, int]:
    """How many of the rollouts that failed ended in each stage."""
    counts = Counter(rollout.stage for rollout in rollouts if not rollout.success)
    return {name: counts[stage] for stage, name in enumerate(stage_names)}


def _roll(policy: ClonedPolicy, env: HeadwayEnv, layout_seed: int, max_steps: int) -> Rollout:
    observation, info = env.reset(seed=layout_seed)
    furthest = int(info["stage"])
    steps, done = 0, False
    while not done and steps < max_steps:
        for action in policy.act(observation["state"], observation["environment_state"]):
            observation, _, done, _, info = env.step(action)
            steps += 1
            furthest = max(furthest, int(info["stage"]))
            if done or steps == max_steps:
                break
    return Rollout(layout_seed, done, float(info["progress"]), int(info["stage"]), furthest, steps)


def _check_fit(policy: ClonedPolicy, env: HeadwayEnv) -> None:
    shape = policy.network.shape
    learnt = (shape.state_dim, shape.environment_dim, shape.action_dim)
    observation, _ = env.reset(seed=0)
    needed = (len(observation["state"]), len(observation["environment_state"]), len(ACTION_LOW))
    if learnt != needed:
        raise CheckpointError(
            f"the policy knows {learnt[0]} + {learnt[1]} values and {learnt[2]} actions, {env.task.id} has "
            f"{needed[0]} + {needed[1]} and {needed[2]}; use a policy that learnt {env.task.id}"
        )
