"""What the pictures of an episode are like, a few numbers a frame, decoded once and kept in the feature cache."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from headway.encoders.cache import FeatureCache
from headway.episodes import Array, Episode, Frames
from headway.errors import OutputError, VideoError, VideoTooShort

SIDE = 8  # of the thumbnail
DARK = 25  # of 255: ffmpeg's blackdetect, pixel_black_th=0.10
CRUSHED, BLOWN = 5, 250  # of 255
# a still picture that is encoded again and again changes by up to 1.3 levels in a cell of the thumbnail
STILL = 1.5


class Facts:
    """A frame encoder (`headway.encoders.base.FrameEncoder`) whose features are facts of a picture at full size.

    They are, in levels of 0 to 255: the share of pixels at DARK and below, the share at CRUSHED and below or at BLOWN
    and above, the variance of the Laplacian (3 × 3), and a grey thumbnail of SIDE × SIDE means.
    """

    name = "facts"
    fingerprint = "picture-facts-1"
    shape = (3 + SIDE * SIDE,)
    dtype = np.dtype(np.float32)

    def encode(self, pictures: Sequence[Array]) -> Array:
        return np.stack([facts_of(picture) for picture in pictures])


@dataclass(frozen=True)
class Seen:
    """What one camera saw in an episode.

    Attributes:
        facts: float32 (decoded, ...), the features of `Facts`, of the frames that could be decoded, from the first on.
        undecodable: how many frames could not be decoded.
        amiss: how many frames the video has too few, or the dataset says that it has too many.
    """

    facts: Array
    undecodable: int = 0
    amiss: int = 0

    @property
    def dark(self) -> Array:
        """(decoded,), share of pixels that are nearly black."""
        return self.facts[:, 0]

    @property
    def clipped(self) -> Array:
        """(decoded,), share of pixels that are crushed or blown."""
        return self.facts[:, 1]

    @property
    def sharpness(self) -> Array:
        """(decoded,), variance of the Laplacian."""
        return self.facts[:, 2]

    def still(self) -> list[tuple[int, int]]:
        """The stretches of two frames and more that all show what their first one shows, as (start, end)."""
        thumbnails = self.facts[:, 3:]
        found, start = [], 0
        for frame in range(1, len(thumbnails) + 1):
            if frame == len(thumbnails) or np.abs(thumbnails[frame] - thumbnails[start]).max() > STILL:
                if frame - start > 1:
                    found.append((start, frame))
                start = frame
        return found


def look(episode: Episode, cache: FeatureCache) -> dict[str, Seen]:
    """What each camera of an episode saw; a video that is damaged is looked at as far as it goes."""
    return {name: _look(frames, cache) for name, frames in episode.cameras.items()}


def _look(frames: Frames, cache: FeatureCache) -> Seen:
    # only videos have it
    declared = getattr(frames, "declared", None) or len(frames)
    # containers round their times
    amiss = abs(declared - len(frames)) if abs(declared - len(frames)) > 1 else 0
    try:
        return Seen(cache.features(Facts(), frames), amiss=amiss)
    except (VideoError, OutputError):
        # damaged, or no room to keep them: then they are decoded each time
        facts, sound = _as_far_as_it_goes(frames)
    missing = len(frames) - len(facts)
    return Seen(facts, undecodable=0 if sound else missing, amiss=(missing or amiss) if sound else amiss)


def _as_far_as_it_goes(frames: Frames) -> tuple[Array, bool]:
    """The facts of the frames before the first that cannot be had, and whether all that there is could be decoded."""
    found: list[Array] = []
    sound = True
    try:
        # not in one expression: it would lose all frames to the last one
        for picture in frames:
            found.append(facts_of(picture))
    except VideoTooShort:
        pass
    except VideoError:
        sound = False
    return np.stack(found) if found else np.empty((0, *Facts.shape), np.float32), sound


def facts_of(picture: Array) -> Array:
    """The feature of `Facts` for one picture, uint8 RGB (height, width, 3)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256])[:, 0] / grey.size
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    thumbnail = cv2.resize(grey.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    shares = counts[: DARK + 1].sum(), counts[: CRUSHED + 1].sum() + counts[BLOWN:].sum()
    return np.array([*shares, deviation[0, 0] ** 2, *thumbnail.ravel()], np.float32)
