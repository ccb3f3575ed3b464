"""How long filtering takes, beside copying the same data: `python benchmarks/filtering.py --out DIR` (`--fast` for CI).

1,000 episodes of 200 frames are filtered three ways: all stay; every second stays, which takes video apart packet by
packet; and one in ten is cut in the middle, whose pictures have to be decoded for their statistics. Copying is
`shutil.copytree` of the whole dataset, in the same run, with the files in memory in both cases. Claim: without cuts
filtering is bound by copying, that is, takes at most twice as long.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from claims import Claim, write_claims

from headway.episodes import ArrayFrames, Episode, ProgressCurve
from headway.files import write_json
from headway.scoring import ranked
from headway.signals.segments import Piece, uncut
from headway.signals.selection import Decision, Selection
from headway.signals.summary import summarise
from headway.tables import EPISODE_SCHEMA, EPISODES, FRAMES, RUN, frame_rows, read_scores, write_table
from headway_datasets.filtered import write_filtered
from headway_datasets.lerobot_v3 import LeRobotV3
from headway_datasets.lerobot_writer import write_dataset

FPS = 20.0
BOUND = 2.0
"""Times copying below which filtering is bound by it: at least half of the time is then copying."""


@dataclass(frozen=True)
class Sizes:
    episodes: int
    frames: int
    side: int
    repeats: int


FULL = Sizes(episodes=1000, frames=200, side=96, repeats=3)
FAST = Sizes(episodes=20, frames=40, side=64, repeats=1)


def demonstrations(sizes: Sizes) -> Iterator[Episode]:
    """A block that moves over a textured ground, a state and an action of seven numbers."""
    rng = np.random.default_rng(0)
    for index in range(sizes.episodes):
        ground = rng.integers(60, 120, (sizes.side, sizes.side, 3), dtype=np.uint8)
        pixels = np.repeat(ground[None], sizes.frames, axis=0)
        for number, picture in enumerate(pixels):
            left = number * (sizes.side - 16) // sizes.frames
            picture[left : left + 16, left : left + 16] = rng.integers(0, 255, 3)
        numbers = rng.normal(size=(2, sizes.frames, 7)).astype(np.float32)
        yield Episode(
            index=index,
            first_frame=index * sizes.frames,
            fps=FPS,
            cameras={"top": ArrayFrames(pixels)},
            instruction="move the block",
            state=numbers[0],
            action=numbers[1],
            success=index % 2 == 0,
        )


def write_scores(source: LeRobotV3, out: Path) -> None:
    """Scores of a clock, without the checks that `headway score` makes: they decode every picture."""
    rows, tables = [], []
    for episode in source:
        values = np.linspace(0, 1, len(episode), dtype=np.float32)
        curve = ProgressCurve(values, np.ones(len(episode), bool), "clock")
        rows.append(summarise(episode, curve))
        tables.append(frame_rows(episode, curve))
    out.mkdir()
    write_table(out / FRAMES, pa.concat_tables(tables))
    write_table(out / EPISODES, pa.Table.from_pylist(ranked(rows), schema=EPISODE_SCHEMA))
    identity = {"estimator": "clock", "dataset": source.fingerprint, "cameras": ["top"], "options": {}}
    dataset = {"path": str(source.root), "format": source.format}
    run = {"identity": identity, "dataset": dataset, "estimator": "clock", "in_sample": 0, "unscored": []}
    write_json(out / RUN, {**run, "stage_names": None})


def selection(sizes: Sizes, way: str) -> Selection:
    """What stays: all, every second episode, or all of which one in ten is cut in the middle."""
    pieces: list[Piece] = []
    for index in range(sizes.episodes):
        middle = sizes.frames // 2
        if way == "one in ten cut" and index % 10 == 0:
            pieces += [
                Piece(index, 0, middle - 5, whole=False, to_the_end=False),
                Piece(index, middle + 5, sizes.frames, whole=False, to_the_end=True),
            ]
        elif way != "every second stays" or index % 2 == 0:
            pieces.append(uncut(index, sizes.frames))
    kept = {piece.episode for piece in pieces}
    decisions = [
        Decision(index, sizes.frames, FPS, "" if index in kept else "--keep") for index in range(sizes.episodes)
    ]
    return Selection(tuple(decisions), tuple(pieces), ())


def seconds(work: Callable[[Path], object], folder: Path, repeats: int) -> tuple[float, float]:
    """The median time of writing a folder, which is removed in between: on the wall, and of the processor."""
    found = []
    for _ in range(repeats):
        begun, used = time.perf_counter(), time.process_time()
        work(folder)
        found.append((time.perf_counter() - begun, time.process_time() - used))
        shutil.rmtree(folder)
    return statistics.median(wall for wall, _ in found), statistics.median(own for _, own in found)


def measure(sizes: Sizes, folder: Path) -> tuple[float, dict[str, tuple[float, float]]]:
    root = folder / "data"
    write_dataset(root, demonstrations(sizes))
    source = LeRobotV3(root)
    write_scores(source, folder / "scores")
    scores = read_scores(folder / "scores")
    megabytes = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) / 1e6
    found = {"copytree": seconds(lambda out: shutil.copytree(root, out), folder / "copy", sizes.repeats)}
    for way in ("all stay", "every second stays", "one in ten cut"):
        chosen = selection(sizes, way)
        found[way] = seconds(
            lambda out, chosen=chosen: write_filtered(source, scores, chosen, out, {}), folder / "out", sizes.repeats
        )
    return megabytes, found


def table(sizes: Sizes, megabytes: float, found: dict[str, tuple[float, float]]) -> str:
    lines = [
        f"{sizes.episodes:,} episodes of {sizes.frames} frames, {sizes.side} pixels, {megabytes:.0f} MB",
        "",
        "| | seconds | times copying | of the processor | times copying | MB/s |",
        "|---|---|---|---|---|---|",
    ]
    wall_of_copy, own_of_copy = found["copytree"]
    for name, (wall, own) in found.items():
        times = f"{wall:.2f} | {wall / wall_of_copy:.1f} | {own:.2f} | {own / max(own_of_copy, 1e-3):.1f}"
        lines.append(f"| {name} | {times} | {megabytes / wall:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="a few episodes, once: whether it runs")
    parser.add_argument("--out", type=Path, default=Path("runs/filtering-benchmark"), help="a folder for the results")
    options = parser.parse_args()
    sizes = FAST if options.fast else FULL
    with tempfile.TemporaryDirectory() as folder:
        megabytes, found = measure(sizes, Path(folder))
    print(table(sizes, megabytes, found))
    if options.fast:
        print("\n--fast: the figures mean nothing")
    copying = found["copytree"][0]
    claims = [
        Claim(f"filtering without cuts over copying, {way}", found[way][0] / copying, "x", BOUND, at_least=False)
        for way in ("all stay", "every second stays")
    ]
    write_claims(options.out / "filtering.json", claims, {"megabytes": megabytes, "seconds": found})


if __name__ == "__main__":
    main()
