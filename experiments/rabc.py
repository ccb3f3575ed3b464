"""Does weighting by progress make a better policy, and is estimated progress good enough? Results: rabc.md

For each task a pool of mixed demonstrations is collected, with bad stretches inside successes and good ones inside
failures, and its progress estimated by SARM from marks as a hurried person makes them, each episode by a network that
never saw it. A seed draws some of the pool's episodes and trains every arm on them from the same initial weights; each
policy acts on the same 100 unseen layouts. Arms are compared seed by seed and layout by layout. The noise floor is the
same data trained with eight seeds. A row is written as soon as it is known: the study may be stopped and run over days.

    .venv/bin/python experiments/rabc.py            # all, about 3 hours on 2 cores
    .venv/bin/python experiments/rabc.py --fast     # a minute or two, its figures mean nothing
    .venv/bin/python experiments/rabc.py --table    # the tables of the rows there are
"""

import json
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import tyro
from rabc_arms import ALL_ARMS, DECISIVE, draw, train
from rabc_data import FAST, ROBOT, Pool, Size, make_pool
from rabc_picture import draw as draw_picture
from rabc_table import print_tables
from tqdm import tqdm

from headway.errors import InvalidValue
from headway_envs.seeds import unseen_seeds
from headway_envs.tasks import find_task
from headway_policies.behaviour_cloning import CloningConfig
from headway_policies.rollout import evaluate, where_failures_end

TASKS = {"stack-three": 60, "tidy-drawer": 30, "sort-by-colour": 60, "place-in-bin": 60}
"""And how many demonstrations a seed draws: so many that plain cloning neither always fails nor always succeeds."""
NOISE_ARMS = ("all", "oracle")


@dataclass
class Args:
    """What to run."""

    decisive_seeds: int = 24
    """Pairs of the four arms that decide."""
    seeds: int = 8
    """Pairs of the others, and trainings on the same data for the noise floor."""
    rollouts: int = 100
    """Layouts that each policy is tested on."""
    steps: int = 700
    """Of training."""
    fast: bool = False
    """A few episodes and steps, to see that it runs."""
    table: bool = False
    """Only print the tables of what is known."""
    out: Path = Path("runs/rabc")
    """Folder for the demonstrations, the estimators and the rows."""


@dataclass(frozen=True)
class Job:
    """One policy. `data` draws the demonstrations; `seed` initialises and orders the training."""

    task: str
    arm: str
    data: int
    seed: int


def jobs_of(args: Args) -> list[Job]:
    """All policies, what decides first and low seeds before high ones, so that an unfinished study says the most."""
    tasks, few, many = tasks_of(args), range(args.seeds), range(args.seeds, args.decisive_seeds)
    decisive = [Job(task, arm, seed, seed) for seed in few for task in tasks for arm in DECISIVE]
    others = [Job(task, arm, seed, seed) for seed in few for task in tasks for arm in ALL_ARMS if arm not in DECISIVE]
    noise = [Job(task, arm, 0, seed) for seed in few[1:] for task in tasks for arm in NOISE_ARMS]
    more = [Job(task, arm, seed, seed) for seed in many for task in tasks for arm in DECISIVE]
    return decisive + others + noise + more


def tasks_of(args: Args) -> tuple[str, ...]:
    return tuple(TASKS)[: 1 if args.fast else None]


def size_of(args: Args) -> Size:
    return FAST if args.fast else Size()


@cache
def pool_of(task: str, out: Path, size: Size) -> Pool:
    return make_pool(task, out, size)


def work(job: Job, args: Args) -> dict[str, Any]:
    """Train one policy and test it."""
    torch.set_num_threads(1)
    started = time.process_time()
    drawn = draw(pool_of(job.task, args.out, size_of(args)), 16 if args.fast else TASKS[job.task], job.data)
    try:
        policy = train(job.arm, drawn, CloningConfig(seed=job.seed, steps=args.steps))
    except InvalidValue as error:
        # an arm that leaves nothing to learn from has no policy, which succeeds nowhere
        print(f"{job}: {error}")
        nothing = dict.fromkeys(find_task(job.task).stage_names, 0)
        return asdict(job) | {"success": "0" * args.rollouts, "progress": [], "failures_end": nothing, "seconds": 0.0}
    rollouts = evaluate(policy, job.task, unseen_seeds(args.rollouts), ROBOT)
    return asdict(job) | {
        "success": "".join(str(int(rollout.success)) for rollout in rollouts),
        "progress": [round(rollout.progress, 3) for rollout in rollouts],
        "failures_end": where_failures_end(rollouts, find_task(job.task).stage_names),
        "seconds": round(time.process_time() - started, 1),
    }


def run(jobs: list[Job], args: Args) -> Iterator[dict[str, Any]]:
    """The row of each job as soon as it is known, two at a time."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(work, job, args) for job in jobs]
        for future in tqdm(as_completed(futures), total=len(futures), desc="policies", unit="policy"):
            yield future.result()


def main(args: Args) -> None:
    if args.fast:
        args.out = args.out / "fast"
        args.decisive_seeds, args.seeds, args.rollouts, args.steps = 2, 2, 2, 20
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if not args.table:
        for task in tasks_of(args):
            make_pool(task, args.out, size_of(args))
        known = {(row["task"], row["arm"], row["data"], row["seed"]) for row in rows}
        wanted = [job for job in jobs_of(args) if (job.task, job.arm, job.data, job.seed) not in known]
        for row in run(wanted, args):
            rows.append(row)
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
    print_tables(rows)
    draw_picture(rows, ALL_ARMS, args.out / "rabc.svg")
    print(f"rows and picture are in {args.out}")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
