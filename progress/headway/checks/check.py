"""What a check is, and what it is given to look at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from headway.checks.numbers import Numbers
from headway.checks.pictures import Seen
from headway.episodes import Array, Episode

DEEPEN_GRADE = "deepen-grade 0.4.1"
REPORT_CARD = "robot-report-card 0.1.0"
OURS = "Headway's own"


@dataclass(frozen=True)
class Evidence:
    """One episode, with what is known of its dataset and its pictures; all that a check may look at.

    Attributes:
        episode: the episode.
        numbers: limits, ranges and pairs of the whole dataset.
        seen: name of a camera -> what its pictures are like.
    """

    episode: Episode
    numbers: Numbers
    seen: Mapping[str, Seen]

    @cached_property
    def action(self) -> Array | None:
        """Float64 (time, action_dim); None where there is none, or it is not of the dataset's size."""
        actions = self.numbers.actions
        return _sized(self.episode.action, None if actions is None else actions.range)

    @cached_property
    def state(self) -> Array | None:
        """Float64 (time, state_dim), likewise."""
        return _sized(self.episode.state, self.numbers.state_range)

    @cached_property
    def commands(self) -> Array | None:
        """The action without grippers and what never moves, as shares of the dataset's range (time, dim).

        None where nothing is left or a value is not finite.
        """
        actions = self.numbers.actions
        if self.action is None or actions is None:
            return None
        return _shares(self.action, actions.range, np.flatnonzero(~actions.grippers))

    @cached_property
    def positions(self) -> Array | None:
        """The state's positions as shares of the dataset's range (time, dim).

        They are those that a position command steers, where such are known, else all of the state that ever moves.
        None where nothing is left or a value is not finite.
        """
        span = self.numbers.state_range
        if self.state is None or span is None:
            return None
        steered = [state for state, _ in self.numbers.pairs]
        return _shares(self.state, span, np.array(steered or range(len(span)), dtype=int))


@dataclass(frozen=True)
class Check:
    """One thing that is read off an episode without a model.

    Attributes:
        name: without its prefix `defect_` or `risk_`.
        words: what a person calls it.
        unit: of the value.
        meaning: its definition, in one or two sentences.
        source: who defined it so.
        measure: a number, or None where it cannot be known.
    """

    name: str
    words: str
    unit: str
    meaning: str
    source: str
    measure: Callable[[Evidence], float | None]


def _sized(values: Array | None, known: Array | None) -> Array | None:
    if values is None or known is None or values.shape[1] != len(known):
        return None
    return values.astype(np.float64)


def _shares(values: Array, span: Array, chosen: Array) -> Array | None:
    """The chosen dimensions that move in the dataset, over their range."""
    chosen = chosen[span[chosen] > 0]
    shares = values[:, chosen] / span[chosen]
    return shares if chosen.size and np.isfinite(shares).all() else None
