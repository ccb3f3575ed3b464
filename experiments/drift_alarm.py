"""Does the drift alarm ring before a policy that is being pulled astray fails? Results: self_improvement.md

No loop here: a cloned policy of `lift` is pulled upwards a little more each time, as a scorer that likes the hand high
would pull it, and the alarm of `drift` is asked each time. So it is known how far the policy has gone.

    nice .venv/bin/python experiments/drift_alarm.py             # about 12 CPU seconds a seed
    nice .venv/bin/python experiments/drift_alarm.py --fast      # seconds, its figures mean nothing
"""

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
import tyro

from headway.episodes import Array
from headway.files import replacing
from headway_envs.recording import Recorder, RecordingOptions
from headway_envs.seeds import collection_seeds
from headway_policies.behaviour_cloning import ClonedPolicy, CloningConfig, clone
from headway_policies.demonstrations import gather
from headway_policies.drift import DriftAlarm, split
from headway_policies.failure_credit import deeds
from headway_policies.lanes import Setting
from headway_policies.recorded_rollouts import record_rollouts
from headway_policies.signature import signature_of

TASK, ROBOT = "lift", "gripper"
PULLS = (0.0, 0.004, 0.008, 0.012, 0.016, 0.024)
"""Metres by which every target of the hand is too high."""


@dataclass
class Args:
    """What to run."""

    seeds: int = 3
    """Policies, each with demonstrations of its own."""
    fast: bool = False
    """One policy, a few rollouts, to see that it runs."""
    out: Path = Path("runs/drift_alarm")
    """Folder for the rows."""


@dataclass(frozen=True)
class Row:
    """What one pull did to one policy."""

    seed: int
    pull: float
    height: float
    success: float
    rollouts: int
    chi_square: float
    beyond: str
    needed: str
    alarm: bool


class Pulled(ClonedPolicy):
    """A policy whose hand is sent too high."""

    def __init__(self, policy: ClonedPolicy, pull: float):
        super().__init__(policy.network, policy.executed)
        self.pull = np.array([0, 0, pull, 0], dtype=np.float32)

    def act_together(self, state: Array, environment_state: Array) -> Array:
        return super().act_together(state, environment_state) + self.pull


def rows_of_seed(seed: int, fast: bool) -> Iterator[Row]:
    signature = signature_of(TASK, ROBOT)
    recorder = Recorder(TASK, RecordingOptions(robot=ROBOT, cameras=()))
    shown = [recorder.record(layout) for layout in collection_seeds(seed, 3 if fast else 20)]
    demonstrations = gather(shown, signature)
    config = CloningConfig(width=64, steps=20 if fast else 250, batch=128, seed=seed)
    policy = clone(demonstrations, np.ones(len(demonstrations)), config).policy
    setting = Setting(TASK, ROBOT, seconds=1.0 if fast else 6.0)
    each = 4 if fast else 24
    seeds = collection_seeds(2_000_000 + seed, (len(PULLS) + 2) * each)
    data = [trajectory for _, trajectory in record_rollouts(policy, setting, seeds[: 2 * each])]
    learnt, held_out = ([*one, *other] for one, other in zip(split(shown, seed), split(data, seed), strict=True))
    alarm = DriftAlarm(learnt, held_out, 0.05, len(PULLS), 2.0, lambda one: deeds(one, signature))
    for number, pull in enumerate(PULLS[: 2 if fast else None]):
        fresh = seeds[(number + 2) * each : (number + 3) * each]
        recorded = record_rollouts(Pulled(policy, pull), setting, fresh)
        drift = alarm.check([trajectory for _, trajectory in recorded])
        yield Row(
            seed,
            pull,
            float(np.mean([trajectory.state[:, signature.hand][:, 2].mean() for _, trajectory in recorded])),
            float(np.mean([outcome.success for outcome, _ in recorded])),
            len(recorded),
            drift.chi_square,
            "+".join(map(str, drift.beyond)),
            "+".join(map(str, drift.needed)),
            drift.alarm,
        )


def main(args: Args) -> None:
    torch.set_num_threads(1)
    path = args.out / ("rows-fast.csv" if args.fast else "rows.csv")
    rows = read(path)
    for seed in range(1 if args.fast else args.seeds):
        if any(row["seed"] == str(seed) for row in rows):
            continue
        for row in rows_of_seed(seed, args.fast):
            rows.append({name: str(value) for name, value in asdict(row).items()})
            print(row, flush=True)
        write(path, rows)
    print(table(rows))


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with replacing(path) as beside, beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(rows)


def table(rows: list[dict[str, str]]) -> str:
    lines = ["| seed | pulled up by, mm | mean height of the hand, cm | success | beyond the mark, of needed | alarm |"]
    lines.append("|---" * 6 + "|")
    for row in rows:
        height, success = 100 * float(row["height"]), float(row["success"])
        rung = "rings" if row["alarm"] == "True" else "-"
        lines.append(
            f"| {row['seed']} | {1000 * float(row['pull']):.0f} | {height:.1f} | {success:.0%} | "
            f"{row['beyond']} of {row['needed']} | {rung} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
