import sys

import numpy as np
import pytest

from headway.errors import InvalidValue, UnknownName, Unsupported
from headway_envs.robots import ROBOTS
from headway_envs.robots.action_spaces import ACTION_SPACES
from headway_envs.simulator import Simulator
from headway_envs.tasks import TASKS

DRAWER = TASKS["tidy-drawer"]
PLACES = [(-0.15, -0.05, 0.03), (0.27, -0.15, 0.03), (-0.21, -0.14, 0.03), (0.38, 0.0, 0.2), (0.1, 0.2, 0.05)]


@pytest.fixture(scope="module")
def arm():
    return Simulator(DRAWER, "arm")


def settle(simulator, hand, seconds=2.0, grip=1.0):
    """Send the hand there in a straight line and wait."""
    for _ in range(round(seconds * simulator.fps)):
        at = np.array(simulator.robot.hand(simulator.data))
        step = np.clip(np.array(hand) - at, -0.03, 0.03)
        situation = simulator.step(simulator.command((tuple(at + step), grip)))
    return situation


@pytest.mark.parametrize("place", PLACES)
def test_the_arm_reaches_all_over_the_table_and_points_down(arm, place):
    arm.reset(DRAWER.layout(0))
    above = (place[0], place[1], 0.2)
    settle(arm, above)
    situation = settle(arm, place)
    assert np.allclose(situation.hand, place, atol=0.004)
    w, *_ = arm.robot.state(arm.data)[16:]
    assert 2 * np.degrees(np.arccos(min(1.0, abs(w)))) < 1.0


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_layout_puts_the_hand_where_it_says(robot):
    simulator = Simulator(DRAWER, robot)
    for seed in range(20):
        layout = DRAWER.layout(seed)
        situation = simulator.reset(layout)
        assert np.allclose(situation.hand, layout.hand, atol=1e-5)
        assert situation.opening == pytest.approx(layout.opening)
        assert np.allclose(situation.objects, layout.objects, atol=1e-9)


@pytest.mark.parametrize("robot", ROBOTS)
def test_names_fit_what_they_name(robot):
    simulator = Simulator(DRAWER, robot)
    simulator.reset(DRAWER.layout(0))
    own = simulator.robot
    assert own.state(simulator.data).shape == (len(own.state_names),)
    assert own.action_low.shape == own.action_high.shape == (len(own.action_names),)
    x = own.state_names.index("hand.x")
    assert np.allclose(own.state(simulator.data)[x : x + 3], simulator.situation().hand, atol=1e-6)


def test_no_command_makes_a_joint_faster_than_it_may_be_or_takes_it_past_its_limits(arm):
    random = np.random.default_rng(0)
    arm.reset(DRAWER.layout(0))
    low, high = arm.robot.action_low, arm.robot.action_high
    ranges = np.array([arm.model.joint(name).range for name in ("base_yaw", "shoulder", "elbow")])
    for number in range(150):
        if number % 15 == 0:
            wild = random.choice([low * 5, high * 5, random.uniform(low, high)])
        arm.step(wild)
        state = arm.robot.state(arm.data)
        assert np.abs(state[7:13]).max() < 4.0
        assert (state[:3] > ranges[:, 0] - 0.05).all()
        assert (state[:3] < ranges[:, 1] + 0.05).all()


@pytest.mark.parametrize("name", ACTION_SPACES)
def test_a_wish_means_the_same_in_every_action_space(name):
    """Written in any of them, the expert's wish ends in the servo targets that inverse kinematics found."""
    reference, other = Simulator(DRAWER, "arm"), Simulator(DRAWER, "arm", name)
    layout = DRAWER.layout(4)
    situation = reference.reset(layout)
    other.reset(layout)
    for _ in range(60):
        wish = DRAWER.act(situation)
        other.step(other.command(wish))
        situation = reference.step(reference.command(wish))
    assert np.allclose(other.situation().hand, situation.hand, atol=1e-3)
    assert len(other.robot.action_names) == 7


def test_hand_deltas_move_and_turn_the_hand_by_what_they_say():
    simulator = Simulator(DRAWER, "arm", "ee-delta")
    simulator.reset(DRAWER.layout(0))
    start = np.array(simulator.situation().hand)
    turn = simulator.robot.state(simulator.data)[16:]
    for _ in range(10):
        simulator.step(np.array([0.01, 0, 0, 0, 0, 0, 1.0]))
    moved = np.array(simulator.situation().hand) - start
    assert moved[0] > 0.03
    assert np.abs(moved[1:]).max() < 0.004
    for _ in range(10):
        simulator.step(np.array([0, 0, 0, 0, 0, 0.1, 1.0]))
    turned = simulator.robot.state(simulator.data)[16:]
    assert 2 * np.degrees(np.arccos(min(1.0, abs(float(turn @ turned))))) > 15
    assert abs(turned[3]) > 0.1, "about the vertical"


@pytest.mark.parametrize("robot", ROBOTS)
def test_the_grip_squeezes_and_lets_go(robot):
    task = TASKS["stack-three"]
    simulator = Simulator(task, robot)
    layout = task.layout(1)
    simulator.reset(layout)
    x, y, z = layout.objects[1]
    settle(simulator, (x, y, 0.2))
    settle(simulator, (x, y, z))
    settle(simulator, (x, y, z), 0.7, grip=-1.0)
    held = settle(simulator, (x, y, 0.2), 1.5, grip=-1.0)
    assert held.objects[1][2] > 0.15, "friction alone carries the cube"
    let_go = settle(simulator, (x, y, 0.2), 1.5, grip=1.0)
    assert let_go.objects[1][2] < 0.03


def test_unknown_robots_and_action_spaces_are_answered_with_those_there_are():
    with pytest.raises(UnknownName, match="unknown robot 'humanoid'; available: arm, gripper"):
        Simulator(DRAWER, "humanoid")
    with pytest.raises(
        UnknownName, match="unknown action space 'torque'; available: ee-delta, joint-delta, joint-target"
    ):
        Simulator(DRAWER, "arm", "torque")
    with pytest.raises(InvalidValue, match="the robot 'gripper' has no choice of action spaces"):
        Simulator(DRAWER, "gripper", "joint-delta")


def test_without_mink_one_line_says_what_to_do_and_the_gripper_still_works(monkeypatch):
    monkeypatch.setitem(sys.modules, "mink", None)
    with pytest.raises(Unsupported, match=r"pip install 'headway\[arm\]', or use the robot 'gripper'"):
        Simulator(DRAWER, "arm")
    Simulator(DRAWER, "gripper")
