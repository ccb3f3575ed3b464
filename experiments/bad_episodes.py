"""Can bad episodes be found without a label? By checks, by progress, by both, and by other tools: bad_episodes.md

Each method gives every episode of a simulated collection one number, the higher the worse, and sees no label of it
(`headway.signals.badness`). Against who made the episode and whether it succeeded stands the average precision of
finding those that no expert made, those that fail, and each kind of imperfection among the experts; a constant's is the
share of such episodes. Estimators that differ by their training seed alone are one row: the mean over seeds.

    .venv/bin/python experiments/bad_episodes.py                 # collects, trains three times: half an hour
    .venv/bin/python experiments/bad_episodes.py --fast          # a minute, its figures mean nothing
    .venv/bin/python experiments/bad_episodes.py --test DATASET --estimators SPEC,SPEC,... --tools
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from bad_episodes_tools import run_tools
from estimators import TASK, TEST_MIX, Job, learn
from estimators import Args as Training

from headway import controls
from headway.checks import ChecksAlone
from headway.cli.options import Bar
from headway.episodes import Array
from headway.errors import InvalidValue
from headway.estimator import Estimator
from headway.files import write_json
from headway.metrics.intervals import Estimate, bootstrap
from headway.metrics.success import average_precision
from headway.scoring import ScoreOptions, score
from headway.signals.badness import column, of_checks, of_progress, together
from headway.source import Source
from headway.specs import make_estimator
from headway.tables import Scores, read_scores
from headway_datasets.opening import open_dataset
from headway_envs.collect import collect
from headway_envs.demonstrators import IMPERFECTIONS
from headway_envs.recording import RecordingOptions

# they fail, and nothing in how the arm moves says so
UNSEEN = ("abandon", "wrong-object", "near-miss")
TARGETS = {"imperfect": 0.95} | dict.fromkeys(UNSEEN, 0.9)
STRIDE = 2

Methods = dict[str, list[Array]]
"""Name -> scores (episodes,) of every seed."""


@dataclass
class Args:
    """What to run."""

    train: Path | None = None
    """Demonstrations to train on, in place of a collection of our own."""
    test: Path | None = None
    """Simulated episodes to find the bad ones in, likewise."""
    estimators: str = ""
    """SPEC,... trained elsewhere, in place of training sarm; runs that differ by the numbers at the end of their names
    alone are seeds of one."""
    episodes: int = 150
    """How many to train on."""
    seeds: int = 3
    """Trainings."""
    tools: bool = False
    """Also install and run other people's tools, each in an environment of its own; needs a package index."""
    fast: bool = False
    """A few episodes and steps, to see that it runs."""
    out: Path = Path("runs/bad_episodes")
    """Folder for all that is made."""


@dataclass(frozen=True)
class Question:
    """Which episodes are to be found, among which.

    Attributes:
        name: of the column.
        among: bool (episodes,).
        wanted: bool (episodes,).
    """

    name: str
    among: Array
    wanted: Array


def prepare(args: Args) -> Path:
    """The episodes to judge; collected where none are given."""
    test = args.test or args.out / "test"
    if args.test is None:
        record(test, "test", 24 if args.fast else 200, TEST_MIX, args.fast)
    return test


def record(folder: Path, split: str, episodes: int, mix: str | None, fast: bool) -> None:
    """Collect, from a split of seeds; a fast run takes the bare gripper."""
    if not folder.exists():
        options = RecordingOptions(robot="gripper") if fast else RecordingOptions()
        # to start workers takes longer than a few episodes do
        collect(TASK, episodes, folder, mix, split=split, options=options, workers=1 if fast else None)


def make_estimators(args: Args) -> dict[str, list[Estimator]]:
    """By name, one a seed: those that are given, else sarm, trained on marked episodes."""
    found: dict[str, list[Estimator]] = {}
    if args.estimators:
        for spec in args.estimators.split(","):
            found.setdefault(re.sub(r"(-\d+)+$", "", Path(spec).name), []).append(make_estimator(spec, "cpu"))
        return found
    train = args.train or args.out / "train"
    if args.train is None:
        record(train, "train", 10 if args.fast else args.episodes, None, args.fast)
    training = Training(fast=args.fast, out=args.out)
    seeds = range(1 if args.fast else args.seeds)
    return {"sarm-marks": [learn("sarm", Job("sarm", "marks", seed), [train], training)[0] for seed in seeds]}


def scored(source: Source, estimator: Estimator, folder: Path) -> Scores:
    """The tables of an estimator; finished ones are only read. Raises InvalidValue where it was trained on these."""
    options = ScoreOptions() if isinstance(estimator, ChecksAlone) else ScoreOptions(stride=STRIDE)
    with Bar(folder.name, "episode") as bar:
        scores = read_scores(score(source, estimator, folder, options, bar.at))
    if scores.run["in_sample"]:
        raise InvalidValue(f"{folder.name} was trained on {scores.run['in_sample']} of these episodes; take others")
    return scores


def methods_of(source: Source, args: Args) -> Methods:
    """What is compared: controls, the checks, and every estimator alone and with the checks."""
    place = args.out / "scores"
    plain = scored(source, ChecksAlone(), place / "none")
    clock = scored(source, controls.clock(), place / "clock")
    number, checks = len(plain.episodes), of_checks(plain)
    found: Methods = {
        "constant": [np.zeros(number)],
        "random": [np.random.default_rng(seed).random(number) for seed in range(3)],
        "length": [column(plain, "seconds")],
        "clock": [of_progress(clock)],
        "checks alone": [checks],
        "clock + checks": [together(of_progress(clock), checks)],
    }
    for name, seeds in make_estimators(args).items():
        tables = [scored(source, estimator, place / f"{name}-{seed}") for seed, estimator in enumerate(seeds)]
        progress = [of_progress(scores) for scores in tables]
        found[f"{name} alone"] = progress
        found[f"{name} + checks"] = [together(checks, one) for one in progress]
        found[f"{name}, 1 - final progress only"] = [1 - column(scores, "final") for scores in tables]
        if not np.isnan(column(tables[0], "success")).all():
            found[f"{name}, 1 - success only"] = [1 - column(scores, "success") for scores in tables]
    return found


def questions_of(source: Source) -> list[Question]:
    """Imperfect ones, failed ones, and each kind among the experts. Raises InvalidValue where that is not known."""
    episodes = list(source)
    if any(episode.kind is None or episode.success is None for episode in episodes):
        raise InvalidValue(f"{source.root} does not say who made its episodes, or which succeed; give a simulated one")
    kind = np.array([episode.kind for episode in episodes])
    failed = np.array([not episode.success for episode in episodes])
    expert, everybody = kind == "expert", np.ones(len(kind), bool)
    kinds = [name for name in (*UNSEEN, *IMPERFECTIONS) if (kind == name).any()]
    return [
        Question("imperfect", everybody, ~expert),
        Question("failed", everybody, failed),
        *(Question(name, expert | (kind == name), kind == name) for name in dict.fromkeys(kinds)),
    ]


def precision(question: Question, seeds: Sequence[Array], draws: int) -> dict[str, Any]:
    """Mean average precision over seeds, its interval over episodes, and the lowest and highest seed."""
    scores, wanted = [values[question.among] for values in seeds], question.wanted[question.among]

    def mean(chosen: Array) -> float:
        return float(np.mean([average_precision(values[chosen], wanted[chosen]) for values in scores]))

    singles = [average_precision(values, wanted) for values in scores]
    return asdict(bootstrap(mean, len(wanted), draws)) | {"least": min(singles), "most": max(singles)}


Figures = dict[str, dict[str, dict[str, Any]]]
"""Method -> question -> its precision."""


def overview(figures: Figures, methods: Methods) -> str:
    """All imperfect and all failed episodes, with intervals over episodes and the range over seeds; and a mean in which
    every kind counts alike."""
    headings = "| method | seeds | imperfect | … single seeds | failed | … single seeds | mean over kinds |"
    lines = [headings, "|---" * 7 + "|"]
    for name, of in figures.items():
        cells = []
        for question in ("imperfect", "failed"):
            spread = f"{of[question]['least']:.3f} to {of[question]['most']:.3f}" if len(methods[name]) > 1 else ""
            cells += [interval(of[question], 3), spread]
        kinds = [figure["value"] for question, figure in of.items() if question in IMPERFECTIONS]
        lines.append(f"| {name} | {len(methods[name])} | {' | '.join(cells)} | {np.mean(kinds):.2f} |")
    return "\n".join(lines)


def kinds_table(figures: Figures, questions: Sequence[Question]) -> str:
    """Each kind among the experts."""
    kinds = [question for question in questions if question.name not in ("imperfect", "failed")]
    headings = [f"{question.name} ({question.wanted.sum()})" for question in kinds]
    lines = [f"| method | {' | '.join(headings)} |", "|---" * (len(kinds) + 1) + "|"]
    for name, of in figures.items():
        lines.append(f"| {name} | {' | '.join(interval(of[question.name], 2) for question in kinds)} |")
    return "\n".join(lines)


def interval(figure: dict[str, Any], digits: int) -> str:
    found = Estimate(figure["value"], figure["low"], figure["high"])
    if np.isnan(found.value):
        return "-"
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def targets_table(figures: Figures) -> str:
    """What was asked for of progress and checks together."""
    lines = ["| method | find | target | reached | lowest seed | |", "|---" * 6 + "|"]
    for name in (name for name in figures if name.endswith(" + checks") and name != "clock + checks"):
        for question, target in TARGETS.items():
            if question in figures[name]:
                of = figures[name][question]
                words = "yes" if of["value"] >= target else "NO"
                lines.append(f"| {name} | {question} | {target} | {of['value']:.3f} | {of['least']:.3f} | {words} |")
    return "\n".join(lines)


def main(args: Args) -> None:
    torch.set_num_threads(1)
    args.out = args.out / ("fast" if args.fast else "full")
    args.out.mkdir(parents=True, exist_ok=True)
    test = prepare(args)
    source = open_dataset(test)
    questions = questions_of(source)
    methods = methods_of(source, args)
    notes: list[str] = []
    if args.tools:
        scores, notes = run_tools(test, args.out / "tools")
        methods |= {name: [values] for name, values in scores.items()}
    draws = 10 if args.fast else 400
    with Bar("intervals", "method") as bar:
        figures: Figures = {}
        for done, (name, seeds) in enumerate(methods.items()):
            bar.at(done, len(methods))
            figures[name] = {question.name: precision(question, seeds, draws) for question in questions}
        bar.at(len(methods), len(methods))
    write_json(args.out / "figures.json", figures)
    shares = {question.name: question.wanted[question.among].mean() for question in questions}
    print(f"{len(source)} episodes; {shares['imperfect']:.1%} imperfect, {shares['failed']:.1%} failed\n")
    print("\n\n".join([overview(figures, methods), kinds_table(figures, questions), targets_table(figures)]))
    print("\n".join(["", *notes, f"figures are in {args.out / 'figures.json'}"]))


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
