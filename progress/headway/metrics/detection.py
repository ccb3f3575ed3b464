"""How soon, how often too soon, and how often wrongly a success detector fires."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue


@dataclass(frozen=True)
class DetectionSummary:
    """What a detector does over some episodes; NaN where a figure is over nothing.

    Attributes:
        succeeded, failed: how many episodes truly did.
        delay_median, delay_p95: seconds from the true success to the firing, over the successes it fired in, not early.
        early: share of the successes in which it first fires before the true success: false, though soon true.
        missed: share of the successes in which it never fires.
        false_alarms: share of the failed episodes in which it fires; what calibration bounds.
        false_per_failed: how often it fires, per failed episode.
        false_per_minute: how often it fires, per minute of failed video.
    """

    succeeded: int
    failed: int
    delay_median: float
    delay_p95: float
    early: float
    missed: float
    false_alarms: float
    false_per_failed: float
    false_per_minute: float


@dataclass(frozen=True, repr=False)
class Detections:
    """What a detector did in each episode; `summary` takes any choice of episodes, so that they can be resampled.

    Attributes:
        succeeded: bool (episodes,), whether the episode truly succeeds.
        delay: float64 (episodes,), seconds from the true success to the first firing; negative when early, NaN when it
            never fires and for a failed episode.
        fires: int64 (episodes,), how often it switches on.
        seconds: float64 (episodes,), how long the episode is.
    """

    succeeded: Array
    delay: Array
    fires: Array
    seconds: Array

    def summary(self, picked: Array | None = None) -> DetectionSummary:
        """The figures over the picked episodes, int (picked,), with repeats; over all of them when None."""
        chosen = slice(None) if picked is None else picked
        good, delay, fires = self.succeeded[chosen], self.delay[chosen], self.fires[chosen]
        seconds = self.seconds[chosen]
        early = delay < 0
        late = delay[good & (delay >= 0)]
        median, p95 = np.quantile(late, [0.5, 0.95]) if late.size else (np.nan, np.nan)
        wrong, failed = fires[~good], int((~good).sum())
        return DetectionSummary(
            succeeded=int(good.sum()),
            failed=failed,
            delay_median=float(median),
            delay_p95=float(p95),
            early=_mean(early[good]),
            missed=_mean(fires[good] == 0),
            false_alarms=_mean(wrong > 0),
            false_per_failed=_mean(wrong),
            false_per_minute=float(60 * wrong.sum() / seconds[~good].sum()) if failed else float("nan"),
        )


def detections(
    fired: Sequence[Sequence[int] | Array],
    success_frame: Sequence[int | None],
    length: Sequence[int] | Array,
    fps: float | Sequence[float] | Array,
) -> Detections:
    """Hold the frames at which a detector switches on against the frame from which each episode truly has succeeded.

    The first firing judges an episode: t^ is its frame, t* that of the true success, (t^ - t*) / fps the delay. A
    detector that fires early and again in time is early, for whoever listens to it has stopped by then.

    Args:
        fired: int (fires,) an episode, rising; empty where it never fires.
        success_frame: t*, the first frame of true success; None for an episode that fails.
        length: frames of each episode.
        fps: frames per second, of all or of each.

    Raises InvalidValue when the numbers of episodes differ or a frame lies outside its episode.
    """
    lengths = np.asarray(length, np.int64)
    episodes = len(lengths)
    if not episodes == len(fired) == len(success_frame):
        raise InvalidValue(
            f"{len(fired)} lists of firings, {len(success_frame)} success frames and {episodes} lengths; needs one of "
            "each an episode"
        )
    rates = np.broadcast_to(np.asarray(fps, float), (episodes,))
    if not (rates > 0).all():
        raise InvalidValue("frames per second must be above 0")
    truly = np.array([-1 if frame is None else frame for frame in success_frame], np.int64)
    succeeded = np.array([frame is not None for frame in success_frame], bool)
    fires = np.fromiter(map(len, fired), np.int64, episodes)
    frames = np.concatenate([*(np.asarray(of, np.int64) for of in fired), np.zeros(0, np.int64)])
    _check_frames(frames, np.repeat(np.arange(episodes), fires), lengths)
    _check_frames(truly[succeeded], np.flatnonzero(succeeded), lengths)
    if ((np.diff(frames) <= 0) & (np.diff(np.repeat(np.arange(episodes), fires)) == 0)).any():
        raise InvalidValue("the frames at which a detector fires must rise within an episode")
    first = np.full(episodes, np.nan)
    first[fires > 0] = frames[(np.cumsum(fires) - fires)[fires > 0]]
    delay = np.where(succeeded, (first - truly) / rates, np.nan)
    return Detections(succeeded, delay, fires, lengths / rates)


def _check_frames(frames: Array, episode: Array, lengths: Array) -> None:
    outside = (frames < 0) | (frames >= lengths[episode])
    if outside.any():
        at = int(np.flatnonzero(outside)[0])
        raise InvalidValue(
            f"frame {frames[at]} lies outside episode {episode[at]}, which has {lengths[episode[at]]} frames"
        )


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else float("nan")
