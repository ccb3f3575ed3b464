"""What `headway demo` does: the main job from end to end, on demonstrations that it records itself."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from headway.cli.options import Bar
from headway.cli.show import ACCURACY, accuracy_table, policy_table, show, show_accuracy, worst_table
from headway.cli.training import gather_tasks, run_training
from headway.errors import OutputError
from headway.evaluation.judge import Judged, judge
from headway.evaluation.reference import references
from headway.files import write_json
from headway.learned.inputs import InputConfig
from headway.learned.method import TrainingConfig
from headway.learned.pixels import train_pixels
from headway.learned.sarm import Sarm
from headway.metrics.intervals import Estimate
from headway.report import ReportTable, write_report
from headway.scoring import score
from headway.signals.weights import LOOK_AHEAD
from headway.source import Source
from headway.specs import make_estimator
from headway.tables import Scores, read_scores
from headway_datasets.opening import open_dataset
from headway_envs.collect import collect
from headway_envs.recording import RecordingOptions
from headway_envs.seeds import unseen_seeds
from headway_policies.behaviour_cloning import CloningConfig
from headway_policies.comparison import Comparison, compare
from headway_policies.demonstrations import gather
from headway_policies.signature import signature_of
from headway_policies.weighting import side_by_side

TASK = "tidy-drawer"
ROBOT = "gripper"
"""The one that steps faster."""
FOLDS = 2


@dataclass(frozen=True)
class Size:
    """How much of everything a demo does."""

    episodes: int
    epochs: int
    policy_seeds: int
    policy_steps: int
    layouts: int


FULL = Size(episodes=60, epochs=70, policy_seeds=3, policy_steps=700, layouts=50)
FAST = Size(episodes=14, epochs=12, policy_seeds=1, policy_steps=400, layouts=10)


def run(size: Size, seed: int, out: Path) -> int:
    """Do every step that is not done yet; the exit status."""
    if _is_finished(out, {"seed": seed, **asdict(size)}):
        print(f"the demo in {out} was finished before; its report is {out / 'report.html'}")
        print(f"next: delete {out} to run it again, or choose another folder with --out")
        return 0
    clock = Clock()
    with clock.step(f"collect: {size.episodes} episodes of {TASK}, half of them imperfect"):
        if not (out / TASK).exists():
            options = RecordingOptions(robot=ROBOT)
            collect(TASK, episodes=size.episodes, seed=seed, out=out / TASK, options=options)
    source = open_dataset(out / TASK)
    with clock.step(f"train: SARM in {FOLDS} folds, so that no episode is scored by a network that saw it"):
        _train(source, out, size, seed)
    with clock.step("score: SARM, and the controls that see nothing"):
        scores = {name: _score(source, name, spec, out) for name, spec in _specs(out).items()}
    with clock.step("judge: every held-out episode against the simulator's truth"):
        judged = [_judge(source, name, read) for name, read in scores.items()]
    note = (
        f"{len(source)} episodes, each held out; 95 % bootstrap intervals over episodes; rank: Kendall's tau of final "
        "progress over pairs whose true ones differ; VOC: order correlation with time, 1 for any clock"
    )
    if size == FAST:
        note += "; a fast demo learns too little to be right, and its figures only show how they are reported"
    accuracy = accuracy_table(judged, note)
    show_accuracy(judged, note)
    print("\n".join(verdict(judged)))
    show(worst_table(scores["sarm"]))
    with clock.step(f"policies: cloned in three ways, each tested on {size.layouts} unseen layouts"):
        comparison = _clone(source, scores["sarm"], size, seed)
    policies = policy_table(comparison)
    show(policies)
    with clock.step("report: one page"):
        page = _report(source, scores["sarm"], out, [accuracy, policies])
    write_json(out / "results.json", _results(judged, comparison, clock))
    print(f"took {sum(clock.seconds.values()):.0f} s; the figures are in {out / 'results.json'}")
    print(f"next: open {page} in a browser")
    return 0


@dataclass
class Clock:
    """Says what is being done, and keeps how long each step took, in seconds."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        print(f"\n{what}", flush=True)
        started = time.monotonic()
        yield
        self.seconds[what.split(":")[0]] = round(time.monotonic() - started, 1)


def _is_finished(out: Path, settings: dict[str, Any]) -> bool:
    """Take the folder for this demo. Raises OutputError when it holds another demo, or something else."""
    claimed = out / "demo.json"
    if claimed.exists():
        if json.loads(claimed.read_text()) != settings:
            raise OutputError(f"{out} holds a demo with other settings; choose another folder with --out, or delete it")
        return (out / "results.json").exists()
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"{out} is not empty and holds no demo; choose another folder with --out")
    write_json(claimed, settings)
    return False


def _train(source: Source, out: Path, size: Size, seed: int) -> None:
    train_pixels(source, source.cameras[0], out / "pixels")
    if (out / "sarm" / "config.json").exists():
        return
    training = TrainingConfig(epochs=size.epochs, seed=seed)
    run_training(
        Sarm(InputConfig(source.cameras), training), gather_tasks([source]), [source], out / "sarm", FOLDS, "cpu"
    )


def _specs(out: Path) -> dict[str, str]:
    """What is compared: a name for the tables, and its spec."""
    trained = {
        "sarm": f"sarm:{out / 'sarm'}",
        "untrained": f"untrained:sarm:{out / 'sarm'}",
        "pixels": f"pixels:{out / 'pixels'}",
    }
    return trained | {name: name for name in ("clock", "constant", "random", "oracle")}


def _score(source: Source, name: str, spec: str, out: Path) -> Scores:
    with Bar(f"scoring with {name}", "episode") as bar:
        return read_scores(score(source, make_estimator(spec), out / "scores" / name, on_episode=bar.at))


def _judge(source: Source, name: str, scores: Scores) -> Judged:
    curves = [scores.progress_curve(index) for index in source.episode_indices]
    return judge(name, references(list(source), source.stage_names), curves, LOOK_AHEAD, ACCURACY)


def _clone(source: Source, scores: Scores, size: Size, seed: int) -> Comparison:
    """Plain cloning, cloning of the successes, and cloning weighted by the estimated progress, side by side."""
    episodes = list(source)
    arms = side_by_side(episodes, [scores.curve(episode.index) for episode in episodes])
    seeds = range(seed, seed + size.policy_seeds)
    total = len(arms) * len(seeds)
    with tqdm(desc="cloning and testing", unit="policy", total=total, dynamic_ncols=True) as bar:
        return compare(
            TASK,
            gather(episodes, signature_of(TASK, ROBOT)),
            arms,
            against="all",
            training_seeds=seeds,
            layout_seeds=unseen_seeds(size.layouts),
            robot=ROBOT,
            config=CloningConfig(steps=size.policy_steps),
            advance=bar.update,
        )


def _report(source: Source, scores: Scores, out: Path, tables: Sequence[ReportTable]) -> Path:
    with Bar("report", "episode") as bar:
        return write_report(scores, source, out / "report.html", tables=tables, on_episode=bar.at)


def _results(judged: Sequence[Judged], comparison: Comparison, clock: Clock) -> dict[str, Any]:
    """All figures of the demo as JSON's types; what is not defined is null."""
    accuracy = {row.estimator: {name: _estimate(row[name]) for name in ACCURACY} for row in judged}
    policies = {
        arm.name: {"success": _estimate(arm.success), "by_seed": arm.by_seed, "frames": arm.frames}
        for arm in comparison.arms
    }
    differences = {each.arm: {"against": each.against, **_estimate(each.success)} for each in comparison.differences}
    return {"accuracy": accuracy, "policies": policies, "differences": differences, "seconds": clock.seconds}


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else round(value, 6) for name, value in asdict(estimate).items()}


def verdict(judged: Sequence[Judged]) -> list[str]:
    """Whether SARM beats every control that sees nothing, a line for each figure that can tell."""
    sarm = next(row for row in judged if row.estimator == "sarm")
    blind = [row for row in judged if row.estimator not in ("sarm", "oracle")]
    lines = []
    for figure, words, sign in (
        ("mae_expert", "mean absolute error on expert episodes", 1),
        ("mae_imperfect", "mean absolute error on imperfect episodes", 1),
        ("tau_failed", "ranking among failed episodes", -1),
        ("tau_failed_apart", "the same where they truly differ by more than 0.05", -1),
    ):
        known = [row for row in blind if not math.isnan(row[figure].value)]
        best = min(known, key=lambda row: sign * row[figure].value, default=None)
        ours = sarm[figure]
        if best is None or math.isnan(ours.value):
            lines.append(f"too few episodes to tell on {words}")
            continue
        theirs = best[figure]
        word = "beats" if sign * ours.value < sign * theirs.value else "DOES NOT BEAT"
        overlap = ", intervals overlap" if ours.low <= theirs.high and theirs.low <= ours.high else ""
        lines.append(
            f"SARM {word} every blind control on {words}: {ours.value:.3f}, best control {best.estimator} "
            f"{theirs.value:.3f}{overlap}"
        )
    return lines
