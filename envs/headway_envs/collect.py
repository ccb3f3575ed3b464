"""Collections: many recorded episodes, by demonstrators of several kinds, as one LeRobot dataset."""

import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tqdm import tqdm

from headway.errors import HeadwayError, InvalidValue, OutputError
from headway.files import output_error
from headway_datasets.lerobot_layout import EPISODES, HEADWAY
from headway_datasets.lerobot_writer import LeRobotWriter
from headway_envs.mix import Job, default_mix, parse_mix, plan
from headway_envs.parts import Parts, load_part, save_part
from headway_envs.recorders import make_recorder
from headway_envs.recording import RecordingOptions
from headway_envs.seeds import collection_seeds, find_split, split_seeds
from headway_envs.trajectory import EpisodeRecorder, Trajectory


@dataclass(frozen=True)
class Collection:
    """What was collected: `successes` and `episodes` count by kind. `fresh` is False when it was there before."""

    root: Path
    task_id: str
    frames: int
    episodes: Mapping[str, int]
    successes: Mapping[str, int]
    fresh: bool = True


def collect(
    task_id: str,
    episodes: int,
    out: Path | str,
    mix: str | None = None,
    seed: int = 0,
    split: str | None = None,
    options: RecordingOptions = RecordingOptions(),  # noqa: B008 (frozen)
    workers: int | None = None,
    show_progress: bool = True,
) -> Collection:
    """Record a mix of demonstrators into a LeRobot v3 dataset at `out`, with the truth of every frame.

    The same arguments and version give the same states and actions to the last bit, however many workers record and
    however often it was interrupted; a collection cut short goes on where it was, a finished one is left alone.

    Args:
        task_id: one of our tasks, or `metaworld/...`.
        episodes: how many.
        out: folder to make.
        mix: shares by kind as `parse_mix` reads them; None is half expert, the rest in equal parts.
        seed: of the collection; two collections of different seed share no layout and no look.
        split: name of a split, which brings its own seeds and level of variation; `seed` and variation are left out.
        options: what is recorded, and how.
        workers: processes; None is one a core.
        show_progress: draw a bar.

    Raises UnknownName, InvalidValue (task, mix, split, camera, counts), OutputError (`out` is taken or cannot be
    written), Unsupported (frames cannot be drawn, or what a task needs is not installed).
    """
    out = Path(out)
    seeds: Sequence[int] = collection_seeds(seed, episodes)
    if split is not None:
        seeds, options = _split(split, episodes, seed, options)
    recorder = make_recorder(task_id, options)  # says what is missing before any worker starts
    try:
        shares = _shares(recorder, mix)
        jobs = plan(seeds, shares, seed)
        settings = _settings(recorder, options, shares, jobs, seed, split)
    finally:
        recorder.close()
    if _is_finished(out, settings):
        return _summary(out, task_id, fresh=False)
    parts = Parts(out, settings)
    present = episodes - len(parts.missing(episodes))
    bar = tqdm(
        desc=f"collect {task_id}",
        total=episodes,
        unit="episode",
        disable=not show_progress,
        dynamic_ncols=True,
    )
    with bar:
        bar.set_postfix_str(f"{present} were there before" if present else "")
        _assemble(parts, recorded(parts, task_id, jobs, options, workers), recorder, settings, bar.update)
    try:
        parts.dataset.replace(out)
    except OSError as error:
        raise output_error(out, error) from error
    parts.remove()
    return _summary(out, task_id)


def recorded(
    parts: Parts, task_id: str, jobs: Sequence[Job], options: RecordingOptions, workers: int | None
) -> Iterator[Trajectory]:
    """Each job's trajectory in order, from its part where that is there, else recorded now and kept as a part.

    `workers` processes share the work; 1 records in this one; None is one a core. With more than one, a script that
    calls this needs `if __name__ == "__main__":` around its own work.
    """
    missing = parts.missing(len(jobs))
    workers = min(workers or os.cpu_count() or 1, max(1, len(missing)))
    if workers == 1:
        yield from _recorded_here(parts, task_id, jobs, options, missing)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(task_id, options)) as pool:
        under_way: dict[int, Future[None]] = {}
        ahead = iter(missing)
        try:
            for index in range(len(jobs)):
                # never far ahead: the parts are read back, encoded and counted as they come
                for number in islice(ahead, 2 * workers - len(under_way)):
                    under_way[number] = pool.submit(_work, parts.path(number), jobs[number])
                if index in under_way:
                    under_way.pop(index).result()
                yield load_part(parts.path(index))
        except BrokenProcessPool as error:
            raise HeadwayError(
                "a worker died, perhaps for lack of memory; run the command again, it goes on where it was, "
                "or with fewer --workers"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _recorded_here(
    parts: Parts, task_id: str, jobs: Sequence[Job], options: RecordingOptions, missing: Sequence[int]
) -> Iterator[Trajectory]:
    recorder = make_recorder(task_id, options)
    try:
        for index, job in enumerate(jobs):
            if index in missing:
                save_part(parts.path(index), recorder.record(*job))
            yield load_part(parts.path(index))
    finally:
        recorder.close()


def _assemble(
    parts: Parts,
    trajectories: Iterator[Trajectory],
    recorder: EpisodeRecorder,
    settings: Mapping[str, Any],
    advance: Callable[[], object],
) -> None:
    """Write the dataset in the working folder."""
    writer = LeRobotWriter(
        parts.fresh_dataset(),
        fps=recorder.fps,
        cameras=dict.fromkeys(settings["cameras"], (settings["size"], settings["size"])),
        state_dim=len(recorder.state_names),
        environment_state_dim=len(recorder.environment_names),
        action_dim=len(recorder.action_names),
        metadata={**settings, "headway_version": version("headway")},
        names={
            "state": recorder.state_names,
            "environment_state": recorder.environment_names,
            "action": recorder.action_names,
        },
    )
    frames = 0
    with writer:
        for index, trajectory in enumerate(trajectories):
            writer.add(trajectory.episode(index, frames))
            frames += len(trajectory)
            advance()


def _settings(
    recorder: EpisodeRecorder,
    options: RecordingOptions,
    shares: Mapping[str, float],
    jobs: Sequence[Job],
    seed: int,
    split: str | None,
) -> dict[str, Any]:
    """All that decides what is collected, as JSON's types; goes into the dataset's metadata."""
    return {
        **recorder.description,
        "cameras": list(options.cameras),
        "size": options.size,
        "paraphrase": options.paraphrase,
        "mix": dict(shares),
        "seed": seed,
        "split": split,
        "layout_seeds": [layout_seed for layout_seed, _ in jobs],
    }


def _shares(recorder: EpisodeRecorder, mix: str | None) -> dict[str, float]:
    """Shares by kind; raises UnknownName or InvalidValue for a kind that the task does not have."""
    if mix is None:
        return default_mix(recorder.kinds)
    shares = parse_mix(mix)
    for kind in shares:
        recorder.check_kind(kind)
    return shares


def _split(name: str, episodes: int, seed: int, options: RecordingOptions) -> tuple[Sequence[int], RecordingOptions]:
    if seed or options.variation != "none":
        raise InvalidValue(f"the split {name!r} has its own seeds and variation; leave --seed and --variation out")
    return split_seeds(name, episodes), replace(options, variation=find_split(name).variation)


def _is_finished(out: Path, settings: Mapping[str, Any]) -> bool:
    """Whether the very collection is there. Raises OutputError when something else is."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        notes = json.loads((out / HEADWAY).read_text())
    except (OSError, ValueError):
        raise OutputError(f"{out} is not empty and holds no collection; choose another folder with --out") from None
    if {key: notes.get(key) for key in settings} != json.loads(json.dumps(settings)):
        raise OutputError(
            f"{out} holds a collection with other settings; choose another folder with --out, or delete it"
        )
    return True


def _summary(root: Path, task_id: str, fresh: bool = True) -> Collection:
    """What a finished collection holds."""
    table = pq.read_table(root / EPISODES, columns=["kind", "success", "length"]).to_pydict()
    episodes, successes = Counter(table["kind"]), Counter[str]()
    for kind, success in zip(table["kind"], table["success"], strict=True):
        successes[kind] += bool(success)
    return Collection(root, task_id, sum(table["length"]), episodes, successes, fresh)


_recorder: EpisodeRecorder


def _start_worker(task_id: str, options: RecordingOptions) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that collects stops its workers itself
    global _recorder
    _recorder = make_recorder(task_id, options)


def _work(path: Path, job: Job) -> None:
    save_part(path, _recorder.record(*job))
