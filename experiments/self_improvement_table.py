"""The table of self_improvement.py, and its picture: a panel for each scorer, proxy and truth over the rounds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from headway.files import replacing
from headway.metrics.intervals import Estimate
from headway_policies.comparison import crossed_bootstrap
from headway_policies.loop_files import ROUNDS, Round, read_rounds
from headway_policies.paired import count_pairs, newcombe

PROXY, TRUTH, RINGS = "#d55e00", "#0072b2", "#c00000"
WIDE, HIGH, LEFT, TOP, GAP = 210, 170, 46, 34, 38

Loops = Mapping[str, Mapping[int, Sequence[Round]]]
"""Scorer -> seed -> its rounds."""


def write(out: Path, arms: Sequence[str]) -> str:
    """Read all loops under `out`, write the picture, and say in Markdown what they came to."""
    loops = {arm: read_loops(out, arm) for arm in arms}
    loops = {arm: seeds for arm, seeds in loops.items() if seeds}
    draw(loops, out / "self_improvement.svg")
    return "\n\n".join([summary(loops), each_loop(loops), f"picture: {out / 'self_improvement.svg'}"])


def read_loops(out: Path, arm: str) -> dict[int, list[Round]]:
    found = {int(path.parent.name.rsplit("-", 1)[1]): path.parent for path in out.glob(f"{arm}-*/{ROUNDS}")}
    return {seed: read_rounds(found[seed]) for seed in sorted(found)}


def falls(rounds: Sequence[Round]) -> int | None:
    """The first round whose policy succeeds less often than the first round's, by more than chance: the 95 % interval
    of the paired difference lies below 0. None where there is none."""
    return next((one.number for one in rounds[1:] if _against_first(rounds, one).high < 0), None)


def rings(rounds: Sequence[Round]) -> int | None:
    return next((one.number for one in rounds if one.alarm), None)


def _against_first(rounds: Sequence[Round], one: Round) -> Estimate:
    return newcombe(count_pairs([bool(x) for x in one.outcomes], [bool(x) for x in rounds[0].outcomes]))


def summary(loops: Loops) -> str:
    """Last round against the first, over seeds and layouts, whose intervals resample both."""
    lines = [
        "| scorer | seeds | proxy, first and last round | true success, first and last | last less first | "
        "alarm before or with the fall |",
        "|---" * 6 + "|",
    ]
    for arm, seeds in loops.items():
        ends = [(rounds[0], rounds[-1]) for rounds in seeds.values()]
        change = crossed_bootstrap(np.array([np.subtract(last.outcomes, first.outcomes) for first, last in ends]), -1)
        fallen = [(rings(rounds), falls(rounds)) for rounds in seeds.values()]
        early = sum(bell is not None and bell <= fall for bell, fall in fallen if fall is not None)
        fell = sum(fall is not None for _, fall in fallen)
        proxy, success = (
            " to ".join(f"{np.mean([getattr(pair[at], name) for pair in ends]):.2f}" for at in (0, 1))
            for name in ("proxy", "success")
        )
        lines.append(
            f"| {arm} | {len(seeds)} | {proxy} | {success} | {change.value:+.2f} [{change.low:+.2f}, "
            f"{change.high:+.2f}] | {early} of {fell} |"
        )
    return "\n".join(lines)


def each_loop(loops: Loops) -> str:
    """Every loop on a line."""
    lines = ["| scorer | seed | proxy by round | true success by round | chi2 | alarm | fall |", "|---" * 7 + "|"]
    for arm, seeds in loops.items():
        for seed, rounds in seeds.items():
            proxy = " ".join(f"{one.proxy:.2f}" for one in rounds)
            success = " ".join(f"{one.success:.2f}" for one in rounds)
            chi = " ".join("-" if one.chi_square is None else f"{one.chi_square:.1f}" for one in rounds)
            marks = " | ".join("-" if at is None else str(at) for at in (rings(rounds), falls(rounds)))
            lines.append(f"| {arm} | {seed} | {proxy} | {success} | {chi} | {marks} |")
    return "\n".join(lines)


def draw(loops: Loops, path: Path) -> None:
    """Write the picture."""
    wide, high = max(560, LEFT + len(loops) * (WIDE + GAP)), TOP + HIGH + 78
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" font-family="sans-serif" '
        'font-size="12" fill="#222">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, (arm, seeds) in enumerate(loops.items()):
        parts += _panel(LEFT + number * (WIDE + GAP), arm, list(seeds.values()))
    x, y = LEFT, TOP + HIGH + 66
    for colour, text in ((PROXY, "proxy"), (TRUTH, "true success")):
        parts.append(f'<path d="M{x} {y - 4}h16" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 20}" y="{y}">{text}</text>')
        x += 40 + 7 * len(text)
    parts.append(f'<circle cx="{x + 6}" cy="{y - 4}" r="4" fill="{RINGS}"/><text x="{x + 16}" y="{y}">alarm</text>')
    parts.append(f'<text x="{x + 66}" y="{y}">thin: one seed, thick: their mean</text>')
    with replacing(path) as beside:
        beside.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _panel(left: float, arm: str, loops: Sequence[Sequence[Round]]) -> list[str]:
    most = max(1, max(len(rounds) for rounds in loops) - 1)

    def x(number: float) -> float:
        return left + number / most * WIDE

    def y(value: float) -> float:
        return TOP + (1 - value) * HIGH

    def line(values: Sequence[float], colour: str, width: float) -> str:
        points = " ".join(f"{x(number):.1f},{y(value):.1f}" for number, value in enumerate(values))
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'

    middle = left + WIDE / 2
    parts = [f'<text x="{middle}" y="20" text-anchor="middle" font-size="14" font-weight="bold">{arm}</text>']
    for value in (0.0, 0.5, 1.0):
        parts.append(f'<path d="M{left} {y(value)}h{WIDE}" stroke="#ccc"/>')
        parts.append(f'<text x="{left - 6}" y="{y(value) + 4}" text-anchor="end">{value:.1f}</text>')
    for number in range(most + 1):
        parts.append(f'<text x="{x(number)}" y="{TOP + HIGH + 16}" text-anchor="middle">{number}</text>')
    parts.append(f'<text x="{middle}" y="{TOP + HIGH + 34}" text-anchor="middle">round</text>')
    for name, colour in (("proxy", PROXY), ("success", TRUTH)):
        curves = [[getattr(one, name) for one in rounds] for rounds in loops]
        parts += [line(curve, colour, 0.8) for curve in curves]
        together = min(map(len, curves))
        parts.append(line(np.mean([curve[:together] for curve in curves], axis=0).tolist(), colour, 2.8))
    for rounds in loops:
        bell = rings(rounds)
        if bell is not None:
            parts.append(f'<circle cx="{x(bell):.1f}" cy="{y(rounds[bell].success):.1f}" r="4" fill="{RINGS}"/>')
    return parts
