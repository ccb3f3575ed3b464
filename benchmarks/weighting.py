"""How fast weights are read, and what they cost in a training step. Results: weighting.md

Claims: the table of 10 million frames is read and looked up in at most 5 s; weighting adds at most 1 % to a training
step; at 1 million frames weights are there at least 200 times as soon as from lerobot's RABCWeights, which goes through
its table row by row, in the same run. lerobot computes weights from progress when a training begins. Ours are computed
beforehand and read then; that is the claim. Computing the very same weights from the very same table, with the same
result, is measured too. Seconds are of one core (process time), the best of the repeats.

    .venv/bin/python benchmarks/weighting.py             # some four minutes
    .venv/bin/python benchmarks/weighting.py --fast      # seconds, its figures mean little
"""

import logging
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
from claims import Claim, write_claims

from headway.episodes import Array
from headway.signals.weights import gains, rabc, read_weights, write_weights
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
    their_frames: int = 1_000_000
    """Of the table that lerobot goes through, and we beside it."""
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
    """Seconds to read a table and to look a batch up: of many frames, ours."""
    rng = np.random.default_rng(0)
    ours = folder / "weights.parquet"
    write_weights(ours, np.arange(args.frames), rng.random(args.frames))

    def look_up() -> None:
        number, weight = read_weights(ours)
        place = np.empty(len(number), dtype=np.float32)
        place[number] = weight
        place[rng.integers(args.frames, size=args.batch)].sum()

    batch = {"index": torch.as_tensor(rng.integers(args.frames, size=args.batch))}
    return {
        "headway reads": seconds_of(look_up, args.repeats),
        "headway plug-in reads": seconds_of(lambda: FrameWeights(ours, 0.0, args.frames).of(batch), args.repeats),
    }


def weights_from_progress(path: Path) -> Array:
    """What lerobot's RABCWeights knows once it is made, for every frame, computed from its own table."""
    table = pq.read_table(path, columns=["episode_index", "progress_sparse"])
    progress = table["progress_sparse"].to_numpy().astype(np.float64)
    return rabc(gains(progress, table["episode_index"].to_numpy(), CHUNK))


def beside_lerobot(args: Args, folder: Path) -> dict[str, float]:
    """The same for fewer frames, and lerobot's. Raises ValueError where the weights are not lerobot's."""
    from lerobot.rewards.sarm.rabc import RABCWeights

    rng = np.random.default_rng(0)
    progress_table, weight_table = folder / "progress.parquet", folder / "fewer.parquet"
    index = np.arange(args.their_frames)
    columns = {"index": index, "episode_index": index // EPISODE, "frame_index": index % EPISODE}
    progress = (index % EPISODE / EPISODE + rng.normal(0, 0.05, args.their_frames)).clip(0, 1).astype(np.float32)
    pq.write_table(pa.table({**columns, "progress_sparse": progress}), progress_table)
    weights = weights_from_progress(progress_table)
    write_weights(weight_table, index, weights)
    batches = [torch.as_tensor(rng.integers(args.their_frames, size=args.batch)) for _ in range(200)]

    table = FrameWeights(weight_table, 0.0, args.their_frames)
    table.of({"index": batches[0]})
    begun = time.process_time()
    slow = RABCWeights(progress_table, chunk_size=CHUNK, device=torch.device("cpu"))
    theirs = time.process_time() - begun
    for one in batches:
        # lerobot's come divided by their mean
        wanted = weights[one] / weights[one].mean()
        if not np.allclose(slow.compute_batch_weights({"index": one})[0], wanted, atol=1e-4):
            raise ValueError("the weights are not what lerobot's RABCWeights says")
    return {
        "lerobot reads": theirs,
        "headway reads as many": seconds_of(
            lambda: FrameWeights(weight_table, 0.0, args.their_frames).of({"index": batches[0]}), 3 * args.repeats
        ),
        "headway computes as many": seconds_of(lambda: weights_from_progress(progress_table), 3 * args.repeats),
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
        read = reading(args, Path(folder)) | beside_lerobot(args, Path(folder))
    plain, ratios = stepping(args)
    ratio = statistics.median(ratios)
    draws = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    rows = [
        ("headway: table read, an array by index", args.frames, "headway reads"),
        ("headway's lerobot plug-in: the same, checked", args.frames, "headway plug-in reads"),
        ("headway's lerobot plug-in", args.their_frames, "headway reads as many"),
        ("headway: lerobot's weights, from lerobot's table", args.their_frames, "headway computes as many"),
        ("lerobot's RABCWeights", args.their_frames, "lerobot reads"),
    ]
    print("| | frames | seconds | microseconds a frame |\n|---|---|---|---|")
    for what, frames, name in rows:
        print(f"| {what} | {frames:,} | {read[name]:.3f} | {read[name] / frames * 1e6:.3f} |")
    print(
        f"\nA batch of {args.batch} looked up: {read['headway batch'] * 1e6:.0f} microseconds, lerobot "
        f"{read['lerobot batch'] * 1e6:.0f}.\nA training step of {args.batch} frames: {plain * 1e3:.2f} ms; weighted "
        f"over plain, median of {args.steps} pairs: {ratio:.4f} [{low:.4f}, {high:.4f}]."
    )
    if args.fast:
        print("\n--fast: the figures mean nothing")
    computed = read["lerobot reads"] / read["headway computes as many"]
    faster = read["lerobot reads"] / read["headway reads as many"]
    whole = max(read["headway reads"], read["headway plug-in reads"])
    claims = [
        Claim(
            f"weights of {args.their_frames:,} frames, over lerobot's RABCWeights",
            faster,
            "x",
            200.0,
            note=f"{computed:.0f} x where ours are computed from lerobot's own table as well",
        ),
        Claim(f"table of {args.frames:,} weights, read and looked up", whole, "s", 5.0, at_least=False),
        Claim(
            "weighting adds to a training step",
            100 * (ratio - 1),
            "%",
            1.0,
            at_least=False,
            note=f"95 % interval {100 * (low - 1):.2f} to {100 * (high - 1):.2f} %",
        ),
    ]
    about = {"frames": args.frames, "their_frames": args.their_frames}
    found = {"seconds": read, "plain step": plain, "ratio": [ratio, low, high]}
    write_claims(args.out / "weighting.json", claims, about | found)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
