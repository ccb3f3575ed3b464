"""A dataset's fingerprint: the same wherever its folder lies, another one when its content changes."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from headway.episodes import Array

SMALL = 1 << 20
SPOTS = 16
SPOT = 4096


def fingerprint(root: Path, files: Iterable[Path]) -> str:
    """Sixteen hexadecimal digits from the files' names relative to `root`, sizes and bytes.

    Files up to 1 MiB are read whole, of larger ones sixteen spots of 4 KiB from the first byte to the last, so that
    opening a dataset of many gigabytes takes little time. Times of change play no part. Raises OSError.
    """
    digest = hashlib.sha256()
    for path in sorted(files):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(root).as_posix()}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= SMALL:
                digest.update(file.read())
                continue
            for spot in range(SPOTS):
                file.seek((size - SPOT) * spot // (SPOTS - 1))
                digest.update(file.read(SPOT))
    return digest.hexdigest()[:16]


def recording_of(state: Array | None, action: Array | None) -> str | None:
    """Tells a recording from all others by what was sensed and done, (time, dim) each; None where neither is kept.

    The same in every layout, so that an episode is known again when its dataset has been converted.
    """
    kept = [np.ascontiguousarray(values).tobytes() for values in (state, action) if values is not None]
    return hashlib.sha256(b"".join(kept)).hexdigest()[:16] if kept else None
