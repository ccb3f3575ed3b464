"""What can be tested of the ROS 1 graph without ROS: how the two processes talk, and that the other one can start."""

import ast
import io
import json
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway_envs.ros.ros1.sidecar as sidecar
from headway.errors import InvalidValue, Unsupported
from headway_envs.ros.ros1.graph import RosGraph
from headway_envs.ros.ros1.sidecar.frames import LENGTHS, FrameError, Mailbox, encode, receive
from headway_envs.ros.ros1.sidecar.master import Master, MasterError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def through_a_pipe(*frames):
    return io.BytesIO(b"".join(piece for frame in frames for piece in encode(frame)))


@given(st.lists(VALUES, max_size=3))
def test_whatever_goes_in_comes_out_the_same_not_a_number_included(values):
    pipe = through_a_pipe(*({"op": "x", "message": value} for value in values))
    for value in values:
        frame, _ = receive(pipe)
        assert repr(frame["message"]) == repr(value)
    assert receive(pipe) is None


def test_pictures_are_not_copied_on_their_way_in_and_stay_bytes():
    picture = bytes(range(256)) * 100
    pieces = encode({"op": "x", "message": {"a": picture, "b": [b"", b"12"]}})
    assert pieces[1] is picture
    frame, size = receive(io.BytesIO(b"".join(pieces)))
    assert frame["message"] == {"a": picture, "b": [b"", b"12"]}
    assert size == sum(map(len, pieces))


@pytest.mark.parametrize("value", [{1, 2}, object(), {(1, 2): 3}, 1j, memoryview(b"1")])
def test_what_no_message_can_hold_is_one_clear_line(value):
    with pytest.raises(FrameError) as caught:
        encode({"op": "x", "message": value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("head", [b"{", b"[1]", b"{}", b'{"op": 1}', b"\xff", b"[" * 100_000])
def test_after_a_frame_that_says_nothing_the_next_one_is_read(head):
    pipe = io.BytesIO(LENGTHS.pack(len(head), 3) + head + b"raw" + b"".join(encode({"op": "next"})))
    with pytest.raises(FrameError):
        receive(pipe)
    assert receive(pipe)[0] == {"op": "next"}


@given(st.binary(max_size=200))
def test_garbage_on_the_pipe_is_refused_and_nothing_else(garbage):
    pipe = io.BytesIO(garbage)
    try:
        while receive(pipe) is not None:
            pass
    except FrameError:
        pass


@pytest.mark.parametrize("place", [[0, "a"], ["a"], "ab", None, [0, 1.5], {"a": 1}])
def test_a_message_that_looks_like_our_own_sign_for_bytes_does_no_harm(place):
    head = json.dumps({"op": "x", "message": {"#": place}}).encode()
    frame, _ = receive(io.BytesIO(LENGTHS.pack(len(head), 0) + head))
    assert frame["message"] == {"#": place}


def test_a_slow_reader_gets_the_newest_and_every_notice():
    mailbox = Mailbox()
    for number in range(50):
        mailbox.put(number, "/picture")
        mailbox.put(("notice", number))
        mailbox.put(("joint", number), "/joints", 3)
    mailbox.close()
    taken = []
    while (item := mailbox.take()) is not None:
        taken.append(item)
    assert taken == [*(("notice", n) for n in range(50)), 49, *(("joint", n) for n in (47, 48, 49))]
    assert mailbox.dropped == 49 + 47


def test_no_topic_starves_another():
    mailbox = Mailbox()
    for number in range(3):
        mailbox.put(("a", number), "/a", 10)
        mailbox.put(("b", number), "/b", 10)
    assert [mailbox.take()[0] for _ in range(6)] == list("ababab")


def test_who_waits_for_a_message_is_woken_by_it_and_by_the_end():
    mailbox, taken = Mailbox(), []
    reader = threading.Thread(target=lambda: taken.extend(iter(mailbox.take, None)))
    reader.start()
    mailbox.put("a")
    mailbox.close()
    reader.join(10)
    assert taken == ["a"]


def test_the_other_process_needs_python_3_8_ros_and_nothing_of_ours():
    files = sorted(Path(sidecar.__file__).parent.glob("*.py"))
    assert len(files) > 3
    for path in files:
        tree = ast.parse(path.read_text(), feature_version=(3, 8))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
        outside = {name.split(".")[0] for name in names} - sys.stdlib_module_names
        assert outside <= {"rospy", "roslib", "genpy"}, path


def test_a_python_without_rospy_is_one_clear_line():
    with pytest.raises(Unsupported, match=r"has no rospy; install ROS 1 \(scripts/install_ros1.sh") as caught:
        RosGraph(python=sys.executable)
    assert "\n" not in str(caught.value)
    with pytest.raises(Unsupported, match=r"/no/such/python cannot be run"):
        RosGraph(python="/no/such/python")


@pytest.mark.parametrize(
    "uri", ["localhost", "http://localhost", "ws://localhost:11311", "http://a b:1", "http://x:1/y"]
)
def test_an_address_that_is_no_masters_is_refused(uri):
    with pytest.raises(InvalidValue, match="a ROS master is at an address like"):
        RosGraph(uri)


@pytest.mark.parametrize("name", ["", "/node", "a b", "1a", "a/b", "a\n"])
def test_a_name_that_is_no_nodes_is_refused(name):
    with pytest.raises(InvalidValue, match="a ROS node's name"):
        RosGraph(node_name=name)


def test_a_master_that_is_not_there_is_told_quickly():
    with pytest.raises(MasterError, match="does not answer"):
        Master("http://127.0.0.1:9", "/test").ask("getPid", timeout=0.5)
