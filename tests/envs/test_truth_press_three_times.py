"""press-three-times: situations made by hand, and what the simulator counts."""

from dataclasses import replace

import numpy as np
import pytest

from headway_envs.disturbance import Disturbance
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import progress

IN, OUT = 0.03, 0.0
TOUCH = 0.115
"""Height in metres of a hand on a button that is out."""


@pytest.fixture
def task():
    return find_task("press-three-times")


@pytest.fixture(scope="module")
def simulator():
    return Simulator(find_task("press-three-times"), "gripper")


def at_button(layout, count, travel=OUT, above=0.0):
    x, y, _ = layout.objects[0]
    return replace(layout, hand=(x, y, TOUCH - travel + above), travel=(travel, OUT), count=count)


def counts(task, travels, count=0, button=0):
    """The count after each of these travels of a button, one after the other."""
    layout, seen = task.layout(0), []
    for travel in travels:
        situation = replace(layout, travel=(travel, OUT) if button == 0 else (OUT, travel), count=count)
        count = task.counted(situation)
        seen.append(count)
    return seen


@pytest.mark.parametrize("seed", range(5))
def test_a_layout_starts_at_no_progress_and_nothing_counted(task, seed):
    layout = task.layout(seed)
    assert task.stage(layout) == 0
    assert progress(task, layout, layout) == 0
    assert task.counted(layout) == layout.count == 0


def test_each_stage_starts_with_the_progress_of_those_before_it(task):
    layout = task.layout(4)
    for stage in range(3):
        start = task.canonical(stage, layout)
        assert task.stage(start) == stage
        assert progress(task, start, layout) == pytest.approx(sum(task.proportions[:stage]), abs=1e-6)


def test_half_strokes_count_once_each_however_long_they_last(task):
    assert counts(task, [0, 0.01, 0.02, 0.03, 0.03, 0.02, 0.01, 0.0, 0.0]) == [0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert counts(task, [0.03, 0, 0.03, 0, 0.03, 0, 0.03]) == [1, 2, 3, 4, 5, 6, 7]


def test_a_shallow_press_or_one_of_the_blue_button_does_not_count(task):
    assert counts(task, [0.0, 0.015, 0.02, 0.015, 0.0]) == [0] * 5
    assert counts(task, [0.0, 0.03, 0.0], button=1) == [0] * 3


def test_a_button_let_out_half_way_and_pressed_again_counts_as_one_press(task):
    assert counts(task, [0.03, 0.01, 0.03, 0.01, 0.0]) == [1, 1, 1, 1, 2]


def test_progress_grows_all_along_an_ideal_path(task):
    layout = task.layout(3)
    x, y, _ = layout.objects[0]
    path = [layout, replace(layout, hand=(x, y, 0.17)), replace(layout, hand=(x, y, 0.14))]
    for press in range(3):
        path += [at_button(layout, 2 * press, travel) for travel in (0.0, 0.01, 0.02)]
        # the button comes out slower than the hand goes up
        path += [at_button(layout, 2 * press + 1, travel, 0.03 - travel) for travel in (0.024, 0.018, 0.012, 0.006)]
        path += [at_button(layout, 2 * press + 2, 0.003, above) for above in (0.035, 0.015)][: 2 - (press == 2)]
    values = [progress(task, situation, layout) for situation in path]
    assert np.diff(values).min() > 0
    assert values[-1] == 1
    assert max(values[:-1]) < 1
    assert task.stage(path[2]) == 0


def test_the_same_picture_means_different_progress_by_what_was_counted(task):
    layout = task.layout(1)
    values = [progress(task, at_button(layout, count, above=0.05), layout) for count in (0, 2, 4, 6)]
    assert min(np.diff(values)) > 0.15
    assert values[-1] == 1


def test_three_presses_are_done_only_when_the_button_is_out_and_the_hand_off_it(task):
    layout = task.layout(1)
    assert task.success(at_button(layout, 6, above=0.03))
    assert task.success(replace(at_button(layout, 6), hand=layout.hand))
    assert not task.success(at_button(layout, 6, above=0.005))
    assert not task.success(at_button(layout, 6, travel=0.015, above=0.05))
    assert not task.success(at_button(layout, 5, travel=0.003, above=0.05))
    assert not task.success(at_button(layout, 4, above=0.05))


def test_a_fourth_press_spoils_it_for_good(task):
    layout = task.layout(1)
    spoiled = sum(task.proportions[:2])
    for count in range(7, 14):
        for above in (0.0, 0.02, 0.1):
            situation = at_button(layout, count, above=above)
            assert not task.success(situation)
            assert task.stage(situation) == 2
            assert progress(task, situation, layout) == pytest.approx(spoiled)
    assert progress(task, at_button(layout, 5, 0.02), layout) > spoiled


def test_the_expert_presses_exactly_three_times_and_the_simulator_counts(task, simulator):
    for seed in range(3):
        situation = simulator.reset(task.layout(seed))
        pushes = Disturbance(simulator.robot.pushes, 0.004, simulator.fps, np.random.default_rng(seed))
        seen = [situation]
        for _ in range(10 * simulator.fps):
            seen.append(simulator.step(simulator.command(task.act(seen[-1])), pushes.next()))
        assert sorted({s.count for s in seen}) == list(range(7))
        assert max(s.travel[1] for s in seen) < 0.005
        first = next(number for number, s in enumerate(seen) if task.success(s))
        assert all(task.success(s) for s in seen[first:])


def test_a_near_miss_presses_and_is_not_counted(task, simulator):
    for seed in range(3):
        offset = task.near_miss(np.random.default_rng(seed))
        situation = simulator.reset(task.layout(seed))
        target, _ = task.act(at_button(situation, 0, travel=0.016), offset)
        assert target[2] > TOUCH - 0.02, "it goes no deeper than that"
        seen, fancied = [], 0
        for _ in range(8 * simulator.fps):
            believed = replace(situation, count=fancied)
            fancied = task.counted(believed, offset)
            situation = simulator.step(simulator.command(task.act(replace(situation, count=fancied), offset)))
            seen.append(situation)
        assert fancied == 6
        assert max(s.count for s in seen) == 0
        assert max(s.travel[0] for s in seen) > 0.008


def test_a_restored_simulator_has_counted_as_much_as_when_it_was_saved(task, simulator):
    situation = simulator.reset(task.layout(0))
    while situation.count < 3:
        situation = simulator.step(simulator.command(task.act(situation)))
    saved = simulator.save()
    while not task.success(situation):
        situation = simulator.step(simulator.command(task.act(situation)))
    assert simulator.restore(saved).count == 3
    assert simulator.reset(task.layout(0)).count == 0


def test_who_undoes_it_presses_a_fourth_time(task, simulator):
    layout = task.layout(0)
    situation = simulator.reset(replace(layout, count=6))
    assert task.undo(situation, layout) is not None
    for _ in range(6 * simulator.fps):
        wish = task.undo(situation, layout)
        if wish is None:
            break
        situation = simulator.step(simulator.command(wish))
    assert situation.count == 7
    for _ in range(2 * simulator.fps):
        situation = simulator.step(simulator.command(task.act(situation)))
    assert not task.success(situation)
    assert situation.travel[0] < 0.005
