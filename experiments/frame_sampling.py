"""Do frames drawn at random, or shuffled, teach the heads more than a regular history? Results: frame_sampling.md

RynnValue (arXiv 2608.09853) finds random and shuffled frames decisive for a model that judges all frames of a set. Here
only the present of a causal window is judged (see headway/learned/heads_windows.py). Every seed collects its own mixed
demonstrations of tidy-drawer and trains the heads three times in two folds, alike but for the sampling of the windows'
history; all are held against the simulator's truth on the same held-out episodes, beside the blind controls. A row is
written as soon as it is known; a run cut short goes on.

    .venv/bin/python experiments/frame_sampling.py             # two seeds, about half an hour on 2 cores
    .venv/bin/python experiments/frame_sampling.py --fast      # a minute, its figures mean nothing
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro
from accuracy_rows import Row, accuracy_row, accuracy_table, read_rows, write_rows

from headway import controls
from headway.cli.options import Bar
from headway.encoders.cache import FeatureCache
from headway.estimator import Estimator
from headway.learned.cross_fit import train_members
from headway.learned.estimator import Learned
from headway.learned.heads import Heads, Sampling
from headway.learned.inputs import InputConfig
from headway.learned.members import Workshop
from headway.learned.method import TaskEpisodes, TrainingConfig
from headway.source import Source
from headway_datasets.opening import open_dataset
from headway_envs.collect import collect
from headway_envs.recording import RecordingOptions

SAMPLINGS: tuple[Sampling, ...] = ("strided", "random", "shuffled")
# frames between are interpolated, which costs less than what the folds differ by
STRIDE = 2


@dataclass
class Args:
    """What to run."""

    seeds: int = 2
    """Collections and trainings."""
    fast: bool = False
    """A few episodes and steps, to see that it runs."""
    out: Path = Path("runs/frame_sampling")
    """Folder for the demonstrations, the features, trainings under way and the rows."""

    @property
    def folder(self) -> Path:
        return self.out / ("fast" if self.fast else "full")


def train(sampling: Sampling, seed: int, source: Source, args: Args) -> Learned:
    """The heads with one kind of window, in two folds."""
    name = f"heads, {sampling}"
    training = TrainingConfig(epochs=2 if args.fast else 40, seed=seed)
    method = Heads(InputConfig(source.cameras), training, sampling=sampling)
    run = args.folder / "runs" / f"{sampling}-{seed}"
    run.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(FeatureCache(args.folder / "features"), run)
    with Bar(name, "step") as bar:
        members = train_members(method, [TaskEpisodes(list(source), source.stage_names)], workshop, 2, bar.at_loss)
    return Learned(name, name, method, members)


def rows_of_seed(seed: int, known: Sequence[str], args: Args) -> Iterator[Row]:
    """A row for every estimator not yet `known`, on every episode of one collection, each held out."""
    folder = args.folder / f"seed-{seed}"
    collect("tidy-drawer", 14 if args.fast else 60, folder, seed=seed, options=RecordingOptions(robot="gripper"))
    source = open_dataset(folder)
    episodes = list(source)
    makers = {f"heads, {sampling}": partial(train, sampling, seed, source, args) for sampling in SAMPLINGS}
    makers |= {control.__name__: control for control in (controls.clock, controls.constant, controls.random)}
    for name in makers:
        if name in known:
            continue
        judge: Estimator = makers[name]()
        yield accuracy_row(name, seed, source, judge.estimate(episodes, STRIDE))


def main(args: Args) -> None:
    args.folder.mkdir(parents=True, exist_ok=True)
    path = args.folder / "rows.csv"
    rows = read_rows(path)
    for seed in range(1 if args.fast else args.seeds):
        known = [row["estimator"] for row in rows if row["seed"] == str(seed)]
        for row in rows_of_seed(seed, known, args):
            rows.append(row)
            write_rows(path, rows)
    print(accuracy_table(rows))
    print(f"\nrows are in {path}")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
