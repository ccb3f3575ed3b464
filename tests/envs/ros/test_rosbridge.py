"""The client, against our own server and through a proxy that does all that may happen to frames."""

import math
import runpy
import socket
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from headway_envs.ros.memory import Bus
from headway_envs.ros.messages import MessageError
from headway_envs.ros.rosbridge.client import RosbridgeTransport
from headway_envs.ros.rosbridge.links import Outbox
from headway_envs.ros.rosbridge.server import RosbridgeServer
from headway_envs.ros.transport import ServiceFailed, TransportError

_PROXY = runpy.run_path(str(Path(__file__).with_name("proxy.py")))
FaultProxy, Rule = _PROXY["FaultProxy"], _PROXY["Rule"]

FLOAT, STRING, JOINTS, IMAGE = "std_msgs/Float32", "std_msgs/String", "sensor_msgs/JointState", "sensor_msgs/Image"
HEADER = {"stamp": {"sec": 7, "nanosec": 8}, "frame_id": "cam"}
PICTURE = {"height": 2, "width": 3, "encoding": "rgb8", "is_bigendian": 0, "step": 9, "data": bytes(range(18))}


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


class World:
    """An arm on a bus, a server before it, a proxy before that, and clients."""

    def __init__(self, dialect="ros1", **settings):
        self.bus = Bus(dialect=dialect)
        self.settings = settings
        self.dialect = dialect
        self.clients = []
        self.arm = self.bus.connect("arm")
        self.arm.start()
        self.serve(0)
        self.proxy = FaultProxy(self.server.url, seed=5).start()

    def serve(self, port):
        self.server = RosbridgeServer(self.bus.connect("rosbridge"), self.dialect, port=port, **self.settings)
        self.server.start()

    def client(self, url=None, **settings):
        client = RosbridgeTransport(url or self.proxy.url, **{"backoff": (0.05, 0.2)} | settings)
        self.clients.append(client)
        return client

    def started(self, *topics, **settings):
        """A connected client that hears of topics, and what it heard."""
        client, got = self.client(**settings), []
        for topic in topics:
            client.subscribe(topic, FLOAT, got.append)
        client.start()
        self.settle(client)
        return client, got

    def settle(self, client):
        """All that the client has said so far was read."""
        until(lambda: client.connected)
        client.call_service("/rosapi/get_time", "rosapi/GetTime", {}, 20.0)

    def close(self):
        for client in self.clients:
            client.close()
        self.proxy.close()
        self.server.close()


@pytest.fixture
def make_world():
    worlds = []

    def make(*given, **settings):
        worlds.append(World(*given, **settings))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture(params=["ros1", "ros2"])
def both(request, make_world):
    return make_world(request.param)


@pytest.fixture
def world(make_world):
    return make_world()


def data(got):
    return [each.message["data"] for each in got]


# what a Transport does


def test_messages_both_ways_in_headways_form(both):
    client, got, back = both.client(), [], []
    both.arm.advertise("/image", IMAGE)
    both.arm.advertise("/joints", JOINTS)
    both.arm.advertise("/task", STRING, latch=True)
    both.arm.publish("/task", {"data": "tidy/up"})
    both.arm.subscribe("/command", JOINTS, back.append)
    client.subscribe("/image", IMAGE, got.append, compression="cbor")
    client.subscribe("joints", JOINTS, got.append)
    client.subscribe("/task", STRING, got.append)
    client.advertise("/command", JOINTS)
    client.start()
    both.settle(client)
    until(lambda: got)
    began = time.monotonic()
    both.arm.publish("/image", {"header": HEADER, **PICTURE})
    joints = {"header": HEADER, "name": ["a", "b"], "position": [math.nan, 0.5], "velocity": [], "effort": []}
    both.arm.publish("/joints", joints)
    client.publish("command", joints | {"position": [1.0, 2.0]})
    until(lambda: len(got) == 3 and back)
    task, image, state = sorted(got, key=lambda each: each.time)
    assert (task.topic, task.message) == ("/task", {"data": "tidy/up"})
    number = {"seq": 1} if both.dialect == "ros1" else {}
    assert image.message == {"header": HEADER | number, **PICTURE}
    assert began <= image.time <= time.monotonic()
    assert image.size > 18
    assert (state.topic, state.message["position"][1]) == ("/joints", 0.5)
    assert math.isnan(state.message["position"][0])
    assert back[0].message == joints | {"position": [1.0, 2.0]}
    assert client.faults.total() == 0
    assert both.server.faults.total() == 0


def test_the_version_is_asked_for_and_can_be_given(both):
    version = 1 if both.dialect == "ros1" else 2
    client, _ = both.started()
    until(lambda: client.ros_version == version)
    given, _ = both.started(ros_version="2")
    assert given.ros_version == 2
    with pytest.raises(TransportError, match="1, 2 or auto"):
        both.client(ros_version="3")


def test_services_both_ways(both):
    client, _ = both.started()
    both.arm.advertise_service("/arm/stop", "std_srvs/Trigger", lambda asked: {"success": True, "message": "stopped"})
    both.arm.advertise_service("/hang", "std_srvs/Trigger", lambda asked: time.sleep(0.5))
    assert client.call_service("arm/stop", "std_srvs/Trigger", {}, 20.0) == {"success": True, "message": "stopped"}
    with pytest.raises(ServiceFailed, match="/nope does not exist"):
        client.call_service("/nope", "std_srvs/Trigger", {}, 20.0)
    with pytest.raises(ServiceFailed, match="did not answer within"):
        client.call_service("/hang", "std_srvs/Trigger", {}, 0.05)

    def reset(asked):
        # an answer may ask a service in turn
        return client.call_service("/arm/stop", "std_srvs/Trigger", {}, 20.0) | {"message": str(asked)}

    def broken(asked):
        raise KeyError("task")

    client.advertise_service("reset", "std_srvs/SetBool", reset)
    client.advertise_service("/broken", "std_srvs/Trigger", broken)
    both.settle(client)
    answer = both.arm.call_service("/reset", "std_srvs/SetBool", {"data": True}, 20.0)
    assert answer == {"success": True, "message": "{'data': True}"}
    with pytest.raises(ServiceFailed, match="task"):
        both.arm.call_service("/broken", "std_srvs/Trigger", {}, 20.0)


def test_types_of_topics_are_in_two_parts(both):
    client, _ = both.started()
    both.arm.advertise("/image", IMAGE)
    assert client.topic_type("image", 20.0) == IMAGE
    assert client.topic_type("/nope", 20.0) is None
    client.close()
    assert client.topic_type("/image") is None


def test_what_a_person_has_to_mend_is_one_line(world):
    for url in ("http://robot:9090", "robot:9090", "ws://", "ws://robot:99999", "", None, 5):
        with pytest.raises(TransportError, match="address"):
            RosbridgeTransport(url)
    client, _ = world.started("/x")
    client.advertise("/f", FLOAT)
    client.advertise("/f", FLOAT)
    with pytest.raises(TransportError, match="advertised before"):
        client.advertise("/f", STRING)
    with pytest.raises(TransportError, match="advertise it"):
        client.publish("/g", {"data": 1.0})
    with pytest.raises(TransportError, match="subscribed to already"):
        client.subscribe("/x", FLOAT, print)
    with pytest.raises(TransportError, match="not subscribed"):
        client.resubscribe("/y")
    with pytest.raises(TransportError, match="none or cbor"):
        client.subscribe("/y", FLOAT, print, compression="png")
    with pytest.raises(MessageError):
        client.publish("/f", {"data": math.nan})


def test_troubles_are_told_in_one_line(make_world, caplog):
    world = make_world(token="s3cret")
    url = world.server.url
    client = world.client(url, token="wrong")
    client.start()
    until(lambda: "check the token" in client.trouble)
    right = world.client(url, token="s3cret")
    right.start()
    until(lambda: right.connected)
    assert right.trouble is None
    nobody = world.client("ws://127.0.0.1:1/path?token=s3cret")
    nobody.start()
    until(lambda: "cannot be reached" in nobody.trouble)
    with socket.create_server(("127.0.0.1", 0)) as web:
        threading.Thread(target=lambda: web.accept()[0].sendall(b"SSH-2.0-OpenSSH\r\n\r\n"), daemon=True).start()
        other = world.client(f"ws://127.0.0.1:{web.getsockname()[1]}")
        other.start()
        until(lambda: "does not speak websocket" in other.trouble)
    lines = [record.getMessage() for record in caplog.records if record.name == "headway.ros"]
    assert len([line for line in lines if "check the token" in line]) == 1
    assert all("\n" not in line and "s3cret" not in line for line in lines)
    with pytest.raises(ServiceFailed, match="not connected"):
        client.call_service("/x", "std_srvs/Trigger", {}, 1.0)


def test_a_callback_that_fails_or_calls_a_service_ends_nothing(world):
    world.arm.advertise("/x", FLOAT)
    client, failures, got = world.client(), [], []

    def take(arrival):
        got.append(arrival)
        if len(got) == 1:
            raise ValueError("a defect of the node")
        try:
            client.call_service("/rosapi/topics", "", {}, 20.0)
        except ServiceFailed as error:
            failures.append(error)

    client.subscribe("/x", FLOAT, take)
    client.start()
    world.settle(client)
    for number in range(3):
        world.arm.publish("/x", {"data": float(number)})
    until(lambda: len(got) == 3 and len(failures) == 2)
    assert client.faults == {"callback": 1}


def test_close_sends_what_was_just_published_and_can_be_repeated(world):
    got = []
    world.arm.subscribe("/stopped", FLOAT, got.append)
    for number in range(10):
        client, _ = world.started()
        client.advertise("/stopped", FLOAT)
        client.publish("/stopped", {"data": float(number)})
        client.close()
        client.close()
        client.start()
        assert not client.connected
    until(lambda: data(got) == list(range(10)))
    never = world.client()
    never.close()


# connections that are lost


def test_everything_is_there_again_after_the_server_was_away(world):
    client, links, got, back = world.client(world.server.url), [], [], []
    client.on_link(links.append)
    client.subscribe("/x", FLOAT, got.append)
    client.advertise("/y", FLOAT)
    client.advertise("/task", STRING, latch=True)
    client.advertise_service("/reset", "std_srvs/Trigger", lambda asked: {"success": True})
    client.publish("/task", {"data": "first"})
    client.start()
    world.settle(client)
    port = world.server.port
    world.server.close()
    until(lambda: links == [True, False])
    assert not client.connected
    client.publish("/y", {"data": 1.0})  # dropped
    client.publish("/task", {"data": "second"})
    world.arm.advertise("/x", FLOAT)
    world.arm.subscribe("/y", FLOAT, back.append)
    world.arm.subscribe("/task", STRING, back.append)
    world.serve(port)
    world.settle(client)
    assert links == [True, False, True]
    client.publish("/y", {"data": 2.0})
    until(lambda: 2.0 in data(back))
    assert data(back) == ["second", 2.0]
    world.arm.publish("/x", {"data": 3.0})
    until(lambda: data(got) == [3.0])
    assert world.arm.call_service("/reset", "std_srvs/Trigger", {}, 20.0) == {"success": True}


def test_a_cut_connection_fails_whoever_waits_for_a_service(world):
    let_go = threading.Event()
    world.arm.advertise_service("/slow", "std_srvs/Trigger", lambda asked: {"success": let_go.wait(20)})
    client, _ = world.started()
    failures = []

    def ask():
        try:
            client.call_service("/slow", "std_srvs/Trigger", {}, 20.0)
        except ServiceFailed as error:
            failures.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: client._asked)
    world.proxy.cut()
    thread.join()
    let_go.set()
    assert failures == ["/slow: the connection was lost"]
    until(lambda: client.connected)


def test_a_server_that_hangs_is_left(world):
    client, got = world.started("/x")
    links = []
    client.on_link(links.append)
    world.arm.advertise("/x", FLOAT)
    began = time.monotonic()
    world.proxy.stalled = world.proxy.refusing = True
    until(lambda: links == [False])
    # pinged every half second, given up a second later, closed within 0.2
    assert 0.9 < time.monotonic() - began < 8.0
    world.proxy.stalled = world.proxy.refusing = False
    until(lambda: links == [False, True])
    world.settle(client)
    world.arm.publish("/x", {"data": 1.0})
    until(lambda: data(got) == [1.0])


def test_a_refusing_server_is_tried_again_no_oftener_than_the_backoff(world):
    world.proxy.refusing = True
    client = world.client(backoff=(0.05, 0.4))
    client.start()
    until(lambda: len(world.proxy.attempts) > 5)
    assert "answers 503" in client.trouble
    world.proxy.refusing = False
    until(lambda: client.connected)
    gaps = [after - before for before, after in pairwise(world.proxy.attempts)]
    assert min(gaps) >= 0.05


# frames that are no good


def test_ros_2_best_effort_needs_another_subscription(make_world):
    world = make_world("ros2")
    client, got = world.started("/x")
    world.arm.advertise("/x", FLOAT, best_effort=True)
    world.arm.publish("/x", {"data": 1.0})
    client.resubscribe("/x")
    world.settle(client)
    world.arm.publish("/x", {"data": 2.0})
    until(lambda: got)
    assert data(got) == [2.0]


@pytest.mark.parametrize(
    ("kind", "settings", "acted", "heard"),
    [
        ("drop", {"count": 3}, 3, [3, 4, 5, 6, 7]),
        ("drop", {"topic": "/other"}, 0, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("drop", {"direction": "up"}, 0, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("duplicate", {"count": 2}, 2, [0, 0, 1, 1, 2, 3, 4, 5, 6, 7]),
        ("reorder", {"count": 1}, 1, [1, 0, 2, 3, 4, 5, 6, 7]),
        ("freeze", {}, 8, [0] * 8),
        ("garbage", {}, 8, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_what_the_proxy_does_to_frames(world, kind, settings, acted, heard):
    world.arm.advertise("/x", FLOAT)
    client, got = world.started("/x")
    world.proxy.rules = [Rule(kind, **{"topic": "/x"} | settings)]
    for number in range(8):
        world.arm.publish("/x", {"data": float(number)})
    until(lambda: len(got) == len(heard))
    assert data(got) == heard
    assert world.proxy.done[kind] == acted
    until(lambda: client.faults.total() == world.proxy.done["garbage"])


def test_delayed_frames_come_late(world):
    world.arm.advertise("/x", FLOAT)
    _, got = world.started("/x")
    world.proxy.rules = [Rule("delay", "/x", seconds=0.3)]
    began = time.monotonic()
    world.arm.publish("/x", {"data": 1.0})
    until(lambda: got)
    assert got[0].time - began >= 0.3


def test_a_frozen_picture_has_fresh_stamps(world):
    world.arm.advertise("/image", IMAGE)
    client, got = world.client(), []
    client.subscribe("/image", IMAGE, got.append, compression="cbor")
    client.start()
    world.settle(client)
    world.proxy.rules = [Rule("freeze", "/image")]
    for second in range(3):
        header = {"stamp": {"sec": second, "nanosec": 0}, "frame_id": ""}
        world.arm.publish("/image", {"header": header, **PICTURE, "data": bytes([second] * 18)})
        until(lambda second=second: len(got) == second + 1)
    assert [each.message["header"]["stamp"]["sec"] for each in got] == [0, 1, 2]
    assert {each.message["data"] for each in got} == {bytes(18)}


def test_corrupt_frames_are_counted_and_survived(world):
    world.arm.advertise("/x", FLOAT)
    client, got = world.started("/x")
    world.proxy.rules = [Rule("corrupt", "/x")]
    for number in range(300):
        world.arm.publish("/x", {"data": float(number)})
        until(lambda number=number: world.proxy.done["corrupt"] > number)
    world.proxy.rules = []
    world.arm.publish("/x", {"data": -1.0})
    until(lambda: got and got[-1].message.get("data") == -1.0)
    assert client.connected
    assert client.faults.total() > 200
    # what the faults do not count was still a message
    assert client.faults.total() + len(got) <= 301


def test_an_oversized_frame_costs_the_connection_and_it_comes_back(world):
    world.arm.advertise("/x", FLOAT)
    client, got = world.started("/x", max_size=100_000)
    links = []
    client.on_link(links.append)
    world.proxy.rules = [Rule("oversize", "/x", size=200_000, count=1)]
    world.arm.publish("/x", {"data": 1.0})
    until(lambda: links == [False, True])
    assert client.faults["too large"] == 1
    world.settle(client)
    world.arm.publish("/x", {"data": 2.0})
    until(lambda: data(got) == [2.0])


def test_commands_that_cannot_be_sent_do_not_pile_up(world):
    got = []
    world.arm.subscribe("/command", STRING, got.append)
    world.arm.subscribe("/other", FLOAT, got.append)
    client, _ = world.started()
    client.advertise("/command", STRING)
    client.advertise("/other", FLOAT)
    world.settle(client)
    world.proxy.stalled = True
    time_taken = []
    client.publish("/other", {"data": 0.0})
    for number in range(200):
        began = time.monotonic()
        client.publish("/command", {"data": f"{number} " + "x" * 200_000})
        time_taken.append(time.monotonic() - began)
    assert sorted(time_taken)[100] < 0.05
    assert len(client._link._outbox) <= 2
    world.proxy.stalled = False
    until(lambda: got and str(data(got)[-1]).startswith("199 "))
    assert len(got) < 150
    numbers = [int(each.split()[0]) for each in data(got) if isinstance(each, str)]
    assert numbers == sorted(numbers)


def test_a_command_that_waits_can_be_taken_back_so_that_it_does_not_overtake_a_stop():
    outbox = Outbox()
    outbox.publish("/command", "go on")
    outbox.publish("/state", "STOPPED")
    outbox.say("call /arm/stop")
    outbox.discard("/command")
    outbox.discard("/never published")
    assert [outbox.next(), outbox.next(), outbox.next()] == ["call /arm/stop", "STOPPED", None]
