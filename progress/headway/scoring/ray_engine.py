"""The engine that works on many machines, through Ray Data: processes that decode feed processes that judge.

Episodes' numbers go out; whole episodes, decoded, go from one process to the next through Ray's shared memory, which
Ray Data keeps within bounds; parts come back and are written by whoever started the run, in whatever order. What an
actor does with an episode is `score_episode`, as in every engine. https://docs.ray.io/en/latest/data/data.html
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from headway.errors import InvalidValue, Unsupported
from headway.estimator import Estimator, Waiting
from headway.scoring.engine import Engine, Work
from headway.scoring.ray_cluster import cluster, first_line, threads_here
from headway.scoring.ray_steps import Decode, Job, Judge, outcomes
from headway.source import Source

MOST_BLOCKS = 10_000
"""Ray Data keeps a record of every block; up to here each episode is one of its own."""
RETRIES = 3
"""How often an episode is tried again whose process died."""


def ray_engine(
    make: Callable[[], Estimator],
    open_source: Callable[[], Source],
    address: str | None = None,
    actors: int | None = None,
    device: str = "cpu",
) -> Engine:
    """An engine (`headway.scoring.engine.Engine`) under Ray Data; its parts are those of the local engine.

    Every process makes the estimator and opens the dataset for itself, so both have to be at the same place on every
    machine; whatever is another one there is refused. torch gets as many threads everywhere as it has here, because
    sums depend on it. They also depend on the kind of processor: bytes are the same on machines of one kind.
    Features are kept in each machine's own cache (`headway.encoders.cache.cache_root`).

    An episode whose process dies is tried again, RETRIES times. A bug comes back as the error that it is, with a note
    of where it was raised.

    Args:
        make: makes the estimator of the run; it is pickled, such as `partial(make_estimator, spec, device)`.
        open_source: opens the dataset of the run, likewise.
        address: of a running cluster; None starts one on this machine alone, and ends it afterwards. A process that is
            connected to a cluster already uses that one.
        actors: how many estimators work at once; None for one a GPU, or as many as there are cores for.
        device: `cpu`, or `cuda` for a GPU each.

    Raises:
        Unsupported: Ray is missing, cannot be reached or gave up; a GPU is asked for where there is none; the estimator
            waits for a server.
        InvalidValue: `device` names one GPU of several, or `actors` is below 1.
        DatasetError, CheckpointError: another dataset or estimator is found on one of the machines.
    """
    if device not in ("cpu", "cuda"):
        raise InvalidValue(f"--device {device} with --engine ray: Ray hands out the GPUs itself; use cpu or cuda")
    if actors is not None and actors < 1:
        raise InvalidValue(f"at least one estimator has to work, got {actors} actors")

    def engine(work: Work, left: Sequence[int], on_part: Callable[[], None]) -> None:
        if isinstance(work.estimator, Waiting):
            raise Unsupported(
                f"{work.estimator.name} waits for a server, which more machines do not hasten; use --engine local, "
                f"which asks {work.estimator.at_once} questions at once"
            )
        with cluster(address) as ray, _in_one_line(ray):
            share = share_out(_machines(ray), threads_here(), actors, device, len(left))
            job = Job.of(work, make, open_source, share.threads, share.largest)
            for index, outcome in _outcomes(ray, job, share, left):
                if isinstance(outcome, Exception):
                    raise outcome from None
                work.parts.write(index, outcome)
                on_part()

    return engine


@dataclass(frozen=True)
class Share:
    """Who gets what of a cluster.

    Attributes:
        actors: estimators at work.
        threads: of torch in each of them.
        cpus: that Ray sets aside for each of them.
        gpus: likewise.
        decoders: processes that decode, at most; each has one CPU.
        largest: bytes of pictures of one episode that are still handed on through shared memory; whoever judges a
            larger one decodes it too, a few pictures at a time.
    """

    actors: int
    threads: int
    cpus: int
    gpus: int
    decoders: int
    largest: int


def share_out(
    machines: Sequence[Mapping[str, float]], threads: int, actors: int | None, device: str, episodes: int
) -> Share:
    """Share out the resources of a cluster's machines, as Ray counts them (`CPU`, `GPU`, `object_store_memory`).

    One CPU at least is left to decode, and there are no more actors than episodes. Raises Unsupported where there is
    no GPU and one is asked for.
    """
    cpus = [int(machine.get("CPU", 0)) for machine in machines]
    gpus = int(sum(machine.get("GPU", 0) for machine in machines))
    if device == "cuda" and not gpus:
        raise Unsupported(f"none of the {len(machines)} machines of the Ray cluster has a GPU; use --device cpu")
    wanted = 1 if device == "cuda" else min(threads, max(max(cpus) - 1, 0))
    most = gpus if device == "cuda" else max(1, sum(count // (wanted + 1) for count in cpus))
    count = min(actors or most, episodes, gpus if device == "cuda" else episodes)
    each = max(0, min(wanted, (sum(cpus) - 1) // count))
    return Share(
        actors=count,
        threads=threads,
        cpus=each,
        gpus=int(device == "cuda"),
        decoders=max(1, sum(cpus) - count * each),
        largest=int(min(machine.get("object_store_memory", 0) for machine in machines)) // 8,
    )


def _outcomes(ray: Any, job: Job, share: Share, left: Sequence[int]) -> Iterator[tuple[int, pa.Table | Exception]]:
    """Each episode's number with its part, or with the error that ends the run, as they come."""
    pool = ray.data.ActorPoolStrategy
    how: dict[str, Any] = {"batch_size": 1, "fn_constructor_args": (job,), "max_task_retries": RETRIES}
    episodes = ray.data.from_items(
        [{"episode": index} for index in left], override_num_blocks=min(len(left), MOST_BLOCKS)
    )
    decoded = episodes.map_batches(
        Decode, compute=pool(min_size=1, max_size=share.decoders), batch_format="numpy", num_cpus=1, **how
    )
    judged = decoded.map_batches(
        Judge,
        compute=pool(size=share.actors, max_tasks_in_flight_per_actor=2),
        batch_format="pyarrow",
        num_cpus=share.cpus,
        num_gpus=share.gpus,
        **how,
    )
    judged.context.enable_progress_bars = False
    judged.context.print_on_execution_start = False
    # an episode may take as long as it takes
    judged.context.execution_no_progress_timeout_s = -1
    for rows in judged.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from outcomes(rows)


@contextmanager
def _in_one_line(ray: Any) -> Iterator[None]:
    """What goes wrong in Ray itself as one line, and Ray Data kept from writing lines of its own."""
    logger = logging.getLogger("ray.data")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            # `max_task_retries` has no other way in before the release that pyproject.toml leaves out
            warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ray\.")
            yield
    except ray.exceptions.RayError as error:
        raise Unsupported(
            f"Ray gave up ({first_line(error)}), as it does when a process dies {RETRIES + 1} times over one episode; "
            "parts that are done are kept: run it again, or with --engine local, which shows the episode"
        ) from error
    finally:
        logger.setLevel(before)


def _machines(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
