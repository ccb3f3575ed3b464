"""Every error that Headway raises on purpose.

    HeadwayError
    ├── InvalidValue        a value that breaks an invariant (wrong shape, out of range)
    ├── UnknownName         a name that is not among those available; the message lists them
    ├── DatasetError        a dataset that is missing, half-written or in an unknown layout
    │   └── VideoError      a video that cannot be opened or decoded
    │       └── VideoTooShort  one that is sound and ends too early
    ├── CheckpointError     a saved estimator or policy that is missing or does not fit
    ├── OutputError         a place that cannot be written, or must not be replaced
    └── Unsupported         a combination that cannot be done, or a part of this machine that is missing

Each message is one line: what was given, what is allowed, what to do. The command line prints it and exits with 1.
"""

from collections.abc import Iterable


class HeadwayError(Exception):
    """Base of all errors a user can cause; its message is meant to be read by that user."""


class InvalidValue(HeadwayError, ValueError):
    """A value breaks an invariant."""


class UnknownName(HeadwayError, LookupError):
    """A name is not among those available."""

    def __init__(self, kind: str, given: str, available: Iterable[str], hint: str = ""):
        available = tuple(available)
        names = ", ".join(sorted(available)) or "none"
        super().__init__(f"unknown {kind} {given!r}; available: {names}" + (f". {hint}" if hint else ""))
        self._made_from = (kind, given, available, hint)

    def __reduce__(self) -> tuple[type["UnknownName"], tuple[str, str, tuple[str, ...], str]]:
        """An error has to travel between processes; by default it would be made anew from its message alone."""
        return type(self), self._made_from


class DatasetError(HeadwayError):
    """A dataset is missing, half-written or in an unknown layout."""


class VideoError(DatasetError):
    """A video cannot be opened, or holds fewer frames than it should."""


class VideoTooShort(VideoError):
    """A video holds fewer frames than it should; those that it holds are sound."""


class CheckpointError(HeadwayError):
    """A saved estimator or policy is missing, or does not fit what is asked of it."""


class OutputError(HeadwayError):
    """A place cannot be written, or holds something that must not be replaced."""


class Unsupported(HeadwayError):
    """A combination that cannot be done, or a part of this machine that is missing."""
