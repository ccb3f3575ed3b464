"""How fast weights are read, and what they cost in a training step. Results: weighting.md

Claims: the table of 10 million frames is read and looked up in at most 5 s; weighting adds at most 1 % to a training
step. In the same run, for comparison: lerobot's RABCWeights, which goes through its table row by row. Seconds are of
one core (process time), the best of the repeats.

    .venv/bin/python benchmarks/weighting.py             # some two minutes
    .venv/bin/python benchmarks/weighting.py --fast      # seconds, its figures mean little
"""

import logging
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import tyro

from headway.files import write_json
from headway.signals.weights import read_weights, write_weights
from headway_policies.behaviour_cloning import CloningConfig, action_chunks, weighted_loss
from headway_policies.lerobot_policies.frame_weights import FrameWeights
from headway_policies.network import CloningNetwork, CloningShape
from headway_policies.signature import signature_of

EPISODE = 500
"""Frames of an episode."""
CHUNK = 50


@dataclass
class Args:
    """What to run."""

    frames: int = 10_000_000
    """Of our table."""
    their_frames: int = 100_000
    """Of the table that lerobot goes through."""
    batch: int = 256
    """Frames in a lookup and in a training step."""
    steps: int = 1500
    """Pairs of training steps."""
    repeats: int = 3
    """Of each measurement; the best counts."""
    fast: bool = False
    """A few of everything, to see that it runs."""
    out: Path = Path("runs/weighting-benchmark")
    """Folder for the results."""


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """The fewest seconds of one core."""
    found = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def reading(args: Args, folder: Path) -> dict[str, float]:
    """Seconds to read a table and to look a batch up, ours and lerobot's."""
    from lerobot.rewards.sarm.rabc import RABCWeights

    rng = np.random.default_rng(0)
    ours = folder / "weights.parquet"
    write_weights(ours, np.arange(args.frames), rng.random(args.frames))
    theirs = folder / "progress.parquet"
    index = np.arange(args.their_frames)
    columns = {"index": index, "episode_index": index // EPISODE, "frame_index": index % EPISODE}
    progress = (index % EPISODE / EPISODE).astype(np.float32)
    pq.write_table(pa.table({**columns, "progress_sparse": progress}), theirs)
    cpu = torch.device("cpu")

    def look_up() -> None:
        number, weight = read_weights(ours)
        place = np.empty(len(number), dtype=np.float32)
        place[number] = weight
        place[rng.integers(args.frames, size=args.batch)].sum()

    table = FrameWeights(ours, 0.0, args.frames)
    table.of({"index": torch.arange(args.batch)})
    slow = RABCWeights(theirs, chunk_size=CHUNK, device=cpu)
    batches = [torch.as_tensor(rng.integers(args.their_frames, size=args.batch)) for _ in range(200)]
    return {
        "headway reads": seconds_of(look_up, args.repeats),
        "headway plug-in reads": seconds_of(
            lambda: FrameWeights(ours, 0.0, args.frames).of({"index": batches[0]}), args.repeats
        ),
        "lerobot reads": seconds_of(lambda: RABCWeights(theirs, chunk_size=CHUNK, device=cpu), min(args.repeats, 2)),
        "headway batch": seconds_of(lambda: [table.of({"index": one}) for one in batches], args.repeats) / 200,
        "lerobot batch": seconds_of(lambda: [slow.compute_batch_weights({"index": one}) for one in batches], 2) / 200,
    }


def stepping(args: Args) -> tuple[float, list[float]]:
    """Seconds of a plain training step of our clone, and for each pair of steps, weighted over plain."""
    rng = np.random.default_rng(0)
    signature = signature_of("tidy-drawer", "gripper")
    frames, config = 20_000, CloningConfig(batch=args.batch)
    numbers = [
        rng.normal(size=(frames, len(names))).astype(np.float32)
        for names in (signature.state, signature.environment_state, signature.action)
    ]
    episode = np.arange(frames) // EPISODE
    chunks, inside = action_chunks(numbers[2], episode, np.arange(frames), config.chunk)
    state, environment = torch.as_tensor(numbers[0]), torch.as_tensor(numbers[1])
    weights = torch.as_tensor(rng.random(frames), dtype=torch.float32)
    torch.manual_seed(0)
    network = CloningNetwork(CloningShape(signature, config.chunk, config.width, config.blocks))
    network.fit_statistics(state, environment, chunks, inside)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step(weighted: bool) -> float:
        begun = time.process_time()
        drawn = torch.as_tensor(rng.integers(frames, size=config.batch))
        error = (network(state[drawn], environment[drawn]) - chunks[drawn]) / network.action_spread
        if weighted:
            loss = weighted_loss(error, inside[drawn], weights[drawn])
        else:
            loss = ((error.abs().mean(-1) * inside[drawn]).sum(1) / inside[drawn].sum(1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return time.process_time() - begun

    for _ in range(10):
        step(True), step(False)
    plain, ratios = [], []
    for number in range(args.steps):
        # which goes first alternates, so that neither has the warmer cache
        first, second = step(number % 2 == 0), step(number % 2 == 1)
        with_weights, without = (first, second) if number % 2 == 0 else (second, first)
        plain.append(without)
        ratios.append(with_weights / without)
    return statistics.median(plain), ratios


def main(args: Args) -> None:
    if args.fast:
        args.frames, args.their_frames, args.steps, args.repeats = 200_000, 2_000, 20, 1
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        read = reading(args, Path(folder))
    plain, ratios = stepping(args)
    ratio = statistics.median(ratios)
    draws = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    each = read["lerobot reads"] / args.their_frames
    lines = [
        "| | frames | seconds | microseconds a frame |",
        "|---|---|---|---|",
        f"| headway: table read, an array by index | {args.frames:,} | {read['headway reads']:.2f} | "
        f"{read['headway reads'] / args.frames * 1e6:.3f} |",
        f"| headway's lerobot plug-in: the same, checked | {args.frames:,} | {read['headway plug-in reads']:.2f} | "
        f"{read['headway plug-in reads'] / args.frames * 1e6:.3f} |",
        f"| lerobot's RABCWeights | {args.their_frames:,} | {read['lerobot reads']:.2f} | {each * 1e6:.1f} |",
        f"| lerobot's, at that rate | {args.frames:,} | {each * args.frames:,.0f} | {each * 1e6:.1f} |",
        "",
        f"A batch of {args.batch} looked up: {read['headway batch'] * 1e6:.0f} microseconds, lerobot "
        f"{read['lerobot batch'] * 1e6:.0f}.",
        f"A training step of {args.batch} frames: {plain * 1e3:.2f} ms; weighted over plain, median of {args.steps} "
        f"pairs: {ratio:.4f} [{low:.4f}, {high:.4f}].",
    ]
    print("\n".join(lines))
    args.out.mkdir(parents=True, exist_ok=True)
    about = {"torch": torch.__version__, "machine": platform.machine(), "frames": args.frames}
    found = {"seconds": read, "plain step": plain, "ratio": [ratio, float(low), float(high)]}
    write_json(args.out / "weighting.json", {**about, "their_frames": args.their_frames, **found})
    print(f"\nresults are in {args.out / 'weighting.json'}")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
