"""Does a detector keep the false-positive rate that calibration promised? Results: false_alarms.md

The failed episodes of a scored dataset are split at random, twenty times, into as many to calibrate on as to test on;
the threshold is set for a rate on the first half and false alarms are counted on the second. Failed means that the task
was done at no frame; episodes that were done and undone belong to neither side and are left out. A second table shows
what such a threshold costs on successes, a third one where the promise does not reach: failures of a kind, or in a
look, that calibration did not see.

    .venv/bin/python experiments/false_alarms.py --scores S1 S2 --elsewhere E1 E2   # SCORES folders, a minute each
    .venv/bin/python experiments/false_alarms.py --dataset D --estimator SPEC       # scores D first
    .venv/bin/python experiments/false_alarms.py --fast                             # its figures mean nothing
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from scipy import stats

from headway.cli.options import Bar
from headway.encoders.cache import default_cache
from headway.errors import InvalidValue
from headway.learned.checkpoint import save_learned
from headway.learned.cross_fit import train_members
from headway.learned.inputs import InputConfig
from headway.learned.members import Workshop
from headway.learned.method import TaskEpisodes, TrainingConfig
from headway.learned.sarm import Sarm
from headway.metrics.detection import Detections, detections
from headway.scoring import ScoreOptions, score
from headway.signals.calibration import ConformalSuccess
from headway.signals.detector import (
    Calibrated,
    DetectorConfig,
    Readings,
    calibrate_detector,
    detect,
    highest_firing,
)
from headway.specs import make_estimator
from headway.tables import read_scores
from headway_datasets.opening import open_dataset
from headway_envs.collect import collect
from headway_envs.recording import RecordingOptions

ALPHAS = (0.05, 0.1, 0.2, 0.3)
# the detector, and the least threshold that calibration may set
DETECTORS = {
    "5 in a row": (DetectorConfig(frames=5), 0.0),
    "1 alone": (DetectorConfig(frames=1), 0.0),
    "5 in a row, at least 0.5": (DetectorConfig(frames=5), 0.5),
}
MANY = 4000
FAST_TASK = "push-to-goal"
FAST_MIX = "expert=.3,near-miss=.4,abandon=.3"


@dataclass
class Args:
    """What to run."""

    scores: tuple[Path, ...] = ()
    """SCORES folders of simulated datasets, each by an estimator that tells success."""
    elsewhere: tuple[Path, ...] = ()
    """For each of them, the same estimator's SCORES of episodes that look otherwise; none for no such row."""
    dataset: Path | None = None
    """A simulated dataset to score first."""
    estimator: str = ""
    """With what."""
    splits: int = 20
    """Random halves of the failed episodes."""
    fast: bool = False
    """Collect a few episodes and train for seconds, to see that it runs."""
    out: Path = Path("runs/false_alarms")
    """Folder for what is made."""


@dataclass(frozen=True)
class Watched:
    """A scored episode: what a detector is given, who made it, and the first frame at which the task was done."""

    readings: Readings
    fps: float
    kind: str
    done_at: int | None


@dataclass(frozen=True)
class Pool:
    """The episodes of one SCORES folder."""

    name: str
    failed: Sequence[Watched]
    successes: Sequence[Watched]
    undone: int


def read_pool(folder: Path) -> Pool:
    """Read scores and, from the dataset that they are of, the truth. Raises InvalidValue where there is none."""
    scores = read_scores(folder)
    source = open_dataset(scores.run["dataset"]["path"])
    failed, successes, undone = [], [], 0
    for index in scores.episodes["episode_index"].to_pylist():
        episode = source.episode(index)
        if episode.truth is None:
            raise InvalidValue(f"{source.root} has no truth, by which a false alarm would be known; simulate the data")
        done = np.flatnonzero(episode.truth.success)
        readings = Readings.of(scores.progress_curve(index), episode.fps)
        watched = Watched(readings, episode.fps, episode.kind or "unknown", int(done[0]) if done.size else None)
        if done.size == 0:
            failed.append(watched)
        elif episode.truth.succeeded:
            successes.append(watched)
        else:
            undone += 1
    return Pool(folder.name, failed, successes, undone)


def watch(config: DetectorConfig, episodes: Sequence[Watched]) -> Detections:
    """What the detector does in each episode."""
    return detections(
        [[event.frame for event in detect(config, episode.readings) if event.on] for episode in episodes],
        [episode.done_at for episode in episodes],
        [len(episode.readings.time) for episode in episodes],
        [episode.fps for episode in episodes],
    )


def joined(parts: Sequence[Detections]) -> Detections:
    names = ("succeeded", "delay", "fires", "seconds")
    return Detections(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def expected_mean(allowed: int, calibration: int, test: int, splits: int) -> tuple[float, float]:
    """The central 95 % of what the mean rate over splits can be, where no statistic is equal to another.

    Given the episodes, each split is an independent draw: a random half of them. So the number of test episodes above
    the threshold is beta-binomial(test, allowed, calibration + 1 - allowed) whatever the readings, and the sum over
    splits is a sum of independent ones, although all splits share episodes. Exact, by convolution.
    """
    one = stats.betabinom(test, allowed, calibration + 1 - allowed).pmf(np.arange(test + 1))
    total = np.ones(1)
    for _ in range(splits):
        total = np.convolve(total, one)
    low, high = np.searchsorted(np.cumsum(total), [0.025, 0.975])
    return low / (test * splits), high / (test * splits)


def random_splits(pool: Pool, splits: int) -> Iterator[tuple[list[Watched], list[Watched]]]:
    """As many failed episodes to calibrate on as to test on, or one fewer."""
    rng = np.random.default_rng(0)
    half = len(pool.failed) // 2
    for _ in range(splits):
        order = rng.permutation(len(pool.failed))
        yield [pool.failed[i] for i in order[:half]], [pool.failed[i] for i in order[half:]]


def calibrate(name: str, failed: Sequence[Watched], alpha: float) -> Calibrated | None:
    """A detector for this rate; None where it cannot be promised."""
    config, least = DETECTORS[name]
    try:
        return calibrate_detector(config, [episode.readings for episode in failed], alpha, least)
    except InvalidValue:
        return None


@dataclass(frozen=True)
class Trial:
    """One split: the detector, what it does in the failures that were held out, and in the successes."""

    found: Calibrated
    failed: Detections
    successes: Detections


def trials(pool: Pool, name: str, alpha: float, splits: int) -> list[Trial]:
    """Every split; none where nothing can be promised."""
    done = []
    for shown, held in random_splits(pool, splits):
        found = calibrate(name, shown, alpha)
        if found is not None:
            done.append(Trial(found, watch(found.config, held), watch(found.config, pool.successes)))
    return done


def limit(pool: Pool, name: str, alpha: float) -> float:
    """The mean rate over so many splits that chance is gone, from the highest threshold at which each episode fires."""
    highest = [highest_firing(DETECTORS[name][0], episode.readings) for episode in pool.failed]
    rng, half, rates = np.random.default_rng(1), len(highest) // 2, []
    for _ in range(MANY):
        order = rng.permutation(highest)
        rates.append(np.mean(order[half:] > ConformalSuccess(tuple(np.sort(order[:half]))).threshold(alpha)))
    return float(np.mean(rates))


def promise_row(done: Sequence[Trial]) -> str:
    """Promised and measured, in the first table."""
    found, test = done[0].found, len(done[0].failed.fires)
    low, high = expected_mean(found.allowed, found.episodes, test, len(done))
    rates = [trial.failed.summary().false_alarms for trial in done]
    mean = float(np.mean(rates))
    verdict = "yes" if low <= mean <= high else "below" if mean < low else "NO"
    return (
        f"{found.allowed}/{found.episodes + 1} = {found.allowed / (found.episodes + 1):.3f} | {mean:.3f} "
        f"| {low:.3f} to {high:.3f} | {verdict} | {min(rates):.3f} to {max(rates):.3f} |"
    )


def cost_row(done: Sequence[Trial]) -> str:
    """What it does in successes, in the second table; over the episodes of all splits."""
    successes = joined([trial.successes for trial in done])
    wrong, right = joined([trial.failed for trial in done]).summary(), successes.summary()
    early = -successes.delay[successes.delay < 0]
    by = f"{np.median(early):.2f}" if early.size else "-"
    threshold = np.mean([trial.found.config.on for trial in done])
    return (
        f"{threshold:.3f} | {wrong.false_alarms:.3f} | {wrong.false_per_minute:.2f} | {right.delay_median:.2f} "
        f"| {right.delay_p95:.2f} | {right.early:.1%} | {by} | {right.missed:.1%} |"
    )


def out_of_reach(pool: Pool, elsewhere: Pool | None, name: str, alpha: float) -> list[str]:
    """Rows of the third table: calibrated on all kinds of failures but the one that is tested; on all, and tested
    where it looks otherwise."""
    cases = []
    for kind in sorted({episode.kind for episode in pool.failed}):
        shown = [episode for episode in pool.failed if episode.kind != kind]
        cases.append((f"all kinds but {kind}", kind, shown, [each for each in pool.failed if each.kind == kind]))
    if elsewhere is not None:
        cases.append(("all", elsewhere.name, list(pool.failed), list(elsewhere.failed)))
    rows = []
    for calibrated_on, tested_on, shown, held in cases:
        found = calibrate(name, shown, alpha)
        if found is None or not held:
            continue
        law = stats.betabinom(len(held), found.allowed, found.episodes + 1 - found.allowed)
        rows.append(
            f"| {pool.name} | {name} | {calibrated_on} ({len(shown)}) | {tested_on} ({len(held)}) | {alpha:g} "
            f"| {watch(found.config, held).summary().false_alarms:.2f} | {law.ppf(0.95) / len(held):.2f} |"
        )
    return rows


def tables(pools: Sequence[Pool], elsewhere: Sequence[Pool | None], splits: int) -> str:
    promises, costs, reach = [], [], []
    for pool, other in zip(pools, elsewhere, strict=True):
        print(f"{pool.name}: {len(pool.failed)} failed, {len(pool.successes)} successes, {pool.undone} undone")
        for name, (config, least) in DETECTORS.items():
            for alpha in ALPHAS:
                done = trials(pool, name, alpha, splits)
                who = f"| {pool.name} | {name} | {alpha:g} |"
                costs += [f"{who} {cost_row(done)}"] if done else []
                # a least threshold has fewer false alarms than there might be
                promises += (
                    [f"{who} {promise_row(done)} {limit(pool, name, alpha):.3f} |"] if done and not least else []
                )
            reach += out_of_reach(pool, other, name, 0.1) if config.frames > 1 else []
    return "\n".join(
        [
            "| scores | detector | promised, at most | expected without ties | measured, mean of splits "
            "| 95 % interval of that mean | within | single splits | mean of 4,000 splits |",
            "|---|---|---|---|---|---|---|---|---|",
            *promises,
            "",
            "| scores | detector | promised | threshold | false alarms | a minute of failure | delay, median s "
            "| delay, p95 s | early | early by, median s | missed |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *costs,
            "",
            "| scores | detector | calibrated on (failures) | tested on (failures) | promised | measured "
            "| 95th percentile, had it held |",
            "|---|---|---|---|---|---|---|",
            *reach,
        ]
    )


def scored(dataset: Path, spec: str, out: Path) -> Path:
    """The SCORES of a dataset, made where they are not there yet."""
    with Bar("scoring", "episode") as bar:
        return score(open_dataset(dataset), make_estimator(spec), out, ScoreOptions(stride=2), bar.at)


def fast(out: Path) -> Path:
    """SCORES of a few episodes by a SARM that was trained for seconds on others."""
    for seed, folder in enumerate((out / "train", out / "test")):
        if not folder.exists():
            collect(FAST_TASK, 30, folder, FAST_MIX, seed=seed, options=RecordingOptions(robot="gripper"))
    source, run = open_dataset(out / "train"), out / "run"
    if not run.exists():
        method = Sarm(InputConfig(source.cameras, image_size=32), TrainingConfig(epochs=2))
        members = train_members(method, [TaskEpisodes(list(source), source.stage_names)], Workshop(default_cache()))
        save_learned(run, method, members)
    return scored(out / "test", f"sarm:{run}", out / "sarm")


def main(args: Args) -> None:
    torch.set_num_threads(1)
    folders, others = list(args.scores), list(args.elsewhere)
    if others and len(others) != len(folders):
        raise SystemExit(f"--elsewhere names {len(others)} folders for {len(folders)} of --scores; needs one for each")
    if args.dataset is not None:
        folders.append(scored(args.dataset, args.estimator, args.out / "scores"))
    if args.fast:
        folders.append(fast(args.out / "fast"))
    if not folders:
        raise SystemExit("nothing to do: name --scores, --dataset with --estimator, or --fast")
    pools = [read_pool(folder) for folder in folders]
    elsewhere: list[Pool | None] = [read_pool(folder) for folder in others]
    found = tables(pools, elsewhere + [None] * (len(pools) - len(elsewhere)), args.splits)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "tables.md").write_text(found + "\n")
    print(found)
    print(f"\nthe tables are in {args.out / 'tables.md'}")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
