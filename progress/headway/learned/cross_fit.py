"""Training on all episodes, or in folds so that every episode can be judged by a member that never saw it."""

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.sharedctypes import SynchronizedArray

import numpy as np
import torch

from headway.episodes import Array, Episode
from headway.errors import DatasetError, HeadwayError, InvalidValue
from headway.learned.members import Member, Workshop
from headway.learned.method import Method, TaskEpisodes
from headway.learned.team import Team
from headway.learned.train_member import train_member
from headway.learned.training import OnStep

type Board = "SynchronizedArray[float]"


def train_members(
    method: Method,
    tasks: Sequence[TaskEpisodes],
    workshop: Workshop,
    folds: int = 1,
    on_step: OnStep = lambda step, steps, loss: None,
) -> list[Member]:
    """Train one member on everything (`folds` 1), or one a fold, each without the episodes of its own fold.

    Args:
        method: what is trained, and how.
        tasks: what it is trained on, one entry a task.
        workshop: where things are kept. On `cpu` folds are trained side by side, one thread each; on any other device,
            or with several processes, one after another.
        folds: at least 1 and at most one an episode.
        on_step: called with the steps done, all steps, and a recent loss.

    Raises:
        InvalidValue: the number of folds does not fit.
        DatasetError: there is nothing to learn from, in all or in one of the folds.
    """
    episodes = [episode for task in tasks for episode in task.episodes]
    if not 1 <= folds <= len(episodes):
        raise InvalidValue(f"needs 1 to {len(episodes)} folds for {len(episodes)} episodes, got {folds}")
    method.study(tasks)
    jobs = _jobs(method, tasks, workshop, folds)
    if workshop.device == "cpu" and len(jobs) > 1 and Team.is_alone():
        return _side_by_side(jobs, on_step)
    return [_one_after_another(job, number, len(jobs), on_step) for number, job in enumerate(jobs)]


def assign_folds(episodes: Sequence[Episode], folds: int, seed: int) -> Array:
    """The fold of each episode, int (episodes,): drawn at random, with successes spread evenly over the folds."""
    rng = np.random.default_rng([seed, folds])
    order = sorted(rng.permutation(len(episodes)), key=lambda i: str(episodes[i].success))
    fold_of = np.empty(len(episodes), dtype=int)
    fold_of[order] = np.arange(len(episodes)) % folds
    return fold_of


@dataclass(frozen=True, repr=False)
class _Job:
    method: Method
    tasks: Sequence[TaskEpisodes]
    workshop: Workshop


def _jobs(method: Method, tasks: Sequence[TaskEpisodes], workshop: Workshop, folds: int) -> list[_Job]:
    """What each fold is trained on. Raises DatasetError when one would have nothing to learn from."""
    if folds == 1:
        return [_Job(method, tasks, workshop)]
    seed = method.training.seed
    fold_of = [assign_folds(task.episodes, folds, seed) for task in tasks]
    jobs = []
    for left_out in range(folds):
        parts = [
            replace(task, episodes=[e for e, fold in zip(task.episodes, of, strict=True) if fold != left_out])
            for task, of in zip(tasks, fold_of, strict=True)
        ]
        own = replace(method, training=replace(method.training, seed=seed + left_out))  # type: ignore[type-var]
        try:
            own.study(parts)
        except DatasetError as error:
            raise DatasetError(
                f"one of {folds} folds would have nothing to learn from ({error}); mark more episodes, or train with "
                "--folds 1"
            ) from error
        jobs.append(_Job(own, parts, workshop))
    return jobs


def _one_after_another(job: _Job, number: int, jobs: int, on_step: OnStep) -> Member:
    def report(step: int, steps: int, loss: float) -> None:
        on_step(number * steps + step, jobs * steps, loss)

    return train_member(job.method, job.tasks, job.workshop, report, number)


def _side_by_side(jobs: Sequence[_Job], on_step: OnStep) -> list[Member]:
    context = multiprocessing.get_context("spawn")
    board: Board = context.Array("d", 3 * len(jobs))  # steps done, steps in all, loss, for every job
    workers = min(len(jobs), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, context, initializer=partial(_start_worker, board)) as pool:
        futures = [pool.submit(_work, number, job) for number, job in enumerate(jobs)]
        _watch(futures, board, on_step)
        try:
            results = [future.result() for future in futures]
        except BrokenProcessPool as error:
            raise HeadwayError(
                "a training process was ended from outside, most likely for want of memory; "
                "train with a smaller --image-size or with --folds 1"
            ) from error
    return [_rebuild(job.method, *result) for job, result in zip(jobs, results, strict=True)]


def _watch(futures: Sequence[Future], board: Board, on_step: OnStep) -> None:
    while not all(future.done() for future in futures):
        done, steps, losses = (np.array(board[kind::3]) for kind in range(3))
        # a job that has not begun yet has told nothing of its steps
        if steps.any():
            on_step(int(done.sum()), int(steps.max() * len(futures)), float(losses.max()))
        time.sleep(0.2)


_board: Board


def _start_worker(board: Board) -> None:
    global _board
    _board = board
    # Ctrl-C reaches every process of the terminal; a worker ends without a word, the parent says what happened
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(1)


def _work(number: int, job: _Job) -> tuple[Member, dict[str, Array]]:
    def report(step: int, steps: int, loss: float) -> None:
        _board[3 * number : 3 * number + 3] = [step, steps, loss]

    member = train_member(job.method, job.tasks, job.workshop, report, number)
    # arrays, because tensors would travel through shared memory that ends with this process
    weights = {name: tensor.numpy() for name, tensor in member.network.state_dict().items()}
    return replace(member, network=None), weights


def _rebuild(method: Method, member: Member, weights: dict[str, Array]) -> Member:
    network = method.network(member.sizes, member.knowledge)
    network.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
    return replace(member, network=network.eval())
