"""A trained estimator with its frozen encoder in 8-bit integers, and how far that takes its progress from the exact."""

import copy
import math
import time
from dataclasses import dataclass, replace

import numpy as np

from headway.encoders.base import FrameEncoder
from headway.encoders.fast import SCHEME, IntegerFrames
from headway.episodes import Array, Episode
from headway.errors import Unsupported
from headway.estimator import Estimator
from headway.learned.estimator import Learned

PICTURES = 32
"""Of an episode, on which the encoders are compared."""


@dataclass(frozen=True)
class Deviation:
    """What a faster estimator says of one episode beside what the exact one says.

    Attributes:
        frames: of the episode.
        progress_mean, progress_largest: absolute differences of progress over all frames; NaN where an estimator has no
            progress there.
        reason: why it has none; None otherwise.
        features_mean, features_largest: length of the difference of a picture's features over the length of the exact
            ones, over some pictures.
        speed: how many times as many pictures a second the faster encoder takes, preparation included.
    """

    frames: int
    progress_mean: float
    progress_largest: float
    reason: str | None
    features_mean: float
    features_largest: float
    speed: float


def faster(estimator: Estimator) -> Learned:
    """The same estimator with its frozen encoder in 8-bit integers (`headway.encoders.fast`), and another fingerprint.

    Its networks are shared with the estimator, which is left alone. Raises Unsupported, in one line, for an estimator
    that was not trained on a frozen encoder, and where `headway.encoders.fast.IntegerFrames` does.
    """
    if not isinstance(estimator, Learned):
        raise Unsupported(
            f"{estimator.name} has no frozen encoder that could be made faster; only a trained estimator has, such as "
            "sarm:RUN"
        )
    fast = copy.copy(estimator)
    fast.eyes = replace(estimator.eyes, frames=IntegerFrames(estimator.eyes.frames))
    fast.fingerprint = f"{estimator.fingerprint}-{SCHEME}"
    return fast


def deviation(exact: Learned, fast: Learned, episode: Episode) -> Deviation:
    """Judge one episode with both.

    It takes as long as scoring the episode with the exact one, so a short episode is best. Raises VideoError for an
    episode that cannot be decoded.
    """
    curves = [next(iter(estimator.estimate([episode]))) for estimator in (exact, fast)]
    apart = np.abs(curves[1].values - curves[0].values)
    known = not np.isnan(apart).any()
    pictures = _some(episode, exact.method.inputs.cameras[0])
    (found, seconds), (near, fewer) = (_encode(one.eyes.frames, pictures) for one in (exact, fast))
    error = np.linalg.norm(near - found, axis=1) / np.maximum(np.linalg.norm(found, axis=1), np.finfo(np.float32).tiny)
    return Deviation(
        frames=len(episode),
        progress_mean=float(apart.mean()) if known else math.nan,
        progress_largest=float(apart.max()) if known else math.nan,
        reason=next((curve.reason for curve in curves if curve.reason is not None), None),
        features_mean=float(error.mean()),
        features_largest=float(error.max()),
        speed=seconds / fewer,
    )


def _some(episode: Episode, camera: str) -> list[Array]:
    """Up to PICTURES pictures, spread evenly over an episode."""
    frames = episode.camera(camera)
    wanted = set(np.linspace(0, len(frames) - 1, min(PICTURES, len(frames))).round().astype(int).tolist())
    return [picture for number, picture in enumerate(frames) if number in wanted]


def _encode(encoder: FrameEncoder, pictures: list[Array]) -> tuple[Array, float]:
    """Features (picture, dimension), and the seconds they take."""
    encoder.encode(pictures[:1])
    begun = time.perf_counter()
    features = encoder.encode(pictures)
    return features.reshape(len(pictures), -1), time.perf_counter() - begun
