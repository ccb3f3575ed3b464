"""Success of every arm of rabc.py as one SVG file: a panel for each task, a dot with its interval for each arm."""

from collections.abc import Sequence
from pathlib import Path

from rabc_table import Outcomes, Row, success_of

from headway.files import replacing

WIDE, LINE, LEFT, TOP, GAP = 200, 20, 236, 44, 44
COLOURS = {"oracle": "#009e73", "auto": "#0072b2", "AWR": "#0072b2", "shuffled weights": "#d55e00", "all": "#d55e00"}
"""Of those that are compared most; the others are grey."""


def draw(rows: Sequence[Row], arms: Sequence[str], path: Path) -> None:
    """Write the picture; arms without a policy are left out."""
    known = Outcomes(rows)
    shown = [arm for arm in arms if any(success_of(known, task, arm) for task in known.tasks)]
    size = LEFT + len(known.tasks) * (WIDE + GAP), TOP + len(shown) * LINE + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for place, arm in enumerate(shown):
        parts.append(f'<text x="{LEFT - 12}" y="{TOP + place * LINE + 4}" text-anchor="end">{arm}</text>')
    for number, task in enumerate(known.tasks):
        parts += _panel(LEFT + number * (WIDE + GAP), task, shown, known)
    with replacing(path) as beside:
        beside.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _panel(left: float, task: str, arms: Sequence[str], known: Outcomes) -> list[str]:
    bottom = TOP + len(arms) * LINE - LINE / 2
    parts = [f'<text x="{left + WIDE / 2}" y="20" text-anchor="middle" font-weight="bold">{task}</text>']
    for share in (0.0, 0.5, 1.0):
        x = left + share * WIDE
        parts.append(f'<path d="M{x} {TOP - LINE / 2}V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{share:.0%}</text>')
    for place, arm in enumerate(arms):
        success = success_of(known, task, arm)
        if success is None:
            continue
        y, colour = TOP + place * LINE, COLOURS.get(arm, "#666")
        low, value, high = (left + part * WIDE for part in (success.low, success.value, success.high))
        parts.append(f'<path d="M{low:.1f} {y}H{high:.1f}" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<circle cx="{value:.1f}" cy="{y}" r="4" fill="{colour}"/>')
    return parts
