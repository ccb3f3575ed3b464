"""Collections: many recorded episodes, by demonstrators of several kinds, as one LeRobot dataset."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from headway.errors import InvalidValue, UnknownName
from headway_datasets.lerobot_writer import LeRobotWriter
from headway_envs.demonstrators import KINDS
from headway_envs.recording import DISTURBANCE, Recorder, Trajectory
from headway_envs.rendering import FRAME_SIZE
from headway_envs.seeds import collection_seeds
from headway_envs.simulator import FPS
from headway_envs.tasks import find_task

Job = tuple[int, str]
"""A layout seed and the kind of demonstrator."""


@dataclass(frozen=True)
class Collection:
    """What was collected: `successes` and `episodes` count by kind."""

    root: Path
    task_id: str
    frames: int
    episodes: Mapping[str, int]
    successes: Mapping[str, int]


def parse_mix(text: str) -> dict[str, float]:
    """Shares by kind from `expert=.5,detour=.1`, scaled to sum to 1.

    Raises UnknownName for an unknown kind and InvalidValue for a share that is no number, negative, or for a sum of 0.
    """
    shares: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        kind, _, share = part.partition("=")
        if kind not in KINDS:
            raise UnknownName("kind of demonstrator in --mix:", kind, KINDS)
        if kind in shares:
            raise InvalidValue(f"--mix names {kind!r} twice: {text!r}; give each kind one share")
        shares[kind] = _share(part, share)
    total = sum(shares.values())
    if total == 0:
        raise InvalidValue(f"the shares of --mix sum to 0: {text!r}; give at least one kind a share, as in expert=1")
    return {kind: share / total for kind, share in shares.items()}


def default_mix() -> dict[str, float]:
    """Half expert, the other half spread evenly over the imperfect kinds."""
    return {kind: 0.5 if kind == "expert" else 0.5 / (len(KINDS) - 1) for kind in KINDS}


def plan(episodes: int, mix: Mapping[str, float], seed: int) -> list[Job]:
    """Which demonstrator acts in which layout: counts by largest remainder, in an order drawn from `seed`."""
    seeds = collection_seeds(seed, episodes)
    exact = {kind: share * episodes for kind, share in mix.items()}
    counts = {kind: int(number) for kind, number in exact.items()}
    # rounding makes equal remainders equal, so that ties go by the order of the kinds everywhere
    by_remainder = sorted(exact, key=lambda kind: round(counts[kind] - exact[kind], 9))
    for kind in by_remainder[: episodes - sum(counts.values())]:
        counts[kind] += 1
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    order = np.random.default_rng([seed, 4]).permutation(episodes)
    return [(layout_seed, kinds[place]) for layout_seed, place in zip(seeds, order, strict=True)]


def record_all(
    task_id: str,
    jobs: Iterable[Job],
    cameras: Sequence[str] = ("front",),
    size: int = FRAME_SIZE,
    disturbance: float = DISTURBANCE,
    workers: int | None = None,
) -> Iterator[Trajectory]:
    """Record each job, in order. `workers` processes share the work; 1 records in this one; None is one a core.

    With more than one, a script that calls this needs `if __name__ == "__main__":` around its own work.
    """
    setting = (task_id, tuple(cameras), size, disturbance)
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        recorder = Recorder(*setting)
        try:
            yield from (recorder.record(seed, kind) for seed, kind in jobs)
        finally:
            recorder.close()
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=setting) as pool:
        waiting: deque[Future[Trajectory]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(_work, job))
                if len(waiting) > 2 * workers:  # bounds the pictures held in memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def collect(
    task_id: str,
    episodes: int,
    out: Path | str,
    mix: str | None = None,
    seed: int = 0,
    cameras: Sequence[str] = ("front",),
    size: int = FRAME_SIZE,
    disturbance: float = DISTURBANCE,
    workers: int | None = None,
    show_progress: bool = True,
) -> Collection:
    """Record a mix of demonstrators into a new LeRobot v3 dataset at `out`, with the truth of every frame.

    The same arguments and task version give the same states and actions to the last bit, however many workers.
    Raises UnknownName, InvalidValue (task, mix, camera, counts), OutputError (`out` is taken or cannot be written),
    Unsupported (frames cannot be drawn).
    """
    task = find_task(task_id)
    shares = parse_mix(mix) if mix is not None else default_mix()
    jobs = plan(episodes, shares, seed)
    Recorder(task_id, cameras, size).close()  # says what is missing before any worker starts
    metadata = {
        "task_id": task.id,
        "task_version": task.version,
        "seed": seed,
        "mix": shares,
        "disturbance_m": disturbance,
        "layout_seeds": [layout_seed for layout_seed, _ in jobs],
    }
    counts = dict.fromkeys(shares, 0)
    successes = dict(counts)
    frames = 0
    writer = LeRobotWriter(
        Path(out),
        fps=FPS,
        cameras=dict.fromkeys(cameras, (size, size)),
        state_dim=4,
        environment_state_dim=3 * len(task.cubes) + task.has_drawer,
        action_dim=4,
        metadata=metadata,
    )
    with writer:
        recorded = record_all(task_id, jobs, cameras, size, disturbance, workers)
        bar = tqdm(recorded, desc=f"collect {task_id}", total=episodes, unit="episode", disable=not show_progress)
        for index, trajectory in enumerate(bar):
            writer.add(trajectory.episode(index, frames))
            frames += len(trajectory.state)
            counts[trajectory.kind] += 1
            successes[trajectory.kind] += trajectory.truth.succeeded
    return Collection(Path(out), task_id, frames, counts, successes)


def _share(part: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = float("nan")
    if not 0 <= share < float("inf"):
        raise InvalidValue(f"--mix has {part!r}; write kind=share with a share from 0, as in expert=.5,drop=.1")
    return share


_recorder: Recorder


def _start_worker(task_id: str, cameras: tuple[str, ...], size: int, disturbance: float) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that collects stops its workers itself
    global _recorder
    _recorder = Recorder(task_id, cameras, size, disturbance)


def _work(job: Job) -> Trajectory:
    return _recorder.record(*job)
