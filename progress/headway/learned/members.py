"""Trained networks and what belongs to each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headway.encoders.cache import FeatureCache
from headway.episodes import Episode
from headway.learned.calibrating import Calibration
from headway.learned.method import Knowledge
from headway.learned.trunk import Sizes


@dataclass(frozen=True, repr=False)
class Member:
    """One trained network, and what belongs to it.

    Attributes:
        network: a torch module, a `WindowNetwork`.
        sizes: what it was built from.
        knowledge: what was measured on its episodes.
        trained_on: the recordings it was trained, stopped and calibrated on.
        calibration: fitted on its held-out episodes.
    """

    network: Any
    sizes: Sizes
    knowledge: Knowledge
    trained_on: frozenset[str]
    calibration: Calibration = field(default_factory=Calibration)

    def knows(self, episode: Episode) -> bool:
        """Whether this very recording was among its training episodes."""
        return episode.recording in self.trained_on


@dataclass(frozen=True, repr=False)
class Workshop:
    """Where a training run keeps things, and what it computes on.

    Attributes:
        cache: of features.
        folder: the run's folder, for its state and its log; None for nowhere.
        device: what is computed on.
        track: `trackio` or `wandb`, which then hear of every epoch; empty for neither.
    """

    cache: FeatureCache
    folder: Path | None = None
    device: str = "cpu"
    track: str = ""


def recordings(episodes: Sequence[Episode]) -> frozenset[str]:
    """What episodes are known by."""
    return frozenset(episode.recording for episode in episodes if episode.recording is not None)
