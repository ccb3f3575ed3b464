"""A real ROS 1 graph: rosmaster, a node of rospy, and the tools of ROS see what they should."""

import json
import math
import threading

import numpy as np
import pytest

from headway_envs.ros.messages import float64_array, image, joint_state, string
from headway_envs.ros.transport import ServiceFailed, TransportError

pytestmark = pytest.mark.ros1


def pattern(first, size=8 * 6 * 3):
    return (bytes([first % 256]) + bytes(range(256)))[:size]


def test_a_picture_comes_as_bytes_with_its_stamp_and_its_number(graph, peer, until):
    got = []
    graph.subscribe("peer/image", "sensor_msgs/msg/Image", got.append)
    until(lambda: peer.say("image") or got)
    message = got[0].message
    assert got[0].topic == "/peer/image"
    assert message["header"]["stamp"] == {"sec": 1234, "nanosec": 500_000_000}
    assert message["header"]["frame_id"] == "camera"
    assert message["header"]["seq"] >= 1
    assert isinstance(message["data"], bytes)
    assert message["data"] == pattern(message["data"][0])
    rest = {name: value for name, value in message.items() if name not in ("header", "data")}
    assert rest == {"height": 6, "width": 8, "encoding": "rgb8", "is_bigendian": 0, "step": 24}
    assert 144 < got[0].size < 1000


def test_compressed_pictures_and_joints_come_too_and_nan_survives(graph, peer, until):
    pictures, joints = [], []
    graph.subscribe("/peer/compressed", "sensor_msgs/CompressedImage", pictures.append)
    graph.subscribe("/peer/joints", "sensor_msgs/JointState", joints.append)
    until(lambda: peer.say("compressed ffd8ff00") or pictures)
    until(lambda: peer.say("joints [[0.1, NaN], [-Infinity, 1e300]]") or joints)
    assert pictures[0].message["data"] == bytes.fromhex("ffd8ff00")
    assert pictures[0].message["format"] == "jpeg"
    message = joints[0].message
    assert message["name"] == ["a", "é"]
    assert message["position"][0] == 0.1
    assert math.isnan(message["position"][1])
    assert message["velocity"] == [-math.inf, 1e300]
    assert message["effort"] == []


def test_texts_come_all_of_them_and_in_order(graph, peer, until):
    got = []
    graph.subscribe("/peer/text", "std_msgs/String", got.append)
    until(lambda: peer.say("texts 1") or got)
    got.clear()
    peer.say("texts 60")
    until(lambda: got and got[-1].message["data"] == "59")
    assert [each.message["data"] for each in got][-60:] == [str(number) for number in range(60)]


def test_throttling_drops_what_comes_too_early(graph, peer, until):
    all_of_them, some = [], []
    graph.subscribe("/peer/text", "std_msgs/String", all_of_them.append)
    graph.subscribe("/peer/text", "std_msgs/String", some.append, throttle_ms=60_000)
    until(lambda: peer.say("texts 5") or len(all_of_them) >= 10)
    assert len(some) == 1


def test_who_subscribes_late_or_again_gets_what_is_latched(graph, peer, until):
    first, second = [], []
    graph.subscribe("/peer/flag", "std_msgs/Bool", first.append)
    until(lambda: first)
    assert first[0].message == {"data": True}
    assert graph.latched("/peer/flag")
    graph.subscribe("/peer/flag", "std_msgs/Bool", second.append)
    until(lambda: second)
    assert len(first) == 1
    graph.resubscribe("/peer/flag")
    until(lambda: len(first) == 2)
    for said in ("false", "true"):
        peer.say(f"flag {said}")
        until(lambda said=said: first[-1].message["data"] == (said == "true"))
    assert [each.message["data"] for each in first] == [True, True, False, True]


def test_what_we_publish_is_what_a_node_of_rospy_hears(graph, peer, until):
    graph.advertise("/ours/array", "std_msgs/Float64MultiArray")
    graph.advertise("/ours/image", "sensor_msgs/Image")
    numbers = [0.1, math.nan, math.inf, -5e-324, 3]
    until(lambda: graph.publish("/ours/array", float64_array(numbers)) or peer.on("/ours/array"))
    assert peer.on("/ours/array")[-1]["data"] == ["0.1", "nan", "inf", "-5e-324", "3.0"]
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    picture = image(pixels)
    picture["header"]["stamp"] = {"sec": 7, "nanosec": 8}
    until(lambda: graph.publish("/ours/image", picture) or peer.on("/ours/image"))
    heard = peer.on("/ours/image")[-1]
    assert (heard["data"], heard["stamp"], heard["encoding"]) == (pixels.tobytes().hex(), 7_000_000_008, "rgb8")


def test_the_tools_of_ros_see_us(graph, master, until):
    graph.advertise("/tools/state", "std_msgs/String", latch=True)
    graph.advertise("/tools/joints", "sensor_msgs/JointState", latch=True)
    graph.subscribe("/tools/in", "sensor_msgs/CompressedImage", lambda arrival: None)
    graph.advertise_service(
        "/tools/enable", "std_srvs/SetBool", lambda asked: {"success": asked["data"], "message": "é"}
    )
    graph.publish("/tools/state", string("RUNNING"))
    graph.publish("/tools/joints", joint_state(["a"], [math.nan]))
    until(lambda: "/tools/enable" in graph.services())
    assert 'data: "RUNNING"' in master.run("rostopic", "echo", "-n1", "/tools/state")
    assert "position: [nan]" in master.run("rostopic", "echo", "-n1", "/tools/joints")
    listed = master.run("rostopic", "list", "-v")
    assert " * /tools/state [std_msgs/String] 1 publisher" in listed
    assert " * /tools/in [sensor_msgs/CompressedImage] 1 subscriber" in listed
    assert "success: True" in master.run("rosservice", "call", "/tools/enable", "true")
    assert "success: False" in master.run("rosservice", "call", "/tools/enable", "false")
    assert "/headway_test" in master.run("rosnode", "list").splitlines()


def test_services_answer_both_ways(graph, peer, until):
    assert graph.call_service("/peer/set", "std_srvs/SetBool", {"data": True}, 20) == {"success": True, "message": "on"}
    assert graph.call_service("peer/set", "", {}, 20) == {"success": False, "message": "off"}
    graph.advertise_service("/ours/set", "std_srvs/SetBool", lambda asked: {"success": not asked["data"]})
    until(lambda: "/ours/set" in graph.services())
    peer.say("call /ours/set true")
    heard = until(lambda: [each for each in peer.heard if each.get("called") == "/ours/set"])
    assert heard == [{"called": "/ours/set", "success": False, "message": ""}]


def test_an_answer_that_raises_or_does_not_fit_tells_the_caller(graph, peer, until):
    def answer(asked):
        if asked["data"]:
            raise ValueError("the arm is asleep")
        return {"success": "perhaps"}

    graph.advertise_service("/ours/bad", "std_srvs/SetBool", answer)
    until(lambda: "/ours/bad" in graph.services())
    for data, words in (("true", "the arm is asleep"), ("false", "success must be a bool, got str")):
        with pytest.raises(ServiceFailed, match=words):
            graph.call_service("/ours/bad", "std_srvs/SetBool", {"data": data == "true"}, 20)
    assert graph.connected


@pytest.mark.parametrize(
    ("name", "kind", "arguments", "words"),
    [
        ("/nope", "std_srvs/Trigger", {}, "Service /nope does not exist"),
        ("/peer/set", "std_srvs/Trigger", {}, "/peer/set is a std_srvs/SetBool, not a std_srvs/Trigger"),
        ("/peer/set", "std_srvs/SetBool", {"data": 1}, "data must be a bool, got int"),
        ("/peer/set", "std_srvs/SetBool", {"date": True}, "has no field 'date'"),
        ("/peer/set", "std_srvs/SetBool", {"data": {1}}, "a message cannot hold a set"),
        ("/peer/fail", "std_srvs/Trigger", {}, "the gripper is jammed"),
    ],
)
def test_a_service_that_fails_says_why(graph, peer, name, kind, arguments, words):
    with pytest.raises(ServiceFailed, match=words) as caught:
        graph.call_service(name, kind, arguments, 20)
    assert "\n" not in str(caught.value)


def test_a_service_that_hangs_is_given_up_and_holds_up_nothing(graph, peer):
    waits = [threading.Thread(target=pytest.raises, args=(ServiceFailed, call_slow, graph)) for _ in range(3)]
    for wait in waits:
        wait.start()
    assert graph.call_service("/peer/set", "std_srvs/SetBool", {"data": True}, 20)["success"]
    for wait in waits:
        wait.join(20)
    with pytest.raises(ServiceFailed, match=r"/peer/slow did not answer within 0.1 s"):
        call_slow(graph)


def call_slow(graph):
    graph.call_service("/peer/slow", "std_srvs/Trigger", {}, 0.1)


def test_it_tells_what_the_graph_holds(graph, peer, until):
    until(lambda: graph.topic_type("/peer/image") == "sensor_msgs/Image")
    graph.subscribe("/nobody/publishes", "std_msgs/Bool", lambda arrival: None)
    until(lambda: graph.topics().get("/nobody/publishes") == "std_msgs/Bool")
    assert graph.topic_type("/nobody/publishes") is None
    assert graph.services()["/peer/set"] == "std_srvs/SetBool"
    assert {"/peer", "/headway_test"} <= set(graph.nodes())
    assert not graph.latched("/nobody/publishes")


def test_the_wrong_type_is_silent_and_the_graph_tells_the_right_one(own_graph, peer, until):
    graph = own_graph
    got = []
    graph.subscribe("/peer/flag", "std_msgs/Float32", got.append)
    until(lambda: graph.topics().get("/peer/flag"))
    assert graph.topic_type("/peer/flag") == "std_msgs/Bool"
    assert got == []
    right = []
    graph.subscribe("/peer/flag", "std_msgs/Bool", right.append)
    until(lambda: right)
    assert got == []


def test_types_that_do_not_exist_are_faults_and_the_rest_lives_on(own_graph, peer, until):
    graph, kinds = own_graph, ("nope/Nope", "std_msgs/Nope", "os/path", "std_srvs/Trigger")
    for number, kind in enumerate(kinds):
        graph.subscribe(f"/a{number}", kind, lambda arrival: None)
        graph.advertise(f"/b{number}", kind)
        graph.advertise_service(f"/c{number}", kind.replace("std_srvs", "std_msgs"), lambda asked: {})
        graph.publish(f"/b{number}", {})
    until(lambda: graph.faults["unknown type"] == 3 * len(kinds) and graph.faults["not advertised"] == len(kinds))
    for number, kind in enumerate(kinds):
        words = f"type {kind} on this machine; is its package installed?"
        assert f"/a{number}: there is no message {words}" in graph.notes
        assert f"/b{number}: there is no message {words}" in graph.notes
    assert graph.call_service("/peer/set", "std_srvs/SetBool", {"data": True}, 20)["success"]
    assert graph.restarts == 0


BAD = [
    ("std_msgs/Bool", {"data": 1}, "data must be a bool, got int"),
    ("std_msgs/Bool", {"data": None}, "data must be a bool, got NoneType"),
    ("std_msgs/Bool", {"dato": True}, "std_msgs/Bool has no field 'dato'"),
    ("std_msgs/Bool", [True], "std_msgs/Bool must be a dict, got list"),
    ("std_msgs/UInt8", {"data": 256}, "data is a uint8; 256 is out of its range"),
    ("std_msgs/Int64", {"data": 2**63}, "data is a int64; 9.22e+18 is out of its range"),
    ("std_msgs/Int32", {"data": True}, "data must be a int32, got bool"),
    ("std_msgs/Int32", {"data": 1.0}, "data must be a int32, got float"),
    ("std_msgs/Float32", {"data": 1e39}, "data is a float32"),
    ("std_msgs/Float64", {"data": 10**400}, "data is a float64"),
    ("std_msgs/Float64", {"data": "1"}, "data must be a float64, got str"),
    ("std_msgs/String", {"data": b"x"}, "data must be a string, got bytes"),
    ("std_msgs/String", {"data": "\ud800"}, "data holds half a character"),
    ("std_msgs/Time", {"data": {"secs": 1, "nsecs": 2}}, "data must be a time of sec and nanosec"),
    ("std_msgs/Time", {"data": {"sec": -1, "nanosec": 0}}, "data.sec is a uint32; -1 is out of its range"),
    ("std_msgs/Float64MultiArray", {"data": [1.0, None]}, "data[1] must be a float64, got NoneType"),
    ("std_msgs/Float64MultiArray", {"data": b"12"}, "data must be an array of float64, got bytes"),
    ("std_msgs/Float64MultiArray", {"layout": {"dim": [{"size": -1}]}}, "layout.dim[0].size is a uint32; -1 is out"),
    ("std_msgs/Float64MultiArray", {"layout": {"#": [0, 4]}}, "layout must be a dict, got bytes"),
    ("sensor_msgs/Image", {"data": "abc"}, "data must be an array of uint8, got str"),
    ("sensor_msgs/Image", {"data": [1, 256]}, "data[1] is a uint8; 256 is out of its range"),
    ("geometry_msgs/PoseWithCovariance", {"covariance": [1.0]}, "covariance must have 36 elements, got 1"),
]


def test_values_that_do_not_fit_their_type_are_faults_and_never_published(own_graph, until):
    graph = own_graph
    for number, (kind, message, _) in enumerate(BAD):
        graph.advertise(f"/bad/t{number}", kind, latch=True)
        graph.publish(f"/bad/t{number}", message)
    until(lambda: graph.faults["wrong field"] >= len(BAD))
    for number, (_, _, words) in enumerate(BAD):
        (note,) = [note for note in graph.notes if note.startswith(f"/bad/t{number}: ")]
        assert words in note
    got = []
    for number, (kind, _, _) in enumerate(BAD):
        graph.subscribe(f"/bad/t{number}", kind, got.append)
    graph.advertise("/bad/good", "std_msgs/Duration", latch=True)
    graph.publish("/bad/good", {"data": {"sec": -3, "nanosec": 5}})
    good = []
    graph.subscribe("/bad/good", "std_msgs/Duration", good.append)
    until(lambda: good)
    assert good[0].message == {"data": {"sec": -3, "nanosec": 5}}
    assert got == []
    assert graph.restarts == 0


def test_types_of_every_shape_come_back_as_they_were_sent(graph, until):
    cases = {
        "geometry_msgs/PoseWithCovariance": {
            "pose": {"position": {"x": 1.0, "y": math.inf, "z": 0.1}, "orientation": dict.fromkeys("xyzw", 0.5)},
            "covariance": [float(number) for number in range(36)],
        },
        "sensor_msgs/LaserScan": {"ranges": [0.5, math.inf], "intensities": []},
        "std_msgs/UInt8MultiArray": {"data": b"\x00\xff"},
        "std_msgs/ByteMultiArray": {"data": [-128, 127]},
        "trajectory_msgs/JointTrajectory": {
            "joint_names": ["a"],
            "points": [{"positions": [1.0], "time_from_start": {"sec": 0, "nanosec": 50_000_000}}],
        },
        "diagnostic_msgs/DiagnosticArray": {"status": [{"level": 2, "values": [{"key": "k", "value": "v"}]}]},
    }
    for kind, message in cases.items():
        topic, got = f"/shapes/{kind.split('/')[1]}", []
        graph.advertise(topic, kind, latch=True)
        graph.publish(topic, message)
        graph.subscribe(topic, kind, got.append)
        until(lambda got=got: got, kind)
        assert holds(got[0].message, message), (got[0].message, message)


def holds(whole, part):
    """Whether all that was sent is there; what was left out is zero and is not compared."""
    if isinstance(part, dict):
        return all(holds(whole[name], value) for name, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(holds, whole, part))
    return whole == part and type(whole) is type(part)


def test_what_a_person_has_to_mend_is_one_clear_line(graph):
    with pytest.raises(TransportError, match="/x was not advertised; advertise it before"):
        graph.publish("x", {})
    with pytest.raises(TransportError, match="cannot be a name in a ROS graph"):
        graph.subscribe("/a b", "std_msgs/Bool", print)
    with pytest.raises(TransportError, match="cannot be a type in a ROS graph"):
        graph.advertise("/a", "Bool")
    graph.advertise("/a", "std_msgs/Bool")
    with pytest.raises(TransportError, match="/a was advertised as std_msgs/Bool; it cannot be a std_msgs/String too"):
        graph.advertise("/a", "std_msgs/String")
    with pytest.raises(TransportError, match="/a: a message cannot hold a set"):
        graph.publish("/a", {"data": {1}})


def test_the_last_words_before_closing_are_still_heard(master, make_graph, peer, until):
    leaving = make_graph(master.uri, "leaving")
    leaving.advertise("/ours/text", "std_msgs/String")
    leaving.start()
    until(lambda: leaving.connected)
    until(lambda: leaving.publish("/ours/text", string("hello")) or peer.on("/ours/text"))
    leaving.publish("/ours/text", string("bye"))
    leaving.close()
    until(lambda: [each for each in peer.on("/ours/text") if each["data"] == "bye"])
    assert leaving.links == [True, False]
    assert not leaving.connected
    assert "/leaving" not in master.run("rosnode", "list").splitlines()
    leaving.close()


def test_the_arm_moves_while_it_is_told_to_and_rests_by_its_own_dead_man(graph, master, start_script, until):
    joints, images = [], []
    arm = start_script(master.uri, "arm_node.py", "--command", "/arm/command", "--image", "/arm/image")
    graph.advertise("/arm/command", "std_msgs/Float64MultiArray")
    graph.subscribe("/joint_states", "sensor_msgs/JointState", joints.append)
    graph.subscribe("/arm/image", "sensor_msgs/Image", images.append)

    def speed():
        return joints[-1].message["velocity"][0] if joints else 0.0

    until(lambda: graph.publish("/arm/command", float64_array([0.8])) or speed() > 0.79)
    moved = until(lambda: images and images[-1].message["data"])
    until(lambda: speed() == 0.0, "for the dead-man")
    until(lambda: graph.publish("/arm/command", float64_array([-0.8])) or speed() < -0.79)
    assert graph.call_service("/arm/stop", "std_srvs/Trigger", {}, 20)["success"]
    until(lambda: speed() == 0.0)
    assert images[-1].message["data"] != moved
    assert json.dumps(joints[-1].message["name"]) == '["joint_1"]'
    arm.close()
