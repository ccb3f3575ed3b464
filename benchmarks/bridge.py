"""How much the bridge adds: from a picture's arrival to its published progress, and how old judged pictures are.

Claims: pictures of 640x480 as JPEG at 30 Hz; what is ours, the model left out, takes 10 ms at most in 95 of 100; with a
model of 10 Hz a judged picture is at most one period of the model and 40 ms old in 95 of 100. The floor is decoding the
JPEG alone, measured in the same run. Camera and server are a process of their own, as on a robot.

    .venv/bin/python benchmarks/bridge.py          # a minute
    .venv/bin/python benchmarks/bridge.py --fast   # seconds
"""

import dataclasses
import json
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import tyro
from claims import Claim, write_claims

from headway.episodes import Array
from headway.estimator import Needs, Reading
from headway_envs.ros import messages
from headway_envs.ros.config import BridgeConfig, Link, Topics
from headway_envs.ros.judge import Judge
from headway_envs.ros.memory import Bus
from headway_envs.ros.node import Node
from headway_envs.ros.rosbridge.client import RosbridgeTransport
from headway_envs.ros.rosbridge.server import RosbridgeServer

HZ = 30.0
PICTURES = 60
CAMERA = "/camera/image_raw/compressed"
KIND = "sensor_msgs/CompressedImage"


@dataclass
class Args:
    """What to run."""

    seconds: float = 25.0
    """Of each measurement."""
    fast: bool = False
    """A few seconds each."""
    out: Path = Path("runs/bridge")
    """Folder for the figures."""


class Sleeper:
    """A model that takes so long, and notes how long it really took."""

    name, fingerprint, needs = "sleeper", "1", Needs()

    def __init__(self, seconds: float):
        self._seconds = seconds
        self.took: list[float] = []

    def stream(self, instruction: str | None = None) -> "Sleeper":
        return self

    def estimate(self, episodes: object, stride: int = 1) -> object:
        raise NotImplementedError

    def push(self, frames: object, time_: float, state: Array | None = None) -> Reading:
        begun = time.monotonic()
        if self._seconds:
            time.sleep(self._seconds)
        self.took.append(time.monotonic() - begun)
        return Reading(time_, 0.5, success=0.1)


class Watched(RosbridgeTransport):
    """Notes when results are handed to the socket."""

    told: list[tuple[float, dict[str, float]]]

    def publish(self, topic: str, message: messages.Message) -> None:
        super().publish(topic, message)
        if topic.endswith("/result"):
            self.told.append((time.monotonic(), json.loads(message["data"])))


def pictures() -> list[bytes]:
    """JPEGs of 640x480 with as much in them as a scene has."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(PICTURES):
        coarse = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
        scene = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
        made.append(cv2.imencode(".jpg", scene, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return made


def robot(told: Connection) -> None:
    """Camera and rosbridge server, until the other end hangs up."""
    bus = Bus()
    server = RosbridgeServer(bus.connect("rosbridge"), port=0)
    camera = bus.connect("camera")
    camera.advertise(CAMERA, KIND)
    server.start()
    camera.start()
    told.send(server.url)
    stock, number, due = pictures(), 0, time.monotonic()
    while not told.poll(max(0.0, due - time.monotonic())):
        camera.publish(CAMERA, messages.compressed_image(stock[number % PICTURES], stamp=time.time()))
        number, due = number + 1, due + 1 / HZ
    server.close()


def measure(url: str, model_seconds: float, seconds: float) -> dict[str, float]:
    """Quantiles of our share and of the age of judged pictures, milliseconds."""
    config = BridgeConfig(link=Link(url=url), topics=Topics(joints=""))
    config = dataclasses.replace(config, limits=dataclasses.replace(config.limits, publish_hz=60))
    model, transport = Sleeper(model_seconds), Watched(url)
    transport.told = []
    node = Node(config, Judge(model, KIND), transport)
    node.start()
    time.sleep(2)
    first, model_first = len(transport.told), len(model.took)
    time.sleep(seconds)
    node.close()
    told = transport.told[first:]
    # what is told ends when it is handed over; the model's own time is taken off
    count = min(len(told), len(model.took) - model_first)
    ours = [
        one["latency_ms"] - 1000 * took
        for (_, one), took in zip(told[:count], model.took[model_first : model_first + count], strict=True)
    ]
    age = [one["frame_age_ms"] for _, one in told]
    return {"readings": len(told), "ours": quantile(ours, 95), "ours_p50": quantile(ours, 50), "age": quantile(age, 95)}


def quantile(values: list[float], percent: float) -> float:
    return round(float(np.percentile(values, percent)), 2) if values else float("nan")


def floor() -> float:
    """p95 of decoding such a JPEG alone, milliseconds."""
    stock, took = pictures(), []
    for data in stock * 3:
        begun = time.perf_counter()
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        took.append(1000 * (time.perf_counter() - begun))
    return quantile(took, 95)


def main(args: Args) -> None:
    seconds = 3.0 if args.fast else args.seconds
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=robot, args=(there,), daemon=True)
    process.start()
    url = here.recv()
    quick, slow, alone = measure(url, 0.0, seconds), measure(url, 0.1, seconds), floor()
    here.send("end")
    process.join(10)
    rows = [
        ("arrival to published progress, model excluded, p95", quick["ours"], "10"),
        ("  the same, p50", quick["ours_p50"], ""),
        ("  of which decoding the JPEG, alone, p95", alone, ""),
        ("age of judged pictures, model of 100 ms, p95", slow["age"], "140"),
    ]
    lines = ["| 640x480 JPEG at 30 Hz | ms | target |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows)]
    print(
        "\n".join([*lines, "", f"{quick['readings']:.0f} and {slow['readings']:.0f} readings in {seconds:.0f} s each"])
    )
    if args.fast:
        print("\n--fast: the figures mean nothing")
    claims = [
        Claim(
            "arrival to published progress, model excluded, p95",
            quick["ours"],
            "ms",
            10.0,
            at_least=False,
            note=f"of which decoding the JPEG, alone, {alone} ms",
        ),
        Claim("age of judged pictures, model of 100 ms, p95", slow["age"], "ms", 140.0, at_least=False),
    ]
    write_claims(args.out / "bridge.json", claims, {"quick": quick, "slow": slow, "floor": alone})


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
