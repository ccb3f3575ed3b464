"""Joint values out of `sensor_msgs/JointState`, by name: publishers order their joints as they like."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headway.episodes import Array
from headway.errors import HeadwayError, InvalidValue


class JointError(HeadwayError):
    """What the joints say cannot be used.

    Attributes:
        reason: one word for counters: malformed, length, missing, duplicate, not_finite or limits.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type["JointError"], tuple[str, str]]:
        """An error has to travel between processes; by default it would be made anew from its message alone."""
        return type(self), (self.reason, str(self))


@dataclass(frozen=True)
class JointOrder:
    """Which joints are wanted, in which order.

    Attributes:
        names: of the joints, each once.
        limits: lower and upper of each, radians or metres as the robot has them; empty for none.
    """

    names: tuple[str, ...]
    limits: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) != len(self.names):
            raise InvalidValue(f"joints need names, each once, got {', '.join(self.names) or 'none'}")
        if self.limits and len(self.limits) != len(self.names):
            raise InvalidValue(f"{len(self.limits)} limits for {len(self.names)} joints")
        if not all(low <= high for low, high in self.limits):
            raise InvalidValue("a joint's lower limit must not be above its upper one")

    def positions(self, message: Any) -> Array:
        """As `read_joints`, and a JointError for a joint that is beyond its limits."""
        values = read_joints(message, self.names)
        for name, value, (low, high) in zip(self.names, values, self.limits, strict=False):
            if not low <= value <= high:
                raise JointError("limits", f"joint {name} is at {value:.6g}, beyond its limits {low:.6g} to {high:.6g}")
        return values

    def velocities(self, message: Any) -> Array | None:
        """As `read_velocities`."""
        return read_velocities(message, self.names)


def read_joints(message: Any, names: Sequence[str]) -> Array:
    """Positions of `names`, float64 (joint,), in that order. Joints that were not asked for are ignored.

    Raises JointError: a joint that is missing, named twice or not finite, lists of unequal length, or another message.
    """
    return _read(_fields(message), "position", names)


def read_velocities(message: Any, names: Sequence[str]) -> Array | None:
    """Velocities of `names`, float64 (joint,); None where the publisher tells none. Raises JointError likewise."""
    fields = _fields(message)
    return None if len(_listed(fields, "velocity")) == 0 else _read(fields, "velocity", names)


def _fields(message: Any) -> dict[Any, Any]:
    if not isinstance(message, dict):
        raise JointError("malformed", f"a message is a dict of fields, got {type(message).__name__}")
    return message


def _listed(fields: dict[Any, Any], name: str) -> Sequence[Any]:
    value = fields.get(name)
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return value.tolist()
    if not isinstance(value, list | tuple):
        raise JointError("malformed", f"{name} must be a list, got {type(value).__name__}")
    return value


def _read(fields: dict[Any, Any], field: str, names: Sequence[str]) -> Array:
    told, values = _listed(fields, "name"), _listed(fields, field)
    if len(told) != len(values):
        raise JointError("length", f"{len(told)} names and {len(values)} values of {field}")
    places: dict[str, int] = {}
    twice: set[str] = set()
    for place, name in enumerate(told):
        if not isinstance(name, str):
            raise JointError("malformed", f"a joint's name must be text, got {type(name).__name__}")
        if name in places:
            twice.add(name)
        places[name] = place
    result = np.empty(len(names))
    for index, name in enumerate(names):
        if name not in places:
            raise JointError("missing", f"joint {name} is not among those told")
        if name in twice:
            raise JointError("duplicate", f"joint {name} is told twice")
        result[index] = _finite(name, field, values[places[name]])
    return result


def _finite(name: str, field: str, value: Any) -> float:
    """A number. None is what a NaN becomes on the wire."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float | np.number)):
        raise JointError("malformed", f"{field} of joint {name} must be a number, got {type(value).__name__}")
    try:
        number = math.nan if value is None else float(value)
    except (OverflowError, TypeError):
        number = math.inf
    if not math.isfinite(number):
        raise JointError("not_finite", f"{field} of joint {name} is not finite")
    return number
