"""A dataset and estimators in, an evaluation out: scores, figures, controls, and what cannot be known."""

import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headway.episodes import ProgressCurve
from headway.errors import InvalidValue
from headway.evaluation.judge import Judged, judge
from headway.evaluation.reference import Reference, origin, references
from headway.scoring import ScoreOptions, score
from headway.source import Source
from headway.specs import make_estimator
from headway.tables import RUN, Scores, read_scores

# what every evaluation holds the estimators against, whatever was asked for: they cost nothing
ALWAYS = ("clock", "constant", "random")
# over which an expert always gains, measured on simulated ones (`headway.signals.weights`)
LOOK_AHEAD_SECONDS = 1.25

OnEpisode = Callable[[int, int], None]


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

    @property
    def origin(self) -> str:
        return origin(self.known)


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


def scored(
    source: Source, spec: str, folder: Path, options: ScoreOptions, device: str, on_episode: OnEpisode
) -> Scores:
    """The scores of a spec, computed into `folder` where they are not there yet.

    A spec may be a SCORES folder of the same dataset, which is read. Raises InvalidValue for one of another dataset.
    """
    if not (Path(spec) / RUN).is_file():
        return read_scores(score(source, make_estimator(spec, device), folder, options, on_episode))
    found = read_scores(Path(spec))
    if found.run["identity"]["dataset"] != source.fingerprint:
        raise InvalidValue(f"the scores in {spec} are of another dataset than {source.root}; score this one")
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
    curves = {name: [each.progress_curve(index) for index in indices] for name, each in scores.items()}
    judged = [judge(name, known, each, look_ahead) for name, each in curves.items()]
    return Evaluation(source.root.name, source.fingerprint, known, curves, judged, look_ahead)


def provenance() -> dict[str, Any]:
    """When and by which versions an evaluation was made."""
    names = ("headway", "numpy", "scipy", "scikit-learn")
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in names}},
    }
