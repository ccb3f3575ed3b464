"""What estimators make of episodes that were changed on purpose, held against what is true of the changed ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from headway.episodes import ProgressCurve
from headway.errors import Unsupported
from headway.evaluation.breakdown import called, episode_error
from headway.evaluation.reference import Reference, references
from headway.signals.summary import final
from headway.source import Source
from headway.stress import STRESSES, Stressed
from headway.tables import Scores

# episodes to change, as many successes as failures where there are both
EPISODES = 12
STRESS_WORDS = {name: stress.expected for name, stress in STRESSES.items()}

ScoredOn = Callable[[Source, str, tuple[int, ...]], Scores]


@dataclass(frozen=True)
class Stressful:
    """One estimator under one change. NaN where nothing is known.

    Attributes:
        stress: the change.
        episodes: how many episodes were changed.
        error, unchanged: mean absolute error to true progress, with the change and without.
        final, true_final: mean final progress, estimated and true.
        called: share of them called a success at the end.
    """

    stress: str
    episodes: int
    error: float
    unchanged: float
    final: float
    true_final: float
    called: float


def parse_stresses(text: str, source: Source) -> tuple[list[str], list[str]]:
    """`truncate,freeze` or `all` -> names; of `all` those that the dataset allows, and why not the others.

    Raises UnknownName, and Unsupported for one that was asked for by name and is not possible.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names if names != ["all"] else ():
        Stressed(source, name)
    if names != ["all"]:
        return names, []
    possible, obstacles = [], []
    for name in STRESSES:
        try:
            Stressed(source, name)
            possible.append(name)
        except Unsupported as error:
            obstacles.append(str(error))
    return possible, obstacles


def under_stress(
    source: Source,
    names: Sequence[str],
    known: Sequence[Reference],
    curves: Sequence[ProgressCurve],
    scored_on: ScoredOn,
) -> list[Stressful]:
    """One row a change.

    Args:
        source: the dataset as it is.
        names: of the changes.
        known: what is known of its episodes.
        curves: what the estimator makes of them as they are.
        scored_on: the estimator's scores of some episodes of a changed source.
    """
    places = _chosen(known)
    indices = tuple(known[place].index for place in places)
    unchanged = _mean([episode_error(known[place], curves[place].values) for place in places])
    rows = []
    for name in names:
        changed = Stressed(source, name)
        scores = scored_on(changed, name, indices)
        truths = references([changed.episode(index) for index in indices], source.stage_names)
        said = [scores.progress_curve(index) for index in indices]
        rows.append(
            Stressful(
                name,
                len(indices),
                _mean([episode_error(truth, curve.values) for truth, curve in zip(truths, said, strict=True)]),
                unchanged,
                _mean([final(curve.values) for curve in said]),
                _mean([np.nan if truth.progress is None else final(truth.progress) for truth in truths]),
                _mean([called(curve) for curve in said]),
            )
        )
    return rows


def _chosen(known: Sequence[Reference]) -> list[int]:
    """Places of the episodes to change: from successes and failures in turn."""
    good = [place for place, reference in enumerate(known) if reference.success is not False]
    bad = [place for place, reference in enumerate(known) if reference.success is False]
    fewer = min(len(good), len(bad), EPISODES // 2)
    more = EPISODES - fewer
    chosen = good[:fewer] + bad[:more] if len(bad) > len(good) else good[:more] + bad[:fewer]
    return sorted(chosen)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
