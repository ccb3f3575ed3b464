"""The tables of rabc.py: success with intervals, paired differences, noise floor, and how much of the gain was kept.

Intervals resample training seeds (data and initialisation) and layouts at once (`crossed_bootstrap`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rabc_arms import ALL_ARMS, DECISIVE

from headway.episodes import Array
from headway.metrics.intervals import Estimate
from headway_policies.comparison import crossed_bootstrap, resampled_means

Row = dict[str, Any]
PLAIN, FILTER, AUTO, ORACLE = DECISIVE
CONTRASTS = (
    (ORACLE, PLAIN),
    (ORACLE, FILTER),
    (AUTO, PLAIN),
    (AUTO, FILTER),
    (AUTO, ORACLE),
    (FILTER, PLAIN),
    ("RA-BC as published", PLAIN),
    ("RA-BC as published, true progress", PLAIN),
    (AUTO, "RA-BC as published"),
    ("rabc-auto", PLAIN),
    (AUTO, "rabc-auto"),
    ("AWR", PLAIN),
    (AUTO, "AWR"),
    ("AWR, true progress", PLAIN),
    ("AWR", "AWR, true progress"),
    (AUTO, "auto, taught by truth"),
    ("shuffled weights", PLAIN),
)
POWER = 1.96 + 0.84
"""Standard errors between no effect and one that is found 80 times in 100, at the 5 % level."""


class Outcomes:
    """Who succeeded where. `of` gives float64 (seed, layout) of the redrawn datasets."""

    def __init__(self, rows: Sequence[Row]):
        self.tasks = tuple(dict.fromkeys(row["task"] for row in rows))
        self._rows = {
            (row["task"], row["arm"], row["data"], row["seed"]): np.array([float(c) for c in row["success"]])
            for row in rows
        }

    def seeds(self, task: str, *arms: str) -> list[int]:
        """Seeds that all these arms have, each with data of its own."""
        has = [{seed for t, a, data, seed in self._rows if (t, a) == (task, arm) and data == seed} for arm in arms]
        return sorted(set.intersection(*has))

    def of(self, task: str, arm: str, seeds: Sequence[int]) -> Array:
        return np.stack([self._rows[task, arm, seed, seed] for seed in seeds])

    def same_data(self, task: str, arm: str) -> Array:
        """Share of successes of each training on the data of seed 0: float64 (seed,)."""
        return np.array([v.mean() for (t, a, data, _), v in self._rows.items() if (t, a, data) == (task, arm, 0)])

    def difference(self, task: str, arm: str, against: str) -> Array | None:
        """Differences of outcomes (seed, layout), paired; None with fewer than two pairs."""
        seeds = self.seeds(task, arm, against)
        if len(seeds) < 2:
            return None
        return self.of(task, arm, seeds) - self.of(task, against, seeds)


def print_tables(rows: Sequence[Row]) -> None:
    known = Outcomes(rows)
    for title, lines in (
        ("Success, % of rollouts", success_table(known)),
        ("Paired differences, points", difference_table(known)),
        ("Noise floor, points", noise_table(known)),
        ("Where failed rollouts of `auto` end", ends_table(rows)),
    ):
        print(f"\n{title}\n\n" + "\n".join(lines))
    kept = kept_share(known)
    if kept is not None:
        print(f"\nShare of the oracle's gain over {PLAIN} that {AUTO} keeps, mean over tasks: {_percent(kept)}")


def success_table(known: Outcomes) -> list[str]:
    lines = _head(["arm", *known.tasks])
    for arm in ALL_ARMS:
        cells = []
        for task in known.tasks:
            success = success_of(known, task, arm)
            cells.append("" if success is None else f"{_percent(success)} ({len(known.seeds(task, arm))})")
        lines.append(_line([arm, *cells]))
    return lines


def success_of(known: Outcomes, task: str, arm: str) -> Estimate | None:
    """The share of successes; None for an arm that was not run on that task."""
    seeds = known.seeds(task, arm)
    return crossed_bootstrap(known.of(task, arm, seeds), lowest=0) if seeds else None


def difference_table(known: Outcomes) -> list[str]:
    """Differences with intervals; those within the design's smallest detectable effect are marked with ~."""
    lines = _head(["arm less another", *known.tasks, "mean over tasks"])
    for arm, against in CONTRASTS:
        found = [known.difference(task, arm, against) for task in known.tasks]
        cells = ["" if values is None else _difference(values) for values in found]
        whole = [values for values in found if values is not None]
        mean = "" if len(whole) < len(found) or not whole else _points(mean_over_tasks(whole))
        lines.append(_line([f"{arm} - {against}", *cells, mean]))
    return lines


def noise_table(known: Outcomes) -> list[str]:
    """What another seed does to the same data, and the smallest effect that the pairs can show."""
    lines = _head(["", *known.tasks])
    for arm in (PLAIN, ORACLE):
        cells = [_spread(known.same_data(task, arm)) for task in known.tasks]
        lines.append(_line([f"{arm}, same data: standard deviation (trainings)", *cells]))
        redrawn = [
            known.of(task, arm, s).mean(1) if (s := known.seeds(task, arm)) else np.zeros(0) for task in known.tasks
        ]
        lines.append(_line([f"{arm}, data redrawn", *[_spread(values) for values in redrawn]]))
    for arm, against in ((ORACLE, PLAIN), (AUTO, FILTER), (AUTO, ORACLE), ("RA-BC as published", PLAIN)):
        found = [known.difference(task, arm, against) for task in known.tasks]
        cells = ["" if v is None else f"{100 * detectable(v):.0f} ({len(v)})" for v in found]
        lines.append(_line([f"smallest effect seen 80 % of the time, {arm} - {against} (pairs)", *cells]))
    return lines


def ends_table(rows: Sequence[Row]) -> list[str]:
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        of = [row["failures_end"] for row in rows if row["task"] == task and row["arm"] == AUTO]
        if of:
            counts = {stage: sum(each[stage] for each in of) for stage in of[0]}
            lines.append(f"- {task}: " + ", ".join(f"{stage} {count}" for stage, count in counts.items()))
    return lines


def detectable(differences: Array) -> float:
    """The smallest effect that so many pairs (seed, layout) with such a spread show 80 times in 100, at 5 %."""
    means = differences.mean(axis=1)
    return float(POWER * means.std(ddof=1) / len(means) ** 0.5)


def mean_over_tasks(differences: Sequence[Array]) -> Estimate:
    """The mean over tasks of differences (seed, layout), each task resampled on its own."""
    draws = np.mean([resampled_means(values, number) for number, values in enumerate(differences)], axis=0)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(float(np.mean([values.mean() for values in differences])), float(low), float(high))


def kept_share(known: Outcomes) -> Estimate | None:
    """(auto - all) / (oracle - all), averaged over tasks; None before every task has two pairs of all three, or
    where an oracle gains nothing."""
    each, drawn = [], []
    for number, task in enumerate(known.tasks):
        seeds = known.seeds(task, PLAIN, AUTO, ORACLE)
        if len(seeds) < 2:
            return None
        plain, auto, oracle = (known.of(task, arm, seeds) for arm in (PLAIN, AUTO, ORACLE))
        gain = (oracle - plain).mean()
        if gain == 0:
            return None
        each.append((auto - plain).mean() / gain)
        # the same seed draws the same seeds and layouts for both
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn.append(resampled_means(auto - plain, number) / resampled_means(oracle - plain, number))
    low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    return Estimate(float(np.mean(each)), float(low), float(high))


def _difference(values: Array) -> str:
    estimate = crossed_bootstrap(values, lowest=-1)
    mark = " ~" if abs(estimate.value) < detectable(values) else ""
    return f"{_points(estimate)}{mark} ({len(values)})"


def _spread(values: Array) -> str:
    return "" if len(values) < 2 else f"{100 * values.std(ddof=1):.0f} ({len(values)})"


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.0f} [{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]"


def _points(estimate: Estimate) -> str:
    return f"{100 * estimate.value:+.0f} [{100 * estimate.low:+.0f}, {100 * estimate.high:+.0f}]"


def _head(cells: Sequence[str]) -> list[str]:
    return [_line(cells), "|---" * len(cells) + "|"]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
