"""Events and effects as lines of JSON, exact: floats with all their digits, so that they come back as they were."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args

import numpy as np
from pydantic import TypeAdapter, ValidationError

from headway.errors import DatasetError, HeadwayError
from headway.estimator import Reading
from headway_datasets.bag_index import EVENTS, RECORDING
from headway_envs.ros.config import BridgeConfig
from headway_envs.ros.events import Effect, Event, ViewJudged, ViewTaken
from headway_envs.ros.transport import Message

__all__ = ["END", "EVENTS", "LOG", "RECORDING", "Header", "Line", "as_json", "read_line", "write_line"]

END = "/headway/end"
LOG = "/headway/log"
VERSION = 1
_BYTES = "bytes in base64"
_KINDS: dict[str, type] = {kind.__name__: kind for kind in (*get_args(Event), *get_args(Effect))}


@dataclass(frozen=True)
class Header:
    """What a recording is of.

    Attributes:
        config: the node's, as plain JSON and without its token.
        estimator, fingerprint, model: spec, fingerprint, and what results name it by.
        pilot: name of the policy; empty without one.
        wall: seconds by which the wall clock was ahead of the node's.
        device, threads: where the estimator ran, and with how many threads of torch: sums come out differently else.
        versions: of what the numbers depend on.
        cameras, joints, joint_names: topics, for whoever reads this as a data set.
        version: of this format.
    """

    config: dict[str, Any]
    estimator: str
    fingerprint: str
    model: str
    pilot: str
    wall: float
    device: str
    threads: int
    versions: dict[str, str]
    cameras: dict[str, str]
    joints: str
    joint_names: tuple[str, ...]
    version: int = VERSION

    def to_json(self) -> str:
        return as_json(asdict(self))

    def bridge_config(self) -> BridgeConfig:
        """Raises DatasetError for one that this version of Headway does not know."""
        try:
            return TypeAdapter(BridgeConfig).validate_python(self.config)
        except (ValidationError, HeadwayError) as error:
            raise DatasetError(f"the recording's configuration is not known: {' '.join(str(error).split())}") from error


@dataclass(frozen=True)
class Line:
    """One event of a recording.

    Attributes:
        number: of the event, from 0; one that is missing was not recorded.
        event: what happened.
        effects: what it led to, as JSON each: kind, then its fields.
        stored: of a ViewTaken, the cameras whose picture was recorded.
        odd: of a ViewTaken, the pictures that are not what their type says and so are here.
        json: the event's own fields, as recorded.
    """

    number: int
    event: Event
    effects: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()
    odd: Mapping[str, Message] = field(default_factory=dict)
    json: str = ""


def read_header(text: str) -> Header:
    """Raises DatasetError for what no version of Headway wrote, or a later one."""
    try:
        said = _load(text)
        if said["version"] > VERSION:
            raise DatasetError(f"it is of version {said['version']} of the format, and {VERSION} is read")
        return Header(**said | {"joint_names": tuple(said["joint_names"])})
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"its {RECORDING} is not what headway bridge writes") from error


def write_line(
    number: int,
    event: Event,
    effects: Sequence[Effect],
    stored: Sequence[str] = (),
    odd: Mapping[str, Message] | None = None,
) -> str:
    """One event as a line."""
    line: dict[str, Any] = {"n": number, **_fields(event, "event")}
    if effects:
        line["effects"] = [_fields(effect, "effect") for effect in effects]
    if isinstance(event, ViewTaken):
        line["stored"] = list(stored)
        if odd:
            line["odd"] = dict(odd)
    return as_json(line)


def read_line(text: str) -> Line:
    """The event of a line. Raises DatasetError."""
    try:
        said = _load(text)
        number, name = said.pop("n"), said["event"]
        effects = tuple(as_json(effect) for effect in said.pop("effects", ()))
        stored, odd = tuple(said.pop("stored", ())), said.pop("odd", {})
        own = as_json(said)
        del said["event"]
        return Line(number, _event(name, said), effects, stored, odd, own)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"an event cannot be read: {text[:80]}") from error


def as_json(value: Any) -> str:
    """The same text for the same value, bit for bit; of an event or effect with its kind."""
    if type(value).__name__ in _KINDS:
        value = _fields(value, "event" if isinstance(value, Event) else "effect")
    return json.dumps(value, default=_plain, skipkeys=True, separators=(",", ":"))


def _fields(value: Event | Effect, word: str) -> dict[str, Any]:
    said: dict[str, Any] = {word: type(value).__name__}
    for one in fields(value):
        inside = getattr(value, one.name)
        said[one.name] = asdict(inside) if isinstance(inside, Reading) else inside
    return said


def _event(name: str, said: dict[str, Any]) -> Event:
    kind = _KINDS[name]
    if kind is ViewTaken and said["state"] is not None:
        said["state"] = tuple(said["state"])
    if kind is ViewJudged:
        said["reading"] = None if said["reading"] is None else Reading(**said["reading"])
        said["command"] = None if said["command"] is None else tuple(said["command"])
    made: Event = kind(**said)
    return made


def _plain(value: Any) -> Any:
    """What JSON has no form for."""
    if isinstance(value, bytes | bytearray):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return repr(value)


def _load(text: str) -> dict[str, Any]:
    def whole(said: dict[str, Any]) -> Any:
        return base64.b64decode(said[_BYTES]) if said.keys() == {_BYTES} else said

    loaded = json.loads(text, object_hook=whole)
    if not isinstance(loaded, dict):
        raise ValueError("not an object")
    return loaded
