"""A graph in this process, as ROS 1 and ROS 2 would behave."""

import math

import pytest

from headway_envs.ros.memory import Bus
from headway_envs.ros.transport import Arrival, ServiceFailed, TransportError

FLOAT, STRING = "std_msgs/Float32", "std_msgs/String"


class Clock:
    now = 10.0

    def __call__(self):
        return self.now


@pytest.fixture(params=["ros1", "ros2"])
def bus(request):
    return Bus(Clock(), request.param)


def join(bus, name):
    participant = bus.connect(name)
    participant.start()
    return participant


def test_a_message_arrives_with_the_time_of_the_bus_and_belongs_to_who_took_it(bus):
    arm, node = join(bus, "arm"), join(bus, "node")
    first, second = [], []
    node.subscribe("joints", FLOAT, first.append)
    join(bus, "other").subscribe("/joints", FLOAT, second.append)
    arm.advertise("/joints", FLOAT)
    said = {"data": [1.0, {"a": math.nan}], "bytes": b"123"}
    arm.publish("joints", said)
    said["data"][0] = 5.0
    first[0].message["data"][0] = 7.0
    assert (first[0].topic, first[0].time) == ("/joints", 10.0)
    assert first[0].size == 4 + 8 + 1 + 8 + 5 + 3
    assert second[0].message["data"][0] == 1.0


def test_publishing_needs_an_advertisement(bus):
    with pytest.raises(TransportError, match="advertise"):
        join(bus, "arm").publish("/x", {})


def test_a_wrong_type_is_silent_and_noted(bus):
    arm, node = join(bus, "arm"), join(bus, "node")
    got = []
    node.subscribe("/x", STRING, got.append)
    arm.advertise("/x", FLOAT)
    arm.publish("/x", {"data": 1.0})
    assert got == []
    assert "/x is a std_msgs/Float32" in bus.notes[0]
    assert node.topic_type("/x") == FLOAT
    assert node.topic_type("/y") is None


def test_latched_topics_tell_who_comes_late(bus):
    arm = join(bus, "arm")
    arm.advertise("/task", STRING, latch=True)
    arm.publish("/task", {"data": "old"})
    arm.publish("/task", {"data": "new"})
    got = []
    node = bus.connect("node")
    node.subscribe("/task", STRING, got.append)
    assert got == []
    node.start()
    assert [each.message["data"] for each in got] == ["new"]
    assert node.latched("/task")


def test_latched_messages_wait_for_the_publisher_itself():
    bus = Bus(Clock())
    got = []
    join(bus, "node").subscribe("/task", STRING, got.append)
    arm = bus.connect("arm")
    arm.advertise("/task", STRING, latch=True)
    arm.publish("/task", {"data": "x"})
    assert got == []
    arm.start()
    assert len(got) == 1


def test_a_lost_connection_is_told_and_everything_is_there_again(bus):
    arm, node = join(bus, "arm"), bus.connect("node")
    links, got = [], []
    node.on_link(links.append)
    node.subscribe("/x", FLOAT, got.append)
    node.advertise_service("/reset", "std_srvs/Trigger", lambda asked: {"success": True})
    node.start()
    arm.advertise("/x", FLOAT)
    node.cut()
    assert not node.connected
    arm.publish("/x", {"data": 1.0})
    with pytest.raises(ServiceFailed, match="does not exist"):
        arm.call_service("/reset", "std_srvs/Trigger", {}, 1.0)
    with pytest.raises(ServiceFailed, match="not connected"):
        node.call_service("/reset", "std_srvs/Trigger", {}, 1.0)
    node.mend()
    arm.publish("/x", {"data": 2.0})
    assert [each.message["data"] for each in got] == [2.0]
    assert arm.call_service("reset", "std_srvs/Trigger", {}, 1.0) == {"success": True}
    node.close()
    node.start()
    assert links == [True, False, True, False]


def test_throttle_is_by_the_clock_of_the_bus(bus):
    arm, node = join(bus, "arm"), join(bus, "node")
    got = []
    node.subscribe("/x", FLOAT, got.append, throttle_ms=100)
    arm.advertise("/x", FLOAT)
    for step in range(30):
        bus.clock.now = 10.0 + step / 32
        arm.publish("/x", {"data": float(step)})
    assert [each.message["data"] for each in got] == [0, 4, 8, 12, 16, 20, 24, 28]


def test_services(bus):
    arm, node = join(bus, "arm"), join(bus, "node")

    def slow(asked):
        bus.clock.now += 2.0
        return {"success": True}

    def broken(asked):
        raise ValueError("no such joint")

    arm.advertise_service("/slow", "std_srvs/Trigger", slow)
    arm.advertise_service("/broken", "std_srvs/Trigger", broken)
    assert node.call_service("/slow", "std_srvs/Trigger", {}, 2.0) == {"success": True}
    for name, kind, reason in (
        ("/slow", "std_srvs/Trigger", "within 1.9 s"),
        ("/slow", "std_srvs/SetBool", "is a std_srvs/Trigger"),
        ("/broken", "std_srvs/Trigger", "no such joint"),
        ("/nope", "std_srvs/Trigger", "Service /nope does not exist"),
    ):
        with pytest.raises(ServiceFailed, match=reason):
            node.call_service(name, kind, {}, 1.9)
    assert node.services() == {"/slow": "std_srvs/Trigger", "/broken": "std_srvs/Trigger"}
    assert node.nodes() == ["/arm", "/node"]


def test_ros_2_is_silent_when_the_node_was_up_before_a_best_effort_publisher():
    bus = Bus(Clock(), "ros2")
    node, camera = join(bus, "node"), join(bus, "camera")
    got = []
    node.subscribe("/image", FLOAT, got.append)
    camera.advertise("/image", FLOAT, best_effort=True)
    camera.publish("/image", {"data": 1.0})
    assert got == []
    assert "best effort" in bus.notes[0]
    node.resubscribe("/image")
    camera.publish("/image", {"data": 2.0})
    assert [each.message["data"] for each in got] == [2.0]
    # asking for best effort, it also takes what is reliable
    other = join(bus, "other")
    other.advertise("/image", FLOAT)
    other.publish("/image", {"data": 3.0})
    assert len(got) == 2


def test_ros_1_does_not_know_best_effort():
    bus = Bus(Clock())
    node, camera = join(bus, "node"), join(bus, "camera")
    got = []
    node.subscribe("/image", FLOAT, got.append)
    camera.advertise("/image", FLOAT, best_effort=True)
    camera.publish("/image", {"data": 1.0})
    assert len(got) == 1


def test_ros_2_gives_the_past_only_to_who_asked_when_the_publisher_was_there():
    bus = Bus(Clock(), "ros2")
    early, arm = join(bus, "early"), bus.connect("arm")
    got = []
    early.subscribe("/task", STRING, got.append)
    arm.advertise("/task", STRING, latch=True)
    arm.publish("/task", {"data": "before"})
    arm.start()
    assert got == []
    arm.publish("/task", {"data": "now"})
    early.resubscribe("/task")
    assert [each.message["data"] for each in got] == ["now", "now"]
    # having asked for the past, it gets nothing from a publisher without one
    other = join(bus, "other")
    other.advertise("/task", STRING)
    other.publish("/task", {"data": "unheard"})
    assert len(got) == 2


def test_a_callback_may_publish_and_declare(bus):
    arm, node = join(bus, "arm"), join(bus, "node")
    got = []
    node.advertise("/echo", FLOAT)

    def echo(arrival: Arrival):
        arm.subscribe("/echo", FLOAT, got.append)
        node.publish("/echo", arrival.message)

    node.subscribe("/x", FLOAT, echo)
    arm.advertise("/x", FLOAT)
    arm.publish("/x", {"data": 1.0})
    assert len(got) == 1
