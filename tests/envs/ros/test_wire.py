"""Frames: what a genuine server of version 0.11.17 sent is read, and nothing raises anything but WireError."""

import base64
import json
import math
import os
import pickle
from contextlib import suppress
from pathlib import Path

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway_envs.ros.messages import from_wire
from headway_envs.ros.rosbridge import cbor
from headway_envs.ros.rosbridge.errors import WireError
from headway_envs.ros.rosbridge.fragments import MAX_MESSAGES, Fragments, split
from headway_envs.ros.rosbridge.wire import MAX_PARTS, Reader, decode, decode_png, encode_json, encode_png

# recorded from a genuine server
JOINTS = (
    r'{"op":"publish","topic":"\/joint_states","msg":{"header":{"seq":22,"stamp":{"secs":1795237645,'
    r'"nsecs":498374462},"frame_id":""},"name":["j1","j2"],"position":[3.4000000000000004,null],'
    r'"velocity":[],"effort":[]}}'
)
IMAGE_CBOR = bytes.fromhex(
    "a3626f70677075626c69736865746f706963712f63616d6572612f696d6167655f726177636d7367a766686561646572a3637365710265"
    "7374616d70a264736563731a6b01270f656e736563731a358c18d2686672616d655f69646363616d66686569676874066577696474680868"
    "656e636f64696e6764726762386c69735f626967656e6469616e00647374657018186464617461"
    "5890" + "2e" * 144
)
PNG = (
    r'{"op":"png","data":"iVBORw0KGgoAAAANSUhEUgAAAAsAAAANCAIAAADwlwNsAAABN0lEQVR4nGOsVsr\/ynB6k5+1w58vgn927twV5Oz39cumi\/utvjq'
    r"y2jEJfmGM0c8UNPr34x\/3H4kNp1d7u7tuPS7CoPfK\/g+D4L6rnAyWrxgLlawOc72w97D\/9efgWW4Gy1eODHuv7xP9z\/L7FxMLI+O3d4x5xalfGfZ"
    r"e3y\/+j\/HPj78srL6f3750s2f\/\/O\/P\/8MX9zmqezMq1eowvLZ0\/8\/MvfvSIa4XjrZOf\/\/vO3aB64WukyPXN7b\/zEwMe78F\/P97fveRde6W"
    r"mmbuH\/5wfWC0N3nFx3d8iwArI\/uWy0wCv7g2\/P1vY\/9NYuetp\/f5nt2\/LPzk8eVQYRHR0FsX7rBrczHxOysq3RW7+VjeVvv7X7NrmJgJmyAKZi"
    r'Kk4BoTIQXfmQgp+MtY7utySuueDduL3l4GrAAAYtvwVJJZ8NcAAAAASUVORK5CYII="}'
)
PIECES = [
    json.dumps({"op": "fragment", "id": 0, "data": data, "num": number, "total": 5.03})
    for number, data in enumerate(
        [
            r'{"op":"publish","topic":"\/camera\/image_raw","msg":{"header":{"seq":5,"stamp":{"secs":1795237648,"n',
            r'secs":498983144},"frame_id":"cam"},"height":6,"width":8,"encoding":"rgb8","is_bigendian":0,"step":24',
            ',"data":"' + "MTEx" * 22 + "MTE",
            "x" + "MTEx" * 24 + "MTE",
            'x"}}',
        ]
    )
]


def test_genuine_json():
    frame = decode(JOINTS)
    assert frame["topic"] == "/joint_states"
    message = from_wire(frame["msg"], "sensor_msgs/JointState")
    assert message["header"] == {"seq": 22, "stamp": {"sec": 1795237645, "nanosec": 498374462}, "frame_id": ""}
    assert message["position"][0] == 3.4000000000000004
    assert math.isnan(message["position"][1])


def test_genuine_cbor():
    message = from_wire(decode(IMAGE_CBOR)["msg"], "sensor_msgs/Image")
    assert message["data"] == b"\x2e" * 144
    assert message["header"]["stamp"] == {"sec": 1795237647, "nanosec": 898373842}


def test_genuine_png():
    frame = Reader().read(PNG, 0.0)
    assert frame["msg"]["header"]["seq"] == 4
    assert len(from_wire(frame["msg"], "sensor_msgs/Image")["data"]) == 144


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 2, 0, 3, 1], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]])
def test_genuine_fragments(order):
    reader = Reader()
    frames = [reader.read(PIECES[number], 0.0) for number in order]
    whole = [frame for frame in frames if frame]
    assert len(whole) == 1
    assert from_wire(whole[0]["msg"], "sensor_msgs/Image")["data"] == b"1" * 144
    assert reader.size == sum(len(json.loads(piece)["data"]) for piece in PIECES)
    assert reader.fragments.size == 0


def test_messages_of_one_id_are_not_mixed():
    first = [{"id": 0, "num": n, "total": 3, "data": f"a{n}"} for n in range(3)]
    second = [{"id": 0, "num": n, "total": 3, "data": f"b{n}"} for n in range(3)]
    fragments = Fragments(100)
    # the middle of the first is lost
    said = [fragments.add(piece, 0.0) for piece in (first[0], first[2], *second)]
    assert said == [None, None, None, None, "b0b1b2"]
    assert fragments.lost == 1
    # a late second copy of the last piece begins nothing
    assert fragments.add(second[2], 0.0) is None
    assert fragments.size == 0
    assert [fragments.add(piece, 0.0) for piece in first] == [None, None, "a0a1a2"]


def test_fragments_are_bounded_in_size_number_and_age():
    fragments = Fragments(max_size=50, max_age=2.0)
    for name in range(100):
        fragments.add({"id": name, "num": 0, "total": 2, "data": "x" * 20}, 0.0)
        assert fragments.size <= 50
    assert fragments.lost == 98
    fragments.add({"id": "new", "num": 0, "total": 2, "data": ""}, 2.1)
    assert (fragments.size, fragments.lost) == (0, 100)
    many = Fragments(max_size=10**6)
    for name in range(100):
        many.add({"id": name, "num": 0, "total": 2, "data": ""}, 0.0)
    assert many.lost == 100 - MAX_MESSAGES
    with pytest.raises(WireError, match="too large"):
        fragments.add({"id": 1, "num": 0, "total": 2, "data": "x" * 51}, 3.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"num": 5}, "bad fragment"),
        ({"num": -1}, "bad fragment"),
        ({"num": True}, "bad fragment"),
        ({"num": 0.5}, "bad fragment"),
        ({"total": math.nan}, "bad fragment"),
        ({"total": 1e9}, "bad fragment"),
        ({"total": "5"}, "bad fragment"),
        ({"id": [1]}, "bad fragment"),
        ({"id": "x" * 1000}, "bad fragment"),
        ({"data": 5}, "bad fragment"),
        ({"num": 0, "total": 1, "data": PIECES[0]}, "nested"),
    ],
)
def test_bad_fragments(change, reason):
    with pytest.raises(WireError) as caught:
        Reader().read(json.dumps(json.loads(PIECES[0]) | change), 0.0)
    assert caught.value.reason == reason


@given(st.text(min_size=1, max_size=200), st.integers(1, 50), st.randoms())
def test_what_is_split_comes_together_in_any_order(text, size, random):
    pieces = list(split(text, size, "a"))
    assert all(len(piece["data"]) <= size for piece in pieces)
    random.shuffle(pieces)
    fragments = Fragments(1000)
    assert [fragments.add(piece, 0.0) for piece in pieces] == [None] * (len(pieces) - 1) + [text]


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOATS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


@settings(max_examples=50)
@given(MESSAGES)
def test_every_form_gives_back_what_went_in(message):
    frame = {"op": "publish", "msg": message}
    assert decode(encode_json(frame)) == frame
    assert decode(encode_json(frame, escape_slashes=True)) == frame
    assert decode_png(encode_png(encode_json(frame))) == frame
    assert decode(cbor.encode(frame)) == frame


@given(st.lists(FLOATS | st.just(math.inf), min_size=1, max_size=9), st.binary(max_size=20))
def test_cbor_holds_floats_as_one_typed_array_and_bytes_as_they_are(floats, data):
    frame = {"op": "publish", "floats": floats, "data": data}
    sent = cbor.encode(frame)
    assert decode(sent) == frame
    assert cbor2.loads(sent)["floats"] == cbor2.CBORTag(86, np.asarray(floats, "<f8").tobytes())


@pytest.mark.parametrize(
    ("tag", "dtype"),
    [
        *[(65, ">u2"), (66, ">u4"), (67, ">u8"), (69, "<u2"), (70, "<u4"), (71, "<u8"), (72, "i1"), (73, ">i2")],
        *[(74, ">i4"), (75, ">i8"), (77, "<i2"), (78, "<i4"), (79, "<i8"), (80, ">f2"), (81, ">f4"), (82, ">f8")],
        *[(84, "<f2"), (85, "<f4"), (86, "<f8")],
    ],
)
def test_typed_arrays(tag, dtype):
    numbers = [0, 1, 100]
    sent = cbor2.dumps({"op": "x", "a": cbor2.CBORTag(tag, np.array(numbers, dtype).tobytes())})
    assert decode(sent)["a"] == numbers
    short = cbor2.dumps({"op": "x", "a": cbor2.CBORTag(tag, b"1" * (np.dtype(dtype).itemsize + 1))})
    if np.dtype(dtype).itemsize > 1:
        with pytest.raises(WireError, match="not cbor"):
            decode(short)


def test_uint8_arrays_are_bytes():
    sent = cbor2.dumps({"op": "x", "a": cbor2.CBORTag(64, b"ab"), "b": cbor2.CBORTag(68, b"cd")})
    assert decode(sent) == {"op": "x", "a": b"ab", "b": b"cd"}


def test_bare_nan_is_read_and_never_written():
    frame = decode('{"op":"publish","msg":{"data":[NaN,Infinity,-Infinity]}}')
    assert math.isnan(frame["msg"]["data"][0])
    assert frame["msg"]["data"][1:] == [math.inf, -math.inf]
    with pytest.raises(WireError, match="not a message"):
        encode_json(frame)


OP = cbor2.dumps({"op": "x"})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("not json at all", "not json"),
        ('{"op":"publish", "topic":', "not json"),
        ("", "not json"),
        ("[1,2,3]", "no object"),
        ('{"noop":1}', "no op"),
        ('{"op":1}', "no op"),
        ('{"op":"x","a":' + "[" * 100_000 + "]" * 100_000 + "}", "not json"),
        ('{"op":"x","a":' + "[" * 100 + "]" * 100 + "}", "no object"),
        ('{"op":"x","a":' + "9" * 5000 + "}", "not json"),
        ('{"op":"x","a":[' + "[]," * MAX_PARTS + "1]}", "too many parts"),
        (b"", "not cbor"),
        (b"\x00\xff\xfe\x01", "not cbor"),
        (OP[:-1], "not cbor"),
        (OP + b"\x00", "not cbor"),
        (b"\xbf" + OP[1:] + b"\xff", "not cbor"),  # a map of unknown length
        (cbor2.dumps({"op": "x", "a": cbor2.CBORTag(35, "(a+)+$")}), "not cbor"),
        (cbor2.dumps({"op": "x", "a": cbor2.CBORTag(86, "text")}), "not cbor"),
        (cbor2.dumps({"op": "x", "a": cbor2.CBORTag(28, [cbor2.CBORTag(29, 0)])}), "not cbor"),
        (cbor2.dumps({"op": "x", "a": cbor2.CBORTag(87, b"1" * 16)}), "not cbor"),
        (cbor2.dumps({"op": "x", 1: 2}), "no object"),
        (cbor2.dumps({"op": "x", "a": [[]] * 200_000}), "too many parts"),
        (cbor2.dumps({"op": "x", "a": cbor2.CBORTag(72, b"1" * 2_000_000)}), "too many parts"),
        (b"\x9b\x00\x00\x00\x10\x00\x00\x00\x00", "not cbor"),
        (b"\x81" * 50_000, "not cbor"),
        ('{"op":"png","data":5}', "bad png"),
        ('{"op":"png","data":"a"}', "bad png"),
        ('{"op":"png","data":"AAAA"}', "bad png"),
    ],
)
def test_garbage_has_a_reason(data, reason):
    with pytest.raises(WireError) as caught:
        Reader().read(data, 0.0)
    assert caught.value.reason == reason


def test_too_large_is_refused_before_it_is_read():
    with pytest.raises(WireError, match="too large"):
        Reader(max_size=10).read(JOINTS, 0.0)
    # a picture of a few hundred bytes that unpacks to gigabytes
    frame = json.loads(PNG)
    png = bytearray(base64.b64decode(frame["data"]))
    png[16:24] = (50_000).to_bytes(4, "big") * 2
    with pytest.raises(WireError, match="too large"):
        decode_png({"op": "png", "data": base64.b64encode(bytes(png)).decode()})
    inner = encode_png(encode_json(encode_png(JOINTS)))
    with pytest.raises(WireError, match="nested"):
        Reader().read(encode_json(inner), 0.0)


SEEDS = [JOINTS.encode(), IMAGE_CBOR, PNG.encode(), *(piece.encode() for piece in PIECES[:2])]


@settings(max_examples=1000, deadline=None)
@given(
    st.binary(max_size=60)
    | st.builds(
        lambda seed, at, junk, cut: seed[: at % len(seed)] + junk + seed[at % len(seed) + len(junk) :][: cut or None],
        st.sampled_from(SEEDS),
        st.integers(0, 2000),
        st.binary(max_size=4),
        st.integers(0, 300),
    ),
    st.booleans(),
)
def test_a_thousand_random_frames_raise_nothing_else(data, as_text):
    with suppress(WireError):
        frame = Reader(max_size=100_000).read(data.decode("utf-8", "replace") if as_text else data, 0.0)
        assert frame is None or isinstance(frame["op"], str)


def test_an_error_keeps_its_reason_between_processes():
    error = pickle.loads(pickle.dumps(WireError("not json", "at 5")))  # noqa: S301 - our own
    assert (error.reason, str(error)) == ("not json", "not json: at 5")


@pytest.mark.skipif("HEADWAY_ROSBRIDGE_TRANSCRIPT" not in os.environ, reason="the recording is kept elsewhere")
def test_every_frame_of_the_genuine_recording_is_read():
    recording = json.loads(Path(os.environ["HEADWAY_ROSBRIDGE_TRANSCRIPT"]).read_text())
    readers = {}
    ops = set()
    for row in recording:
        text = row["frame"]
        data = text if text.startswith("{") else bytes.fromhex(text) if row["dir"] == "s2c" else None
        if row["dir"] == "s2c":
            frame = readers.setdefault(row["session"], Reader()).read(data, 0.0)
            ops.add(frame and frame["op"])
    assert ops == {"publish", "service_response", "call_service", None}
