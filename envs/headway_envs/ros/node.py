"""Runs the core: a thread that handles one event after another, and another one that looks at pictures."""

import contextlib
import hashlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from headway_envs.ros.config import IMAGE_KINDS, BridgeConfig
from headway_envs.ros.core import SERVICES, Core
from headway_envs.ros.events import (
    Answered,
    ArmStopAsked,
    Effect,
    EstopSpoke,
    Event,
    ImageArrived,
    JointsArrived,
    LinkChanged,
    Logged,
    Published,
    Resubscribed,
    ServiceAsked,
    TaskTold,
    Ticked,
    ViewJudged,
    ViewTaken,
)
from headway_envs.ros.judge import Judge, Judgement
from headway_envs.ros.messages import sequence_of, stamp_ns
from headway_envs.ros.transport import Arrival, Message, ServiceFailed, Transport

TICK = 0.02
"""Seconds between looks at the clock."""
TOPICS = {
    "progress": "std_msgs/Float32",
    "value": "std_msgs/Float32",
    "reward": "std_msgs/Float32",
    "success": "std_msgs/Bool",
    "valid": "std_msgs/Bool",
    "state": "std_msgs/String",
    "result": "std_msgs/String",
    "heartbeat": "std_msgs/Bool",
}
LATCHED = ("success", "valid", "state")
STOP_TRIES, STOP_PAUSE = 5, 0.2
STOPPING = 5.0
"""Tries, and seconds between them, to have the arm stop itself; seconds that the end of the node waits for it."""
SERVICE_SECONDS = 2.0
MOST_WAITING = 60
"""Pictures that may wait to be looked at by the core, which takes microseconds each; more means that it hangs."""


class Observer(Protocol):
    """Sees everything that happens, in the node's thread, and returns at once."""

    def saw(self, event: Event, effects: Sequence[Effect], pictures: Mapping[int, Message]) -> None:
        """An event, what it led to, and the messages of the pictures that it names (ImageArrived, ViewTaken)."""
        ...


@dataclass
class _Waiting:
    """An event on its way to the core; who asked a service waits for `answer`."""

    event: Event
    picture: Message | None = None
    answer: Future[Answered] | None = None


class Node:
    """Progress beside an arm.

    Attributes:
        broken: why the node's thread has ended before its time, after the arm was stopped; empty while all is well.

    Args:
        config: how it is set up.
        judge: looks at views.
        transport: one participant of the graph, not started.
        observers: see everything.
        clock: seconds that never jump.
        threads: False for tests with a clock of their own: nothing happens but in `pump`.
    """

    def __init__(
        self,
        config: BridgeConfig,
        judge: Judge,
        transport: Transport,
        observers: Sequence[Observer] = (),
        clock: Callable[[], float] = time.monotonic,
        threads: bool = True,
    ):
        self.config, self.judge, self.transport = config, judge, transport
        self._observers, self._clock, self._threads = list(observers), clock, threads
        self.wall = time.time() - clock()
        self.core = Core(config, judge.model, self.wall)
        self._inbox: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._unseen: set[int] = set()
        self._pictures: dict[int, Message] = {}
        self._ticked = float("-inf")
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        # the judge, a complaint for every topic, and always room for the stop beside them
        self._helpers = ThreadPoolExecutor(len(config.topics.cameras) + 6, "headway-bridge") if threads else None
        self._latest_stop: Future[None] | None = None
        self.broken = ""

    # ---- life ----

    def start(self) -> None:
        """Join the graph."""
        self._declare()
        if self._threads:
            self._thread = threading.Thread(target=self._run, name="headway-node", daemon=True)
            self._thread.start()
        self.transport.start()

    def close(self) -> None:
        """Leave the graph; an arm that may be moving is stopped first. Once more does nothing."""
        if self._ended.is_set():
            return
        if self.core.state not in ("INIT", "STOPPED") and not self.ask("stop").success:
            # a node that hangs cannot stop the arm, so it is asked from here
            self._latest_stop = self._help(self._stop_arm)
        self._ended.set()
        if self._thread is not None:
            self._thread.join(SERVICE_SECONDS)
        if self._latest_stop is not None:
            with contextlib.suppress(TimeoutError, CancelledError):
                self._latest_stop.exception(STOPPING)
        if self._helpers is not None:
            self._helpers.shutdown(wait=False, cancel_futures=True)
        self.transport.close()

    def observe(self, observer: Observer) -> None:
        """Have somebody else see everything from now on."""
        self._observers.append(observer)

    def ask(self, service: str, value: bool = True) -> Answered:
        """Call one of the node's services from here."""
        waiting = _Waiting(ServiceAsked(self._clock(), service, value), answer=Future())
        assert waiting.answer is not None
        self._inbox.put(waiting)
        if not self._threads:
            self.pump()
        try:
            return waiting.answer.result(SERVICE_SECONDS)
        except TimeoutError:
            # what was asked for must not come true later; a stop still may
            waiting.answer.cancel()
            return Answered(False, "the node does not answer")

    def pump(self) -> None:
        """Handle what waits, and a tick when one is due."""
        while True:
            try:
                self._handle(self._inbox.get_nowait())
            except queue.Empty:
                break
        self._tick()

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._wait()
        except Exception as error:
            self.broken = f"the node broke down: {type(error).__name__}: {' '.join(str(error).split())}"
            logging.getLogger(__name__).exception(self.broken)
            self.core.permission.withdraw()
            self._latest_stop = self._help(self._stop_arm)
            self._ended.set()

    def _wait(self) -> None:
        """Handle the next event, or what a tick finds when there is none."""
        try:
            waiting = self._inbox.get(timeout=max(0.0, self._ticked + TICK - self._clock()))
        except queue.Empty:
            waiting = None
        # what has become too old while this thread was held up has to be found before anything is done
        self._tick()
        if waiting is not None:
            self._handle(waiting)

    def _tick(self) -> None:
        now = self._clock()
        if now - self._ticked >= TICK:
            self._ticked = now
            self._handle(_Waiting(Ticked(now)))

    # ---- in ----

    def _declare(self) -> None:
        topics, transport = self.config.topics, self.transport
        transport.on_link(lambda up: self._put(LinkChanged(self._clock(), up)))
        for name, kind in TOPICS.items():
            transport.advertise(topics.own(name), kind, latch=name in LATCHED)
        transport.advertise(topics.own("command"), topics.command_kind)
        transport.advertise("/diagnostics", "diagnostic_msgs/DiagnosticArray")
        # pictures in CBOR are a fifth smaller and far quicker than in JSON; a JointState in CBOR never comes from ROS 1
        for camera, topic in topics.cameras.items():
            transport.subscribe(topic, topics.image_kind, partial(self._take_image, camera), compression="cbor")
        if topics.joints and self.config.arm.joints:
            transport.subscribe(
                topics.joints, "sensor_msgs/JointState", lambda a: self._put(JointsArrived(a.time, a.message))
            )
        transport.subscribe(topics.own("task"), "std_msgs/String", self._take_task)
        transport.subscribe(topics.own("estop"), "std_msgs/Bool", self._take_estop)
        for name in SERVICES:
            kind = "std_srvs/SetBool" if name == "enable" else "std_srvs/Trigger"
            transport.advertise_service(topics.own(name), kind, partial(self._answer, name))

    def _put(self, event: Event) -> None:
        self._inbox.put(_Waiting(event))

    def _take_image(self, camera: str, arrival: Arrival) -> None:
        message = arrival.message
        data = message.get("data")
        if len(self._unseen) >= MOST_WAITING:
            return
        number = next(self._numbers)
        digest = hashlib.blake2b(data, digest_size=8).hexdigest() if isinstance(data, bytes) else f"none-{number}"
        event = ImageArrived(arrival.time, camera, number, stamp_ns(message), sequence_of(message), digest)
        self._unseen.add(number)
        self._inbox.put(_Waiting(event, message))

    def _take_task(self, arrival: Arrival) -> None:
        text = arrival.message.get("data")
        if isinstance(text, str):
            self._put(TaskTold(arrival.time, text))

    def _take_estop(self, arrival: Arrival) -> None:
        # whatever is no clear False counts as pressed
        self._put(EstopSpoke(arrival.time, arrival.message.get("data") is not False))

    def _answer(self, service: str, arguments: Message) -> Message:
        answered = self.ask(service, arguments.get("data") is True if service == "enable" else True)
        return {"success": answered.success, "message": answered.message}

    # ---- through ----

    def _handle(self, waiting: _Waiting) -> None:
        event = waiting.event
        if waiting.answer is not None and not waiting.answer.set_running_or_notify_cancel() and not _stops(event):
            return
        if isinstance(event, ViewJudged):
            # it counts as of now: it may have waited
            event = replace(event, time=self._clock())
        if isinstance(event, ImageArrived):
            assert waiting.picture is not None
            self._pictures[event.number] = waiting.picture
            self._unseen.discard(event.number)
        effects = self.core.handle(event)
        for effect in sorted(effects, key=lambda effect: not isinstance(effect, ArmStopAsked)):
            self._carry_out(effect, waiting)
        self._tell(event, effects)
        self._offer()
        if isinstance(event, ImageArrived | ViewJudged):
            self._forget()

    def _offer(self) -> None:
        taken = self.core.offer(self._clock())
        if taken is None:
            return
        self._tell(taken, ())
        pictures = {camera: self._pictures[number] for camera, number in taken.pictures.items()}
        if self._helpers is None:
            self._judged(taken, self.judge.judge(taken, pictures))
            return
        job = self._helpers.submit(self.judge.judge, taken, pictures)
        job.add_done_callback(lambda done: None if done.cancelled() else self._judged(taken, done.result()))

    def _judged(self, taken: ViewTaken, made: Judgement) -> None:
        event = ViewJudged(self._clock(), taken.time, made.reading, made.command, made.fault, made.damaged)
        self._put(event)

    def _forget(self) -> None:
        """Keep the messages of those pictures only that may still be looked at."""
        wanted = self.core.wanted()
        self._pictures = {number: message for number, message in self._pictures.items() if number in wanted}

    def _tell(self, event: Event, effects: Sequence[Effect]) -> None:
        for observer in list(self._observers):
            try:
                observer.saw(event, effects, self._pictures)
            except Exception:
                self._observers.remove(observer)
                logging.getLogger(__name__).exception("%s failed and is told nothing more", type(observer).__name__)

    # ---- out ----

    def _carry_out(self, effect: Effect, waiting: _Waiting) -> None:
        match effect:
            case Published("diagnostics", message):
                self.transport.publish("/diagnostics", message)
            case Published(topic, message):
                self.transport.publish(self.config.topics.own(topic), message)
            case Answered():
                if waiting.answer is not None and not waiting.answer.cancelled():
                    waiting.answer.set_result(effect)
            case ArmStopAsked():
                self._latest_stop = self._help(self._stop_arm)
            case Resubscribed(topic):
                self.transport.resubscribe(topic)
                self._help(partial(self._complain, topic))
            case Logged():
                pass

    def _help(self, work: Callable[[], None]) -> Future[None] | None:
        """Do something that waits for others, outside of the node's thread."""
        if self._helpers is None:
            work()
            return None
        try:
            return self._helpers.submit(work)
        except RuntimeError:
            # the node was closed meanwhile, which has asked for the arm's stop already
            return None

    def _stop_arm(self) -> None:
        name = self.config.topics.arm_stop
        if not name:
            return
        told = ""
        for number in range(STOP_TRIES):
            if number and self._helpers is not None:
                time.sleep(STOP_PAUSE)
            self.transport.discard(self.config.topics.own("command"))
            try:
                answer = self.transport.call_service(name, "std_srvs/Trigger", {}, timeout=0.5)
            except ServiceFailed as error:
                told = str(error)
                continue
            if answer.get("success") is not False:
                return
            told = str(answer.get("message", "it refused"))
        self._say("error", f"{name} did not stop the arm: {told}; its own watchdog has to")

    def _complain(self, topic: str) -> None:
        """Say what is known of a topic that says nothing."""
        cameras = self.config.topics.cameras.values()
        asked = self.config.topics.image_kind if topic in cameras else "sensor_msgs/JointState"
        there = self.transport.topic_type(topic)
        if there is None:
            told = "nobody publishes it"
        elif there != asked:
            hint = f"; set topics.image_kind to {there}" if there in IMAGE_KINDS else ""
            told = f"it is a {there} and not a {asked}{hint}"
        else:
            told = f"it is a {asked}, as asked; on ROS 2 start its publisher first, or look at its quality of service"
        self._say("error", f"no data on {topic}: {told}; subscribed anew")

    def _say(self, level: str, text: str) -> None:
        """A line that no event led to. It is told, and not part of a recording's outputs."""
        for observer in self._observers:
            say = getattr(observer, "say", None)
            if say is not None:
                say(level, text)


def _stops(event: Event) -> bool:
    """Whether it is a request that is carried out however late."""
    return isinstance(event, ServiceAsked) and (event.service == "stop" or not event.value)
