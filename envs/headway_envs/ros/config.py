"""How the node is set up: one validated configuration, on the command line or in a YAML file."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import TypeAdapter, ValidationError, with_config

from headway.errors import InvalidValue

IMAGE_KINDS = ("sensor_msgs/CompressedImage", "sensor_msgs/Image")
COMMAND_KINDS = ("std_msgs/Float64MultiArray", "trajectory_msgs/JointTrajectory")


@with_config(extra="forbid")
@dataclass(frozen=True)
class Link:
    """Where the graph is.

    Attributes:
        url: of the rosbridge server, ws:// or wss://.
        ros_version: 1, 2, or auto: ask the server.
        token: that the server wants, if any.
        backoff: shortest and longest wait between attempts to connect, seconds.
        first_message: seconds without data after which a topic is complained of and subscribed to anew.
    """

    url: str = "ws://127.0.0.1:9090"
    ros_version: Literal["auto", "1", "2"] = "auto"
    token: str | None = None
    backoff: tuple[float, float] = (0.2, 2.0)
    first_message: float = 3.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise InvalidValue(f"link.url must be ws://HOST:PORT or wss://HOST:PORT, got {self.url!r}")
        if self.ros_version not in ("auto", "1", "2"):
            raise InvalidValue(f"link.ros_version must be auto, 1 or 2, got {self.ros_version!r}")
        if not 0 < self.backoff[0] <= self.backoff[1] < math.inf:
            raise InvalidValue(f"link.backoff must be two rising numbers of seconds, got {self.backoff}")
        _positive("link", self, "first_message")


@with_config(extra="forbid")
@dataclass(frozen=True)
class Topics:
    """Names in the graph.

    Attributes:
        namespace: of the node's own topics and services.
        cameras: camera, as the estimator calls it, to topic.
        image_kind: type of all of them.
        joints: `sensor_msgs/JointState`; empty for none.
        task: of the instruction, `std_msgs/String`; empty is NAMESPACE/task.
        estop: `std_msgs/Bool`, True while pressed; empty is NAMESPACE/estop.
        command: where commands go; empty is NAMESPACE/command.
        command_kind: their type.
        arm_stop: the arm's own `std_srvs/Trigger` that stops it; empty for none.
    """

    namespace: str = "/progress_node"
    cameras: Mapping[str, str] = field(default_factory=lambda: {"front": "/camera/image_raw/compressed"})
    image_kind: str = IMAGE_KINDS[0]
    joints: str = "/joint_states"
    task: str = ""
    estop: str = ""
    command: str = ""
    command_kind: str = COMMAND_KINDS[0]
    arm_stop: str = "/arm/stop"

    def __post_init__(self) -> None:
        if not self.cameras:
            raise InvalidValue(
                "topics.cameras needs at least one camera, such as {front: /camera/image_raw/compressed}"
            )
        names = (
            self.namespace,
            *self.cameras.values(),
            self.joints,
            self.task,
            self.estop,
            self.command,
            self.arm_stop,
        )
        wrong = [name for name in names if name and not name.startswith("/")]
        if wrong or not self.namespace.strip("/"):
            raise InvalidValue(f"topics: names begin with a slash, got {(wrong or [self.namespace])[0]!r}")
        if self.image_kind not in IMAGE_KINDS:
            raise InvalidValue(f"topics.image_kind must be one of {', '.join(IMAGE_KINDS)}, got {self.image_kind!r}")
        if self.command_kind not in COMMAND_KINDS:
            raise InvalidValue(
                f"topics.command_kind must be one of {', '.join(COMMAND_KINDS)}, got {self.command_kind!r}"
            )

    def own(self, name: str) -> str:
        """The full name of one of the node's topics or services; a few may be put elsewhere."""
        return (name in ("task", "estop", "command") and getattr(self, name)) or f"{self.namespace.rstrip('/')}/{name}"


@with_config(extra="forbid")
@dataclass(frozen=True)
class Limits:
    """When data is too old, too odd or too late. Seconds, unless said otherwise.

    Attributes:
        frame_age: of the picture that is judged.
        joint_age: of what the joints say.
        future: a stamp may lie this far before its time.
        clock_skew: between the stamps' clock and ours; more is told, not refused.
        restart: a stamp that goes back further than this begins a new episode; less is a frame out of order.
        frozen_frames, frozen_seconds: so many equal pictures over so long a time are a camera that hangs.
        sync: between the pictures and joints of one view.
        latency: from a picture's arrival to its result.
        estop_age: commands flow only while the e-stop has spoken within this.
        publish_hz: progress is published at most so often.
        slew: progress that changes by more than this in a second is believed only when the next reading agrees.
    """

    frame_age: float = 0.5
    joint_age: float = 0.25
    future: float = 0.05
    clock_skew: float = 0.5
    restart: float = 1.0
    frozen_frames: int = 15
    frozen_seconds: float = 1.0
    sync: float = 0.1
    latency: float = 0.3
    estop_age: float = 0.5
    publish_hz: float = 20.0
    slew: float = 5.0

    def __post_init__(self) -> None:
        _positive("limits", self, *(one.name for one in fields(self)))


@with_config(extra="forbid")
@dataclass(frozen=True)
class Success:
    """When success is declared; see `headway.signals.detector`. It is latched until the episode is reset.

    Attributes:
        signal: what is looked at: the estimator's success, or its progress where that tells the end better. Where an
            estimator tells no success it is progress.
        high, low: what counts, and below which counting begins anew.
        frames: fresh frames in a row.
        dwell: seconds that an episode has to have lasted.
    """

    signal: Literal["success", "progress"] = "success"
    high: float = 0.9
    low: float = 0.8
    frames: int = 5
    dwell: float = 0.5

    def __post_init__(self) -> None:
        if self.signal not in ("success", "progress"):
            raise InvalidValue(f"success.signal must be success or progress, got {self.signal!r}")
        if not 0 < self.low <= self.high <= 1:
            raise InvalidValue(f"success needs 0 < low <= high <= 1, got low={self.low} high={self.high}")
        if self.frames < 1 or not 0 <= self.dwell < math.inf:
            raise InvalidValue(f"success needs frames from 1 and a dwell from 0, got {self.frames} and {self.dwell}")


@with_config(extra="forbid")
@dataclass(frozen=True)
class Arm:
    """What may be commanded.

    Attributes:
        joints: names, in the order of state and command.
        lower, upper: of each joint; empty for no limits.
        max_change: of a joint in one command, from where it is now; None for no limit.
        extra: values of a command behind the joints, such as the grip, which no JointState shows; they are limited by
            the rest of `lower` and `upper`.
        dry_run: no command is ever sent.
    """

    joints: tuple[str, ...] = ()
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()
    max_change: float | None = None
    extra: int = 0
    dry_run: bool = True

    def __post_init__(self) -> None:
        if len(set(self.joints)) != len(self.joints):
            raise InvalidValue(f"arm.joints names one twice: {', '.join(self.joints)}")
        size = self.size
        for name in ("lower", "upper"):
            given = getattr(self, name)
            if given and len(given) != size:
                raise InvalidValue(f"arm.{name} has {len(given)} values for {size} of a command")
        if self.lower and self.upper and not all(low <= high for low, high in zip(self.lower, self.upper, strict=True)):
            raise InvalidValue("arm.lower must not be above arm.upper")
        if self.max_change is not None:
            _positive("arm", self, "max_change")

    @property
    def size(self) -> int:
        """Values of a command."""
        return len(self.joints) + self.extra


@with_config(extra="forbid")
@dataclass(frozen=True)
class BridgeConfig:
    """All of it.

    Attributes:
        estimator: spec of a causal one, such as sarm:RUN.
        task: the instruction until the topic says another.
        gamma: discount of the reward, gamma * progress' - progress.
    """

    estimator: str = ""
    task: str = ""
    gamma: float = 0.99
    link: Link = field(default_factory=Link)
    topics: Topics = field(default_factory=Topics)
    limits: Limits = field(default_factory=Limits)
    success: Success = field(default_factory=Success)
    arm: Arm = field(default_factory=Arm)

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise InvalidValue(f"gamma must lie above 0 and up to 1, got {self.gamma}")
        if not self.arm.dry_run and not self.arm.joints:
            raise InvalidValue("an arm that may move needs arm.joints, the names of its joints in the policy's order")
        if not self.arm.dry_run and not self.topics.joints:
            raise InvalidValue("an arm that may move needs topics.joints, where its joints say where they are")


def to_yaml(config: BridgeConfig) -> str:
    """As `--config` reads it. The token is left out: it is no setting to be passed around."""
    plain = _plain(replace(config, link=replace(config.link, token=None)))
    return yaml.safe_dump(plain, sort_keys=False)


def read_config(path: Path) -> BridgeConfig:
    """Read a YAML file; what it does not say has its default. Raises InvalidValue with the file and the place."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidValue(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    try:
        return TypeAdapter(BridgeConfig).validate_python(content or {})
    except ValidationError as error:
        first = error.errors()[0]
        ours = first.get("ctx", {}).get("error")
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InvalidValue(f"{path}: {ours or f'{place}: {first["msg"]}, got {first["input"]!r}'}") from error


def _positive(group: str, holder: Any, *names: str) -> None:
    for name in names:
        value = getattr(holder, name)
        if not 0 < value < math.inf:
            raise InvalidValue(f"{group}.{name} must be above 0 and finite, got {value}")


def _plain(value: Any) -> Any:
    """Dicts, lists, numbers and strings."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(inside) for name, inside in asdict(value).items()}
    if isinstance(value, Mapping):
        return {name: _plain(inside) for name, inside in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
