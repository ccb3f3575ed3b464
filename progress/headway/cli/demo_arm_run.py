"""What `headway demo-arm` does: learn, join a simulated arm's graph, drive it, take its e-stop away, replay."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headway.cli.bridge import Record, recorded
from headway.cli.replay import replay
from headway.cli.show_bridge import Console
from headway.cli.training import gather_tasks, run_training
from headway.errors import HeadwayError
from headway.learned.inputs import InputConfig
from headway.learned.method import TrainingConfig
from headway.learned.sarm import Sarm
from headway.specs import make_estimator
from headway_datasets.opening import open_dataset
from headway_envs.collect import collect
from headway_envs.recording import RecordingOptions
from headway_envs.robots import ROBOTS
from headway_envs.ros import messages
from headway_envs.ros.config import BridgeConfig, Success, read_config
from headway_envs.ros.judge import Judge
from headway_envs.ros.node import Node
from headway_envs.ros.rosbridge.client import RosbridgeTransport
from headway_envs.ros.transport import Arrival
from headway_policies.pilot import ChunkPilot, pilot_of
from headway_policies.policy_runs import load_run

TASK = "lift"
ROBOT = "gripper"
MIX = "expert=.6,detour=.1,drop=.1,near-miss=.1,regress=.1"
STARTING = 60.0
"""Seconds that the simulated arm may take to be there."""
RESTING = 0.005
"""Metres a second below which the hand counts as still."""


@dataclass(frozen=True)
class Size:
    """How much is learnt, and how long is tried."""

    episodes: int
    epochs: int
    steps: int
    layouts: int
    seconds: float


FULL = Size(episodes=80, epochs=40, steps=1500, layouts=5, seconds=15)
FAST = Size(episodes=10, epochs=2, steps=30, layouts=1, seconds=3)


def run(size: Size, seed: int, out: Path) -> int:
    """Do all of it; exit status 0 when the stop came and the replay is identical, and, at full size, a success."""
    spec, pilot = learn(size, seed, out)
    recording = out / f"run-{time.strftime('%Y%m%d-%H%M%S')}.mcap"
    with simulated_arm(out, seed) as config:
        # eighty demonstrations teach where the end is better than how sure one may be of it
        success = Success(signal="progress", high=0.95, low=0.9)
        config = replace(config, estimator=spec, success=success, arm=replace(config.arm, dry_run=False))
        done, rest = drive(config, pilot, size, recording, out)
    print(f"success: {'declared' if done else 'not declared'}")
    told = "the hand never rested" if rest is None else f"the hand rested {rest:.2f} s later"
    print(f"fault: the e-stop fell silent while the hand moved; {told}")
    identical = replay(recording) == 0
    print(f"next: headway report, Foxglove and headway score read the recording too: headway score {recording}")
    return 0 if identical and rest is not None and (done or size is FAST) else 1


def learn(size: Size, seed: int, out: Path) -> tuple[str, ChunkPilot]:
    """The estimator's spec and the pilot, trained on demonstrations of our own where that was not done before."""
    demos, estimator, policy = out / "demos", out / "estimator", out / "policy"
    if not demos.exists():
        collect(TASK, size.episodes, demos, MIX, seed=seed, options=RecordingOptions(robot=ROBOT))
    if not (estimator / "config.json").exists():
        source = open_dataset(demos)
        method = Sarm(InputConfig(source.cameras), TrainingConfig(epochs=size.epochs, plain=0.5, seed=seed))
        run_training(method, gather_tasks([source]), [source], estimator, folds=1, device="cpu")
    if not (policy / "config.json").exists():
        from headway.cli.policy_train import train

        train(str(demos), policy="image", steps=size.steps, seed=seed, out=policy)
    return f"sarm:{estimator}", pilot_of(load_run(policy), ROBOTS[ROBOT].fps)


@contextmanager
def simulated_arm(out: Path, seed: int) -> Iterator[BridgeConfig]:
    """`headway bridge-sim` in a process of its own, without an e-stop box: that is ours."""
    path = out / f"arm-{time.time_ns()}.yaml"
    command = ["bridge-sim", TASK, "--robot", ROBOT, "--port", "0", "--no-estop", "--seed", str(seed + 1000)]
    log = out / "bridge-sim.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", "from headway.cli import main; main()", *command, "--write-config", str(path)],
            stdout=said,
            stderr=said,
        )
        try:
            end = time.monotonic() + STARTING
            while not path.exists():
                if process.poll() is not None or time.monotonic() > end:
                    raise HeadwayError(f"the simulated arm did not start; {log} says why")
                time.sleep(0.1)
            yield read_config(path)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            path.unlink(missing_ok=True)


class Box:
    """The e-stop box on the bench, and a look at whether the hand moves: a participant of its own."""

    def __init__(self, config: BridgeConfig):
        self._topic = config.topics.own("estop")
        self._transport = RosbridgeTransport(config.link.url)
        self._transport.advertise(self._topic, "std_msgs/Bool")
        self._transport.subscribe(config.topics.joints, "sensor_msgs/JointState", self._feel)
        self._speaking = threading.Event()
        self._ended = threading.Event()
        self._last: tuple[float, np.ndarray] | None = None
        self.speed = float("nan")
        self._thread = threading.Thread(target=self._speak, daemon=True)

    def __enter__(self) -> "Box":
        self._transport.start()
        self._speaking.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._transport.close()

    def unplug(self) -> None:
        """Say nothing any more."""
        self._speaking.clear()

    def next_layout(self) -> None:
        """Have the simulation place another layout."""
        self._transport.call_service("/sim/reset", "std_srvs/Trigger", {}, 5.0)

    def _speak(self) -> None:
        while not self._ended.wait(0.1):
            if self._speaking.is_set():
                self._transport.publish(self._topic, messages.boolean(False))

    def _feel(self, arrival: Arrival) -> None:
        stamp = messages.stamp_of(arrival.message) or arrival.time
        hand = np.array(arrival.message["position"][:3])
        if self._last is not None and stamp > self._last[0]:
            self.speed = float(np.linalg.norm(hand - self._last[1])) / (stamp - self._last[0])
        self._last = (stamp, hand)


def drive(config: BridgeConfig, pilot: ChunkPilot, size: Size, recording: Path, out: Path) -> tuple[bool, float | None]:
    """Layout after layout until success is declared, then once more with a fault.

    Returns:
        Whether success was declared, and how long after the fault the hand rested, seconds; None when it did not.
    """
    console = Console(config)
    judge = Judge(make_estimator(config.estimator), config.topics.image_kind, pilot)
    node = Node(config, judge, RosbridgeTransport(config.link.url), [console])
    with Box(config) as box, recorded(node, Record(recording, str(out / "policy")), console.say):
        node.start()
        try:
            done = any(_attempt(node, box, size.seconds, console) for _ in range(size.layouts))
            rest = _fault(node, box, console)
        finally:
            node.close()
    print(console.summary(node))
    return done, rest


def _attempt(node: Node, box: Box, seconds: float, console: Console) -> bool:
    """Another layout; whether success is declared in time."""
    _enable(node, box)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if _until(lambda: node.core.readings.success, 0.2):
            return True
        # motion never comes back by itself: here we are the person who gives it back, when all is well again
        if not node.core.permission.given and node.core.state == "RUNNING" and node.ask("enable").success:
            console.say("info", "enabled again")
    console.say("warning", f"no success within {seconds:.0f} s; the next layout")
    return False


def _fault(node: Node, box: Box, console: Console) -> float | None:
    """Take the e-stop away while the hand moves; seconds until it rests, None when it does not."""
    _enable(node, box)
    # the hand of another layout is elsewhere at once, which is no motion
    time.sleep(1)
    if not _until(lambda: box.speed > 2 * RESTING and node.core.permission.given, 5):
        raise HeadwayError("the hand does not move, so no stop can be shown; train longer")
    console.say("warning", f"the e-stop's cable is pulled; the hand moves at {box.speed:.3f} m/s")
    begun = time.monotonic()
    box.unplug()
    if not _until(lambda: not node.core.permission.given and box.speed < RESTING, 5):
        return None
    rest = time.monotonic() - begun
    # what rests for a moment may only be turning round
    return rest if not _until(lambda: box.speed > RESTING, 1) else None


def _enable(node: Node, box: Box) -> None:
    node.ask("reset")
    box.next_layout()
    if not _until(lambda: node.core.state == "RUNNING" and node.ask("enable").success, 20):
        raise HeadwayError(f"the node is {node.core.state} {node.core.reason}, so the arm may not move")


def _until(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until something holds; whether it did in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.01)
    return False
