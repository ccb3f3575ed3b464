"""The must-have list of a node beside an arm, point by point, on a clock of its own."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from headway.estimator import Reading
from headway_envs.ros.config import Arm, BridgeConfig
from headway_envs.ros.events import (
    ArmStopAsked,
    EstopSpoke,
    JointsArrived,
    LinkChanged,
    Resubscribed,
    TaskTold,
    Ticked,
)


def results(bench, since=0.0):
    return [json.loads(text) for _, text in bench.said("result", since)]


def assert_stopped_for_good(bench, since, within=0.25):
    """The arm's stop was called in time, no command came after it, and none comes when all is well again."""
    assert bench.stops(since)
    assert bench.stops(since)[0][0] <= since + within
    assert not bench.said("command", bench.stops(since)[0][0])
    assert not bench.core.permission.given


def test_it_runs_and_tells_what_each_reading_was_of(bench):
    assert bench.core.state == "WAITING"
    bench.run(2)
    assert bench.core.state == "RUNNING"
    told = results(bench)
    assert len(told) > 15
    last = told[-1]
    assert last["progress"] == 0.5
    assert last["task"] == "open the drawer"
    assert last["model"] == "model"
    # the model's 50 ms, and what the picture waited for it
    assert 50 <= last["latency_ms"] <= 50 + 1000 / 30 + 20
    assert last["latency_ms"] <= last["frame_age_ms"] <= last["latency_ms"] + 40
    # the very picture: its number, and its stamp to the nanosecond
    stamps = [one["stamp"][0] + one["stamp"][1] / 1e9 for one in told]
    assert np.all(np.diff(stamps) > 0)
    assert stamps[-1] == pytest.approx(bench.now + bench.epoch, abs=0.2)
    assert bench.said("valid")[-1][1] is True


def test_the_state_of_the_model_is_taken_with_the_picture_by_name(bench):
    bench.position = lambda now: [now, -now]
    taken = []
    offer = bench.core.offer
    bench.core.offer = lambda now: (lambda view: taken.append(view) or view)(offer(now))
    bench.run(1)
    views = [view for view in taken if view]
    for view in views:
        assert view.state[0] == pytest.approx(-view.state[1])
        assert view.state[0] == pytest.approx(view.time, abs=0.1)


# 1


def test_without_pictures_progress_ends_and_the_arm_is_stopped(bench):
    bench.moving()
    since, bench.images = bench.now, False
    bench.run(2)
    limit = bench.core.config.limits.frame_age
    assert not bench.said("progress", since + limit)
    assert bench.core.state == "DEGRADED"
    assert bench.core.reason == "stale pictures"
    assert bench.said("valid")[-1][1] is False
    assert_stopped_for_good(bench, since, limit + 0.25)
    bench.images = True
    bench.run(2)
    assert bench.core.state == "RUNNING"
    assert_stopped_for_good(bench, since, limit + 0.25)


def test_without_joints_it_stops_sooner(bench):
    bench.moving()
    since, bench.joints_on = bench.now, False
    bench.run(1)
    assert bench.core.reason == "stale joints"
    assert_stopped_for_good(bench, since, bench.core.config.limits.joint_age + 0.25)


# 2


def test_pictures_that_are_held_up_are_old_though_they_come(bench):
    bench.moving()
    since = bench.now
    bench.delay = 0.9
    bench.run(1.5)
    assert bench.core.state == "DEGRADED"
    assert_stopped_for_good(bench, since, 1.2)


def test_a_stamp_from_the_future_is_not_fresh(bench):
    bench.moving()
    since = bench.now
    bench.delay = -3
    bench.run(0.8)
    assert bench.core.views.dropped["future"] > 10
    assert bench.core.state == "DEGRADED"
    assert_stopped_for_good(bench, since, 0.8)
    # a clock that was set forward and stays there is another clock, and another episode
    bench.run(2)
    assert bench.core.state == "RUNNING"
    assert bench.said("command", since + 0.8) == []


def test_stamps_of_a_clock_that_is_elsewhere_work_and_are_told(make_bench, arm_config):
    bench = make_bench(arm_config)
    bench.epoch += 3600
    bench.run(1)
    assert bench.core.state == "RUNNING"
    bench.run(1)
    values = diagnosed(bench)
    assert values["clock_skewed"] == "True"
    assert float(values["clock_skew_s"]) == pytest.approx(3600, abs=1)


def diagnosed(bench):
    status = bench.said("diagnostics")[-1][1]["status"][0]
    return {pair["key"]: pair["value"] for pair in status["values"]}


def test_stamps_of_zero_count_by_their_arrival(bench):
    bench.stamp = lambda now: 0.0
    bench.run(2)
    assert bench.core.state == "RUNNING"
    assert results(bench)[-1]["stamp"] is None


def test_stamps_that_jump_back_begin_another_episode(bench):
    bench.model = lambda seconds: Reading(seconds, min(1.0, 0.2 * seconds), success=0.0)
    bench.run(3)
    since = bench.now
    bench.epoch -= 100
    bench.run(1)
    progress = [value for _, value in bench.said("progress", since)]
    assert progress[0] < 0.1
    assert results(bench, since)[0]["reward"] == 0


# 3


def test_duplicates_and_pictures_out_of_order_change_nothing(make_bench, arm_config):
    def told(disorder):
        bench = make_bench(arm_config)
        seen = []
        offer = bench.core.offer
        bench.core.offer = lambda now: (lambda view: seen.append(view) or view)(offer(now))
        image, last = bench.image, []

        def disorderly():
            image()
            last.append(bench.stamp(bench.now))
            if disorder and len(last) > 2:
                image(last[-1], "again")
                image(last[-3], "late")

        bench.image = disorderly
        bench.run(2)
        return [view.seconds for view in seen if view], bench

    ordered, _ = told(False)
    disordered, bench = told(True)
    assert disordered == ordered
    assert bench.core.views.dropped["duplicate"] > 20
    assert bench.core.views.dropped["reordered"] > 20


# 4


def test_a_camera_that_hangs_is_noticed_though_its_stamps_go_on(bench):
    bench.moving()
    since = bench.now
    bench.digest = lambda now: "the same"
    bench.run(3)
    assert (bench.core.state, bench.core.reason) == ("DEGRADED", "frozen")
    assert_stopped_for_good(bench, since, 1.0 + 0.5 + 0.25)
    bench.digest = lambda now: f"{now}"
    bench.run(1)
    assert bench.core.state == "RUNNING"


# 6


def test_a_late_result_is_thrown_away(bench):
    bench.moving()
    since, bench.model_seconds = bench.now, 1.0
    bench.run(2.5)
    assert bench.core.state == "DEGRADED"
    assert bench.core.counts["overrun"] >= 1
    assert not bench.said("progress", since + 0.1)
    assert_stopped_for_good(bench, since, 0.3 + 0.25)
    bench.model_seconds = 0.05
    bench.run(2)
    assert bench.core.state == "RUNNING"
    assert not bench.said("command", since + 0.1)


# 7


def test_a_model_that_fails_stops_the_arm_until_start(bench):
    bench.moving()
    since, model = bench.now, bench.model
    bench.model = lambda seconds: "model: RuntimeError: out of memory"
    bench.run(1)
    assert (bench.core.state, bench.core.reason) == ("STOPPED", "model: RuntimeError: out of memory")
    assert_stopped_for_good(bench, since)
    bench.model = model
    bench.run(1)
    assert not bench.said("progress", since + 0.1)
    assert bench.service("start").success
    bench.run(1)
    assert bench.core.state == "RUNNING"
    assert_stopped_for_good(bench, since)


def test_it_says_that_it_is_alive(bench):
    bench.run(3)
    beats = np.array([time for time, _ in bench.said("heartbeat")])
    assert np.diff(beats).max() < 0.15


# 8


def test_the_estop_is_latched_until_it_is_released_and_reset_is_called(bench):
    bench.moving()
    since = bench.now
    bench.do(EstopSpoke(bench.now, True))
    assert bench.core.state == "STOPPED"
    assert_stopped_for_good(bench, since, 0.0)
    assert not bench.service("reset").success
    assert "still pressed" in bench.service("reset").message
    bench.run(1)  # it says clear again, ten times a second
    assert bench.core.state == "STOPPED"
    assert not bench.service("start").success
    assert not bench.service("enable").success
    assert bench.service("reset").success
    bench.run(1)
    assert bench.core.state == "RUNNING"
    assert_stopped_for_good(bench, since)


def test_an_estop_that_falls_silent_stops_the_arm(bench):
    bench.moving()
    since, bench.estop_on = bench.now, False
    bench.run(1)
    assert bench.core.state == "RUNNING"
    assert_stopped_for_good(bench, since, bench.core.config.limits.estop_age + 0.05)
    assert "silent" in bench.service("enable").message


# 9


def successes(bench, since=0.0):
    return [value for _, value in bench.said("success", since)]


def test_one_confident_reading_is_no_success(bench):
    bench.model = lambda seconds: Reading(seconds, 0.5, success=1.0 if 1.0 < seconds < 1.1 else 0.1)
    bench.run(4)
    assert True not in successes(bench)


def test_a_noisy_success_is_declared_once_and_stays(bench):
    rng = np.random.default_rng(0)
    bench.model = lambda seconds: Reading(seconds, 0.5, success=0.1 if seconds < 2 else rng.uniform(0.85, 1))
    bench.moving()
    since = bench.now
    bench.run(5)
    assert successes(bench).count(True) == 1
    bench.model = lambda seconds: Reading(seconds, 0.5, success=0.0)
    bench.run(2)
    assert bench.core.readings.success
    assert bench.stops(0)[0][1] == "success"
    assert not bench.said("command", max(since, bench.stops(0)[0][0]))
    assert "reset" in bench.service("enable").message
    bench.service("reset")
    assert successes(bench)[-1] is False
    assert not bench.core.readings.success


def test_another_task_ends_the_permission(bench):
    bench.moving()
    since = bench.now
    bench.do(TaskTold(bench.now, "something else"))
    assert bench.said("valid")[-1][1] is False
    bench.run(1)
    assert bench.core.state == "RUNNING"
    assert_stopped_for_good(bench, since, 0.0)


def test_no_reward_over_a_gap_while_it_is_stopped(bench):
    bench.model = lambda seconds: Reading(seconds, min(1.0, 0.1 * seconds), success=0.1)
    bench.run(1)
    bench.service("stop")
    bench.images = False
    bench.run(3)
    since, bench.images = bench.now, True
    bench.run(1)
    assert results(bench, since)[0]["reward"] == 0
    assert results(bench, since)[1]["reward"] != 0


def test_a_delay_that_creeps_up_is_noticed(make_bench, arm_config):
    """20 ms more in every second: no step that anybody would see, and half a second after 25."""
    bench = make_bench(arm_config)
    bench.moving()
    begun = bench.now
    bench.stamp = lambda now: now + bench.epoch - 0.01 - 0.02 * (now - begun)
    bench.run(40)
    assert bench.core.state == "DEGRADED"
    assert_stopped_for_good(bench, begun, 30)


def test_a_joint_outside_its_limits_is_not_pulled_back_by_a_jump(bench):
    bench.moving()
    since = bench.now
    bench.position = lambda now: [2.0, 0.0]
    bench.run(0.5)
    assert "outside its limits" in bench.core.reason
    assert_stopped_for_good(bench, since, 0.5)


def test_the_arm_is_asked_to_stop_again_once_the_connection_is_back(bench):
    bench.moving()
    bench.do(LinkChanged(bench.now, False))
    bench.run(1)
    since = bench.now
    bench.do(LinkChanged(bench.now, True))
    assert bench.stops(since)


def test_a_view_in_flight_when_the_connection_was_lost_is_not_told(bench):
    bench.run(1)
    while bench._busy is None:
        bench.run(0.01)
    bench.do(LinkChanged(bench.now, False))
    bench.do(LinkChanged(bench.now, True))
    since, bench.images = bench.now, False
    bench.run(0.2)
    assert bench._busy is None
    assert not bench.said("progress", since)


def test_a_number_that_is_none_is_null_in_the_result(bench):
    bench.model = lambda seconds: Reading(seconds, 0.5, success=0.1, uncertainty=float("nan"))
    bench.run(1)
    assert results(bench)[-1]["uncertainty"] is None
    bench.model = lambda seconds: Reading(float("nan"), 0.5, success=0.1)
    bench.run(1)
    assert bench.core.state == "RUNNING"


def test_success_may_be_told_by_progress(make_bench, arm_config):
    success = dataclasses.replace(arm_config.success, signal="progress")
    bench = make_bench(dataclasses.replace(arm_config, success=success))
    bench.model = lambda seconds: Reading(seconds, 0.95, success=0.0)
    assert bench.run(2).core.readings.success
    assert results(bench)[-1]["success"] == 0.95


def test_a_gap_ends_a_row_of_sure_readings(make_bench, arm_config):
    def declared(gap):
        config = dataclasses.replace(arm_config, success=dataclasses.replace(arm_config.success, frames=12, dwell=0))
        bench = make_bench(config)
        bench.model = lambda seconds: Reading(seconds, 0.5, success=1.0)
        bench.run(0.5)
        assert not bench.core.readings.success
        bench.images = not gap
        bench.run(1)
        bench.images = True
        bench.run(0.5)
        return bench.core.readings.success

    assert declared(False)
    assert not declared(True)


# 10


@pytest.mark.parametrize(
    ("command", "why"), [((np.nan, 0.0), "not finite"), ((np.inf, 0.0), "not finite"), ((0.1,), "1 values")]
)
def test_a_command_that_is_none_stops_everything(bench, command, why):
    bench.moving()
    since = bench.now
    bench.command = lambda seconds: command
    bench.run(1)
    assert bench.core.state == "STOPPED"
    assert why in bench.core.reason
    assert_stopped_for_good(bench, since, 0.2)
    assert all(np.isfinite(sent).all() for _, sent in bench.said("command"))


def test_commands_stay_within_the_limits(bench):
    bench.position = lambda now: [0.9, 0.0]
    bench.command = lambda seconds: (1e9, -1e9)
    bench.moving()
    for _, sent in bench.said("command"):
        assert sent == pytest.approx([1.0, -0.5])


def test_progress_is_published_at_most_twenty_times_a_second(bench):
    bench.model_seconds = 0.0
    bench.run(3)
    since = bench.now
    bench.run(3)
    assert len(bench.said("progress", since)) <= 61


# 11


def test_no_number_is_never_published(bench):
    bench.model = lambda seconds: Reading(seconds, np.nan if 2 < seconds < 3 else 0.5, success=0.1)
    bench.moving()
    bench.run(3)
    assert all(np.isfinite(value) for topic in ("progress", "reward") for _, value in bench.said(topic))
    assert_stopped_for_good(bench, 2.0, 0.3)


def test_progress_is_clipped_and_a_jump_needs_a_second_reading(bench):
    bench.model = lambda seconds: Reading(seconds, 3.0 if 1.0 < seconds < 1.1 else 0.2, success=0.1)
    bench.run(2)
    assert {value for _, value in bench.said("progress")} == {0.2}
    assert bench.core.counts["too fast a change"] == 1
    bench.model = lambda seconds: Reading(seconds, 3.0, success=0.1)
    bench.run(1)
    assert bench.said("progress")[-1][1] == 1.0


def test_rewards_are_differences_and_stop_at_every_seam(bench):
    bench.model = lambda seconds: Reading(seconds, min(1.0, 0.1 * seconds), success=0.1)
    bench.run(2)
    told = results(bench)
    for before, after in itertools.pairwise(told):
        assert after["reward"] == pytest.approx(0.99 * after["progress"] - before["progress"])
    for seam in ("gap", "task", "reset"):
        since = bench.now
        if seam == "gap":
            bench.images = False
            bench.run(1)
            bench.images = True
        elif seam == "task":
            bench.do(TaskTold(bench.now, "close the drawer"))
        else:
            bench.service("reset")
        bench.run(1)
        after = results(bench, since + (0.6 if seam == "gap" else 0))
        assert after[0]["reward"] == 0, seam
        assert after[1]["reward"] != 0, seam
        if seam != "gap":
            assert after[0]["progress"] < 0.05, seam


# 12


def test_a_lost_connection_stops_it_until_start(bench):
    bench.moving()
    since = bench.now
    bench.do(LinkChanged(bench.now, False))
    assert (bench.core.state, bench.core.reason) == ("STOPPED", "connection lost")
    assert_stopped_for_good(bench, since, 0.0)
    bench.do(LinkChanged(bench.now, True))
    bench.run(2)
    assert bench.core.state == "STOPPED"
    assert bench.said("progress", since + 1)  # it is told again, and moves nothing
    assert bench.service("start").success
    bench.run(1)
    assert bench.core.state == "RUNNING"
    assert_stopped_for_good(bench, since)
    assert bench.service("enable").success
    bench.run(1)
    assert bench.said("command", bench.now - 0.5)


# 13


def test_topics_that_say_nothing_are_subscribed_to_anew(bench):
    bench.images = False
    bench.run(7)
    again = [effect.topic for _, effect in bench.effects if isinstance(effect, Resubscribed)]
    assert again == ["/camera/image_raw/compressed"] * 2
    assert bench.core.state == "WAITING"


# 15


@pytest.mark.parametrize(
    "broken",
    [
        {"name": ["a"], "position": [0.0]},
        {"name": ["a", "b", "a"], "position": [0.0, 0.0, 0.0]},
        {"name": ["a", "b"], "position": [0.0, float("nan")]},
        {"name": ["a", "b"], "position": [0.0]},
    ],
)
def test_joints_that_cannot_be_read_are_no_joints(bench, broken):
    bench.moving()
    since = bench.now
    bench.joints = lambda: bench.do(JointsArrived(bench.now, {"velocity": [], "effort": [], **broken}))
    bench.run(1)
    assert bench.core.state == "DEGRADED"
    assert_stopped_for_good(bench, since, 0.5)


# 17


def test_pictures_and_joints_that_are_apart_are_no_view(bench):
    bench.moving()
    since = bench.now
    joints, stamp = bench.joints, bench.stamp

    def skewed():
        bench.stamp = lambda now: stamp(now) - 0.2
        joints()
        bench.stamp = stamp

    bench.joints = skewed
    bench.run(2)
    assert bench.core.state == "DEGRADED"
    assert_stopped_for_good(bench, since, 0.5)


# 18


def test_every_change_of_state_is_told_with_its_reason(bench):
    bench.moving()
    bench.images = False
    bench.run(1)
    bench.service("stop")
    told = [text for _, text in bench.said("state")]
    changes = [text for before, text in zip([None, *told], told, strict=False) if text != before]
    assert changes == ["WAITING", "RUNNING", "DEGRADED stale pictures", "STOPPED stop was called"]
    assert diagnosed(bench)["results"].isdigit()


# 19


def test_by_default_nothing_is_ever_sent_to_the_arm(make_bench):
    bench = make_bench(dataclasses.replace(BridgeConfig(), arm=Arm(joints=("a", "b"))))
    bench.run(1)
    assert "dry run" in bench.service("enable").message
    bench.run(1)
    bench.service("stop")
    assert bench.said("progress")
    assert not bench.said("command")
    assert not [effect for _, effect in bench.effects if isinstance(effect, ArmStopAsked)]


def test_without_permission_nothing_is_sent(bench):
    bench.run(3)
    assert bench.said("progress")
    assert not bench.said("command")
    bench.moving()
    bench.service("enable", False)
    since = bench.now
    bench.run(1)
    assert not bench.said("command", since)


def test_a_result_of_an_episode_that_is_over_is_thrown_away(bench):
    bench.run(1)
    bench.model_seconds = 0.2
    while bench._busy is None:
        bench.run(0.01)
    bench.do(TaskTold(bench.now, "something else"))
    since = bench.now
    bench.run(0.35)
    assert all(told["task"] == "something else" for told in results(bench, since))
    assert bench.core.counts["of another episode"] == 1


def test_ticks_alone_lead_to_nothing_but_signs_of_life(bench):
    before = len(bench.effects)
    bench.do(Ticked(0.0))
    assert {effect.topic for _, effect in bench.effects[before:]} <= {"heartbeat", "state", "valid", "diagnostics"}
