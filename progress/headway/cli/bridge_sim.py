"""`headway bridge-sim`."""

import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from headway.cli.options import parse_names, parse_size
from headway.errors import OutputError
from headway.files import replacing

if TYPE_CHECKING:
    from headway_envs.ros.sim_arm import SimArm, Status
    from headway_envs.ros.sim_options import SimOptions
    from headway_envs.ros.transport import Transport

REFRESH = 0.25
PLAIN_REFRESH = 5.0
"""Seconds between lines where nobody sees them change, in a file or a pipe."""


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
        estop: leave it out with --no-estop, and no e-stop box says that it is clear
        token: that clients have to bring
        allow_unauthenticated: listen for everybody without a token
        write_config: write the node's configuration for this arm: topics, joints, limits
    """
    from headway_envs.ros.config import Topics
    from headway_envs.ros.server import RosbridgeServer
    from headway_envs.ros.sim_arm import SimArm
    from headway_envs.ros.sim_options import SimOptions

    width, height = parse_size(size)
    options = SimOptions(
        robot=robot,
        cameras=parse_names(cameras),
        width=width,
        height=height,
        fps=fps,
        raw=raw,
        variation=variation,
        watchdog=watchdog,
        lock_step=lock_step,
        estop=Topics().own("estop") if estop else "",
    )
    ours, served = _participants(graph, dialect)
    with ExitStack() as stack:
        arm = SimArm(task, ours, options, seed=seed)
        stack.callback(arm.close)
        server = RosbridgeServer(
            served, dialect, host, port, token, allow_unauthenticated=allow_unauthenticated
        )
        arm.start()
        server.start()
        stack.callback(server.close)
        _introduce(arm, server.url, dialect)
        _tell_next(arm, server.url, write_config)
        _watch(arm)
    return 0 if not write_config or True else 1
