"""Maps from raw output to what an estimator says it is, fitted on calibration episodes and kept with a checkpoint.

Three of them: `MonotoneMap` for progress, `Temperature` for probabilities, `ConformalSuccess` for a verdict whose false
alarms are bounded. None of them looks at the episode that is being scored as a whole, as a scaling by the episode's own
minimum and maximum would: that turns every failure into a success, and needs the end of the episode.

The episodes they are fitted on must be among those neither of training nor of the results.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from scipy.optimize import isotonic_regression, minimize_scalar
from scipy.special import logsumexp

from headway.episodes import Array
from headway.errors import CheckpointError, InvalidValue

# A map is kept as at most this many knots; what thinning moves is less than a frame's own noise.
KNOTS = 100
MOVED = 1e-3
# The same range both ways: beyond it a probability is 0 or 1 to float32, or does not depend on the picture.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.02, 50.0

CONFORMAL_ASSUMPTION = (
    "The false-positive rate is guaranteed, on average over calibrations, for failed episodes that are exchangeable "
    "with the failed calibration episodes: the same policy in the same scene."
)


@dataclass(frozen=True)
class MonotoneMap:
    """A non-decreasing map from raw output to progress: linear between knots, constant beyond the outer ones.

    Attributes:
        x: raw output at the knots, strictly rising.
        y: progress at the knots, in [0, 1], non-decreasing.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        x, y = np.array(self.x, float), np.array(self.y, float)
        if not x.size or x.shape != y.shape:
            raise InvalidValue(f"a monotone map needs as many y as x, at least one, got {x.size} x and {y.size} y")
        if not np.isfinite(x).all() or not (np.diff(x) > 0).all():
            raise InvalidValue("the knots of a monotone map must be finite and strictly rising")
        if not ((y >= 0) & (y <= 1)).all() or not (np.diff(y) >= 0).all():
            raise InvalidValue("a monotone map must lie in [0, 1] and never fall")

    def __call__(self, raw: Array) -> Array:
        """Progress, float64 of the shape of `raw`, in [0, 1]; NaN stays NaN."""
        return np.interp(np.asarray(raw, float), self.x, self.y)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """What `to_json` gave. Raises CheckpointError when it is anything else."""
        return _read(lambda: cls(tuple(map(float, stored["x"])), tuple(map(float, stored["y"]))), "monotone map")


def fit_monotone(raw: Array, target: Array, weight: Array | None = None) -> MonotoneMap:
    """The non-decreasing map of least squared error (isotonic regression; Zadrozny and Elkan 2002 for calibration).

    Frames of equal raw output share one value, so a constant output is mapped to the mean target. On purpose unlike the
    regression itself, which is a step function, the map is linear between knots, and thinned: knots are added where
    it is furthest off until it is within 0.001 everywhere or has 100.

    Args:
        raw: (frames,), any scale; frames at which it or the target is not finite are left out.
        target: (frames,), true progress in [0, 1].
        weight: (frames,), at least 0; frames of weight 0 are left out. All 1 when None.

    Raises InvalidValue when shapes differ, a target or a weight is out of range, or no frame is left.
    """
    raw, target = np.asarray(raw, float), np.asarray(target, float)
    weight = np.ones(raw.shape) if weight is None else np.asarray(weight, float)
    if raw.ndim != 1 or not raw.shape == target.shape == weight.shape:
        raise InvalidValue(
            f"raw output, target and weight must be (frames,) alike, got {raw.shape}, {target.shape}, {weight.shape}"
        )
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise InvalidValue("the weights of calibration frames must be finite and at least 0")
    known = np.isfinite(raw) & np.isfinite(target) & (weight > 0)
    if not known.any():
        raise InvalidValue(f"none of {len(raw)} calibration frames has a raw output and a target; score more episodes")
    raw, target, weight = raw[known], target[known], weight[known]
    if target.min() < 0 or target.max() > 1:
        raise InvalidValue(f"targets must lie in [0, 1], got {target.min():.3g} to {target.max():.3g}")
    x, group = np.unique(raw, return_inverse=True)
    mass = np.bincount(group, weight)
    mean = np.bincount(group, weight * target) / mass
    y = np.clip(isotonic_regression(mean, weights=mass).x, 0, 1)
    kept = _thinned(x, y)
    return MonotoneMap(tuple(x[kept].tolist()), tuple(y[kept].tolist()))


def _thinned(x: Array, y: Array) -> list[int]:
    """Indices of at most KNOTS points, the outer ones among them, between which lines stay close to all points."""
    kept = sorted({0, len(x) - 1})
    while len(kept) < KNOTS:
        off = np.abs(np.interp(x, x[kept], y[kept]) - y)
        if off.max() <= MOVED:
            break
        kept = sorted([*kept, int(off.argmax())])
    return kept


@dataclass(frozen=True)
class Temperature:
    """What logits are divided by so that their probabilities are as sure as they are right (Guo et al. 2017).

    It changes no order and no most probable class.
    """

    value: float

    def __post_init__(self) -> None:
        if not (self.value > 0 and math.isfinite(self.value)):
            raise InvalidValue(f"a temperature must be above 0 and finite, got {self.value}")

    def apply(self, logits: Array) -> Array:
        """Logits to take the softmax or the sigmoid of, of the same shape and type."""
        return logits / self.value

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """What `to_json` gave. Raises CheckpointError when it is anything else."""
        return _read(lambda: cls(float(stored["value"])), "temperature")


def fit_temperature(logits: Array, labels: Array) -> Temperature:
    """The temperature of least negative log-likelihood, within [0.02, 50].

    The likelihood has one minimum in log T, as it is convex in 1/T. Where no temperature is better than 1, it is 1.

    Args:
        logits: (frames, classes), finite; frames with a NaN are left out.
        labels: int (frames,), the true class.

    Raises InvalidValue when shapes or labels do not fit, a logit is infinite, or no frame is left.
    """
    logits, labels = np.asarray(logits, float), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise InvalidValue(
            f"logits must be (frames, classes) and labels (frames,), got {logits.shape} and {labels.shape}"
        )
    known = ~np.isnan(logits).any(axis=1)
    if not known.any():
        raise InvalidValue(f"none of {len(labels)} calibration frames has logits; score more episodes")
    logits, labels = logits[known], labels[known].astype(int)
    if np.isinf(logits).any():
        raise InvalidValue("logits to fit a temperature to must be finite; leave out the classes that are ruled out")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise InvalidValue(f"labels must lie in 0 to {logits.shape[1] - 1}, got {labels.min()} to {labels.max()}")
    of_label = logits[np.arange(len(labels)), labels]

    def likelihood(log_temperature: float) -> float:
        inverse = math.exp(-log_temperature)
        return float((logsumexp(logits * inverse, axis=1) - of_label * inverse).mean())

    bounds = (math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE))
    found = float(minimize_scalar(likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)
    return Temperature(math.exp(found) if likelihood(found) < likelihood(0.0) else 1.0)


def fit_success_temperature(logits: Array, success: Array) -> Temperature:
    """The same for logits (readings,) of a sigmoid and the truth, bool (readings,).

    Few readings are often told apart without a mistake: the sharper the likelier then, and nothing says how sharp. So
    the temperature of such readings stays 1. Readings should be independent of each other: one an episode.
    """
    logits, success = np.asarray(logits, float), np.asarray(success, bool)
    known = ~np.isnan(logits)
    if logits.shape != success.shape or not known.any():
        raise InvalidValue(f"needs as many logits as successes, at least one, got {logits.shape} and {success.shape}")
    logits, success = logits[known], success[known]
    if ((logits > 0) == success).all():
        return Temperature(1.0)
    return fit_temperature(np.stack([np.zeros_like(logits), logits], axis=-1), success.astype(int))


@dataclass(frozen=True)
class ConformalSuccess:
    """A success detector whose rate of false alarms over failed episodes is bounded (split conformal prediction).

    The unit is the failed episode, not the frame, and its statistic the highest reading of the whole episode: a
    detector that runs along raises a false alarm when it fires once. Frames of one episode are not exchangeable;
    failed episodes of one policy in one scene are (Vovk et al. 2005; Angelopoulos and Bates, arXiv 2107.07511).
    See CONFORMAL_ASSUMPTION, which belongs wherever a threshold is shown.

    Attributes:
        maxima: the highest reading of each failed calibration episode, rising.
    """

    maxima: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.maxima:
            raise InvalidValue("no failed calibration episode: a success threshold needs some that failed")
        if not np.isfinite(self.maxima).all() or (np.diff(self.maxima) < 0).any():
            raise InvalidValue("the maxima of failed calibration episodes must be finite and sorted")

    def threshold(self, alpha: float) -> float:
        """An episode is called a success when a reading is STRICTLY above this; false for at most alpha of failures.

        It is the ceil((n + 1)(1 - alpha))-th smallest of n maxima. Raises InvalidValue when alpha is not within (0, 1)
        or below 1/(n + 1), where nothing can be promised.
        """
        return self.maxima[len(self.maxima) - self.allowed(alpha)]

    def allowed(self, alpha: float) -> int:
        """How many of n + 1 exchangeable failures may lie above the threshold, from 1. Raises as `threshold` does."""
        episodes = len(self.maxima)
        if not 0 < alpha < 1:
            raise InvalidValue(f"the false-positive rate must lie between 0 and 1, both excluded, got {alpha}")
        # the slack is for 0.29 * 100, which falls short of 29
        above = math.floor((episodes + 1) * alpha + 1e-9)
        if above < 1:
            smallest = math.ceil(1e6 / (episodes + 1)) / 1e6
            raise InvalidValue(
                f"a false-positive rate of {alpha:g} cannot be promised after {episodes} failed calibration episodes; "
                f"the smallest possible is 1/{episodes + 1} = {smallest:g}: ask for that, or calibrate on more failures"
            )
        return above

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """What `to_json` gave. Raises CheckpointError when it is anything else."""
        return _read(lambda: cls(tuple(map(float, stored["maxima"]))), "success threshold")


def fit_conformal(readings: Sequence[Array], succeeded: Sequence[bool] | Array) -> ConformalSuccess:
    """Keep the highest reading of every failed calibration episode.

    Args:
        readings: what the detector says of each episode, (time,); one with a NaN is left out, as it is when scored.
        succeeded: bool (episodes,), whether it truly succeeded; successes are not used.

    Raises InvalidValue when no failed episode is left.
    """
    failed = [np.asarray(of, float) for of, done in zip(readings, succeeded, strict=True) if not done]
    return ConformalSuccess(tuple(sorted(float(of.max()) for of in failed if of.size and not np.isnan(of).any())))


def _read[T](make: Callable[[], T], what: str) -> T:
    try:
        return make()
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the stored {what} is damaged ({error}); calibrate the estimator again") from error
