"""A filtered dataset in one folder: the LeRobot v3 dataset, `cuts.json`, and `scores`, the same scores re-indexed.

The three are written beside their place and moved there together. lerobot ignores what it does not know, and the
fingerprint that ties scores to their dataset leaves both additions out.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headway.episodes import Episode
from headway.errors import InvalidValue, OutputError
from headway.files import output_error, write_json
from headway.signals.filtered_scores import write_filtered_scores
from headway.signals.segments import Piece
from headway.signals.selection import Selection
from headway.source import Source
from headway.tables import Scores
from headway_datasets import lerobot_layout as layout
from headway_datasets.episode_pieces import EvenFrames, piece_of
from headway_datasets.lerobot_filter import Written, filter_lerobot
from headway_datasets.lerobot_meta import read_parquet
from headway_datasets.lerobot_v3 import LeRobotV3
from headway_datasets.lerobot_writer import LeRobotWriter

CUTS = "cuts.json"
SCORES = "scores"


def write_filtered(
    source: Source,
    scores: Scores,
    selection: Selection,
    out: Path,
    how: Mapping[str, Any],
    on_part: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """Write what stays of a dataset as a LeRobot v3 dataset at `out`; the source is only read.

    From a LeRobot v3 dataset video is copied without decoding wherever a cut allows it; from any other it is encoded.

    Args:
        source: the dataset.
        scores: of this dataset.
        selection: what stays; at least one piece.
        out: a folder that does not exist.
        how: what was asked for, noted in `cuts.json`.
        on_part: called with the number of parts done and their total.

    Raises:
        OutputError: `out` exists, lies within the source, or cannot be written.
        DatasetError: the source is damaged.
        InvalidValue: nothing stays, or episodes of a source without one shape (size of pictures, frames per second).
    """
    check_free(out, source)
    if not selection.pieces:
        raise InvalidValue(f"nothing is left, so {out} was not made; --dry-run says why each episode goes")
    outer: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # the inner folder has the usual permissions; mkdtemp's own are for its owner alone
        outer = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
        scratch = outer / "dataset"
        recordings = {piece.episode: source.episode(piece.episode).recording for piece in selection.pieces}
        if source.format == LeRobotV3.format:
            scratch.mkdir()
            written = filter_lerobot(source.root, selection.pieces, scratch, recordings, on_part)
        else:
            written = _write_anew(source, selection.pieces, scratch, recordings, on_part)
        dataset = LeRobotV3(scratch)
        place = {"path": str(out.resolve()), "format": dataset.format}
        write_filtered_scores(scores, selection.pieces, dataset, scratch / SCORES, place)
        write_json(scratch / CUTS, cuts_record(source, selection, how))
        scratch.rename(out)
    except OSError as error:
        raise output_error(out, error) from error
    finally:
        if outer is not None:
            shutil.rmtree(outer, ignore_errors=True)
    return written


def check_free(out: Path, source: Source) -> None:
    """Raises OutputError when `out` exists, or lies within the dataset."""
    if out.exists() or out.is_symlink():
        raise OutputError(f"{out} already exists; name another with --out, or remove it")
    if out.resolve().is_relative_to(source.root.resolve()):
        raise OutputError(f"{out} lies within the dataset {source.root}, which is never written to; name another --out")


def cuts_record(source: Source, selection: Selection, how: Mapping[str, Any]) -> dict[str, Any]:
    """What `cuts.json` holds: what was asked for, each episode's fate, the cut points, and where each piece is from."""
    pieces = [
        {"episode_index": number, "from_episode": piece.episode, "from": piece.start, "to": piece.end}
        for number, piece in enumerate(selection.pieces)
    ]
    return {
        "dataset": {"path": str(source.root.resolve()), "fingerprint": source.fingerprint},
        "how": dict(how),
        "gone": [
            {"episode": each.episode, "by": each.rule, "why": each.why} for each in selection.decisions if not each.kept
        ],
        "cuts": [{"episode": cut.episode, "from": cut.start, "to": cut.end, "why": cut.why} for cut in selection.cuts],
        "episodes": pieces,
    }


def _write_anew(
    source: Source,
    pieces: Sequence[Piece],
    root: Path,
    recordings: Mapping[int, str | None],
    on_part: Callable[[int, int], None],
) -> Written:
    """Through the writer, which encodes every picture."""
    on_part(0, len(pieces))
    first = 0
    with _writer_like(_with_even_frames(source.episode(pieces[0].episode)), root) as writer:
        for number, piece in enumerate(pieces):
            writer.add(_with_even_frames(piece_of(source.episode(piece.episode), piece, number, first)))
            first += len(piece)
            on_part(number + 1, len(pieces))
    _add_recordings(root, [recordings[piece.episode] for piece in pieces])
    return Written(encoded=len(pieces) * len(source.cameras))


def _with_even_frames(episode: Episode) -> Episode:
    return replace(episode, cameras={name: EvenFrames(frames) for name, frames in episode.cameras.items()})


def _writer_like(episode: Episode, root: Path) -> LeRobotWriter:
    """A writer for episodes of this one's shape."""
    sizes = {name: next(iter(frames)).shape for name, frames in episode.cameras.items()}
    parts = (episode.state, episode.environment_state, episode.action)
    state, environment, action = (None if part is None else part.shape[1] for part in parts)
    names = {"state": episode.state_names, "action": episode.action_names}
    return LeRobotWriter(
        root,
        episode.fps,
        {name: (shape[0], shape[1]) for name, shape in sizes.items()},
        state,
        environment,
        action,
        names={part: values for part, values in names.items() if values is not None},
    )


def _add_recordings(root: Path, recordings: Sequence[str | None]) -> None:
    path = root / layout.EPISODES_FILE
    table = read_parquet(path).append_column(layout.RECORDING, pa.array(recordings, pa.string()))
    pq.write_table(table, path, compression="snappy")
