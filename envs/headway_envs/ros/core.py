"""What the node decides, without a clock, a thread or a socket of its own: events in, effects out.

States, as `~/state` tells them:

    INIT       no connection yet
    WAITING    connected; no reading yet that counts
    RUNNING    readings are fresh
    DEGRADED   something is missing, old or late; goes back to RUNNING by itself, motion does not
    STOPPED    latched: the e-stop, a call of stop, a lost connection, a fault of model or policy. A call of start
               (after the e-stop: reset) leaves it. Progress is told on where it is known; the arm gets nothing.

Whatever leaves RUNNING takes the permission to move away, and only a call of enable gives it again.
"""

from collections import Counter
from dataclasses import replace

from headway_envs.ros.config import BridgeConfig
from headway_envs.ros.events import (
    Answered,
    ArmStopAsked,
    Effect,
    Effects,
    EstopSpoke,
    Event,
    ImageArrived,
    JointsArrived,
    LinkChanged,
    Resubscribed,
    ServiceAsked,
    TaskTold,
    Ticked,
    ViewJudged,
    ViewTaken,
)
from headway_envs.ros.motion import Estop, Permission, Refused, limited
from headway_envs.ros.readings import Believed, ReadingGate
from headway_envs.ros.reports import Reporter, Result
from headway_envs.ros.views import View, Views

SERVICES = ("reset", "start", "stop", "enable")


class Core:
    """The node's mind. Equal events lead to equal effects.

    Args:
        config: how it is set up.
        model: what tells of the estimator in results.
        wall: seconds by which the wall clock is ahead of the clock of events, to tell of clocks that differ.
    """

    def __init__(self, config: BridgeConfig, model: str = "", wall: float = 0.0):
        self.config = config
        self.state, self.reason = "INIT", ""
        self.task = config.task
        self.views = Views(config)
        self.readings = ReadingGate(config)
        self.estop = Estop(config.limits)
        self.permission = Permission(config.arm, self.estop)
        self.counts: Counter[str] = Counter()
        self.reporter = Reporter(config, model, wall)
        self._link = False
        self._failed = False
        self._begin = True
        self._anew = False
        self._void = False
        self._pending: tuple[ViewTaken, View] | None = None
        self._first: float | None = None
        self._taken_at = float("-inf")
        self._judged: View | None = None
        self._heard: dict[str, float] = {}
        self._out = Effects()

    # ---- events ----

    def handle(self, event: Event) -> list[Effect]:
        """What an event leads to. ViewTaken is not handled but offered: see `offer`."""
        self._out = Effects()
        match event:
            case LinkChanged():
                self._on_link(event)
            case ImageArrived():
                self._hear(self.config.topics.cameras[event.camera], event.time)
                self.views.see(event)
                if self.views.restarted:
                    self._restart("the stamps jumped", event.time)
            case JointsArrived():
                self._hear(self.config.topics.joints, event.time)
                self.views.feel(event)
            case TaskTold():
                if event.text != self.task:
                    self.task = event.text
                    self._restart("the task changed", event.time)
            case EstopSpoke():
                self.estop.hear(event.pressed, event.time)
                if event.pressed:
                    self._stop("e-stop", event.time)
            case ServiceAsked():
                refusal = self._serve(event)
                self._out.all.append(Answered(not refusal, refusal or self._summary()))
            case ViewJudged():
                self._on_judged(event)
            case Ticked():
                self._on_tick(event.time)
        return self._out.all

    def offer(self, now: float) -> ViewTaken | None:
        """The view that the worker is to judge now; None while it is busy, or where nothing new is to be seen."""
        if self._pending or self._failed or not self._link:
            return None
        if now - self._taken_at < 1 / self.config.limits.publish_hz:
            return None
        view = self.views.newest(now)
        if isinstance(view, str) or (self._judged is not None and view.source.number == self._judged.source.number):
            return None
        source = view.source
        if self._begin or self._first is None:
            self._first = source.taken
            self.readings.begin()
        pictures = {camera: picture.number for camera, picture in view.pictures.items()}
        seconds = source.taken - self._first
        taken = ViewTaken(now, pictures, view.state, seconds, self.task, self._begin, self._anew)
        self._begin = self._anew = False
        self._taken_at, self._pending = now, (taken, view)
        return taken

    def wanted(self) -> set[int]:
        """Numbers of the pictures that may still have to be looked at."""
        pending = set(self._pending[0].pictures.values()) if self._pending else set()
        return pending | self.views.numbers()

    # ---- what they lead to ----

    def _on_link(self, event: LinkChanged) -> None:
        self._link = event.up
        if event.up:
            self._heard = dict.fromkeys(self._topics(), event.time)
            if self.state == "INIT":
                self._enter("WAITING", "", event.time)
            elif self.state == "STOPPED" and not self.config.arm.dry_run:
                # whoever was asked to stop it while there was no connection has not heard of it
                self._out.all.append(ArmStopAsked(self.reason))
        elif self.state != "INIT":
            self.views.forget()
            self.readings.gap()
            self._void = self._pending is not None
            self._stop("connection lost", event.time)

    def _on_judged(self, event: ViewJudged) -> None:
        if self._pending is None:
            return
        taken, view = self._pending
        self._pending, self._judged = None, view
        source = view.source
        if self._void:
            self._void = False
            return
        if self._begin:
            # an episode has begun meanwhile: this belongs to the one before
            self.counts["of another episode"] += 1
            return
        if event.reading is None:
            self._on_fault(event)
            return
        latency = event.time - min(picture.arrived for picture in view.pictures.values())
        self.reporter.timed(latency, view.age(event.time))
        if latency > self.config.limits.latency:
            self.counts["overrun"] += 1
            self.readings.gap()
            self._degrade("too late", event.time)
            return
        # by the pictures' time, whatever the model says of it
        believed = self.readings.push(replace(event.reading, time=taken.seconds))
        if isinstance(believed, str):
            self.counts[believed] += 1
            self._degrade(believed, event.time)
            return
        result = Result(source, taken, latency, view.age(event.time), believed)
        self.reporter.tell(self._out, result)
        self._improve(event.time)
        self._after(event, believed)

    def _after(self, event: ViewJudged, believed: Believed) -> None:
        """Success, and the policy's command."""
        if believed.declared:
            self._out.log("info", f"success: {believed.success:.2f}")
            self.reporter.success(self._out, True)
            self._withdraw("success", event.time)
        if event.command is None or not self.permission.given:
            return
        if self.state != "RUNNING" or not self.estop.alive(event.time):
            return
        try:
            command = limited(event.command, self.views.position() or (), self.config.arm)
        except Refused as error:
            self._stop(error.reason, event.time)
            return
        self.reporter.command(self._out, command)

    def _on_fault(self, event: ViewJudged) -> None:
        self.counts[event.fault] += 1
        self.readings.gap()
        if event.damaged:
            self._degrade(event.fault, event.time)
            return
        self._failed = True
        self._stop(event.fault, event.time)

    def _on_tick(self, now: float) -> None:
        if self._link:
            self._resubscribe(now)
        reason = self.trouble(now)
        if reason:
            self.readings.gap()
            if self.state in ("RUNNING", "DEGRADED"):
                self._degrade(reason, now)
        if self.permission.given and not self.estop.alive(now):
            self._withdraw("the e-stop fell silent", now)
        self.reporter.tick(self._out, self, now)

    def trouble(self, now: float) -> str:
        """What keeps readings from being fresh; empty when nothing does."""
        view = self.views.newest(now)
        if isinstance(view, str):
            return view
        if self._pending is not None:
            _, judged = self._pending
            waited = now - min(picture.arrived for picture in judged.pictures.values())
            if waited > self.config.limits.latency:
                return "the model is late"
        elif self._judged is not None and self._judged.age(now) > self.config.limits.frame_age:
            return "no new reading"
        return ""

    # ---- services ----

    def _serve(self, event: ServiceAsked) -> str:
        """Do what is asked, or say why not."""
        now = event.time
        if event.service == "stop":
            self._stop("stop was called", now)
        elif event.service == "start":
            if self.estop.latched:
                return "the e-stop was pressed; release it and call reset"
            if self.state == "STOPPED":
                self._failed = False
                self._enter("WAITING" if self._link else "INIT", "", now)
                self._restart("start was called", now)
        elif event.service == "reset":
            if not self.estop.clear():
                return "the e-stop is still pressed"
            self._restart("reset was called", now)
            if self.state == "STOPPED":
                self._failed = False
                self._enter("WAITING" if self._link else "INIT", "", now)
        elif event.service == "enable":
            if not event.value:
                self._withdraw("enable was called with false", now)
                return ""
            if self.readings.success:
                return "the task is done; call reset first"
            refused = self.permission.ask(self.state == "RUNNING", now)
            self._anew = self._anew or not refused
            return refused
        return ""

    # ---- states ----

    def _enter(self, state: str, reason: str, now: float) -> None:
        if (state, reason) == (self.state, self.reason):
            return
        self._out.log("info" if state in ("WAITING", "RUNNING") else "warning", f"{state} {reason}".strip())
        self.state, self.reason = state, reason
        self.reporter.state(self._out, self)

    def _improve(self, now: float) -> None:
        if self.state in ("WAITING", "DEGRADED") and not self.trouble(now):
            self._enter("RUNNING", "", now)

    def _degrade(self, reason: str, now: float) -> None:
        if self.state != "STOPPED":
            self._enter("DEGRADED", reason, now)
        self._withdraw(reason, now)

    def _stop(self, reason: str, now: float) -> None:
        given = self.permission.given
        self._withdraw(reason, now)
        if not given and not self.config.arm.dry_run:
            self._out.all.append(ArmStopAsked(reason))
        self._enter("STOPPED", reason, now)

    def _withdraw(self, reason: str, now: float) -> None:
        """The arm may not move any more; where it could it is stopped."""
        if self.permission.withdraw():
            self._out.all.append(ArmStopAsked(reason))
            self._out.log("warning", f"motion off: {reason}")

    def _restart(self, reason: str, now: float) -> None:
        """Another episode begins with the next view; whether the arm may move in it a person has to say."""
        self._withdraw(reason, now)
        self.reporter.valid(self._out, False)
        self._begin = True
        self._judged = None
        self.views.begin()
        if self.readings.success:
            self.reporter.success(self._out, False)
        self.readings.begin()
        self._out.log("info", f"a new episode: {reason}")

    def _summary(self) -> str:
        return f"{self.state} {self.reason}".strip()

    # ---- silence ----

    def _topics(self) -> list[str]:
        topics = self.config.topics
        joints = [topics.joints] if topics.joints and self.config.arm.joints else []
        return [*topics.cameras.values(), *joints]

    def _hear(self, topic: str, now: float) -> None:
        self._heard[topic] = now

    def _resubscribe(self, now: float) -> None:
        """A topic that says nothing is subscribed to anew: on ROS 2 the match is made at that moment only."""
        for topic in self._topics():
            if now - self._heard.get(topic, now) > self.config.link.first_message:
                self._heard[topic] = now
                self._out.all.append(Resubscribed(topic))
