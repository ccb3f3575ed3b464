"""How a simulated arm is set up, its names in the graph, and how a node is set up that looks at it."""

import math
from dataclasses import dataclass

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_envs.rendering import FRAME_SIZE
from headway_envs.robots import find_robot
from headway_envs.robots.base import Robot
from headway_envs.ros.config import Arm, BridgeConfig, Link, Topics

JOINTS, CLOCK, TASK, PROGRESS, SUCCESS = "/joint_states", "/clock", "/sim/task", "/sim/progress", "/sim/success"
STOP, RESET, PRESS = "/arm/stop", "/sim/reset", "/sim/press"


@dataclass(frozen=True)
class SimOptions:
    """What the arm is, what it shows and what it listens to.

    Attributes:
        robot: `gripper` or `arm`.
        cameras: which publish, under /camera/NAME.
        width, height: of a picture, pixels.
        fps: pictures a second; in lock-step there is one of each camera a step.
        quality: of the JPEG, 1 to 100.
        noise: of the sensor, its standard deviation in grey levels. Without, a scene at rest looks like a camera that
            hangs.
        raw: publish `sensor_msgs/Image` too.
        variation: of how things look: `none`, `mild` or `ood`.
        watchdog: seconds without a command after which the arm holds still.
        lock_step: time is simulated and waits for commands, instead of running by itself.
        patience: seconds, by the wall's clock, that a step in lock-step waits for its command.
        command: topic of commands.
        estop: topic of the e-stop box on the bench; empty for no such box.
    """

    robot: str = "gripper"
    cameras: tuple[str, ...] = ("front",)
    width: int = FRAME_SIZE
    height: int = FRAME_SIZE
    fps: float = 20.0
    quality: int = 90
    noise: float = 2.0
    raw: bool = False
    variation: str = "none"
    watchdog: float = 0.2
    lock_step: bool = False
    patience: float = 1.0
    command: str = Topics().own("command")
    estop: str = Topics().own("estop")

    def __post_init__(self) -> None:
        find_robot(self.robot)
        for name in self.cameras:
            if self.cameras.count(name) > 1:
                raise InvalidValue(f"the camera {name} is named twice")
        if not (16 <= self.width <= 1920 and 16 <= self.height <= 1920):
            raise InvalidValue(f"a picture has 16 to 1920 pixels each way, got {self.width}x{self.height}")
        if not 1 <= self.quality <= 100:
            raise InvalidValue(f"a JPEG's quality lies from 1 to 100, got {self.quality}")
        if not 0 <= self.noise <= 20:
            raise InvalidValue(f"noise lies from 0 to 20 grey levels, got {self.noise}")
        for name in ("fps", "watchdog", "patience"):
            if not 0 < getattr(self, name) < math.inf:
                raise InvalidValue(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        for topic in (self.command, *([self.estop] if self.estop else [])):
            if not topic.startswith("/"):
                raise InvalidValue(f"a topic begins with a slash, got {topic!r}")


def image_topic(camera: str) -> str:
    """Where a camera's raw pictures are; compressed ones are in `/compressed` below."""
    return f"/camera/{camera}/image_raw"


def bridge_config(
    arm: Robot, options: SimOptions, instruction: str, url: str, estimator: str = "clock"
) -> BridgeConfig:
    """How a node is set up that looks at this arm: a dry run.

    The fingers' opening is the last joint, and what a command says in its place is the grip.
    """
    if not options.cameras:
        raise InvalidValue("a node needs a picture; give the arm a camera")
    return BridgeConfig(
        estimator=estimator,
        task=instruction,
        link=Link(url=url),
        topics=Topics(
            cameras={name: f"{image_topic(name)}/compressed" for name in options.cameras},
            joints=JOINTS,
            task=TASK,
            estop=options.estop,
            command=options.command,
            arm_stop=STOP,
        ),
        arm=Arm(
            joints=(*arm.action_names[:-1], "opening"),
            lower=_plain(arm.action_low),
            upper=_plain(arm.action_high),
        ),
    )


def _plain(values: Array) -> tuple[float, ...]:
    """The shortest decimal numbers that are these float32 values."""
    return tuple(float(str(value)) for value in values)
