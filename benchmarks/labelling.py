"""How fast a dataset is labelled with progress: `headway score` beside lerobot's own SARM labeller, and the floor.

Claims: at the same size and in float32, at least 14 times the frames a second of lerobot's labeller, and at least 0.9
of the floor; with the fast encoder at least 30 times lerobot's, its progress off by at most 0.01 in the mean.

The dataset is LeRobot v3: moving shapes of 320x240, AV1, episodes of ten seconds at 30 frames a second. All arms read
it with the same CLIP ViT-B/32 of random weights, in one process, with as many threads as there are cores:

    lerobot   its labeller, see labelling_peer.py; of each episode it labels a few frames, spread over its length
    floor     a straight PyAV loop, then transformers' own processor and tower in batches of 32; nothing else
    headway   headway.scoring.score of every frame into its tables, with an empty feature cache
    fast      the same with the encoder in 8-bit integers (headway.learned.fast)

The arms take turns and the medians of their rounds count; a ratio is the median of the rounds' ratios. The head of
ours has the width, layers and heads of the published one, but is one transformer where lerobot's are two of twice the
inner width; so a head with as many weights as lerobot's is timed too. Then each part alone. The heads' last layers are
fitted to the marks, so that progress runs from 0 to 1 and a rougher encoder can change it.

    .venv/bin/python benchmarks/labelling.py             # some ten minutes on two cores
    .venv/bin/python benchmarks/labelling.py --fast      # seconds, its figures mean nothing
"""

import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import labelling_peer
import numpy as np
import torch
import transformers
import tyro
from claims import Claim, write_claims
from labelling_floor import BATCH, Floor, pictures
from untrained import CAMERA, FPS, PUBLISHED, TINY, VIT_B_32, fit_heads, make_sarm, parameters, save_clip, write_shapes

from headway.checks.pictures import look
from headway.encoders.cache import FeatureCache
from headway.errors import Unsupported
from headway.learned.estimator import Learned
from headway.learned.fast import faster
from headway.learned.trunk import TrunkConfig
from headway.machine import cores
from headway.scoring import score
from headway.source import Source
from headway_datasets.opening import open_dataset

SIZE = (240, 320)
WHOLE = 1 << 20
"""A stride that leaves the first and last frame of each episode."""
HEAD = "head"
LARGE_HEAD = "head with as many weights as lerobot's"
LARGE_LAYERS = 25
"""Of a head of PUBLISHED width with as many weights as the two transformers of lerobot's."""


@dataclass
class Args:
    """What to run."""

    episodes: int = 2
    """Of ten seconds each."""
    stride: int = 15
    """lerobot's labeller labels every how many-th frame."""
    rounds: int = 3
    """Turns of each arm."""
    threads: int = 0
    """Of torch; 0 for as many as there are cores."""
    fast: bool = False
    """Small networks and little data, to see that it runs."""
    out: Path = Path("runs/labelling-benchmark")
    """Folder for the results."""


@dataclass(frozen=True)
class Bench:
    """What the arms are run on.

    Attributes:
        folder: all that is written.
        clip: the folder of the CLIP.
        source: the dataset.
        frames: how many it holds.
        estimator: headway's SARM.
        peer: labels every how many-th frame with lerobot, and returns how many those were.
        peer_weights: of its encoder and head.
    """

    folder: Path
    clip: Path
    source: Source
    frames: int
    estimator: Learned
    peer: Callable[[int], int]
    peer_weights: dict[str, int]


def prepare(folder: Path, args: Args) -> Bench:
    """Write the dataset, the CLIP and both SARMs, and load them."""
    os.environ["HEADWAY_CACHE"] = str(folder / "cache")
    clip = folder / "clip"
    size, trunk = (TINY, TrunkConfig(64, 2, 2)) if args.fast else (VIT_B_32, PUBLISHED)
    sizes = {"hidden_dim": 64, "num_layers": 2, "num_heads": 2, "image_dim": 32, "text_dim": 32} if args.fast else {}
    write_shapes(folder / "data", args.episodes, (2 if args.fast else 10) * FPS, SIZE)
    save_clip(clip, size)
    peer, weights = labelling_peer.load(
        labelling_peer.lay_out(folder / "lerobot", folder / "data", clip, sizes, CAMERA)
    )
    source = open_dataset(folder / "data")
    episodes = [source.episode(number) for number in source.episode_indices]
    estimator = fit_heads(folder / "fitted", make_sarm(folder / "sarm", clip, size, trunk), episodes)
    return Bench(folder, clip, source, sum(map(len, episodes)), estimator, peer, weights)


def run_headway(bench: Bench, estimator: Learned) -> int:
    """Score the dataset into fresh tables, with nothing in the cache."""
    shutil.rmtree(bench.folder / "cache", ignore_errors=True)
    shutil.rmtree(bench.folder / "scores", ignore_errors=True)
    score(bench.source, estimator, bench.folder / "scores")
    return bench.frames


@dataclass(frozen=True)
class Turn:
    """One turn of an arm, in milliseconds a frame: by the clock, and of all cores together."""

    wall: float
    cpu: float


def timed(work: Callable[[], int]) -> Turn:
    wall, cpu = time.perf_counter(), time.process_time()
    frames = work()
    return Turn((time.perf_counter() - wall) / frames * 1e3, (time.process_time() - cpu) / frames * 1e3)


def take_turns(arms: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[Turn]]:
    """Run the arms one after the other, so many times; which is first moves on."""
    found: dict[str, list[Turn]] = {name: [] for name in arms}
    names = list(arms)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            found[name].append(timed(arms[name]))
            print(f"round {number + 1}: {name} {1e3 / found[name][-1].wall:.2f} frames/s", flush=True)
    return found


def ratio(found: dict[str, list[Turn]], ours: str, theirs: str) -> float:
    """How many times as many frames a second one arm does, the median of the rounds."""
    return median(their.wall / our.wall for our, their in zip(found[ours], found[theirs], strict=True))


def measure_parts(bench: Bench, floor: Floor, fast: bool) -> dict[str, float]:
    """Milliseconds a frame of each part alone, the median of three."""
    batch = [picture for picture, _ in zip(pictures(bench.folder / "data"), range(BATCH), strict=False)]
    inputs = floor.prepare(batch)
    episodes = [bench.source.episode(number) for number in bench.source.episode_indices]
    size, layers = (TINY, 4) if fast else (VIT_B_32, LARGE_LAYERS)
    trunk = replace(bench.estimator.method.trunk, layers=layers)  # type: ignore[attr-defined]
    large = make_sarm(bench.folder / "large", bench.clip, size, trunk)

    def head(estimator: Learned) -> int:
        return sum(len(curve.values) for curve in estimator.estimate(episodes))

    def check() -> int:
        empty = FeatureCache(bench.folder / "facts")
        for episode in episodes:
            look(episode, empty)
        shutil.rmtree(empty.folder)
        return bench.frames

    # from here on the features of both are in the cache
    head(bench.estimator)
    works = {
        "decoding": lambda: sum(1 for _ in pictures(bench.folder / "data")),
        "preparing pictures": lambda: len(floor.prepare(batch)["pixel_values"]),
        "tower": lambda: len(floor.encode(inputs)),
        HEAD: lambda: head(bench.estimator),
        LARGE_HEAD: lambda: head(large),
        "checks of the pictures, with decoding": check,
    }
    return {name: median(timed(work).wall for _ in range(3)) for name, work in works.items()}


def weights_of(bench: Bench) -> dict[str, dict[str, int]]:
    """How many weights each has; the encoder is the same."""
    head = parameters(bench.estimator.members[0].network)
    return {"lerobot": bench.peer_weights, "headway": bench.peer_weights | {"head": head}}


def faster_of(estimator: Learned) -> Learned | None:
    """The estimator with the fast encoder; None where this machine cannot have it."""
    try:
        return faster(estimator)
    except Unsupported as error:
        print(f"no fast encoder: {error}")
        return None


def deviation(bench: Bench, quick: Learned) -> float:
    """Mean absolute difference of progress between the fast encoder and the exact one, over all frames."""
    episodes = [bench.source.episode(number) for number in bench.source.episode_indices]
    pairs = zip(bench.estimator.estimate(episodes), quick.estimate(episodes), strict=True)
    return float(np.concatenate([np.abs(exact.values - rough.values) for exact, rough in pairs]).mean())


def measure(bench: Bench, args: Args) -> tuple[dict[str, list[Turn]], dict[str, float], float]:
    """The turns of every arm, the parts of ours, and how far the fast encoder is off."""
    floor = Floor(bench.clip)
    arms: dict[str, Callable[[], int]] = {
        "lerobot": lambda: bench.peer(args.stride),
        "floor": lambda: floor.run(bench.folder / "data"),
        "headway": lambda: run_headway(bench, bench.estimator),
    }
    quick = faster_of(bench.estimator)
    if quick is not None:
        arms["fast"] = lambda: run_headway(bench, quick)
    # every network runs once before the clock does; ours did when its heads were fitted
    bench.peer(WHOLE)
    floor.encode(floor.prepare([np.zeros((*SIZE, 3), np.uint8)] * BATCH))
    if quick is not None:
        run_headway(bench, quick)
    found = take_turns(arms, args.rounds)
    return found, measure_parts(bench, floor, args.fast), deviation(bench, quick) if quick else math.nan


def table(found: dict[str, list[Turn]], parts: dict[str, float], weights: dict[str, dict[str, int]]) -> str:
    """What was measured, in Markdown."""
    lines = ["| | frames/s | ms a frame | CPU ms a frame | of lerobot's | of the floor |", "|---|---|---|---|---|---|"]
    for name, turns in found.items():
        wall, cpu = median(turn.wall for turn in turns), median(turn.cpu for turn in turns)
        against = " | ".join(f"{ratio(found, name, other):.2f} x" for other in ("lerobot", "floor"))
        lines.append(f"| {name} | {1e3 / wall:.2f} | {wall:.1f} | {cpu:.1f} | {against} |")
    lines += ["", "| of headway, alone | ms a frame |", "|---|---|"]
    lines += [f"| {name} | {value:.2f} |" for name, value in parts.items()]
    lines += ["", "| weights, million | picture tower | head |", "|---|---|---|"]
    lines += [f"| {name} | {own['encoder'] / 1e6:.1f} | {own['head'] / 1e6:.1f} |" for name, own in weights.items()]
    return "\n".join(lines)


def claims_of(found: dict[str, list[Turn]], off: float, parts: dict[str, float]) -> list[Claim]:
    """A missing fast encoder is a miss."""
    quick = ratio(found, "fast", "lerobot") if "fast" in found else math.nan
    larger = median(turn.wall for turn in found["headway"]) + parts[LARGE_HEAD] - parts[HEAD]
    as_large = median(turn.wall for turn in found["lerobot"]) / larger
    note = "" if "fast" in found else "there is no fast encoder here"
    spent = ", ".join(f"{name} {value:.1f}" for name, value in parts.items())
    return [
        Claim(
            "same-size SARM scoring, float32, over lerobot's labeller",
            ratio(found, "headway", "lerobot"),
            "x",
            14,
            note=f"same width, layers and heads; with as many weights in the head it would be {as_large:.1f} x",
        ),
        Claim(
            "same-size SARM scoring over decoding once and encoding once",
            ratio(found, "headway", "floor"),
            "x",
            0.9,
            note=f"ms a frame: {spent}",
        ),
        Claim("SARM scoring with the fast encoder over lerobot's labeller", quick, "x", 30, note=note),
        Claim("mean absolute deviation of progress, fast encoder", off, "", 0.01, at_least=False, note=note),
    ]


def main(args: Args) -> None:
    if args.fast:
        args.episodes, args.stride, args.rounds = 2, 20, 1
    torch.set_num_threads(args.threads or cores())
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as scratch:
        bench = prepare(Path(scratch), args)
        found, parts, off = measure(bench, args)
        weights = weights_of(bench)
    print(f"\n{bench.frames} frames; lerobot labels every {args.stride}th. Threads: {torch.get_num_threads()}\n")
    print(table(found, parts, weights))
    if args.fast:
        print("\n--fast: these figures mean nothing")
    turns = {name: [asdict(turn) for turn in own] for name, own in found.items()}
    measured = {"turns, ms a frame": turns, "parts, ms a frame": parts, "weights": weights, "deviation": off}
    settings = {"frames": bench.frames, "stride": args.stride, "threads": torch.get_num_threads(), "fast": args.fast}
    args.out.mkdir(parents=True, exist_ok=True)
    write_claims(args.out / "labelling.json", claims_of(found, off, parts), settings | measured)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
