"""What is fitted on the held-out episodes of a training run, so that an estimator's output means what it says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.special import expit

from headway.episodes import Array, Episode
from headway.learned.method import Verdict
from headway.signals.calibration import (
    ConformalSuccess,
    MonotoneMap,
    Temperature,
    fit_conformal,
    fit_monotone,
    fit_success_temperature,
)
from headway.signals.summary import LAST_FRAMES


@dataclass(frozen=True)
class Calibration:
    """Maps from a network's output to what the estimator says; a missing one leaves the output as it is.

    Attributes:
        progress: from the raw score to progress, for estimators whose raw score lies on no scale.
        success: of the success probability.
        failed: the highest success probability over each failed calibration episode, for a threshold with a
            false-positive rate of one's choice.
    """

    progress: MonotoneMap | None = None
    success: Temperature | None = None
    failed: ConformalSuccess | None = None

    def progress_of(self, verdict: Verdict) -> Array:
        """Progress in [0, 1], float32 (frame,)."""
        if verdict.progress is not None:
            return verdict.progress.clip(0, 1).astype(np.float32)
        if self.progress is None:
            return np.full(len(verdict.raw), np.nan, np.float32)
        return self.progress(verdict.raw).astype(np.float32)

    def success_of(self, verdict: Verdict) -> Array | None:
        """The probability that the task is done, float32 (frame,)."""
        if verdict.success_logit is None:
            return None
        logit = verdict.success_logit if self.success is None else self.success.apply(verdict.success_logit)
        return expit(logit).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        parts = {"progress": self.progress, "success": self.success, "failed": self.failed}
        return {name: part.to_json() for name, part in parts.items() if part is not None}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        readers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "progress": MonotoneMap.from_json,
            "success": Temperature.from_json,
            "failed": ConformalSuccess.from_json,
        }
        return cls(**{name: readers[name](part) for name, part in content.items()})


def calibrate(episodes: Sequence[Episode], verdicts: Sequence[Verdict]) -> Calibration:
    """Fit the maps on held-out episodes, of which `verdicts` say what the network makes of each frame.

    The success probability is fitted where an annotator's word is sure, on the last frames of labelled episodes.
    """
    progress = _progress(episodes, verdicts)
    labelled = [(v, bool(e.success)) for e, v in zip(episodes, verdicts, strict=True) if e.success is not None]
    told = [(v, success) for v, success in labelled if v.success_logit is not None]
    if not told:
        return Calibration(progress)
    first = Calibration(progress, _success(told))
    readings = [reading for verdict, _ in told if (reading := first.success_of(verdict)) is not None]
    succeeded = [success for _, success in told]
    return replace(first, failed=None if all(succeeded) else fit_conformal(readings, succeeded))


def _progress(episodes: Sequence[Episode], verdicts: Sequence[Verdict]) -> MonotoneMap | None:
    """Raw score -> the share of its time that a demonstration has used, on average, where it scores so.

    Of successes, where there are any; time says nothing of how far along a failure is.
    """
    pairs = [(e, v) for e, v in zip(episodes, verdicts, strict=True) if v.progress is None and e.success is not False]
    chosen = [(e, v) for e, v in pairs if e.success] or pairs
    if not chosen:
        return None
    raw = np.concatenate([verdict.raw for _, verdict in chosen])
    time = np.concatenate([np.linspace(0, 1, len(verdict.raw)) for _, verdict in chosen])
    return fit_monotone(raw, time)


def _success(told: Sequence[tuple[Verdict, bool]]) -> Temperature | None:
    """From how episodes that succeeded or did not look at their end; None when they are all alike."""
    last = [verdict.success_logit[-LAST_FRAMES:].mean() for verdict, _ in told if verdict.success_logit is not None]
    success = np.array([success for _, success in told])
    return fit_success_temperature(np.array(last), success) if len(np.unique(success)) == 2 else None
