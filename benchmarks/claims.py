"""What a benchmark claims and what it measured, written in one form that benchmarks/all.py gathers into RESULTS.md.

write_claims(args.out / "weighting.json", [Claim("...", value=241.0, unit="x", target=200.0)], measured={...})
"""

import datetime
import math
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from headway.files import write_json
from headway.machine import cores

PACKAGES = ("torch", "lerobot", "transformers", "numpy", "scipy", "av", "mujoco", "ray", "openvino", "onnxruntime")
"""Whose versions are noted, where they are installed."""
CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Claim:
    """One measured value beside its target. A value of NaN was not measured (the note says why) and is a miss."""

    name: str
    value: float
    unit: str
    target: float
    at_least: bool = True
    """Whether the value must reach the target; if not, it must not exceed it."""
    note: str = ""

    @property
    def met(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target

    @property
    def verdict(self) -> str:
        """`met`, or by how much it is missed, as a share of the target."""
        if self.met:
            return "met"
        if math.isnan(self.value):
            return "not measured"
        away = f"{abs(self.value - self.target):.3g} {self.unit}"
        share = f" ({abs(self.value / self.target - 1):.0%})" if self.target else ""
        return f"missed by {away}{share}"

    @property
    def asked(self) -> str:
        """The target as a person writes it."""
        return f"{'>=' if self.at_least else '<='} {amount(self.target, self.unit)}"


def amount(value: float, unit: str) -> str:
    """A value to three digits with its unit: `15.2 x`, `0.004`, `1,060 frames/s`; a dash where there is none."""
    if math.isnan(value):
        return "-"
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".strip()


def write_claims(path: Path, claims: Sequence[Claim], measured: Any) -> None:
    """Write claims and the plain figures behind them to `path`, with versions, machine and date, and print each claim.

    NaN is written as null. Raises OutputError where `path` cannot be written.
    """
    rows = [asdict(claim) | {"met": claim.met} for claim in claims]
    where = {"date": datetime.date.today().isoformat(), "versions": versions(), "machine": machine()}
    write_json(path, {"claims": _plain(rows), **where, "measured": _plain(measured)})
    print()
    for claim in claims:
        print(f"{claim.name}: {amount(claim.value, claim.unit)} (target {claim.asked}), {claim.verdict}")
    print(f"results are in {path}")


def read_claims(rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """The claims of a file that `write_claims` wrote."""
    given = [{name: value for name, value in row.items() if name != "met"} for row in rows]
    return [Claim(**row | {"value": math.nan if row["value"] is None else row["value"]}) for row in given]


@cache
def versions() -> dict[str, str]:
    """Of Python, of headway (its commit, where it is known) and of the packages that the figures depend on."""
    found = {"python": platform.python_version(), "headway": _headway()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def machine() -> dict[str, Any]:
    """What the figures were measured on: cores that may be used, processor, memory and, where torch can use it, GPU."""
    names = [line.split(":", 1)[1].strip() for line in _lines(CPUINFO) if line.startswith("model name")]
    return {
        "cores": cores(),
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "gpu": _gpu(),
        "system": platform.system(),
    }


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def _headway() -> str:
    """The release and, from a checkout, the commit; `changed` says that files differ from it."""
    release = version("headway")
    root = Path(__file__).parents[1]
    try:
        commit = _git(root, "rev-parse", "--short", "HEAD")
        changed = ", changed" if _git(root, "status", "--porcelain", "--untracked-files=no") else ""
    except (OSError, subprocess.CalledProcessError):
        return release
    return f"{release} ({commit}{changed})"


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _plain(content: Any) -> Any:
    """The same as JSON can hold it: NaN is None, numpy's scalars and arrays are Python's."""
    if hasattr(content, "tolist"):
        content = content.tolist()
    if isinstance(content, dict):
        return {str(name): _plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
