"""The protocol that every estimator of progress meets, and its streaming twin."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from headway.episodes import Array, Episode, ProgressCurve


@dataclass(frozen=True)
class Needs:
    """What an estimator has to be given.

    `whole_episode` False means causal, which is to say prefix-invariant: the value at a frame is the same whether
    or not later frames exist. A test proves it for every estimator that claims it.
    """

    pictures: bool = True
    instruction: bool = False
    state: bool = False
    goal_image: bool = False
    whole_episode: bool = False
    truth: bool = False


@runtime_checkable
class Estimator(Protocol):
    """Turns episodes into progress curves.

    Attributes:
        name: the spec that made it, as a user would write it (`clock`, `sarm:runs/tidy`).
        fingerprint: changes whenever its output could; goes into every table it writes.
        needs: what it has to be given.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def needs(self) -> Needs: ...

    def estimate(self, episodes: Iterable[Episode], stride: int = 1) -> Iterator[ProgressCurve]:
        """One curve an episode, in order. Lazy: an episode is decoded only when its curve is asked for.

        Args:
            episodes: what to judge.
            stride: look at every `stride`-th frame and the last one, and interpolate linearly in between; the
                values at the frames looked at are the same as with a stride of 1.
        """
        ...


@dataclass(frozen=True)
class Reading:
    """What a stream says at one moment: progress and success in [0, 1] or None, stage by name, `time` in seconds."""

    time: float
    progress: float
    stage: str | None = None
    success: float | None = None
    uncertainty: float | None = None


class Stream(Protocol):
    """One running episode. Frames are pushed at the rate the estimator states; time is seconds since the start."""

    def push(self, frames: Mapping[str, Array], time: float, state: Array | None = None) -> Reading:
        """Take the newest picture of each camera, uint8 RGB (height, width, 3), and say how far along it is."""
        ...


@runtime_checkable
class Waiting(Estimator, Protocol):
    """An estimator that waits for something else, such as a server, and costs something.

    Attributes:
        at_once: how many episodes it is worth judging at the same time, each in a thread of its own.
    """

    @property
    def at_once(self) -> int: ...

    def facts(self) -> dict[str, Any]:
        """What a table should tell of it: what it has spent so far, and what came of it. Plain JSON."""
        ...

    def stop(self) -> None:
        """Give up what is under way, at once."""
        ...


@runtime_checkable
class Decoding(Estimator, Protocol):
    """An estimator that knows beforehand which pictures it will look at, so that they can be decoded ahead."""

    def decodes(self, episode: Episode, stride: int = 1) -> Collection[str]:
        """Names of the cameras through whose pictures `estimate` would go; none of those whose features are kept."""
        ...


@runtime_checkable
class StreamingEstimator(Estimator, Protocol):
    """A causal estimator that can also run beside a robot; gives the same numbers as `estimate`."""

    def stream(self, instruction: str | None = None) -> Stream: ...
