"""The messages of the node, and their way to the wire and back."""

import contextlib
import json
import math
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway_envs.ros import messages as m

# as a genuine rosbridge 0.11.17 sent them
GENUINE_JOINTS = (
    r'{"header":{"seq":22,"stamp":{"secs":1795237645,"nsecs":498374462},"frame_id":""},'
    r'"name":["j1","j2"],"position":[3.4000000000000004,null],"velocity":[],"effort":[]}'
)
GENUINE_IMAGE = (
    r'{"header":{"seq":1,"stamp":{"secs":1795237646,"nsecs":98373174},"frame_id":"cam"},"height":2,"width":2,'
    r'"encoding":"mono8","is_bigendian":0,"step":2,"data":"JSUl\/w=="}'
)

SECONDS = st.integers(0, 2**32 - 1)
NANOSECONDS = st.integers(0, 999_999_999)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
STAMPS = st.floats(0, 4e9)
NAMES = st.lists(st.text(max_size=5), max_size=4)


@st.composite
def known_messages(draw):
    """(kind, message) of every kind that the node sends or takes."""
    stamp, text = draw(STAMPS), draw(st.text(max_size=8))
    values = draw(st.lists(FLOATS, max_size=5))
    names = [f"j{index}" for index in range(len(values))]
    picture = np.frombuffer(draw(st.binary(min_size=24, max_size=24)), np.uint8).reshape(2, 4, 3)
    by_kind = {
        "Float32": m.float32(draw(FLOATS)),
        "Bool": m.boolean(draw(st.booleans())),
        "String": m.string(text),
        "Float64MultiArray": m.float64_array(values),
        "Header": m.header(stamp, text),
        "JointTrajectory": m.joint_trajectory(names, values, draw(st.floats(0, 10)), stamp),
        "Image": m.image(picture, stamp, text),
        "CompressedImage": m.compressed_image(draw(st.binary(max_size=20)), "jpeg", stamp, text),
        "JointState": m.joint_state(names, values, values, stamp=stamp),
        "DiagnosticArray": m.diagnostics(1, "node", text, {"a": text}, stamp),
        "Trigger": m.outcome(draw(st.booleans()), text),
        "SetBool": m.set_bool(draw(st.booleans())),
    }
    assert set(by_kind) == set(m.kinds)
    name = draw(st.sampled_from(sorted(by_kind)))
    return m.kinds[name], by_kind[name]


def with_number(message, number):
    """The same with a number in its header, if it has one."""
    return message | {"header": {"seq": number} | message["header"]} if "header" in message else message


def keys(value):
    if isinstance(value, dict):
        return set(value) | set().union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


@given(known_messages(), st.sampled_from(["ros1", "ros2"]))
def test_what_goes_out_as_json_comes_back_the_same(known, dialect):
    kind, message = known
    text = json.dumps(m.to_wire(message, dialect), allow_nan=False)
    assert m.from_wire(json.loads(text), kind) == message


@given(known_messages())
def test_each_dialect_has_its_own_names_of_times_and_only_ros_1_a_number(known):
    kind, message = known
    numbered = with_number(message, 7)
    first, second = m.to_wire(numbered, "ros1"), m.to_wire(numbered, "ros2")
    assert not keys(first) & {"sec", "nanosec"}
    assert not keys(second) & {"secs", "nsecs", "seq"}
    assert m.from_wire(first, kind) == numbered
    assert m.from_wire(second, kind) == message
    if "header" in message:
        assert "seq" not in m.to_wire(message, "ros1")["header"]


@given(known_messages())
def test_the_times_of_both_forms_are_inverse_and_nothing_given_is_changed(known):
    _, message = known
    before = repr(message)
    assert m.to_ros2(m.to_ros1(message)) == message
    assert m.to_ros2(message) == message
    m.to_wire(message, "ros1")
    assert repr(message) == before


def test_times_are_renamed_wherever_they_sit_also_in_kinds_that_are_not_known():
    strange = {"a": [{"when": {"secs": 1, "nsecs": 2}}], "secs": 5, "data": None, "b": {"secs": 1, "nsecs": 2, "c": 3}}
    read = m.from_wire(strange, "my_msgs/Strange")
    assert read == strange | {"a": [{"when": {"sec": 1, "nanosec": 2}}]}
    assert m.to_ros1(read) == strange


def test_a_null_is_nan_in_floats_and_nowhere_else():
    joints = m.from_wire(json.loads(GENUINE_JOINTS), "sensor_msgs/msg/JointState")
    assert joints["position"][0] == 3.4000000000000004
    assert math.isnan(joints["position"][1])
    assert joints["header"] == {"seq": 22, "stamp": {"sec": 1795237645, "nanosec": 498374462}, "frame_id": ""}
    assert math.isnan(m.from_wire({"data": None}, "std_msgs/Float32")["data"])
    assert m.from_wire({"data": None}, "std_msgs/String") == {"data": None}
    point = {"positions": [None, 1.0], "time_from_start": {"sec": 0, "nanosec": 5}}
    trajectory = {"header": m.header(), "joint_names": ["a", "b"], "points": [point]}
    assert math.isnan(m.from_wire(trajectory, m.kinds["JointTrajectory"])["points"][0]["positions"][0])


def test_bytes_are_read_from_base64_bytes_and_numbers():
    image = m.from_wire(json.loads(GENUINE_IMAGE), "sensor_msgs/Image")
    assert image["data"] == b"%%%\xff"
    for data in (b"%%%\xff", [37, 37, 37, 255], bytearray(b"%%%\xff")):
        assert m.from_wire({"data": data}, "sensor_msgs/CompressedImage")["data"] == b"%%%\xff"
    for data in ("JSUl\u00e9", "JSU", "JS Ul", [256], ["a"], 5, None, {}):
        with pytest.raises(m.MessageError):
            m.from_wire({"data": data}, "sensor_msgs/Image")
    assert m.from_wire({"data": "JSUl"}, "std_msgs/String") == {"data": "JSUl"}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_not_finite_is_found_and_never_sent(bad):
    for message in (
        m.float32(bad),
        m.float64_array([1.0, bad]),
        m.joint_trajectory(["a"], [bad], 0.1),
        {"a": ({}, [bad])},
    ):
        assert not m.finite(message)
        for dialect in ("ros1", "ros2"):
            with pytest.raises(m.MessageError, match="not finite"):
                m.to_wire(message, dialect)
    assert m.finite(m.joint_state(["a"], [1.0], stamp=3.5))


def test_deep_nesting_is_one_error():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for change in (m.to_ros1, m.to_ros2, lambda one: m.from_wire(one, "a/B"), lambda one: m.to_wire(one, "ros1")):
        with pytest.raises(m.MessageError, match="within each other"):
            change({"a": deep})
    assert m.finite({"a": deep})
    while deep:
        deep = deep.pop()


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "header",
                        "stamp",
                        "sec",
                        "nanosec",
                        "secs",
                        "nsecs",
                        "seq",
                        "data",
                        "position",
                        "points",
                        "positions",
                        "frame_id",
                        "name",
                        "success",
                        "message",
                        "joint_names",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from([*m.kinds.values(), "a/B", ""]),
)
def test_garbage_raises_message_errors_alone(garbage, kind):
    readers = (m.read_float32, m.read_boolean, m.read_string, m.read_float64_array, m.read_joint_trajectory)
    for use in (lambda one: m.from_wire(one, kind), lambda one: m.to_wire(one, "ros2"), m.read_outcome, *readers):
        with contextlib.suppress(m.MessageError):
            use(garbage)
    assert m.stamp_ns(garbage) is None or isinstance(m.stamp_ns(garbage), int)
    assert m.stamp_of(garbage) is None or isinstance(m.stamp_of(garbage), float)
    assert m.sequence_of(garbage) is None or isinstance(m.sequence_of(garbage), int)
    assert m.finite(garbage) in (True, False)


@given(SECONDS, NANOSECONDS)
def test_stamps_are_exact_in_nanoseconds(seconds, nanoseconds):
    message = {"header": {"stamp": {"sec": seconds, "nanosec": nanoseconds}}}
    total = seconds * 1_000_000_000 + nanoseconds
    assert m.stamp_ns(message) == total
    assert m.stamp_from_ns(total) == message["header"]["stamp"]
    assert m.stamp_of(message) == float(Fraction(total, 1_000_000_000))


@given(STAMPS)
def test_a_stamp_is_the_nanosecond_nearest_to_the_float(seconds):
    stamp = m.to_stamp(seconds)
    assert 0 <= stamp["nanosec"] < 1_000_000_000
    exact = Fraction(seconds) * 1_000_000_000
    assert abs(stamp["sec"] * 1_000_000_000 + stamp["nanosec"] - exact) <= Fraction(1, 2)


def test_stamps_at_the_edges():
    assert m.to_stamp(0.9999999999) == {"sec": 1, "nanosec": 0}
    assert m.to_stamp(1795237645.5) == {"sec": 1795237645, "nanosec": 500_000_000}
    for wrong in (-1e-6, 2.0**32, math.nan, math.inf):
        with pytest.raises(InvalidValue):
            m.to_stamp(wrong)
    assert m.stamp_of(m.joint_state([], [])) == 0.0
    assert m.stamp_of(m.float32(1)) is None
    assert m.stamp_of({"header": {"stamp": {"secs": 1, "nsecs": 2}}}) is None
    assert m.stamp_of({"header": {"stamp": {"sec": True, "nanosec": 2}}}) is None
    assert m.sequence_of({"header": m.header(1.0, number=22)}) == 22
    assert m.sequence_of({"header": m.header(1.0)}) is None


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("sensor_msgs/msg/Image", "sensor_msgs/Image"),
        ("std_srvs/srv/Trigger", "std_srvs/Trigger"),
        ("sensor_msgs/Image", "sensor_msgs/Image"),
        ("a/action/B", "a/action/B"),
        ("", ""),
    ],
)
def test_names_of_types_in_two_parts(given_name, expected):
    assert m.two_part(given_name) == expected


def test_readers_take_what_builders_make():
    assert m.read_float32(m.float32(0.5)) == 0.5
    assert m.read_float32({"data": 1}) == 1.0
    assert m.read_boolean(m.set_bool(True)) is True
    assert m.read_string(m.string("open")) == "open"
    assert m.read_float64_array(m.float64_array(np.array([1.0, 2.5]))) == (1.0, 2.5)
    assert m.read_outcome(m.outcome(True, "stopped")) == (True, "stopped")
    assert m.read_joint_trajectory(m.joint_trajectory(("a", "b"), [1, 2], 0.2)) == (("a", "b"), (1.0, 2.0), 0.2)
    assert m.trigger() == {}


def test_readers_refuse_what_merely_looks_like_it():
    wrong = [
        (m.read_boolean, {"data": 1}),
        (m.read_boolean, {"data": "true"}),
        (m.read_boolean, {}),
        (m.read_float32, {"data": True}),
        (m.read_float32, {"data": "0.5"}),
        (m.read_float32, {"data": 10**400}),
        (m.read_string, {"data": b"open"}),
        (m.read_float64_array, {"data": [1.0, "2"]}),
        (m.read_joint_trajectory, m.joint_trajectory(["a"], [1.0], 0.2) | {"points": []}),
        (m.read_joint_trajectory, m.joint_trajectory(["a"], [1.0], 0.2) | {"joint_names": ["a", "b"]}),
        (m.read_outcome, {"success": "yes", "message": ""}),
        (m.read_outcome, "Service /nope does not exist"),
    ]
    for read, message in wrong:
        with pytest.raises(m.MessageError):
            read(message)


def test_builders_refuse_what_does_not_fit():
    with pytest.raises(InvalidValue):
        m.joint_trajectory(["a"], [1.0, 2.0], 0.1)
    with pytest.raises(InvalidValue):
        m.joint_state(["a"], [1.0, 2.0])
    with pytest.raises(InvalidValue):
        m.image(np.zeros((2, 2), np.uint8))
    with pytest.raises(InvalidValue):
        m.to_wire({}, "ros3")


def test_every_field_of_the_message_files_is_there_and_no_other():
    """Against the definitions that a library for bags carries, in both versions of ROS."""
    rosbags = pytest.importorskip("rosbags.typesys")
    picture = np.zeros((2, 3, 3), np.uint8)
    made = {
        "Float32": m.float32(1),
        "Bool": m.boolean(True),
        "String": m.string("a"),
        "Float64MultiArray": m.float64_array([1]),
        "Header": m.header(1.0, "cam"),
        "JointTrajectory": m.joint_trajectory(["a"], [1], 0.1),
        "Image": m.image(picture),
        "CompressedImage": m.compressed_image(cv2.imencode(".jpg", picture)[1].tobytes()),
        "JointState": m.joint_state(["a"], [1]),
        "DiagnosticArray": m.diagnostics(0, "node", "well", {"a": "b"}),
    }
    store = rosbags.get_typestore(rosbags.Stores.ROS2_HUMBLE)

    def check(value, kind):
        fields = dict(store.fielddefs[kind.replace("/", "/msg/", 1) if kind.count("/") == 1 else kind][1])
        assert list(value) == list(fields)
        for name, (node, content) in fields.items():
            inside = content[0][1] if node.name == "SEQUENCE" else content
            if not isinstance(inside, str):
                continue
            for one in value[name] if node.name == "SEQUENCE" else [value[name]]:
                check(one, inside)

    for name, message in made.items():
        check(message, m.kinds[name])
