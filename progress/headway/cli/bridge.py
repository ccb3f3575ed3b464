"""`headway bridge`."""

import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from headway.cli.options import DeviceOption, check_device
from headway.errors import HeadwayError, InvalidValue, Unsupported

if TYPE_CHECKING:
    from headway_envs.ros.config import BridgeConfig
    from headway_envs.ros.judge import Judge, Pilot
    from headway_envs.ros.node import Node
    from headway_envs.ros.transport import Transport

ONCE_SECONDS = 10.0


def bridge(
    *,
    url: str = "",
    estimator: Annotated[str, tyro.conf.arg(metavar="SPEC")] = "",
    task: Annotated[str, tyro.conf.arg(metavar="TEXT")] = "",
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml")] = None,
    policy: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None,
    motion: bool = False,
    graph: Annotated[str, tyro.conf.arg(metavar="rosbridge|ros1")] = "rosbridge",
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.mcap")] = None,
    page: Annotated[int, tyro.conf.arg(metavar="PORT")] = -1,
    device: DeviceOption = "cpu",
    once: bool = False,
    print_config: bool = False,
) -> int:
    """Tell progress, reward and success live, beside an arm, through a ROS bridge.

    Nothing is ever sent to the arm without --policy, --motion, a live e-stop topic and a call of NAMESPACE/enable. What
    follows runs beside the arm that `headway bridge-sim tidy-drawer` simulates. For example:

        headway bridge --url ws://127.0.0.1:9090 --estimator sarm:runs/tidy --task "put the cube in the drawer"

    Args:
        url: of the rosbridge server; default: of the config, ws://127.0.0.1:9090
        estimator: a causal one, such as sarm:RUN; default: of the config
        task: the instruction, until the task topic says another
        config: topics, joints, limits; --print-config writes one to begin with. What is given here goes before it
        policy: a run of `headway policy train --policy image`, whose commands drive the arm
        motion: commands may be sent, once NAMESPACE/enable was called with true; otherwise this is a dry run
        graph: rosbridge, a websocket; or ros1, the ROS 1 graph of this machine
        out: recording of all that comes in and goes out; headway replay proves it. Default: none
        page: port of the operator's page, on this machine only; 0 takes any that is free. Default: no page
        once: tell one reading and leave; exit 1 when there is none within 10 seconds
        print_config: write the configuration as YAML and leave
    """
    try:
        from headway_envs.ros.config import to_yaml
    except ImportError as error:
        raise Unsupported(
            f"the bridge needs the extra ros: pip install 'headway[ros]' ({error.name} is missing)"
        ) from error

    made = _config(config, url, estimator, task, motion)
    pilot, made = _pilot(policy, made)
    if print_config:
        print(to_yaml(made), end="")
        return 0
    judge = _judge(made, pilot, check_device(device))
    record = Record(out, "" if policy is None else str(policy), device)
    return run_node(made, judge, _transport(made, graph), record, page, once)


@dataclass(frozen=True)
class Record:
    """Where a run is recorded, and what a recording has to know besides; `path` None is nowhere."""

    path: Path | None = None
    pilot: str = ""
    device: str = "cpu"


def run_node(
    config: "BridgeConfig",
    judge: "Judge",
    transport: "Transport",
    record: Record,
    page: int,
    once: bool = False,
    ended: threading.Event | None = None,
) -> int:
    """Run a node until Ctrl-C, until its first reading or until somebody sets `ended`, and tell what happens."""
    from headway.cli.show_bridge import Console
    from headway_envs.ros.node import Node

    console = Console(config)
    node = Node(config, judge, transport, [console])
    ended = ended or threading.Event()
    with _ended_by_signals(ended), recorded(node, record, console.say), _page(node, page, console):
        node.start()
        try:
            if once:
                return _once(console, config)
            console.show(node, ended)
        finally:
            node.close()
    if node.broken:
        raise HeadwayError(node.broken)
    print(console.summary(node))
    if record.path is not None:
        print(f"next: headway replay {shlex.quote(str(record.path))}")
    return 0


@contextmanager
def recorded(node: "Node", record: Record, tell: Callable[[str, str], None]) -> Iterator[None]:
    """Record what the node sees and says, where that is wanted."""
    if record.path is None:
        yield
        return
    from headway_envs.ros.recording.recorder import Recorder

    recorder = Recorder(
        record.path,
        node.config,
        node.judge.estimator,
        node.wall,
        pilot=record.pilot,
        device=record.device,
        tell=tell,
    )
    node.observe(recorder)
    try:
        yield
    finally:
        recorder.close()


def _config(path: Path | None, url: str, estimator: str, task: str, motion: bool) -> "BridgeConfig":
    from headway_envs.ros.config import BridgeConfig, read_config

    made = read_config(path) if path else BridgeConfig()
    if url:
        made = replace(made, link=replace(made.link, url=url))
    if motion:
        made = replace(made, arm=replace(made.arm, dry_run=False))
    return replace(made, estimator=estimator or made.estimator, task=task or made.task)


def _pilot(run: Path | None, config: "BridgeConfig") -> "tuple[Pilot | None, BridgeConfig]":
    """The pilot, and the config with the names of its joints where it had none."""
    if run is None:
        if not config.arm.dry_run:
            raise InvalidValue("--motion needs somebody who drives: give a trained run with --policy")
        return None, config
    from headway_envs.robots import ROBOTS
    from headway_policies.pilot import pilot_of
    from headway_policies.policy_runs import load_run

    trained = load_run(run)
    pilot = pilot_of(trained, ROBOTS[trained.recorded.robot].fps)
    extra = len(pilot.commands) - len(pilot.joints)
    arm = config.arm if config.arm.joints else replace(config.arm, joints=pilot.joints, extra=max(0, extra))
    if arm.joints != pilot.joints or arm.size != len(pilot.commands):
        raise InvalidValue(
            f"the policy senses {', '.join(pilot.joints)} and tells {len(pilot.commands)} values; arm.joints are "
            f"{', '.join(arm.joints)} and a command has {arm.size}"
        )
    return pilot, replace(config, arm=arm)


def _judge(config: "BridgeConfig", pilot: "Pilot | None", device: str) -> "Judge":
    from headway.specs import make_estimator
    from headway_envs.ros.judge import Judge

    if not config.estimator:
        raise InvalidValue("needs an estimator: give a causal one with --estimator, such as sarm:RUN")
    return Judge(make_estimator(config.estimator, device), config.topics.image_kind, pilot)


def _transport(config: "BridgeConfig", graph: str) -> "Transport":
    if graph == "ros1":
        from headway_envs.ros.ros1.graph import RosGraph

        return RosGraph()
    if graph != "rosbridge":
        raise InvalidValue(f"--graph must be rosbridge or ros1, got {graph!r}")
    from headway_envs.ros.rosbridge.client import RosbridgeTransport

    link = config.link
    return RosbridgeTransport(link.url, ros_version=link.ros_version, token=link.token, backoff=link.backoff)


def _once(console: "object", config: "BridgeConfig") -> int:
    from headway.cli.show_bridge import Console

    assert isinstance(console, Console)
    told = console.first(ONCE_SECONDS)
    if told is None:
        raise HeadwayError(f"no reading within {ONCE_SECONDS:.0f} s of {config.link.url}: {console.trouble()}")
    print(told)
    return 0


@contextmanager
def _ended_by_signals(ended: threading.Event) -> Iterator[None]:
    """Set by Ctrl-C, SIGTERM and the end of the terminal: the arm is stopped and the recording finished first."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _page(node: "Node", port: int, console: "object") -> Iterator[None]:
    """The operator's page, where one is wanted."""
    if port < 0:
        yield
        return
    from headway_envs.ros.operator.page import Page

    page = Page(node, port)
    node.observe(page)
    page.start()
    print(f"operator's page: {page.url}", file=sys.stderr)
    try:
        yield
    finally:
        page.close()
