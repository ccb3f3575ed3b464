"""One episode scored: the rows of its frames, and its own."""

import pyarrow as pa

from headway.checks import check_row
from headway.checks.numbers import Numbers
from headway.controls import missing_curve
from headway.encoders.cache import FeatureCache
from headway.episodes import Episode
from headway.errors import VideoError
from headway.estimator import Estimator
from headway.scoring.noted import noted
from headway.scoring.options import ScoreOptions
from headway.scoring.parts import with_row
from headway.signals.summary import summarise
from headway.tables import frame_rows


def score_episode(
    episode: Episode, estimator: Estimator, options: ScoreOptions, numbers: Numbers, cache: FeatureCache
) -> pa.Table:
    """Judge and check one episode: its rows of the frames table, with its own row as metadata.

    It depends on the episode, the estimator and the options alone, never on what else is scored. An episode whose
    video cannot be decoded gets no values, and the reason.
    """
    told = noted(options.told(episode), cache)
    try:
        (curve,) = estimator.estimate([told], options.stride)
    except VideoError as error:
        curve = missing_curve(len(told), estimator.fingerprint, str(error))
    return with_row(frame_rows(told, curve), summarise(told, curve) | check_row(told, numbers, cache))
