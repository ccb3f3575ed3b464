"""`headway watch`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from headway.cli.bridge import Record, run_node
from headway.cli.options import DeviceOption, check_device
from headway.errors import HeadwayError, InvalidValue, Unsupported

if TYPE_CHECKING:
    from headway_envs.ros.camera import Source
    from headway_envs.ros.config import BridgeConfig

TOPIC = "/camera"
NEVER = 1e9
"""Seconds, or pictures, until what cannot happen to a file is taken for happened."""


def watch(
    *,
    camera: Annotated[str, tyro.conf.arg(metavar="0|FILE.mp4")] = "",
    lerobot_camera: Annotated[str, tyro.conf.arg(metavar="TYPE:ID")] = "",
    estimator: Annotated[str, tyro.conf.arg(metavar="SPEC")],
    task: Annotated[str, tyro.conf.arg(metavar="TEXT")] = "",
    view: Annotated[str, tyro.conf.arg(metavar="NAME")] = "",
    page: Annotated[int, tyro.conf.arg(metavar="PORT")] = -1,
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.mcap")] = None,
    speed: float = 1.0,
    loop: bool = False,
    latency: float = 0.3,
    device: DeviceOption = "cpu",
) -> int:
    """Tell progress and success live from a camera of this machine, or from a video file. No ROS is needed.

    It is the node of headway bridge without an arm: nothing can be moved. Exit status 1 when the camera breaks off or
    nothing was read. For example:

        headway watch --camera 0 --estimator sarm:runs/tidy --task "put the cube in the drawer" --page 8080

    Args:
        camera: number of a camera, a video file, /dev/video0, or the address of a stream (rtsp://, http://)
        lerobot_camera: instead, a camera as lerobot knows it: opencv:0, intelrealsense:SERIAL, zmq:HOST:PORT/NAME
        estimator: a causal one that needs no robot's state, such as sarm:RUN
        task: the instruction
        view: the camera's name, as the estimator was trained with it; default: the estimator's own where it has one
        page: port of the operator's page, on this machine only; 0 takes any that is free. Default: no page
        out: recording of all that comes in and goes out; headway replay proves it. Default: none
        speed: times a file's own rate
        loop: begin a file again after its end, each time as another episode
        latency: seconds from a picture to its reading, beyond which the reading is late and not told
    """
    try:
        from headway_envs.ros.camera import Feed, LerobotCamera, open_camera
        from headway_envs.ros.judge import Judge
        from headway_envs.ros.memory import Bus
    except ImportError as error:
        raise Unsupported(
            f"watching needs the extra ros: pip install 'headway[ros]' ({error.name} is missing)"
        ) from error

    if bool(camera) == bool(lerobot_camera):
        raise InvalidValue("give --camera, such as --camera 0, or --lerobot-camera")
    source = LerobotCamera(lerobot_camera) if lerobot_camera else open_camera(camera, speed, loop)
    try:
        made, judged = _estimator(estimator, check_device(device), view)
        config = _config(source, estimator, task, judged, latency)
        judge = Judge(made, source.kind)
    except HeadwayError:
        source.close()
        raise
    bus = Bus()
    transport = bus.connect("headway")
    feed = Feed(source, bus, TOPIC, config.topics.own("result"), latency + 1)
    feed.wait_for(transport)
    try:
        status = run_node(config, judge, transport, Record(out, device=device), page, ended=feed.ended)
    finally:
        feed.close()
    if feed.fault is not None:
        raise feed.fault
    # why is among what was printed
    return status if feed.told else 1


def _estimator(spec: str, device: str, view: str) -> tuple[Any, str]:
    """The estimator, and what it calls its camera."""
    from headway.specs import make_estimator

    made = make_estimator(spec, device)
    if made.needs.state:
        raise Unsupported(f"{made.name} needs the robot's state, which a camera does not see; use headway bridge")
    known = getattr(getattr(getattr(made, "method", None), "inputs", None), "cameras", ())
    if len(known) > 1:
        raise Unsupported(f"{made.name} was trained with {len(known)} cameras ({', '.join(known)}); watch has one")
    return made, view or (known[0] if known else "front")


def _config(source: "Source", estimator: str, task: str, view: str, latency: float) -> "BridgeConfig":
    """A dry run without joints; what is known of a file's pictures is not doubted."""
    from headway_envs.ros.camera import VideoFile
    from headway_envs.ros.config import BridgeConfig, Limits, Link, Topics

    limits = Limits(latency=latency, frame_age=max(Limits.frame_age, latency + 0.2))
    if isinstance(source, VideoFile):
        # equal pictures are a still scene, and stamps go back only where the file begins again
        limits = replace(limits, frame_age=NEVER, future=NEVER, frozen_seconds=NEVER, restart=1e-3)
    topics = Topics(cameras={view: TOPIC}, image_kind=source.kind, joints="", arm_stop="")
    return BridgeConfig(estimator, task, link=Link(first_message=NEVER), topics=topics, limits=limits)
