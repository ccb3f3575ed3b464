"""The standard messages that the node uses, made and read, and the times in them.

A message is a dict with the field names of its `.msg` file, in the form of ROS 2; see `transport.py`. `forms.py` takes
it to other forms and back.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_envs.ros.forms import (
    Dialect,
    MessageError,
    finite,
    from_wire,
    is_whole,
    to_ros1,
    to_ros2,
    to_wire,
    two_part,
)
from headway_envs.ros.transport import Message

__all__ = [
    "Dialect",
    "MessageError",
    "boolean",
    "compressed_image",
    "diagnostics",
    "finite",
    "float32",
    "float64_array",
    "from_wire",
    "header",
    "image",
    "joint_state",
    "joint_trajectory",
    "kinds",
    "outcome",
    "read_boolean",
    "read_float32",
    "read_float64_array",
    "read_joint_trajectory",
    "read_outcome",
    "read_string",
    "sequence_of",
    "set_bool",
    "stamp_from_ns",
    "stamp_ns",
    "stamp_of",
    "string",
    "to_ros1",
    "to_ros2",
    "to_stamp",
    "to_wire",
    "trigger",
    "two_part",
]

kinds = {
    "Float32": "std_msgs/Float32",
    "Bool": "std_msgs/Bool",
    "String": "std_msgs/String",
    "Float64MultiArray": "std_msgs/Float64MultiArray",
    "Header": "std_msgs/Header",
    "JointTrajectory": "trajectory_msgs/JointTrajectory",
    "Image": "sensor_msgs/Image",
    "CompressedImage": "sensor_msgs/CompressedImage",
    "JointState": "sensor_msgs/JointState",
    "DiagnosticArray": "diagnostic_msgs/DiagnosticArray",
    "Trigger": "std_srvs/Trigger",
    "SetBool": "std_srvs/SetBool",
}
"""Name -> type of every message and service made here."""

BILLION = 1_000_000_000


def stamp_ns(message: Any) -> int | None:
    """The header's stamp in nanoseconds; None without a header, or with one that holds no time."""
    header = message.get("header") if isinstance(message, dict) else None
    stamp = header.get("stamp") if isinstance(header, dict) else None
    if not isinstance(stamp, dict):
        return None
    seconds, nanoseconds = stamp.get("sec"), stamp.get("nanosec")
    return seconds * BILLION + nanoseconds if is_whole(seconds) and is_whole(nanoseconds) else None


def stamp_of(message: Any) -> float | None:
    """The header's stamp in seconds, rounded to a float once; None as in `stamp_ns`. A stamp that was not set is 0."""
    nanoseconds = stamp_ns(message)
    return None if nanoseconds is None else nanoseconds / BILLION


def sequence_of(message: Any) -> int | None:
    """The header's number in ROS 1; None where there is none."""
    header = message.get("header") if isinstance(message, dict) else None
    number = header.get("seq") if isinstance(header, dict) else None
    return number if is_whole(number) else None


def to_stamp(seconds: float) -> dict[str, int]:
    """The nanosecond nearest to exactly this number of seconds. Raises InvalidValue for what ROS cannot write."""
    if not math.isfinite(seconds):
        raise InvalidValue(f"a stamp must be finite, got {seconds}")
    over, under = seconds.as_integer_ratio()
    return stamp_from_ns((2 * over * BILLION + under) // (2 * under))


def stamp_from_ns(nanoseconds: int) -> dict[str, int]:
    """Raises InvalidValue for what ROS cannot write: before 1970, or past 32 bits of seconds."""
    seconds, rest = divmod(nanoseconds, BILLION)
    if not 0 <= seconds < 2**32:
        raise InvalidValue(f"a stamp must lie from 0 below 2^32 seconds, got {nanoseconds / BILLION:g}")
    return {"sec": seconds, "nanosec": rest}


def header(stamp: float = 0.0, frame_id: str = "", number: int | None = None) -> Message:
    """`std_msgs/Header`. Args: stamp in seconds, 0 for none; number, of ROS 1 alone."""
    return ({} if number is None else {"seq": number}) | {"stamp": to_stamp(stamp), "frame_id": frame_id}


def float32(value: float) -> Message:
    """`std_msgs/Float32`."""
    return {"data": float(value)}


def read_float32(message: Any) -> float:
    """NaN where the wire had null. Raises MessageError."""
    return _number(_field(message, "data", int, float), "data")


def boolean(value: bool) -> Message:
    """`std_msgs/Bool`."""
    return {"data": bool(value)}


def read_boolean(message: Any) -> bool:
    """True or False and nothing that merely counts as it: an e-stop hangs on it. Also what SetBool asks for.

    Raises MessageError.
    """
    return _field(message, "data", bool)


def string(text: str) -> Message:
    """`std_msgs/String`."""
    return {"data": str(text)}


def read_string(message: Any) -> str:
    """Raises MessageError."""
    return _field(message, "data", str)


def float64_array(values: Iterable[float]) -> Message:
    """`std_msgs/Float64MultiArray` of one dimension, which it leaves unnamed."""
    return {"layout": {"dim": [], "data_offset": 0}, "data": [float(value) for value in values]}


def read_float64_array(message: Any) -> tuple[float, ...]:
    """All values, as one row whatever the layout says. NaN where the wire had null. Raises MessageError."""
    return _numbers(message, "data")


def joint_trajectory(names: Sequence[str], positions: Iterable[float], seconds: float, stamp: float = 0.0) -> Message:
    """`trajectory_msgs/JointTrajectory` of one point: be there in so many seconds.

    One near point, and no more, because a controller runs a trajectory to its end even when whoever sent it is gone.

    Args:
        names: of the joints.
        positions: where they should be, radians or metres.
        seconds: from the start to that point.
        stamp: of the start, seconds; 0 is at once.
    """
    point = {
        "positions": [float(value) for value in positions],
        "velocities": [],
        "accelerations": [],
        "effort": [],
        "time_from_start": to_stamp(seconds),
    }
    if len(point["positions"]) != len(names):
        raise InvalidValue(f"{len(names)} joints and {len(point['positions'])} positions")
    return {"header": header(stamp), "joint_names": list(names), "points": [point]}


def read_joint_trajectory(message: Any) -> tuple[tuple[str, ...], tuple[float, ...], float]:
    """Names, positions and seconds of the one point. Raises MessageError, also for more points."""
    names, points = _field(message, "joint_names", list, tuple), _field(message, "points", list, tuple)
    if len(points) != 1:
        raise MessageError(f"a trajectory of one point is wanted, got {len(points)}")
    positions = _numbers(points[0], "positions")
    if len(positions) != len(names) or not all(isinstance(name, str) for name in names):
        raise MessageError(f"{len(names)} joint names do not fit {len(positions)} positions")
    after = stamp_ns({"header": {"stamp": points[0].get("time_from_start")}})
    if after is None:
        raise MessageError("time_from_start must be a time")
    return tuple(names), positions, after / BILLION


def image(picture: Array, stamp: float = 0.0, frame_id: str = "") -> Message:
    """`sensor_msgs/Image`, rgb8, of a picture as uint8 RGB (height, width, 3). Raises InvalidValue for another."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise InvalidValue(f"an image is uint8 (height, width, 3), got {picture.dtype} {picture.shape}")
    height, width, _ = picture.shape
    return {
        "header": header(stamp, frame_id),
        "height": height,
        "width": width,
        "encoding": "rgb8",
        "is_bigendian": 0,
        "step": 3 * width,
        "data": picture.tobytes(),
    }


def compressed_image(data: bytes, format: str = "jpeg", stamp: float = 0.0, frame_id: str = "") -> Message:
    """`sensor_msgs/CompressedImage` of a file's content. `jpeg` and `png` say that its colours are as in any file."""
    return {"header": header(stamp, frame_id), "format": format, "data": bytes(data)}


def joint_state(
    names: Sequence[str],
    positions: Iterable[float],
    velocities: Iterable[float] = (),
    efforts: Iterable[float] = (),
    stamp: float = 0.0,
) -> Message:
    """`sensor_msgs/JointState`: radians or metres, the same a second, and Nm or N; empty for what is not known."""
    told = {"position": positions, "velocity": velocities, "effort": efforts}
    lists = {name: [float(value) for value in values] for name, values in told.items()}
    for name, values in lists.items():
        if len(values) not in (0, len(names)):
            raise InvalidValue(f"{len(names)} joints and {len(values)} values of {name}")
    return {"header": header(stamp), "name": list(names), **lists}


def diagnostics(level: int, name: str, message: str, values: Mapping[str, str], stamp: float = 0.0) -> Message:
    """`diagnostic_msgs/DiagnosticArray` of one status. `level` is 0 well, 1 warning, 2 error, 3 stale."""
    status = {
        "level": level,
        "name": name,
        "message": message,
        "hardware_id": "",
        "values": [{"key": key, "value": value} for key, value in values.items()],
    }
    return {"header": header(stamp), "status": [status]}


def trigger() -> Message:
    """What `std_srvs/Trigger` is asked with."""
    return {}


def set_bool(value: bool) -> Message:
    """What `std_srvs/SetBool` is asked with; `read_boolean` reads it."""
    return boolean(value)


def outcome(success: bool, message: str) -> Message:
    """What Trigger and SetBool answer."""
    return {"success": bool(success), "message": message}


def read_outcome(message: Any) -> tuple[bool, str]:
    """Raises MessageError."""
    return _field(message, "success", bool), _field(message, "message", str)


def _field(message: Any, name: str, *types: type) -> Any:
    if not isinstance(message, dict) or name not in message:
        raise MessageError(f"a message with the field {name} is wanted")
    value = message[name]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        wanted = " or ".join(one.__name__ for one in types)
        raise MessageError(f"{name} must be {wanted}, got {type(value).__name__}")
    return value


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MessageError(f"{name} must hold numbers, got {type(value).__name__}")
    try:
        return float(value)
    except OverflowError as error:
        raise MessageError(f"{name} holds a number that no float can") from error


def _numbers(message: Any, name: str) -> tuple[float, ...]:
    return tuple(_number(value, name) for value in _field(message, name, list, tuple))
