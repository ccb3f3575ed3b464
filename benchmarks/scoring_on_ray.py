"""What scoring under Ray costs and gains on one machine, where it need not be used.

Claim: the tables are the local engine's, byte by byte. There is no target for the speed: on one machine both engines
have the same cores, so the ratio says what Ray's processes and its shared memory take, or what decoding beside the
model brings. Compared are frames per second from the first part that is written to the last; the time up to there is
told apart, since it is the same for ten episodes and for a million: starting Ray's processes, and in each of them
Python, torch and the model. Each run has an empty feature cache; the two engines alternate and the medians count. The
estimator is an untrained SARM on a random CLIP, a twentieth of the size of ViT-B/32, on AV1 video of 320 x 240.

    .venv/bin/python benchmarks/scoring_on_ray.py             # some five minutes
    .venv/bin/python benchmarks/scoring_on_ray.py --fast      # a minute, its figures mean nothing
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
import tyro
from claims import Claim, write_claims
from untrained import PUBLISHED, SMALL, TINY, make_sarm, save_clip, write_shapes

from headway.cli.options import open_source
from headway.learned.trunk import TrunkConfig
from headway.scoring import Engine, score
from headway.scoring.local import score_here
from headway.scoring.ray_cluster import cluster
from headway.scoring.ray_engine import ray_engine
from headway.specs import make_estimator
from headway.tables import EPISODES, FRAMES

SIZE = (240, 320)


@dataclass
class Args:
    """What to run."""

    episodes: int = 16
    """Of the dataset."""
    frames: int = 300
    """Of each episode."""
    repeats: int = 3
    """Of each engine."""
    actors: int = 0
    """Models at once under Ray; 0 leaves that to the machine."""
    device: str = "cpu"
    """cpu or cuda."""
    fast: bool = False
    """A few short episodes, once, to see that it runs."""
    out: Path = Path("runs/scoring-on-ray-benchmark")
    """Folder for the results."""


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        started: seconds until Ray was there.
        first: seconds from there to the first part.
        rest: seconds from there to the last.
        rate: frames per second of all parts but the first.
        ended: seconds until Ray's processes were gone.
    """

    started: float
    first: float
    rest: float
    rate: float
    ended: float


@contextmanager
def feature_cache(folder: Path) -> Iterator[None]:
    """An empty cache, also for processes that are started now."""
    before = os.environ.get("HEADWAY_CACHE")
    os.environ["HEADWAY_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("HEADWAY_CACHE")
        if before is not None:
            os.environ["HEADWAY_CACHE"] = before


def measure(args: Args, out: Path, open_it: Callable, make: Callable, engine: Engine, under_ray: bool) -> Run:
    """Score into `out`."""
    parts: list[float] = []

    def on_episode(done: int, total: int) -> None:
        parts.extend([time.perf_counter()] if done else [])

    with feature_cache(out.with_suffix(".cache")):
        source, estimator = open_it(), make()
        begun = time.perf_counter()
        with cluster() if under_ray else nullcontext():
            there = time.perf_counter()
            score(source, estimator, out, on_episode=on_episode, engine=engine)
            scored = time.perf_counter()
        gone = time.perf_counter()
    rest = parts[-1] - parts[0]
    rate = (len(parts) - 1) * args.frames / rest
    return Run(there - begun, parts[0] - there, rest, rate, gone - scored)


def main(args: Args) -> None:
    if args.fast:
        args.episodes, args.frames, args.repeats = 4, 40, 1
    found: dict[str, list[Run]] = {"local": [], "ray": []}
    same = True
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_shapes(folder / "shapes", args.episodes, args.frames, SIZE)
        clip = TINY if args.fast else SMALL
        save_clip(folder / "clip", clip)
        make_sarm(folder / "run", folder / "clip", clip, TrunkConfig() if args.fast else PUBLISHED)
        make = partial(make_estimator, f"sarm:{folder / 'run'}", args.device)
        open_it = partial(open_source, str(folder / "shapes"))
        engines = {"local": score_here, "ray": ray_engine(make, open_it, None, args.actors or None, args.device)}
        for number in range(args.repeats):
            for name, engine in engines.items():
                out = folder / f"{name}-{number}"
                found[name].append(measure(args, out, open_it, make, engine, name == "ray"))
            tables = [
                [(folder / f"{name}-{number}" / table).read_bytes() for table in (FRAMES, EPISODES)] for name in engines
            ]
            same &= tables[0] == tables[1]
    show(args, found, same)


def show(args: Args, found: dict[str, list[Run]], same: bool) -> None:
    fields = ("started", "first", "rest", "rate", "ended")
    middle = {
        name: {f: statistics.median(getattr(run, f) for run in runs) for f in fields} for name, runs in found.items()
    }
    print(
        f"{args.episodes} episodes of {args.frames} frames on {args.device}, torch with {torch.get_num_threads()} "
        f"threads, medians of {args.repeats}\n"
    )
    print("| engine | start of Ray, s | to the first part, s | from first to last part, s | frames/s | end of Ray, s |")
    print("|---" * 6 + "|")
    for name, values in middle.items():
        cells = (values[field] for field in ("started", "first", "rest", "rate", "ended"))
        print(f"| {name} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
    ratio = middle["ray"]["rate"] / middle["local"]["rate"]
    print(f"\nunder Ray {ratio:.2f} times the frames per second of the local engine")
    if args.fast:
        print("\n--fast: the figures mean nothing")
    claims = [Claim("tables under Ray that differ from the local engine's", 0 if same else 1, "", 0, at_least=False)]
    runs = {name: [asdict(run) for run in each] for name, each in found.items()}
    write_claims(args.out / "scoring_on_ray.json", claims, {"ratio": ratio, "medians": middle, "runs": runs})


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
