"""Situations made by hand: what the truth says of them may not depend on how they came about."""

from dataclasses import replace

import pytest

from headway_envs.tasks import find_task
from headway_envs.tasks.base import CUBE, progress
from headway_envs.tasks.grasping import LIFT

REST = CUBE / 2
AWAY = (0.1, -0.2, 0.2)


@pytest.fixture
def tidy():
    return find_task("tidy-drawer")


@pytest.fixture
def stack():
    return find_task("stack-three")


def opened(layout, by=0.155):
    return replace(layout, travel=(by,))


def holding(situation, cube, place):
    return replace(situation.with_object(cube, place), hand=place, opening=CUBE)


def released(situation, cube, place):
    return replace(situation.with_object(cube, place), hand=AWAY, opening=0.09)


@pytest.mark.parametrize("seed", range(5))
def test_a_layout_starts_at_no_progress_in_the_first_stage(tidy, stack, seed):
    for task in (tidy, stack):
        layout = task.layout(seed)
        assert task.stage(layout) == 0
        assert progress(task, layout, layout) == 0


def test_each_stage_starts_with_the_progress_of_those_before_it(tidy, stack):
    for task in (tidy, stack):
        layout = task.layout(4)
        for stage in range(4):
            start = task.canonical(stage, layout)
            assert task.stage(start) == stage
            assert progress(task, start, layout) == pytest.approx(sum(task.proportions[:stage]), abs=0.02)


def test_pulling_the_drawer_raises_progress_and_pushing_it_back_lowers_it(tidy):
    layout = tidy.layout(0)
    hooked = [replace(opened(layout, d), hand=(-0.12, 0.07 - d, 0.04)) for d in (0.02, 0.06, 0.10, 0.15)]
    values = [progress(tidy, situation, layout) for situation in hooked]
    assert values == sorted(values)
    assert values[0] < values[1] < values[2] < values[3]
    assert tidy.stage(hooked[3]) == 1
    assert tidy.stage(hooked[2]) == 0


def test_closing_an_empty_drawer_is_not_progress(tidy):
    layout = tidy.layout(1)
    open_empty = opened(layout)
    closed_empty = replace(layout, travel=(0.0,))
    assert progress(tidy, closed_empty, layout) < progress(tidy, open_empty, layout)
    assert tidy.stage(closed_empty) == 0
    assert not tidy.success(closed_empty)


def test_a_closed_drawer_with_the_wrong_cube_in_it_is_no_success(tidy):
    layout = tidy.layout(1)
    x, y, z = tidy.place(layout, 0)
    assert tidy.success(released(layout, 0, (x, y, z)))
    assert not tidy.success(released(layout, 1, (x, y, z)))
    assert tidy.stage(released(layout, 1, (x, y, z))) == 0


def test_dropping_the_carried_cube_lowers_progress(tidy):
    layout = opened(tidy.layout(2))
    carried = holding(layout, 0, (0.05, 0.0, 0.15))
    dropped = replace(carried.with_object(0, (0.05, 0.0, REST)), opening=0.09)
    assert tidy.stage(carried) == 2
    assert tidy.stage(dropped) == 1
    assert progress(tidy, dropped, layout) < progress(tidy, carried, layout) - 0.05


def test_taking_the_placed_cube_out_of_the_drawer_lowers_progress(tidy):
    start = tidy.layout(3)
    layout = opened(start)
    inside = released(layout, 0, tidy.place(layout, 0))
    outside = released(layout, 0, start.objects[0])
    assert tidy.stage(inside) == 3
    assert tidy.stage(outside) == 1
    assert progress(tidy, outside, start) < progress(tidy, inside, start) - 0.2


def test_a_cube_on_the_wall_or_beside_the_drawer_is_not_in_it(tidy):
    layout = opened(tidy.layout(0))
    x, y, _ = tidy.place(layout, 0)
    for place in ((x + 0.1, y, 0.095), (x + 0.14, y, REST), (x, y, 0.105), (x, y - 0.12, REST)):
        assert tidy.stage(released(layout, 0, place)) == 1, place


def test_a_cube_still_in_the_fingers_is_not_yet_stored(tidy):
    layout = opened(tidy.layout(0))
    held = holding(layout, 0, tidy.place(layout, 0))
    assert tidy.stage(held) == 2
    assert tidy.stage(replace(held, opening=0.075)) == 3
    assert not tidy.success(holding(replace(layout, travel=(0.0,)), 0, tidy.place(replace(layout, travel=(0.0,)), 0)))


def test_success_needs_the_drawer_closed(tidy):
    for drawer, done in ((0.155, False), (0.03, False), (0.005, True)):
        layout = replace(tidy.layout(0), travel=(drawer,))
        situation = released(layout, 0, tidy.place(layout, 0))
        assert tidy.success(situation) is done
        assert (progress(tidy, situation, tidy.layout(0)) == 1) is done


def test_a_held_cube_counts_only_once_the_drawer_is_open(tidy):
    layout = tidy.layout(0)
    assert tidy.stage(holding(layout, 0, (0.1, 0.0, 0.15))) == 0
    assert tidy.stage(holding(opened(layout), 0, (0.1, 0.0, 0.15))) == 2
    assert tidy.stage(holding(opened(layout), 0, (0.1, 0.0, REST + LIFT / 2))) == 1


def test_finishing_the_tower_from_the_wrong_end_does_not_count(stack):
    layout = stack.layout(0)
    wrong = released(layout, 2, stack.place(layout, 1))
    assert stack.stage(wrong) == 0
    swapped = released(wrong, 1, (wrong.objects[2][0], wrong.objects[2][1], wrong.objects[2][2] + CUBE))
    assert not stack.success(swapped)
    assert stack.stage(swapped) == 0


def test_toppling_the_placed_cube_lowers_progress(stack):
    layout = stack.layout(1)
    placed = released(layout, 1, stack.place(layout, 1))
    x, y, _ = layout.objects[0]
    toppled = released(placed, 1, (x + 0.06, y, REST))
    assert stack.stage(placed) == 2
    assert stack.stage(toppled) == 0
    assert progress(stack, toppled, layout) < progress(stack, placed, layout) - 0.2


def test_a_tower_is_done_only_when_it_stands_and_nobody_holds_it(stack):
    layout = stack.layout(2)
    first = released(layout, 1, stack.place(layout, 1))
    top = stack.place(first, 2)
    assert stack.success(released(first, 2, top))
    assert progress(stack, released(first, 2, top), layout) == 1
    assert not stack.success(holding(first, 2, top))
    assert not stack.success(released(first, 2, (top[0] + 0.03, top[1], top[2])))
    assert not stack.success(released(first, 2, (top[0], top[1], top[2] + 0.03)))


def test_proportions_sum_to_one_and_match_the_stages(tidy, stack):
    for task in (tidy, stack):
        assert sum(task.proportions) == pytest.approx(1)
        assert len(task.proportions) == len(task.stage_names) == 4
