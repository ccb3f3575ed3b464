"""The simulated arm's own controller: follows commands while they come, and holds still by itself when they do not."""

import logging
import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway_envs.robots.base import OPENING_MAX, Robot
from headway_envs.ros.messages import MessageError, read_float64_array
from headway_envs.ros.transport import Message

log = logging.getLogger("headway.ros.sim")


@dataclass(frozen=True)
class _Command:
    values: Array
    time: float


class Controller:
    """Decides what the servos are told in each control step.

    A command is the robot's action: absolute targets, then the grip. It is followed until the next one, and for
    `watchdog` seconds at most; then the joints hold where they are, and the fingers what they were told last, so that
    nothing is let go of. A stop does the same at once. It does not latch: the next command moves the arm again, and the
    dead-man against a commander that is gone is the watchdog. A pressed e-stop refuses commands until it is released.

    Commands come from any thread, `action` is asked by one.

    Args:
        robot: whose actions; each but the grip is named like what it moves in the robot's state.
        watchdog: seconds.

    Attributes:
        refused: how many commands were refused, by reason: malformed, length, not finite, e-stop.
        fresh: a command has come since the last `action`.
    """

    def __init__(self, robot: Robot, watchdog: float):
        self._targets = robot.action_names[:-1]
        self._size = len(robot.action_names)
        self._watchdog = watchdog
        self._lock = threading.Lock()
        self._command: _Command | None = None
        self._last_heard = -math.inf
        self._hold: Array | None = None
        self._grip: float | None = None
        self._pressed = False
        self._why = "no command yet"
        self.refused: Counter[str] = Counter()
        self.fresh = False

    def take(self, message: Message, now: float) -> bool:
        """A `std_msgs/Float64MultiArray` came at `now`; whether it is followed."""
        try:
            values = read_float64_array(message)
        except MessageError as error:
            return self._refuse("malformed", str(error))
        if len(values) != self._size:
            return self._refuse("length", f"{len(values)} values, the arm takes {self._size}")
        if not all(map(math.isfinite, values)):
            return self._refuse("not finite", f"{values}")
        with self._lock:
            if not self._pressed:
                self._command = _Command(np.array(values), now)
                self._last_heard = now
                self.fresh = True
                return True
        return self._refuse("e-stop", "it is pressed")

    def stop(self, why: str = "stopped") -> None:
        """Hold from the next step on."""
        with self._lock:
            self._command, self._why = None, why

    def press(self, pressed: bool) -> None:
        """The e-stop is pressed or released."""
        with self._lock:
            self._pressed = pressed
            if pressed:
                self._command = None
            self._why = "e-stop" if pressed else "e-stop was pressed"

    def begin(self) -> None:
        """Another episode: nothing of the last one is followed or held."""
        with self._lock:
            self._command = self._hold = self._grip = None
            self._last_heard = -math.inf
            if not self._pressed:
                self._why = "no command yet"

    def action(self, now: float, state: Mapping[str, float]) -> Array:
        """What to carry out in the step that begins at `now`, (action,), from what the robot senses."""
        with self._lock:
            self.fresh = False
            command = self._command
            if command is not None and now - command.time > self._watchdog:
                command = self._command = None
                self._why = f"no command for {self._watchdog:g} s"
        if command is not None:
            self._hold, self._grip = None, float(command.values[-1])
            return command.values
        if self._grip is None:
            self._grip = 2 * state["opening"] / OPENING_MAX - 1
        if self._hold is None:
            self._hold = np.array([*(state[name] for name in self._targets), self._grip])
        return self._hold

    def age(self, now: float) -> float | None:
        """Seconds since the newest command that was followed; None when none came in this episode."""
        return None if self._last_heard == -math.inf else now - self._last_heard

    @property
    def state(self) -> str:
        """`following`, or `holding: ` and why."""
        return "following" if self._command is not None else f"holding: {self._why}"

    def _refuse(self, reason: str, detail: str) -> bool:
        with self._lock:
            self.refused[reason] += 1
            count = self.refused[reason]
        if count & (count - 1) == 0:  # a commander that is wrong is wrong many times a second
            log.warning("command refused, %s: %s (%d so far)", reason, " ".join(detail.split())[:200], count)
        return False
