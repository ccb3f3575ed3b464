"""What becomes of the graph when the master, our other process, or what listens to it dies, hangs or is slow."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from headway_envs.ros.messages import boolean, float64_array, string
from headway_envs.ros.ros1.graph import RosGraph
from headway_envs.ros.transport import ServiceFailed

pytestmark = pytest.mark.ros1


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def declared(own_master, make_graph, until):
    """A graph with a bit of everything, and another one that listens to it and talks to it."""
    ours, other = make_graph(own_master.uri, "ours"), make_graph(own_master.uri, "other")
    ours.got, other.got = [], []
    ours.subscribe("/flag", "std_msgs/Bool", ours.got.append)
    ours.advertise("/state", "std_msgs/String", latch=True)
    ours.advertise("/command", "std_msgs/Float64MultiArray")
    ours.advertise_service("/enable", "std_srvs/SetBool", lambda asked: {"success": asked["data"], "message": "ours"})
    ours.publish("/state", string("RUNNING"))
    other.advertise("/flag", "std_msgs/Bool")
    other.subscribe("/state", "std_msgs/String", other.got.append)
    other.subscribe("/command", "std_msgs/Float64MultiArray", other.got.append)
    for each in (ours, other):
        each.start()
    until(lambda: ours.connected and other.connected)
    check(ours, other, until)
    yield ours, other
    ours.close()
    other.close()


def check(ours, other, until):
    """Everything that was declared works: what is latched is there, messages flow both ways, the service answers."""
    until(lambda: ours.connected and other.connected, "for both to be there")
    until(lambda: [each for each in other.got if each.message["data"] == "RUNNING"], "for what is latched")
    ours.got.clear()
    until(lambda: other.publish("/flag", boolean(True)) or ours.got, "for the subscription")
    other.got.clear()
    until(lambda: ours.publish("/command", float64_array([0.5])) or other.got, "for the publisher")
    until(lambda: "/enable" in other.services())
    assert other.call_service("/enable", "std_srvs/SetBool", {"data": True}, 20) == {"success": True, "message": "ours"}
    ours.got.clear()
    other.got.clear()


def test_a_master_that_dies_is_noticed_and_all_is_made_anew_when_another_one_is_there(declared, own_master, until):
    ours, other = declared
    own_master.kill()
    until(lambda: ours.links == [True, False], "for the loss to be told", 10)
    assert not ours.connected
    with pytest.raises(ServiceFailed, match="not connected to the ROS master at http://"):
        ours.call_service("/enable", "std_srvs/SetBool", {}, 20)
    assert (ours.topic_type("/flag"), ours.topics(), ours.services(), ours.nodes()) == (None, {}, {}, [])
    ours.publish("/command", float64_array([1.0]))
    until(lambda: not other.connected)
    other.got.clear()
    own_master.start()
    check(ours, other, until)
    assert ours.links == [True, False, True]
    assert any("the ROS master at http://127.0.0.1" in note and "does not answer" in note for note in ours.notes)


def test_a_master_that_was_replaced_in_a_moment_is_noticed_too(own_master, make_graph, until):
    graph = make_graph(own_master.uri, "replaced", hang_after=60.0)
    graph.advertise("/state", "std_msgs/String", latch=True)
    graph.publish("/state", string("RUNNING"))
    graph.start()
    until(lambda: graph.connected and graph.topic_type("/state"))
    # it never sees that there was none: it is held still meanwhile
    os.kill(graph._process.pid, signal.SIGSTOP)
    own_master.kill()
    own_master.start()
    until(lambda: graph._ask_master("getPid", default=0))
    assert graph.topic_type("/state") is None
    os.kill(graph._process.pid, signal.SIGCONT)
    until(lambda: graph.links == [True, False, True], "for the loss to be told, and the return")
    assert any("no longer knows this node" in note for note in graph.notes)
    assert 'data: "RUNNING"' in own_master.run("rostopic", "echo", "-n1", "/state")
    graph.close()


def test_a_master_that_hangs_is_noticed(declared, own_master, until):
    ours, other = declared
    own_master.process.send_signal(signal.SIGSTOP)
    until(lambda: ours.links == [True, False], "for the loss to be told", 20)
    own_master.process.send_signal(signal.SIGCONT)
    until(lambda: ours.connected and other.connected)
    ours.publish("/state", string("RUNNING"))
    check(ours, other, until)


def test_it_waits_for_a_master_that_comes_later(own_master, make_graph, until):
    own_master.kill()
    graph = make_graph(own_master.uri, "early")
    graph.advertise("/state", "std_msgs/String", latch=True)
    graph.publish("/state", string("WAITING"))
    graph.start()
    until(lambda: graph._process is not None and graph._process._heard is not None)
    assert not graph.connected
    own_master.start()
    until(lambda: graph.connected)
    assert graph.links == [True]
    assert 'data: "WAITING"' in own_master.run("rostopic", "echo", "-n1", "/state")
    graph.close()


def test_a_process_that_is_killed_is_noticed_and_started_again(declared, until):
    ours, other = declared
    asked, failed = threading.Event(), []

    def hang(arguments):
        asked.set()
        time.sleep(5)
        return {}

    def call():
        with pytest.raises(ServiceFailed, match="the connection to the ROS graph was lost"):
            ours.call_service("/hang", "std_srvs/Trigger", {}, 60)
        failed.append(time.monotonic())

    other.advertise_service("/hang", "std_srvs/Trigger", hang)
    until(lambda: "/hang" in other.services())
    waiting = threading.Thread(target=call)
    waiting.start()
    until(asked.is_set)
    other.got.clear()
    pid = ours._process.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: ours.links[:2] == [True, False], "for the loss to be told", 5)
    waiting.join(5)
    assert failed, "who waits for an answer is told at once"
    check(ours, other, until)
    assert ours.links == [True, False, True]
    assert (ours.restarts, ours.faults["restarted"]) == (1, 1)
    assert ours._process.pid != pid
    assert other.links == [True], "nobody else was disturbed"


def test_a_process_that_hangs_is_killed_and_nothing_old_is_published_afterwards(declared, until):
    ours, other = declared
    pid = ours._process.pid
    os.kill(pid, signal.SIGSTOP)
    for _ in range(500):
        ours.publish("/command", float64_array([13.0]))
    until(lambda: ours.links == [True, False], "for the hang to be told", 10)
    check(ours, other, until)
    assert not alive(pid)
    assert any("did not answer for" in note for note in ours.notes)
    assert all(each.message["data"] != [13.0] for each in other.got)


def test_a_command_that_was_stuck_on_its_way_is_not_published_but_what_is_latched_is(own_master, make_graph, until):
    ours, other = make_graph(own_master.uri, "stuck", hang_after=60.0), make_graph(own_master.uri, "other")
    got = []
    for topic in ("/command", "/state"):
        ours.advertise(topic, "std_msgs/String", latch=topic == "/state")
        other.subscribe(topic, "std_msgs/String", got.append)
    ours.start()
    other.start()
    until(lambda: ours.connected and other.connected)
    until(lambda: ours.publish("/command", string("a")) or got)
    os.kill(ours._process.pid, signal.SIGSTOP)
    ours.publish("/command", string("old"))
    ours.publish("/state", string("STOPPED"))
    time.sleep(0.6)
    os.kill(ours._process.pid, signal.SIGCONT)
    until(lambda: [each for each in got if each.message["data"] == "STOPPED"])
    until(lambda: ours.publish("/command", string("new")) or [each for each in got if each.message["data"] == "new"])
    assert all(each.message["data"] != "old" for each in got)
    assert ours.faults["too late"] >= 1
    assert ours.restarts == 0
    ours.close()
    other.close()


def test_a_slow_reader_is_given_the_newest_picture_and_nothing_piles_up(own_graph, peer, until):
    free, got = threading.Event(), []

    def take(arrival):
        got.append(arrival.message["data"][0])
        free.wait(60)

    def waiting():
        """What the next call of `take` will be given."""
        return [
            arrival.message["data"][0] for _, arrival in list(own_graph._streams.waiting._topics.get("/peer/image", ()))
        ]

    own_graph.subscribe("/peer/image", "sensor_msgs/Image", take)
    until(lambda: peer.say("image") or got)
    newest = send_large(peer, 60, until)
    until(lambda: waiting() == [newest], "for the newest to wait, and it alone")
    assert own_graph._streams.waiting.dropped > 20
    free.set()
    until(lambda: newest in got)
    assert len(got) == 2


def send_large(peer, number, until):
    """Have so many pictures of 640x480 published at 100 Hz; the first byte of the last one."""
    before = len(peer.heard)
    peer.say(f"large {number}")
    return until(lambda: [each["sent"] for each in peer.heard[before:] if "sent" in each], "for the pictures", 60)[-1]


PARENT = """
import sys; sys.path[:0] = sys.argv[2:]
from headway_envs.ros.ros1.graph import RosGraph
import time
graph = RosGraph(sys.argv[1], "parent")
graph.subscribe("/peer/image", "sensor_msgs/Image", lambda a: print(a.message["data"][0], flush=True))
graph.start()
while not graph.connected: time.sleep(0.01)
print(graph._process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def start_parent(ros1):
    """Runs a graph in a process of its own, which can be stopped or killed; with it the process that has rospy."""
    started = []

    def start(uri):
        command = [sys.executable, "-c", PARENT, uri, *filter(None, sys.path)]
        parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(parent)
        return parent, int(parent.stdout.readline())

    yield start
    for parent in started:
        parent.kill()
        parent.wait()


def test_while_we_hang_the_memory_of_the_other_process_does_not_grow(master, peer, start_parent, until):
    parent, pid = start_parent(master.uri)
    heard = []
    threading.Thread(target=lambda: heard.extend(iter(parent.stdout.readline, "")), daemon=True).start()
    until(lambda: peer.say("image") or heard)
    send_large(peer, 5, until)
    parent.send_signal(signal.SIGSTOP)
    before = resident(pid)
    newest = send_large(peer, 100, until)
    grown = resident(pid) - before
    parent.send_signal(signal.SIGCONT)
    until(lambda: heard[-1] == f"{newest}\n", "for the newest")
    assert grown < 40e6, "a hundred pictures would be 92 MB"


def resident(pid):
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_a_callback_that_fails_does_not_silence_the_others(own_graph, peer, until):
    got = []
    own_graph.subscribe("/peer/text", "std_msgs/String", lambda arrival: 1 / 0)
    own_graph.subscribe("/peer/text", "std_msgs/String", got.append)
    until(lambda: peer.say("texts 2") or len(got) > 3)
    assert own_graph.faults["callback"] >= 3
    assert own_graph.connected


def test_who_loses_its_name_to_another_node_leaves_for_good(own_master, make_graph, until):
    first, second = make_graph(own_master.uri, "arm_watcher"), make_graph(own_master.uri, "arm_watcher")
    first.start()
    until(lambda: first.connected)
    second.start()
    until(lambda: second.connected)
    until(lambda: first.links == [True, False])
    until(lambda: first.faults["name taken"])
    assert "another node is called /arm_watcher now: this one has left the graph" in first.notes
    assert second.links == [True]
    assert not first._keeper._thread.is_alive()
    first.close()
    second.close()


def test_a_node_that_is_killed_through_ros_comes_back(own_master, make_graph, until):
    graph = make_graph(own_master.uri, "wanted")
    graph.start()
    until(lambda: graph.connected)
    own_master.run("rosnode", "kill", "/wanted")
    until(lambda: graph.links == [True, False, True])
    graph.close()


def test_a_killed_parent_leaves_nothing_behind(own_master, start_parent, until):
    parent, pid = start_parent(own_master.uri)
    assert alive(pid)
    parent.kill()
    parent.wait()
    until(lambda: not alive(pid))
    assert "/parent" not in own_master.run("rosnode", "list").splitlines()


def test_closing_before_it_is_connected_or_started_is_quick(own_master, ros1):
    own_master.kill()
    unstarted = RosGraph(own_master.uri)
    unstarted.close()
    unstarted.start()
    assert not unstarted.connected
    graph = RosGraph(own_master.uri)
    graph.start()
    began = time.monotonic()
    graph.close()
    assert time.monotonic() - began < 5.0
    assert not graph._keeper._thread.is_alive()
