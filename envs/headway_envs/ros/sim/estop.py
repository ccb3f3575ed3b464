"""The e-stop box on the simulated bench."""

import math
import threading
from collections.abc import Callable

from headway_envs.ros.messages import boolean, outcome
from headway_envs.ros.sim.options import PRESS
from headway_envs.ros.transport import Message, Transport

HERTZ = 10.0


class EstopBox:
    """Says ten times a second, on its own topic, whether it is pressed; `/sim/press` (SetBool) presses and releases it.

    It speaks by the wall's clock and from a thread of its own, whatever the simulation does: those who listen take its
    silence for a press.

    Args:
        wired: told at once when it is pressed or released, as an arm is that it cuts off by wire.
    """

    def __init__(self, transport: Transport, topic: str, wired: Callable[[bool], None]):
        self._transport, self._topic, self._wired = transport, topic, wired
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._spoke = -math.inf
        self.pressed = False
        transport.advertise(topic, "std_msgs/Bool")
        transport.advertise_service(PRESS, "std_srvs/SetBool", self._asked)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="headway-sim-estop", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(1)

    def press(self, pressed: bool = True) -> None:
        """Press it, or release it."""
        self.pressed = pressed
        self._wired(pressed)
        self.speak()

    def tick(self, now: float) -> None:
        """For those who simulate time and do not start it: speak if it is time to."""
        if now - self._spoke > 0.99 / HERTZ:
            self._spoke = now
            self.speak()

    def speak(self) -> None:
        """Say once whether it is pressed."""
        self._transport.publish(self._topic, boolean(self.pressed))

    def _asked(self, arguments: Message) -> Message:
        # whatever is no clear False presses
        self.press(arguments.get("data") is not False)
        return outcome(True, "pressed" if self.pressed else "released")

    def _run(self) -> None:
        self.speak()
        while not self._ended.wait(1 / HERTZ):
            self.speak()
