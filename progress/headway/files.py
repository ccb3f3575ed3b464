"""Writing without damage: everything is written beside its place and moved there when it is whole."""

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from headway.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes `path`'s place on leaving, or vanishes on an error.

    Raises OutputError, in one line, where the folder cannot be written or the disk is full.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        # the bytes first, then the name: a power cut must not leave the name with nothing behind it
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        # where the folder itself is missing or is a file, there is nothing to take away
        with suppress(OSError):
            beside.unlink()


def make_folder(path: Path) -> None:
    """Make a folder to write to, before any work is done for it. Raises OutputError when it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error


def output_error(path: Path, error: OSError) -> OutputError:
    """The one line that says why `path` could not be written, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(f"no room left on the disk while writing {path}; free some space and run it again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path} cannot be written: permission denied; choose another place with --out")
    return OutputError(f"{path} cannot be written: {error.strerror or error}; choose another place with --out")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, atomically. NaN is refused: it is not JSON."""
    text = json.dumps(content, indent=2, allow_nan=False)
    with replacing(path) as beside:
        beside.write_text(text + "\n")
