"""Tables for the terminal and for the report."""

import math
from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table

from headway.evaluation.figures import FIGURES
from headway.evaluation.judge import Judged
from headway.metrics.intervals import Estimate
from headway.report import ReportTable
from headway.tables import Scores
from headway.trust import CONTROLS, WORDS, Trust
from headway_policies.comparison import Comparison

# cells longer than this many letters are text, and may wrap
WIDE = 20

ACCURACY = {
    name: FIGURES[name].heading
    for name in (
        "mae_expert",
        "mae_imperfect",
        "stage_accuracy",
        "success_auroc",
        "tau_all",
        "tau_failed",
        "tau_failed_apart",
        "gain_correlation",
        "voc_success",
        "voc_failed",
    )
}


def show(table: ReportTable) -> None:
    """Print a table of results and its note."""
    rows = [["n/a" if cell is None else str(cell) for cell in row] for row in table.rows]
    _print(table.title, table.columns, rows, table.note)


def show_accuracy(judged: Sequence[Judged], note: str) -> None:
    """Print one figure a row and one estimator a column; the first estimator with its intervals.

    The report has all intervals; a terminal is too narrow for them.
    """
    first, *others = judged
    rows = []
    for name, words in ACCURACY.items():
        value, *values = (row[name] for row in (first, *others))
        rows.append([words, _short(value), f"[{value.low:.2f},{value.high:.2f}]", *map(_short, values)])
    columns = ["", first.estimator, "95 %", *(row.estimator for row in others)]
    _print("How right it is, against the simulator's truth", columns, rows, note)


def show_trust(trust: Trust) -> None:
    """Print one check a row: the held-out curves, each control, and what was not beaten."""
    rows = []
    for check in trust.checks:
        better = "↓" if check.name == "marks" else "↑"
        controls = [f"{check.controls[name]:.3f}" for name in CONTROLS]
        beaten = f"not: {', '.join(check.unbeaten)}" if check.unbeaten else "yes"
        rows.append([f"{WORDS[check.name]}\u00a0{better}", f"{check.ours:.3f}", *controls, beaten, str(check.episodes)])
    note = "error and order: beaten where 95 % of a paired bootstrap over episodes agree; success: where not behind"
    _print("What can be checked, on held-out episodes", ["", "ours", *CONTROLS, "beaten", "episodes"], rows, note)


def _short(estimate: Estimate) -> str:
    # adding 0 turns a rounded -0.0 into 0.0
    return "n/a" if math.isnan(estimate.value) else f"{round(estimate.value, 2) + 0.0:.2f}"


def _print(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> None:
    # no lines between columns: the table of accuracy fills a terminal of 80 columns to the last
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        wide = any(len(row[number]) > WIDE for row in rows)
        justify: Literal["left", "right"] = "left" if wide or number == 0 else "right"
        table.add_column(column, justify=justify, no_wrap=not wide)
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    if note:
        console.print(note, style="dim", soft_wrap=True)


def accuracy_table(rows: Sequence[Judged], note: str) -> ReportTable:
    """How right each estimator is, with intervals; the blind controls belong among the rows."""
    cells = [[row.estimator, *(_figure(row[name]) for name in ACCURACY)] for row in rows]
    return ReportTable("How right it is, against the simulator's truth", ["estimator", *ACCURACY.values()], cells, note)


def _figure(estimate: Estimate) -> str | None:
    if math.isnan(estimate.value):
        return None
    # a line may end before the interval, not within it
    return f"{_short(estimate)} [{estimate.low:.2f},\u00a0{estimate.high:.2f}]"


def policy_table(comparison: Comparison) -> ReportTable:
    """How often each policy succeeds, and whether it can be told from plain cloning."""
    differences = {each.arm: str(each) for each in comparison.differences}
    rows = [
        [
            arm.name,
            f"{arm.success.value:.0%} [{arm.success.low:.0%}, {arm.success.high:.0%}]",
            ", ".join(f"{share:.0%}" for share in arm.by_seed),
            differences.get(arm.name, "-"),
            f"{arm.frames:,}",
        ]
        for arm in comparison.arms
    ]
    note = (
        f"{len(comparison.layout_seeds)} layouts that no demonstration shows, training seeds: "
        f"{len(comparison.training_seeds)}; brackets are 95 % intervals over seeds and layouts, differences are paired"
    )
    note += f"; {comparison.caveat}" if comparison.caveat else ""
    against = comparison.differences[0].against
    columns = ["learnt from", "success\u00a0↑", "by seed", f"difference to {against}", "frames"]
    return ReportTable("Policies cloned from these demonstrations", columns, rows, note)


def worst_table(scores: Scores, count: int = 8) -> ReportTable:
    """The worst episodes by rank, and why."""
    rows = [row for row in scores.episodes.to_pylist() if row["rank"]]
    rows.sort(key=lambda row: -row["rank"])
    cells = [
        [str(row["episode_index"]), row["kind"] or "-", f"{row['final']:.2f}", _known(row["truth_final"]), row["why"]]
        for row in rows[:count]
    ]
    return ReportTable("The worst episodes, and why", ["episode", "made by", "final", "true final", "why"], cells)


def _known(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"
