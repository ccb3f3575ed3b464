"""What the estimator is to look at: the newest picture of each camera and where the joints were when it was taken."""

import math
from collections import Counter, deque
from dataclasses import dataclass

from headway_envs.ros.config import BridgeConfig
from headway_envs.ros.events import ImageArrived, JointsArrived
from headway_envs.ros.freshness import NANOSECONDS, ClockOffset, Fresh, ImageGate
from headway_envs.ros.joints import JointError, read_joints
from headway_envs.ros.messages import stamp_ns

JOINTS_KEPT = 1.0
"""Seconds of joints to pair pictures with."""


@dataclass(frozen=True)
class Joints:
    """Where the joints were.

    Attributes:
        arrived: seconds of the node's clock.
        taken: likewise, by the stamp.
        stamp: nanoseconds; None without.
        position: (joint,), in the config's order.
    """

    arrived: float
    taken: float
    stamp: int | None
    position: tuple[float, ...]


@dataclass(frozen=True)
class View:
    """Pictures and joints that belong together.

    Attributes:
        pictures: of each camera.
        state: (joint,); None where there are no joints.
    """

    pictures: dict[str, Fresh]
    state: tuple[float, ...] | None

    @property
    def source(self) -> Fresh:
        """The first camera's picture, whose stamp and sequence stand for the view."""
        return next(iter(self.pictures.values()))

    def age(self, now: float) -> float:
        """Seconds since the oldest of its pictures was taken, or came, whichever is longer ago."""
        return max(now - min(picture.arrived, picture.taken) for picture in self.pictures.values())


class Views:
    """Keeps the newest of everything.

    Attributes:
        dropped: how many pictures and joint messages were not let through, by reason.
        restarted: whether stamps have jumped since `begin`, so that another episode runs.
    """

    def __init__(self, config: BridgeConfig):
        self._config = config
        self._gates = {camera: ImageGate(config.limits) for camera in config.topics.cameras}
        self._pictures: dict[str, Fresh] = {}
        self._refused: dict[str, str] = {}
        self._joints: deque[Joints] = deque()
        self._joint_offset = ClockOffset()
        self._joint_fault = ""
        self.dropped: Counter[str] = Counter()
        self.restarted = False

    def begin(self) -> None:
        """An episode begins."""
        self.restarted = False

    def forget(self) -> None:
        """The connection is lost: what was seen before counts no longer."""
        self._pictures.clear()
        self._joints.clear()

    def see(self, event: ImageArrived) -> None:
        """Take a picture that came in."""
        gate = self._gates[event.camera]
        judged = gate.push(event)
        self.restarted = self.restarted or gate.restarted
        self._refused[event.camera] = judged if isinstance(judged, str) else ""
        if isinstance(judged, str):
            self.dropped[judged] += 1
        else:
            self._pictures[event.camera] = judged

    def feel(self, event: JointsArrived) -> None:
        """Take what the joints say."""
        try:
            position = tuple(read_joints(event.message, self._config.arm.joints).tolist())
        except JointError as error:
            self._joint_fault = error.reason
            self.dropped[f"joints: {error.reason}"] += 1
            return
        self._joint_fault = ""
        stamp = stamp_ns(event.message) or None
        taken = event.time
        if stamp is not None:
            if self._joints and (self._joints[-1].stamp or 0) - stamp > self._config.limits.restart * NANOSECONDS:
                self._joints.clear()
                self._joint_offset = ClockOffset()
            self._joint_offset.push(event.time, stamp / NANOSECONDS)
            assert self._joint_offset.seconds is not None
            taken = stamp / NANOSECONDS + self._joint_offset.seconds
        self._joints.append(Joints(event.time, taken, stamp, position))
        while self._joints[0].arrived < event.time - JOINTS_KEPT:
            self._joints.popleft()

    def newest(self, now: float) -> View | str:
        """The newest view, or in a word or two why there is none."""
        limits = self._config.limits
        missing = [camera for camera in self._gates if camera not in self._pictures]
        if missing:
            return f"no picture of {missing[0]}"
        view = View({camera: self._pictures[camera] for camera in self._gates}, None)
        if view.age(now) > limits.frame_age:
            camera = max(self._pictures, key=lambda name: -self._pictures[name].arrived)
            return self._refused.get(camera) or "stale pictures"
        times = [picture.taken for picture in view.pictures.values()]
        if max(times) - min(times) > limits.sync:
            return "cameras out of step"
        if not self._config.topics.joints or not self._config.arm.joints:
            return view
        joints = self._paired(view.source)
        if not self._joints:
            return self._joint_fault or "no joints"
        if now - min(self._joints[-1].arrived, self._joints[-1].taken) > limits.joint_age:
            return self._joint_fault or "stale joints"
        return View(view.pictures, joints.position) if joints else "joints out of step"

    def numbers(self) -> set[int]:
        """Arrivals of the newest pictures."""
        return {picture.number for picture in self._pictures.values()}

    def position(self) -> tuple[float, ...] | None:
        """Where the joints were last."""
        return self._joints[-1].position if self._joints else None

    def skew(self, wall: float) -> float:
        """The largest difference in seconds between the stamps' clock and the wall's; 0 without stamps."""
        known = [abs(skew) for gate in self._gates.values() if (skew := gate.skew(wall)) is not None]
        return max(known, default=0.0)

    def _paired(self, picture: Fresh) -> Joints | None:
        """The joints nearest to a picture in time, if near enough."""

        def apart(joints: Joints) -> float:
            if joints.stamp is not None and picture.stamp is not None:
                return abs(joints.stamp - picture.stamp) / NANOSECONDS
            return abs(joints.taken - picture.taken)

        nearest = min(self._joints, key=apart, default=None)
        far = math.inf if nearest is None else apart(nearest)
        return nearest if far <= self._config.limits.sync else None
