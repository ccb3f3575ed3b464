"""Frames whose pictures are decoded elsewhere, and frames on their way there."""

import pickle
import signal
from collections.abc import Callable, Iterator
from typing import Any

from headway.episodes import Array, ArrayFrames, Frames

# frames that take more bytes than this to send carry their pictures in themselves
DESCRIPTION = 2**20


class FramesAhead:
    """The `frames` of a camera whose pictures are decoded elsewhere (`headway.episodes.Frames`).

    All else that can be asked of them they answer themselves. A copy that travels to another process is they alone.
    """

    def __init__(self, frames: Frames, pictures: Callable[[], Iterator[Array]]):
        self._frames = frames
        self._pictures = pictures

    @property
    def identity(self) -> str | None:
        return self._frames.identity

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Array]:
        return self._pictures()

    def __repr__(self) -> str:
        return repr(self._frames)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frames, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self._frames,)


def _itself(frames: Frames) -> Frames:
    return frames


def packed(frames: Frames) -> bytes | None:
    """The frames as they are sent to a worker; None for those that cannot be, or that are in memory already."""
    if isinstance(frames, ArrayFrames | FramesAhead):
        return None
    try:
        packed = pickle.dumps(frames, pickle.HIGHEST_PROTOCOL, buffer_callback=_small)
    except Exception:  # noqa: BLE001 - locks, open files, functions without a name: each fails in its own way
        return None
    return packed if len(packed) <= DESCRIPTION else None


def _small(part: pickle.PickleBuffer) -> bool:
    """Pickle an array with the rest, unless it is so large that it must be the pictures."""
    if part.raw().nbytes > DESCRIPTION:
        raise pickle.PicklingError("holds its pictures in memory")
    return True


def died(frames: Frames, count: int, status: int | None) -> str:
    """What to say of frames at which two decoders died, the second with that exit status, or minus a signal."""
    how = f"with {signal.Signals(-status).name}" if status and status < 0 else f"with exit status {status}"
    name = getattr(frames, "label", None) or repr(frames)
    path = getattr(frames, "path", None)
    return (
        f"{name}: the decoder died {how} after {count} of {len(frames)} frames{f' of {path}' if path else ''}, and so "
        "did another; replace the file or leave the episode out"
    )
