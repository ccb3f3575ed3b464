"""Closed-loop evaluation: a policy acts in the simulation, without pictures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from headway_envs import EPISODE_SECONDS
from headway_envs.gym_env import HeadwayEnv
from headway_envs.robots import DEFAULT_ROBOT
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
    policy: ClonedPolicy,
    task_id: str,
    layout_seeds: Sequence[int],
    robot: str = DEFAULT_ROBOT,
    action_space: str | None = None,
    seconds: float = EPISODE_SECONDS,
) -> list[Rollout]:
    """Let the policy act from each layout, for that long at most. What becomes of one does not depend on the others.

    Raises UnknownName for an unknown task, robot or action space, CheckpointError when the policy learnt another.
    """
    env = HeadwayEnv(task_id, robot, action_space)
    try:
        policy.signature.check_fits(env.simulator)
        max_steps = round(seconds * env.simulator.fps)
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
