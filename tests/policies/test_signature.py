import numpy as np
import pytest

from headway.errors import CheckpointError, InvalidValue, UnknownName
from headway_envs.observations import environment_state
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_policies.signature import Signature, signature_of

HAND = ("hand.x", "hand.y", "hand.z")
ROBOTS = [("gripper", None), ("arm", None), ("arm", "joint-delta"), ("arm", "ee-delta")]


@pytest.mark.parametrize(("robot", "space"), ROBOTS)
@pytest.mark.parametrize("task_id", ["tidy-drawer", "stack-three"])
def test_the_hand_and_the_places_are_found_where_the_simulator_has_them(task_id, robot, space):
    task = find_task(task_id)
    simulator = Simulator(task, robot, space)
    situation = simulator.reset(task.layout(3))
    signature = signature_of(task_id, robot, space)
    assert simulator.robot.state(simulator.data)[signature.hand] == pytest.approx(situation.hand, abs=1e-6)
    places = environment_state(task, situation)[: 3 * signature.places].reshape(-1, 3)
    assert places == pytest.approx(np.array(situation.objects))


@pytest.mark.parametrize(("robot", "space", "absolute"), [*zip(*zip(*ROBOTS, strict=True), (3, 6, 0, 0), strict=True)])
def test_targets_are_told_from_changes(robot, space, absolute):
    assert signature_of("tidy-drawer", robot, space).absolute == absolute


def test_travel_count_and_goal_are_no_place():
    names = ("cup.x", "cup.y", "cup.z", "drawer", "count", "goal")
    assert Signature(HAND, names, ("grip",)).places == 1
    assert Signature(HAND, names[3:], ("grip",)).places == 0


def test_a_target_after_the_first_change_is_taken_as_it_is():
    assert Signature((*HAND, "opening"), (), ("hand.x", "hand.y.delta", "hand.z", "grip")).absolute == 1


@pytest.mark.parametrize("state", [("elbow.pos",), ("hand.x", "hand.z", "hand.y"), ("hand.x", "hand.y"), ()])
def test_a_state_that_does_not_say_where_the_hand_is_is_refused(state):
    with pytest.raises(InvalidValue, match="state must hold the hand"):
        Signature(state, (), ("grip",))


def test_changes_of_joints_do_not_pass_for_changes_of_the_hand_though_there_are_as_many():
    simulator = Simulator(find_task("tidy-drawer"), "arm", "ee-delta")
    signature_of("tidy-drawer", "arm", "ee-delta").check_fits(simulator)
    with pytest.raises(CheckpointError, match=r"of its action is 'base_yaw\.delta', there it is 'hand\.x\.delta'"):
        signature_of("tidy-drawer", "arm", "joint-delta").check_fits(simulator)


def test_a_value_too_many_does_not_fit_either():
    simulator = Simulator(find_task("tidy-drawer"), "gripper")
    fits = signature_of("tidy-drawer", "gripper")
    more = Signature(fits.state, (*fits.environment_state, "lid"), fits.action)
    with pytest.raises(CheckpointError, match="value 7 of its environment_state is 'lid', there it is nothing"):
        more.check_fits(simulator)
    with pytest.raises(CheckpointError, match="value 3 of its action is nothing, there it is 'grip'"):
        Signature(fits.state, fits.environment_state, fits.action[:3]).check_fits(simulator)


def test_an_unknown_task_robot_or_action_space_is_refused():
    for wrong in (("make-tea", "arm", None), ("tidy-drawer", "dog", None), ("tidy-drawer", "arm", "torque")):
        with pytest.raises(UnknownName):
            signature_of(*wrong)
