"""Every scheme by its name, and the one that chooses among them from the data alone."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.signals.weights.exponential import aw_bc, awr, gvl, rwr, topreward
from headway.signals.weights.gains import gains, noise
from headway.signals.weights.look_ahead import references
from headway.signals.weights.outcome import advantage_flag, pessimistic, softmin, success_filter
from headway.signals.weights.rabc import rabc, rabc_paper
from headway.signals.weights.rabc_auto import rabc_auto, speed
from headway.signals.weights.rabc_awr import rabc_awr
from headway.signals.weights.scored import ScoredFrames

Scheme = Callable[[ScoredFrames, int], Array]
"""Frames and a look-ahead -> float64 (frames,) in [0, 1], NaN for a frame without a weight."""


def _of_gains(weigh: Callable[[Array], Array]) -> Scheme:
    return lambda frames, look_ahead: weigh(gains(frames.progress, frames.episode, look_ahead))


SCHEMES: dict[str, Scheme] = {
    "rabc": _of_gains(rabc),
    "rabc-paper": _of_gains(rabc_paper),
    "rabc-auto": rabc_auto,
    "rabc-awr": rabc_awr,
    "filter": lambda frames, look_ahead: success_filter(frames),
    "rwr": lambda frames, look_ahead: rwr(frames),
    "awr": awr,
    "aw-bc": aw_bc,
    "advantage": advantage_flag,
    "softmin": softmin,
    "ensemble": pessimistic,
    "gvl": _of_gains(gvl),
    "topreward": _of_gains(topreward),
}

BY_EPISODE = ("filter", "rwr")
"""Those that weigh an episode as a whole and look no frames ahead."""

UNSURE = 0.5
"""Jitter of a gain, in gains of a reference frame, beyond which progress is not trusted frame by frame."""


@dataclass(frozen=True)
class Choice:
    """A scheme, and why it was chosen."""

    scheme: str
    reason: str


def choose_scheme(frames: ScoredFrames, look_ahead: int) -> Choice:
    """`rabc-awr` where progress can be trusted frame by frame, else `filter`, else plain cloning by `rwr`.

    Without rollouts. Progress is trusted when the jitter of a smoothed gain stays below half of what reference frames
    gain. Raises InvalidValue where no episode has any progress.
    """
    moving = speed(frames, look_ahead)
    jitter = float(np.median([noise(frames.progress[frames.bounds[number]]) for number in references(frames)]))
    left = jitter * (2 / moving.width) ** 0.5
    rising = moving.value[moving.value > 0]
    usual = float(np.median(rising)) * look_ahead if rising.size else 0.0
    if usual > 0 and left <= UNSURE * usual:
        return Choice("rabc-awr", f"a gain of {usual:.3f} over the look-ahead stands above its jitter of {left:.3f}")
    if not np.isnan(frames.success).all():
        return Choice("filter", f"the jitter of progress ({left:.3f}) hides a gain of {usual:.3f}; outcomes are known")
    return Choice("rwr", f"the jitter of progress ({left:.3f}) hides a gain of {usual:.3f}, and no outcome is known")
