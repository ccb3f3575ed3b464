"""How fast policies are rolled out, and where a step's time goes. Results: policies.md

Claim: 100 rollouts of a state policy in tidy-drawer in at most 20 s on 2 cores, with the gripper and with the arm. In
the same run, for comparison: the same rollouts one after the other through the Gymnasium environment, as a user would
write them, and the floor, the physics alone under the same actions. Seconds are of one core (process time), the best of
the repeats. All ways have to give the same rollouts to the last step.

    .venv/bin/python benchmarks/policies.py             # some three minutes
    .venv/bin/python benchmarks/policies.py --fast      # seconds, its figures mean little
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from claims import Claim, write_claims

from headway.episodes import Array
from headway_envs.gym_env import HeadwayEnv
from headway_envs.recording import Recorder, RecordingOptions
from headway_envs.rendering import mujoco
from headway_envs.seeds import collection_seeds, unseen_seeds
from headway_policies.behaviour_cloning import ClonedPolicy, CloningConfig, clone
from headway_policies.demonstrations import gather
from headway_policies.lanes import Lane, Setting
from headway_policies.rollout import Rollout, evaluate
from headway_policies.signature import signature_of

TASK = "tidy-drawer"


@dataclass
class Args:
    """What to run."""

    rollouts: int = 100
    """Layouts."""
    demonstrations: int = 30
    """Expert episodes that the policy learns from."""
    repeats: int = 2
    """Of each measurement; the best counts."""
    fast: bool = False
    """A few of everything, to see that it runs."""
    out: Path = Path("runs/policies-benchmark")
    """Folder for the results."""


def trained(robot: str, args: Args) -> ClonedPolicy:
    """A policy that does the task more often than not."""
    recorder = Recorder(TASK, RecordingOptions(robot=robot, cameras=()))
    recordings = [recorder.record(seed) for seed in collection_seeds(0, args.demonstrations)]
    demonstrations = gather(recordings, signature_of(TASK, robot))
    config = CloningConfig(steps=20) if args.fast else CloningConfig()
    return clone(demonstrations, np.ones(len(demonstrations)), config).policy


def by_hand(policy: ClonedPolicy, seeds: range, robot: str) -> list[Rollout]:
    """One after the other through the environment."""
    env = HeadwayEnv(TASK, robot)
    found = []
    for seed in seeds:
        observation, info = env.reset(seed=seed)
        furthest, steps, done = info["stage"], 0, False
        while not done and steps < 20 * env.simulator.fps:
            for action in policy.act(observation["state"], observation["environment_state"]):
                observation, _, done, _, info = env.step(action)
                steps += 1
                furthest = max(furthest, info["stage"])
                if done or steps == 20 * env.simulator.fps:
                    break
        found.append(Rollout(seed, done, info["progress"], info["stage"], furthest, steps))
    return found


class Remembering:
    """A policy that also keeps what it answered, by layout, for the floor."""

    def __init__(self, policy: ClonedPolicy):
        self.policy = policy
        self.signature = policy.signature
        self.answers: list[Array] = []

    def act(self, state: Array, environment_state: Array) -> Array:
        self.answers.append(self.policy.act(state, environment_state))
        return self.answers[-1]


def physics_alone(policy: ClonedPolicy, seeds: range, robot: str) -> tuple[float, int]:
    """Seconds of `mj_step` under the actions of the rollouts, and how many steps those were."""
    lane = Lane(Setting(TASK, robot), seeds[0])
    seconds, steps = 0.0, 0
    for seed in seeds:
        remembering = Remembering(policy)
        (rollout,) = evaluate(remembering, TASK, [seed], robot)
        actions = np.concatenate(remembering.answers)[: rollout.steps]
        lane.start(seed)
        simulator = lane.simulator
        still = np.zeros(simulator.robot.pushes)
        for action in actions:
            simulator.robot.drive(simulator.data, action, still)
            begun = time.process_time()
            mujoco.mj_step(simulator.model, simulator.data, simulator.robot.physics_steps)
            seconds += time.process_time() - begun
            steps += 1
            mujoco.mj_kinematics(simulator.model, simulator.data)
    return seconds, steps


def seconds_of(work: Callable[[], list[Rollout]], repeats: int) -> tuple[float, list[Rollout]]:
    """The fewest seconds of one core over the repeats, and what came out."""
    best, found = float("inf"), []
    for _ in range(repeats):
        begun = time.process_time()
        found = work()
        best = min(best, time.process_time() - begun)
    return best, found


def measure(robot: str, args: Args) -> dict[str, float]:
    """Seconds of one core for all rollouts, by how they are made."""
    policy, seeds = trained(robot, args), unseen_seeds(args.rollouts)
    physics, steps = physics_alone(policy, seeds, robot)
    hand, expected = seconds_of(lambda: by_hand(policy, seeds, robot), args.repeats)
    single, one = seconds_of(lambda: evaluate(policy, TASK, seeds, robot, together=1), args.repeats)
    in_step, several = seconds_of(lambda: evaluate(policy, TASK, seeds, robot), args.repeats)
    if not expected == one == several:
        raise SystemExit("rollouts depend on how they are made")
    return {
        "successes": sum(rollout.success for rollout in several),
        "steps": steps,
        "physics alone": physics,
        "in step": in_step,
        "one after the other": single,
        "through the environment": hand,
    }


def main(args: Args) -> None:
    if args.fast:
        args.rollouts, args.demonstrations, args.repeats = 4, 4, 1
    torch.set_num_threads(1)
    rows = {robot: measure(robot, args) for robot in ("gripper", "arm")}
    ways = ("physics alone", "in step", "one after the other", "through the environment")
    lines = [f"| {args.rollouts} rollouts of {TASK}, s of one core | {' | '.join(ways)} | steps | successes |"]
    lines.append("|---" * (len(ways) + 3) + "|")
    for robot, row in rows.items():
        cells = [f"{row[way]:.1f} ({row[way] / row['in step']:.2f})" for way in ways]
        lines.append(f"| {robot} | {' | '.join(cells)} | {row['steps']:,} | {row['successes']} |")
    print("\n".join(lines))
    print("in brackets: as a multiple of `in step`")
    if args.fast:
        print("\n--fast: the figures mean nothing")
    claims = [
        Claim(
            f"{args.rollouts} rollouts of {TASK}, {robot}, on one core",
            row["in step"],
            "s",
            20.0,
            at_least=False,
            note=f"{row['in step'] / row['physics alone']:.1f} times the physics alone",
        )
        for robot, row in rows.items()
    ]
    about = {"mujoco": mujoco.__version__, "rollouts": args.rollouts}
    write_claims(args.out / "policies.json", claims, {"rows": rows, **about})


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
