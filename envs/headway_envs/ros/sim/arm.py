"""A simulated arm as a participant of a ROS graph, like any robot: nobody who talks to it has to know.

It moves a task's scene in MuJoCo. In real time one thread moves the arm, at the robot's own control rate, and another
draws; in lock-step time is simulated and stands still until a command comes.
"""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from headway_envs.ros.memory import Participant
from headway_envs.ros.messages import boolean, float32, joint_state, outcome, string, to_stamp
from headway_envs.ros.sim.control import Controller
from headway_envs.ros.sim.estop import EstopBox
from headway_envs.ros.sim.options import CLOCK, JOINTS, PROGRESS, RESET, STOP, SUCCESS, TASK, SimOptions, image_topic
from headway_envs.ros.sim.pictures import Darkroom, Photographer, Scene
from headway_envs.ros.sim.world import World
from headway_envs.ros.transport import Message, Transport

BEGINNING = 1.0
"""Simulated time at the start, in seconds: a stamp of 0 means that there is none."""
_SECONDS = 5.0
"""That threads are given to answer or to end."""


@dataclass(frozen=True)
class Status:
    """How the arm is doing.

    Attributes:
        state: `following`, or `holding: ` and why.
        seed: of the layout.
        progress, success: the truth.
        command_age: seconds since the newest command; None when none came in this episode.
        refused: commands that were.
        behind: seconds by which simulated time has fallen behind the clock since the start, in real time.
        left_out: pictures there was no time to draw.
    """

    state: str
    seed: int
    progress: float
    success: bool
    command_age: float | None
    refused: int
    behind: float
    left_out: int


class SimArm:
    """One task with one robot on a graph.

    Publishes pictures, /joint_states, /sim/task (latched, the instruction) and the truth as /sim/progress and
    /sim/success, which is for people and tests; in lock-step also /clock. Takes commands, /arm/stop (Trigger: hold; the
    next command moves again) and /sim/reset (Trigger: the next seed's layout). See `Controller` and `EstopBox`.

    Args:
        task_id: of our own tasks.
        transport: not started; belongs to this arm from now on.
        options: how it is set up; by default a gripper with a front camera, in real time.
        seed: of the first layout, and of the noise.
        clock: seconds that never jump. Stamps are the wall's time that belongs to them; in lock-step simulated time.
        threads: False for tests: nothing happens but in `step`, and time is simulated.

    Attributes:
        world: the scene; it belongs to the arm's thread.
        controller: decides between following and holding.
        estop: the box on the bench; None without.

    Raises UnknownName for an unknown task, camera or level of variation, Unsupported where the robot needs what is not
    installed; `start` where pictures cannot be drawn.
    """

    def __init__(
        self,
        task_id: str,
        transport: Transport,
        options: SimOptions | None = None,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        threads: bool = True,
    ):
        self.options = options = options or SimOptions()
        self.transport = transport
        self.world = World(task_id, options, seed)
        self.fps = self.world.fps
        self.controller = Controller(self.world.simulator.robot, options.watchdog)
        self._clock, self._threads = clock, threads
        self._wall = time.time() - clock()
        self._steps = 0
        self._picture_due = 0.0
        self._photographer = Photographer(options, seed)
        self._simulates_time = options.lock_step or not threads
        self._darkroom = None if self._simulates_time else Darkroom(self._photographer, transport.publish)
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = queue.SimpleQueue()
        self._woken, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._behind = 0.0
        self._declare()
        self.estop = EstopBox(transport, options.estop, self.controller.press) if options.estop else None

    # ---- life ----

    def start(self) -> None:
        """Join the graph and begin. Raises Unsupported when the machine cannot draw."""
        self.transport.start()
        self._tell_task()
        if not self._threads:
            self._observe()
            return
        if self._darkroom is not None:
            self._darkroom.start(self.world.simulator.model)
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="headway-sim-arm", daemon=True)
        self._thread.start()
        ready.result()
        if self.estop is not None:
            self.estop.start()

    def close(self) -> None:
        """Leave the graph; once more does nothing."""
        self._ended.set()
        self._woken.set()
        if self.estop is not None:
            self.estop.close()
        if self._thread is not None:
            self._thread.join(_SECONDS)
        if self._darkroom is not None:
            self._darkroom.close()
        if not self._threads:
            self._photographer.close()
        self.transport.close()

    @property
    def running(self) -> bool:
        """Whether it still does what it should."""
        threads = [self._thread, None if self._darkroom is None else self._darkroom.thread]
        return not self._ended.is_set() and all(each is None or each.is_alive() for each in threads)

    def _run(self, ready: Future[None]) -> None:
        try:
            self._observe()
        except Exception as error:  # noqa: BLE001 - told to whoever started this thread
            ready.set_exception(error)
            return
        ready.set_result(None)
        if self.options.lock_step:
            self._run_in_lock_step()
            self._photographer.close()
        else:
            self._run_in_real_time()

    def _run_in_real_time(self) -> None:
        due = self._clock()
        while True:
            due += 1 / self.fps
            late = self._clock() - due
            if late > 1 / self.fps:  # what is lost is lost: many steps at once would be a jump of the arm
                self._behind += late
                due += late
            if self._ended.wait(max(0.0, due - self._clock())):
                return
            self._carry_out_jobs()
            self.step()

    def _run_in_lock_step(self) -> None:
        while not self._ended.is_set():
            self._await_command()
            if not self._ended.is_set():
                self.step()

    def _await_command(self) -> None:
        """Until there is one, patience has come to its end, or the arm has."""
        deadline = time.monotonic() + self.options.patience
        while not self.controller.fresh and not self._ended.is_set() and time.monotonic() < deadline:
            self._woken.wait(max(0.0, deadline - time.monotonic()))
            self._woken.clear()
            if self._carry_out_jobs():
                self._observe()

    # ---- what it does ----

    def step(self) -> None:
        """One control step: follow the newest command, or hold, and publish what there is to see then."""
        self.world.step(self.controller.action(self.now(), self.world.sensed))
        self._steps += 1
        self._observe()

    def now(self) -> float:
        """The time by which commands grow old."""
        return BEGINNING + self._steps / self.fps if self._simulates_time else self._clock()

    def reset(self, seed: int | None = None) -> int:
        """Begin another episode, with the next seed's layout unless one is given; its seed."""
        chosen = self.world.seed + 1 if seed is None else seed
        self._do(lambda: self._begin(chosen))
        return chosen

    @property
    def status(self) -> Status:
        """How it is doing now."""
        return Status(
            state=self.controller.state,
            seed=self.world.seed,
            progress=self.world.progress,
            success=self.world.success,
            command_age=self.controller.age(self.now()),
            refused=self.controller.refused.total(),
            behind=self._behind,
            left_out=0 if self._darkroom is None else self._darkroom.left_out,
        )

    def _begin(self, seed: int) -> None:
        self.world.begin(seed)
        self.controller.begin()
        self._tell_task()

    # ---- the graph ----

    def _declare(self) -> None:
        transport = self.transport
        for camera in self.options.cameras:
            self._advertise_camera(f"{image_topic(camera)}/compressed", "sensor_msgs/CompressedImage")
            if self.options.raw:
                self._advertise_camera(image_topic(camera), "sensor_msgs/Image")
        transport.advertise(JOINTS, "sensor_msgs/JointState")
        transport.advertise(PROGRESS, "std_msgs/Float32")
        transport.advertise(SUCCESS, "std_msgs/Bool")
        transport.advertise(TASK, "std_msgs/String", latch=True)
        if self._simulates_time:
            transport.advertise(CLOCK, "rosgraph_msgs/Clock")
        transport.subscribe(self.options.command, "std_msgs/Float64MultiArray", lambda a: self._on_command(a.message))
        transport.advertise_service(STOP, "std_srvs/Trigger", self._on_stop)
        transport.advertise_service(RESET, "std_srvs/Trigger", self._on_reset)

    def _advertise_camera(self, topic: str, kind: str) -> None:
        """By best effort, as camera drivers of ROS 2 do, where the graph knows of it."""
        if isinstance(self.transport, Participant):
            self.transport.advertise(topic, kind, best_effort=True)
        else:
            self.transport.advertise(topic, kind)

    def _observe(self) -> None:
        """Publish what there is to see and to feel now."""
        world, publish = self.world, self.transport.publish
        stamp = self.now() if self._simulates_time else self._wall + self.now()
        if self._simulates_time:
            publish(CLOCK, {"clock": to_stamp(stamp)})
        if self.estop is not None and not self._threads:
            self.estop.tick(stamp)
        publish(JOINTS, joint_state(world.joint_names, world.positions, world.velocities, stamp=stamp))
        publish(PROGRESS, float32(world.progress))
        publish(SUCCESS, boolean(world.success))
        model, data = world.simulator.model, world.simulator.data
        if self._darkroom is None:
            for topic, message in self._photographer.take(Scene(model, data, stamp)):
                publish(topic, message)
        elif stamp >= self._picture_due - 0.5 / self.fps:
            self._picture_due = max(self._picture_due + 1 / self.options.fps, stamp)
            self._darkroom.hand(model, data, stamp)

    def _tell_task(self) -> None:
        self.transport.publish(TASK, string(self.world.instruction))

    def _on_command(self, message: Message) -> None:
        if self.controller.take(message, self.now()):
            self._woken.set()

    def _on_stop(self, arguments: Message) -> Message:
        self.controller.stop()
        return outcome(True, "holding; the next command moves again")

    def _on_reset(self, arguments: Message) -> Message:
        return outcome(True, f"seed {self.reset()}: {self.world.instruction}")

    # ---- what only the thread may do that the world belongs to ----

    def _do(self, work: Callable[[], None]) -> None:
        if self._thread is None or threading.current_thread() is self._thread:
            work()
            return
        done: Future[None] = Future()
        self._jobs.put((work, done))
        self._woken.set()
        done.result(_SECONDS)

    def _carry_out_jobs(self) -> bool:
        """Whether there were any."""
        jobs = [self._jobs.get() for _ in range(self._jobs.qsize())]
        for work, done in jobs:
            try:
                work()
                done.set_result(None)
            except Exception as error:  # noqa: BLE001 - told to whoever asked
                done.set_exception(error)
        return bool(jobs)
