import dataclasses

import pytest

from headway.estimator import Reading
from headway_envs.ros.config import Arm, BridgeConfig
from headway_envs.ros.core import Core
from headway_envs.ros.events import (
    Answered,
    ArmStopAsked,
    EstopSpoke,
    ImageArrived,
    JointsArrived,
    LinkChanged,
    Published,
    ServiceAsked,
    Ticked,
    ViewJudged,
)

STEP = 0.01


class Bench:
    """A core on a clock of its own: pictures at 30 Hz, joints at 50 Hz, an e-stop at 10 Hz and a model at 10 Hz.

    A test bends what comes in by replacing `image`, `joints`, `estop`, `model` or by setting `model_seconds`.
    """

    def __init__(self, config):
        self.core = Core(config, "model", wall=1e9)
        self.now = 0.0
        self.epoch = 1e9
        self.effects = []
        self.numbers = 0
        self.images = self.joints_on = self.estop_on = True
        self.model = lambda seconds: Reading(seconds, 0.5, success=0.1)
        self.command = lambda seconds: (0.1, 0.2)
        self.delay = 0.01
        self.model_seconds = 0.05
        self.stamp = lambda now: now + self.epoch - self.delay
        self.digest = lambda now: f"{now:.3f}"
        self.position = lambda now: [0.0, 0.0]
        self._busy = None
        self._next = {"image": 0.0, "joints": 0.0, "estop": 0.0, "tick": 0.0}
        self.do(LinkChanged(self.now, True))

    def do(self, event):
        effects = self.core.handle(event)
        self.effects += [(event.time, effect) for effect in effects]
        return effects

    def image(self, stamp=None, digest=None):
        stamp = self.stamp(self.now) if stamp is None else stamp
        number, self.numbers = self.numbers, self.numbers + 1
        digest = self.digest(self.now) if digest is None else digest
        self.do(ImageArrived(self.now, "front", number, round(stamp * 1e9), None, digest))

    def joints(self):
        stamp = self.stamp(self.now)
        whole = int(stamp)
        header = {"stamp": {"sec": whole, "nanosec": int((stamp - whole) * 1e9)}, "frame_id": ""}
        position = list(self.position(self.now))
        message = {"header": header, "name": ["b", "a"], "position": position[::-1], "velocity": [], "effort": []}
        self.do(JointsArrived(self.now, message))

    def service(self, name, value=True):
        return next(effect for effect in self.do(ServiceAsked(self.now, name, value)) if isinstance(effect, Answered))

    def run(self, seconds):
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = round(self.now + STEP, 6)
            self._due("image", 1 / 30, self.image if self.images else None)
            self._due("joints", 0.02, self.joints if self.joints_on else None)
            self._due("estop", 0.1, (lambda: self.do(EstopSpoke(self.now, False))) if self.estop_on else None)
            self._due("tick", 0.02, lambda: self.do(Ticked(self.now)))
            self._work()
        return self

    def _due(self, what, period, act):
        if self.now >= self._next[what] - 1e-9:
            self._next[what] += period
            if act:
                act()

    def _work(self):
        if self._busy and self.now >= self._busy.time + self.model_seconds - 1e-9:
            taken, self._busy = self._busy, None
            reading = self.model(taken.seconds)
            command = self.command(taken.seconds) if self.command else None
            fault = "" if isinstance(reading, Reading) else reading
            self.do(ViewJudged(self.now, taken.time, None if fault else reading, None if fault else command, fault))
        if not self._busy:
            self._busy = self.core.offer(self.now)

    def moving(self):
        """Run until RUNNING, and give it permission to move."""
        self.run(1)
        assert self.core.state == "RUNNING"
        answered = self.service("enable")
        assert answered.success, answered.message
        self.run(0.5)
        assert self.said("command", since=self.now - 0.3)
        return self

    def said(self, topic, since=0.0):
        """(time, content) of what was published on one of the node's topics."""
        return [
            (time, effect.message.get("data", effect.message))
            for time, effect in self.effects
            if isinstance(effect, Published) and effect.topic == topic and time > since + 1e-9
        ]

    def stops(self, since=0.0):
        """When and why the arm's own stop was called."""
        return [
            (time, effect.reason)
            for time, effect in self.effects
            if isinstance(effect, ArmStopAsked) and time > since - 1e-9
        ]


@pytest.fixture
def arm_config():
    arm = Arm(joints=("a", "b"), lower=(-1, -1), upper=(1, 1), max_change=0.5, dry_run=False)
    return dataclasses.replace(BridgeConfig(), arm=arm, task="open the drawer")


@pytest.fixture
def bench(arm_config):
    return Bench(arm_config)


@pytest.fixture
def make_bench():
    return Bench
