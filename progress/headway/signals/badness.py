"""How far an episode lies from the usual ones, to the bad side: one number an episode, without a label.

Each thing measured is told in robust deviations above what most episodes of the dataset have. What most have is the
shortest half of the values (Grübel 1988, "The length of the shorth"; Rousseeuw and Leroy 1987): unlike the median it
stays with the good ones where a third and more of the others lie on one side, as waits and ways round do. The
deviations, none below 0 or above CAP, are put together as the root of the sum of their squares: several small ones
count, and no single one drowns the rest.

It is relative: where most episodes share a fault, that fault is the usual, and of a handful of episodes it says little.
"""

import numpy as np

from headway.checks import DEFECTS, RISKS
from headway.episodes import Array
from headway.errors import InvalidValue
from headway.tables import Scores

CAP = 10.0
# a lag is a whole number of frames, and nothing says that a longer one is worse
LEFT_OUT = ("lag",)
TENTHS = 10
# least deviations that count as one: of progress, of a probability, and in seconds
PROGRESS, PROBABILITY, SECONDS = 0.02, 0.1, 0.1
# of a normal distribution: half the length of the shortest half, and the mean absolute deviation, in its own
SHORTH, MEAN = 0.6745, 0.7979


def excess(values: Array, least: float = 0.0) -> Array:
    """How many robust deviations each of (episodes,) lies above the mean of the shortest half, within [0, CAP].

    A deviation is half the length of that half over 0.6745, which makes it that of a normal distribution. Where over
    half are one value, that length is 0, and the mean absolute distance from the value over 0.7979 takes its place.

    Args:
        values: float (episodes,); NaN is not known.
        least: a deviation is never smaller, in the unit of the values.

    Returns:
        float64 (episodes,), NaN where the value is; all 0 where the values are all the same.
    """
    values = np.asarray(values, float)
    known = np.sort(values[~np.isnan(values)])
    if not known.size:
        return values.copy()
    half = known.size // 2 + 1
    lengths = known[half - 1 :] - known[: known.size - half + 1]
    start = int(lengths.argmin())
    usual = known[start : start + half].mean()
    deviation = lengths[start] / 2 / SHORTH
    if deviation <= 1e-9 * abs(usual):
        deviation = np.abs(known - usual).mean() / MEAN
    deviation = max(float(deviation), least)
    above = values - usual
    return np.clip(above / deviation if deviation > 1e-9 * abs(usual) else 0 * above, 0, CAP)


def of_checks(scores: Scores) -> Array:
    """From what needs no model (`headway.checks`): the excess of every risk but lag; each kind of defect counts CAP.

    Float64 (episodes,), in the order of the episodes table.
    """
    risks = [excess(column(scores, f"risk_{check.name}")) for check in RISKS if check.name not in LEFT_OUT]
    defects = [np.where(column(scores, f"defect_{check.name}") > 0, CAP, 0.0) for check in DEFECTS]
    return together(*risks, *defects)


def of_progress(scores: Scores) -> Array:
    """From the estimate: the excess of 1 - final progress, of 1 - success where the estimator tells it, of drawdown,
    and of the seconds that progress spends in each of its tenths.

    Float64 (episodes,), in the order of the episodes table; NaN where an episode has no estimate.
    """
    parts = [
        excess(1 - column(scores, "final"), PROGRESS),
        excess(1 - column(scores, "success"), PROBABILITY),
        excess(column(scores, "drawdown"), PROGRESS),
        *(excess(seconds, SECONDS) for seconds in _seconds_in_tenths(scores).T),
    ]
    return together(*parts)


def together(*parts: Array) -> Array:
    """The root of the sum of squares of several (episodes,); what is NaN is left out, and NaN stays where all are."""
    if len({np.shape(part) for part in parts}) != 1:
        raise InvalidValue(f"parts must be of the same episodes, got shapes {[np.shape(part) for part in parts]}")
    stacked = np.stack([np.asarray(part, float) for part in parts])
    known = ~np.isnan(stacked)
    length = np.sqrt((np.where(known, stacked, 0) ** 2).sum(axis=0))
    return np.where(known.any(axis=0), length, np.nan)


def column(scores: Scores, name: str) -> Array:
    """A column of numbers of the episodes table, float64 (episodes,); null is NaN."""
    return np.array([np.nan if value is None else value for value in scores.episodes[name].to_pylist()], float)


def _seconds_in_tenths(scores: Scores) -> Array:
    """(episodes, TENTHS); NaN where progress is not known all through."""
    rows = scores.episodes.select(["episode_index", "length", "seconds"]).to_pylist()
    values = scores.frames["progress_sparse"].to_numpy()
    first = dict(zip(*np.unique(scores.frames["episode_index"].to_numpy(), return_index=True), strict=True))
    found = np.full((len(rows), TENTHS), np.nan)
    for number, row in enumerate(rows):
        curve = values[first[row["episode_index"]] :][: row["length"]]
        if not np.isnan(curve).any():
            tenth = np.clip((curve * TENTHS).astype(int), 0, TENTHS - 1)
            found[number] = np.bincount(tenth, minlength=TENTHS) * row["seconds"] / row["length"]
    return found
