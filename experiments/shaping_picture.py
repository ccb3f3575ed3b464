"""Learning curves as one SVG file: a panel for each task, a line for each reward, a band from worst to best seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from headway.episodes import Array
from headway.files import replacing

Curve = tuple[Array, Array]
COLOURS = {"shaped": "#0072b2", "sparse": "#d55e00", "difference": "#cc79a7", "dense": "#009e73"}
WIDE, HIGH, LEFT, TOP, GAP = 330, 200, 48, 34, 62


def draw(panels: Mapping[str, Mapping[str, Sequence[Curve]]], level: float, path: Path) -> None:
    """Write the picture of panels[task][reward], the curves of every seed: decisions and success rates."""
    size = LEFT + len(panels) * (WIDE + GAP), TOP + HIGH + 66
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, (task, rewards) in enumerate(panels.items()):
        known = {reward: curves for reward, curves in rewards.items() if curves}
        parts += _panel(LEFT + number * (WIDE + GAP), task, known, level)
    with replacing(path) as beside:
        beside.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _panel(left: float, task: str, rewards: Mapping[str, Sequence[Curve]], level: float) -> list[str]:
    most = max((float(steps[-1]) for curves in rewards.values() for steps, _ in curves), default=1.0)

    def at(steps: Array, success: Array) -> str:
        x, y = left + np.asarray(steps) / most * WIDE, TOP + (1 - np.asarray(success)) * HIGH
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

    middle = left + WIDE / 2
    parts = [f'<text x="{middle}" y="20" text-anchor="middle" font-size="14" font-weight="bold">{task}</text>']
    for success in (0.0, 0.5, 1.0):
        y = TOP + (1 - success) * HIGH
        dashes = ' stroke-dasharray="4 3"' if success == level else ""
        parts.append(f'<path d="M{left} {y}h{WIDE}" stroke="#bbb"{dashes}/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{success:.0%}</text>')
    for share in (0.0, 0.5, 1.0):
        x = left + share * WIDE
        parts.append(f'<text x="{x}" y="{TOP + HIGH + 16}" text-anchor="middle">{share * most:.0f}</text>')
    parts.append(f'<text x="{middle}" y="{TOP + HIGH + 33}" text-anchor="middle">decisions</text>')
    for place, (reward, curves) in enumerate(rewards.items()):
        colour, steps = COLOURS[reward], curves[0][0]
        each = np.stack([success for _, success in curves])
        around = at(np.append(steps, steps[::-1]), np.append(each.max(0), each.min(0)[::-1]))
        parts.append(f'<polygon points="{around}" fill="{colour}" opacity="0.15"/>')
        parts.append(f'<polyline points="{at(steps, each.mean(0))}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = left + place * WIDE / max(1, len(rewards)), TOP + HIGH + 55
        parts.append(f'<path d="M{x} {y - 4}h16" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 20}" y="{y}">{reward} ({len(curves)})</text>')
    return parts
