"""Does a policy that practises without resets, judged by a learned classifier, improve? Results: reset_free.md

In one simulation that is placed once, a policy lifts the red cube and another one puts it back somewhere else, in turn.
Both are cloned from a few demonstrations. A success classifier, trained on demonstrations with failures, looks at
pictures of the scene; a calibrated detector behind it says when an attempt has come off. Every round both policies are
cloned anew from the demonstrations and from what the arm takes for successes:

    classifier  what the judge declared a success
    truth       the same with the truth in the judge's place: the upper bound
    shuffled    as many attempts as the judge declared, whichever: what a verdict is worth
    none        nothing: cloned again from the demonstrations, with as many seeds

True success is measured apart from that, on unseen layouts, each placed anew. Rows are written as soon as an
arm is over; a run cut short goes on.

    .venv/bin/python experiments/reset_free.py             # three seeds, about 12 minutes of one core
    .venv/bin/python experiments/reset_free.py --fast      # under a minute, its figures mean nothing
"""

import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import reset_free_picture
import torch
import tyro

from headway.encoders.cache import FeatureCache
from headway.episodes import Episode
from headway.files import replacing
from headway.learned.classifier import Classifier
from headway.learned.cross_fit import train_members
from headway.learned.estimator import Learned
from headway.learned.inputs import InputConfig
from headway.learned.members import Workshop
from headway.learned.method import TaskEpisodes, TrainingConfig
from headway.signals.detector import DetectorConfig, Readings, detect
from headway_envs.recording import Recorder, RecordingOptions
from headway_envs.reset_free import BACK_INSTRUCTION, ready, record_back
from headway_envs.seeds import collection_seeds, unseen_seeds
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_policies.behaviour_cloning import CloningConfig
from headway_policies.demonstrations import Recording
from headway_policies.paired import wilson
from headway_policies.reset_free import (
    BACK,
    FORWARD,
    TRUTHS,
    Attempt,
    Practice,
    by_shuffled_verdict,
    by_verdict,
    learn,
    practise,
)
from headway_policies.reset_free import Round as Practised
from headway_policies.reset_free_judges import Direction, Judge, LearnedJudge, TrueJudge, calibrate
from headway_policies.rollout import Actor, evaluate

TASK, ROBOT, CAMERA, SIZE = "lift", "gripper", "front", 64
OPTIONS = RecordingOptions(robot=ROBOT, cameras=(CAMERA,), size=SIZE)
ARMS = ("classifier", "truth", "none", "shuffled")
IMPERFECT = ("hesitate", "near-miss", "wrong-object", "detour", "drop", "abandon")
FAILING = ("near-miss", "wrong-object", "drop", "abandon")
FAILING_BACK = ("hold", "stay", "abandon")
EVERY = 4
"""Control steps between two looks of the judge."""
DETECTOR = DetectorConfig(frames=2, latch=True)
SECONDS = 8.0
COLLECTION = 5200
"""The first of the collections whose layouts are shown: one a seed."""


@dataclass
class Args:
    """What to run."""

    seeds: int = 3
    """Demonstrations, judges and practices."""
    rounds: int = 2
    """Of practice; policies are cloned anew after each."""
    attempts: int = 60
    """In a round, both directions together."""
    experts: int = 14
    """Demonstrations of an expert that the policies start from."""
    imperfect: int = 24
    """Further episodes of each direction that the classifier learns from, and as many to calibrate its detector."""
    alpha: float = 0.1
    """Share of failed demonstrations that the detector may let pass."""
    epochs: int = 100
    """Of the classifier."""
    layouts: int = 100
    """Unseen ones on which true success is measured."""
    arms: tuple[str, ...] = ARMS
    fast: bool = False
    """A few attempts, to see that it runs."""
    out: Path = Path("runs/reset_free")
    """Folder for the rows and the picture."""


@dataclass(frozen=True)
class Row:
    """One round of one arm. Counts are of that round, but for `kept` and `resets`, which go on from the first."""

    arm: str
    seed: int
    round: int
    layouts: int
    successes: int
    forward: int = 0
    forward_true: int = 0
    forward_wrong_yes: int = 0
    forward_wrong_no: int = 0
    back: int = 0
    back_true: int = 0
    back_wrong_yes: int = 0
    back_wrong_no: int = 0
    kept: int = 0
    resets: int = 0
    cpu_seconds: float = 0.0


@dataclass(frozen=True, repr=False)
class Shown:
    """What is shown before practice: what policies are cloned from, and what the judge learns from and is set by."""

    policies: Mapping[str, Sequence[Recording]]
    lessons: Mapping[str, Sequence[Episode]]
    failures: Mapping[str, Sequence[Episode]]


def show(seed: int, args: Args) -> Shown:
    """Record the demonstrations of both directions, with failures: a way back follows every attempt."""
    recorder = Recorder(TASK, OPTIONS)
    layouts = iter(collection_seeds(COLLECTION + seed, args.experts + 5 * args.imperfect + 100))
    forward: list[Episode] = []
    back: list[Episode] = []
    begin: list[Episode] = []

    def attempt(kind: str) -> int:
        drawn = next(layouts)
        forward.append(recorder.record(drawn, kind).episode(len(forward)))
        return drawn

    def way_back(drawn: int, kind: str) -> Episode:
        simulator = recorder.simulator
        ready_at_once = ready(simulator.task, simulator.situation())
        trip = record_back(simulator, drawn, kind, OPTIONS).episode(len(back))
        # where it begins as it is to end, there is nothing to tell the two apart by
        (begin if ready_at_once else back).append(trip)
        return trip

    trips = [way_back(attempt(kind), "expert") for kind in ["expert"] * args.experts]
    trips += [way_back(attempt(kind), "expert") for kind in islice(cycle(IMPERFECT), args.imperfect)]
    lessons = list(forward)
    for kind in islice(cycle(FAILING_BACK), args.imperfect):
        way_back(attempt("expert"), kind)
    lessons_back, first, first_back = list(back), len(forward), len(back)
    for kind in islice(cycle(FAILING), args.imperfect):
        attempt(kind)
    for kind in islice(cycle(FAILING_BACK), args.imperfect):
        way_back(attempt("expert"), kind)
    recorder.close()
    experts = {FORWARD: forward[: args.experts], BACK: [trip for trip in trips if trip.success][: 2 * args.experts]}
    return Shown(
        experts,
        {FORWARD: lessons, BACK: lessons_back},
        {FORWARD: [e for e in forward[first:] if never(e)], BACK: [e for e in back[first_back:] if not e.success]},
    )


def never(episode: Episode) -> bool:
    """Whether the task was done at no frame."""
    return episode.truth is not None and not episode.truth.success.any()


def learned_judge(shown: Shown, seed: int, args: Args) -> LearnedJudge:
    """A classifier of both directions, and for each a detector calibrated on failures that it did not learn from."""
    instructions = {FORWARD: find_task(TASK).instructions[0], BACK: BACK_INSTRUCTION}
    method = Classifier(InputConfig((CAMERA,), image_size=SIZE), TrainingConfig(epochs=args.epochs, seed=seed))
    tasks = [TaskEpisodes(episodes) for episodes in shown.lessons.values()]
    members = train_members(method, tasks, Workshop(FeatureCache(args.out / "cache")))
    classifier = Learned("classifier", "classifier", method, members)
    directions = {
        name: Direction(instructions[name], calibrate(classifier, failures, DETECTOR, args.alpha, EVERY))
        for name, failures in shown.failures.items()
    }
    for name, direction in directions.items():
        detector = direction.detector
        done = [episode for episode in shown.lessons[name] if episode.success]
        judged = zip(done, classifier.estimate(done, EVERY), strict=True)
        found = sum(bool(detect(detector.config, Readings.of(curve, episode.fps))) for episode, curve in judged)
        print(
            f"seed {seed} {name}: threshold {detector.config.on:.3f} from {detector.episodes} failures, finds {found} "
            f"of {len(done)} successes that it learnt from",
            flush=True,
        )
    return LearnedJudge(classifier, directions, CAMERA, SIZE, EVERY)


def cloning_of(seed: int, args: Args) -> CloningConfig:
    return CloningConfig(width=128, steps=100 if args.fast else 350, batch=128, seed=1000 * seed)


def rounds_of(
    arm: str, seed: int, first: Mapping[str, Actor], shown: Shown, judge: Judge, args: Args
) -> Iterator[Practised]:
    """The rounds of one arm, which begins with the policies `first`."""
    simulator = Simulator(find_task(TASK), ROBOT)
    cloning = cloning_of(seed, args)
    if arm == "none":
        for number in range(1, args.rounds + 1):
            policies = learn(shown.policies, simulator, replace(cloning, seed=cloning.seed + number))
            yield Practised(number, (), policies, 0, 0)
        return
    choose = by_shuffled_verdict(np.random.default_rng([seed, 13])) if arm == "shuffled" else by_verdict
    own = TrueJudge(TRUTHS, DETECTOR.frames * EVERY / simulator.fps) if arm == "truth" else judge
    practice = Practice(simulator, own, seed)
    yield from practise(practice, first, shown.policies, cloning, args.rounds, args.attempts, choose)
    simulator.close()


def count(attempts: Sequence[Attempt], direction: str) -> dict[str, int]:
    """How attempts in one direction came out, and where verdicts were wrong."""
    own = [attempt for attempt in attempts if attempt.direction == direction]
    return {
        direction: len(own),
        f"{direction}_true": sum(attempt.truth for attempt in own),
        f"{direction}_wrong_yes": sum(attempt.verdict and not attempt.truth for attempt in own),
        f"{direction}_wrong_no": sum(attempt.truth and not attempt.verdict for attempt in own),
    }


def successes(policy: Actor, args: Args) -> int:
    """True successes on unseen layouts, each placed anew."""
    return sum(r.success for r in evaluate(policy, TASK, unseen_seeds(args.layouts), ROBOT, seconds=SECONDS))


def rows_of(
    arm: str, seed: int, first: Mapping[str, Actor], before: int, shown: Shown, judge: Judge, args: Args
) -> list[Row]:
    """All rounds of one arm; round 0, in which `before` layouts were done, is that of every arm."""
    rows, begun = [Row(arm, seed, 0, args.layouts, before)], time.process_time()
    for practised in rounds_of(arm, seed, first, shown, judge, args):
        counts = count(practised.attempts, FORWARD) | count(practised.attempts, BACK)
        done = successes(practised.policies[FORWARD], args)
        spent = round(time.process_time() - begun, 1)
        fixed = (arm, seed, practised.number, args.layouts, done)
        rows.append(Row(*fixed, **counts, kept=practised.kept, resets=practised.resets, cpu_seconds=spent))
        print(rows[-1], flush=True)
    return rows


def read_rows(path: Path) -> list[Row]:
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


def success_table(rows: Sequence[Row]) -> str:
    """True success before and after practice by arm, all seeds together and each, in Markdown."""
    lines = ["| arm | seeds | before | after | points, each seed | resets |", "|---|---|---|---|---|---|"]
    for arm in dict.fromkeys(row.arm for row in rows):
        own = [row for row in rows if row.arm == arm]
        first, last = ([row for row in own if row.round == number] for number in (0, max(row.round for row in own)))
        shares = [share(sum(r.successes for r in part), sum(r.layouts for r in part)) for part in (first, last)]
        gains = ", ".join(
            f"{100 * (b.successes / b.layouts - a.successes / a.layouts):+.0f}"
            for a, b in zip(first, last, strict=True)
        )
        resets = sum(row.resets for row in last)
        lines.append(f"| {arm} | {len(first)} | {shares[0]} | {shares[1]} | {gains} | {resets} |")
    return "\n".join(lines)


def verdict_table(rows: Sequence[Row]) -> str:
    """How often verdicts were wrong in practice, all rounds and seeds together, in Markdown."""
    lines = [
        "| arm | direction | attempts | truly done | declared though not done | done though not declared |",
        "|---|---|---|---|---|---|",
    ]
    for arm in dict.fromkeys(row.arm for row in rows if row.round and row.forward):
        for direction in (FORWARD, BACK):
            total = {
                name: sum(getattr(row, name) for row in rows if row.arm == arm)
                for name in (direction, *(f"{direction}_{part}" for part in ("true", "wrong_yes", "wrong_no")))
            }
            made, true, yes, no = total.values()
            lines.append(
                f"| {arm} | {direction} | {made} | {true} | {yes} of {made - true}: {share(yes, made - true)} | "
                f"{no} of {true}: {share(no, true)} |"
            )
    return "\n".join(lines)


def share(part: int, whole: int) -> str:
    """A share in per cent with Wilson's 95 % interval."""
    if not whole:
        return "-"
    found = wilson(part, whole)
    return f"{found.value:.0%} [{found.low:.0%}, {found.high:.0%}]"


def curves(rows: Sequence[Row]) -> dict[str, dict[int, tuple[list[int], list[float]]]]:
    """Attempts so far and true success, of each arm and seed."""
    found: dict[str, dict[int, tuple[list[int], list[float]]]] = {}
    for row in rows:
        places, values = found.setdefault(row.arm, {}).setdefault(row.seed, ([], []))
        places.append(row.round)
        values.append(row.successes / row.layouts)
    return found


def main(args: Args) -> None:
    if args.fast:
        args = replace(
            args, seeds=1, rounds=1, attempts=8, experts=6, imperfect=12, epochs=2, layouts=8, out=args.out / "fast"
        )
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "rows.csv"
    rows = read_rows(path)
    for seed in range(args.seeds):
        missing = [arm for arm in args.arms if not any((row.arm, row.seed) == (arm, seed) for row in rows)]
        if not missing:
            continue
        begun = time.process_time()
        shown = show(seed, args)
        judge = learned_judge(shown, seed, args)
        print(f"seed {seed}: shown and judge trained in {time.process_time() - begun:.0f} s CPU", flush=True)
        first = learn(shown.policies, Simulator(find_task(TASK), ROBOT), cloning_of(seed, args))
        before = successes(first[FORWARD], args)
        print(f"seed {seed}: {before} of {args.layouts} before practice", flush=True)
        for arm in missing:
            rows += rows_of(arm, seed, first, before, shown, judge, args)
            write_rows(path, rows)
    reset_free_picture.draw(curves(rows), args.attempts, args.out / "reset_free.svg")
    print(success_table(rows), verdict_table(rows), f"rows and picture are in {args.out}", sep="\n\n")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
