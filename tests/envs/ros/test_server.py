"""The server, asked frame by frame over a real websocket."""

import base64
import json
import socket
import threading
import time
from contextlib import ExitStack

import cbor2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from headway.errors import InvalidValue, OutputError
from headway_envs.ros.memory import Bus
from headway_envs.ros.rosbridge.server import RosbridgeServer
from headway_envs.ros.rosbridge.wire import Reader
from headway_envs.ros.transport import ServiceFailed

FLOAT, STRING, JOINTS, IMAGE = "std_msgs/Float32", "std_msgs/String", "sensor_msgs/JointState", "sensor_msgs/Image"
HEADER = {"stamp": {"sec": 7, "nanosec": 8}, "frame_id": "cam"}
PICTURE = {"height": 2, "width": 3, "encoding": "rgb8", "is_bigendian": 0, "step": 9, "data": bytes(range(18))}


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


class Client:
    """Speaks frames. What a genuine server keeps silent about is shown by what it says next."""

    def __init__(self, url, **settings):
        self._open = ExitStack()
        self.socket = self._open.enter_context(connect(url, proxy=None, compression=None, max_size=None, **settings))
        self.asked = 0

    def send(self, op, **fields):
        self.socket.send(json.dumps({"op": op, **fields}))

    def receive(self, seconds=20.0):
        return self.socket.recv(timeout=seconds)

    def next(self):
        data = self.receive()
        return json.loads(data) if isinstance(data, str) else cbor2.loads(data)

    def call(self, service, **fields):
        """Answers of others are not expected meanwhile; messages are kept."""
        self.asked += 1
        self.send("call_service", id=f"c{self.asked}", service=service, **fields)
        while (frame := self.next()).get("id") != f"c{self.asked}":
            assert frame["op"] == "publish"
        return frame

    def settle(self):
        """Everything sent so far was read."""
        return self.call("/rosapi/get_time")["values"]["time"]

    def close(self):
        self._open.close()


class World:
    """A server before a bus with an arm on it."""

    def __init__(self, dialect, **settings):
        self.bus = Bus(dialect=dialect)
        self.server = RosbridgeServer(self.bus.connect("rosbridge"), dialect, port=0, **settings)
        self.server.start()
        self.arm = self.bus.connect("arm")
        self.arm.start()
        self.clients = []

    def join(self, **settings):
        client = Client(self.server.url, **settings)
        self.clients.append(client)
        return client

    def close(self):
        for client in self.clients:
            client.close()
        self.server.close()


@pytest.fixture
def make_world():
    worlds = []

    def make(dialect="ros1", **settings):
        worlds.append(World(dialect, **settings))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture(params=["ros1", "ros2"])
def world(request, make_world):
    return make_world(request.param)


# messages


def test_an_image_as_json_as_cbor_as_png_and_in_pieces(world):
    world.arm.advertise("/image", IMAGE)
    stamp = {"secs": 7, "nsecs": 8} if world.server.dialect == "ros1" else {"sec": 7, "nanosec": 8}
    for number, (compression, kind) in enumerate([("none", str), ("cbor", bytes), ("png", str)]):
        client = world.join()
        client.send("subscribe", topic="/image", type=IMAGE, compression=compression)
        client.settle()
        world.arm.publish("/image", {"header": HEADER, **PICTURE})
        data = client.receive()
        assert isinstance(data, kind)
        frame = Reader().read(data, 0.0)
        assert (frame["op"], frame["topic"]) == ("publish", "/image")
        message = frame["msg"]
        assert message.pop("header") == {"frame_id": "cam", "stamp": stamp} | (
            {"seq": number + 1} if world.server.dialect == "ros1" else {}
        )
        expected = PICTURE["data"] if kind is bytes else base64.b64encode(PICTURE["data"]).decode()
        assert message == PICTURE | {"data": expected}
        client.send("unsubscribe", topic="/image")
        client.settle()
    client.send("subscribe", topic="image", type=IMAGE, fragment_size=50)
    client.settle()
    world.arm.publish("/image", {"header": HEADER, **PICTURE})
    reader, pieces = Reader(), 0
    while True:
        data = client.receive()
        assert len(json.loads(data)["data"]) <= 50
        assert json.loads(data)["total"] != int(json.loads(data)["total"])
        pieces += 1
        if (whole := reader.read(data, 0.0)) is not None:
            break
    assert pieces > 3
    assert whole["msg"]["width"] == 3


def test_json_writes_null_for_nan_and_escapes_slashes_on_ros_1(world):
    world.arm.advertise("/joints", JOINTS)
    client = world.join()
    client.send("subscribe", id="s1", topic="/joints", type=JOINTS)
    client.settle()
    joints = {"name": ["a", "b"], "position": [float("nan"), 0.5], "velocity": [], "effort": [float("inf")]}
    world.arm.publish("/joints", {"header": HEADER, **joints})
    text = client.receive()
    assert ('"\\/joints"' in text) == (world.server.dialect == "ros1")
    message = json.loads(text)["msg"]
    assert (message["position"], message["effort"]) == ([None, 0.5], [None])


def test_a_client_without_a_type_is_given_the_one_there_is(world):
    client = world.join()
    client.send("subscribe", topic="/late")
    client.settle()
    assert world.server.faults["no type"] == 1
    world.arm.advertise("/late", FLOAT)
    client.send("subscribe", topic="late")
    client.settle()
    world.arm.publish("/late", {"data": 1.0})
    assert client.next() == {"op": "publish", "topic": "/late", "msg": {"data": 1.0}}


def test_what_a_client_publishes_reaches_the_graph_and_itself(world):
    got = []
    world.arm.subscribe("/progress", FLOAT, got.append)
    client = world.join()
    client.send("advertise", id="a", topic="/progress", type=FLOAT)
    client.send("subscribe", topic="/progress", type=FLOAT)
    client.send("publish", topic="/progress", msg={"data": 1})
    assert client.next()["msg"] == {"data": 1.0}
    assert [each.message for each in got] == [{"data": 1.0}]
    assert isinstance(got[0].message["data"], float)


def test_published_images_are_bytes_in_the_graph_whatever_carried_them(world):
    got = []
    world.arm.subscribe("/image", IMAGE, got.append)
    client = world.join()
    client.send("advertise", topic="/image", type=IMAGE)
    written = {"secs": 7, "nsecs": 8} if world.server.dialect == "ros1" else {"sec": 7, "nanosec": 8}
    header = {"stamp": written, "frame_id": "cam"}
    text = base64.b64encode(PICTURE["data"]).decode()
    client.send("publish", topic="/image", msg={"header": header, **PICTURE, "data": text})
    client.send("publish", topic="/image", msg={"header": header, **PICTURE, "data": list(PICTURE["data"])})
    client.socket.send(cbor2.dumps({"op": "publish", "topic": "/image", "msg": {"header": header, **PICTURE}}))
    # what is left out is filled in
    client.send("publish", topic="/image", msg={"height": 1})
    client.settle()
    assert [each.message for each in got[:3]] == [{"header": HEADER, **PICTURE}] * 3
    assert got[3].message["header"] == {"stamp": {"sec": 0, "nanosec": 0}, "frame_id": ""}
    assert got[3].message["data"] == b""


BAD = [
    ("/f", {"data": None}),
    ("/f", {"data": True}),
    ("/f", {"data": "1"}),
    ("/f", {"dat": 1.0}),
    ("/f", [1.0]),
    ("/f", None),
    ("/j", {"position": 1.0}),
    ("/j", {"position": [None]}),
    ("/j", {"name": [1]}),
    ("/j", {"header": {"stamp": {"sec": 1, "nsecs": 2}}}),
    ("/j", {"header": {"stamp": 5}}),
    ("/i", {"data": "no base64!"}),
    ("/i", {"data": [256]}),
    ("/never_advertised", {"data": 1.0}),
]


def test_what_does_not_fit_is_dropped_in_silence(world):
    got = []
    for topic, kind in (("/f", FLOAT), ("/j", JOINTS), ("/i", IMAGE)):
        world.arm.subscribe(topic, kind, got.append)
    client = world.join()
    for topic, kind in (("/f", FLOAT), ("/j", JOINTS), ("/i", IMAGE)):
        client.send("advertise", topic=topic, type=kind)
    for topic, message in BAD:
        client.send("publish", topic=topic, msg=message)
    client.send("publish", topic="/f", msg={"data": 3.0})
    client.settle()
    assert [each.message for each in got] == [{"data": 3.0}]
    assert world.server.faults.total() == len(BAD)


def test_seq_and_times_are_those_of_the_dialect(make_world):
    for dialect, heard in (("ros1", [1, 3]), ("ros2", [1, 2])):
        world = make_world(dialect)
        got = []
        world.arm.subscribe("/j", JOINTS, got.append)
        client = world.join()
        client.send("advertise", topic="/j", type=JOINTS)
        for number, header in enumerate(
            [
                {"stamp": {"secs": 1, "nsecs": 0}},  # both read it
                {"stamp": {"sec": 2, "nanosec": 0}},
                {"stamp": {"secs": 3, "nsecs": 0}, "seq": 3},
            ],
            start=1,
        ):
            client.send("publish", topic="/j", msg={"header": header, "position": [number]})
        client.settle()
        assert [each.message["header"]["stamp"]["sec"] for each in got] == heard
        if dialect == "ros2":
            assert "does not have a field seq" in world.server.notes[-1]


def test_names_of_types(make_world):
    for dialect, heard in (("ros1", 1), ("ros2", 2)):
        world = make_world(dialect)
        world.arm.advertise("/f", FLOAT)
        for name in (FLOAT, "std_msgs/msg/Float32", "Float32", "std_msgs/String"):
            client = world.join()
            client.send("subscribe", topic="/f", type=name)
            client.settle()
        world.arm.publish("/f", {"data": 1.0})
        until(lambda world=world: world.server.backend.topics())
        received = []
        for client in world.clients:
            client.send("call_service", service="/rosapi/get_time", id="end")
            frames = [client.next(), client.next()] if len(received) < heard else [client.next()]
            received += [frame for frame in frames if frame["op"] == "publish"]
        assert len(received) == heard
        assert world.server.faults["wrong type"] == 4 - heard


def test_cbor_loses_joint_states_on_ros_1_as_the_genuine_server_does(make_world):
    for dialect, settings, arrives in (
        ("ros1", {}, False),
        ("ros1", {"strings_in_cbor": True}, True),
        ("ros2", {}, True),
    ):
        world = make_world(dialect, **settings)
        world.arm.advertise("/j", JOINTS)
        world.arm.advertise("/end", FLOAT)
        client = world.join()
        client.send("subscribe", topic="/j", type=JOINTS, compression="cbor")
        client.send("subscribe", topic="/end", type=FLOAT)
        client.settle()
        world.arm.publish("/j", {"header": HEADER, "name": ["a"], "position": [0.5], "velocity": [], "effort": []})
        world.arm.publish("/end", {"data": 0.0})
        frame = client.next()
        assert (frame["topic"] == "/j") == arrives
        assert arrives or "'str' object has no attribute '__slots__'" in world.server.notes[-1]


# subscriptions


def test_latched_messages_reach_clients_that_come_late(world):
    world.arm.advertise("/task", STRING, latch=True)
    world.arm.publish("/task", {"data": "tidy"})
    for _ in range(3):
        client = world.join()
        client.send("subscribe", topic="/task", type=STRING)
        assert client.next()["msg"] == {"data": "tidy"}
    # one that a client latches itself
    client.send("advertise", topic="/success", type="std_msgs/Bool", latch=True)
    client.send("publish", topic="/success", msg={"data": True})
    client.settle()
    for _ in range(2):
        late = world.join()
        late.send("subscribe", topic="/success", type="std_msgs/Bool")
        assert late.next()["msg"] == {"data": True}


def test_ros_2_is_silent_until_a_client_subscribes_again(make_world):
    world = make_world("ros2")
    client = world.join()
    client.send("subscribe", topic="/image", type=FLOAT)
    client.send("subscribe", topic="/end", type=FLOAT)
    client.settle()
    world.arm.advertise("/image", FLOAT, best_effort=True)
    world.arm.advertise("/end", FLOAT)
    world.arm.publish("/image", {"data": 1.0})
    world.arm.publish("/end", {"data": 2.0})
    assert client.next()["topic"] == "/end"
    client.send("unsubscribe", topic="/image")
    client.send("subscribe", topic="/image", type=FLOAT)
    client.settle()
    world.arm.publish("/image", {"data": 3.0})
    assert client.next()["msg"] == {"data": 3.0}


def test_throttled_subscriptions_get_the_newest_when_it_is_due(world):
    world.arm.advertise("/f", FLOAT)
    client = world.join()
    client.send("subscribe", topic="/f", type=FLOAT, throttle_rate=300, queue_length=1)
    client.settle()
    began = time.monotonic()
    world.arm.publish("/f", {"data": -1.0})
    assert client.next()["msg"] == {"data": -1.0}
    for number in range(50):
        world.arm.publish("/f", {"data": float(number)})
    assert client.next()["msg"] == {"data": 49.0}
    assert time.monotonic() - began > 0.29


def test_a_throttled_subscription_without_a_queue_drops_what_comes_too_early(world):
    world.arm.advertise("/f", FLOAT)
    world.arm.advertise("/end", FLOAT)
    client = world.join()
    client.send("subscribe", topic="/f", type=FLOAT, throttle_rate=60_000)
    client.send("subscribe", topic="/end", type=FLOAT)
    client.settle()
    for number in range(5):
        world.arm.publish("/f", {"data": float(number)})
    world.arm.publish("/end", {"data": 0.0})
    assert [client.next()["topic"], client.next()["topic"]] == ["/f", "/end"]


def test_unsubscribing_by_id_keeps_the_others_wishes(world):
    world.arm.advertise("/f", FLOAT)
    client = world.join()
    client.send("subscribe", id="fast", topic="/f", type=FLOAT)
    client.send("subscribe", id="slow", topic="/f", type=FLOAT, throttle_rate=60_000, compression="cbor")
    client.send("unsubscribe", id="slow", topic="/f")
    client.settle()
    for number in range(3):
        world.arm.publish("/f", {"data": float(number)})
    assert [json.loads(client.receive())["msg"]["data"] for _ in range(3)] == [0, 1, 2]
    client.send("unsubscribe", id="fast", topic="/f")
    client.settle()
    world.arm.publish("/f", {"data": 9.0})
    assert client.call("/rosapi/get_time")["result"]


def test_a_client_that_does_not_read_makes_nothing_grow_and_gets_the_newest(world):
    world.arm.advertise("/image", IMAGE)
    slow, fast = world.join(max_queue=1), world.join()
    for client in (slow, fast):
        client.send("subscribe", topic="/image", type=IMAGE, compression="cbor")
        client.settle()
    size = 500_000
    for number in range(100):
        picture = PICTURE | {"height": number, "width": size, "data": bytes(size)}
        world.arm.publish("/image", {"header": HEADER, **picture})
        assert fast.next()["msg"]["height"] == number
    assert world.server.dropped["/image"] > 50
    received = []
    while not received or received[-1] != 99:
        received.append(slow.next()["msg"]["height"])
    # what the kernel and the websocket held, then the newest
    assert len(received) < 50
    assert received == sorted(received)


# services


def test_services_of_the_graph(world):
    asked = []

    def enable(arguments):
        asked.append(arguments)
        return {"success": arguments["data"], "message": "x"}

    world.arm.advertise_service("/arm/enable", "std_srvs/SetBool", enable)
    client = world.join()
    answer = {"op": "service_response", "values": {"success": True, "message": "x"}, "result": True}
    assert client.call("/arm/enable", args={"data": True}) == answer | {"service": "/arm/enable", "id": "c1"}
    # the name is given back as it came
    assert client.call("arm/enable", args=[True]) == answer | {"service": "arm/enable", "id": "c2"}
    client.send("call_service", service="/arm/enable", type="std_srvs/SetBool", args={"data": True})
    assert client.next() == answer | {"service": "/arm/enable"}
    assert asked == [{"data": True}] * 3
    wrong = client.call("/arm/enable", args={"data": "yes"})
    assert wrong["values"] == "std_srvs/SetBoolRequest message requires a bool for field data, but got a <class 'str'>"
    assert wrong["result"] is False
    missing = client.call("/nope", args={})
    assert (missing["values"], missing["result"]) == ("Service /nope does not exist", False)
    assert len(asked) == 3


def test_a_slow_service_keeps_nobody_else_waiting(world):
    let_go = threading.Event()
    world.arm.advertise_service("/slow", "std_srvs/Trigger", lambda asked: {"success": let_go.wait(20)})
    client, other = world.join(), world.join()
    client.send("call_service", service="/slow", id="slow")
    assert client.call("/rosapi/get_time")["result"]
    assert other.call("/rosapi/get_time")["result"]
    let_go.set()
    assert client.next()["values"] == {"success": True}


def test_services_of_a_client(make_world):
    world = make_world(service_timeout=3.0)
    client = world.join()
    client.send("advertise_service", service="reset", type="std_srvs/SetBool")
    client.settle()
    results = []

    def ask():
        try:
            results.append(world.arm.call_service("/reset", "std_srvs/SetBool", {"data": True}, 20.0))
        except ServiceFailed as error:
            results.append(str(error))

    def asked():
        thread = threading.Thread(target=ask)
        thread.start()
        return thread, client.next()

    thread, frame = asked()
    assert frame == {"op": "call_service", "id": frame["id"], "service": "/reset", "args": {"data": True}}
    assert frame["id"].startswith("service_request:/reset:")
    # somebody else cannot answer in its place
    other = world.join()
    other.send("service_response", id=frame["id"], service="/reset", values={"success": False}, result=True)
    other.settle()
    client.send("service_response", id=frame["id"], service="/reset", values={"success": True}, result=True)
    thread.join()
    thread, frame = asked()
    client.send("service_response", id=frame["id"], service="/reset", values="no", result=False)
    thread.join()
    thread, frame = asked()  # no answer at all
    thread.join()
    thread, frame = asked()
    client.close()
    thread.join()
    ask()
    assert results[0] == {"success": True}
    assert [result.split(": ", 1)[1] for result in results[1:]] == [
        "no",
        "/reset did not answer within 3 s",
        "the client that answers it has gone",
        "Service /reset does not exist",
    ]
    # the one that comes back serves it again
    client = world.join()
    client.send("advertise_service", service="/reset", type="std_srvs/SetBool")
    client.settle()
    thread, frame = asked()
    client.send("service_response", id=frame["id"], service="/reset", values={"success": True}, result=True)
    thread.join()
    assert results[-1] == {"success": True}
    assert world.server.faults["not asked"] == 1


def test_rosapi(world):
    world.arm.advertise("/image", IMAGE)
    world.arm.advertise_service("/stop", "std_srvs/Trigger", lambda asked: {"success": True})
    client = world.join()
    client.send("advertise", topic="/progress", type=FLOAT)
    client.send("advertise_service", service="/reset", type="std_srvs/Trigger")
    two = world.server.dialect == "ros2"
    image, trigger = ("sensor_msgs/msg/Image", "std_srvs/srv/Trigger") if two else (IMAGE, "std_srvs/Trigger")

    def ask(name, **args):
        frame = client.call(f"/rosapi/{name}", args=args)
        return frame["values"] if frame["result"] else frame

    topics = ask("topics")
    assert dict(zip(topics["topics"], topics["types"], strict=True))["/image"] == image
    assert "/progress" in topics["topics"]
    assert ask("topic_type", topic="/image") == {"type": image}
    assert ask("topic_type", topic="/nope") == {"type": ""}
    assert ask("topics_for_type", type=image) == {"topics": ["/image"]}
    assert ask("services") == {"services": ["/reset", "/stop"]}
    assert ask("service_type", service="/stop") == {"type": trigger}
    assert sorted(ask("services_for_type", type=trigger)["services"]) == ["/reset", "/stop"]
    assert ask("nodes") == {"nodes": ["/rosbridge", "/arm"]}
    assert set(ask("get_time")["time"]) == ({"sec", "nanosec"} if two else {"secs", "nsecs"})
    version = ask("get_ros_version")
    assert version["version"] == 2 if two else version["values"] == "Service /rosapi/get_ros_version does not exist"


# garbage


GARBAGE = [
    '{"op":"publish", "topic":',
    "not json at all",
    "[1,2,3]",
    '{"op":"nosuch","id":"z"}',
    '{"noop":1}',
    b"\x00\xff\xfe\x01",
    b"",
    '{"op":"subscribe"}',
    '{"op":"subscribe","topic":5}',
    '{"op":"subscribe","topic":"/f","type":"std_msgs/Float32","throttle_rate":"x"}',
    '{"op":"subscribe","topic":"/f","type":"std_msgs/Float32","throttle_rate":-1}',
    '{"op":"subscribe","topic":"/f","type":"std_msgs/Float32","fragment_size":0}',
    '{"op":"subscribe","topic":"/f","type":"std_msgs/Float32","compression":"cbor-raw"}',
    '{"op":"subscribe","topic":"/f","type":"std_msgs/Float32","compression":[]}',
    '{"op":"advertise","topic":"/f"}',
    '{"op":"service_response","id":[1]}',
    '{"op":"set_level","level":"info"}',
    '{"op":"call_service"}',
    '{"op":"png","data":"AAAA"}',
]


def test_garbage_is_counted_and_answered_by_silence(world):
    client = world.join()
    for data in GARBAGE:
        client.socket.send(data)
    client.send("unsubscribe", topic="/never")
    client.send("unadvertise", topic="/never")
    client.send("unadvertise_service", service="/never")
    client.send("call_service", id="end", service="/rosapi/get_time", args=[1])
    assert client.next()["id"] == "end"
    assert world.server.faults.total() == len(GARBAGE)


def test_a_frame_that_is_too_large_ends_the_connection_and_no_other(make_world):
    world = make_world(max_size=10_000)
    client, other = world.join(), world.join()
    client.send("publish", topic="/f", msg={"data": "x" * 20_000})
    with pytest.raises(ConnectionClosed) as closed:
        client.receive()
    assert closed.value.rcvd.code == 1009
    other.settle()
    until(lambda: world.server.clients == 1)


# the door


def refused(url, headers=()):
    try:
        with connect(url, additional_headers=dict(headers), proxy=None):
            return None
    except InvalidStatus as error:
        return error.response.status_code


def test_who_may_come_in(make_world):
    world = make_world(token="s3cret", allow_origins=["http://localhost:8080"])
    url = world.server.url
    right = {"Authorization": "Bearer s3cret"}
    assert refused(url) == 401
    assert refused(url, {"Authorization": "Bearer s3creT"}) == 401
    assert refused(f"{url}/?token=") == 401
    assert refused(f"{url}/?token=s3cret") is None
    assert refused(url, right) is None
    assert refused(url, right | {"Origin": "http://evil.example"}) == 403
    assert refused(url, right | {"Origin": "null"}) == 403
    assert refused(url, right | {"Origin": "http://localhost:8080"}) is None
    assert refused(url.replace("127.0.0.1", "localhost"), right) is None
    assert world.server.faults["refused"] == 5
    assert not any("s3cret" in note for note in world.server.notes)


def test_another_name_of_this_machine_is_not_served(make_world):
    world = make_world()
    request = "GET / HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    request += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    with socket.create_connection(("127.0.0.1", world.server.port)) as raw:
        raw.sendall(request.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 403")


def test_beyond_loopback_only_with_a_token_or_on_purpose(caplog):
    bus = Bus()
    with pytest.raises(InvalidValue, match="token"):
        RosbridgeServer(bus.connect("a"), host="0.0.0.0", port=0)
    with pytest.raises(InvalidValue, match="empty token"):
        RosbridgeServer(bus.connect("a"), token="")
    for settings, warned in (({"token": "x"}, False), ({"allow_unauthenticated": True}, True)):
        caplog.clear()
        server = RosbridgeServer(bus.connect("a"), host="0.0.0.0", port=0, **settings)
        server.start()
        server.close()
        assert ("no token" in caplog.text) == warned


def test_a_taken_port_is_one_line_and_close_can_be_repeated(make_world):
    world = make_world()
    with pytest.raises(OutputError, match=f"port {world.server.port} cannot be used") as caught:
        RosbridgeServer(world.bus.connect("b"), port=world.server.port).start()
    assert "\n" not in str(caught.value)
    world.server.close()
    world.server.close()
    again = RosbridgeServer(world.bus.connect("b"), port=world.server.port)
    again.start()
    again.close()
