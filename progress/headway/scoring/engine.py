"""What an engine is: whatever scores the episodes of a run that are left, in this process or on many machines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from headway.checks.numbers import Numbers
from headway.estimator import Estimator
from headway.scoring.options import ScoreOptions
from headway.scoring.parts import Parts
from headway.source import Source


@dataclass(frozen=True, repr=False)
class Work:
    """A run, as an engine is given it.

    Attributes:
        source: the dataset.
        estimator: what judges it.
        options: how.
        numbers: what the checks know of the dataset as a whole.
        parts: where each episode's part is kept as soon as it is known.
    """

    source: Source
    estimator: Estimator
    options: ScoreOptions
    numbers: Numbers
    parts: Parts


class Engine(Protocol):
    """Scores episodes."""

    def __call__(self, work: Work, left: Sequence[int], on_part: Callable[[], None]) -> None:
        """Write the part of every episode that is `left`; call `on_part` after each.

        Whatever the engine, a part is what `headway.scoring.episode.score_episode` makes of its episode alone.
        """
        ...
