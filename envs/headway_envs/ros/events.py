"""Everything that can happen to the node, in the order in which it happened.

The node is a function of these: given the same events it says the same, which is what a recording keeps and a replay
proves. `time` is in seconds of the node's clock, which never jumps.
"""

from dataclasses import dataclass, field

from headway.estimator import Reading
from headway_envs.ros.transport import Message


@dataclass(frozen=True)
class LinkChanged:
    """The connection to the graph is there, or lost."""

    time: float
    up: bool


@dataclass(frozen=True)
class ImageArrived:
    """A picture came in; its message is kept aside, under `number`, until nobody needs it.

    Attributes:
        time: when.
        camera: whose picture.
        number: of the arrival, over all cameras, from 0.
        stamp: of its header in nanoseconds; None without one.
        sequence: of its header; None where there is none (ROS 2).
        digest: of its data, the same for the same picture.
    """

    time: float
    camera: str
    number: int
    stamp: int | None
    sequence: int | None
    digest: str


@dataclass(frozen=True)
class JointsArrived:
    """What the joints say, as `sensor_msgs/JointState`."""

    time: float
    message: Message


@dataclass(frozen=True)
class TaskTold:
    """The robot is told to do something else."""

    time: float
    text: str


@dataclass(frozen=True)
class EstopSpoke:
    """The e-stop says whether it is pressed."""

    time: float
    pressed: bool


@dataclass(frozen=True)
class ServiceAsked:
    """Somebody calls one of the node's services: reset, start, stop or enable."""

    time: float
    service: str
    value: bool = True


@dataclass(frozen=True)
class ViewTaken:
    """The worker was given the newest pictures to judge.

    Attributes:
        time: when.
        pictures: number of the arrival of each camera's picture.
        state: of the robot, in the order of the config's joints; None without joints.
        seconds: since the episode's first view, by the pictures' stamps.
        task: the instruction.
        restart: whether a new episode begins with it.
        anew: whether motion was enabled since the last view, so that what the policy had planned is of no use.
    """

    time: float
    pictures: dict[str, int]
    state: tuple[float, ...] | None
    seconds: float
    task: str
    restart: bool
    anew: bool = False


@dataclass(frozen=True)
class ViewJudged:
    """The worker is done with a view.

    Attributes:
        time: when.
        taken: when it was given the view.
        reading: what the estimator says; None where it failed.
        command: what the policy wants done; None without one.
        fault: why there is no reading: a few words.
        damaged: whether the picture was at fault and not the model.
    """

    time: float
    taken: float
    reading: Reading | None
    command: tuple[float, ...] | None = None
    fault: str = ""
    damaged: bool = False


@dataclass(frozen=True)
class Ticked:
    """Time has passed."""

    time: float


Event = (
    LinkChanged | ImageArrived | JointsArrived | TaskTold | EstopSpoke | ServiceAsked | ViewTaken | ViewJudged | Ticked
)


@dataclass(frozen=True)
class Published:
    """The node says something: on which of its topics (`progress`, `state`, `command`, ...), and what."""

    topic: str
    message: Message


@dataclass(frozen=True)
class ArmStopAsked:
    """The arm's own stop service is to be called."""

    reason: str


@dataclass(frozen=True)
class Resubscribed:
    """A topic that says nothing is to be subscribed to anew."""

    topic: str


@dataclass(frozen=True)
class Answered:
    """What a service answers."""

    success: bool
    message: str


@dataclass(frozen=True)
class Logged:
    """A line for the person who watches."""

    level: str
    text: str


Effect = Published | ArmStopAsked | Resubscribed | Answered | Logged


@dataclass
class Effects:
    """What an event leads to, in order."""

    all: list[Effect] = field(default_factory=list)

    def publish(self, topic: str, message: Message) -> None:
        self.all.append(Published(topic, message))

    def log(self, level: str, text: str) -> None:
        self.all.append(Logged(level, text))
