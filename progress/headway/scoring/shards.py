"""The scored shards of one dataset, made by as many runs wherever they ran, put together into one SCORES folder."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headway.errors import DatasetError, InvalidValue, OutputError
from headway.files import make_folder
from headway.scoring.merging import Made, Piece, write_tables
from headway.scoring.run import is_finished
from headway.tables import DENSE, EPISODES, FRAMES, read_scores


def merge_shards(
    shards: Sequence[Path], out: Path, on_shard: Callable[[int, int], None] = lambda done, total: None
) -> Path:
    """Make one SCORES folder of what `headway score --shard i/n` wrote for every i; the shards stay as they are.

    Both tables have the bytes that a run without shards would have given them. A finished `out` of these very shards is
    left as it is. One shard at a time is held in memory.

    Args:
        shards: the folders, in any order.
        out: the SCORES folder.
        on_shard: called with the number of shards checked and their total.

    Raises:
        InvalidValue: no folder at all.
        DatasetError: a folder holds no finished shard, is of another run than the first, comes twice or is missing.
        OutputError: `out` holds something else, or cannot be written.
    """
    if not shards:
        raise InvalidValue("merging takes the folders of the shards: headway merge SCORES_PART... --out SCORES")
    runs: list[dict[str, Any]] = []
    for root in shards:
        on_shard(len(runs), len(shards))
        runs.append(read_scores(root).run)
    on_shard(len(runs), len(shards))
    identity = _common(shards, runs)
    if is_finished(out, identity):
        return out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} is not empty and holds no scores of Headway; choose another folder with --out")
    make_folder(out)
    first = runs[0]
    made = Made(
        identity,
        first["estimator"],
        first["dataset"],
        first["stage_names"],
        sum(run["seconds"] for run in runs),
        [fact for run in runs for fact in run["facts"]],
    )
    write_tables(out, (piece for root in shards for piece in _pieces(root)), made)
    return out


def _common(shards: Sequence[Path], runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The identity of the run that all of them are shards of. Raises DatasetError where there is none."""
    places: dict[int, Path] = {}
    identity, count = {}, 0
    for root, run in zip(shards, runs, strict=True):
        number, its_count, its_identity = _split(root, run["identity"])
        if not places:
            identity, count = its_identity, its_count
        differing = [name for name in identity if its_identity.get(name) != identity[name]]
        if its_count != count:
            differing.append(f"number of shards: {its_count} and {count}")
        if differing:
            raise DatasetError(
                f"{root} is a shard of another run than {shards[0]} (other {', '.join(differing)}); merge those of one "
                "run"
            )
        if number in places:
            raise DatasetError(f"{root} and {places[number]} are both shard {number}/{count}; give each once")
        places[number] = root
    missing = [str(number) for number in range(1, count + 1) if number not in places]
    if missing:
        raise DatasetError(
            f"of {count} shards {len(missing)} {'is' if len(missing) == 1 else 'are'} missing: {', '.join(missing[:9])}"
            f"{', ...' if len(missing) > 9 else ''}; run headway score --shard {missing[0]}/{count}, then merge again"
        )
    return identity


def _split(root: Path, identity: dict[str, Any]) -> tuple[int, int, dict[str, Any]]:
    """Which shard of how many, and the identity of the whole."""
    options = dict(identity["options"])
    shard = options.pop("shard", None)
    if shard is None:
        raise DatasetError(f"{root} holds the scores of a whole run, not of a shard; there is nothing to merge it with")
    return shard[0], shard[1], identity | {"options": options}


def _pieces(root: Path) -> Iterator[Piece]:
    rows = {row["episode_index"]: row for row in pq.read_table(root / EPISODES).to_pylist()}
    frames = pq.ParquetFile(root / FRAMES)
    dense = DENSE in frames.schema_arrow.names
    # episodes come in order, so that each group is read once
    group_of = lru_cache(maxsize=1)(frames.read_row_group)
    for group in range(frames.num_row_groups):
        episodes = frames.read_row_group(group, ["episode_index", "index"])
        numbers = episodes["episode_index"].to_numpy()
        starts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]]).tolist()
        for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True):
            row = rows[int(numbers[start])]
            # an episode without a score has no dense progress but for the column's sake
            yield Piece(episodes["index"][start].as_py(), row, _slice(group_of, group, start, end - start), dense)


def _slice(group_of: Callable[[int], pa.Table], group: int, start: int, count: int) -> Callable[[], pa.Table]:
    return lambda: group_of(group).slice(start, count)
