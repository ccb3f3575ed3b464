"""What is kept of a run under way: one small file an episode, written beside and moved, with the run's identity."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headway.errors import OutputError
from headway.files import make_folder, write_json
from headway.tables import write_table

PARTS = "parts"
ROW = b"headway_episode"
"""Under which a part keeps its row of the episodes table, in the metadata of its rows of the frames table."""


class Parts:
    """The parts of one run, in the folder `out`/parts, which is made where it is missing.

    Raises OutputError where `out` holds another run's scores, or something else.
    """

    def __init__(self, out: Path, identity: dict[str, Any]):
        self.folder = out / PARTS
        known = self.folder / "identity.json"
        make_folder(out)
        before = read_json(known)
        if before is not None:
            check_same(out, before, identity)
        elif any(path.name != PARTS for path in out.iterdir()) or any(self.folder.glob("episode-*")):
            raise OutputError(f"{out} is not empty and holds no scores of Headway; choose another folder with --out")
        write_json(known, identity)

    def path(self, index: int) -> Path:
        return self.folder / f"episode-{index:06d}.parquet"

    def has(self, index: int) -> bool:
        """Whether an episode's part is there and can be read."""
        try:
            return ROW in (pq.read_schema(self.path(index)).metadata or {})
        except (OSError, pa.ArrowException):
            return False

    def write(self, index: int, part: pa.Table) -> None:
        """Keep the part of one episode, from `headway.scoring.episode.score_episode`."""
        write_table(self.path(index), part)


def with_row(frames: pa.Table, row: dict[str, Any]) -> pa.Table:
    """The rows of an episode's frames, with its own row."""
    return frames.replace_schema_metadata({ROW: json.dumps(row).encode()})


def row_of(part: pa.Table) -> dict[str, Any]:
    """An episode's own row."""
    row: dict[str, Any] = json.loads(part.schema.metadata[ROW])
    return row


def check_same(out: Path, before: Any, now: dict[str, Any]) -> None:
    """Raises OutputError where what `out` holds is of another run."""
    differing = [name for name in now if not isinstance(before, dict) or before.get(name) != now[name]]
    if differing:
        raise OutputError(
            f"{out} holds scores of another run (other {', '.join(differing)}); choose another folder with --out, "
            "or delete it"
        )


def read_json(path: Path) -> Any:
    """The content of a JSON file; None when it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
