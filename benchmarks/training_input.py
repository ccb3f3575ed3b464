"""How long a training step waits for its input, with and without a thread that prepares the next steps.

Claims, for a SARM on frozen features (512 numbers, two cameras) and on pictures (`tiny`, 64 pixels, augmented): the
network waits for at most 5 % of its time, whether the feature files are in the page cache or dropped from it before
every read; and a step with the thread takes no longer than one without, which a thread on the same cores easily does.
5 %, because a run of a hundred epochs then wins less than its early stopping wastes. In the same run: the same course
without the thread, in turns with it (their weights must be the same to the last bit), the floor (a step less its
waiting), and a disk that takes some milliseconds a read, which is simulated, as a disk over the network would.

A step waits until its draws are made and its pictures lie in memory. Augmentation is part of the
step: torch computes it, on the device of the network. torch uses as many threads as it does in `headway train`.

    .venv/bin/python benchmarks/training_input.py             # some five minutes
    .venv/bin/python benchmarks/training_input.py --fast      # seconds, its figures mean nothing
"""

import json
import mmap
import os
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import torch
import tyro
from claims import Claim, write_claims

from headway.encoders.small import Ngrams
from headway.episodes import Array
from headway.files import make_folder
from headway.learned.diary import Diary
from headway.learned.inputs import Clip, InputConfig
from headway.learned.method import Knowledge, Lesson, TrainingConfig
from headway.learned.sarm import Sarm
from headway.learned.targets import Scales, StageScale
from headway.learned.team import Team
from headway.learned.training import AHEAD, Course
from headway.learned.trunk import Sizes
from headway.learned.wrong_text import Negatives, Texts

INSTRUCTION = "put the cube into the drawer"
STAGES = 3
GAP = 4
MOST_IDLE = 0.05
MOST_SLOWER = 1.02
"""Two runs of the same thing, in turns, differ by so much on an idle machine."""

type Disk = Literal["cached", "dropped", "slow"]
DISKS: tuple[Disk, ...] = ("cached", "dropped", "slow")


@dataclass
class Args:
    """What to run."""

    episodes: int = 64
    """With features; pictures have half as many."""
    frames: int = 300
    """Kept frames of an episode with features; with pictures half as many."""
    epochs: int = 3
    """Of each course; the first is not counted in the time of a step, only in the idle share."""
    repeats: int = 5
    """Pairs of courses, with and without the thread; the median pair counts."""
    slow: float = 0.005
    """Seconds that each read of the slow disk takes."""
    device: str = "cpu"
    """What the network computes on."""
    fast: bool = False
    """A little of everything, to see that it runs."""
    out: Path = Path("runs/training-input-benchmark")
    """Folder for the results; the feature files lie there too while it runs."""


class OnDisk(np.ndarray):
    """Features mapped from a file; what happens around a read depends on the disk."""

    after: Any = None
    before: Any = None

    def __getitem__(self, key: Any) -> Any:
        if self.before is not None:
            self.before()
        read = np.asarray(super().__getitem__(key))
        if self.after is not None:
            self.after()
        return read


def mapped(path: Path, disk: Disk, seconds: float) -> Array:
    """Map a .npy file of features as training does, on one of the disks."""
    plain = np.load(path, mmap_mode="r")
    file = os.open(path, os.O_RDONLY)
    whole = mmap.mmap(file, 0, prot=mmap.PROT_READ)
    features = np.frombuffer(whole, plain.dtype, plain.size, plain.offset).reshape(plain.shape).view(OnDisk)

    def drop() -> None:
        # a page stays in the cache while a process has it mapped
        whole.madvise(mmap.MADV_DONTNEED)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)

    if disk == "dropped":
        drop()
        features.after = drop
    elif disk == "slow":
        features.before = partial(time.sleep, seconds)
    return features


@dataclass(frozen=True)
class Input:
    """One kind of input, and the files that hold it."""

    name: str
    method: Sarm
    shape: tuple[int, ...]
    frames: int
    files: tuple[tuple[Path, ...], ...]


def write_files(folder: Path, name: str, count: tuple[int, int, int], feature: Array) -> tuple[tuple[Path, ...], ...]:
    """Write feature files for so many episodes, cameras and frames, all on the disk when this returns."""
    episodes, cameras, frames = count
    rng = np.random.default_rng(0)
    every = []
    for episode in range(episodes):
        paths = tuple(folder / f"{name}-{episode}-{camera}.npy" for camera in range(cameras))
        for path in paths:
            features = rng.integers(0, 256, (frames, *feature.shape)).astype(feature.dtype)
            with path.open("wb") as file:
                np.save(file, features)
                file.flush()
                os.fsync(file.fileno())
        every.append(paths)
    return tuple(every)


def inputs_of(args: Args, folder: Path) -> list[Input]:
    """Both kinds."""
    training = TrainingConfig(epochs=args.epochs, validation=0.0)
    many, few = (args.episodes, 2, args.frames), (args.episodes // 2, 1, args.frames // 2)
    features = write_files(folder, "features", many, np.empty(512, np.float32))
    pictures = write_files(folder, "pictures", few, np.empty((64, 64, 3), np.uint8))
    return [
        Input("features", Sarm(InputConfig(("a", "b"), "frozen"), training), (512,), many[2], features),
        Input("pictures", Sarm(InputConfig(("a",)), training), (64, 64, 3), few[2], pictures),
    ]


def lessons_of(given: Input, texts: Texts, disk: Disk, seconds: float) -> list[Lesson]:
    """Episodes in equal stages; nobody looks at what is learned from noise."""
    time_ = np.arange(given.frames)
    labels = {
        "stage": time_ * STAGES // given.frames,
        "within": (time_ * STAGES / given.frames % 1).astype(np.float32),
    }
    lessons = []
    for number, paths in enumerate(given.files):
        features = tuple(mapped(path, disk, seconds) for path in paths)
        clip = Clip(number, features, None, time_, GAP, texts.encode(INSTRUCTION), INSTRUCTION)
        lessons.append(Lesson(clip, labels, True))
    return lessons


@dataclass(frozen=True)
class Trained:
    """One course.

    Attributes:
        step: seconds of a step, the median of all after the first epoch.
        cpu: seconds of all cores that a step takes, all steps counted.
        idle: share of all its epochs in which the network waited.
        weights: their sums.
    """

    step: float
    cpu: float
    idle: float
    weights: tuple[float, ...]


def train(given: Input, lessons: list[Lesson], texts: Texts, args: Args, ahead: int) -> Trained:
    """One whole course."""
    knowledge = Knowledge(Scales((StageScale(("a", "b", "c"), (1 / STAGES,) * STAGES, (4.0,) * STAGES),)))
    torch.manual_seed(0)
    method = given.method
    sizes = Sizes(given.shape, len(method.inputs.cameras), texts.dimension, 0, method.inputs.history)
    network = method.network(sizes, knowledge)
    lines: list[dict[str, float]] = []
    negatives = Negatives(texts, ((INSTRUCTION,),), method.wrong_text)
    diary = Diary(None, lambda line: lines.append(dict(line)))
    course = Course(method, network, lessons, [], negatives, knowledge, Team(args.device), None, diary, ahead)
    ends: list[float] = []
    begun = time.process_time()
    course.run(lambda *_: ends.append(time.perf_counter()))
    cpu = (time.process_time() - begun) / len(ends)
    step = float(np.median(np.diff(ends)[course.steps - 1 :]))
    seconds = np.array([line["epoch_seconds"] for line in lines])
    waited = seconds * [line["waited_share"] for line in lines]
    weights = tuple(float(tensor.double().sum()) for tensor in network.state_dict().values())
    return Trained(step, cpu, float(waited.sum() / seconds.sum()), weights)


def compare(given: Input, disk: Disk, args: Args) -> dict[str, Any]:
    """With and without the thread, in turns."""
    texts = Texts(Ngrams())
    lessons = lessons_of(given, texts, disk, args.slow)
    found: dict[int, list[Trained]] = {0: [], AHEAD: []}
    for repeat in range(args.repeats):
        for ahead in (0, AHEAD) if repeat % 2 else (AHEAD, 0):
            found[ahead].append(train(given, lessons, texts, args, ahead))
    if len({trained.weights for those in found.values() for trained in those}) != 1 and args.device == "cpu":
        raise SystemExit(f"{given.name}, {disk}: the weights depend on what is prepared ahead")
    alone, ahead = found[0], found[AHEAD]
    ratios = [after.step / before.step for before, after in zip(alone, ahead, strict=True)]
    return {
        "step alone": median(t.step for t in alone),
        "step ahead": median(t.step for t in ahead),
        "floor": median(t.step * (1 - t.idle) for t in alone),
        "idle alone": median(t.idle for t in alone),
        "idle ahead": median(t.idle for t in ahead),
        "ratio": median(ratios),
        "ratios": ratios,
        "cpu ratio": median(after.cpu / before.cpu for before, after in zip(alone, ahead, strict=True)),
    }


def claims_of(name: str, by_disk: dict[str, dict[str, Any]]) -> list[Claim]:
    """Of one input: its worst figure over the two disks that are real."""
    real = {disk: by_disk[disk] for disk in ("cached", "dropped")}
    idle = ", ".join(f"{row['idle ahead']:.2%} {disk} ({row['idle alone']:.2%} alone)" for disk, row in real.items())
    pace = ", ".join(f"{row['ratio']:.3f} {disk}" for disk, row in real.items())
    most_idle, slowest = (max(row[kind] for row in real.values()) for kind in ("idle ahead", "ratio"))
    return [
        Claim(f"training on {name}: idle share", 100 * most_idle, "%", 100 * MOST_IDLE, at_least=False, note=idle),
        Claim(f"training on {name}: step, ahead / alone", slowest, "x", MOST_SLOWER, at_least=False, note=pace),
    ]


def main(args: Args) -> None:
    """Measure, print and write training_input.json."""
    if args.fast:
        args.episodes, args.frames, args.epochs, args.repeats = 16, 40, 2, 1
    make_folder(args.out)
    measured: dict[str, Any] = {"torch threads": torch.get_num_threads(), "device": args.device, "ahead": AHEAD}
    claims: list[Claim] = []
    print(f"{'':20}{'step alone':>12}{'ahead':>12}{'floor':>12}{'ratio':>9}{'of CPU':>9}{'idle alone':>12}{'ahead':>9}")
    with tempfile.TemporaryDirectory(dir=args.out) as folder:
        for given in inputs_of(args, Path(folder)):
            rows = measured[given.name] = {}
            for disk in DISKS:
                row = rows[disk] = compare(given, disk, args)
                steps = "".join(f"{1e3 * row[kind]:9.1f} ms" for kind in ("step alone", "step ahead", "floor"))
                idle = f"{row['idle alone']:12.2%}{row['idle ahead']:9.2%}"
                print(
                    f"{given.name + ', ' + disk:20}{steps}{row['ratio']:9.3f}{row['cpu ratio']:9.3f}{idle}", flush=True
                )
            claims += claims_of(given.name, rows)
    if args.fast:
        print("with --fast the figures mean nothing")
    write_claims(args.out / "training_input.json", claims, json.loads(json.dumps(measured)))


if __name__ == "__main__":
    main(tyro.cli(Args))
