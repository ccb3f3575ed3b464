"""What a run of scoring loses when it is killed and goes on, and what it costs to be able to.

Claim: killed with -9 in the middle and run again, scoring costs at most 2 % more than the same run left alone. Compared
are seconds of the processor (all processes of a run, to their end) after the start of each process: Python, imports,
opening the dataset and loading the estimator are left out, everything after that is counted, in both sittings: reading
what is there, the episode done twice, the first pictures through a cold network. It is killed once half of the episodes
are there and, as a kill comes at any moment, half an episode later. Which of the two goes first alternates; the median
of the pairs counts. Both have to write the same bytes, or the run fails. The estimator is an untrained SARM on a random
CLIP, each run with an empty feature cache.

A kill costs half an episode and some tenths of a second (the dataset is read again), so its share falls with the length
of the run. These take a minute and a half of one core; `counted` is the share of what is certainly done twice.

    .venv/bin/python benchmarks/resume.py             # some ten minutes
    .venv/bin/python benchmarks/resume.py --fast      # half a minute, its figures mean nothing
"""

import ctypes
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from claims import Claim, write_claims

from headway.scoring import PARTS, score
from headway.tables import EPISODES, FRAMES, RUN

SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of Linux: the workers of a killed run become our children, so their seconds can be counted."""


@dataclass
class Args:
    """What to run."""

    episodes: int = 100
    """Of the dataset."""
    frames: int = 400
    """Of each episode."""
    repeats: int = 3
    """Pairs of runs."""
    fast: bool = False
    """A few episodes, once, to see that it runs."""
    out: Path = Path("runs/resume-benchmark")
    """Folder for the results."""


@dataclass(frozen=True)
class Sitting:
    """One process of a run.

    Attributes:
        seconds: of the processor, of it and its workers, after its start.
        start: seconds of the processor before that.
        reading: of these `seconds`, until it knew what was left to do.
        there: how many episodes were done when it began.
        begun: by the clock, when its start was over.
    """

    seconds: float
    start: float
    reading: float
    there: int
    begun: float


def sit(dataset: str, run: str, out: str) -> None:
    """What the process of a run does: tell its seconds before scoring, and once it knows what is left to do."""
    import torch

    from headway.learned.checkpoint import load_learned
    from headway_datasets.opening import open_dataset

    torch.set_num_threads(1)
    estimator, source = load_learned("sarm", Path(run)), open_dataset(dataset)

    def tell(done: int, total: int) -> None:
        print(json.dumps([done, time.process_time(), time.time()]), flush=True)

    tell(0, 0)
    score(source, estimator, Path(out), on_episode=tell)


def look_inside(dataset: str, run: str, out: str) -> None:
    """The same run, told apart: seconds of the processor in writing parts, in making the tables of them, and of all."""
    import headway.scoring.run as scoring
    from headway.scoring.parts import Parts

    spent = {"parts": 0.0, "tables": 0.0}

    def timed(name: str, work: Callable[..., None]) -> Callable[..., None]:
        def call(*given: Any) -> None:
            # of this thread: parts are written beside the work
            begun = time.thread_time()
            work(*given)
            spent[name] += time.thread_time() - begun

        return call

    Parts.write = timed("parts", Parts.write)  # type: ignore[method-assign]
    scoring.write_tables = timed("tables", scoring.write_tables)
    begun = time.process_time()
    sit(dataset, run, out)
    print(json.dumps(spent | {"all": time.process_time() - begun}))


class Bench:
    """Runs in processes of their own, over one dataset and estimator."""

    def __init__(self, folder: Path, args: Args):
        from untrained import ClipSize, make_sarm, save_clip, write_shapes

        from headway.learned.trunk import TrunkConfig

        # a few milliseconds a picture: large enough to be what the time goes to, small enough for a hundred episodes
        size = ClipSize(64, 192, 4, 2, 4, 54, 64, 16, 64)
        self.folder, self.episodes = folder, args.episodes
        write_shapes(folder / "data", args.episodes, args.frames, (128, 128), codec="h264")
        save_clip(folder / "clip", size)
        make_sarm(folder / "run", folder / "clip", size, TrunkConfig())

    def begin(self, function: str, name: str) -> subprocess.Popen[str]:
        """Start a process that scores into the folder `name`, with that folder's own feature cache."""
        call = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import resume"
        words = [str(self.folder / "data"), str(self.folder / "run"), str(self.folder / name)]
        env = os.environ | {"HEADWAY_CACHE": str(self.folder / f"{name}.cache")}
        command = [sys.executable, "-c", f"{call}; resume.{function}(*sys.argv[1:])", *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)

    def whole(self, name: str) -> Sitting:
        return finish(self.begin("sit", name))

    def killed(self, name: str) -> tuple[Sitting, float]:
        """A sitting killed half an episode after half of the episodes are there, and its seconds that were lost."""
        process = self.begin("sit", name)
        parts, half = self.folder / name / PARTS, self.episodes // 2
        first, there = 0.0, 0
        while there < half:
            if process.poll() is not None:
                raise SystemExit("the run ended before it could be killed")
            time.sleep(0.002)
            there = self.parts(name)
            first = first or (time.monotonic() if there else 0.0)
        time.sleep((time.monotonic() - first) / max(half - 1, 1) / 2)
        process.kill()
        killed, found = time.time(), finish(process, signal.SIGKILL)
        if (self.folder / name / RUN).exists():
            raise SystemExit("the run was finished before it was killed")
        # what was done since the last part, by the clock, at the rate that the sitting had
        lost = killed - max(path.stat().st_mtime for path in parts.glob("episode-*.parquet"))
        return found, found.seconds * lost / (killed - found.begun)

    def parts(self, name: str) -> int:
        return sum(1 for _ in (self.folder / name / PARTS).glob("episode-*.parquet"))

    def forget(self, *names: str) -> None:
        for name in names:
            shutil.rmtree(self.folder / name)
            shutil.rmtree(self.folder / f"{name}.cache")


def finish(process: subprocess.Popen[str], wanted: int = 0) -> Sitting:
    """Wait for a process, and for workers that it left behind. Raises SystemExit where it did not end as `wanted`."""
    said = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != -wanted:
        raise SystemExit(f"a run ended with status {process.returncode}")
    total = used.ru_utime + used.ru_stime
    with suppress(ChildProcessError):
        while True:
            _, _, used = os.wait4(-1, 0)
            total += used.ru_utime + used.ru_stime
    (_, start, begun), (there, read, _), *_ = [json.loads(line) for line in said.splitlines()]
    return Sitting(total - start, start, read - start, there, begun)


def compare(bench: Bench, repeats: int) -> list[dict[str, float]]:
    """Pairs of a run left alone and one killed and run again; seconds of the processor."""
    rows = []
    for number in range(repeats):
        alone = bench.whole("alone") if number % 2 == 0 else None
        cut, lost = bench.killed("cut")
        there = bench.parts("cut")
        again = bench.whole("cut")
        alone = alone or bench.whole("alone")
        if again.there != there:
            raise SystemExit(f"of {there} finished episodes the second sitting took up {again.there}")
        for table in (FRAMES, EPISODES):
            if (bench.folder / "alone" / table).read_bytes() != (bench.folder / "cut" / table).read_bytes():
                raise SystemExit(f"{table} of a run that was killed differs from that of one left alone")
        row = {
            "alone": alone.seconds,
            "until killed": cut.seconds,
            "afterwards": again.seconds,
            "done twice": lost,
            "reading what is there": again.reading,
            "overhead %": 100 * ((cut.seconds + again.seconds) / alone.seconds - 1),
            "process start": again.start,
        }
        print(f"pair {number + 1} of {repeats}: {row['overhead %']:+.2f} %", flush=True)
        rows.append(row)
        bench.forget("alone", "cut")
    return rows


def inside(bench: Bench) -> dict[str, float]:
    process = bench.begin("look_inside", "inside")
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a run ended with status {process.returncode}")
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def show(args: Args, rows: list[dict[str, float]], spent: dict[str, float]) -> float:
    """Print the tables; the overhead in per cent as far as it can be counted, without comparing one run to another."""
    median = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    counted = 100 * (median["done twice"] + median["reading what is there"]) / median["alone"]
    print(f"\n| {args.episodes} episodes of {args.frames} frames | s of the processor, median of {args.repeats} |")
    print("|---|---|")
    for name, value in median.items():
        print(f"| {name} | {value:.3f} |")
    print(f"\ncounted: {counted:.2f} % (done twice, and reading what is there)")
    for name in ("parts", "tables"):
        print(f"writing {name}: {100 * spent[name] / spent['all']:.2f} % of the processor's time")
    return counted


def main(args: Args) -> None:
    if args.fast:
        args.episodes, args.frames, args.repeats = 8, 40, 1
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), args)
        rows, spent = compare(bench, args.repeats), inside(bench)
    overheads = sorted(row["overhead %"] for row in rows)
    counted = show(args, rows, spent)
    if args.fast:
        print("\n--fast: the figures mean nothing")
    note = f"pairs from {overheads[0]:.2f} to {overheads[-1]:.2f} %; done twice and reading, counted: {counted:.2f} %"
    claim = Claim(
        "killed once and resumed, over left alone", statistics.median(overheads), "%", 2.0, at_least=False, note=note
    )
    measured = {"pairs": rows, "counted %": counted, "inside": spent, "episodes": args.episodes, "frames": args.frames}
    write_claims(args.out / "resume.json", [claim], measured)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
