"""The fields of the message and service types that a bridge of ours checks, as a genuine one does with every type.

What does not fit is refused whole; what is left out is filled with zeros and empty texts. Types that are not listed
pass unchecked.
"""

from typing import Any

from headway_envs.ros.memory import Dialect
from headway_envs.ros.rosbridge.errors import WireError
from headway_envs.ros.transport import Message

Field = Any
"""A type (bool, int, float, str, bytes), `time`, another message's name, or a list of one of these: an array."""

_HEADER = "std_msgs/Header"
FIELDS: dict[str, dict[str, Field]] = {
    "std_msgs/Bool": {"data": bool},
    "std_msgs/Int32": {"data": int},
    "std_msgs/Float32": {"data": float},
    "std_msgs/Float64": {"data": float},
    "std_msgs/String": {"data": str},
    "std_msgs/Empty": {},
    _HEADER: {"stamp": "time", "frame_id": str},
    "std_msgs/MultiArrayDimension": {"label": str, "size": int, "stride": int},
    "std_msgs/MultiArrayLayout": {"dim": ["std_msgs/MultiArrayDimension"], "data_offset": int},
    "std_msgs/Float32MultiArray": {"layout": "std_msgs/MultiArrayLayout", "data": [float]},
    "std_msgs/Float64MultiArray": {"layout": "std_msgs/MultiArrayLayout", "data": [float]},
    "sensor_msgs/JointState": {
        "header": _HEADER,
        "name": [str],
        "position": [float],
        "velocity": [float],
        "effort": [float],
    },
    "sensor_msgs/CompressedImage": {"header": _HEADER, "format": str, "data": bytes},
    "sensor_msgs/Image": {
        "header": _HEADER,
        "height": int,
        "width": int,
        "encoding": str,
        "is_bigendian": int,
        "step": int,
        "data": bytes,
    },
    "trajectory_msgs/JointTrajectoryPoint": {
        "positions": [float],
        "velocities": [float],
        "accelerations": [float],
        "effort": [float],
        "time_from_start": "time",
    },
    "trajectory_msgs/JointTrajectory": {
        "header": _HEADER,
        "joint_names": [str],
        "points": ["trajectory_msgs/JointTrajectoryPoint"],
    },
    "diagnostic_msgs/KeyValue": {"key": str, "value": str},
    "diagnostic_msgs/DiagnosticStatus": {
        "level": int,
        "name": str,
        "message": str,
        "hardware_id": str,
        "values": ["diagnostic_msgs/KeyValue"],
    },
    "diagnostic_msgs/DiagnosticArray": {"header": _HEADER, "status": ["diagnostic_msgs/DiagnosticStatus"]},
    # services: what is asked
    "std_srvs/TriggerRequest": {},
    "std_srvs/EmptyRequest": {},
    "std_srvs/SetBoolRequest": {"data": bool},
}
_ACCEPTED = {bool: (bool,), int: (int,), float: (float, int), str: (str,), bytes: (str, bytes)}
_EMPTY = {bool: False, int: 0, float: 0.0, str: "", bytes: ""}
_TIMES = {"ros1": ({"secs", "nsecs"},), "ros2": ({"sec", "nanosec"}, {"secs", "nsecs"})}


def filled(message: Any, kind: str, dialect: Dialect) -> Message:
    """A message as it came over the wire, with every field. Raises WireError with reason `wrong field`.

    Args:
        kind: the type in two parts.
        dialect: `ros2` has no `seq` in a header, `ros1` no `sec` and `nanosec`.
    """
    if not isinstance(message, dict):
        raise WireError("wrong field", f"{kind} message is a {type(message)}")
    fields = FIELDS.get(kind)
    if fields is None:
        _refuse_seq(message, dialect)
        return message
    given = set(message) - ({"seq"} if kind == _HEADER and dialect == "ros1" else set())
    if unknown := sorted(given - set(fields)):
        raise WireError("wrong field", f"Message type {kind} does not have a field {unknown[0]}")
    full = dict(message)
    for name, field in fields.items():
        full[name] = _value(message[name], field, kind, name, dialect) if name in message else _empty(field, dialect)
    return full


def arguments(given: Any, kind: str, dialect: Dialect) -> Message:
    """What a service is asked, from a dict or, in the order of the fields, from a list. Raises WireError."""
    request = f"{kind}Request"
    if isinstance(given, list):
        if request not in FIELDS or len(given) > len(FIELDS[request]):
            raise WireError("wrong field", f"{request} takes no list of {len(given)}")
        given = dict(zip(FIELDS[request], given, strict=False))
    return filled({} if given is None else given, request, dialect)


def _value(value: Any, field: Field, kind: str, name: str, dialect: Dialect) -> Any:
    if isinstance(field, list):
        if not isinstance(value, list):
            raise WireError("wrong field", f"{kind} message requires a list for field {name}, but got a {type(value)}")
        return [_value(part, field[0], kind, name, dialect) for part in value]
    if field == "time":
        if not isinstance(value, dict) or set(value) not in _TIMES[dialect]:
            raise WireError("wrong field", f"{kind} message requires a time for field {name}")
        return {part: _value(number, int, kind, part, dialect) for part, number in value.items()}
    if isinstance(field, str):
        return filled(value, field, dialect)
    if field is bytes and isinstance(value, list):
        if not all(type(part) is int and 0 <= part < 256 for part in value):
            raise WireError("wrong field", f"{kind} message requires bytes for field {name}")
        return bytes(value)
    if type(value) not in _ACCEPTED[field]:
        wants = f"requires a {field.__name__} for field {name}"
        raise WireError("wrong field", f"{kind} message {wants}, but got a {type(value)}")
    return float(value) if field is float else value


def _empty(field: Field, dialect: Dialect) -> Any:
    if isinstance(field, list):
        return []
    if field == "time":
        return {"secs": 0, "nsecs": 0}
    return filled({}, field, dialect) if isinstance(field, str) else _EMPTY[field]


def _refuse_seq(message: Message, dialect: Dialect) -> None:
    header = message.get("header")
    if dialect == "ros2" and isinstance(header, dict) and "seq" in header:
        raise WireError("wrong field", "Message type std_msgs/Header does not have a field seq")
