"""Why a picture that came in cannot be used."""

from dataclasses import dataclass

from headway.errors import HeadwayError, InvalidValue


class FrameError(HeadwayError):
    """Base of all of them. `reason` is one word for counters; the message is for a person."""

    reason = "frame"


class MalformedFrame(FrameError):
    """The message lacks a field of its type, or one holds something else than its type says."""

    reason = "malformed"


class UnknownEncoding(FrameError):
    """A layout of pixels, or a kind of file, that is not known."""

    reason = "encoding"


class WrongLength(FrameError):
    """There are more or fewer bytes than height, width and step ask for."""

    reason = "length"


class TooLarge(FrameError):
    """More pixels or bytes than are allowed; nothing was allocated for it."""

    reason = "size"


class EmptyImage(FrameError):
    """A picture without pixels."""

    reason = "empty"


class DepthImage(FrameError):
    """Distances: shown as brightness they are no picture that an estimator of RGB was trained on."""

    reason = "depth"


class DamagedPicture(FrameError):
    """A JPEG, PNG or WebP that is cut short or broken."""

    reason = "damaged"


@dataclass(frozen=True)
class DecodingLimits:
    """What is decoded at most.

    Attributes:
        max_pixels: width times height.
        max_bytes: of the message's data.
    """

    max_pixels: int = 4096 * 4096
    max_bytes: int = 32 << 20

    def __post_init__(self) -> None:
        if self.max_pixels < 1 or self.max_bytes < 1:
            raise InvalidValue(
                f"decoding limits must be above 0, got max_pixels={self.max_pixels} max_bytes={self.max_bytes}"
            )


DEFAULT_LIMITS = DecodingLimits()


def check_size(width: int, height: int, limits: DecodingLimits) -> None:
    """Raises EmptyImage and TooLarge."""
    if width == 0 or height == 0:
        raise EmptyImage(f"the picture has no pixels: {width}x{height}")
    if width * height > limits.max_pixels:
        raise TooLarge(f"{width}x{height} pixels are more than the {limits.max_pixels} allowed")
