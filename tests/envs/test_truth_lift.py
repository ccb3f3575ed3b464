"""lift: situations made by hand, and its expert in the simulator."""

from dataclasses import replace

import numpy as np
import pytest

from headway_envs.disturbance import Disturbance
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import CUBE, progress
from headway_envs.tasks.lift import HIGH
from headway_envs.variation import Look

REST = CUBE / 2
RED, BLUE = 0, 1


@pytest.fixture
def task():
    return find_task("lift")


def held(situation, height, cube=RED):
    x, y, _ = situation.objects[cube]
    return replace(situation.with_object(cube, (x, y, height)), hand=(x, y, height), opening=situation.edge)


def ideal_path(layout):
    """Up, across, down, close the fingers, lift."""
    (x, y, _), (u, v, low) = layout.hand, layout.objects[RED]
    across = [(x + s * (u - x), y + s * (v - y), 0.15) for s in np.linspace(0, 1, 30)]
    down = [(u, v, z) for z in np.linspace(0.15, low, 30)]
    path = [replace(layout, hand=hand, opening=0.09) for hand in across + down]
    path += [replace(path[-1], opening=opening) for opening in np.linspace(0.09, layout.edge, 10)]
    return path + [held(layout, z) for z in np.linspace(low, low + HIGH + 0.02, 30)]


@pytest.mark.parametrize("seed", range(5))
def test_progress_never_falls_and_never_jumps_along_an_ideal_path(task, seed):
    layout = task.layout(seed)
    values = [progress(task, situation, layout) for situation in ideal_path(layout)]
    assert min(np.diff(values)) > -1e-9
    assert max(np.diff(values)) < 0.06
    assert values[-1] == 1


def test_a_layout_starts_at_no_progress_with_both_cubes_apart_on_the_table(task):
    for seed in range(20):
        layout = task.layout(seed, edge=0.042)
        assert task.stage(layout) == 0
        assert progress(task, layout, layout) == 0
        assert all(z == 0.021 for _, _, z in layout.objects)
        assert np.hypot(*(np.array(layout.objects[RED]) - layout.objects[BLUE])[:2]) >= 0.12


def test_each_stage_starts_with_the_progress_of_those_before_it(task):
    layout = task.layout(4)
    for stage in range(2):
        start = task.canonical(stage, layout)
        assert task.stage(start) == stage
        assert progress(task, start, layout) == pytest.approx(sum(task.proportions[:stage]), abs=1e-6)


def test_reaching_toward_the_red_cube_raises_progress_and_toward_the_blue_one_does_not(task):
    layout = replace(task.layout(0), hand=(0.0, 0.0, 0.15), objects=((0.2, 0.0, REST), (-0.2, 0.0, REST)))
    red, blue = (replace(layout, hand=(x, 0.0, 0.15)) for x in (0.1, -0.1))
    assert progress(task, red, layout) > progress(task, layout, layout) + 0.1
    assert progress(task, blue, layout) == progress(task, layout, layout)


def test_a_cube_lifted_half_the_way_is_half_way_through_the_lift(task):
    layout = task.layout(0)
    halfway = progress(task, held(layout, REST + HIGH / 2), layout)
    assert halfway == pytest.approx(task.proportions[0] + task.proportions[1] / 2)


def test_dropping_the_lifted_cube_lowers_progress(task):
    layout = task.layout(1)
    up = held(layout, REST + 0.1)
    dropped = replace(up.with_object(RED, layout.objects[RED]), opening=0.09)
    assert task.stage(up) == 1
    assert task.stage(dropped) == 0
    assert progress(task, dropped, layout) < progress(task, up, layout) - 0.3


def test_only_the_red_cube_held_high_enough_is_success(task):
    layout = task.layout(2)
    done = held(layout, REST + HIGH + 0.001)
    assert task.success(done)
    assert progress(task, done, layout) == 1
    not_done = (
        held(layout, REST + HIGH - 0.001),
        held(layout, REST + HIGH + 0.001, BLUE),
        replace(done, opening=0.06),
        replace(done, opening=0.02, hand=(done.hand[0] + 0.05, *done.hand[1:])),
    )
    for situation in not_done:
        assert not task.success(situation)
        assert progress(task, situation, layout) < 1


def test_high_enough_is_measured_from_where_the_cube_rests(task):
    large = task.layout(0, edge=0.058)
    assert not task.success(held(large, REST + HIGH + 0.001))
    assert task.success(held(large, 0.029 + HIGH + 0.001))


def test_who_misses_nearly_holds_the_cube_too_low(task):
    layout = task.layout(3)
    for seed in range(20):
        dz = task.near_miss(np.random.default_rng(seed))[2]
        assert not task.success(held(layout, task.place(layout, RED)[2] + dz))
        assert task.place(layout, RED)[2] + dz > REST + 0.05


@pytest.mark.parametrize(("robot", "edge"), [("arm", 0.042), ("arm", 0.058), ("gripper", CUBE)])
def test_the_expert_lifts_the_cube_and_keeps_holding_it_while_it_is_pushed_about(task, robot, edge):
    simulator = Simulator(task, robot)
    for seed in range(4):
        situation = simulator.reset(task.layout(seed, edge), Look(edge=edge))
        pushes = Disturbance(simulator.robot.pushes, 0.004, simulator.fps, np.random.default_rng(seed))
        done = []
        for _ in range(12 * simulator.fps):
            situation = simulator.step(simulator.command(task.act(situation)), pushes.next())
            done.append(task.success(situation))
        assert all(done[done.index(True) :]), seed


@pytest.mark.parametrize("robot", ["arm", "gripper"])
def test_the_expert_gets_hold_of_a_cube_that_another_stands_close_to(task, robot):
    simulator = Simulator(task, robot)
    layout = task.layout(0)
    for gap in (0.002, 0.02):
        crowded = replace(layout, objects=((0.05, 0.0, REST), (0.05 + CUBE + gap, 0.01, REST)))
        situation = simulator.reset(crowded)
        for _ in range(15 * simulator.fps):
            situation = simulator.step(simulator.command(task.act(situation)))
        assert task.success(situation), gap
