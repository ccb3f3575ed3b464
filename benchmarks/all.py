"""Every benchmark of this folder, one after the other, and the table of their claims: RESULTS.md beside this file.

A benchmark is a script here that writes its claims (`claims.py`). Each runs in a process of its own; what it prints
goes to log.txt in its own folder under --out, where its figures lie. One that fails does not stop the others; the exit
status is 1 in the end. Where torch finds a GPU, those that know `--device` run on it once more, for a table of its own.

    .venv/bin/python benchmarks/all.py                      # as `make bench`
    .venv/bin/python benchmarks/all.py --only start,resume  # these anew; the table is made of all that is there
    .venv/bin/python benchmarks/all.py --fast               # whether they run; their figures mean nothing
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
from claims import Claim, amount, machine, read_claims

from headway.files import replacing, write_json

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
MAKES_CLAIMS = re.compile(r"^ +write_claims\(", re.MULTILINE)
TAKES_DEVICE = re.compile(r"^    device: ", re.MULTILINE)
RUN = "run.json"
LOG_TAIL = 20


@dataclass
class Args:
    """What to run."""

    only: str = ""
    """Names with commas between them, such as start,resume; default: all."""
    fast: bool = False
    """A few of everything, to see that it runs; RESULTS.md is left alone."""
    out: Path | None = None
    """Folder for figures and logs; default: runs/benchmarks, with -fast where it is --fast."""


@dataclass(frozen=True)
class Ran:
    """What is known of a benchmark that ran."""

    name: str
    seconds: float
    failed: bool
    claims: list[Claim]
    about: dict[str, Any] = field(default_factory=dict)


def benchmarks() -> dict[str, Path]:
    """The scripts that make claims, by name."""
    scripts = [path for path in sorted(HERE.glob("*.py")) if path.name != "claims.py"]
    return {path.stem: path for path in scripts if MAKES_CLAIMS.search(path.read_text())}


def run(script: Path, folder: Path, options: Sequence[str], place: str) -> bool:
    """Run one benchmark into its folder, and whether all went well; its last words where not."""
    folder.mkdir(parents=True, exist_ok=True)
    # what an earlier run found must not pass for what this one did
    for stale in folder.glob("*.json"):
        stale.unlink()
    log, begun = folder / "log.txt", time.monotonic()
    with log.open("w") as file:
        command = [sys.executable, str(script), "--out", str(folder), *options]
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            wait(process, f"{place} {script.stem}")
        finally:
            process.kill()
            process.wait()
    seconds, failed = time.monotonic() - begun, process.returncode != 0
    write_json(folder / RUN, {"seconds": seconds, "failed": failed})
    ran = read(folder)
    missed = [claim for claim in ran.claims if not claim.met]
    outcome = "FAILED" if failed else f"{len(ran.claims)} claims, {len(missed)} missed"
    print(f"\r{place} {script.stem}: {seconds:.0f} s, {outcome}", flush=True)
    if failed:
        lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
        print("\n".join(f"    {line}" for line in lines), f"    (all of it: {log})", sep="\n", flush=True)
    return not failed


def wait(process: "subprocess.Popen[bytes]", what: str) -> None:
    """Wait until a process ends; on a terminal the seconds are counted."""
    begun = time.monotonic()
    while True:
        if sys.stdout.isatty():
            print(f"\r{what}: {time.monotonic() - begun:.0f} s", end="", flush=True)
        try:
            process.wait(timeout=1)
            return
        except subprocess.TimeoutExpired:
            continue


def read(folder: Path) -> Ran:
    """What a benchmark left in its folder."""
    known = json.loads((folder / RUN).read_text())
    files = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json")) if path.name != RUN]
    found = [content for content in files if isinstance(content, dict) and "claims" in content]
    claims = [claim for content in found for claim in read_claims(content["claims"])]
    return Ran(folder.name, known["seconds"], known["failed"], claims, found[-1] if found else {})


def gather(out: Path, names: Sequence[str]) -> list[Ran]:
    """All that ran into `out`, in the order of their names; those that never did are left out."""
    return [read(out / name) for name in names if (out / name / RUN).exists()]


def table(ran: Sequence[Ran]) -> list[str]:
    """One row a claim, then what has to be known about them."""
    lines = ["| claim | target | measured | | script |", "|---" * 5 + "|"]
    for one in ran:
        for claim in one.claims:
            value = amount(claim.value, claim.unit)
            verdict = claim.verdict if claim.met else f"**{claim.verdict}**"
            lines.append(f"| {claim.name} | {claim.asked} | {value} | {verdict} | `{one.name}.py` |")
        if one.failed:
            lines.append(f"| | | | **failed** | `{one.name}.py` |")
    notes = [f"- *{claim.name}*: {claim.note}" for one in ran for claim in one.claims if claim.note]
    return [*lines, "", *notes]


def took(ran: Sequence[Ran]) -> list[str]:
    """How long each ran, when, and of which Headway."""
    lines = ["| script | took | on | headway |", "|---|---|---|---|"]
    for one in ran:
        on, headway = one.about.get("date", ""), one.about.get("versions", {}).get("headway", "")
        lines.append(f"| `{one.name}.py` | {one.seconds:.0f} s | {on} | {headway} |")
    return lines


def page(ran: Sequence[Ran], on_gpu: Sequence[Ran]) -> str:
    """RESULTS.md."""
    claims = [claim for one in [*ran, *on_gpu] for claim in one.claims]
    latest = max((one.about for one in ran if one.about), key=lambda about: about["date"], default={})
    where, versions = latest.get("machine", machine()), latest.get("versions", {})
    gpu = where["gpu"] or "no GPU"
    lines = [
        "# What the benchmarks found",
        "",
        "Written by `make bench`; do not edit. Peer and floor are measured in the same run as ours.",
        "What each claim means stands at the head of its script.",
        "",
        f"{sum(claim.met for claim in claims)} of {len(claims)} claims are met.",
        "",
        f"- On: {latest.get('date', 'unknown')}",
        f"- Machine: {where['cores']} cores ({where['cpu']}), {where['memory GiB']} GiB, {gpu}, {where['system']}",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}",
        "",
        *table(ran),
    ]
    if on_gpu:
        lines += ["", f"## The same on {gpu} (`--device cuda`)", "", *table(on_gpu)]
    lines += ["", "## How long they took", "", *took([*ran, *on_gpu])]
    return "\n".join(lines) + "\n"


def chosen(only: str, known: Sequence[str]) -> list[str]:
    """The names asked for. Raises SystemExit for one that is none."""
    names = [name.strip() for name in only.split(",") if name.strip()] or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no benchmark {unknown[0]!r}; available: {', '.join(known)}")
    return names


def main(args: Args) -> None:
    scripts = benchmarks()
    names = chosen(args.only, list(scripts))
    out = args.out or Path("runs/benchmarks-fast" if args.fast else "runs/benchmarks")
    fast = ["--fast"] if args.fast else []
    todo = [(scripts[name], out / name, fast) for name in names]
    if machine()["gpu"]:
        able = [name for name in names if TAKES_DEVICE.search(scripts[name].read_text())]
        todo += [(scripts[name], out / "cuda" / name, [*fast, "--device", "cuda"]) for name in able]
    outcomes = [run(*what, f"[{number}/{len(todo)}]") for number, what in enumerate(todo, 1)]
    failed = [folder for (_, folder, _), well in zip(todo, outcomes, strict=True) if not well]
    ran = gather(out, list(scripts))
    text = page(ran, gather(out / "cuda", list(scripts)))
    print(f"\n{text}")
    never = [name for name in scripts if name not in {one.name for one in ran}]
    if args.fast:
        print("--fast: the figures mean nothing")
    elif never:
        print(f"{RESULTS.name} is left as it is: {', '.join(never)} never ran into {out}")
    else:
        with replacing(RESULTS) as beside:
            beside.write_text(text)
        print(f"written to {RESULTS}")
    if failed:
        raise SystemExit(f"failed: {', '.join(str(folder.relative_to(out)) for folder in failed)}")


if __name__ == "__main__":
    try:
        main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
    except KeyboardInterrupt:
        raise SystemExit("\ninterrupted; `--only` runs what is left") from None
