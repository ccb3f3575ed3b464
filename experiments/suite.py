"""What the simulated suite is worth: experts, imperfections, truth and speed, task by task. Results: suite.md

For every task: how often the disturbed expert succeeds over 200 layouts (Wilson's 95 % interval), how often each
imperfection truly fails, how true progress goes with time in expert and in imperfect episodes (were truth a clock, it
would be 1 in both), and how fast the simulation steps and draws. Ends with a contact sheet of every task and kind.

    .venv/bin/python experiments/suite.py             # about 15 minutes on 2 cores
    .venv/bin/python experiments/suite.py --fast      # under a minute, its figures mean little
"""

import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tyro
from contact_sheet import draw_sheets
from scipy.stats import binomtest
from tqdm import tqdm

from headway.files import write_json
from headway_envs.demonstrators import KINDS, kinds_of
from headway_envs.mix import Job
from headway_envs.recording import Recorder, RecordingOptions
from headway_envs.seeds import unseen_seeds
from headway_envs.tasks import TASKS

PICTURE = 84
"""Pixels of the frames that are drawn to measure speed."""


@dataclass
class Args:
    """What to run."""

    expert_seeds: int = 200
    """Layouts of every task for the expert."""
    kind_seeds: int = 30
    """Layouts of every task for each imperfection."""
    robot: str = "arm"
    """`arm` or `gripper`."""
    fast: bool = False
    """A few layouts, to see that it runs."""
    out: Path = Path("runs/suite")
    """Folder for rows, table and sheets."""


@dataclass(frozen=True)
class Row:
    """One episode: its kind, whether it succeeds, its seconds, correlation of true progress with time, and the share
    of its steps on which an imperfection is at work."""

    kind: str
    succeeded: bool
    seconds: float
    correlation: float
    imperfect: float


_recorder: Recorder


def _start(task_id: str, robot: str) -> None:
    global _recorder
    _recorder = Recorder(task_id, RecordingOptions(robot=robot, cameras=()))


def _row(job: Job) -> Row:
    made = _recorder.record(*job)
    progress = made.truth.progress
    moves = progress.std() > 0
    correlation = float(np.corrcoef(progress, np.arange(len(made)))[0, 1]) if moves else float("nan")
    share = float(made.truth.imperfection.any(axis=1).mean())
    return Row(made.kind, made.truth.succeeded, len(made) / made.fps, correlation, share)


def rows_of(task_id: str, args: Args) -> list[Row]:
    """Every episode of a task, on layouts that no collection has; from an earlier run's file where there is one."""
    kept = args.out / f"{args.robot}-{args.expert_seeds}-{args.kind_seeds}" / f"{task_id}.json"
    if kept.exists():
        return [Row(**row) for row in json.loads(kept.read_text())]
    jobs = [(seed, "expert") for seed in unseen_seeds(args.expert_seeds)]
    for kind in kinds_of(TASKS[task_id])[1:]:
        jobs += [(seed, kind) for seed in unseen_seeds(args.kind_seeds)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, initializer=_start, initargs=(task_id, args.robot)) as pool:
        rows = list(tqdm(pool.map(_row, jobs, chunksize=4), desc=task_id, total=len(jobs), unit="episode"))
    write_json(kept, [{key: value if value == value else None for key, value in asdict(row).items()} for row in rows])
    return rows


def speed(task_id: str, robot: str) -> tuple[float, float, float]:
    """Per second of one core: expert's control steps, steps with a frame each, and frames alone."""
    recorder = Recorder(task_id, RecordingOptions(robot=robot, cameras=()))
    simulator, task = recorder.simulator, recorder.task
    situation = simulator.reset(task.layout(0))
    simulator.frame("front", PICTURE, PICTURE)
    spent = {"steps": 0.0, "frames": 0.0}
    count = 150
    for _ in range(count):
        begun = time.process_time()
        situation = simulator.step(simulator.command(task.act(situation)))
        between = time.process_time()
        simulator.frame("front", PICTURE, PICTURE)
        spent["steps"] += between - begun
        spent["frames"] += time.process_time() - between
    recorder.close()
    return count / spent["steps"], count / sum(spent.values()), count / spent["frames"]


def task_table(found: dict[str, list[Row]], speeds: dict[str, tuple[float, float, float]]) -> str:
    """One line a task, as Markdown."""
    heads = ["task", "stages", "expert succeeds", "seconds", "progress with time: expert", "imperfect"]
    heads += ["steps /s", "steps with frame /s", "frames /s"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for task_id, rows in found.items():
        expert = [row for row in rows if row.kind == "expert"]
        others = [row for row in rows if row.kind != "expert"]
        cells = [
            task_id,
            str(len(TASKS[task_id].stage_names)),
            interval(sum(row.succeeded for row in expert), len(expert)),
            f"{np.mean([row.seconds for row in expert]):.1f}",
            f"{correlation(expert):.2f}",
            f"{correlation(others):.2f}",
            *(f"{value:,.0f}" for value in speeds[task_id]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def kind_table(found: dict[str, list[Row]]) -> str:
    """Share of episodes that truly fail, one line a kind and one column a task, as Markdown."""
    met = {row.kind for rows in found.values() for row in rows}
    kinds = [kind for kind in KINDS if kind in met]
    lines = [f"| truly fails | {' | '.join(found)} |", "|---" * (len(found) + 1) + "|"]
    for kind in kinds:
        cells = []
        for rows in found.values():
            failed = [not row.succeeded for row in rows if row.kind == kind]
            cells.append(f"{100 * np.mean(failed):.0f} %" if failed else "-")
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def interval(successes: int, count: int) -> str:
    """`successes` of `count` in per cent with Wilson's interval."""
    found = binomtest(successes, count).proportion_ci(0.95, method="wilson")
    return f"{100 * successes / count:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}] ({successes}/{count})"


def correlation(rows: Sequence[Row]) -> float:
    """Mean over the episodes in which true progress moves at all."""
    known = [row.correlation for row in rows if row.correlation is not None and not np.isnan(row.correlation)]
    return float(np.mean(known))


def main(args: Args) -> None:
    if args.fast:
        args.expert_seeds, args.kind_seeds = 2, 1
    found = {task_id: rows_of(task_id, args) for task_id in TASKS}
    speeds = {task_id: speed(task_id, args.robot) for task_id in TASKS}
    text = f"{task_table(found, speeds)}\n\n{kind_table(found)}\n"
    print(text)
    (args.out / "tables.md").write_text(text)
    sheets = draw_sheets(args.out / "sheets", args.robot, list(TASKS)[:1] if args.fast else list(TASKS))
    print(f"tables are in {args.out / 'tables.md'}, contact sheets in {sheets}")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
