"""What is made of the estimator's word: progress that may be believed, the reward between two such, and success."""

import math
from dataclasses import dataclass

from headway.estimator import Reading
from headway.signals.detector import DetectorConfig, SuccessDetector
from headway_envs.ros.config import BridgeConfig


@dataclass(frozen=True)
class Believed:
    """A reading that counts.

    Attributes:
        progress: in [0, 1].
        reward: gamma * progress' - progress against the one before; 0 where there is none without a gap.
        success: what success is declared by: the estimator's own, or its progress; see `config.Success`.
        declared: whether success is declared with this very reading.
        stage, uncertainty: as the estimator says them.
    """

    progress: float
    reward: float
    success: float
    declared: bool
    stage: str | None
    uncertainty: float | None


class ReadingGate:
    """Lets readings through that can be true; see `push`."""

    def __init__(self, config: BridgeConfig):
        self._config = config
        success = config.success
        self._detector = SuccessDetector(
            DetectorConfig(success.high, success.high - success.low, success.frames, success.dwell, latch=True)
        )
        self.begin()

    def begin(self) -> None:
        """An episode begins: nothing before it counts, and no success is declared."""
        self._detector.reset()
        self._last: tuple[float, float] | None = None
        self._odd: tuple[float, float] | None = None

    def gap(self) -> None:
        """Something was missed: no reward over it, and a row of sure frames begins anew. A success stays declared."""
        self._last = self._odd = None
        if not self._detector.on:
            self._detector.reset()

    @property
    def success(self) -> bool:
        """Whether success is declared."""
        return self._detector.on

    def push(self, reading: Reading) -> Believed | str:
        """Judge a reading, of times that rise within an episode.

        Progress is clipped to [0, 1]. One that is no number is a fault; one that changes faster than `limits.slew`
        allows is believed only once the next agrees with it.

        Returns:
            What counts, or in a word why it does not.
        """
        if not math.isfinite(reading.progress) or (reading.success is not None and not math.isfinite(reading.success)):
            self.gap()
            return "no number"
        progress = min(max(reading.progress, 0.0), 1.0)
        now = (reading.time, progress)
        if not (self._follows(self._last, now) or (self._odd is not None and self._follows(self._odd, now))):
            self._odd = now
            return "too fast a change"
        seam = self._odd is not None or self._last is None
        reward = 0.0 if seam or self._last is None else self._config.gamma * progress - self._last[1]
        self._last, self._odd = now, None
        told = progress if self._config.success.signal == "progress" else reading.success
        success = progress if told is None else min(max(told, 0.0), 1.0)
        event = self._detector.push(Reading(reading.time, progress, success=success))
        return Believed(progress, reward, success, event is not None, reading.stage, reading.uncertainty)

    def _follows(self, before: tuple[float, float] | None, now: tuple[float, float]) -> bool:
        if before is None:
            return True
        return abs(now[1] - before[1]) <= self._config.limits.slew * (now[0] - before[0])
