"""Estimators that see nothing, and one that sees everything: what every table of results is held against."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array, Episode, ProgressCurve
from headway.errors import InvalidValue
from headway.estimator import Needs


@dataclass(frozen=True)
class Control:
    """An estimator made of one function from an episode to its progress, float (time,), without a look at pictures.

    Where the function returns None the curve is NaN, for the `reason`.
    """

    name: str
    needs: Needs
    progress: Callable[[Episode], Array | None]
    reason: str = ""

    @property
    def fingerprint(self) -> str:
        return self.name

    def estimate(self, episodes: Iterable[Episode], stride: int = 1) -> Iterator[ProgressCurve]:
        for episode in episodes:
            values = self.progress(episode)
            if values is None:
                yield missing_curve(len(episode), self.fingerprint, self.reason)
            else:
                yield ProgressCurve(values.astype(np.float32), np.ones(len(episode), bool), self.fingerprint)


def missing_curve(time: int, fingerprint: str, reason: str) -> ProgressCurve:
    """A curve of `time` NaN, and why."""
    return ProgressCurve(np.full(time, np.nan, np.float32), np.zeros(time, bool), fingerprint, reason=reason)


def clock() -> Control:
    """Progress = t / (T - 1): perfect order on every demonstration that succeeds, and it knows nothing."""
    needs = Needs(pictures=False, whole_episode=True)
    return Control("clock", needs, lambda episode: np.arange(len(episode)) / max(len(episode) - 1, 1))


def constant(value: float = 0.5) -> Control:
    """The same progress everywhere."""
    if not 0 <= value <= 1:
        raise InvalidValue(f"a constant must lie in [0, 1], got {value}")
    name = "constant" if value == 0.5 else f"constant:{value:g}"
    return Control(name, Needs(pictures=False), lambda episode: np.full(len(episode), value))


def random(seed: int = 0) -> Control:
    """Independent uniform draws, the same for the same seed and episode."""

    def draw(episode: Episode) -> Array:
        return np.random.default_rng([seed, episode.index]).random(len(episode))

    return Control("random" if seed == 0 else f"random:{seed}", Needs(pictures=False), draw)


def oracle() -> Control:
    """The simulator's own progress."""
    return Control(
        "oracle",
        Needs(pictures=False, truth=True),
        lambda episode: None if episode.truth is None else episode.truth.progress,
        reason="the dataset carries no truth; only simulated ones do",
    )
