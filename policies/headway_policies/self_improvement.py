"""Self-improvement: roll out, score, weigh, learn again; with an eye on where the policy goes.

Round r, with a policy that learnt from the demonstrations and, from r = 1 on, from weighted rollouts of earlier rounds:

    1. roll out on layouts that nobody has met, exploring, and keep what was carried out
    2. score the rollouts: the proxy, which is all that the loop knows of how well it does
    3. compare where the policy went with where the data has been (`drift`)
    4. evaluate the policy, as it is, on layouts that are the same in every round: for the record only
    5. weigh the rollouts by their scores and learn anew: the next round's policy

Truth is written down, to be plotted, and nothing in the loop depends on it. Demonstrations weigh 1 a frame; the
rollouts together weigh `share` times as much as they do.

All of it is kept (`loop_files`), and a loop cut short goes on after the last finished round.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.signals.weights.scored import ScoredFrames
from headway_envs.seeds import collection_seeds, unseen_seeds
from headway_envs.trajectory import Trajectory
from headway_policies.behaviour_cloning import ClonedPolicy, CloningConfig, clone
from headway_policies.demonstrations import Recording, gather
from headway_policies.drift import Drift, DriftAlarm, split
from headway_policies.failure_credit import deeds
from headway_policies.lanes import Setting
from headway_policies.loop_files import Kept, Round, read_rollouts, take_up, write_round
from headway_policies.recorded_rollouts import Exploration, record_rollouts
from headway_policies.rollout import evaluate
from headway_policies.scorers import Scorer, final_progress, time_averaged
from headway_policies.signature import Signature, signature_of

FRESH = 1_000_000
"""Collections from here on are the loops': far from those that people number."""
VERSION = 1

Weigh = Callable[[ScoredFrames, Sequence[Recording]], Array]
"""Scored rollouts and the numbers of each -> float64 (frames,) of at least 0, NaN for a frame to leave out."""


@dataclass(frozen=True)
class LoopConfig:
    """How a loop runs.

    Attributes:
        rounds: of rolling out; the policy is trained once before each.
        rollouts: in a round. The first has twice as many: they are the data that drift is measured against.
        remembered: how many rounds back rollouts are learnt from.
        share: what the rollouts weigh together, in weights of all demonstrations.
        exploration: standard deviation of the offset of each value of an action; empty for none.
        explored: share of the rollouts that have an offset.
        done: final progress from which on a rollout is taken for a success.
        evaluated: layouts on which every round's policy is tested.
        false_alarms: promised probability of any false alarm in the whole loop.
        tolerance: of the alarm, see `drift`.
        cloning: how policies are trained; its seed is replaced by `seed`.
        seed: of everything that is drawn.
    """

    rounds: int = 6
    rollouts: int = 30
    remembered: int = 2
    share: float = 2.0
    exploration: tuple[float, ...] = ()
    explored: float = 0.5
    done: float = 0.9
    evaluated: int = 50
    false_alarms: float = 0.05
    tolerance: float = 2.0
    cloning: CloningConfig = field(default_factory=CloningConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "remembered", "evaluated"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.rollouts < 2:
            raise InvalidValue(f"a round needs at least 2 rollouts, got {self.rollouts}")
        if not self.share >= 0:
            raise InvalidValue(f"share must be at least 0, got {self.share:g}")


def improve(
    demonstrations: Sequence[Trajectory],
    scorer: Scorer,
    weigh: Weigh,
    setting: Setting,
    config: LoopConfig,
    folder: Path,
    about: str,
    cameras: tuple[str, ...] = (),
    advance: Callable[[Round], object] = lambda finished: None,
) -> list[Round]:
    """Run the loop, or the rest of it: all its rounds.

    The same arguments give the same rounds, cut short or not. The policy of each round is kept, so that the one before
    an alarm is still there.

    Args:
        demonstrations: what the first policy learns from.
        scorer: who says how far along rollouts are.
        weigh: what their frames weigh.
        setting: where the policy acts, and for how long at most.
        config: how the loop runs.
        folder: where it is kept.
        about: what the demonstrations, the scorer and the weights are: a loop goes on only where it is the same.
        cameras: drawn for the scorer.
        advance: called with each round, also those that were there.

    Raises OutputError when the folder holds another loop, InvalidValue when the weights leave nothing to compare, and
    what `clone` and `record_rollouts` raise.
    """
    asked = json.loads(json.dumps({"version": VERSION, "about": about, **asdict(setting), **asdict(config)}))
    rounds = take_up(folder, asked)
    fps = setting.simulator().fps
    for finished in rounds:
        advance(finished)
    kept = [read_rollouts(folder / f"round-{number}") for number in range(len(rounds))]
    signature = signature_of(setting.task_id, setting.robot, setting.action_space)
    alarm = _alarm(demonstrations, kept[0], signature, config) if kept else None
    while len(rounds) < config.rounds:
        number = len(rounds)
        learnt = [one for earlier in kept[max(0, number - config.remembered) :] for one in earlier]
        policy, effective = _learn(demonstrations, learnt, weigh, signature, fps, config)
        recorded = record_rollouts(policy, setting, _fresh(number, config), _exploration(number, config), cameras)
        trajectories = [trajectory for _, trajectory in recorded]
        progress = scorer.score(trajectories)
        kept.append([_kept(one, curve) for one, curve in zip(trajectories, progress, strict=True)])
        drift = alarm.check(kept[-1]) if alarm is not None else None
        tried = evaluate(policy, setting.task_id, unseen_seeds(config.evaluated), setting.robot, setting.action_space,
                         setting.seconds, setting.variation)  # fmt: skip
        finished = Round(
            number=number,
            proxy=float(np.nanmean(time_averaged(progress, round(setting.seconds * fps)))),
            truth=float(np.mean([outcome.progress for outcome, _ in recorded])),
            rollout_success=float(np.mean([outcome.success for outcome, _ in recorded])),
            outcomes=tuple(int(rollout.success) for rollout in tried),
            effective=effective,
            **_of_drift(drift),
        )
        write_round(folder, finished, policy, trajectories, progress)
        rounds.append(finished)
        alarm = alarm or _alarm(demonstrations, kept[0], signature, config)
        advance(finished)
    return rounds


def _learn(
    demonstrations: Sequence[Recording],
    rollouts: Sequence[Kept],
    weigh: Weigh,
    signature: Signature,
    fps: float,
    config: LoopConfig,
) -> tuple[ClonedPolicy, float | None]:
    """The next policy, and the effective share of the rollouts' frames."""
    numbers = gather([*demonstrations, *rollouts], signature)
    own = sum(len(one.action) for one in demonstrations if one.action is not None)
    weights = [np.ones(own)]
    effective = None
    if rollouts:
        weighed = weigh(scored_frames(rollouts, config.done, fps), rollouts)
        known = weighed[~np.isnan(weighed)]
        total = float(known.sum())
        if total > 0:
            effective = total**2 / (len(known) * float((known**2).sum()))
            weighed = weighed * (config.share * own / total)
        weights.append(weighed)
    cloning = CloningConfig(**{**asdict(config.cloning), "seed": config.seed})
    return clone(numbers, np.concatenate(weights), cloning).policy, effective


def scored_frames(rollouts: Sequence[Kept], done: float, fps: float) -> ScoredFrames:
    """The rollouts as weighting schemes take them. One counts as a success when its final progress is `done`."""
    progress = [one.progress for one in rollouts]
    final = final_progress(progress)
    success = np.where(np.isnan(final), np.nan, final >= done)
    lengths = [len(values) for values in progress]
    return ScoredFrames(np.concatenate(progress), np.repeat(np.arange(len(rollouts)), lengths), fps, success)


def _fresh(number: int, config: LoopConfig) -> range:
    """Layouts of a round: the first has twice as many."""
    seeds = collection_seeds(FRESH + config.seed, (config.rounds + 1) * config.rollouts)
    first = (number + 1) * config.rollouts if number else 0
    return seeds[first : (number + 2) * config.rollouts]


def _exploration(number: int, config: LoopConfig) -> Exploration | None:
    if not config.exploration:
        return None
    return Exploration(config.exploration, config.explored, config.seed * 1000 + number)


def _alarm(
    demonstrations: Sequence[Recording], first: Sequence[Kept], signature: Signature, config: LoopConfig
) -> DriftAlarm:
    """The data is the demonstrations and what the first policy did with them; what is compared are their deeds."""
    shown, done = split(demonstrations, config.seed), split(first, config.seed)
    learnt, held_out = ([*one, *other] for one, other in zip(shown, done, strict=True))
    checks = max(1, config.rounds - 1)
    return DriftAlarm(
        learnt, held_out, config.false_alarms, checks, config.tolerance, lambda one: deeds(one, signature)
    )


def _of_drift(drift: Drift | None) -> dict[str, Any]:
    if drift is None:
        return {"chi_square": None, "beyond": (), "needed": (), "alarm": False}
    return {
        "chi_square": drift.chi_square,
        "beyond": drift.beyond,
        "needed": drift.needed,
        "alarm": drift.alarm,
    }


def _kept(trajectory: Trajectory, progress: Array) -> Kept:
    return Kept(trajectory.state, trajectory.environment_state, trajectory.action, np.asarray(progress, np.float64))
