"""rosbridge's binary frames: CBOR (RFC 8949) with typed arrays (RFC 8746).

Only what ROS messages are made of is read: maps, lists, texts, bytes, numbers, true, false, null and tags 64 to 87. The
other tags of CBOR (dates, patterns, references that make a value its own part) and parts of unknown length are refused
before anything is built.
"""

from typing import Any

import numpy as np

from headway.errors import Unsupported
from headway_envs.ros.rosbridge.errors import WireError

try:
    import cbor2
except ImportError as error:  # pragma: no cover - an environment without the extra
    raise Unsupported("the ROS bridge needs cbor2; install headway[ros]") from error

MAX_HEADS = 100_000
"""Parts of one frame, a string or an array of numbers counted once. An image has about twenty."""
MAX_NUMBERS = 1_000_000
"""Numbers in the typed arrays of one frame."""

_UINT8 = {64, 68}
_DTYPES = {
    **{65: ">u2", 66: ">u4", 67: ">u8", 69: "<u2", 70: "<u4", 71: "<u8"},
    **{72: "i1", 73: ">i2", 74: ">i4", 75: ">i8", 77: "<i2", 78: "<i4", 79: "<i8"},
    **{80: ">f2", 81: ">f4", 82: ">f8", 84: "<f2", 85: "<f4", 86: "<f8"},
}
_FLOAT64 = 86
_EXTRA_BYTES = {24: 1, 25: 2, 26: 4, 27: 8}


def encode(frame: dict[str, Any]) -> bytes:
    """A frame as a genuine server writes it: bytes as they are, a list of floats as one typed array.

    Raises WireError with reason `not a message` for what CBOR has no word for.
    """
    try:
        return cbor2.dumps(_with_typed_arrays(frame))
    except (cbor2.CBOREncodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise WireError("not a message", f"cannot be written as CBOR: {error}") from error


def decode(data: bytes) -> Any:
    """The value of a whole frame; typed arrays become lists, those of uint8 become bytes. Raises WireError."""
    _check_heads(data)
    left = MAX_NUMBERS

    def array(*given: Any) -> Any:
        # cbor2 6 gives the tag first, cbor2 5 the decoder
        tag = next(each for each in given if isinstance(each, cbor2.CBORTag))
        nonlocal left
        numbers = _array(tag)
        left -= 0 if isinstance(numbers, bytes) else len(numbers)
        if left < 0:
            raise WireError("too many parts", f"typed arrays of more than {MAX_NUMBERS} numbers")
        return numbers if isinstance(numbers, bytes) else numbers.tolist()

    try:
        return cbor2.loads(data, tag_hook=array)
    except WireError:
        raise
    except Exception as error:
        # the decoder hands on what its hooks raise as the cause of its own error
        if isinstance(error.__cause__, WireError):
            raise error.__cause__ from None
        raise WireError("not cbor", str(error)) from error


def _check_heads(data: bytes) -> None:
    """Read only the heads of the parts, which stand one after another whatever the nesting."""
    at, count, end, missing = 0, 0, len(data), 1
    while at < end and missing:
        count += 1
        if count > MAX_HEADS:
            raise WireError("too many parts", f"more than {MAX_HEADS} parts")
        major, low = data[at] >> 5, data[at] & 31
        extra = _EXTRA_BYTES.get(low, 0)
        if low > 27:
            raise WireError("not cbor", "a part of unknown length or a reserved head")
        value = int.from_bytes(data[at + 1 : at + 1 + extra], "big") if extra else low
        if major == 6 and value not in _UINT8 and value not in _DTYPES:
            raise WireError("not cbor", f"tag {value} is no array of numbers")
        at += 1 + extra + (value if major in (2, 3) else 0)
        missing += {4: value, 5: 2 * value, 6: 1}.get(major, 0) - 1
    if at != end or missing:
        raise WireError("not cbor", "cut short, or followed by something else")


def _array(tag: Any) -> Any:
    if not isinstance(tag.value, bytes):
        raise WireError("not cbor", f"tag {tag.tag} on something that is not bytes")
    if tag.tag in _UINT8:
        return tag.value
    dtype = np.dtype(_DTYPES[tag.tag])
    if len(tag.value) % dtype.itemsize:
        raise WireError("not cbor", f"{len(tag.value)} bytes are no array of {dtype.name}")
    return np.frombuffer(tag.value, dtype)


def _with_typed_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_typed_arrays(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        if value and all(type(part) is float for part in value):
            return cbor2.CBORTag(_FLOAT64, np.asarray(value, "<f8").tobytes())
        return [_with_typed_arrays(part) for part in value]
    return value
