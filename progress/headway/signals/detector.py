"""When a success is declared and taken back: a detector over readings, the same beside a robot and over a recording.

A single confident reading is not enough, because policies learn to produce one: `frames` of them in a row are needed.
Its threshold can be set from failed episodes, so that its rate of false alarms is bounded (`calibrate_detector`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from headway.episodes import Array, ProgressCurve
from headway.errors import InvalidValue
from headway.estimator import Reading
from headway.signals.calibration import CONFORMAL_ASSUMPTION, ConformalSuccess

# a threshold above any probability: what is calibrated on failures that read 1 never fires
NEVER = math.nextafter(1.0, 2.0)
# times are sums of frame periods, so 0.3 s may read as 0.29999999999999993
SLACK = 1e-9


@dataclass(frozen=True)
class DetectorConfig:
    """When a detector switches.

    A fresh frame is sure when its success is at least `on` and the condition holds; it is unsure when its success is
    below `off`. The detector switches on at the last of `frames` sure frames in a row, and off at the last of `frames`
    unsure ones, but never before the state it is in has stood for `dwell` seconds; then at the first fresh frame after
    that at which the row is long enough. A frame without a success, None or NaN, ends both rows: it retracts nothing.

    Attributes:
        on: the least success that counts, above 0 and at most 1, or NEVER.
        gap: how far below `on` success has to fall before it is taken back, at least 0. Where `on - gap` is not above
            0, it never is.
        frames: how many fresh frames in a row, from 1.
        dwell: seconds for which a state is kept at least, from 0. The first one, off, begins with the first frame.
        condition: whether the robot's state, (state_dim,), allows a success, for example an open gripper; always when
            None. It must depend on nothing else. It is needed to switch on, not to stay on.
        latch: once on, it stays on until the detector is reset.
    """

    on: float = 0.5
    gap: float = 0.1
    frames: int = 5
    dwell: float = 0.0
    condition: Callable[[Array], bool] | None = None
    latch: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.on <= NEVER:
            raise InvalidValue(f"a detector's threshold must lie above 0 and up to 1, got {self.on}")
        if not 0 <= self.gap < math.inf:
            raise InvalidValue(f"the gap below a detector's threshold must be finite and at least 0, got {self.gap}")
        if not isinstance(self.frames, int) or self.frames < 1:
            raise InvalidValue(f"a detector's frames in a row must be a whole number from 1, got {self.frames}")
        if not 0 <= self.dwell < math.inf:
            raise InvalidValue(f"a detector's dwell must be finite and at least 0 seconds, got {self.dwell}")

    @property
    def off(self) -> float:
        """Success must be STRICTLY below this to be taken back."""
        return self.on - self.gap

    def allows(self, state: Array | None) -> bool:
        """Whether the condition holds. Raises InvalidValue where there is one and no state."""
        if self.condition is None:
            return True
        if state is None:
            raise InvalidValue("the detector's condition looks at the robot's state; give it the state of every frame")
        return bool(self.condition(state))


@dataclass(frozen=True)
class Event:
    """A detector has switched.

    Attributes:
        on: whether a success is declared; False when it is taken back.
        time: of the reading, seconds.
        frame: how many frames were pushed before this one, fresh or not, since the reset.
    """

    on: bool
    time: float
    frame: int


class SuccessDetector:
    """Watches one running episode. See DetectorConfig for when it switches."""

    def __init__(self, config: DetectorConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Forget what was seen: a new episode begins."""
        self._on = False
        self._frame = -1
        self._since = self._time = -math.inf
        self._sure = self._unsure = 0

    @property
    def on(self) -> bool:
        """Whether a success stands declared."""
        return self._on

    def push(self, reading: Reading, state: Array | None = None, fresh: bool = True) -> Event | None:
        """Take the newest reading and say whether it switches the detector.

        Args:
            reading: only its time and success matter. For an estimator that tells none, give its progress as success.
            state: what the robot senses of itself, (state_dim,); needed where there is a condition.
            fresh: whether a new picture was looked at. A reading that is not fresh, or of the time of the one before,
                is a repetition and counts for nothing.

        Raises InvalidValue when time is not finite or runs backwards, or a state is needed and missing.
        """
        time = reading.time
        if not (math.isfinite(time) and time >= self._time):
            raise InvalidValue(
                f"a reading of {time} s follows one of {self._time} s; time must be finite and may not run backwards: "
                "reset the detector where an episode begins"
            )
        fresh, self._time = fresh and time > self._time, time
        self._frame += 1
        if self._frame == 0:
            self._since = time
        if not fresh:
            return None
        self._count(math.nan if reading.success is None else reading.success, state)
        if time - self._since < self._config.dwell - SLACK:
            return None
        row = self._unsure if self._on else self._sure
        if row < self._config.frames or (self._on and self._config.latch):
            return None
        self._on, self._since = not self._on, time
        return Event(self._on, time, self._frame)

    def _count(self, success: float, state: Array | None) -> None:
        sure = self._config.allows(state) and success >= self._config.on
        self._sure = self._sure + 1 if sure else 0
        self._unsure = self._unsure + 1 if success < self._config.off else 0


@dataclass(frozen=True, repr=False)
class Readings:
    """What a detector is given of one episode.

    Attributes:
        time: (time,), seconds, never falling.
        success: (time,), in [0, 1] or NaN.
        looked_at: bool (time,), whether the frame is fresh; what lies between, as interpolation put it, does not count.
        state: (time, state_dim), where known.

    Raises InvalidValue where the shapes differ or success is out of range.
    """

    time: Array
    success: Array
    looked_at: Array
    state: Array | None = None

    def __post_init__(self) -> None:
        parts = {"time": self.time, "success": self.success, "looked_at": self.looked_at}
        shapes = {name: np.shape(part) for name, part in parts.items()}
        if len(set(shapes.values())) != 1 or len(shapes["time"]) != 1:
            raise InvalidValue(f"readings need time, success and looked_at of one shape (time,), got {shapes}")
        if self.state is not None and len(self.state) != len(self.time):
            raise InvalidValue(f"{len(self.time)} readings but {len(self.state)} states; needs one of each a frame")
        known = np.asarray(self.success, float)[~np.isnan(self.success)]
        if known.size and not 0 <= known.min() <= known.max() <= 1:
            raise InvalidValue(f"success must lie in [0, 1] or be NaN, got {known.min():.3g} to {known.max():.3g}")

    def __repr__(self) -> str:
        return f"Readings(time={len(self.time)}, looked_at={int(np.sum(self.looked_at))})"

    @classmethod
    def of(cls, curve: ProgressCurve, fps: float, state: Array | None = None) -> Self:
        """Of a scored episode. Raises InvalidValue where its estimator tells no success."""
        if curve.success is None:
            raise InvalidValue(f"a detector needs an estimator that tells success; {curve.fingerprint!r} does not")
        return cls(np.arange(len(curve.success)) / fps, curve.success, curve.looked_at, state)


def detect(config: DetectorConfig, readings: Readings) -> list[Event]:
    """The events of a whole episode: those of a detector to which its frames are pushed one by one."""
    detector = SuccessDetector(config)
    states = [None] * len(readings.time) if readings.state is None else readings.state
    # numbers of python's own: numpy's are slower one by one
    columns = (np.asarray(part).tolist() for part in (readings.time, readings.success, readings.looked_at))
    pushed = (
        detector.push(Reading(time, math.nan, success=success), state, fresh)
        for time, success, fresh, state in zip(*columns, states, strict=True)
    )
    return [event for event in pushed if event is not None]


def highest_firing(config: DetectorConfig, readings: Readings) -> float:
    """The highest `on` in (0, 1] at which the detector fires in this episode, all else equal; 0 where it never does.

    It fires at a threshold exactly when that is at most this. Proof: before it first switches on, the detector is off,
    so that neither `gap` nor `latch` has had a say; `dwell` then only rules out the frames of the first seconds, which
    are the same for every threshold. So it first switches on at the first frame that is late enough and ends a row of
    `frames` fresh frames whose condition holds and whose least success is at least `on`; there is one if and only if
    the greatest of those least successes, over all such rows, is at least `on`.
    """
    time = np.asarray(readings.time, float)
    fresh = np.flatnonzero(np.asarray(readings.looked_at, bool) & (np.diff(time, prepend=-math.inf) > 0))
    if len(fresh) < config.frames:
        return 0.0
    states = None if readings.state is None else readings.state[fresh]
    success = np.asarray(readings.success, float)[fresh]
    if config.condition is not None:
        allowed = [config.allows(state) for state in ([None] if states is None else states)]
        success = np.where(allowed, success, 0.0)
    least = sliding_window_view(np.nan_to_num(success, nan=0.0), config.frames).min(axis=1)
    late = time[fresh][config.frames - 1 :] - time[0] >= config.dwell - SLACK
    return float(least[late].max(initial=0.0))


@dataclass(frozen=True)
class Calibrated:
    """A detector and what is promised of it.

    Attributes:
        config: with its threshold set.
        alpha: at most this share of failed episodes has it switch on, whenever and however often: see `assumes`.
        episodes: how many failed episodes it was calibrated on.
        allowed: how many of one more than these may have it switch on. The expected share, over calibrations, is
            allowed / (episodes + 1) exactly where no two readings are equal and none but `alpha` set the threshold;
            otherwise it is less.
        assumes: what the promise rests on; it belongs wherever the threshold is shown.
    """

    config: DetectorConfig
    alpha: float
    episodes: int
    allowed: int
    assumes: str = CONFORMAL_ASSUMPTION


def calibrate_detector(
    config: DetectorConfig, failed: Sequence[Readings], alpha: float, least: float = 0.0
) -> Calibrated:
    """Set a detector's threshold so that it switches on in at most a share `alpha` of failed episodes.

    Split conformal prediction with the failed episode as the unit. Its statistic is the highest threshold at which this
    very detector would fire in it (`highest_firing`), so that rows of frames, dwell and condition count in what is
    promised. Failures of another policy, or in another scene, may fire far more often. See ConformalSuccess.

    Args:
        config: all but its `on`, which is replaced. `gap` stays as it is, so that `off` moves along.
        failed: readings of failed episodes that neither trained the estimator nor are judged afterwards. Those in which
            the task was done for a while are no failures to a detector that runs along: leave them out.
        alpha: the false-positive rate, at least 1 / (episodes + 1).
        least: no threshold below this; the promise holds at any higher one too. Nothing is promised of firing too soon
            in an episode that will succeed: where failures read almost 0, a threshold that low fires long before.

    Raises InvalidValue where there is no failed episode, or alpha is out of range.
    """
    calibration = ConformalSuccess(tuple(sorted(highest_firing(config, readings) for readings in failed)))
    # a threshold is met by what equals it; this one has to be exceeded
    on = max(least, math.nextafter(calibration.threshold(alpha), 2.0))
    return Calibrated(replace(config, on=on), alpha, len(failed), calibration.allowed(alpha))
