"""Encoders without weights: the small picture itself, its pixels as numbers, and hashed n-grams of a text."""

from collections.abc import Sequence

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.pictures import resize
from headway.text import DIMENSION, encode_text


class Pictures:
    """The feature is the picture, resized to uint8 (size, size, 3), whatever its shape was.

    For `tiny`: the network that sees these pictures is trained with the estimator, so only the resizing is frozen.
    """

    def __init__(self, size: int):
        if size < 1:
            raise InvalidValue(f"pictures need a size of at least 1 pixel, got {size}")
        self.name = "tiny"
        self.fingerprint = f"pictures-{size}"
        self.shape: tuple[int, ...] = (size, size, 3)
        self.dtype = np.dtype(np.uint8)

    def encode(self, pictures: Sequence[Array]) -> Array:
        """Resize uint8 RGB pictures (height, width, 3): uint8 (picture, size, size, 3)."""
        resized = np.empty((len(pictures), *self.shape), self.dtype)
        for place, picture in enumerate(pictures):
            resized[place] = resize(picture, self.shape[0])
        return resized


class Pixels:
    """The feature is the picture resized to (size, size, 3) and flattened, float32 in [0, 1].

    It knows nothing of what pictures mean: a floor for the pretrained ones.
    """

    def __init__(self, size: int = 16):
        self._pictures = Pictures(size)
        self.name = "pixels"
        self.fingerprint = f"pixels-{size}"
        self.shape: tuple[int, ...] = (size * size * 3,)
        self.dtype = np.dtype(np.float32)

    def encode(self, pictures: Sequence[Array]) -> Array:
        """Encode uint8 RGB pictures (height, width, 3): float32 (picture, size * size * 3) in [0, 1]."""
        return self._pictures.encode(pictures).reshape(len(pictures), -1).astype(np.float32) / 255


class Ngrams:
    """Hashed words and letter trigrams (`headway.text`): a unit vector, float32 (dimension,)."""

    def __init__(self, dimension: int = DIMENSION):
        self.name = "ngrams"
        self.fingerprint = f"ngrams-{dimension}"
        self.dimension = dimension

    def encode(self, text: str) -> Array:
        """Encode one text: a unit vector, float32 (dimension,); zeros for a text without a word."""
        return encode_text(text, self.dimension)
