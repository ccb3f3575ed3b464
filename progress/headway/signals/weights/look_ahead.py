"""Which look-ahead the data calls for: the shortest over which those who do it well always gain.

A wrong one ruins RA-BC: over too few frames, letting go of a handle or drawing back gains nothing, gets no weight, and
is never learnt. So it is read off the quickest successes: over the chosen look-ahead hardly any of their frames may
gain nothing, overall and within each stage.
"""

from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.signals.weights.gains import done_from, gains
from headway.signals.weights.scored import LIKELY, ScoredFrames

SECONDS = (0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
"""The look-aheads that are tried."""
MOST, MOST_IN_A_STAGE = 0.01, 0.03
"""Shares of a good demonstrator's frames that may gain nothing."""
LONGEST = 0.25
"""Of a median reference episode: beyond that a gain says little about the frame where it begins."""
REFERENCE = 0.5
"""Share of the successes, the quickest ones, that stand for good work."""
FEWEST = 30
"""Frames of a stage below which its share is not looked at."""


@dataclass(frozen=True)
class LookAhead:
    """What was chosen, and why.

    Attributes:
        frames: the look-ahead.
        fps: of the data.
        share: of the reference frames that gain nothing over it; NaN when there were none.
        worst_stage: the highest such share within one stage; NaN without stages.
        tried: look-ahead in frames -> such a share.
        references: episodes it was read off.
        met: whether the shares are within bounds; if not, the look-ahead with the smallest was taken.
    """

    frames: int
    fps: float
    share: float
    worst_stage: float
    tried: dict[int, float]
    references: int
    met: bool

    def __str__(self) -> str:
        text = f"look-ahead {self.frames} frames ({self.frames / self.fps:.2f} s): {self.share:.1%} of the frames of "
        text += f"{self.references} quick successes gain nothing over it"
        if not np.isnan(self.worst_stage):
            text += f", {self.worst_stage:.1%} in the worst stage"
        others = ", ".join(f"{frames}: {share:.1%}" for frames, share in self.tried.items())
        return f"{text} ({others})"


def references(frames: ScoredFrames) -> Array:
    """Which episodes stand for good work, int: the quicker half of the successes, by the time until they are done.

    Where no success is known, the half with the highest final progress stands in for the successes.
    Raises InvalidValue where no episode has any progress.
    """
    known = np.array([not np.isnan(values).all() for _, values in frames.curves()], dtype=bool)
    good = np.flatnonzero(known & (np.nan_to_num(frames.success, nan=0.0) > LIKELY))
    if not good.size:
        finals = np.array([_last(values) for _, values in frames.curves()])
        order = np.argsort(-np.nan_to_num(finals, nan=-1.0), kind="stable")
        good = order[: max(1, int(known.sum()) // 2)]
    if not known.any():
        raise InvalidValue("no frame has any progress, so nothing can be weighted by it; the scores say why")
    lengths = np.array([done_from(values) for _, values in frames.curves()])
    quick = good[np.argsort(lengths[good], kind="stable")]
    return np.sort(quick[: max(1, round(REFERENCE * len(quick)))])


def choose_look_ahead(frames: ScoredFrames) -> LookAhead:
    """The shortest look-ahead over which hardly any frame of the reference episodes gains nothing.

    Only frames before an episode is done count. Raises InvalidValue where no episode has any progress.
    """
    reference = references(frames)
    working = np.zeros(len(frames), dtype=bool)
    for number in reference:
        bound = frames.bounds[number]
        working[bound.start : bound.start + done_from(frames.progress[bound])] = True
    longest = LONGEST * float(np.median(frames.lengths[reference]))
    candidates = sorted({max(1, round(seconds * frames.fps)) for seconds in SECONDS})
    candidates = [frames_ for frames_ in candidates if frames_ <= longest] or candidates[:1]
    shares, worst = {}, {}
    for look_ahead in candidates:
        shares[look_ahead], worst[look_ahead] = _flat_shares(frames, working, look_ahead)
        if shares[look_ahead] <= MOST and not worst[look_ahead] > MOST_IN_A_STAGE:
            return LookAhead(
                look_ahead, frames.fps, shares[look_ahead], worst[look_ahead], shares, len(reference), True
            )
    best = min(candidates, key=lambda frames_: (np.nan_to_num(shares[frames_], nan=1.0), frames_))
    return LookAhead(best, frames.fps, shares[best], worst[best], shares, len(reference), False)


def _flat_shares(frames: ScoredFrames, working: Array, look_ahead: int) -> tuple[float, float]:
    """Of the working frames, the share that gains nothing: overall, and in the stage where it is highest."""
    gain = gains(frames.progress, frames.episode, look_ahead)
    counted = working & ~np.isnan(gain)
    flat = gain <= 0
    overall = float(flat[counted].mean()) if counted.any() else float("nan")
    if frames.stage is None:
        return overall, float("nan")
    numbers = np.unique(frames.stage[counted & (frames.stage >= 0)])
    stages = [counted & (frames.stage == number) for number in numbers]
    shares = [float(flat[inside].mean()) for inside in stages if inside.sum() >= FEWEST]
    return overall, max(shares, default=float("nan"))


def _last(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known[-5:].mean()) if known.size else float("nan")
