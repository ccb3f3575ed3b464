"""`headway bridge-sim`."""

import shlex
import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console as Terminal
from rich.live import Live
from rich.text import Text

from headway.errors import HeadwayError, InvalidValue, OutputError, Unsupported
from headway.files import replacing

if TYPE_CHECKING:
    from headway_envs.ros.memory import Dialect
    from headway_envs.ros.sim.arm import SimArm, Status
    from headway_envs.ros.transport import Transport

BAR = 16
LOOKS = 5
"""Times a second that the line is drawn."""


def bridge_sim(
    task: Annotated[str, tyro.conf.arg(metavar="TASK")],
    /,
    *,
    robot: str = "gripper",
    host: str = "127.0.0.1",
    port: int = 9090,
    dialect: Literal["ros1", "ros2"] = "ros1",
    graph: Literal["own", "ros1"] = "own",
    lock_step: bool = False,
    seed: int = 0,
    cameras: Annotated[str, tyro.conf.arg(metavar="A,B")] = "front",
    size: Annotated[str, tyro.conf.arg(metavar="WxH")] = "96x96",
    fps: float = 20.0,
    variation: str = "none",
    raw: bool = False,
    watchdog: float = 0.2,
    estop: bool = True,
    token: str | None = None,
    allow_unauthenticated: bool = False,
    write_config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml")] = None,
) -> int:
    """Put a simulated arm behind a rosbridge server, for `headway bridge` to look at as at any other arm.

    It follows commands while they come, and holds still by itself 0.2 s after the last one. For example:

        headway bridge-sim lift --write-config lift.yaml

    Args:
        task: what the arm stands in front of; `headway tasks` lists them
        robot: gripper (a hand that flies, 20 Hz) or arm (six joints, 30 Hz)
        host: where to listen; anything but this machine needs --token
        port: of the rosbridge server; 0 takes any that is free
        dialect: how a rosbridge of that version of ROS speaks
        graph: own, or ros1: join the ROS 1 graph at ROS_MASTER_URI, and serve that
        lock_step: simulate time, which stands still until a command comes
        seed: of the first layout; /sim/reset goes on to the next one
        cameras: which to publish: front, wrist
        size: of a picture in pixels
        fps: pictures a second; in lock-step there is one a control step
        variation: of how things look: none, mild or ood
        raw: publish sensor_msgs/Image too
        watchdog: seconds without a command after which the arm holds still
        estop: no e-stop box on the bench says that it is clear
        token: that clients have to bring
        allow_unauthenticated: listen for everybody without a token
        write_config: write the node's configuration for this arm: topics, joints, limits
    """
    try:
        from headway_envs.ros.rosbridge.server import RosbridgeServer
        from headway_envs.ros.sim.arm import SimArm
        from headway_envs.ros.sim.options import SimOptions
    except ImportError as error:
        raise Unsupported(
            f"the bridge needs the extra ros: pip install 'headway[ros]' ({error.name} is missing)"
        ) from error

    width, height = _size(size)
    options = SimOptions(
        robot=robot,
        cameras=tuple(name.strip() for name in cameras.split(",") if name.strip()),
        width=width,
        height=height,
        fps=fps,
        raw=raw,
        variation=variation,
        watchdog=watchdog,
        lock_step=lock_step,
        estop=SimOptions.estop if estop else "",
    )
    ours, served = _participants(graph, dialect)
    with ExitStack() as stack:
        arm = SimArm(task, ours, options, seed=seed)
        stack.callback(arm.close)
        server = RosbridgeServer(served, dialect, host, port, token, allow_unauthenticated=allow_unauthenticated)
        arm.start()
        server.start()
        stack.callback(server.close)
        print("\n".join(_introduction(arm, server.url, dialect)))
        _tell_next(arm, server.url, write_config)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            _watch(arm)
        told = arm.status
    print(f"ended at progress {told.progress:.2f}, seed {told.seed}, {told.refused} commands refused")
    return 0


def _size(text: str) -> tuple[int, int]:
    """`640x480` -> (640, 480)."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
        raise InvalidValue(f"--size needs WIDTHxHEIGHT in pixels, such as 640x480, got {text!r}")
    return int(parts[0]), int(parts[1])


def _participants(graph: str, dialect: "Dialect") -> "tuple[Transport, Transport]":
    """The arm's own, and the server's."""
    if graph == "ros1":
        if dialect != "ros1":
            raise InvalidValue("a ROS 1 graph is served in ROS 1's dialect; leave --dialect out")
        from headway_envs.ros.ros1.graph import RosGraph

        return RosGraph(node_name="sim_arm"), RosGraph(node_name="rosbridge_websocket")
    from headway_envs.ros.memory import Bus

    bus = Bus(dialect=dialect)
    return bus.connect("sim_arm"), bus.connect("rosbridge_websocket")


def _introduction(arm: "SimArm", url: str, dialect: str) -> list[str]:
    """What is there, one thing a line."""
    from headway_envs.ros.sim.options import CLOCK, JOINTS, PRESS, PROGRESS, RESET, STOP, SUCCESS, TASK, image_topic

    options, names = arm.options, arm.world.simulator.robot.action_names
    pace = "in lock-step" if options.lock_step else "in real time"
    rate = "one a step" if options.lock_step else f"{options.fps:g} Hz"
    cameras = [f"{image_topic(name)}/compressed" for name in options.cameras]
    raw = [image_topic(name) for name in options.cameras] if options.raw else []
    services = [STOP, RESET, *([PRESS] if options.estop else [])]
    return [
        f"{options.robot} before {arm.world.task.id}, seed {arm.world.seed}, {pace}: {arm.world.instruction}",
        f"rosbridge of {'ROS 1' if dialect == 'ros1' else 'ROS 2'} at {url}; Ctrl-C here ends",
        f"  pictures   {', '.join([*cameras, *raw]) or 'none'}: {options.width}x{options.height}, {rate}",
        f"  joints     {JOINTS}: {', '.join(arm.world.joint_names)}, {arm.fps} Hz",
        f"  commands   {options.command}: Float64MultiArray of {', '.join(names)}; held still "
        f"{options.watchdog:g} s after the last one",
        f"  e-stop     {f'{options.estop}, 10 Hz' if options.estop else 'none'}",
        f"  services   {', '.join(services)}",
        f"  the truth  {', '.join([PROGRESS, SUCCESS, TASK, *([CLOCK] if options.lock_step else [])])}",
    ]


def _tell_next(arm: "SimArm", url: str, path: Path | None) -> None:
    """Write the node's configuration where that is wanted, and say how to start the node."""
    if path is None:
        print(
            "next: run this again with --write-config arm.yaml, which is all that headway bridge has to know",
            flush=True,
        )
        return
    from headway_envs.ros.config import to_yaml
    from headway_envs.ros.sim.options import bridge_config

    config = bridge_config(arm.world.simulator.robot, arm.options, arm.world.instruction, url)
    _write(path, to_yaml(config))
    print(f"next: headway bridge --config {shlex.quote(str(path))} --estimator SPEC, with a causal one", flush=True)


def _write(path: Path, text: str) -> None:
    """What is there already may have been edited: it is left alone."""
    if path.exists():
        if path.read_text() != text:
            raise OutputError(f"{path} is there already and says something else; name another --write-config")
        return
    with replacing(path) as beside:
        beside.write_text(text)


def _watch(arm: "SimArm") -> None:
    """Show how the arm is doing until Ctrl-C. Raises HeadwayError when it has broken down."""
    terminal = Terminal(stderr=True, highlight=False)
    with Live(console=terminal, refresh_per_second=LOOKS, transient=True) as live:
        while arm.running:
            time.sleep(1 / LOOKS)
            live.update(Text(_line(arm.status), no_wrap=True, overflow="ellipsis"))
    raise HeadwayError("the simulated arm broke down; what it said is above")


def _line(status: "Status") -> str:
    """How the arm is doing, in one line."""
    full = round(BAR * status.progress)
    age = "none" if status.command_age is None else f"{status.command_age:.1f} s ago"
    parts = [
        f"{status.state:<24} {'█' * full}{'░' * (BAR - full)} {status.progress:.2f}{' DONE' if status.success else ''}",
        f"command {age}",
        f"seed {status.seed}",
        f"{status.refused} refused" if status.refused else "",
        f"{status.behind:.1f} s behind" if status.behind > 0.1 else "",
        f"{status.left_out} pictures too slow" if status.left_out else "",
    ]
    return "  ".join(part for part in parts if part)
