"""An evaluation in the terminal."""

import math
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from headway.evaluation.figures import FIGURES, GROUPS
from headway.evaluation.judge import UNINFORMATIVE, WORSE
from headway.evaluation.outputs import standing, unknown, verdicts
from headway.evaluation.reference import judged_by
from headway.evaluation.run import Evaluation
from headway.evaluation.stressed import Stressful


def show_evaluation(evaluation: Evaluation) -> None:
    """Print one figure a row and one estimator a column, then what cannot be known."""
    console = Console()
    count = len(evaluation.known)
    title = f"{evaluation.dataset}: {count} episodes, judged by {judged_by(evaluation.known)}"
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
                mark = held[each.estimator][name].mark if name in held[each.estimator] else ""
                cells.append(_cell(each[name].value) + mark)
            table.add_row(f"  {figures[name].heading}", *cells)
    console.print(table)
    note = (
        f"{UNINFORMATIVE}: a control is within noise of the estimator (95 % of a paired bootstrap over episodes), or "
        f"the episodes are too few to tell, so the figure says nothing for it; {WORSE}: a control is better"
    )
    console.print(note, style="dim", soft_wrap=True)
    for each in judged:
        if not each.is_control:
            console.print(standing(evaluation, each), soft_wrap=True, markup=False, highlight=False)
    for each in judged:
        if each.unscored:
            words = f"{each.unscored} of {count} episodes have no final score and are left out of its figures"
            console.print(f"{each.estimator}: {words}", soft_wrap=True, markup=False, highlight=False)
        if each.in_sample:
            words = f"was trained on {each.in_sample} of {count} episodes, so its figures flatter it"
            console.print(f"{each.estimator}: {words}", soft_wrap=True, markup=False, highlight=False)
    for reason, names in unknown(evaluation).items():
        words = ", ".join(FIGURES[name].words for name in names)
        console.print(f"cannot be known: {words}: {reason}", style="dim", soft_wrap=True, highlight=False)


def show_stress(stresses: Mapping[str, Sequence[Stressful]]) -> None:
    """Print one change a row and one estimator a column: the error with the change."""
    table = Table(title="Under stress: mean absolute error", title_justify="left", title_style="bold", box=None)
    for name in ("", *stresses):
        table.add_column(name, justify="right" if name else "left", overflow="fold")
    first = next(iter(stresses.values()))
    table.add_row("unchanged", *(_cell(rows[0].unchanged) for rows in stresses.values()))
    for place, row in enumerate(first):
        table.add_row(row.stress, *(_cell(rows[place].error) for rows in stresses.values()))
    Console().print(table)


def _cell(value: float) -> str:
    if math.isnan(value):
        return "n/a"
    # adding 0 turns a rounded -0.0 into 0.0
    return f"{round(value, 2) + 0.0:.2f}" if abs(value) < 100 else f"{value:.0f}"
