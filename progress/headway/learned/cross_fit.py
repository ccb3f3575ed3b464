"""Training SARM on all episodes, or in folds so that every episode can be judged by a member that never saw it."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.sharedctypes import SynchronizedArray

import numpy as np
import torch

from headway.episodes import Array, Episode
from headway.errors import DatasetError, HeadwayError, InvalidValue
from headway.learned.sarm import SarmMember
from headway.learned.sarm_network import SarmNetwork, SarmShape
from headway.learned.sarm_training import SarmConfig, train_network
from headway.learned.targets import StageScale, is_complete

OnStep = Callable[[int, int, float], None]
type Board = "SynchronizedArray[float]"


def train_members(
    episodes: Sequence[Episode], names: Sequence[str], config: SarmConfig, folds: int, on_step: OnStep, device: str
) -> list[SarmMember]:
    """Train one member on everything (`folds` 1), or one a fold, each without the episodes of its own fold.

    Args:
        episodes: marked episodes.
        names: the stages in order.
        config: how to train.
        folds: at least 1 and at most one an episode.
        on_step: called with the steps done, all steps, and a recent loss.
        device: `cpu` trains the folds side by side, one thread each; any other trains them one after another.
    """
    if not 1 <= folds <= len(episodes):
        raise InvalidValue(f"needs 1 to {len(episodes)} folds for {len(episodes)} episodes, got {folds}")
    if folds == 1:
        network, scale = train_network(episodes, names, config, on_step, device)
        return [SarmMember(network, scale, _recordings(episodes))]
    fold_of = assign_folds(episodes, folds, config.seed)
    _check_folds(episodes, names, fold_of)
    parts = [[e for e, fold in zip(episodes, fold_of, strict=True) if fold != left_out] for left_out in range(folds)]
    jobs = [_Job(part, tuple(names), replace(config, seed=config.seed + fold)) for fold, part in enumerate(parts)]
    if device == "cpu":
        return _side_by_side(jobs, on_step)
    return [_one_after_another(job, number, len(jobs), on_step, device) for number, job in enumerate(jobs)]


def assign_folds(episodes: Sequence[Episode], folds: int, seed: int) -> Array:
    """The fold of each episode, int (episodes,): drawn at random, with successes spread evenly over the folds."""
    rng = np.random.default_rng([seed, folds])
    order = sorted(rng.permutation(len(episodes)), key=lambda i: str(episodes[i].success))
    fold_of = np.empty(len(episodes), dtype=int)
    fold_of[order] = np.arange(len(episodes)) % folds
    return fold_of


def _check_folds(episodes: Sequence[Episode], names: Sequence[str], fold_of: Array) -> None:
    """Raise DatasetError, before anything is trained, when a fold would have no complete success to learn from."""
    homes = {int(fold) for episode, fold in zip(episodes, fold_of, strict=True) if is_complete(episode, names)}
    if len(homes) < 2:
        raise DatasetError(
            "training in folds needs complete, marked successes in at least two of them, so that each fold can learn "
            "from the others; mark more episodes, or train with --folds 1"
        )


@dataclass(frozen=True, repr=False)
class _Job:
    episodes: Sequence[Episode]
    names: tuple[str, ...]
    config: SarmConfig


def _one_after_another(job: _Job, number: int, jobs: int, on_step: OnStep, device: str) -> SarmMember:
    def report(step: int, steps: int, loss: float) -> None:
        on_step(number * steps + step, jobs * steps, loss)

    network, scale = train_network(job.episodes, job.names, job.config, report, device)
    return SarmMember(network, scale, _recordings(job.episodes))


def _side_by_side(jobs: Sequence[_Job], on_step: OnStep) -> list[SarmMember]:
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
    return [
        SarmMember(_rebuild(shape, weights), scale, _recordings(job.episodes))
        for job, (shape, weights, scale) in zip(jobs, results, strict=True)
    ]


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


def _work(number: int, job: _Job) -> tuple[SarmShape, dict[str, Array], StageScale]:
    def report(step: int, steps: int, loss: float) -> None:
        _board[3 * number : 3 * number + 3] = [step, steps, loss]

    network, scale = train_network(job.episodes, job.names, job.config, report)
    # arrays, because tensors would travel through shared memory that ends with this process
    return network.shape, {name: tensor.numpy() for name, tensor in network.state_dict().items()}, scale


def _rebuild(shape: SarmShape, weights: dict[str, Array]) -> SarmNetwork:
    network = SarmNetwork(shape)
    network.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
    return network


def _recordings(episodes: Sequence[Episode]) -> frozenset[str]:
    return frozenset(episode.recording for episode in episodes if episode.recording is not None)
