"""Does a policy get better by its own rollouts, and what if the score can be gamed? Results: self_improvement.md

The flying gripper learns `lift` from a few demonstrations and goes through the loop of `self_improvement`: roll out,
score, keep the best quarter, learn anew. Only the scorer differs:

    truth      the simulator's progress: as sound as a scorer can be
    hand       how near the hand is to the bin, as it is at the end of every demonstration, with a cube or without
    few        a network taught progress with half a dozen demonstrations, and nothing of what else may happen
    ensemble   five such networks, each taught with as many others, mean less two standard deviations

Without a loop each round's policy would be the first round's: training begins anew every round, with the same seed and
the same number of updates. Every round is kept; a study cut short goes on.

    nice .venv/bin/python experiments/self_improvement.py             # 4 loops a seed
    nice .venv/bin/python experiments/self_improvement.py --fast      # seconds, its figures mean nothing
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import self_improvement_table
import torch
import tyro

from headway.ensemble import Rule
from headway.episodes import Array
from headway.signals.weights.scored import ScoredFrames
from headway_envs.recording import Recorder, RecordingOptions
from headway_envs.seeds import collection_seeds
from headway_envs.trajectory import Trajectory
from headway_policies.behaviour_cloning import CloningConfig
from headway_policies.demonstrations import Recording
from headway_policies.lanes import Setting
from headway_policies.loop_files import Round
from headway_policies.scorers import EnsembleScorer, Scorer, TruthScorer, time_averaged
from headway_policies.self_improvement import LoopConfig, improve
from headway_policies.signature import signature_of
from headway_policies.state_progress import StateProgress, StateProgressConfig, learn_progress

TASK, ROBOT, SECONDS = "place-in-bin", "gripper", 6.0
DEMONSTRATIONS, TAUGHT, MEMBERS = 20, 6, 5
OFFSET = (0.04, 0.04, 0.02, 0.0)
"""Of the place the hand is sent to, in metres, in half of the rollouts; none on the grip."""
KEPT = 0.25
"""Share of the rollouts that are learnt from."""
FAR = 0.5
"""Metres from the bin at which the hand is as far as it goes."""


@dataclass
class Args:
    """What to run."""

    seeds: int = 3
    """Each with demonstrations, a scorer and loops of its own."""
    first: int = 0
    """The first of the seeds."""
    arms: tuple[str, ...] = ("hand", "truth", "few", "ensemble")
    """Scorers."""
    fast: bool = False
    """Two short rounds, to see that it runs."""
    out: Path = Path("runs/self_improvement")
    """Folder for the loops and the picture."""


@dataclass(frozen=True)
class HandAtBin:
    """1 - metres from the hand to the bin / FAR, in [0, 1], with a cube or without: it asks to be gamed."""

    def score(self, episodes: Sequence[Trajectory]) -> list[Array]:
        return [np.clip(1 - self.metres(episode) / FAR, 0, 1).astype(np.float64) for episode in episodes]

    def metres(self, episode: Trajectory) -> Array:
        signature = signature_of(TASK, ROBOT)
        bin_at = signature.environment_state.index("bin.x")
        way = episode.environment_state[:, bin_at : bin_at + 2] - episode.state[:, signature.hand][:, :2]
        return np.linalg.norm(way, axis=1)


def hand(demonstrations: Sequence[Trajectory], seed: int) -> Scorer:
    return HandAtBin()


def truth(demonstrations: Sequence[Trajectory], seed: int) -> Scorer:
    return TruthScorer()


def few(demonstrations: Sequence[Trajectory], seed: int) -> Scorer:
    return taught(demonstrations, seed, 0)


def ensemble(demonstrations: Sequence[Trajectory], seed: int) -> Scorer:
    return EnsembleScorer(tuple(taught(demonstrations, seed, member) for member in range(MEMBERS)), Rule(2.0))


def taught(demonstrations: Sequence[Trajectory], seed: int, member: int) -> StateProgress:
    """Progress from some of the demonstrations, labelled by how much of the time has gone by: all are successes."""
    drawn = np.random.default_rng([seed, member, 14]).permutation(len(demonstrations))[:TAUGHT]
    chosen = [demonstrations[number] for number in drawn]
    labels = [np.linspace(0, 1, len(one)) for one in chosen]
    config = StateProgressConfig(steps=400, batch=128, seed=1000 * seed + member)
    return learn_progress(chosen, labels, signature_of(TASK, ROBOT), config)


SCORERS: dict[str, Callable[[Sequence[Trajectory], int], Scorer]] = {
    "hand": hand,
    "truth": truth,
    "few": few,
    "ensemble": ensemble,
}


def weigh(frames: ScoredFrames, rollouts: Sequence[Recording]) -> Array:
    """Keep the best quarter of the rollouts, by progress over the time allowed."""
    each = time_averaged([values for _, values in frames.curves()], round(SECONDS * frames.fps))
    return frames.over_frames((each >= np.quantile(each, 1 - KEPT)).astype(float))


def demonstrate(seed: int, number: int) -> list[Trajectory]:
    recorder = Recorder(TASK, RecordingOptions(robot=ROBOT, cameras=()))
    try:
        return [recorder.record(layout) for layout in collection_seeds(seed, number)]
    finally:
        recorder.close()


def loop_config(seed: int, fast: bool) -> LoopConfig:
    if fast:
        cloning = CloningConfig(width=32, steps=40, batch=64)
        return LoopConfig(rounds=2, rollouts=4, evaluated=4, exploration=OFFSET, cloning=cloning, seed=seed)
    cloning = CloningConfig(width=64, steps=250, batch=128)
    return LoopConfig(rounds=4, rollouts=20, evaluated=30, share=1.0, exploration=OFFSET, cloning=cloning, seed=seed)


def tell(arm: str, seed: int, finished: Round) -> None:
    drift = "" if finished.chi_square is None else f", chi2 {finished.chi_square:.1f}, beyond {finished.beyond}"
    print(
        f"{arm} {seed} round {finished.number}: proxy {finished.proxy:.3f}, truth {finished.truth:.3f}, "
        f"success {finished.success:.0%}{drift}{' ALARM' if finished.alarm else ''}",
        flush=True,
    )


def main(args: Args) -> None:
    torch.set_num_threads(1)
    out = args.out / ("fast" if args.fast else "full")
    number = 4 if args.fast else DEMONSTRATIONS
    setting = Setting(TASK, ROBOT, seconds=1.0 if args.fast else SECONDS)
    for seed in range(args.first, args.first + (1 if args.fast else args.seeds)):
        demonstrations = demonstrate(seed, number)
        config = loop_config(seed, args.fast)
        for arm in args.arms:
            about = f"{number} demonstrations of collection {seed}, scored by {arm}, the best {KEPT:.0%} kept"
            scorer = SCORERS[arm](demonstrations, seed)
            folder = out / f"{arm}-{seed}"
            improve(demonstrations, scorer, weigh, setting, config, folder, about, advance=partial(tell, arm, seed))
    print(self_improvement_table.write(out, tuple(SCORERS)))


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
