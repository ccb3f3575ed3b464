"""Where an evaluation's scores are made and kept."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headway.cli.options import Bar
from headway.estimator import Estimator
from headway.evaluation.language import Confusion, confusion, videos_of
from headway.evaluation.run import Evaluation, scores_in
from headway.evaluation.stressed import Stressful, under_stress
from headway.scoring import ScoreOptions, score
from headway.source import Source
from headway.tables import Scores, read_scores

# letters of a folder's name; file systems allow 255 bytes
LONGEST = 80


@dataclass(frozen=True)
class Desk:
    """Where an evaluation's scores are made and kept, so that a run cut short goes on and a second one is quick."""

    source: Source
    folder: Path
    options: ScoreOptions
    estimators: Mapping[str, Estimator]

    def plain(self, spec: str) -> Scores:
        """The scores of the dataset as it is."""
        return self._score(self.source, spec, self.options, "")

    def language(self, spec: str, found: Evaluation) -> Confusion | None:
        """The matrix of videos and texts; None for an estimator without ears, or a dataset of one instruction."""
        videos = videos_of(found.known)
        if not videos or not self.estimators[spec].needs.instruction:
            return None

        def scored_under(text: str, episodes: tuple[int, ...]) -> Scores:
            told = replace(self.options, task=text, episodes=episodes)
            return self._score(self.source, spec, told, f"told-{list(videos).index(text)}")

        return confusion(videos, scored_under)

    def stress(self, estimator: str, spec: str, stresses: Sequence[str], found: Evaluation) -> list[Stressful]:
        """What the estimator makes of changed copies of some of the episodes."""

        def scored_on(source: Source, name: str, episodes: tuple[int, ...]) -> Scores:
            return self._score(source, spec, replace(self.options, episodes=episodes), name)

        return under_stress(self.source, stresses, found.known, found.curves[estimator], scored_on)

    def _score(self, source: Source, spec: str, options: ScoreOptions, part: str) -> Scores:
        if spec not in self.estimators:
            return scores_in(Path(spec), source)
        name = f"{spec}{', ' if part else ''}{part}"
        with Bar(f"scoring with {name}", "episode") as bar:
            return read_scores(score(source, self.estimators[spec], self.folder / slug(name), options, bar.at))


def slug(name: str) -> str:
    """A folder's name for a spec; of long ones the end is replaced by a hash."""
    plain = re.sub(r"[^\w.]+", "-", name).strip("-")
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
