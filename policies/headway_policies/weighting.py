"""The weights of frames that policies are compared under.

They come from a person's success label and from progress, never from who made an episode.
"""

from collections.abc import Sequence

import numpy as np

from headway.episodes import Array, Episode
from headway.errors import InvalidValue
from headway.signals.weights.look_ahead import choose_look_ahead
from headway.signals.weights.outcome import success_filter
from headway.signals.weights.schemes import SCHEMES, choose_scheme
from headway.signals.weights.scored import ScoredFrames


def scored(episodes: Sequence[Episode], progress: Sequence[Array]) -> ScoredFrames:
    """Episodes with the progress (time,) of each, and their success labels, as what a weighting scheme is given.

    Raises InvalidValue when progress is of other episodes, or there are none.
    """
    lengths = [len(episode) for episode in episodes]
    if not episodes or [len(values) for values in progress] != lengths:
        raise InvalidValue("progress must have one value for each frame of each episode; score these very episodes")
    success = [np.nan if episode.success is None else float(episode.success) for episode in episodes]
    return ScoredFrames(
        np.concatenate(progress), np.repeat(np.arange(len(episodes)), lengths), episodes[0].fps, np.array(success)
    )


def plain(episodes: Sequence[Episode]) -> Array:
    """Weight 1 for every frame: float64 (frames,), episodes one after another."""
    return np.ones(sum(len(episode) for episode in episodes))


def weighted(frames: ScoredFrames) -> Array:
    """What `headway weights` gives by default: scheme and look-ahead chosen from the data. float64 (frames,)."""
    look_ahead = choose_look_ahead(frames).frames
    return SCHEMES[choose_scheme(frames, look_ahead).scheme](frames, look_ahead)


def side_by_side(episodes: Sequence[Episode], progress: Sequence[Array]) -> dict[str, Array]:
    """The arms that show whether progress helps: `all`, `success-filtered` and `weighted`, by name."""
    frames = scored(episodes, progress)
    return {"all": plain(episodes), "success-filtered": success_filter(frames), "weighted": weighted(frames)}
