"""Rows of figures against the truth, and their table: shared by what_failures_teach.py and frame_sampling.py."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from headway.cli.show import ACCURACY
from headway.episodes import ProgressCurve
from headway.evaluation.judge import judge
from headway.evaluation.reference import references
from headway.source import Source

Row = dict[str, str]


def accuracy_row(name: str, seed: int, source: Source, curves: Iterable[ProgressCurve]) -> Row:
    """The figures of one estimator on every episode of one collection."""
    judged = judge(name, references(list(source), source.stage_names), list(curves), figures=ACCURACY)
    return {"estimator": name, "seed": str(seed)} | {figure: str(judged[figure].value) for figure in ACCURACY}


def read_rows(path: Path) -> list[Row]:
    """The rows known so far; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["estimator", "seed", *ACCURACY])
        writer.writeheader()
        writer.writerows(rows)


def accuracy_table(rows: Sequence[Row]) -> str:
    """Mean over seeds and, in brackets, the lowest and highest seed, as Markdown."""
    lines = [f"| estimator | {' | '.join(ACCURACY.values())} |", "|---" * (len(ACCURACY) + 1) + "|"]
    for name in dict.fromkeys(row["estimator"] for row in rows):
        cells = []
        for figure in ACCURACY:
            values = np.array([float(row[figure]) for row in rows if row["estimator"] == name])
            known = values[~np.isnan(values)]
            cells.append(f"{known.mean():.3f} [{known.min():.3f}, {known.max():.3f}]" if known.size else "n/a")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
