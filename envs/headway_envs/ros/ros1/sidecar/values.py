"""Messages of genpy to dicts and back, field by field, for any type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Refused(Exception):
    """What was asked of the graph does not fit. `reason` is what to count it by."""

    def __init__(self, reason: str, line: str):
        super().__init__(line)
        self.reason = reason


_WHOLE = {
    f"{sign}int{bits}": (0 if sign else -(2 ** (bits - 1)), 2 ** (bits if sign else bits - 1) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
_WHOLE["byte"], _WHOLE["char"] = _WHOLE["int8"], _WHOLE["uint8"]
_MOST_FLOAT32 = (2 - 2**-23) * 2.0**127


def plain(message: Any) -> dict[str, Any]:
    """A message of genpy as a dict."""
    return {name: _plain(getattr(message, name), kind) for name, kind in fields_of(message)}


def fields_of(message: Any) -> list[tuple[str, str]]:
    """The names and types of a message's fields."""
    return list(zip(message.__slots__, message._slot_types))  # noqa: B905 (Python 3.8 knows no `strict`)


def _plain(value: Any, kind: str) -> Any:
    if kind.endswith("]"):
        inner = kind[: kind.index("[")]
        if inner in ("uint8", "char"):
            return bytes(value)
        if inner in _WHOLE or inner in ("float32", "float64"):
            return list(value)
        return [_plain(each, inner) for each in value]
    if kind in ("time", "duration"):
        return {"sec": value.secs, "nanosec": value.nsecs}
    if kind == "bool":
        return bool(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return plain(value) if hasattr(value, "_slot_types") else value


def build(kind: Any, values: Any, classes: Callable[[str], Any], path: str = "") -> Any:
    """A message of genpy from a dict; what is left out is zero or empty. Raises Refused for whatever does not fit."""
    if not isinstance(values, dict):
        raise Refused("wrong field", f"{path or kind._type} must be a dict, got {type(values).__name__}")
    made = kind()
    fields = dict(fields_of(made))
    unknown = sorted(str(name) for name in values if name not in fields)
    if unknown:
        raise Refused("wrong field", f"{path or made._type} has no field {unknown[0][:100]!r}")
    for name, value in values.items():
        setattr(made, name, _build(value, fields[name], classes, f"{path}.{name}" if path else name))
    return made


def _build(value: Any, kind: str, classes: Callable[[str], Any], path: str) -> Any:
    if kind.endswith("]"):
        inner, size = kind[:-1].split("[")
        return _build_array(value, inner, int(size) if size else None, classes, path)
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind in _WHOLE and isinstance(value, int) and not isinstance(value, bool):
        if _WHOLE[kind][0] <= value <= _WHOLE[kind][1]:
            return value
        raise Refused("wrong field", f"{path} is a {kind}; {value:.3g} is out of its range")
    if kind in ("float32", "float64") and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _build_float(value, kind, path)
    if kind == "string" and isinstance(value, str):
        return _build_string(value, path)
    if kind in ("time", "duration"):
        return _build_time(value, kind, classes, path)
    if "/" in kind:
        return build(classes(kind), value, classes, path)
    raise Refused("wrong field", f"{path} must be a {kind}, got {type(value).__name__}")


def _build_array(value: Any, inner: str, size: int | None, classes: Callable[[str], Any], path: str) -> Any:
    if not isinstance(value, (list, bytes)) or (isinstance(value, bytes) and inner not in ("uint8", "char")):
        raise Refused("wrong field", f"{path} must be an array of {inner}, got {type(value).__name__}")
    if size is not None and len(value) != size:
        raise Refused("wrong field", f"{path} must have {size} elements, got {len(value)}")
    if isinstance(value, bytes):
        return value
    made = [_build(each, inner, classes, f"{path}[{at}]") for at, each in enumerate(value)]
    return bytes(made) if inner in ("uint8", "char") else made


def _build_float(value: Any, kind: str, path: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = None
    if number is None or (kind == "float32" and _MOST_FLOAT32 < abs(number) < float("inf")):
        raise Refused("wrong field", f"{path} is a {kind}; the number given is out of its range")
    return number


def _build_string(value: str, path: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeError:
        raise Refused("wrong field", f"{path} holds half a character") from None
    return value


def _build_time(value: Any, kind: str, classes: Callable[[str], Any], path: str) -> Any:
    if not isinstance(value, dict) or set(value) != {"sec", "nanosec"}:
        raise Refused("wrong field", f"{path} must be a time of sec and nanosec, got {str(value)[:100]!r}")
    seconds = _build(value["sec"], "uint32" if kind == "time" else "int32", classes, f"{path}.sec")
    rest = _build(value["nanosec"], "uint32" if kind == "time" else "int32", classes, f"{path}.nanosec")
    return classes(kind)(seconds, rest)
