"""insert-peg: situations made by hand, and what the expert makes of mishaps in the simulation."""

from dataclasses import replace
from math import dist

import numpy as np
import pytest

from headway_envs.disturbance import Disturbance
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import progress

PEG, DECOY, SOCKET = 0, 1, 2
STANDING, CARRIED = 0.05, 0.18
"""Heights of a peg's middle in metres."""


@pytest.fixture
def task():
    return find_task("insert-peg")


@pytest.fixture(scope="module")
def simulator():
    return Simulator(find_task("insert-peg"), "gripper")


def holding(situation, place):
    x, y, z = place
    return replace(situation.with_object(PEG, place), hand=(x, y, z + 0.008), opening=0.03)


def over_hole(situation, height, off=0.0):
    x, y, _ = situation.objects[SOCKET]
    return holding(situation, (x + off, y, height))


def inserted(situation, off=0.0, height=STANDING, upright=1.0):
    """Let go in the hole, the hand away."""
    x, y, _ = situation.objects[SOCKET]
    there = situation.with_object(PEG, (x + off, y, height))
    return replace(there, upright=(upright, 1.0, 1.0), hand=(x, y, 0.2), opening=0.09)


def run(simulator, situation, act, seconds=12.0, disturbance=0.0):
    """The situations of somebody at work; until `act` has nothing more to do."""
    pushes = Disturbance(simulator.robot.pushes, disturbance, simulator.fps, np.random.default_rng(0))
    seen = [situation]
    for _ in range(round(seconds * simulator.fps)):
        wish = act(seen[-1])
        if wish is None:
            break
        seen.append(simulator.step(simulator.command(wish), pushes.next()))
    return seen


@pytest.mark.parametrize("seed", range(5))
def test_a_layout_starts_at_no_progress_with_room_between_things(task, seed):
    layout = task.layout(seed)
    assert task.stage(layout) == 0
    assert progress(task, layout, layout) == 0
    assert min(dist(layout.objects[a][:2], layout.objects[b][:2]) for a, b in ((0, 1), (0, 2), (1, 2))) > 0.12
    assert task.layout(seed, edge=0.06) == layout, "a peg has to fit, whatever the size of cubes"


def test_each_stage_starts_with_the_progress_of_those_before_it(task):
    layout = task.layout(4)
    for stage in range(3):
        start = task.canonical(stage, layout)
        assert task.stage(start) == stage
        assert progress(task, start, layout) == pytest.approx(sum(task.proportions[:stage]), abs=0.02)


def test_progress_grows_all_along_an_ideal_path(task):
    layout = task.layout(3)
    x, y, _ = layout.objects[PEG]
    goal_x, goal_y, _ = layout.objects[SOCKET]
    reach = [replace(layout, hand=(x, y, z)) for z in (0.15, 0.1, 0.06)]
    lift = [holding(layout, (x, y, z)) for z in np.arange(STANDING, 0.19, 0.01)]
    ways = np.linspace(0.0, 1.0, 30)[1:-1]
    carry = [holding(layout, (x + way * (goal_x - x), y + way * (goal_y - y), CARRIED)) for way in ways]
    lower = [over_hole(layout, z) for z in np.arange(0.14, 0.045, -0.01)]
    values = [progress(task, s, layout) for s in (layout, *reach, *lift, *carry, *lower, inserted(layout))]
    assert np.diff(values).min() >= 0
    assert (np.diff(values) > 0).mean() > 0.9
    assert np.diff(values[4:]).max() < 0.08
    assert values[-1] == 1
    assert max(values[:-1]) < 1


def test_dropping_the_peg_on_the_way_lowers_progress_and_tipping_it_over_lowers_it_further(task):
    layout = task.layout(2)
    place = tuple(np.mean([layout.objects[PEG], layout.objects[SOCKET]], axis=0)[:2])
    carried = holding(layout, (*place, CARRIED))
    dropped = replace(carried.with_object(PEG, (*place, STANDING)), opening=0.09)
    lying = replace(carried.with_object(PEG, (*place, 0.015)), opening=0.09, upright=(0.0, 1.0, 1.0))
    values = [progress(task, situation, layout) for situation in (lying, dropped, carried)]
    assert [task.stage(situation) for situation in (lying, dropped, carried)] == [0, 0, 1]
    assert values[0] < values[1] < values[2] - 0.1
    assert progress(task, lying, layout) < progress(task, replace(lying, upright=(1.0, 1.0, 1.0)), layout)


def test_pulling_the_peg_out_again_lowers_progress_more_and_more(task):
    layout = task.layout(0)
    pulled = [inserted(layout), *(over_hole(layout, z) for z in (0.05, 0.07, 0.1, 0.15)), layout]
    values = [progress(task, situation, layout) for situation in pulled]
    assert values[0] == 1
    assert np.diff(values).max() < 0


def test_a_peg_is_in_only_in_its_place_all_the_way_down_upright_and_let_go(task):
    layout = task.layout(1)
    assert task.success(inserted(layout))
    assert task.success(inserted(layout, off=0.003))
    for almost in (
        inserted(layout, off=0.006),
        inserted(layout, height=0.065),
        inserted(layout, upright=0.97),
        over_hole(layout, STANDING),
    ):
        assert not task.success(almost)
        assert progress(task, almost, layout) < 1


def test_a_peg_on_top_of_the_socket_or_the_other_peg_in_it_does_not_count(task):
    layout = task.layout(1)
    for off in (0.0, 0.008, 0.024):
        on_top = inserted(layout, off=off, height=0.085)
        assert task.stage(on_top) == 0
        assert not task.success(on_top)
    x, y, _ = layout.objects[SOCKET]
    wrong = layout.with_object(DECOY, (x, y, STANDING))
    assert progress(task, wrong, layout) == 0


def test_being_in_line_counts_only_with_the_peg_in_the_hand(task):
    layout = task.layout(1)
    held = over_hole(layout, CARRIED)
    assert task.stage(held) == 2
    without = replace(layout, hand=held.hand, opening=held.opening)
    assert task.stage(without) == 0


def test_the_expert_succeeds_and_the_peg_stays_in(task, simulator):
    for seed in range(3):
        seen = run(simulator, simulator.reset(task.layout(seed)), task.act, disturbance=0.004)
        first = next(number for number, situation in enumerate(seen) if task.success(situation))
        assert all(task.success(situation) for situation in seen[first:])


def test_the_expert_picks_up_again_a_peg_that_stands_elsewhere_and_leaves_one_that_lies(task, simulator):
    layout = task.layout(0)
    x, y, _ = layout.objects[SOCKET]
    elsewhere = layout.with_object(PEG, (x + 0.09, y, STANDING))
    assert task.success(run(simulator, simulator.reset(elsewhere), task.act)[-1])
    lying = replace(layout, upright=(0.0, 1.0, 1.0))
    target, grip = task.act(lying)
    assert target[2] >= layout.hand[2]
    assert grip == 1


def test_a_near_miss_stands_or_falls_beside_the_hole(task, simulator):
    layout = task.layout(1)
    offset = task.near_miss(np.random.default_rng(1))
    place = tuple(np.add(task.place(layout, PEG), offset))
    assert task.act(holding(layout, place), offset)[1] == 1, "it lets go there, on top of a wall"
    seen = []

    def act(situation):
        seen.append(situation)
        was_held = any(task.stage(before) == 1 for before in seen)
        let_go = was_held and situation.opening > 0.05
        return None if let_go else task.act(situation, offset)

    end = run(simulator, simulator.reset(layout), act)[-1]
    x, y, _ = layout.objects[SOCKET]
    assert max(abs(end.objects[PEG][0] - x - offset[0]), abs(end.objects[PEG][1] - y - offset[1])) < 0.015
    assert not any(task.success(situation) for situation in seen)


def test_who_undoes_it_stands_the_peg_where_it_was(task, simulator):
    layout = task.layout(2)
    done = run(simulator, simulator.reset(layout), task.act)[-1]
    assert task.success(done)
    undone = run(simulator, done, lambda situation: task.undo(situation, layout))[-1]
    assert task.undo(undone, layout) is None
    assert dist(undone.objects[PEG], layout.objects[PEG]) < 0.03
    assert undone.upright[PEG] > 0.99
    assert progress(task, undone, layout) < 0.4
