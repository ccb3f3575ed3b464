"""Messages as bytes of ROS 2 (CDR), with the definitions that rosbags brings."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from headway.errors import Unsupported
from headway_envs.ros.messages import MessageError
from headway_envs.ros.transport import Message

_INTEGERS = {"byte", "char"} | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_ALIASES = {"byte": "uint8", "char": "uint8"}


class Types:
    """The standard messages of ROS 2 Humble. Raises Unsupported without rosbags."""

    def __init__(self) -> None:
        try:
            from rosbags.typesys import Stores, get_typestore
        except ModuleNotFoundError as error:
            raise Unsupported(f"recordings need {error.name}: pip install 'headway[ros]'") from error
        self._store = get_typestore(Stores.ROS2_HUMBLE)

    @cached_property
    def _nodes(self) -> Any:
        from rosbags.interfaces import Nodetype

        return Nodetype

    def definition(self, kind: str) -> str:
        """The text of a type, in two parts, with those of the types in it."""
        text: str = self._store.generate_msgdef(three_part(kind), ros_version=2)[0]
        return text

    def pack(self, kind: str, message: Any) -> bytes:
        """A message as CDR. Fields that the type lacks are left out, such as a header's number of ROS 1.

        Raises MessageError for one that lacks a field or has something else in it than its type says.
        """
        try:
            return bytes(self._store.serialize_cdr(self._made(three_part(kind), message), three_part(kind)))
        except MessageError:
            raise
        # rosbags does not check what it is given
        except Exception as error:
            raise MessageError(f"not a {kind}: {' '.join(str(error).split())[:100]}") from error

    def unpack(self, kind: str, data: bytes) -> Message:
        """The message of CDR bytes, as `transport` describes it. Raises MessageError."""
        try:
            return self._plain(three_part(kind), self._store.deserialize_cdr(data, three_part(kind)))
        except Exception as error:
            raise MessageError(f"not a {kind}: {' '.join(str(error).split())[:100]}") from error

    def _made(self, name: str, value: Any) -> Any:
        if not isinstance(value, dict):
            raise MessageError(f"a {name} is a dict of fields, got {type(value).__name__}")
        fields = {}
        for field, described in self._store.fielddefs[name][1]:
            if field not in value:
                raise MessageError(f"a {name} needs {field}")
            fields[field] = self._value(described, value[field], f"{name} {field}")
        return self._store.types[name](**fields)

    def _value(self, described: Any, value: Any, place: str) -> Any:
        node, detail = described
        if node == self._nodes.NAME:
            return self._made(detail, value)
        if node == self._nodes.BASE:
            return _single(detail[0], value, place)
        (inner_node, inner), _ = detail
        if inner_node == self._nodes.NAME:
            return [self._made(inner, one) for one in _row(value, place)]
        return _several(inner[0], value, place)

    def _plain(self, name: str, made: Any) -> Message:
        return {
            field: self._read(described, getattr(made, field)) for field, described in self._store.fielddefs[name][1]
        }

    def _read(self, described: Any, value: Any) -> Any:
        node, detail = described
        if node == self._nodes.NAME:
            return self._plain(detail, value)
        if node == self._nodes.BASE:
            return value
        (inner_node, inner), _ = detail
        if inner_node == self._nodes.NAME:
            return [self._plain(inner, one) for one in value]
        if isinstance(value, np.ndarray):
            return value.tobytes() if value.dtype == np.uint8 else value.tolist()
        return list(value)


def three_part(kind: str) -> str:
    """`sensor_msgs/Image` as ROS 2 files it: `sensor_msgs/msg/Image`."""
    package, _, name = kind.partition("/")
    return kind if "/" in name else f"{package}/msg/{name}"


def _single(base: str, value: Any, place: str) -> Any:
    wanted: tuple[type, ...] = (str,) if base == "string" else (bool,) if base == "bool" else (int, float)
    if base in _INTEGERS:
        wanted = (int,)
    if not isinstance(value, wanted):
        raise MessageError(f"{place} cannot be {type(value).__name__}")
    if base in _INTEGERS:
        limits: Any = np.iinfo(_ALIASES.get(base, base))
        if not limits.min <= value <= limits.max:
            raise MessageError(f"{place} cannot be {value}")
    return value


def _several(base: str, value: Any, place: str) -> Any:
    if base in ("uint8", "byte", "char") and isinstance(value, bytes | bytearray):
        return np.frombuffer(value, np.uint8)
    row = [_single(base, one, place) for one in _row(value, place)]
    return row if base == "string" else np.asarray(row, _ALIASES.get(base, base))


def _row(value: Any, place: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise MessageError(f"{place} cannot be {type(value).__name__}")
    return value
