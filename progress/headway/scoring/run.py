"""A run of scoring from its beginning, or from where it was cut short, to its tables."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from headway.checks import VERSION, read_numbers
from headway.errors import OutputError
from headway.estimator import Estimator
from headway.scoring.engine import Engine, Work
from headway.scoring.local import score_here
from headway.scoring.merging import Made, Piece, write_tables
from headway.scoring.options import ScoreOptions
from headway.scoring.parts import PARTS, Parts, check_same, read_json, row_of
from headway.source import Source
from headway.tables import DENSE, RUN


def score(
    source: Source,
    estimator: Estimator,
    out: Path,
    options: ScoreOptions | None = None,
    on_episode: Callable[[int, int], None] = lambda done, total: None,
    engine: Engine = score_here,
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
        engine: what does the work; the tables do not depend on it.

    Raises:
        OutputError: `out` holds another run's scores, or cannot be written.
    """
    options = options or ScoreOptions()
    identity = _identity(source, estimator, options)
    if is_finished(out, identity):
        # what a run killed at its very end left
        shutil.rmtree(out / PARTS, ignore_errors=True)
        return out
    wanted = options.wanted(source.episode_indices)
    parts = Parts(out, identity)
    started = time.monotonic()
    try:
        with FileLock(parts.folder / ".lock", timeout=0):
            _score_left(Work(source, estimator, options, read_numbers(source), parts), wanted, engine, on_episode)
    except Timeout:
        raise OutputError(f"another headway score is writing {out}; wait for it, or choose another --out") from None
    made = Made(
        identity,
        estimator.name,
        {"path": str(source.root.resolve()), "format": source.format},
        _stage_names(source, estimator),
        time.monotonic() - started,
        [read_json(path) for path in sorted(parts.folder.glob("facts-*.json"))],
    )
    write_tables(out, _pieces(parts, wanted), made)
    shutil.rmtree(parts.folder)
    return out


def _score_left(work: Work, wanted: Sequence[int], engine: Engine, on_episode: Callable[[int, int], None]) -> None:
    left = [index for index in wanted if not work.parts.has(index)]
    done = len(wanted) - len(left)
    on_episode(done, len(wanted))

    def on_part() -> None:
        nonlocal done
        done += 1
        on_episode(done, len(wanted))

    if left:
        engine(work, left, on_part)


def is_finished(out: Path, identity: dict[str, Any]) -> bool:
    """Whether `out` holds the finished scores of this very run; OutputError when it holds another's."""
    path = out / RUN
    if not path.exists():
        return False
    run = read_json(path)
    if not isinstance(run, dict) or "identity" not in run:
        raise OutputError(f"{path} is damaged or not of Headway; delete {out} and score again, or choose another --out")
    check_same(out, run["identity"], identity)
    return True


def _identity(source: Source, estimator: Estimator, options: ScoreOptions) -> dict[str, Any]:
    """All that the tables depend on."""
    return {
        "estimator": estimator.fingerprint,
        "dataset": source.fingerprint,
        "cameras": list(source.cameras),
        "options": options.identity(),
        "checks": VERSION,
    }


def _pieces(parts: Parts, wanted: Sequence[int]) -> Iterator[Piece]:
    for number in wanted:
        path = parts.path(number)
        part = pq.read_table(path)
        index = part["index"][0].as_py()
        yield Piece(index, row_of(part), partial(pq.read_table, path), DENSE in part.column_names)


def _stage_names(source: Source, estimator: Estimator) -> list[str] | None:
    """The names behind the numbers of the `stage` column."""
    # not every estimator knows stages
    names = getattr(estimator, "stage_names", None) or source.stage_names
    return None if names is None else list(names)
