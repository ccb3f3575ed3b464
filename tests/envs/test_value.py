import math
import pickle

import numpy as np
import pytest

from headway.errors import InvalidValue
from headway_envs.recording import Recorder, RecordingOptions, ValueOptions
from headway_envs.simulator import Simulator
from headway_envs.tasks import TASKS
from headway_envs.tasks.base import progress
from headway_envs.value import DisturbedExpert, Value, evenly_spaced, state_value

STACK = TASKS["stack-three"]


@pytest.fixture(scope="module")
def simulator():
    return Simulator(STACK, "gripper")


class Idle:
    """A policy that does nothing."""

    name = "idle"

    def start(self, simulator, random):
        still = simulator.command((simulator.situation().hand, 1.0))
        return lambda situation: simulator.step(still)


class Moody:
    """The expert, every other time."""

    name = "moody"

    def start(self, simulator, random):
        return (DisturbedExpert() if random.random() < 0.5 else Idle()).start(simulator, random)


def test_the_expert_finishes_from_the_start_and_a_policy_that_does_nothing_never(simulator):
    simulator.reset(STACK.layout(0))
    start = simulator.save()
    assert state_value(simulator, start, DisturbedExpert(), 3) == Value(3, 3)
    assert state_value(simulator, start, Idle(), 2) == Value(0, 2)


def test_value_falls_to_nothing_where_a_cube_is_lost_though_progress_stays(simulator):
    """The green cube goes over the edge while the red one is already placed: half of the task stays done."""
    layout = STACK.layout(0)
    blue = layout.objects[0]
    placed = layout.with_object(1, (blue[0], blue[1], blue[2] + layout.edge))
    lost = placed.with_object(2, (0.6, 0.0, 0.025))
    before = simulator.reset(placed)
    there = state_value(simulator, simulator.save(), DisturbedExpert(), 4)
    after = simulator.reset(lost)
    gone = state_value(simulator, simulator.save(), DisturbedExpert(), 4)
    placed_share = sum(STACK.proportions[:2])
    assert progress(STACK, after, placed) >= placed_share - 1e-9
    assert progress(STACK, before, placed) >= placed_share
    assert there.probability == 1.0
    assert gone.probability == 0.0
    assert there.interval[0] > gone.interval[1]


def test_a_task_that_is_done_has_value_one_even_for_who_does_nothing(simulator):
    simulator.reset(STACK.layout(0))
    step = DisturbedExpert(0.0).start(simulator, np.random.default_rng(0))
    situation = simulator.situation()
    while not (STACK.success(situation) and situation.hand[2] > 0.17):
        situation = step(situation)
    assert state_value(simulator, simulator.save(), Idle(), 1).probability == 1.0


def test_the_same_seed_gives_the_same_count_and_rollouts_differ(simulator):
    simulator.reset(STACK.layout(3))
    start = simulator.save()
    counts = [state_value(simulator, start, Moody(), 4, (seed,)).successes for seed in (0, 0, 1, 2)]
    assert counts[0] == counts[1]
    assert 2 < sum(counts[1:]) < 10
    assert len(set(counts)) > 1


def test_intervals_are_wilsons():
    low, high = Value(8, 10).interval
    z, p, n = 1.959964, 0.8, 10
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert Value(0, 5).interval[0] == 0.0


def test_a_recording_carries_value_at_a_frame_a_second_and_nan_elsewhere():
    options = RecordingOptions(robot="gripper", cameras=(), value=ValueOptions(2))
    plain = Recorder("stack-three", RecordingOptions(robot="gripper", cameras=())).record(1)
    made = Recorder("stack-three", options).record(1)
    assert made.state.tobytes() == plain.state.tobytes(), "looking ahead changes nothing"
    known = np.flatnonzero(~np.isnan(made.truth.value)).tolist()
    assert known == evenly_spaced(len(made), 20) == sorted({*range(0, len(made), 20), len(made) - 1})
    assert (made.truth.value[known] == 1).all()
    assert made.truth.value_interval.shape == (len(made), 2)
    assert (made.truth.value_interval[known, 0] < 1).all()


def test_no_rollouts_are_refused(simulator):
    simulator.reset(STACK.layout(0))
    with pytest.raises(InvalidValue, match="at least 1 rollout"):
        state_value(simulator, simulator.save(), DisturbedExpert(), 0)
    with pytest.raises(InvalidValue, match="at least 1 rollout"):
        ValueOptions(0)


def test_policies_travel_to_worker_processes():
    assert pickle.loads(pickle.dumps(DisturbedExpert(0.01))).name == "expert disturbed by 0.01 m"  # noqa: S301
