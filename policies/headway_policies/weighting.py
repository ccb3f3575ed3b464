"""The weights of frames that policies are compared under.

They come from a person's success label and from progress, never from who made an episode.
"""

from collections.abc import Sequence

import numpy as np

from headway.episodes import Array, Episode
from headway.errors import InvalidValue
from headway.signals.weights import LOOK_AHEAD, gains, rabc

DONE_WITHIN = 0.01
"""An episode is at its highest when progress is within this of its maximum: from there on standing still is right."""


def plain(episodes: Sequence[Episode]) -> Array:
    """Weight 1 for every frame: float64 (frames,), episodes one after another."""
    return np.ones(sum(len(episode) for episode in episodes))


def success_filtered(episodes: Sequence[Episode]) -> Array:
    """1 for frames of successful episodes, 0 for those of failed ones, NaN where nobody said: float64 (frames,)."""
    each = [np.nan if episode.success is None else float(episode.success) for episode in episodes]
    return np.repeat(each, [len(episode) for episode in episodes])


def weighted(episodes: Sequence[Episode], progress: Sequence[Array], look_ahead: int = LOOK_AHEAD) -> Array:
    """RA-BC weights, float64 (frames,), from the progress (time,) of each episode; NaN where progress is NaN."""
    lengths = [len(episode) for episode in episodes]
    if [len(values) for values in progress] != lengths:
        raise InvalidValue("progress must have one value for each frame of each episode; score these very episodes")
    return rabc(_gains(progress, look_ahead))


def weighted_by_truth(episodes: Sequence[Episode], look_ahead: int = LOOK_AHEAD) -> Array:
    """RA-BC weights from the simulator's progress: what a perfect estimator would give."""
    return weighted(episodes, [_true_progress(episode) for episode in episodes], look_ahead)


def side_by_side(
    episodes: Sequence[Episode], progress: Sequence[Array], look_ahead: int = LOOK_AHEAD
) -> dict[str, Array]:
    """The arms that show whether progress helps: `all`, `success-filtered` and `weighted`, by name."""
    return {
        "all": plain(episodes),
        "success-filtered": success_filtered(episodes),
        "weighted": weighted(episodes, progress, look_ahead),
    }


def stalled_shares(progress: Sequence[Array], look_aheads: Sequence[int]) -> dict[int, float]:
    """For each look-ahead in frames, the share of frames without any gain, before an episode is at its highest.

    Given successful episodes this is the share of good frames that RA-BC would throw away: small movements that
    progress does not show (letting go, retreating) and noise. Take a look-ahead from which on it stays near 0.
    Frames without progress at either end do not count; NaN when none is left.
    """
    working = np.concatenate([_working(values) for values in progress])
    shares = {}
    for look_ahead in look_aheads:
        gain = _gains(progress, look_ahead)[working]
        gain = gain[~np.isnan(gain)]
        shares[look_ahead] = float((gain <= 0).mean()) if gain.size else float("nan")
    return shares


def _gains(progress: Sequence[Array], look_ahead: int) -> Array:
    episode = np.repeat(np.arange(len(progress)), [len(values) for values in progress])
    return gains(np.concatenate(progress), episode, look_ahead)


def _working(values: Array) -> Array:
    """Bool (time,): whether a frame comes before progress is first within DONE_WITHIN of its highest."""
    if np.isnan(values).all():
        return np.zeros(len(values), dtype=bool)
    first = int(np.argmax(values >= np.nanmax(values) - DONE_WITHIN))
    return np.arange(len(values)) < first


def _true_progress(episode: Episode) -> Array:
    if episode.truth is None:
        raise InvalidValue(f"episode {episode.index} has no true progress; only simulated episodes do")
    return episode.truth.progress
