"""Tables for the terminal and for the report."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from headway.metrics.against_truth import AgainstTruth
from headway.metrics.intervals import Estimate
from headway.report import ReportTable
from headway.tables import Scores

ACCURACY = {
    "mae_expert": "MAE expert ↓",
    "mae_imperfect": "MAE imperfect ↓",
    "stage_accuracy": "stage accuracy ↑",
    "success_auroc": "success AUROC ↑",
    "tau_all": "ranking, all ↑",
    "tau_failed": "ranking, failed ↑",
    "gain_correlation": "gain correlation ↑",
    "voc_success": "VOC, successes",
    "voc_failed": "VOC, failed",
}


def show(table: ReportTable) -> None:
    """Print a table of results and its note."""
    printed = Table(title=table.title, title_justify="left", title_style="bold", caption=table.note)
    printed.caption_justify = "left"
    for number, column in enumerate(table.columns):
        printed.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in table.rows:
        printed.add_row(*("n/a" if cell is None else str(cell) for cell in row))
    Console().print(printed)


def accuracy_table(rows: Sequence[AgainstTruth], note: str) -> ReportTable:
    """How right each estimator is, with intervals; the blind controls belong among the rows."""
    cells = [[row.estimator, *(_figure(getattr(row, name)) for name in ACCURACY)] for row in rows]
    return ReportTable("How right it is, against the simulator's truth", ["estimator", *ACCURACY.values()], cells, note)


def _figure(estimate: Estimate) -> str | None:
    if estimate.value != estimate.value:
        return None
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


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
