"""A dataset in, tables out: each episode's curve is kept as soon as it is known, so a run cut short resumes."""

import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from headway.checks import VERSION, check_row, read_numbers
from headway.checks.numbers import Numbers
from headway.controls import missing_curve
from headway.encoders.cache import FeatureCache, default_cache
from headway.errors import InvalidValue, OutputError, VideoError
from headway.estimator import Estimator, Waiting
from headway.files import make_folder, write_json
from headway.signals.summary import summarise
from headway.source import Source
from headway.tables import (
    DENSE,
    DENSE_FRAME_SCHEMA,
    EPISODE_SCHEMA,
    EPISODES,
    FRAME_SCHEMA,
    FRAMES,
    OURS,
    RUN,
    frame_rows,
    write_table,
)

PARTS = "parts"
ROW = b"headway_episode"


@dataclass(frozen=True)
class ScoreOptions:
    """What of a dataset is scored, and how.

    Attributes:
        episodes: numbers of the episodes to score; None for all.
        stride: look at every `stride`-th frame.
        task: instruction for every episode, in place of the dataset's own.
        rename: how the dataset's cameras were renamed on opening it, as `old=new,...`; scores depend on it.
    """

    episodes: tuple[int, ...] | None = None
    stride: int = 1
    task: str | None = None
    rename: str = ""


def score(
    source: Source,
    estimator: Estimator,
    out: Path,
    options: ScoreOptions | None = None,
    on_episode: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Score a dataset into the folder `out`; the dataset itself is never written to.

    An unfinished `out` of the same run is resumed, a finished one is left as it is. An episode whose video cannot be
    decoded gets no values and the reason in the tables; the others are scored. Every episode is checked besides, see
    `headway.checks`.

    Args:
        source: the dataset.
        estimator: what judges it.
        out: the SCORES folder.
        options: which episodes, and how.
        on_episode: called with the number of episodes done and their total.

    Raises:
        OutputError: `out` holds another run's scores, or cannot be written.
    """
    options = options or ScoreOptions()
    identity = _identity(source, estimator, options)
    if is_finished(out, identity):
        return out
    parts = _open_parts(out, identity)
    wanted = source.episode_indices if options.episodes is None else options.episodes
    started = time.monotonic()
    try:
        with FileLock(parts / ".lock", timeout=0):
            _score_all(source, estimator, options, wanted, parts, on_episode)
    except Timeout:
        raise OutputError(f"another headway score is writing {out}; wait for it, or choose another --out") from None
    _merge(source, estimator, out, identity, wanted, time.monotonic() - started)
    shutil.rmtree(parts)
    return out


def _score_all(
    source: Source,
    estimator: Estimator,
    options: ScoreOptions,
    wanted: Sequence[int],
    parts: Path,
    on_episode: Callable[[int, int], None],
) -> None:
    """Score what is not scored yet; an estimator that has facts to tell has them kept after each episode."""
    # one file a sitting, in the order of their beginning
    facts = parts / f"facts-{time.time_ns()}.json"
    numbers, cache = read_numbers(source), default_cache()

    def score_one(index: int) -> None:
        part = parts / f"episode-{index:06d}.parquet"
        if _is_whole(part):
            return
        _score_episode(source, estimator, options, index, part, numbers, cache)
        if isinstance(estimator, Waiting):
            write_json(facts, estimator.facts())

    on_episode(0, len(wanted))
    for done, _ in enumerate(_each(score_one, wanted, estimator), start=1):
        on_episode(done, len(wanted))


def _each(work: Callable[[int], None], items: Sequence[int], estimator: Estimator) -> Iterator[None]:
    """Do `work` for each item, `estimator.at_once` at a time; after an error not one more is begun."""
    # only those have it that gain by it
    at_once = getattr(estimator, "at_once", 1)
    if at_once == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for future in [pool.submit(work, item) for item in items]:
                yield future.result()
        except BaseException:
            # what is under way would be waited for, to the last retry
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(estimator, Waiting):
                estimator.stop()
            raise


def is_finished(out: Path, identity: dict[str, Any]) -> bool:
    """Whether `out` holds the finished scores of this very run; OutputError when it holds another's."""
    path = out / RUN
    if not path.exists():
        return False
    run = _read_json(path)
    if not isinstance(run, dict) or "identity" not in run:
        raise OutputError(f"{path} is damaged or not of Headway; delete {out} and score again, or choose another --out")
    _check_same(out, run["identity"], identity)
    return True


def _identity(source: Source, estimator: Estimator, options: ScoreOptions) -> dict[str, Any]:
    """All that the tables depend on."""
    chosen = asdict(options)
    chosen["episodes"] = None if options.episodes is None else list(options.episodes)
    return {
        "estimator": estimator.fingerprint,
        "dataset": source.fingerprint,
        "cameras": list(source.cameras),
        "options": chosen,
        "checks": VERSION,
    }


def _check_same(out: Path, before: Any, now: dict[str, Any]) -> None:
    differing = [name for name in now if not isinstance(before, dict) or before.get(name) != now[name]]
    if differing:
        raise OutputError(
            f"{out} holds scores of another run (other {', '.join(differing)}); choose another folder with --out, "
            "or delete it"
        )


def _open_parts(out: Path, identity: dict[str, Any]) -> Path:
    parts = out / PARTS
    known = parts / "identity.json"
    make_folder(out)
    before = _read_json(known)
    if before is not None:
        _check_same(out, before, identity)
    elif any(path.name != PARTS for path in out.iterdir()) or any(parts.glob("episode-*")):
        raise OutputError(f"{out} is not empty and holds no scores of Headway; choose another folder with --out")
    write_json(known, identity)
    return parts


def _read_json(path: Path) -> Any:
    """The content of a JSON file; None when it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _is_whole(part: Path) -> bool:
    """Whether an episode's part is there and can be read."""
    try:
        return ROW in (pq.read_schema(part).metadata or {})
    except (OSError, pa.ArrowException):
        return False


def _score_episode(
    source: Source,
    estimator: Estimator,
    options: ScoreOptions,
    index: int,
    part: Path,
    numbers: Numbers,
    cache: FeatureCache,
) -> None:
    episode = source.episode(index)
    if options.task is not None:
        episode = replace(episode, instruction=options.task)
    try:
        (curve,) = estimator.estimate([episode], options.stride)
    except VideoError as error:
        curve = missing_curve(len(episode), estimator.fingerprint, str(error))
    row = json.dumps(summarise(episode, curve) | check_row(episode, numbers, cache)).encode()
    write_table(part, frame_rows(episode, curve).replace_schema_metadata({ROW: row}))


def _merge(
    source: Source, estimator: Estimator, out: Path, identity: dict[str, Any], wanted: Sequence[int], seconds: float
) -> None:
    """Join the parts into the three files of a SCORES folder; run.json comes last and marks it finished."""
    parts = [pq.read_table(out / PARTS / f"episode-{index:06d}.parquet") for index in sorted(wanted)]
    rows = [json.loads(part.schema.metadata[ROW]) for part in parts]
    frames = _joined(parts, rows, estimator.name)
    # lerobot's own tables say under this name which model made them
    metadata = {OURS: estimator.fingerprint.encode(), b"reward_model_path": estimator.name.encode()}
    write_table(out / FRAMES, frames.sort_by("index").replace_schema_metadata(metadata))
    write_table(out / EPISODES, pa.Table.from_pylist(ranked(rows), schema=EPISODE_SCHEMA))
    run = {
        "identity": identity,
        "estimator": estimator.name,
        "dataset": {"path": str(source.root.resolve()), "format": source.format},
        "stage_names": _stage_names(source, estimator),
        "episodes": len(rows),
        "frames": len(frames),
        "unscored": [row["episode_index"] for row in rows if row.get("final") is None and row.get("success") is None],
        "in_sample": sum(bool(row["in_sample"]) for row in rows),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "facts": [_read_json(path) for path in sorted((out / PARTS).glob("facts-*.json"))],
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("headway", "torch", "numpy", "av")},
        },
    }
    write_json(out / RUN, run)


def _joined(parts: Sequence[pa.Table], rows: Sequence[dict[str, Any]], name: str) -> pa.Table:
    """The parts in one frames table. Where the estimator gives dense progress, a failed episode has NaN there.

    Raises InvalidValue when the estimator called `name` gave dense progress for some of the scored episodes only.
    """
    bare = [part.replace_schema_metadata(None) for part in parts]
    if not any(DENSE in part.column_names for part in bare):
        return pa.concat_tables(bare).cast(FRAME_SCHEMA)
    for number, (part, row) in enumerate(zip(bare, rows, strict=True)):
        if DENSE in part.column_names:
            continue
        if row["reason"] is None:
            raise InvalidValue(
                f"{name} gave dense progress for some episodes but none for episode {row['episode_index']}; an "
                "estimator gives it for all of them or for none"
            )
        unknown = pa.array(np.full(len(part), np.nan), pa.float32())
        bare[number] = part.append_column(DENSE, unknown).select(DENSE_FRAME_SCHEMA.names)
    return pa.concat_tables(bare).cast(DENSE_FRAME_SCHEMA)


def _stage_names(source: Source, estimator: Estimator) -> list[str] | None:
    """The names behind the numbers of the `stage` column."""
    # not every estimator knows stages
    names = getattr(estimator, "stage_names", None) or source.stage_names
    return None if names is None else list(names)


def _standing(row: dict[str, Any]) -> tuple[float, ...]:
    """What a scored episode is ranked by, the best first; one known at its end alone comes after its equals."""
    fall, idle = row.get("drawdown"), row.get("idle")
    return -round(row["final"] * 20), 1.0 if fall is None else round(fall, 2), 1.0 if idle is None else idle


def ranked(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the rank: by final progress in steps of 0.05, then the smaller fall, then the less idle. 1 is the best."""
    scored = [row for row in rows if row.get("final") is not None]
    order = sorted(scored, key=_standing)
    ranks = {row["episode_index"]: rank for rank, row in enumerate(order, start=1)}
    return [{**row, "rank": ranks.get(row["episode_index"])} for row in rows]
