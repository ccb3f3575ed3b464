"""push-to-goal: situations made by hand, and what the expert makes of mishaps in the simulation."""

from dataclasses import replace
from math import dist

import numpy as np
import pytest

from headway_envs.disturbance import Disturbance
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import progress

PUCK, GOAL, OTHER = 0, 1, 2
HIGH = 0.15


@pytest.fixture
def task():
    return find_task("push-to-goal")


@pytest.fixture(scope="module")
def simulator():
    return Simulator(find_task("push-to-goal"), "gripper")


def beyond(start, end, metres):
    """The point so far from `start` on the way to `end`, on the table; behind `start` where that is negative."""
    share = metres / dist(start[:2], end[:2])
    x, y = (start[axis] + share * (end[axis] - start[axis]) for axis in (0, 1))
    return x, y, start[2]


def pushing(situation, metres, gap=0.0):
    """The puck so many metres nearer to the mark than in `situation`, the hand behind it."""
    puck = beyond(situation.objects[PUCK], situation.objects[GOAL], metres)
    x, y, _ = beyond(puck, situation.objects[GOAL], -0.042 - gap)
    return replace(situation.with_object(PUCK, puck), hand=(x, y, 0.025))


def on_the_mark(situation, off=0.0, hand_height=HIGH):
    x, y, _ = situation.objects[GOAL]
    puck = (x + off, y, 0.015)
    return replace(situation.with_object(PUCK, puck), hand=(x + off, y - 0.042, hand_height))


def run(simulator, layout, seconds=15.0, disturbance=0.0, offset=(0.0, 0.0, 0.0)):
    """The situations of an expert at work."""
    task, situation = simulator.task, simulator.reset(layout)
    pushes = Disturbance(simulator.robot.pushes, disturbance, simulator.fps, np.random.default_rng(layout.seed))
    seen = [situation]
    for _ in range(round(seconds * simulator.fps)):
        situation = simulator.step(simulator.command(task.act(situation, offset)), pushes.next())
        seen.append(situation)
    return seen


@pytest.mark.parametrize("seed", range(5))
def test_a_layout_starts_at_no_progress_with_the_way_free(task, seed):
    layout = task.layout(seed)
    assert task.stage(layout) == 0
    assert progress(task, layout, layout) == 0
    assert dist(layout.objects[PUCK], layout.objects[GOAL]) > 0.18
    assert task.layout(seed) == layout


def test_each_stage_starts_with_the_progress_of_those_before_it(task):
    layout = task.layout(4)
    for stage in range(2):
        start = task.canonical(stage, layout)
        assert task.stage(start) == stage
        assert progress(task, start, layout) == pytest.approx(sum(task.proportions[:stage]), abs=1e-6)


def test_progress_grows_all_along_an_ideal_path(task):
    layout = task.layout(3)
    behind = pushing(layout, 0.0, gap=0.015)
    over = replace(layout, hand=(behind.hand[0], behind.hand[1], HIGH))
    half = replace(layout, hand=tuple(np.mean([layout.hand, over.hand], axis=0)))
    way = dist(layout.objects[PUCK][:2], layout.objects[GOAL][:2])
    pushed = [pushing(layout, metres) for metres in np.arange(0.0, way - 0.005, 0.01)]
    x, y, _ = beyond(pushed[-1].objects[PUCK], layout.objects[GOAL], -0.06)
    left = replace(pushed[-1], hand=(x, y, 0.025))
    values = [progress(task, situation, layout) for situation in (layout, half, over, behind, *pushed, left)]
    assert np.diff(values).min() > 0
    assert np.diff(values[3:]).max() < 0.1
    assert values[-1] == 1
    assert max(values[:-1]) < 1


def test_pushing_the_puck_away_from_the_mark_lowers_progress(task):
    layout = task.layout(0)
    assert progress(task, pushing(layout, 0.05), layout) < progress(task, pushing(layout, 0.1), layout) - 0.05
    away = replace(layout.with_object(PUCK, beyond(layout.objects[PUCK], layout.objects[GOAL], 0.1)), hand=layout.hand)
    assert progress(task, away, layout) < progress(task, on_the_mark(layout, hand_height=0.025), layout) - 0.4


def test_losing_the_puck_to_the_side_leads_back_to_reaching_it(task):
    layout = task.layout(0)
    pushed = pushing(layout, 0.1)
    x, y, _ = pushed.objects[PUCK]
    along = np.subtract(layout.objects[GOAL][:2], (x, y)) / dist(layout.objects[GOAL][:2], (x, y))
    beside = replace(pushed, hand=(x - 0.05 * along[1], y + 0.05 * along[0], 0.025))
    assert task.stage(pushed) == 1
    assert task.stage(beside) == 0
    assert progress(task, beside, layout) < progress(task, pushed, layout)


def test_a_hand_that_still_touches_the_puck_or_a_puck_beside_the_mark_is_no_success(task):
    layout = task.layout(1)
    assert task.success(on_the_mark(layout))
    assert task.success(on_the_mark(layout, off=0.02))
    assert not task.success(on_the_mark(layout, hand_height=0.025))
    assert not task.success(on_the_mark(layout, off=0.03))
    assert progress(task, on_the_mark(layout, off=0.03), layout) < 0.4


def test_the_blue_puck_on_the_mark_is_worth_nothing(task):
    layout = task.layout(2)
    x, y, _ = layout.objects[GOAL]
    wrong = layout.with_object(OTHER, (x, y, 0.015))
    assert not task.success(wrong)
    assert progress(task, wrong, layout) == 0


def test_the_expert_succeeds_and_stays_there_and_leaves_the_blue_puck_alone(task, simulator):
    for seed in range(3):
        layout = task.layout(seed)
        seen = run(simulator, layout, disturbance=0.004)
        first = next(number for number, situation in enumerate(seen) if task.success(situation))
        assert all(task.success(situation) for situation in seen[first:])
        assert dist(seen[-1].objects[OTHER], layout.objects[OTHER]) < 0.005


def test_the_puck_does_not_slip_off_a_hand_that_pushes(task, simulator):
    slips = 0
    for seed in range(5):
        stages = [task.stage(situation) for situation in run(simulator, task.layout(seed), 8.0, disturbance=0.004)]
        slips += 0 in stages[stages.index(1) :]
    assert slips <= 1


def test_the_expert_pushes_back_a_puck_that_is_beyond_the_mark_with_the_hand_in_front_of_it(task, simulator):
    layout = task.layout(0)
    x, y, _ = layout.objects[GOAL]
    past = replace(layout.with_object(PUCK, (x - 0.05, y, 0.015)), hand=(x - 0.005, y, 0.025))
    assert not task.success(past)
    assert task.success(run(simulator, past)[-1])


def test_the_expert_pushes_round_a_puck_in_the_way(task, simulator):
    layout = task.layout(0)
    middle = tuple(np.mean([layout.objects[PUCK], layout.objects[GOAL]], axis=0)[:2])
    blocked = layout.with_object(OTHER, (*middle, 0.015))
    last = run(simulator, blocked)[-1]
    assert task.success(last)
    assert dist(last.objects[OTHER], blocked.objects[OTHER]) < 0.01


def test_a_near_miss_leaves_the_puck_beside_its_place_and_the_hand_off_it(task, simulator):
    layout = task.layout(1)
    offset = task.near_miss(np.random.default_rng(0))
    last = run(simulator, layout, offset=offset)[-1]
    x, y, _ = layout.objects[GOAL]
    assert dist(last.objects[PUCK][:2], (x + offset[0], y + offset[1])) < 0.02
    assert not task.success(last)
    assert last.hand[2] > 0.1


def test_who_undoes_it_pushes_the_puck_back_home(task, simulator):
    layout = task.layout(2)
    situation = simulator.reset(replace(on_the_mark(layout), seed=2))
    for _ in range(15 * simulator.fps):
        wish = task.undo(situation, layout)
        if wish is None:
            break
        situation = simulator.step(simulator.command(wish))
    assert task.undo(situation, layout) is None
    assert dist(situation.objects[PUCK], layout.objects[PUCK]) < 0.03
    assert progress(task, situation, layout) < 0.4
