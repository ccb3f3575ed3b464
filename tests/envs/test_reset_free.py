"""The way back after an attempt: its expert, its truth, its goals, and what no policy can bring back."""

from dataclasses import replace

import numpy as np
import pytest

from headway.errors import InvalidValue, UnknownName
from headway_envs.motion import lateral
from headway_envs.recording import Recorder, RecordingOptions
from headway_envs.reset_free import (
    BACK_INSTRUCTION,
    back_names,
    back_state,
    check_way_back,
    draw_goal,
    out_of_reach,
    ready,
    record_back,
)
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_envs.tasks.base import Situation

LIFT = find_task("lift")
BLIND = RecordingOptions(robot="gripper", cameras=())


def lifted(seed: int) -> Simulator:
    """A simulator as an expert leaves it that has lifted the cube."""
    recorder = Recorder("lift", BLIND)
    assert recorder.record(seed).truth.succeeded
    return recorder.simulator


def moved(simulator: Simulator, place: tuple[float, float, float]) -> Situation:
    """The situation with the red cube put there by hand."""
    simulator.data.qpos[simulator._free[0] : simulator._free[0] + 3] = place  # type: ignore[operator]
    simulator._look_around()
    return simulator.situation()


@pytest.mark.parametrize("seed", range(4))
def test_the_expert_brings_the_cube_to_its_goal_and_leaves(seed: int) -> None:
    simulator = lifted(seed)
    held = simulator.situation()
    trip = record_back(simulator, seed, options=BLIND)
    after = simulator.situation()
    goal = trip.environment_state[0][-6:]
    assert trip.success
    assert not ready(LIFT, held)
    assert lateral(after.objects[0], goal[:3]) < 0.03
    assert lateral(after.hand, goal[3:]) < 0.03
    assert lateral(after.objects[0], after.hand) > 0.15


@pytest.mark.parametrize("kind", ["hold", "stay", "abandon"])
def test_who_makes_a_mistake_leaves_nothing_ready(kind: str) -> None:
    simulator = lifted(0)
    trip = record_back(simulator, 0, kind, BLIND)
    assert not trip.success
    assert trip.kind == kind


def test_who_stays_has_put_the_cube_down_and_who_holds_has_not() -> None:
    heights = {}
    for kind in ("hold", "stay"):
        simulator = lifted(0)
        record_back(simulator, 0, kind, BLIND)
        heights[kind] = simulator.situation().objects[0][2]
    assert heights["stay"] < 0.03 < 0.1 < heights["hold"]


def test_a_way_back_goes_on_from_the_scene_as_it_is() -> None:
    simulator = lifted(1)
    before = simulator.robot.state(simulator.data)
    trip = record_back(simulator, 1, options=BLIND)
    assert (trip.state[0] == before).all()
    again = record_back(lifted(1), 1, options=BLIND)
    assert (trip.action == again.action).all()
    assert (trip.state == again.state).all()


def test_a_way_back_is_an_episode_with_its_own_instruction_and_label() -> None:
    simulator = lifted(0)
    trip = record_back(simulator, 0, "stay", RecordingOptions(robot="gripper", cameras=("front",), size=32))
    episode = trip.episode(3)
    assert (episode.index, episode.instruction, episode.success) == (3, BACK_INSTRUCTION, False)
    assert len(episode.camera("front")) == len(trip.action)
    assert episode.truth is None


@pytest.mark.parametrize("seed", range(20))
def test_every_layout_of_the_task_is_ready(seed: int) -> None:
    assert ready(LIFT, LIFT.layout(seed))


def test_a_scene_is_not_ready_while_the_hand_is_near_low_or_closed_or_the_cube_tilts_or_is_up() -> None:
    layout = LIFT.layout(0)
    x, y, z = layout.objects[0]
    assert not ready(LIFT, replace(layout, hand=(x, y, 0.2)))
    assert not ready(LIFT, replace(layout, hand=(*layout.hand[:2], 0.08)))
    assert not ready(LIFT, replace(layout, opening=0.03))
    assert not ready(LIFT, layout.with_object(0, (x, y, z + 0.02)))


def test_goals_are_free_places_and_others_than_before() -> None:
    random = np.random.default_rng(0)
    for situation in (LIFT.layout(0), lifted(0).situation()):
        goals = [draw_goal(LIFT, situation, random) for _ in range(50)]
        assert len({goal.objects[0] for goal in goals}) == 50
        # clear of the blue cube as it lies now, not as in the layout that the goal comes from
        assert min(lateral(goal.objects[0], situation.objects[1]) for goal in goals) >= 0.12
        assert min(lateral(goal.objects[0], goal.hand) for goal in goals) >= 0.2


def test_the_expert_moves_a_cube_that_lies_on_the_table_too() -> None:
    simulator = Simulator(LIFT, "gripper")
    before = simulator.reset(LIFT.layout(5))
    trip = record_back(simulator, 5, options=BLIND)
    goal = trip.environment_state[0][-6:-3]
    assert trip.success
    assert lateral(simulator.situation().objects[0], goal) < 0.03 < lateral(before.objects[0], goal)


def test_the_goal_comes_after_what_a_policy_for_the_task_sees() -> None:
    layout = LIFT.layout(0)
    goal = draw_goal(LIFT, layout, np.random.default_rng(0))
    values = dict(zip(back_names(LIFT), back_state(LIFT, layout, goal).tolist(), strict=True))
    assert values["red cube.x"] == pytest.approx(layout.objects[0][0])
    assert values["red cube goal.y"] == pytest.approx(goal.objects[0][1])
    assert values["hand goal.z"] == pytest.approx(goal.hand[2])


def test_a_cube_is_out_of_reach_beside_the_box_and_on_the_floor_only() -> None:
    simulator = lifted(0)
    assert not out_of_reach(simulator, simulator.situation())
    for place in ((0.45, 0.0, 0.025), (0.0, -0.32, 0.025), (0.0, 0.3, 0.025), (0.1, 0.1, -0.4)):
        assert out_of_reach(simulator, moved(simulator, place)), place
    for place in ((0.38, 0.0, 0.025), (0.0, -0.26, 0.025), (0.0, 0.24, 0.2)):
        assert not out_of_reach(simulator, moved(simulator, place)), place


def test_only_what_is_carried_has_a_way_back() -> None:
    check_way_back(LIFT)
    with pytest.raises(InvalidValue, match="push-to-goal has no way back"):
        check_way_back(find_task("push-to-goal"))
    with pytest.raises(UnknownName, match="kind of way back"):
        record_back(lifted(0), 0, "sleep", BLIND)
