"""How soon the library is imported and the command line answers.

Claims: `import headway` takes at most 0.3 s, `headway --help` at most 0.5 s. Each is a process of its own with its
bytecode written before, by the clock on the wall, the start of Python included; the median of several, taken in turns.
The floor, Python doing nothing, is measured in the same run. The package `headway` itself imports nothing, so the
import of `headway.scoring`, its widest door, is shown too. Where the time goes is Python's own `-X importtime`.

    .venv/bin/python benchmarks/start.py             # half a minute
    .venv/bin/python benchmarks/start.py --fast      # seconds, its figures mean little
"""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from claims import Claim, write_claims

FLOOR = "python alone"
HEADWAY = (sys.executable, "-c", "from headway.cli import main; main()")
COMMANDS: dict[str, tuple[str, ...]] = {
    FLOOR: (sys.executable, "-c", "pass"),
    "import headway": (sys.executable, "-c", "import headway"),
    "import headway.scoring": (sys.executable, "-c", "import headway.scoring"),
    "headway --help": (*HEADWAY, "--help"),
    "headway score --help": (*HEADWAY, "score", "--help"),
    "headway tasks": (*HEADWAY, "tasks"),
}
TARGETS = {"import headway": 0.3, "headway --help": 0.5}
EXPLAINED = ("import headway.scoring", "headway --help")
"""What is taken apart by import."""
IMPORT_LINE = re.compile(r"import time: +(\d+) \| +(\d+) \| ( *)(\S+)")
"""Microseconds of the module itself, with what it imports, its depth in spaces, its name."""
STANDARD = {name.lstrip("_") for name in sys.stdlib_module_names}


@dataclass
class Args:
    """What to run."""

    repeats: int = 15
    """Of each; the median counts."""
    top: int = 12
    """How many imports to show."""
    fast: bool = False
    """Each twice, to see that it runs."""
    out: Path = Path("runs/start-benchmark")
    """Folder for the results."""


def seconds_of(command: Sequence[str]) -> tuple[float, float]:
    """Seconds of one run, on the wall and of the processor. Raises SystemExit where the command fails."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    said = process.stderr.read() if process.stderr else b""
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    # it was waited for here, for its times; Popen would look for it again
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {said.decode().strip()}")
    return wall, used.ru_utime + used.ru_stime


def environment() -> dict[str, str]:
    """As a user has it: Python writes bytecode, and reads it the next time."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def measure(repeats: int) -> dict[str, list[tuple[float, float]]]:
    """All commands in turns, so that what else the machine does meets all of them."""
    for command in COMMANDS.values():
        seconds_of(command)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, command in COMMANDS.items():
            found[name].append(seconds_of(command))
    return found


def imports(command: Sequence[str]) -> list[tuple[str, float, float]]:
    """Every module that a command imports: its name, seconds of its own, and with what it was first to import."""
    python, *rest = command
    done = subprocess.run([python, "-X", "importtime", *rest], capture_output=True, text=True, env=environment())
    rows = [match.groups() for match in map(IMPORT_LINE.match, done.stderr.splitlines()) if match]
    return [(name, int(own) / 1e6, int(total) / 1e6) for own, total, _, name in rows]


def by_package(rows: Sequence[tuple[str, float, float]]) -> dict[str, float]:
    """Seconds of the modules' own, summed for each distribution or room."""
    found: dict[str, float] = {}
    for name, own, _ in rows:
        package = name.split(".")[0]
        package = "Python itself" if package.lstrip("_") in STANDARD else package
        found[package] = found.get(package, 0.0) + own
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def main(args: Args) -> None:
    repeats = 2 if args.fast else args.repeats
    times = measure(repeats)
    wall = {name: statistics.median(one for one, _ in pairs) for name, pairs in times.items()}
    used = {name: statistics.median(one for _, one in pairs) for name, pairs in times.items()}
    print(f"| seconds, median of {repeats} | wall | above the floor | of the processor | fastest | slowest |")
    print("|---" * 6 + "|")
    for name, pairs in times.items():
        walls = [one for one, _ in pairs]
        cells = (wall[name], wall[name] - wall[FLOOR], used[name], min(walls), max(walls))
        print(f"| {name} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
    shares = {}
    for name in EXPLAINED:
        rows = imports(COMMANDS[name])
        shares[name] = by_package(rows)
        show_imports(name, rows, shares[name], args.top)
    if args.fast:
        print("\n--fast: the figures mean nothing")
    scoring = "import headway.scoring"
    notes = {
        "import headway": f"the package alone imports nothing; {scoring} takes {wall[scoring]:.2f} s",
        "headway --help": f"of which Python's own start {wall[FLOOR]:.3f} s",
    }
    claims = [
        Claim(name, wall[name], "s", target, at_least=False, note=notes[name]) for name, target in TARGETS.items()
    ]
    measured = {"wall": wall, "processor": used, "repeats": repeats, "seconds of imports": shares}
    write_claims(args.out / "start.json", claims, measured)


def show_imports(name: str, rows: Sequence[tuple[str, float, float]], packages: dict[str, float], top: int) -> None:
    print(f"\nWhere the time of `{name}` goes (importing, which Python's bookkeeping makes slower here):\n")
    print("| package | seconds of its own |\n|---|---|")
    for package, seconds in list(packages.items())[:top]:
        print(f"| {package} | {seconds:.3f} |")
    print("\n| module | seconds, with what it is first to import |\n|---|---|")
    for module, _, seconds in sorted(rows, key=lambda row: -row[2])[:top]:
        print(f"| {module} | {seconds:.3f} |")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
