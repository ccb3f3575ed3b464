"""Controls, which every table of results is held against: estimators that see nothing, one that sees everything, and
any estimator shown its episodes backwards."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from headway.episodes import Array, Episode, ProgressCurve
from headway.errors import InvalidValue
from headway.estimator import Estimator, Needs, Waiting
from headway.replay import replay


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


@dataclass(frozen=True, repr=False)
class Reversed:
    """Another estimator, shown each episode backwards, from its last frame to its first.

    The curve is in the episode's own order: the value at frame t is what was said of frame t while the clip ran back.
    So an estimator that goes by what it sees gives the curve that it gives forwards, order correlation and all, and one
    that goes by time gives that curve turned round: a clock 1 - t / (T - 1). In the order shown both signs change,
    and the well-known form of the check is that the correlation in that order is about the negative of the forward one.
    An estimator that was trained on clips running forwards only, or that expects the start to come first, may well give
    other values; how far they are from its own forward ones is what this control measures.

    The frames that are looked at with a stride are counted from the end. It is never causal: the value at a frame
    depends on the frames after it, which were shown before.
    """

    estimator: Estimator

    @property
    def name(self) -> str:
        return f"reversed:{self.estimator.name}"

    @property
    def fingerprint(self) -> str:
        return f"reversed-{self.estimator.fingerprint}"

    @property
    def needs(self) -> Needs:
        return replace(self.estimator.needs, whole_episode=True)

    @property
    def stage_names(self) -> tuple[str, ...] | None:
        """The stages that its curves count, where the estimator knows any."""
        return getattr(self.estimator, "stage_names", None)

    def estimate(self, episodes: Iterable[Episode], stride: int = 1) -> Iterator[ProgressCurve]:
        for episode in episodes:
            clip = replay(episode, np.arange(len(episode))[::-1])
            (curve,) = self.estimator.estimate([clip], stride)
            parts = {part.name: getattr(curve, part.name) for part in fields(curve)}
            turned: dict[str, Any] = {
                name: values[::-1].copy() for name, values in parts.items() if isinstance(values, np.ndarray)
            }
            yield replace(curve, fingerprint=self.fingerprint, **turned)


class ReversedWaiting(Reversed):
    """The same of an estimator that waits for a server; `Waiting` says what its further methods do."""

    estimator: Waiting

    @property
    def at_once(self) -> int:
        return self.estimator.at_once

    def facts(self) -> dict[str, Any]:
        return self.estimator.facts()

    def stop(self) -> None:
        self.estimator.stop()


def backwards(estimator: Estimator) -> Reversed:
    """The estimator, shown its episodes backwards."""
    return (ReversedWaiting if isinstance(estimator, Waiting) else Reversed)(estimator)
