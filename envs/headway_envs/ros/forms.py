"""Messages from one form to another: ROS 1, ROS 2, JSON, CBOR, and the one that Headway uses inside.

ROS 1 writes a time as secs and nsecs and numbers its headers; both versions write `uint8[]` as base64 in JSON, and a
float that is not finite as null.
"""

import base64
import math
from collections.abc import Callable
from typing import Any, Literal, TypeGuard

from headway.errors import HeadwayError, InvalidValue
from headway_datasets.ros_types import two_part
from headway_envs.ros.transport import Message

Dialect = Literal["ros1", "ros2"]

# fields whose form on the wire depends on the type; all others are the same everywhere
_BYTES = {"sensor_msgs/Image": ("data",), "sensor_msgs/CompressedImage": ("data",)}
_FLOATS = {
    "std_msgs/Float32": ("data",),
    "std_msgs/Float64MultiArray": ("data",),
    "sensor_msgs/JointState": ("position", "velocity", "effort"),
    "JointTrajectoryPoint": ("positions", "velocities", "accelerations", "effort"),
}
_INSIDE = {"trajectory_msgs/JointTrajectory": {"points": "JointTrajectoryPoint"}}

DEPTH = 50
"""Dicts and lists within each other; the messages of ROS have fewer than ten."""


class MessageError(HeadwayError):
    """A message that is not what its type says, or that cannot be sent."""


def is_whole(value: Any) -> TypeGuard[int]:
    """Of at most 64 bits: whatever has more is no time, and no float either."""
    return isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64


def to_ros1(message: Message) -> Message:
    """A copy with the times of ROS 1. A header that has no number gets none. Raises MessageError for deep nesting."""
    return _rewritten(message, lambda value: _renamed(value, ("sec", "nanosec"), ("secs", "nsecs")))


def to_ros2(message: Message) -> Message:
    """A copy with the times of ROS 2, from either form. Raises MessageError for deep nesting."""
    return _rewritten(message, lambda value: _renamed(value, ("secs", "nsecs"), ("sec", "nanosec")))


def from_wire(message: Any, kind: str) -> Message:
    """A message as a transport got it, JSON or CBOR, of ROS 1 or 2, in Headway's form.

    Of the kinds above, null becomes NaN in floats and base64 becomes bytes; of others, only times are rewritten. This
    checks no more than it has to: who reads a field checks it. Raises MessageError.
    """
    if not isinstance(message, dict):
        raise MessageError(f"a message is a dict of fields, got {type(message).__name__}")
    return _read_fields(to_ros2(message), two_part(kind))


def to_wire(message: Message, dialect: Dialect) -> Message:
    """A message as JSON can hold it and that version of ROS accepts it.

    A header's number is left out for ROS 2, which drops the whole message otherwise. Raises MessageError for a float
    that is not finite: JSON has none, and rosbridge makes it null, which the subscriber never sees.
    """
    if dialect not in ("ros1", "ros2"):
        raise InvalidValue(f"dialect must be ros1 or ros2, got {dialect!r}")
    named = to_ros1(message) if dialect == "ros1" else _rewritten(message, _without_number)
    return _rewritten(named, _json_value)


def finite(message: Any) -> bool:
    """Whether every float in it is finite. What is not must never be published."""
    waiting = [message]
    while waiting:
        value = waiting.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return False
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
    return True


def _rewritten(value: Any, change: Callable[[Any], Any], depth: int = 0) -> Any:
    """A copy of dicts and lists in which `change` was made to each value, outer ones first."""
    if depth > DEPTH:
        raise MessageError(f"a message has more than {DEPTH} fields within each other")
    value = change(value)
    if isinstance(value, dict):
        return {name: _rewritten(inside, change, depth + 1) for name, inside in value.items()}
    return [_rewritten(inside, change, depth + 1) for inside in value] if isinstance(value, list | tuple) else value


def _renamed(value: Any, old: tuple[str, str], new: tuple[str, str]) -> Any:
    """A time is a dict of exactly these two fields, both whole numbers."""
    if not isinstance(value, dict) or len(value) != 2 or not all(is_whole(value.get(name)) for name in old):
        return value
    return {new[0]: value[old[0]], new[1]: value[old[1]]}


def _without_number(value: Any) -> Any:
    if not isinstance(value, dict) or not {"seq", "stamp", "frame_id"} <= value.keys():
        return value
    return {name: inside for name, inside in value.items() if name != "seq"}


def _json_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        raise MessageError(f"a message with a float that is not finite ({value}) cannot be sent")
    return value


def _read_fields(message: Message, kind: str) -> Message:
    for name in _BYTES.get(kind, ()):
        if name in message:
            message[name] = _bytes(message[name], name)
    for name in _FLOATS.get(kind, ()):
        if name in message:
            message[name] = _floats(message[name])
    for name, inner in _INSIDE.get(kind, {}).items():
        if isinstance(message.get(name), list):
            message[name] = [_read_fields(one, inner) if isinstance(one, dict) else one for one in message[name]]
    return message


def _bytes(value: Any, name: str) -> bytes:
    """JSON has base64, CBOR bytes; some clients send a list of numbers."""
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
        if isinstance(value, bytes | bytearray | list):
            return bytes(value)
    except (ValueError, TypeError) as error:
        raise MessageError(f"{name} holds no bytes: {error}") from error
    raise MessageError(f"{name} must be bytes, got {type(value).__name__}")


def _floats(value: Any) -> Any:
    if isinstance(value, list):
        return [math.nan if one is None else one for one in value]
    return math.nan if value is None else value
