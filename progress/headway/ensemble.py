"""Ensembles: one estimate out of several, careful where they disagree.

    ensemble:SPEC+SPEC          y = clip(mean_i y_i - k std_i y_i, 0, 1) with k = 1; ensemble@0.5: gives k
    ensemble-min:SPEC+SPEC      y = min_i y_i, the worst case

A reward that is optimised against is hacked where one model errs upwards; the mean less some standard deviations, or
the worst case, gives little where models disagree (Coste et al., arXiv 2310.02743). The uncertainty is the standard
deviation over the members with ddof 0, the spread of these very members; the library `imitation` takes ddof 1.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headway.episodes import Array, Episode, ProgressCurve
from headway.errors import InvalidValue
from headway.estimator import Estimator, Needs, Reading, Stream, StreamingEstimator


@dataclass(frozen=True)
class Rule:
    """How members are made one.

    Attributes:
        k: standard deviations that are taken off the mean; None for the minimum instead.
    """

    k: float | None = 1.0

    def progress(self, members: Array) -> Array:
        """Members (member, ...), each in [0, 1] or NaN -> (...), in [0, 1]; NaN where any member is."""
        if self.k is None:
            return members.min(axis=0)
        return (members.mean(axis=0) - self.k * members.std(axis=0)).clip(0, 1)

    def success(self, members: Array) -> Array:
        """Probabilities (member, ...) -> (...): their mean, or their minimum."""
        return members.min(axis=0) if self.k is None else members.mean(axis=0)


@dataclass(frozen=True, repr=False)
class Ensemble:
    """Several estimators as one. It has no stream, as one of them has none.

    Attributes:
        name: its spec.
        estimators: at least two, of any kind.
        rule: how they are made one.
    """

    name: str
    estimators: tuple[Estimator, ...]
    rule: Rule = Rule()

    def __post_init__(self) -> None:
        if len(self.estimators) < 2:
            raise InvalidValue(f"{self.name!r} needs at least two estimators, such as ensemble:sarm:runs/a+sarm:runs/b")

    @property
    def fingerprint(self) -> str:
        parts = [repr(self.rule.k), *(estimator.fingerprint for estimator in self.estimators)]
        return f"ensemble-{hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:16]}"

    @property
    def needs(self) -> Needs:
        """What any of them needs."""
        every = [estimator.needs for estimator in self.estimators]
        return Needs(**{name: any(getattr(needs, name) for needs in every) for name in Needs.__dataclass_fields__})

    @property
    def stage_names(self) -> tuple[str, ...] | None:
        """The stages that its curves count: those of its members, when all have the same."""
        return _agreed([getattr(estimator, "stage_names", None) for estimator in self.estimators])

    def estimate(self, episodes: Iterable[Episode], stride: int = 1) -> Iterator[ProgressCurve]:
        for episode in episodes:
            curves = [next(iter(estimator.estimate([episode], stride))) for estimator in self.estimators]
            yield combine(curves, self.rule, self.fingerprint)


class StreamingEnsemble(Ensemble):
    """An ensemble all of whose members can stream."""

    def stream(self, instruction: str | None = None) -> "EnsembleStream":
        able = [estimator for estimator in self.estimators if isinstance(estimator, StreamingEstimator)]
        return EnsembleStream([estimator.stream(instruction) for estimator in able], self.rule)


class EnsembleStream:
    """Pushes every picture to every member. The stage is told when all members name the same."""

    def __init__(self, streams: Sequence[Stream], rule: Rule):
        self._streams, self._rule = streams, rule

    def push(self, frames: Mapping[str, Array], time: float, state: Array | None = None) -> Reading:
        readings = [stream.push(frames, time, state) for stream in self._streams]
        progress = np.array([reading.progress for reading in readings])
        told = [reading.success for reading in readings if reading.success is not None]
        return Reading(
            time,
            float(self._rule.progress(progress)),
            _agreed([reading.stage for reading in readings]),
            float(self._rule.success(np.array(told))) if told else None,
            float(progress.std()),
        )


def make_ensemble(spec: str, make: Callable[[str], Estimator]) -> Ensemble:
    """Make the ensemble that a spec names; `make` makes its members. A member's spec can hold no `+`.

    Raises InvalidValue when the spec is malformed, and whatever `make` raises.
    """
    rule, parts = parse(spec)
    estimators = tuple(make(part) for part in parts)
    able = all(isinstance(estimator, StreamingEstimator) for estimator in estimators)
    return (StreamingEnsemble if able else Ensemble)(spec, estimators, rule)


def parse(spec: str) -> tuple[Rule, tuple[str, ...]]:
    """The rule and the members' specs of `ensemble[@K]:SPEC+SPEC...` or `ensemble-min:SPEC+SPEC...`.

    Raises InvalidValue for anything else, for fewer than two members, and for a K that is no finite number from 0.
    """
    head, _, tail = spec.partition(":")
    name, at, number = head.partition("@")
    if name not in NAMES:
        raise InvalidValue(f"{spec!r} names no ensemble; write ensemble:SPEC+SPEC or ensemble-min:SPEC+SPEC")
    if at and name == "ensemble-min":
        raise InvalidValue(f"{spec!r}: the minimum takes no number; write ensemble-min:SPEC+SPEC")
    parts = tuple(tail.split("+"))
    if len(parts) < 2 or not all(parts):
        raise InvalidValue(f"{spec!r} needs at least two estimators, such as ensemble:sarm:runs/a+sarm:runs/b")
    return Rule(_deviations(spec, number) if at else RULES[name].k), parts


RULES = {"ensemble": Rule(1.0), "ensemble-min": Rule(None)}
NAMES = tuple(RULES)


def combine(curves: Sequence[ProgressCurve], rule: Rule, fingerprint: str) -> ProgressCurve:
    """One curve out of several of the same episode.

    A frame is marked as looked at when all of them did. It has no progress when one of them has none, for the reason
    that one gives. `raw` is the mean progress.
    """
    values = np.stack([curve.values for curve in curves]).astype(np.float64)
    told = [curve.success for curve in curves if curve.success is not None]
    names = _agreed([curve.stage_names for curve in curves])
    probabilities = [curve.stage_probability for curve in curves if curve.stage_probability is not None]
    alike = len(probabilities) == len(curves) and len({of.shape for of in probabilities}) == 1
    stages = np.mean(probabilities, axis=0) if names and alike else None
    reasons = dict.fromkeys(curve.reason for curve in curves if curve.reason and np.isnan(curve.values).any())
    return ProgressCurve(
        values=rule.progress(values).astype(np.float32),
        looked_at=np.all([curve.looked_at for curve in curves], axis=0),
        fingerprint=fingerprint,
        reason="; ".join(reasons) or None,
        # a class after the last stage means "done"
        stage=None if stages is None or names is None else stages.argmax(axis=1).clip(max=len(names) - 1),
        stage_names=None if stages is None else names,
        stage_probability=None if stages is None else stages.astype(np.float32),
        success=rule.success(np.stack(told)).astype(np.float32) if told else None,
        uncertainty=values.std(axis=0).astype(np.float32),
        raw=values.mean(axis=0).astype(np.float32),
        fold=_agreed([curve.fold for curve in curves]),
        in_sample=any(curve.in_sample for curve in curves),
    )


def _agreed(values: Sequence[Any]) -> Any:
    """The value that all have; None when they differ."""
    return values[0] if all(value == values[0] for value in values) else None


def _deviations(spec: str, number: str) -> float:
    try:
        k = float(number)
    except ValueError:
        k = math.nan
    if not (math.isfinite(k) and k >= 0):
        raise InvalidValue(f"{spec!r}: the standard deviations after @ must be a number from 0, got {number!r}")
    return k
