"""What an episode's length costs: time a frame and memory of `headway score`, and time a frame of a stream.

Claims: the cost of a frame is the same for episodes of 100, 1,000 and 10,000 frames within 10 %; memory is flat: the
peak at the greatest length is at most 1.1 times that at the least; a stream's push costs the same after 10,000 pushes
as after 100, within 10 %.

Each length is scored in a process of its own, in turn, so many frames of it in all that every process does the same
work: a hundred episodes of a hundred frames, or one of 10,000. The encoder is a CLIP of random weights with a twentieth
of the work of ViT-B/32, so that it takes minutes; whatever an episode costs beside its frames weighs twenty times as
much, and is printed. Features are not in the cache. Streams are timed with this network and, a few pushes, with one
of the published size (see labelling.py). The small network has one thread, the large one as many as there are cores.

    .venv/bin/python benchmarks/scaling.py             # some seven minutes on two cores
    .venv/bin/python benchmarks/scaling.py --fast      # seconds, its figures mean nothing
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
import transformers
import tyro
from claims import Claim, write_claims
from untrained import (
    CAMERA,
    FPS,
    PUBLISHED,
    SMALL,
    STATE,
    TINY,
    VIT_B_32,
    ClipSize,
    Drawn,
    make_sarm,
    save_clip,
    write_shapes,
)

from headway.episodes import Array
from headway.learned.checkpoint import load_learned
from headway.learned.estimator import Learned
from headway.learned.trunk import TrunkConfig
from headway.machine import cores
from headway.scoring import ScoreOptions, score
from headway_datasets.opening import open_dataset

SIZE = (64, 64)
WINDOW = 100
"""Pushes whose median is compared."""
WARMING = 5


@dataclass
class Args:
    """What to run."""

    lengths: tuple[int, ...] = (100, 1_000, 10_000)
    """Frames of an episode; each divides the last."""
    repeats: int = 2
    """Turns of each length; the median counts."""
    pushes: int = 10_000
    """Into a stream of the small network."""
    large_pushes: int = 60
    """Into a stream of the network of published size."""
    fast: bool = False
    """Few frames and no large network, to see that it runs."""
    out: Path = Path("runs/scaling-benchmark")
    """Folder for the results."""
    one: Path | None = None
    """For the processes that this one starts: the folder they score in."""


def score_one(folder: Path, length: int) -> None:
    """Score the dataset of one length in `folder` and print, as JSON, what it took."""
    estimator = load_learned("sarm", folder / "sarm")
    source = open_dataset(folder / f"data-{length}")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        # what is imported and prepared on first use is no cost of a frame
        os.environ["HEADWAY_CACHE"] = f"{scratch}/cache"
        warm = min(int(path.name.removeprefix("data-")) for path in folder.glob("data-*"))
        score(open_dataset(folder / f"data-{warm}"), estimator, Path(scratch, "warm"), ScoreOptions(episodes=(0,)))
        estimator = load_learned("sarm", folder / "sarm")
        before, wall, cpu = peak_bytes(), time.perf_counter(), time.process_time()
        score(source, estimator, Path(scratch, "scores"))
        taken = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(taken | {"before": before, "peak": peak_bytes()}))


def peak_bytes() -> int:
    """The most memory this process held so far. Linux counts into ru_maxrss what its parent held at its start."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure_lengths(folder: Path, args: Args) -> dict[int, list[dict[str, float]]]:
    """By length, what each turn took."""
    total = args.lengths[-1]
    for length in args.lengths:
        write_shapes(folder / f"data-{length}", total // length, length, SIZE, codec="h264")
    found: dict[int, list[dict[str, float]]] = {length: [] for length in args.lengths}
    for number in range(args.repeats):
        for length in args.lengths:
            command = [sys.executable, __file__, "--one", str(folder), "--lengths", str(length)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[length].append(json.loads(done.stdout.splitlines()[-1]))
            each = found[length][-1]["wall"] / total * 1e3
            print(
                f"turn {number + 1}: {total // length} episodes of {length} frames, {each:.3f} ms a frame", flush=True
            )
    return found


def make(folder: Path, size: ClipSize, trunk: TrunkConfig) -> Learned:
    save_clip(folder / "clip", size)
    return make_sarm(folder / "sarm", folder / "clip", size, trunk)


def push_seconds(estimator: Learned, pushes: int, size: tuple[int, int]) -> Array:
    """Seconds of each push into a new stream, (pushes,)."""
    pictures = list(islice(Drawn(300, *size, 0), 300))
    stream = estimator.stream("carry the box over")
    state = np.zeros(STATE, np.float32)
    seconds = np.empty(pushes)
    for number, picture in zip(range(pushes), cycle(pictures), strict=False):
        begun = time.perf_counter()
        stream.push({CAMERA: picture}, number / FPS, state)
        seconds[number] = time.perf_counter() - begun
    return seconds


def percentiles(seconds: Array) -> dict[str, float]:
    """Milliseconds of a push."""
    return {f"p{share}": float(np.percentile(seconds[WARMING:], share) * 1e3) for share in (50, 95, 99)}


def tables(found: dict[int, list[dict[str, float]]], total: int, streams: dict[str, dict[str, float]]) -> str:
    """What was measured, in Markdown."""
    lines = ["| episodes | ms a frame | CPU ms a frame | peak memory, MiB | before, MiB |", "|---|---|---|---|---|"]
    for length, turns in found.items():
        wall, cpu, peak, before = (median(turn[name] for turn in turns) for name in ("wall", "cpu", "peak", "before"))
        lines.append(
            f"| {total // length:,} of {length:,} frames | {wall / total * 1e3:.3f} | {cpu / total * 1e3:.3f} | "
            f"{peak / 2**20:.1f} | {before / 2**20:.1f} |"
        )
    lines += ["", "| a push, ms | p50 | p95 | p99 |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {each['p50']:.2f} | {each['p95']:.2f} | {each['p99']:.2f} |" for name, each in streams.items()
    ]
    return "\n".join(lines)


def main(args: Args) -> None:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # the small network is too small to be worth a second core
    torch.set_num_threads(1)
    if args.one is not None:
        score_one(args.one, args.lengths[0])
        return
    if args.fast:
        args.lengths, args.repeats, args.pushes = (50, 200), 1, 400
    total = args.lengths[-1]
    streams = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        estimator = make(folder, TINY if args.fast else SMALL, TrunkConfig())
        found = measure_lengths(folder, args)
        small = push_seconds(estimator, args.pushes, SIZE)
        streams[f"small network, {args.pushes:,} pushes"] = percentiles(small)
        if not args.fast:
            torch.set_num_threads(cores())
            large = push_seconds(make(folder / "large", VIT_B_32, PUBLISHED), args.large_pushes, (240, 320))
            streams[f"published size, {args.large_pushes} pushes"] = percentiles(large)
    costs = {length: median(turn["wall"] for turn in turns) / total * 1e3 for length, turns in found.items()}
    peaks = {length: median(turn["peak"] for turn in turns) for length, turns in found.items()}
    least, second, greatest = args.lengths[0], args.lengths[-2], args.lengths[-1]
    growth = (peaks[greatest] - peaks[second]) / (greatest - second)
    early, late = float(np.median(small[WINDOW : 2 * WINDOW])), float(np.median(small[-WINDOW:]))
    print()
    print(tables(found, total, streams))
    apiece = (costs[least] - costs[greatest]) * least * greatest / (greatest - least)
    print(f"\nAn episode costs {apiece:.1f} ms beside its frames.")
    print(f"From {second:,} to {greatest:,} frames an episode, peak memory grows by {growth:,.0f} bytes a frame.")
    print(f"A push after {WINDOW} pushes {early * 1e3:.3f} ms, after {args.pushes:,} {late * 1e3:.3f} ms.")
    if args.fast:
        print("\n--fast: these figures mean nothing")
    held = f"from {peaks[least] / 2**20:.0f} to {peaks[greatest] / 2**20:.0f} MiB, {growth:,.0f} bytes a frame"
    claims = [
        Claim(
            f"cost of a frame, dearest over cheapest of {least:,} to {greatest:,} frames an episode",
            max(costs.values()) / min(costs.values()),
            "x",
            1.1,
            at_least=False,
            note=f"an episode costs {apiece:.1f} ms beside its frames of {costs[greatest]:.2f} ms",
        ),
        Claim(
            f"peak memory, episodes of {greatest:,} frames over {least:,}",
            peaks[greatest] / peaks[least],
            "x",
            1.1,
            at_least=False,
            note=held,
        ),
        Claim(
            f"streaming: a push after {args.pushes:,} pushes over one after {WINDOW}",
            late / early,
            "x",
            1.1,
            at_least=False,
        ),
    ]
    measured = {
        "lengths": found,
        "ms a frame": costs,
        "pushes, ms": streams,
        "bytes a frame": growth,
        "an episode, ms": apiece,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    write_claims(args.out / "scaling.json", claims, measured | {"fast": args.fast})


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
