"""True success over rounds of practice as one SVG file: a line for each seed, thin, and their mean, thick, by arm."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from headway.files import replacing

Curve = tuple[Sequence[int], Sequence[float]]
COLOURS = {"classifier": "#0072b2", "truth": "#009e73", "shuffled": "#d55e00", "none": "#777777"}
WIDE, HIGH, LEFT, TOP = 420, 240, 52, 40


def draw(arms: Mapping[str, Mapping[int, Curve]], attempts: int, path: Path) -> None:
    """Write the picture of arms[arm][seed], rounds and success rates; a round has that many attempts."""
    most = max((max(rounds) for seeds in arms.values() for rounds, _ in seeds.values()), default=1) or 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDE + 24}" height="{TOP + HIGH + 74}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT + WIDE / 2}" y="22" text-anchor="middle" font-size="14" font-weight="bold">'
        "true success on unseen layouts</text>",
    ]
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = TOP + (1 - level) * HIGH
        parts.append(f'<path d="M{LEFT} {y}h{WIDE}" stroke="#ccc"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{level:.0%}</text>')
    for number in range(most + 1):
        x = LEFT + number / most * WIDE
        parts.append(f'<text x="{x}" y="{TOP + HIGH + 17}" text-anchor="middle">{number * attempts}</text>')
    parts.append(f'<text x="{LEFT + WIDE / 2}" y="{TOP + HIGH + 35}" text-anchor="middle">attempts of practice</text>')
    for place, (arm, seeds) in enumerate(arms.items()):
        colour = COLOURS.get(arm, "#000000")
        for rounds, success in seeds.values():
            parts.append(_line(rounds, success, most, colour, 1, 0.35))
        rounds = next(iter(seeds.values()))[0]
        mean = np.mean([success for _, success in seeds.values()], axis=0)
        parts.append(_line(rounds, mean.tolist(), most, colour, 3, 1))
        x, y = LEFT + place * WIDE / max(1, len(arms)), TOP + HIGH + 60
        parts.append(f'<path d="M{x} {y - 4}h16" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 21}" y="{y}">{arm}</text>')
    with replacing(path) as beside:
        beside.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _line(rounds: Sequence[int], success: Sequence[float], most: int, colour: str, width: int, opacity: float) -> str:
    at = " ".join(
        f"{LEFT + x / most * WIDE:.1f},{TOP + (1 - y) * HIGH:.1f}" for x, y in zip(rounds, success, strict=True)
    )
    return (
        f'<polyline points="{at}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity}" '
        'stroke-linejoin="round"/>'
    )
