"""Where the work of `headway score` is done: the options, and the engine they mean."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from headway.cli.options import open_source
from headway.errors import InvalidValue
from headway.machine import cores

if TYPE_CHECKING:
    from headway.scoring import Engine

EngineName = Literal["local", "ray"]


@dataclass(frozen=True)
class EngineOptions:
    """What decides where and by how many the work is done; never what comes out.

    Attributes:
        name: `local` for this process, `ray` for Ray Data.
        workers: processes that decode ahead of the local engine; None to choose by the machine.
        address: of a running Ray cluster; empty for one on this machine alone.
    """

    name: EngineName = "local"
    workers: int | None = None
    address: str = ""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise InvalidValue(f"--workers must be at least 0, got {self.workers}")
        if self.name == "ray" and self.workers is not None:
            raise InvalidValue("--workers is for --engine local; Ray shares the cores out itself")
        if self.name == "local" and self.address:
            raise InvalidValue("--ray-address is for --engine ray")

    def make(self, spec: str, device: str, dataset: str, cameras: str, rename: str) -> "Engine":
        """The engine for a spec on a dataset as the command line names them."""
        if self.name == "ray":
            from headway.scoring.ray_engine import ray_engine
            from headway.specs import make_estimator

            opens = partial(open_source, dataset, cameras, rename)
            return ray_engine(partial(make_estimator, spec, device), opens, self.address or None, device=device)
        from headway.scoring.local import score_here

        return partial(score_here, workers=self.workers if self.workers is not None else decoders(device))


def decoders(device: str) -> int:
    """How many processes to decode in: enough to feed a GPU, few beside a network that needs the cores itself."""
    return min(cores() - 1, 8) if device != "cpu" else min(cores() // 4, 4)
