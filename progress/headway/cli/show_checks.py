"""What the checks found, for the terminal."""

import shlex

import numpy as np

from headway.checks import DEFECTS, RISKS
from headway.cli.show import show
from headway.report import ReportTable
from headway.tables import Scores

SHOWN = 5  # episodes named in a row


def tell_checks(scores: Scores) -> None:
    """Print which defects are in how many episodes, how the risks lie, and what to do next."""
    count = len(scores.episodes)
    with_any = sum(bool(number) for number in scores.episodes["defects"].to_pylist())
    for table in check_tables(scores):
        show(table)
    print(f"{with_any} of {count} episodes {'has' if with_any == 1 else 'have'} defects")
    if with_any:
        dataset = shlex.quote(scores.run["dataset"]["path"])
        print(f"next: headway filter {dataset} --from {scores.root} --keep 'defects == 0' --out DIR --dry-run")
    else:
        print(f"next: headway report {scores.root}")


def check_tables(scores: Scores) -> list[ReportTable]:
    """Which defects are in which episodes, and how the risks lie."""
    return [_defects(scores), _risks(scores)]


def _defects(scores: Scores) -> ReportTable:
    names = scores.episodes["episode_index"].to_pylist()
    rows, unknown = [], []
    for check in DEFECTS:
        counts = scores.episodes[f"defect_{check.name}"].to_pylist()
        found = [name for name, number in zip(names, counts, strict=True) if number]
        if found:
            more = ", ..." if len(found) > SHOWN else ""
            most = f"{max(number or 0 for number in counts):,} {check.unit}"
            rows.append([check.words, str(len(found)), most, ", ".join(map(str, found[:SHOWN])) + more])
        elif all(number is None for number in counts):
            unknown.append(check.words)
    note = f"cannot be known here: {', '.join(unknown)}" if unknown else ""
    columns = ["defect", "episodes", "at most", "which"]
    return ReportTable("Defects", columns, rows or [["none", "0", "-", "-"]], note)


def _risks(scores: Scores) -> ReportTable:
    names = scores.episodes["episode_index"].to_numpy()
    rows, unknown = [], []
    for check in RISKS:
        values = scores.episodes[f"risk_{check.name}"].to_numpy(zero_copy_only=False).astype(np.float64)
        if np.isnan(values).all():
            unknown.append(check.words)
            continue
        worst = int(np.nanargmax(values))
        median = f"{np.nanmedian(values):.3g}"
        rows.append([check.words, check.unit, median, f"{values[worst]:.3g}", str(names[worst])])
    note = "the higher, the worse; a risk only informs"
    note += f"; cannot be known here: {', '.join(unknown)}" if unknown else ""
    return ReportTable("Risks", ["risk", "unit", "median", "worst", "episode"], rows, note)
