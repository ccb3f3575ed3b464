"""Where and how fast the work of `headway score` is done: the options, and the engine they mean."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from headway.cli.options import open_source
from headway.errors import InvalidValue, VideoError
from headway.machine import cores

if TYPE_CHECKING:
    from headway.estimator import Estimator
    from headway.learned.fast import Deviation
    from headway.scoring import Engine, ScoreOptions
    from headway.source import Source

TOLERABLE = 0.01
"""Mean difference of progress beyond which a person is warned."""

EngineName = Literal["local", "ray"]


@dataclass(frozen=True)
class EngineOptions:
    """What decides where the work is done and how fast.

    Attributes:
        name: `local` for this process, `ray` for Ray Data.
        workers: processes that decode ahead of the local engine; None to choose by the machine.
        address: of a running Ray cluster; empty for one on this machine alone.
        fast: a frozen encoder runs in 8-bit integers, which alone of these changes what comes out.
    """

    name: EngineName = "local"
    workers: int | None = None
    address: str = ""
    fast: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise InvalidValue(f"--workers must be at least 0, got {self.workers}")
        if self.name == "ray" and self.workers is not None:
            raise InvalidValue("--workers is for --engine local; Ray shares the cores out itself")
        if self.name == "local" and self.address:
            raise InvalidValue("--ray-address is for --engine ray")

    def hasten(self, estimator: "Estimator") -> "Estimator":
        """The estimator that judges. Raises Unsupported where it cannot be made faster."""
        if not self.fast:
            return estimator
        from headway.learned.fast import faster

        return faster(estimator)

    def make(self, spec: str, device: str, dataset: str, cameras: str, rename: str) -> "Engine":
        """The engine for a spec on a dataset as the command line names them."""
        if self.name == "ray":
            from headway.scoring.ray_engine import ray_engine

            opens = partial(open_source, dataset, cameras, rename)
            return ray_engine(partial(_judge, spec, device, self), opens, self.address or None, device=device)
        from headway.scoring.local import score_here

        return partial(score_here, workers=self.workers if self.workers is not None else decoders(device))


def _judge(spec: str, device: str, options: EngineOptions) -> "Estimator":
    """The estimator, made anew on another machine."""
    from headway.specs import make_estimator

    return options.hasten(make_estimator(spec, device))


def show_deviation(spec: str, device: str, fast: "Estimator", source: "Source", options: "ScoreOptions") -> None:
    """Say what a faster estimator says of one episode beside the exact one, and how fast it is."""
    from headway.learned.estimator import Learned
    from headway.learned.fast import deviation
    from headway.specs import make_estimator

    exact = make_estimator(spec, device)
    assert isinstance(exact, Learned)
    assert isinstance(fast, Learned)
    for index in options.wanted(source.episode_indices):
        try:
            found = deviation(exact, fast, options.told(source.episode(index)))
        except VideoError:
            # its row will say so
            continue
        _tell_deviation(found, index)
        return


def _tell_deviation(found: "Deviation", index: int) -> None:
    apart = f"by {found.progress_mean:.4f} on average and {found.progress_largest:.4f} at most"
    if found.reason is not None:
        apart = f"by an unknown amount ({found.reason})"
    print(
        f"fast: encodes {found.speed:.1f} times as many pictures a second; features differ by {found.features_mean:.1%}"
    )
    print(f"fast: progress of episode {index} differs {apart}")
    if found.progress_mean > TOLERABLE:
        print(f"warning: that is more than {TOLERABLE}; look at the curves (headway report), or score without --fast")


def decoders(device: str) -> int:
    """How many processes to decode in: enough to feed a GPU, few beside a network that needs the cores itself."""
    return min(cores() - 1, 8) if device != "cpu" else min(cores() // 4, 4)
