"""True value: the probability that a named policy finishes the task from here, counted over Monte-Carlo rollouts.

Value is not progress. A cube that fell over the table's edge leaves progress where it was and takes value to 0; a cube
that slipped out of the hand takes progress back and leaves value at 1, because it can be picked up again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_envs.disturbance import DISTURBANCE, Disturbance
from headway_envs.simulator import Saved, Simulator
from headway_envs.tasks.base import Situation

SECONDS = 20.0
"""What a rollout is given: about twice what an expert takes from the start."""
HELD = 0.5
"""Seconds for which the task has to stay done."""


class RolloutPolicy(Protocol):
    """Acts in rollouts. `name` says who it is, in tables and metadata."""

    @property
    def name(self) -> str: ...

    def start(self, simulator: Simulator, random: np.random.Generator) -> Callable[[Situation], Situation]:
        """Begin a rollout in the simulator's present state: what takes one step and returns what came of it."""
        ...


@dataclass(frozen=True)
class DisturbedExpert:
    """The task's expert, pushed about with that standard deviation in metres."""

    disturbance: float = DISTURBANCE

    @property
    def name(self) -> str:
        return f"expert disturbed by {self.disturbance:g} m"

    def start(self, simulator: Simulator, random: np.random.Generator) -> Callable[[Situation], Situation]:
        pushes = Disturbance(simulator.robot.pushes, self.disturbance, simulator.fps, random)
        task = simulator.task
        return lambda situation: simulator.step(simulator.command(task.act(situation)), pushes.next())


@dataclass(frozen=True)
class Value:
    """`successes` of `rollouts`, as a probability with Wilson's 95 % interval."""

    successes: int
    rollouts: int

    @property
    def probability(self) -> float:
        return self.successes / self.rollouts

    @property
    def interval(self) -> tuple[float, float]:
        # takes longer to import than all else that a worker recording episodes needs
        from scipy.stats import binomtest

        found = binomtest(self.successes, self.rollouts).proportion_ci(0.95, method="wilson")
        return float(found.low), float(found.high)


def state_value(
    simulator: Simulator, saved: Saved, policy: RolloutPolicy, rollouts: int, seed: Sequence[int] = (0,)
) -> Value:
    """Success of `policy` from a saved state over `rollouts` runs of at most 20 s; the simulator is left anywhere.

    `seed`: whole numbers; rollout k draws from `[*seed, k]`. Raises InvalidValue for fewer than one rollout.
    """
    if rollouts < 1:
        raise InvalidValue(f"value needs at least 1 rollout a frame, got {rollouts}")
    done = [_succeeds(simulator, saved, policy, np.random.default_rng([*seed, k])) for k in range(rollouts)]
    return Value(sum(done), rollouts)


def values_over_time(
    simulator: Simulator,
    states: Sequence[Saved],
    frames: Sequence[int],
    policy: RolloutPolicy,
    rollouts: int,
    seed: int,
) -> tuple[Array, Array]:
    """Value of an episode's `states` (time,) at chosen `frames`.

    Returns float32 (time,) and (time, 2), the values and their intervals' ends; NaN where none was computed.
    """
    value = np.full(len(states), np.nan, dtype=np.float32)
    interval = np.full((len(states), 2), np.nan, dtype=np.float32)
    for frame in frames:
        found = state_value(simulator, states[frame], policy, rollouts, (seed, 5, frame))
        value[frame], interval[frame] = found.probability, found.interval
    return value, interval


def evenly_spaced(length: int, fps: float, seconds: float = 1.0) -> list[int]:
    """A frame every so many seconds, and the last one."""
    return sorted({*range(0, length, max(1, round(seconds * fps))), length - 1})


def _succeeds(simulator: Simulator, saved: Saved, policy: RolloutPolicy, random: np.random.Generator) -> bool:
    situation = simulator.restore(saved)
    step = policy.start(simulator, random)
    needed = round(HELD * simulator.fps)
    held = 0
    for _ in range(round(SECONDS * simulator.fps)):
        situation = step(situation)
        held = held + 1 if simulator.task.success(situation) else 0
        if held >= needed:
            return True
    return False
