"""place-in-bin: situations made by hand, and its expert in the simulator."""

from dataclasses import replace

import numpy as np
import pytest

from headway_envs.disturbance import Disturbance
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import CUBE, progress
from headway_envs.variation import Look

REST = CUBE / 2
RED, BLUE, BIN = 0, 1, 2
IN_BIN = 0.004 + REST
AWAY = (0.1, -0.2, 0.2)


@pytest.fixture
def task():
    return find_task("place-in-bin")


def holding(situation, cube, place):
    return replace(situation.with_object(cube, place), hand=place, opening=situation.edge)


def released(situation, cube, place):
    return replace(situation.with_object(cube, place), hand=AWAY, opening=0.09)


def in_bin(situation, dx=0.0, dy=0.0, dz=0.0):
    x, y, _ = situation.objects[BIN]
    return x + dx, y + dy, IN_BIN + dz


def across(start, end, height):
    """From over one place to over the other."""
    return [
        (*(a + s * (b - a) for a, b in zip(start[:2], end[:2], strict=True)), height) for s in np.linspace(0, 1, 30)
    ]


def upright(place, low, high):
    return [(*place[:2], z) for z in np.linspace(low, high, 30)]


def ideal_path(task, layout):
    """Over the cube, down, close the fingers, up, over the bin, down, open them."""
    cube, place = layout.objects[RED], task.place(layout, RED)
    reach = across(layout.hand, cube, 0.15) + upright(cube, 0.15, REST)
    path = [replace(layout, hand=hand, opening=0.09) for hand in reach]
    path += [replace(path[-1], opening=opening) for opening in np.linspace(0.09, CUBE, 10)]
    carry = upright(cube, REST, 0.15) + across(cube, place, 0.15) + upright(place, 0.15, place[2])
    path += [holding(layout, RED, at) for at in carry]
    return path + [replace(path[-1], opening=opening) for opening in np.linspace(CUBE, 0.09, 10)]


@pytest.mark.parametrize("seed", range(5))
def test_progress_never_falls_and_never_jumps_along_an_ideal_path(task, seed):
    layout = task.layout(seed)
    values = [progress(task, situation, layout) for situation in ideal_path(task, layout)]
    assert min(np.diff(values)) > -1e-9
    assert max(np.diff(values)) < 0.04
    assert values[-1] == 1


def test_a_layout_starts_at_no_progress_with_both_cubes_well_beside_the_bin(task):
    for seed in range(20):
        layout = task.layout(seed, edge=0.058)
        assert task.stage(layout) == 0
        assert progress(task, layout, layout) == 0
        for cube in (RED, BLUE):
            dx, dy, _ = np.abs(np.subtract(layout.objects[cube], layout.objects[BIN]))
            assert dx > 0.081 + 0.057 or dy > 0.081 + 0.029


def test_each_stage_starts_with_the_progress_of_those_before_it(task):
    layout = task.layout(4)
    for stage in range(2):
        start = task.canonical(stage, layout)
        assert task.stage(start) == stage
        assert progress(task, start, layout) == pytest.approx(sum(task.proportions[:stage]), abs=0.02)


def test_reaching_toward_the_red_cube_raises_progress(task):
    layout = task.layout(0)
    x, y, _ = layout.objects[RED]
    near, nearer = (replace(layout, hand=(x, y + dy, 0.15)) for dy in (0.08, 0.0))
    assert progress(task, near, layout) < progress(task, nearer, layout)
    assert progress(task, replace(nearer, hand=(x, y, 0.06)), layout) > progress(task, nearer, layout)


def test_dropping_the_carried_cube_lowers_progress(task):
    layout = task.layout(1)
    x, y, _ = layout.objects[RED]
    carried = holding(layout, RED, (x, y + 0.05, 0.15))
    dropped = replace(carried.with_object(RED, (x, y + 0.05, REST)), opening=0.09)
    assert task.stage(carried) == 1
    assert task.stage(dropped) == 0
    assert progress(task, dropped, layout) < progress(task, carried, layout) - 0.1


def test_taking_the_placed_cube_out_of_the_bin_lowers_progress(task):
    layout = task.layout(3)
    inside = released(layout, RED, in_bin(layout))
    assert progress(task, inside, layout) == 1
    assert progress(task, released(layout, RED, layout.objects[RED]), layout) < 0.2


def test_a_cube_on_a_side_of_the_bin_or_over_it_or_beside_it_is_not_in_it(task):
    layout = task.layout(0)
    for offset in ((0.078, 0.0, 0.02), (0.0, 0.065, 0.0), (0.0, 0.0, 0.02), (-0.11, 0.0, -0.004)):
        situation = released(layout, RED, in_bin(layout, *offset))
        assert not task.success(situation), offset
        assert task.stage(situation) == 0
        assert progress(task, situation, layout) < 1
    for offset in ((0.049, 0.0), (-0.049, 0.049), (0.0, 0.0)):
        assert task.success(released(layout, RED, in_bin(layout, *offset))), offset


def test_a_cube_still_in_the_fingers_is_not_yet_placed(task):
    layout = task.layout(0)
    held = holding(layout, RED, in_bin(layout))
    assert task.stage(held) == 1
    assert not task.success(held)
    assert progress(task, held, layout) < 1
    assert task.success(replace(held, opening=0.075))


def test_the_blue_cube_in_the_bin_does_not_count(task):
    layout = task.layout(1)
    wrong = released(layout, BLUE, in_bin(layout))
    assert not task.success(wrong)
    assert task.stage(wrong) == 0
    assert task.stage(holding(layout, BLUE, (0.0, 0.0, 0.15))) == 0
    assert progress(task, wrong, layout) <= progress(task, replace(layout, hand=AWAY), layout)


def test_the_red_cube_gets_a_place_beside_a_blue_one_in_the_bin(task):
    layout = task.layout(2)
    crowded = released(layout, BLUE, task.place(layout, RED))
    assert np.hypot(*np.subtract(task.place(crowded, RED), task.place(layout, RED))[:2]) > 0.058
    assert task.success(released(crowded, RED, task.place(crowded, RED)))


def test_who_misses_nearly_lets_the_cube_go_clear_of_the_bin(task):
    layout = task.layout(3)
    for seed in range(20):
        place = np.add(task.place(layout, RED), task.near_miss(np.random.default_rng(seed)))
        assert layout.objects[BIN][1] - place[1] > 0.081 + REST
        assert not task.success(released(layout, RED, tuple(place)))


@pytest.mark.parametrize(("robot", "edge"), [("arm", 0.042), ("arm", 0.058), ("gripper", CUBE)])
def test_the_cube_that_the_expert_puts_in_the_bin_while_it_is_pushed_about_stays_there(task, robot, edge):
    simulator = Simulator(task, robot)
    for seed in range(4):
        situation = simulator.reset(task.layout(seed, edge), Look(edge=edge))
        pushes = Disturbance(simulator.robot.pushes, 0.004, simulator.fps, np.random.default_rng(seed))
        done = []
        for _ in range(12 * simulator.fps):
            situation = simulator.step(simulator.command(task.act(situation)), pushes.next())
            done.append(task.success(situation))
        assert all(done[done.index(True) :]), seed


def test_a_cube_that_comes_down_on_a_side_of_the_bin_does_not_stay_there_in_success(task):
    simulator = Simulator(task, "gripper")
    layout = replace(task.layout(0), hand=(-0.1, -0.2, 0.2))
    for dx in np.linspace(0.05, 0.11, 13):
        situation = simulator.reset(layout.with_object(RED, in_bin(layout, dx, 0.0, 0.05)))
        for _ in range(2 * simulator.fps):
            situation = simulator.step(simulator.command((layout.hand, 1.0)))
        x, _, z = np.subtract(situation.objects[RED], layout.objects[BIN])
        assert task.success(situation) == (z < IN_BIN + 0.002 and abs(x) < 0.055), dx
