"""What the node tells, and how often."""

import json
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headway_envs.ros import messages
from headway_envs.ros.config import COMMAND_KINDS, BridgeConfig
from headway_envs.ros.events import Effects, ViewTaken
from headway_envs.ros.freshness import NANOSECONDS, Fresh
from headway_envs.ros.readings import Believed
from headway_envs.ros.transport import Message

if TYPE_CHECKING:
    from headway_envs.ros.core import Core

HEARTBEAT = 0.1
REPEATED = 1.0
"""Seconds between heartbeats, and between repetitions of what has not changed."""
KEPT = 1000
"""Latencies that quantiles are of."""


@dataclass(frozen=True)
class Result:
    """All about one reading that counts.

    Attributes:
        source: the picture whose stamp and sequence it carries.
        taken: the view.
        latency: seconds from the picture's arrival to the result.
        age: seconds since the oldest picture was taken.
        believed: what it says.
    """

    source: Fresh
    taken: ViewTaken
    latency: float
    age: float
    believed: Believed


class Reporter:
    """Turns what happened into messages on the node's topics."""

    def __init__(self, config: BridgeConfig, model: str, wall: float):
        self._config, self._model, self._wall = config, model, wall
        self._latencies: deque[float] = deque(maxlen=KEPT)
        self._ages: deque[float] = deque(maxlen=KEPT)
        self._beat = self._repeated = float("-inf")
        self._valid = False
        self.results = 0
        self.commands = 0

    def timed(self, latency: float, age: float) -> None:
        """A view was judged, in time or not."""
        self._latencies.append(latency)
        self._ages.append(age)

    def tell(self, out: Effects, result: Result) -> None:
        """Publish a reading."""
        said, source = result.believed, result.source
        self.results += 1
        out.publish("progress", messages.float32(said.progress))
        # the potential that rewards are differences of; an estimator of value proper will put its own here
        out.publish("value", messages.float32(said.progress))
        out.publish("reward", messages.float32(said.reward))
        self.valid(out, True)
        out.publish(
            "result",
            messages.string(
                json.dumps(
                    {
                        "stamp": None if source.stamp is None else divmod(source.stamp, NANOSECONDS),
                        "seq": source.number if source.sequence is None else source.sequence,
                        "progress": said.progress,
                        "value": said.progress,
                        "reward": said.reward,
                        "success": said.success,
                        "stage": said.stage,
                        "uncertainty": said.uncertainty if math.isfinite(said.uncertainty or 0.0) else None,
                        "latency_ms": round(1000 * result.latency, 3),
                        "frame_age_ms": round(1000 * result.age, 3),
                        "task": result.taken.task,
                        "model": self._model,
                    }
                )
            ),
        )

    def success(self, out: Effects, declared: bool) -> None:
        out.publish("success", messages.boolean(declared))

    def command(self, out: Effects, command: tuple[float, ...]) -> None:
        """Publish a command that may be sent."""
        self.commands += 1
        arm = self._config.arm
        if self._config.topics.command_kind == COMMAND_KINDS[0]:
            out.publish("command", messages.float64_array(command))
            return
        out.publish("command", messages.joint_trajectory(arm.joints, command[: len(arm.joints)], REPEATED / 10))

    def valid(self, out: Effects, valid: bool) -> None:
        """Whether the last progress still holds, where that has changed."""
        if valid != self._valid:
            self._valid = valid
            out.publish("valid", messages.boolean(valid))

    def state(self, out: Effects, core: "Core") -> None:
        """Publish the state, and that readings hold no longer where it says so."""
        if core.state in ("INIT", "WAITING", "DEGRADED"):
            self.valid(out, False)
        out.publish("state", messages.string(f"{core.state} {core.reason}".strip()))

    def tick(self, out: Effects, core: "Core", now: float) -> None:
        """What is told again and again."""
        if core.state == "STOPPED" and core.trouble(now):
            self.valid(out, False)
        if now - self._beat >= HEARTBEAT:
            self._beat = now
            out.publish("heartbeat", messages.boolean(True))
        if now - self._repeated >= REPEATED:
            self._repeated = now
            out.publish("valid", messages.boolean(self._valid))
            self.state(out, core)
            out.publish("diagnostics", self.diagnostics(core, now))

    def diagnostics(self, core: "Core", now: float) -> Message:
        """Everything that somebody who looks for a fault wants to know, as `diagnostic_msgs/DiagnosticArray`."""
        level = {"RUNNING": 0, "WAITING": 1, "INIT": 1, "DEGRADED": 1}.get(core.state, 2)
        skew = core.views.skew(self._wall)
        values: dict[str, Any] = {
            "state": core.state,
            "reason": core.reason,
            "motion": core.permission.given,
            "dry_run": self._config.arm.dry_run,
            "estop_alive": core.estop.alive(now),
            "estop_latched": core.estop.latched,
            "success": core.readings.success,
            "results": self.results,
            "commands": self.commands,
            "clock_skew_s": round(skew, 3),
            "clock_skewed": skew > self._config.limits.clock_skew,
            **self.quantiles(),
            **{f"dropped: {name}": count for name, count in sorted((core.views.dropped + core.counts).items())},
        }
        text = {name: str(value) for name, value in values.items()}
        return messages.diagnostics(level, self._config.topics.namespace, core.reason or core.state, text)

    def quantiles(self) -> dict[str, float]:
        """p50, p95 and p99 of latency and of the age of frames, milliseconds."""
        quantiles = {}
        for name, kept in (("latency", self._latencies), ("frame_age", self._ages)):
            for percent in (50, 95, 99) if kept else ():
                quantiles[f"{name}_p{percent}_ms"] = round(1000 * float(np.percentile(list(kept), percent)), 3)
        return quantiles
