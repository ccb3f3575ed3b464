"""A dataset and estimators in, an evaluation out: scores, figures, controls, and what cannot be known."""

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headway.episodes import ProgressCurve
from headway.errors import InvalidValue
from headway.evaluation.judge import Judged, judge
from headway.evaluation.reference import Reference, references
from headway.source import Source
from headway.tables import RUN, Scores, read_scores

# what every evaluation holds the estimators against, whatever was asked for: they cost nothing
ALWAYS = ("clock", "constant", "random")
# over which an expert always gains, measured on simulated ones (`headway.signals.weights`)
LOOK_AHEAD_SECONDS = 1.25


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What was found.

    Attributes:
        dataset: name of the dataset.
        fingerprint: of the dataset.
        known: what is known of each episode that was evaluated.
        curves: estimator -> the curve of each of these episodes.
        judged: the figures of each estimator; controls are among them.
        look_ahead: frames over which gains are taken.
    """

    dataset: str
    fingerprint: str
    known: Sequence[Reference]
    curves: Mapping[str, Sequence[ProgressCurve]]
    judged: Sequence[Judged]
    look_ahead: int

    @property
    def controls(self) -> list[Judged]:
        return [each for each in self.judged if each.is_control]


def with_controls(specs: Sequence[str]) -> list[str]:
    """The specs asked for, each once, and the controls that cost nothing. Raises InvalidValue for none."""
    wanted = list(dict.fromkeys(spec.strip() for spec in specs if spec.strip()))
    if not wanted:
        raise InvalidValue("--estimators needs at least one, such as --estimators sarm:runs/tidy,clock")
    return [*wanted, *(control for control in ALWAYS if control not in wanted)]


def named(specs: Sequence[str]) -> dict[str, str]:
    """A short name for tables -> its spec: paths by their last part, where that tells the specs apart."""
    short = [re.sub(r"[^:+@]*/", "", spec.rstrip("/")) for spec in specs]
    return {name if short.count(name) == 1 else spec: spec for name, spec in zip(short, specs, strict=True)}


def is_folder(spec: str) -> bool:
    """Whether a spec is a SCORES folder, whose estimator cannot be asked anything more."""
    return (Path(spec) / RUN).is_file()


def scores_in(folder: Path, source: Source) -> Scores:
    """The scores in a folder. Raises InvalidValue for those of another dataset."""
    found = read_scores(folder)
    if found.run["identity"]["dataset"] != source.fingerprint:
        raise InvalidValue(f"the scores in {folder} are of another dataset than {source.root}; score this one")
    return found


def evaluate(source: Source, scores: Mapping[str, Scores], look_ahead: int | None = None) -> Evaluation:
    """Judge scores of one dataset, estimator -> its scores, on the episodes that all of them cover.

    Args:
        source: the dataset.
        scores: of each estimator; controls among them.
        look_ahead: frames over which gains are taken; None for 1.25 seconds.

    Raises InvalidValue when the scores have no episode in common.
    """
    covered = [set(each.episodes["episode_index"].to_pylist()) for each in scores.values()]
    indices = [index for index in source.episode_indices if all(index in each for each in covered)]
    if not indices:
        raise InvalidValue("the scores have no episode in common; score the same episodes with every estimator")
    episodes = [source.episode(index) for index in indices]
    known = references(episodes, source.stage_names)
    if look_ahead is None:
        look_ahead = max(1, round(LOOK_AHEAD_SECONDS * known[0].fps))
    curves = {
        name: [_claiming(each.progress_curve(index), str(each.run["estimator"])) for index in indices]
        for name, each in scores.items()
    }
    judged = [
        judge(name, known, each, look_ahead, made_by=str(scores[name].run["estimator"]))
        for name, each in curves.items()
    ]
    return Evaluation(source.root.name, source.fingerprint, known, curves, judged, look_ahead)


def _claiming(curve: ProgressCurve, spec: str) -> ProgressCurve:
    """A blind control's progress is its probability of success too, so that what others claim stands beside one."""
    return replace(curve, success=curve.values) if spec.partition(":")[0] in ALWAYS else curve


def provenance() -> dict[str, Any]:
    """When and by which versions an evaluation was made."""
    names = ("headway", "numpy", "scipy", "scikit-learn")
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in names}},
    }
