"""How many steps does shaping by progress save? Results: shaping.md

SAC learns two tasks with the flying gripper, from starts near the goal, so that the bare outcome teaches something
too: `sparse` against `shaped` (potential-based, from the simulator's progress), beside progress itself as the reward
(`dense`) and the naive `difference`. The last is also put to the push-or-give-up problem of give_up.py. A run is
written down when it is over; a study cut short goes on, and nothing is run twice.

    nice .venv/bin/python experiments/shaping.py            # about 40 CPU seconds a training
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

GAMMA = 0.95
SCALE = 10.0
"""Of every reward alike: an outcome of 10 stands out against the entropy that SAC pays for."""
LEVEL = 0.5
"""The success rate whose first reaching is counted."""
LAST = 3
"""Evaluations that the final success is the mean of."""
EVALUATED = 20


@dataclass
class Args:
    """What to run."""

    seeds: int = 3
    """Trainings of each arm."""
    steps: int = 2500
    """Decisions of the agent in a training."""
    every: int = 250
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


def jitter(layout: Layout) -> Array:
    """Metres in x, y and z by which a start differs from its fellows: up to 1 cm, half of it in height."""
    return np.random.default_rng([layout.seed, 7]).uniform(-0.01, 0.01, 3) * (1, 1, 0.5)


def behind_the_puck(layout: Layout) -> Layout:
    """One layout: the puck 5 cm from the mark, the closed hand just above where it pushes from, moved by the jitter."""
    base = find_task("push-to-goal").layout(3)
    puck, goal = (np.array(place) for place in base.objects[:2])
    back = (puck - goal)[:2] / np.linalg.norm((puck - goal)[:2])
    x, y = (goal[:2] + 0.05 * back).tolist()
    near = base.with_object(0, (x, y, float(puck[2])))
    hand = np.array((*find_task("push-to-goal").canonical(1, near).hand[:2], 0.055)) + jitter(layout)
    return replace(near, hand=tuple(hand.tolist()))


def over_the_cube(layout: Layout) -> Layout:
    """One layout: the open hand 2 cm above the cube, moved by the jitter."""
    base = find_task("lift").layout(0)
    hand = np.add(base.objects[0], jitter(layout) + np.array([0, 0, 0.02]))
    return replace(base, hand=tuple(hand.tolist()), opening=0.07)


TASKS = {
    "push-to-goal": OnlineTask("push-to-goal", "gripper", seconds=3.5, repeat=5, start=behind_the_puck),
    "lift": OnlineTask("lift", "gripper", seconds=3.5, repeat=5, start=over_the_cube),
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


def spread(values: Sequence[float], most: float, form: str = "{:.0f}") -> str:
    """Median and, in brackets, the lowest and the highest; what is beyond `most` is only known to be."""
    shown = [form.format(value) if value < np.inf else f"> {most:.0f}" for value in np.sort(values)]
    middle = float(np.median(values))
    return f"{form.format(middle) if middle < np.inf else f'> {most:.0f}'} [{shown[0]}, {shown[-1]}]"


def saved(sparse: Sequence[float], shaped: Sequence[float], most: float) -> str:
    """How many times the decisions sparse reward takes, where shaped reaches LEVEL: the median, and every seed's."""
    ratios = sorted(min(slow, most) / quick for slow, quick in zip(sparse, shaped, strict=True) if quick < np.inf)
    if not ratios:
        return "not known, no seed with both in which shaped reached the level"
    least = "at least " if np.isinf(sparse).any() else ""
    return f"{least}{np.median(ratios):.1f} ({', '.join(f'{ratio:.1f}' for ratio in ratios)})"


def table(rows: Sequence[Row]) -> str:
    """Decisions to LEVEL and final success of every arm, and what shaping saves; in Markdown."""
    lines = [f"| task | reward | seeds | decisions to {LEVEL:.0%} | final success |", "|---|---|---|---|---|"]
    below = []
    for task in dict.fromkeys(row.task for row in rows):
        taken = {}
        most = max(row.steps for row in rows if row.task == task)
        for reward in dict.fromkeys(row.reward for row in rows if row.task == task):
            each = curves(rows, task, reward)
            taken[reward] = {seed: steps_to(*curve) for seed, curve in each.items()}
            last = [success[-LAST:].mean() for _, success in each.values()]
            until = spread(list(taken[reward].values()), most)
            lines.append(f"| {task} | {reward} | {len(each)} | {until} | {spread(last, 1, '{:.2f}')} |")
        both = sorted(taken.get("sparse", {}).keys() & taken.get("shaped", {}).keys())
        ratio = saved([taken["sparse"][seed] for seed in both], [taken["shaped"][seed] for seed in both], most)
        below.append(f"{task}: decisions with sparse over those with shaped: {ratio}")
    return "\n".join([*lines, "", *below])


def main(args: Args) -> None:
    if args.fast:
        args = replace(args, seeds=1, steps=60, every=30, arms=("shaped", "sparse"), out=args.out / "fast")
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "rows.csv"
    rows = read_rows(path)
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
