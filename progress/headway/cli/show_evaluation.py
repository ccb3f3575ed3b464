"""An evaluation in the terminal."""

import math

from rich.console import Console
from rich.table import Table

from headway.evaluation.figures import FIGURES, GROUPS
from headway.evaluation.outputs import unknown, verdicts
from headway.evaluation.reference import WORDS
from headway.evaluation.run import Evaluation

UNINFORMATIVE = "≈"


def show_evaluation(evaluation: Evaluation) -> None:
    """Print one figure a row and one estimator a column, then what cannot be known."""
    console = Console()
    count = len(evaluation.known)
    title = f"{evaluation.dataset}: {count} episodes, judged by {WORDS[evaluation.origin]}"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0))
    table.add_column("")
    # controls come last and are dim, so that nobody takes them for estimators
    judged = sorted(evaluation.judged, key=lambda each: each.is_control)
    for each in judged:
        table.add_column(each.estimator, justify="right", overflow="fold", style="dim" if each.is_control else "")
    held = {each.estimator: {} if each.is_control else verdicts(evaluation, each) for each in judged}
    for group, figures in GROUPS.items():
        shown = [name for name in figures if not all(math.isnan(each[name].value) for each in judged)]
        if not shown:
            continue
        table.add_row(f"[bold]{group}[/bold]")
        for name in shown:
            cells = []
            for each in judged:
                reached = name in held[each.estimator] and not held[each.estimator][name].told
                cells.append(_cell(each[name].value) + (UNINFORMATIVE if reached else ""))
            table.add_row(f"  {figures[name].heading}", *cells)
    console.print(table)
    note = (
        f"{UNINFORMATIVE}: a control is within noise of the estimator, so the figure says nothing for it "
        "(95 % of a paired bootstrap over episodes)"
    )
    console.print(note, style="dim", soft_wrap=True)
    for reason, names in unknown(evaluation).items():
        words = ", ".join(FIGURES[name].words for name in names)
        console.print(f"cannot be known: {words}: {reason}", style="dim", soft_wrap=True, highlight=False)


def _cell(value: float) -> str:
    if math.isnan(value):
        return "n/a"
    # adding 0 turns a rounded -0.0 into 0.0
    return f"{round(value, 2) + 0.0:.2f}" if abs(value) < 100 else f"{value:.0f}"
