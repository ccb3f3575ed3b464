"""Does SARM need marked failures, or are successes enough? Results: what_failures_teach.md

Every seed collects its own mixed demonstrations of tidy-drawer and trains SARM twice in two folds: on all marked
episodes, and on the successes alone, as the paper does. Both are held against the simulator's truth on the same
held-out episodes, beside the blind controls. A row is written as soon as it is known; a run cut short goes on.

    .venv/bin/python experiments/what_failures_teach.py             # three seeds, about 12 minutes on 2 cores
    .venv/bin/python experiments/what_failures_teach.py --fast      # seconds, its figures mean nothing
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from accuracy_rows import Row, accuracy_row, accuracy_table, read_rows, write_rows

from headway import controls
from headway.cli.options import Bar
from headway.encoders.cache import default_cache
from headway.episodes import Episode
from headway.estimator import Estimator
from headway.learned.cross_fit import train_members
from headway.learned.estimator import Learned
from headway.learned.inputs import InputConfig
from headway.learned.members import Workshop
from headway.learned.method import TaskEpisodes, TrainingConfig
from headway.learned.sarm import Sarm
from headway_datasets.opening import open_dataset
from headway_envs.collect import collect
from headway_envs.recording import RecordingOptions

BLIND = (controls.clock, controls.constant, controls.random)


@dataclass
class Args:
    """What to run."""

    seeds: int = 3
    """Collections and trainings."""
    fast: bool = False
    """A few episodes and steps, to see that it runs."""
    out: Path = Path("runs/what_failures_teach")
    """Folder for the demonstrations and the rows."""


def train(name: str, episodes: Sequence[Episode], stages: tuple[str, ...], method: Sarm) -> Learned:
    with Bar(name, "step") as bar:
        members = train_members(method, [TaskEpisodes(episodes, stages)], Workshop(default_cache()), 2, bar.at_loss)
    return Learned(name, name, method, members)


def rows_of_seed(seed: int, args: Args) -> list[Row]:
    """Every estimator on every episode of one collection, each held out."""
    folder = args.out / ("fast" if args.fast else "full") / f"seed-{seed}"
    if not folder.exists():
        options = RecordingOptions(robot="gripper")
        collect("tidy-drawer", 14 if args.fast else 60, folder, seed=seed, options=options)
    source = open_dataset(folder)
    episodes = list(source)
    stages = source.stage_names or ()
    method = Sarm(InputConfig(source.cameras), TrainingConfig(epochs=2 if args.fast else 70, seed=seed))
    successes = [episode for episode in episodes if episode.success]
    judges: list[Estimator] = [
        train("sarm, all marked", episodes, stages, method),
        train("sarm, successes", successes, stages, method),
        *(make() for make in BLIND),
    ]
    return [accuracy_row(judge.name, seed, source, judge.estimate(episodes)) for judge in judges]


def main(args: Args) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / ("rows-fast.csv" if args.fast else "rows.csv")
    rows = read_rows(path)
    for seed in range(1 if args.fast else args.seeds):
        if any(row["seed"] == str(seed) for row in rows):
            continue
        rows += rows_of_seed(seed, args)
        write_rows(path, rows)
    print(accuracy_table(rows))
    print(f"\nrows are in {path}")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
