"""The whole way: a client of rosbridge, our server, our node in a real ROS 1 graph, and an arm of rospy at its end."""

import pytest

from headway_envs.ros.messages import boolean, float64_array
from headway_envs.ros.rosbridge.client import RosbridgeTransport
from headway_envs.ros.rosbridge.server import RosbridgeServer
from headway_envs.ros.transport import ServiceFailed

pytestmark = pytest.mark.ros1


@pytest.fixture
def bridge(master, make_graph, start_script, until):
    """A client, and the graph behind the server that it is connected to; an arm listens to `/bridge/command`."""
    names = ("--command", "/bridge/command", "--image", "/bridge/image", "--estop", "/bridge/estop")
    arm = start_script(master.uri, "arm_node.py", *names)
    behind = make_graph(master.uri, "bridge")
    server = RosbridgeServer(behind, port=0)
    server.start()
    client = RosbridgeTransport(server.url)
    client.start()
    until(lambda: client.connected and behind.connected, "for the bridge")
    until(lambda: client.topic_type("/joint_states") and client.topic_type("/bridge/estop"), "for the arm")
    yield client, behind
    client.close()
    server.close()
    arm.close()


def test_an_arm_is_seen_moved_and_stopped_through_the_bridge(bridge, master, until):
    client, behind = bridge
    joints, images, directly, clear = [], [], [], []
    client.subscribe("/joint_states", "sensor_msgs/JointState", joints.append)
    client.subscribe("/bridge/image", "sensor_msgs/Image", images.append, compression="cbor")
    client.subscribe("/bridge/estop", "std_msgs/Bool", clear.append)
    behind.subscribe("/bridge/image", "sensor_msgs/Image", directly.append)
    client.advertise("/bridge/command", "std_msgs/Float64MultiArray")

    def speed():
        return joints[-1].message["velocity"][0] if joints else 0.0

    assert client.topic_type("/bridge/image") == "sensor_msgs/Image"
    until(lambda: client.publish("/bridge/command", float64_array([0.9])) or speed() > 0.89, "for the arm to move")
    until(lambda: speed() == 0.0, "for the arm's dead-man")
    until(lambda: client.publish("/bridge/command", float64_array([0.9])) or speed() > 0.89)
    assert client.call_service("/arm/stop", "std_srvs/Trigger", {}, 20) == {"success": True, "message": "stopped"}
    until(lambda: speed() == 0.0)
    until(lambda: images and clear and len(directly) > 5)
    assert clear[-1].message == {"data": False}
    number = images[-1].message["header"]["seq"]
    until(lambda: directly[-1].message["header"]["seq"] > number)
    assert images[-1].message["data"] in [each.message["data"] for each in directly]
    assert len(images[-1].message["data"]) == 48 * 32 * 3


def test_an_arm_comes_to_rest_when_the_node_in_the_graph_is_killed(bridge, until):
    client, behind = bridge
    joints = []
    client.subscribe("/joint_states", "sensor_msgs/JointState", joints.append)
    client.advertise("/bridge/command", "std_msgs/Float64MultiArray")

    def speed():
        return joints[-1].message["velocity"][0] if joints else 0.0

    until(lambda: client.publish("/bridge/command", float64_array([0.9])) or speed() > 0.89)
    behind._process._popen.kill()
    until(lambda: False in behind.links)
    joints.clear()
    until(lambda: joints and speed() == 0.0, "for joints to come again, and the arm to rest")
    with pytest.raises(ServiceFailed, match="Service /nope does not exist"):
        client.call_service("/nope", "std_srvs/Trigger", {}, 20)


def test_what_a_client_says_and_serves_is_seen_by_the_tools_of_ros(bridge, master, until):
    client, _ = bridge
    client.advertise("/bridge/success", "std_msgs/Bool", latch=True)
    client.advertise_service(
        "/bridge/enable", "std_srvs/SetBool", lambda asked: {"success": asked["data"], "message": "m"}
    )
    client.publish("/bridge/success", boolean(True))
    until(lambda: "/bridge/enable" in master.run("rosservice", "list"))
    assert "success: True" in master.run("rosservice", "call", "/bridge/enable", "true")
    assert "data: True" in master.run("rostopic", "echo", "-n1", "/bridge/success")
