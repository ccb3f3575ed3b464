"""The protocols of frozen encoders: pictures in, one feature a picture out; a text in, one feature out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from headway.episodes import Array


class FrameEncoder(Protocol):
    """Turns pictures into features, each on its own, so that what is estimated from them stays causal.

    Frozen: nothing trains it, which is why its features can be kept on disk.

    Attributes:
        name: as a user would write it (`tiny`, `pixels`, a folder, a hub name).
        fingerprint: changes whenever a feature could, down to the weights; but for rounding, which the device it runs
            on may change.
        shape: of one picture's feature.
        dtype: of the features; float32, or uint8 for features that are pictures.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...

    def encode(self, pictures: Sequence[Array]) -> Array:
        """Encode uint8 RGB pictures (height, width, 3), all of one size: (picture, *shape) of `dtype`.

        The feature of a picture does not depend on the other pictures of the call, but for rounding.
        """
        ...


class TextEncoder(Protocol):
    """Turns a text into a feature.

    Attributes:
        name: as a user would write it (`ngrams`, a folder, a hub name).
        fingerprint: changes whenever a feature could.
        dimension: of the feature.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def dimension(self) -> int: ...

    def encode(self, text: str) -> Array:
        """Encode one text: float32 (dimension,). An empty text gives zeros."""
        ...
