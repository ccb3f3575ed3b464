"""How many steps does shaping by progress save? Results: shaping.md

SAC learns the last part of two tasks with the flying gripper, so that the bare outcome teaches something too: `sparse`
against `shaped` (potential-based, from the simulator's progress), beside progress itself as the reward (`dense`) and
the naive `difference`. The last is also put to the push-or-give-up problem of give_up.py. A run is written down when
it is over; a study cut short goes on, and nothing is run twice.

    nice .venv/bin/python experiments/shaping.py            # about 50 CPU seconds a training
    .venv/bin/python experiments/shaping.py --fast          # seconds, its figures mean nothing
"""

import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path

import give_up
import numpy as np
import shaping_picture
import torch
import tyro
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback

from headway.episodes import Array
from headway.files import replacing
from headway_envs.seeds import unseen_seeds
from headway_envs.tasks import find_task
from headway_envs.tasks.base import Layout
from headway_policies.online_rl import OnlineTask, make_vector, succeeds

GAMMA = 0.9
SCALE = 10.0
"""Of every reward alike: an outcome of 10 stands out against the entropy that SAC pays for."""
LEVEL = 0.5
"""The success rate whose first reaching is counted."""
SETTLED = 0.9
"""The success rate from which on, to the end, a training has settled."""
LAST = 3
"""Evaluations that the final success is the mean of."""
EVALUATED = 20


@dataclass
class Args:
    """What to run."""

    seeds: int = 3
    """Trainings of each arm."""
    steps: int = 3000
    """Decisions of the agent in a training."""
    every: int = 125
    """Decisions between evaluations."""
    arms: tuple[str, ...] = ("shaped", "sparse", "difference", "dense")
    """Rewards, the ones most wanted first."""
    fast: bool = False
    """A few decisions, to see that it runs."""
    out: Path = Path("runs/shaping")
    """Folder for the rows and the picture."""


@dataclass(frozen=True)
class Row:
    """The success rate of one training after so many decisions."""

    task: str
    reward: str
    seed: int
    steps: int
    success: float
    cpu_seconds: float


def in_hand(layout: Layout) -> Layout:
    """One layout of lift: the fingers touch the cube, 0 to 9 cm above where it rests."""
    base, random = find_task("lift").layout(0), np.random.default_rng([layout.seed, 7])
    cube = np.add(base.objects[0], (0, 0, random.uniform(0, 0.09)))
    hand = np.add(cube, (0, 0, random.uniform(-0.005, 0.005)))
    return replace(base.with_object(0, tuple(cube.tolist())), hand=tuple(hand.tolist()), opening=base.edge)


def beside_the_bin(layout: Layout) -> Layout:
    """One layout of place-in-bin: the fingers touch the cube in the air, 5 to 11 cm short of being over the bin."""
    base, random = find_task("place-in-bin").layout(0), np.random.default_rng([layout.seed, 7])
    cube, middle = np.array(base.objects[0][:2]), np.array(base.objects[2][:2])
    way = (cube - middle) / np.abs(cube - middle).max()
    aside = np.array([-way[1], way[0]])
    x, y = (middle + random.uniform(0.11, 0.17) * way + random.uniform(-0.015, 0.015) * aside).tolist()
    hand = (x, y, float(random.uniform(0.075, 0.095)))
    return replace(base.with_object(0, hand), hand=hand, opening=base.edge)


TASKS = {
    "lift": OnlineTask("lift", "gripper", seconds=2.5, repeat=5, start=in_hand),
    "place-in-bin": OnlineTask("place-in-bin", "gripper", seconds=3, repeat=5, start=beside_the_bin),
}


class Evaluation(BaseCallback):
    """Rolls the deterministic policy out before the first decision and after every so many."""

    def __init__(self, row: Callable[[int, float], Row], task: OnlineTask, every: int, layouts: range):
        super().__init__()
        self.rows: list[Row] = []
        self._row, self._task, self._every, self._layouts = row, task, every, layouts

    def _on_training_start(self) -> None:
        self._evaluate()

    def _on_step(self) -> bool:
        if self.num_timesteps % self._every == 0:
            self._evaluate()
        return True

    def _evaluate(self) -> None:
        success = succeeds(lambda seen: self.model.predict(seen, deterministic=True)[0], self._task, self._layouts)
        self.rows.append(self._row(self.num_timesteps, float(success.mean())))


def learn(name: str, reward: str, seed: int, args: Args) -> list[Row]:
    """One training and its evaluations."""
    task, begun = TASKS[name], time.process_time()

    def row(steps: int, success: float) -> Row:
        return Row(name, reward, seed, steps, success, round(time.process_time() - begun, 1))

    agent = SAC(
        "MlpPolicy",
        make_vector(task, reward, GAMMA, SCALE, seed=seed),
        gamma=GAMMA,
        # falling, because with so few decisions a constant rate does not settle
        learning_rate=lambda left: 1e-3 * max(left, 0.1),
        tau=0.01,
        batch_size=128,
        learning_starts=200,
        ent_coef="auto_0.1",
        policy_kwargs={"net_arch": [64, 64], "optimizer_kwargs": {"fused": True}},
        seed=seed,
        device="cpu",
    )
    evaluation = Evaluation(row, task, args.every, unseen_seeds(4 if args.fast else EVALUATED))
    agent.learn(args.steps, callback=evaluation)
    return evaluation.rows


def read_rows(path: Path) -> list[Row]:
    """The rows of runs that are over."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        kinds = {field.name: field.type for field in fields(Row)}
        return [Row(**{name: kinds[name](value) for name, value in row.items()}) for row in csv.DictReader(file)]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    with replacing(path) as beside, beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def curves(rows: Sequence[Row], task: str, reward: str) -> dict[int, tuple[Array, Array]]:
    """Decisions and success rates of each seed."""
    chosen = [row for row in rows if (row.task, row.reward) == (task, reward)]
    return {
        seed: tuple(np.array([(row.steps, row.success) for row in chosen if row.seed == seed]).T)
        for seed in sorted({row.seed for row in chosen})
    }


def steps_to(steps: Array, success: Array) -> float:
    """Decisions until two evaluations in a row reach LEVEL, the first of them; infinite where none do."""
    reached = (success[:-1] >= LEVEL) & (success[1:] >= LEVEL)
    return float(steps[np.argmax(reached)]) if reached.any() else np.inf


def steps_to_settle(steps: Array, success: Array) -> float:
    """Decisions from which on every evaluation reaches SETTLED; infinite where the last one does not."""
    first = int(np.max(np.flatnonzero(success < SETTLED), initial=-1)) + 1
    return float(steps[first]) if first < len(steps) else np.inf


def spread(values: Sequence[float], most: float, form: str = "{:.0f}") -> str:
    """Median and, in brackets, the lowest and the highest; what is beyond `most` is only known to be."""
    shown = [form.format(value) if value < np.inf else f"> {most:.0f}" for value in np.sort(values)]
    middle = float(np.median(values))
    return f"{form.format(middle) if middle < np.inf else f'> {most:.0f}'} [{shown[0]}, {shown[-1]}]"


def saved(sparse: Sequence[float], shaped: Sequence[float], most: float) -> str:
    """How many times the decisions sparse reward takes, where shaped gets there: the median, and every seed's."""
    ratios = sorted(min(slow, most) / quick for slow, quick in zip(sparse, shaped, strict=True) if quick < np.inf)
    if not ratios:
        return "not known, no seed with both in which shaped got there"
    least = "at least " if np.isinf(sparse).any() else ""
    return f"{least}{np.median(ratios):.1f} ({', '.join(f'{ratio:.1f}' for ratio in ratios)})"


MEASURES = {f"decisions to {LEVEL:.0%}": steps_to, f"settled at {SETTLED:.0%}": steps_to_settle}


def table(rows: Sequence[Row]) -> str:
    """Decisions to LEVEL and to SETTLED and final success of every arm, and what shaping saves; in Markdown."""
    lines = [f"| task | reward | seeds | {' | '.join(MEASURES)} | final success |", "|---|---|---|---|---|---|"]
    below = []
    for task in dict.fromkeys(row.task for row in rows):
        most = max(row.steps for row in rows if row.task == task)
        arms = {
            reward: curves(rows, task, reward) for reward in dict.fromkeys(r.reward for r in rows if r.task == task)
        }
        for reward, each in arms.items():
            taken = [spread([measure(*curve) for curve in each.values()], most) for measure in MEASURES.values()]
            last = spread([success[-LAST:].mean() for _, success in each.values()], 1, "{:.2f}")
            lines.append(f"| {task} | {reward} | {len(each)} | {' | '.join(taken)} | {last} |")
        sparse, shaped = arms.get("sparse", {}), arms.get("shaped", {})
        both = sorted(sparse.keys() & shaped.keys())
        for name, measure in MEASURES.items():
            ratio = saved([measure(*sparse[seed]) for seed in both], [measure(*shaped[seed]) for seed in both], most)
            below.append(f"{task}, {name}: sparse over shaped {ratio}")
    return "\n".join([*lines, "", *below])


def main(args: Args) -> None:
    if args.fast:
        args = replace(args, seeds=1, steps=60, every=30, arms=("shaped", "sparse"), out=args.out / "fast")
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "rows.csv"
    rows = read_rows(path)
    if rows and max(row.steps for row in rows) != args.steps:
        raise SystemExit(f"{path} is of trainings of another length than {args.steps} decisions: pass another --out")
    wanted = [
        (reward, seed, task)
        for first in (args.arms[:2], args.arms[2:])
        for seed in range(args.seeds)
        for reward in first
        for task in TASKS
    ]
    for reward, seed, task in wanted:
        if any((row.task, row.reward, row.seed) == (task, reward, seed) for row in rows):
            continue
        rows += learn(task, reward, seed, args)
        write_rows(path, rows)
        print(*astuple(rows[-1]), flush=True)
    panels = {task: {reward: list(curves(rows, task, reward).values()) for reward in args.arms} for task in TASKS}
    shaping_picture.draw(panels, LEVEL, args.out / "shaping.svg")
    print(table(rows), give_up.table(2 if args.fast else 5), f"rows and picture are in {args.out}", sep="\n\n")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
