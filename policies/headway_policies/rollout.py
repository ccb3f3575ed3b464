"""Closed-loop evaluation: a policy acts in the simulation, on several layouts in step.

Of a step of ours the physics take the most time and the network the most of the rest, so the simulators take turns and
the network is asked for all of them at once. What becomes of a layout does not depend on how many are under way: see
`rows`.
"""

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

import numpy as np

from headway.episodes import Array
from headway.errors import HeadwayError, InvalidValue
from headway_envs import EPISODE_SECONDS
from headway_envs.robots import DEFAULT_ROBOT
from headway_policies.lanes import Lane, Rollout, Setting
from headway_policies.rows import ROWS
from headway_policies.signature import Signature

__all__ = ["Actor", "Rollout", "Setting", "evaluate", "roll", "where_failures_end"]

A_JOB = 2 * ROWS
"""Layouts that a worker is given at a time."""


class Actor(Protocol):
    """Whoever acts. One with `act_together`, as ClonedPolicy has it, is asked for all layouts at once; one whose
    `cameras` are not empty is shown their pictures, drawn `picture_size` pixels square, for the environment state."""

    @property
    def signature(self) -> Signature: ...

    def act(self, state: Array, environment_state: Array, /) -> Array: ...


def evaluate(
    policy: Actor,
    task_id: str,
    layout_seeds: Sequence[int],
    robot: str = DEFAULT_ROBOT,
    action_space: str | None = None,
    seconds: float = EPISODE_SECONDS,
    variation: str = "none",
    together: int = ROWS,
    workers: int = 1,
    advance: Callable[[Rollout], object] = lambda rollout: None,
) -> list[Rollout]:
    """Let the policy act from each layout, for that long at most: one rollout a layout, in the order of the seeds.

    What becomes of one depends neither on the others nor on `together` and `workers`. With more than one worker, a
    script that calls this needs `if __name__ == "__main__":` around its own work.

    Args:
        policy: who acts.
        task_id: where.
        layout_seeds: from where; take unseen ones.
        robot: of the task; the one that the policy learnt with.
        action_space: of the arm; None is the robot's usual one.
        seconds: after which a rollout has failed.
        variation: of how things look.
        together: simulators in step in one process.
        workers: processes; 1 works in this one.
        advance: called with each rollout as it ends, in no particular order.

    Raises UnknownName for an unknown task, robot, action space or variation, CheckpointError when the policy learnt
    another, HeadwayError when a worker is killed.
    """
    if together < 1 or workers < 1:
        raise InvalidValue(f"rollouts need at least one simulator and one worker, got {together} and {workers}")
    setting = Setting(task_id, robot, action_space, seconds, variation)
    policy.signature.check_fits(setting.simulator())
    workers = min(workers, -(-len(layout_seeds) // A_JOB) or 1)
    ended = {}
    pieces = _here if workers == 1 else _in_processes
    for rollout in pieces(policy, setting, layout_seeds, together, workers):
        ended[rollout.layout_seed] = rollout
        advance(rollout)
    return [ended[seed] for seed in layout_seeds]


def roll(policy: Actor, setting: Setting, layout_seeds: Sequence[int], together: int = ROWS) -> Iterator[Rollout]:
    """The rollouts as they end. The policy has to fit: `evaluate` checks that."""
    waiting = deque(dict.fromkeys(layout_seeds))
    lanes = [Lane(setting, waiting.popleft()) for _ in range(min(together, len(waiting)))]
    try:
        under_way = list(lanes)
        while under_way:
            going_on = []
            for lane, actions in zip(under_way, ask(policy, under_way), strict=True):
                rollout = lane.perform(actions)
                if rollout is not None:
                    yield rollout
                    if not waiting:
                        continue
                    lane.start(waiting.popleft())
                going_on.append(lane)
            under_way = going_on
    finally:
        for lane in lanes:
            lane.close()


def ask(policy: Actor, lanes: Sequence[Lane]) -> Array:
    """What to do next in each lane: float32 (lane, step, action)."""
    states = np.stack([lane.state for lane in lanes])
    cameras = getattr(policy, "cameras", ())
    if cameras:
        others = np.stack([lane.pictures(cameras, policy.picture_size) for lane in lanes])  # type: ignore[attr-defined]
    else:
        others = np.stack([lane.environment_state for lane in lanes])
    together: Any = getattr(policy, "act_together", None)
    if together is not None and _belong_together(type(policy)):
        return together(states, others)
    return np.stack([policy.act(state, other) for state, other in zip(states, others, strict=True)])


def where_failures_end(rollouts: Sequence[Rollout], stage_names: Sequence[str]) -> dict[str, int]:
    """How many of the rollouts that failed ended in each stage."""
    counts = Counter(rollout.stage for rollout in rollouts if not rollout.success)
    return {name: counts[stage] for stage, name in enumerate(stage_names)}


def _belong_together(kind: type) -> bool:
    """Whether its `act_together` is at least as new as its `act`: who inherits the one and replaces the other means
    the other."""
    owner = next(base for base in kind.__mro__ if {"act", "act_together"} & vars(base).keys())
    return "act_together" in vars(owner)


def _here(
    policy: Actor, setting: Setting, layout_seeds: Sequence[int], together: int, workers: int
) -> Iterator[Rollout]:
    return roll(policy, setting, layout_seeds, together)


def _in_processes(
    policy: Actor, setting: Setting, layout_seeds: Sequence[int], together: int, workers: int
) -> Iterator[Rollout]:
    jobs = [layout_seeds[first : first + A_JOB] for first in range(0, len(layout_seeds), A_JOB)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (policy, setting, together)) as pool:
        futures = [pool.submit(_work, job) for job in jobs]
        try:
            for future in futures:
                yield from future.result()
        except BrokenProcessPool as error:
            raise HeadwayError(
                "a process that rolls policies out was ended from outside, most likely for want of memory; "
                "use fewer workers"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_worker: tuple[Actor, Setting, int]


def _start_worker(policy: Actor, setting: Setting, together: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asked ends its workers itself
    global _worker
    _worker = policy, setting, together


def _work(layout_seeds: Sequence[int]) -> list[Rollout]:
    policy, setting, together = _worker
    return list(roll(policy, setting, layout_seeds, together))
