"""Every fault of the list on real sockets, in the forms of ROS 1 and of ROS 2: what the node says, how long until the
arm rests (it was moving, which is asserted), and that nothing moves it again by itself."""

import time

import numpy as np
import pytest

STALE = 0.5
LATE = 0.3


def well_again(cell):
    """Whatever was broken is whole again: the node runs, and the arm does not move."""
    cell.proxy.rules = []
    cell.until(lambda: cell.state == "RUNNING")
    commands = len(cell.robot.commands)
    time.sleep(0.7)
    assert len(cell.robot.commands) == commands
    assert not cell.robot.moving


def test_pictures_that_are_dropped(cell, rule, camera):
    since = cell.move()
    cell.proxy.rules = [rule("drop", topic=camera)]
    cell.until(lambda: cell.state == "DEGRADED")
    cell.rests_for_good(since, STALE + 0.25)
    assert not cell.said("progress", since + STALE + LATE + 1)
    assert cell.said("valid", since)[-1] is False
    well_again(cell)


def test_joints_that_are_dropped(cell, rule):
    since = cell.move()
    cell.proxy.rules = [rule("drop", topic="/joint_states")]
    cell.until(lambda: cell.state == "DEGRADED")
    cell.rests_for_good(since, STALE + 0.25)
    well_again(cell)


def test_pictures_that_are_held_up(cell, rule, camera):
    since = cell.move()
    cell.proxy.rules = [rule("delay", topic=camera, seconds=0.8)]
    cell.until(lambda: cell.state == "DEGRADED")
    cell.rests_for_good(since, 1.1)
    assert all(told["frame_age_ms"] <= 1000 * (STALE + LATE + 0.1) for told in cell.results(since))
    well_again(cell)


@pytest.mark.parametrize("kind", ["duplicate", "reorder"])
def test_pictures_twice_or_out_of_order(cell, rule, camera, kind):
    since = cell.move()
    cell.proxy.rules = [rule(kind, topic=camera, share=0.5)]
    time.sleep(1.5)
    assert cell.proxy.done[kind] > 5
    stamps = [tuple(told["stamp"]) for told in cell.results(since)]
    assert len(stamps) > 5
    assert stamps == sorted(set(stamps))
    assert cell.state == "RUNNING"


def test_a_camera_that_hangs(cell, rule, camera):
    since = cell.move()
    cell.proxy.rules = [rule("freeze", topic=camera)]
    cell.until(lambda: cell.state == "DEGRADED")
    cell.rests_for_good(since, 1.0 + STALE + 0.25)
    well_again(cell)


@pytest.mark.parametrize("kind", ["corrupt", "garbage", "oversize"])
def test_frames_that_are_none(cell, rule, camera, kind):
    since = cell.move()
    cell.proxy.rules = [rule(kind, topic=camera, share=1.0 if kind == "corrupt" else 0.2)]
    cell.until(lambda: cell.proxy.done[kind] > 2)
    time.sleep(0.5)
    cell.proxy.rules = []
    assert cell.node._thread.is_alive()
    if cell.state == "STOPPED":  # a frame too large ends the connection, and that is latched
        cell.until(lambda: cell.transport.connected)
        cell.rests_for_good(since, 3)
        assert cell.node.ask("start").success
    cell.until(lambda: cell.state == "RUNNING")


def test_stamps_of_a_clock_that_jumps(cell):
    since = cell.move()
    for ahead in (3.0, -3.0):
        cell.robot.stamp = lambda now, ahead=ahead: now + ahead
        time.sleep(0.8)
    progress = cell.results(since)
    assert all(told["frame_age_ms"] >= -60 for told in progress)
    cell.robot.stamp = lambda now: 0.0
    cell.until(
        lambda: cell.results(time.monotonic() - 0.3) and cell.results(time.monotonic() - 0.3)[-1]["stamp"] is None
    )


def test_a_bridge_that_dies_and_comes_back(cell):
    cell.move()
    cell.proxy.refusing = True
    cell.proxy.cut()
    cell.until(lambda: cell.state == "STOPPED")
    # nobody can ask it to stop: its own dead-man has to
    cell.until(lambda: not cell.robot.moving, 2)
    time.sleep(4)
    assert not cell.robot.moving
    cell.proxy.refusing = False
    back = time.monotonic()
    cell.until(lambda: cell.said("progress", back))
    assert time.monotonic() - back < 3 + 2  # three seconds, and what a busy machine adds
    assert cell.state == "STOPPED"
    assert not cell.robot.moving
    assert cell.node.ask("start").success
    cell.until(lambda: cell.state == "RUNNING")
    assert not cell.robot.moving


def test_a_bridge_that_hangs_is_noticed_by_the_age_of_its_data(cell):
    since = cell.move()
    cell.proxy.stalled = True
    cell.until(lambda: cell.state in ("DEGRADED", "STOPPED"), STALE + 0.1 + 1)
    # what is asked of it does not get through: its own dead-man has to
    cell.rests_for_good(since, STALE + 0.25, asked=False)
    cell.proxy.stalled = False
    cell.until(lambda: cell.transport.connected and cell.said("progress", time.monotonic() - 0.3))
    assert not cell.robot.moving


def test_a_model_that_raises(cell):
    since = cell.move()
    cell.model.fails = True
    cell.until(lambda: cell.state == "STOPPED")
    cell.rests_for_good(since, 0.5)
    assert cell.said("state", since)[-1] == "STOPPED model: RuntimeError: out of memory"


def test_a_model_that_says_no_number(cell):
    since = cell.move()
    cell.model.value = np.nan
    cell.until(lambda: cell.state == "DEGRADED")
    cell.rests_for_good(since, 0.5)
    assert np.isfinite([told["progress"] for told in cell.results(since)]).all()
    cell.model.value = 0.5
    well_again(cell)


def test_a_model_that_takes_too_long(cell):
    since = cell.move()
    cell.model.seconds = 1.0
    cell.until(lambda: cell.state == "DEGRADED")
    cell.rests_for_good(since, LATE + 0.25)
    assert all(told["latency_ms"] <= 1000 * LATE for told in cell.results(since))
    cell.model.seconds = 0.05
    well_again(cell)


@pytest.mark.parametrize("answer", [[np.nan], [np.inf], [0.1, 0.2], []])
def test_a_policy_that_says_nonsense(cell, answer):
    since = cell.move()
    cell.pilot.answer = answer
    cell.until(lambda: cell.state == "STOPPED")
    cell.rests_for_good(since, 0.5)


def test_a_policy_that_says_too_much(cell):
    cell.move()
    cell.pilot.answer = [1e9]
    cell.until(lambda: abs(cell.robot._target - cell.robot.position) > 0.3)
    assert cell.robot._target - cell.robot.position <= 0.5 + 0.1
    assert cell.state == "RUNNING"


def test_the_estop_pressed_and_released(cell):
    since = cell.move()
    cell.robot.pressed = True
    cell.until(lambda: cell.state == "STOPPED")
    assert not cell.node.ask("reset").success
    cell.robot.pressed = False
    cell.rests_for_good(since, 0.5)
    assert cell.state == "STOPPED"
    cell.until(lambda: cell.node.ask("reset").success)
    cell.until(lambda: cell.state == "RUNNING")
    assert not cell.robot.moving


def test_the_estop_that_falls_silent(cell):
    since = cell.move()
    cell.robot.speaking = False
    cell.rests_for_good(since, 0.5 + 0.25)
    assert not cell.node.ask("enable").success
    cell.robot.speaking = True
    cell.until(lambda: cell.node.ask("enable").success)


def test_the_arm_stops_by_itself_when_the_node_is_gone(cell):
    cell.move()
    cell.proxy.cut()
    cell.proxy.refusing = True
    cell.until(lambda: not cell.robot.moving, 0.2 + 0.05 + 1)
    time.sleep(0.7)
    assert not cell.robot.moving


def test_joints_of_another_moment_than_the_pictures(cell):
    since = cell.move()
    cell.robot.joint_stamp = lambda stamp: stamp - 0.2
    cell.until(lambda: cell.state == "DEGRADED")
    cell.rests_for_good(since, 0.25 + 0.25)
    cell.robot.joint_stamp = lambda stamp: stamp
    well_again(cell)


def test_a_robot_that_is_switched_on_after_the_node(make_cell):
    """On ROS 2 the subscription was matched with nobody, and would stay silent for ever."""
    cell = make_cell(late=True)
    cell.until(lambda: any("nobody publishes it" in line for line in cell.lines))
    cell.power_on()
    cell.until(lambda: cell.state == "RUNNING")
    cell.move()


def test_pictures_of_another_type_are_told_with_what_they_are(make_cell):
    cell = make_cell(image_kind="sensor_msgs/Image")
    told = "it is a sensor_msgs/CompressedImage and not a sensor_msgs/Image; set topics.image_kind"
    cell.until(lambda: any(told in line for line in cell.lines))
    assert cell.state == "WAITING"
