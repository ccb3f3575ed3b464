"""The tables of experiments/estimators.py: means over seeds, the targets, and what beats no control."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from headway.metrics.language import confusion_margin

FIGURES = {
    "mae_expert": "MAE expert ↓",
    "mae_imperfect": "MAE imperfect ↓",
    "mae_imperfect_isotonic": "… isotonic ↓",
    "pearson": "Pearson ↑",
    "stage_accuracy": "stage acc. ↑",
    "voc_success": "VOC success",
    "voc_failed": "VOC failed",
    "tau_all": "tau all ↑",
    "tau_failed": "tau failed ↑",
    "tau_failed_apart": "… >.05 apart ↑",
    "success_auroc": "AUROC ↑",
    "success_ece": "ECE ↓",
    "false_alarms": "false alarms at .5 ↓",
    "false_alarms_promised": "… promised .1 ↓",
    "gain_correlation": "gain corr. ↑",
    "weight_correlation": "weight corr. ↑",
    "language_margin": "language margin ↑",
}
COSTS = {"parameters": "parameters", "seconds": "training s", "speed": "frames/s"}
PLACES = {"test": "In distribution", "test-ood": "Out of distribution"}
REGIMES = ("truth", "marks", "successes", "blind")
# an interval over episodes is worth a column where it decides something
WITH_INTERVAL = ("success_auroc",)
# what a value of an estimator that claims no scale is called
NO_SCALE = ("classifier",)
BLIND = ("clock", "constant", "random", "pixels", "untrained")

Row = dict[str, Any]


def table(rows: Sequence[Row]) -> str:
    """One Markdown table a place: mean over seeds and, in brackets, the lowest and the highest."""
    parts = []
    for place, words in PLACES.items():
        found = [row for row in rows if row["where"] == place]
        headings = [*FIGURES.values(), *(COSTS.values() if place == "test" else ())]
        lines = [f"### {words}", "", f"| estimator | taught by | seeds | {' | '.join(headings)} |"]
        lines.append("|---" * (len(headings) + 3) + "|")
        for method, regime in _order(found):
            of = [row for row in found if (row["method"], row["regime"]) == (method, regime)]
            cells = [_cell(of, figure) for figure in FIGURES]
            cells += [_cost(of, cost) for cost in COSTS] if place == "test" else []
            lines.append(f"| {method} | {regime} | {len(of)} | {' | '.join(cells)} |")
        parts.append("\n".join([*lines, "", *beaten(found)]))
    return "\n\n".join(parts)


def factor_table(rows: Sequence[Row], levels: Sequence[str]) -> str:
    """MAE of imperfect episodes that look otherwise in one respect alone, mean over seeds."""
    lines = ["### Out of distribution in one respect: MAE imperfect ↓", ""]
    lines += [f"| estimator | taught by | {' | '.join(levels)} |", "|---" * (len(levels) + 2) + "|"]
    for method, regime in _order([row for row in rows if row["where"] in levels]):
        of = [row for row in rows if (row["method"], row["regime"]) == (method, regime)]
        cells = [_cell([row for row in of if row["where"] == level], "mae_imperfect") for level in levels]
        lines.append(f"| {method} | {regime} | {' | '.join(cells)} |")
    return "\n".join(lines)


def beaten(rows: Sequence[Row]) -> list[str]:
    """One line for each estimator that does not beat every blind control on what it claims."""
    lines = []
    blind = [row for row in rows if row["method"] in BLIND]
    for method, regime in _order(rows):
        if method in BLIND:
            continue
        of = [row for row in rows if (row["method"], row["regime"]) == (method, regime)]
        claims = {"tau_failed": 1} | ({} if method in NO_SCALE else {"mae_expert": -1, "mae_imperfect": -1})
        for figure, sign in claims.items():
            ours = np.mean([value(row, figure) for row in of])
            for control in BLIND:
                theirs = [value(row, figure) for row in blind if row["method"] == control]
                if theirs and not sign * ours > sign * np.nanmean(theirs):
                    lines.append(
                        f"- {method} ({regime}) does not beat {control} on {FIGURES[figure][:-2]}: "
                        f"{ours:.3f} against {np.nanmean(theirs):.3f}"
                    )
    return lines


def language_table(rows: Sequence[Row], tasks: Sequence[str]) -> str:
    """One matrix an estimator, mean over seeds: each task's successful videos under each task's words."""
    parts = []
    for method in dict.fromkeys(row["method"] for row in rows if row["where"] == "language"):
        matrices = np.array([row["matrix"] for row in rows if row["method"] == method])
        mean = matrices.mean(axis=0)
        margins = [confusion_margin(matrix) for matrix in matrices]
        lines = [f"### {method}: final progress of the videos of a task (rows) under the words of a task (columns)", ""]
        lines += [f"| | {' | '.join(tasks)} |", "|---" * (len(tasks) + 1) + "|"]
        for task, row in zip(tasks, mean, strict=True):
            lines.append(f"| {task} | {' | '.join(f'{cell:.2f}' for cell in row)} |")
        spread = f"[{min(margins):.3f}, {max(margins):.3f}] over {len(margins)} seeds"
        lines += ["", f"Margin: {np.mean(margins):.3f} {spread}."]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def value(row: Row, figure: str) -> float:
    """A figure of a row, without its interval over episodes; NaN where it has none."""
    found = row.get(figure)
    found = found["value"] if isinstance(found, dict) else found
    return float("nan") if found is None else float(found)


def _order(rows: Sequence[Row]) -> list[tuple[str, str]]:
    pairs = dict.fromkeys((row["method"], row["regime"]) for row in rows)
    return sorted(pairs, key=lambda pair: (pair[0] in BLIND, REGIMES.index(pair[1]), pair[0]))


def _cell(rows: Sequence[Row], figure: str) -> str:
    values = np.array([value(row, figure) for row in rows])
    known = values[~np.isnan(values)]
    if not known.size:
        return "-"
    spread = f" [{known.min():.3f}, {known.max():.3f}]" if known.size > 1 else ""
    if figure in WITH_INTERVAL:
        spread = f" [{min(row[figure]['low'] for row in rows):.3f}, {max(row[figure]['high'] for row in rows):.3f}]"
    return f"{known.mean():.3f}{spread}"


def _cost(rows: Sequence[Row], cost: str) -> str:
    values = np.array([value(row, cost) for row in rows])
    return "-" if np.isnan(values).all() or not values.any() else f"{np.nanmean(values):,.0f}"
