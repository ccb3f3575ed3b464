"""sort-by-colour: situations made by hand, and its expert in the simulator."""

from dataclasses import replace

import numpy as np
import pytest

from headway_envs.disturbance import Disturbance
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import CUBE, progress
from headway_envs.variation import Look

REST = CUBE / 2
RED, BLUE, LEFT, RIGHT = range(4)
IN_BIN = 0.004 + REST
AWAY = (0.03, -0.2, 0.2)
SEED = 2


@pytest.fixture
def task():
    return find_task("sort-by-colour")


@pytest.fixture(params=[0, 1])
def layout(task, request):
    """The same things on the table under both instructions."""
    return replace(task.layout(SEED), variant=request.param)


def bins(situation):
    """Whose bin is which: of the red cube, of the blue one."""
    return (LEFT, RIGHT) if situation.variant == 0 else (RIGHT, LEFT)


def holding(situation, cube, place):
    return replace(situation.with_object(cube, place), hand=place, opening=situation.edge)


def lying(situation, cube, bin_, dy=0.0):
    x, y, _ = situation.objects[bin_]
    return replace(situation.with_object(cube, (x, y + dy, IN_BIN)), hand=AWAY, opening=0.09)


def sorted_cubes(situation):
    red, blue = bins(situation)
    return lying(lying(situation, RED, red), BLUE, blue)


def travel(start, end):
    """Up, across, down."""
    (x, y, z), (u, v, w) = start, end
    shares = np.linspace(0, 1, 30)
    return (
        [(x, y, z + s * (0.15 - z)) for s in shares]
        + [(x + s * (u - x), y + s * (v - y), 0.15) for s in shares]
        + [(u, v, 0.15 + s * (w - 0.15)) for s in shares]
    )


def ideal_path(task, layout):
    """Each cube in turn: there, close the fingers, to its bin, open them."""
    path = [replace(layout, hand=(*layout.hand[:2], 0.15))]
    for cube in (RED, BLUE):
        here, place = path[-1].objects[cube], task.place(path[-1], cube)
        path += [replace(path[-1], hand=hand, opening=0.09) for hand in travel(path[-1].hand, here)]
        path += [replace(path[-1], opening=opening) for opening in np.linspace(0.09, CUBE, 10)]
        path += [holding(path[-1], cube, at) for at in travel(here, place)]
        path += [replace(path[-1], opening=opening) for opening in np.linspace(CUBE, 0.09, 10)]
    return path


def test_progress_never_falls_and_never_jumps_along_an_ideal_path(task, layout):
    values = [progress(task, situation, layout) for situation in ideal_path(task, layout)]
    assert min(np.diff(values)) > -1e-9
    assert max(np.diff(values)) < 0.03
    assert values[-1] == 1


def test_both_instructions_come_up_and_each_says_its_own_goal(task):
    layouts = [task.layout(seed) for seed in range(100)]
    assert 30 < sum(layout.variant for layout in layouts) < 70
    for layout in layouts[:10]:
        phrases = task.phrases(layout)
        assert len(set(phrases)) >= 4
        red, blue = (phrases[0].index(cube) for cube in ("red cube", "blue cube"))
        left, right = (phrases[0].index(bin_) for bin_ in ("left bin", "right bin"))
        assert red < min(left, right) < blue
        assert (left < right) == (layout.variant == 0)
    assert not set(task.phrases(replace(layouts[0], variant=0))) & set(task.phrases(replace(layouts[0], variant=1)))


def test_a_layout_starts_at_no_progress_with_the_left_bin_on_the_left(task):
    for seed in range(20):
        layout = task.layout(seed, edge=0.058)
        assert task.stage(layout) == 0
        assert progress(task, layout, layout) == 0
        assert layout.objects[LEFT][0] + 0.081 < 0 < layout.objects[RIGHT][0] - 0.081
        for bin_ in (LEFT, RIGHT):
            assert max(layout.objects[RED][1], layout.objects[BLUE][1]) + 0.029 < layout.objects[bin_][1] - 0.081


def test_each_stage_starts_with_the_progress_of_those_before_it(task, layout):
    for stage in range(4):
        start = task.canonical(stage, layout)
        assert task.stage(start) == stage
        assert progress(task, start, layout) == pytest.approx(sum(task.proportions[:stage]), abs=0.02)


def test_reaching_toward_the_red_cube_raises_progress(task, layout):
    x, y, _ = layout.objects[RED]
    far, near = (replace(layout, hand=(x + dx, y, 0.15)) for dx in (0.1, 0.02))
    assert progress(task, near, layout) > progress(task, far, layout) + 0.01


def test_what_is_a_success_depends_on_the_instruction(task, layout):
    done = sorted_cubes(layout)
    other = replace(done, variant=1 - done.variant)
    assert task.success(done)
    assert progress(task, done, layout) == 1
    assert not task.success(other)
    assert task.stage(other) == 0
    assert progress(task, other, layout) < task.proportions[0]


def test_a_cube_in_the_wrong_bin_does_not_count(task, layout):
    red, blue = bins(layout)
    wrong = lying(layout, RED, blue)
    assert task.stage(wrong) == 0
    assert progress(task, wrong, layout) < task.proportions[0]
    first = lying(layout, RED, red)
    assert task.stage(first) == 2
    assert task.stage(lying(first, BLUE, red, dy=0.04)) == 2
    assert not task.success(lying(first, BLUE, red, dy=0.04))


def test_finishing_the_blue_cube_first_does_not_count_until_the_red_one_is_placed(task, layout):
    red, blue = bins(layout)
    early = lying(layout, BLUE, blue)
    assert task.stage(early) == 0
    assert progress(task, early, layout) <= progress(task, replace(layout, hand=AWAY), layout)
    assert task.stage(holding(layout, BLUE, (0.0, 0.0, 0.15))) == 0
    assert task.success(lying(early, RED, red))


def test_dropping_the_carried_cube_lowers_progress(task, layout):
    place = 0.03, 0.0, 0.15
    carried = holding(layout, RED, place)
    dropped = replace(carried.with_object(RED, (0.03, 0.0, REST)), opening=0.09)
    assert (task.stage(carried), task.stage(dropped)) == (1, 0)
    assert progress(task, dropped, layout) < progress(task, carried, layout) - 0.05


def test_taking_a_placed_cube_out_again_lowers_progress(task, layout):
    red, _ = bins(layout)
    placed = lying(layout, RED, red)
    out = replace(placed.with_object(RED, layout.objects[RED]))
    assert progress(task, out, layout) < progress(task, placed, layout) - 0.2
    done = sorted_cubes(layout)
    assert task.stage(done.with_object(RED, layout.objects[RED])) == 0
    assert task.stage(holding(done, RED, task.place(done, RED))) == 1


def test_a_cube_held_in_its_bin_is_not_yet_placed(task, layout):
    red, _ = bins(layout)
    held = holding(layout, RED, lying(layout, RED, red).objects[RED])
    assert task.stage(held) == 1
    assert task.stage(replace(held, opening=0.075)) == 2


def test_each_bin_has_room_for_both_cubes(task, layout):
    """So that one that lies in the other's bin is not in the way."""
    free = task.place(layout, RED)
    crowded = layout.with_object(BLUE, free)
    assert np.hypot(*np.subtract(task.place(crowded, RED), free)[:2]) > 0.058
    red, _ = bins(layout)
    assert task.stage(replace(crowded.with_object(RED, task.place(crowded, RED)), hand=AWAY)) == 2
    assert abs(task.place(crowded, RED)[1] - layout.objects[red][1]) < 0.075 - 0.029


@pytest.mark.parametrize(("robot", "edge"), [("arm", 0.042), ("arm", 0.058), ("gripper", CUBE)])
def test_the_expert_sorts_the_cubes_while_it_is_pushed_about_and_they_stay_sorted(task, robot, edge):
    simulator = Simulator(task, robot)
    for seed in range(3):
        situation = simulator.reset(task.layout(seed, edge), Look(edge=edge))
        pushes = Disturbance(simulator.robot.pushes, 0.004, simulator.fps, np.random.default_rng(seed))
        done = []
        for _ in range(16 * simulator.fps):
            situation = simulator.step(simulator.command(task.act(situation)), pushes.next())
            done.append(task.success(situation))
        assert all(done[done.index(True) :]), seed


@pytest.mark.parametrize(("robot", "edge"), [("arm", 0.058), ("arm", 0.042), ("gripper", CUBE)])
def test_the_expert_puts_right_what_lies_in_the_wrong_bins_even_close_to_their_sides(task, robot, edge):
    simulator = Simulator(task, robot)
    touching = 0.075 - edge / 2 - 0.001
    finger_above_side = 0.078 - 0.051
    for variant, dx in ((0, touching), (1, finger_above_side), (1, -touching)):
        layout = replace(task.layout(SEED, edge), variant=variant)
        for cube, bin_, side in zip((RED, BLUE), reversed(bins(layout)), (1, -1), strict=True):
            x, y, _ = layout.objects[bin_]
            layout = layout.with_object(cube, (x + side * dx, y - 0.01, 0.005 + edge / 2))
        situation = simulator.reset(layout, Look(edge=edge))
        for _ in range(20 * simulator.fps):
            situation = simulator.step(simulator.command(task.act(situation)))
        assert task.success(situation), (variant, dx)
