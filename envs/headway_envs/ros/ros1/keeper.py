"""Keeps a node of a ROS 1 graph running: starts its process again whenever it has ended, and kills it when it hangs."""

import random
import threading
from collections.abc import Callable

from headway_envs.ros.ros1.process import PING, Process

_TAKEN = "new node registered with same name"
"""What rospy says when the master has told it to go because another node has its name."""


class Keeper:
    """In a thread of its own.

    Args:
        name: of the node.
        begin: starts a process. Raises OSError.
        went_down: is told when a process has ended, or hangs and is about to be killed, before another one is started.
        fault: is told what went wrong, as a reason and a line.
        hang_after: seconds without a sign of life after which a process counts as hung.
        backoff: seconds between attempts, the least and the most.

    Attributes:
        restarts: how often the process was started again.
    """

    def __init__(
        self,
        name: str,
        begin: Callable[[], Process],
        went_down: Callable[[Process], None],
        fault: Callable[[str, str], None],
        hang_after: float,
        backoff: tuple[float, float],
    ):
        self.restarts = 0
        self._name, self._begin, self._went_down, self._fault = name, begin, went_down, fault
        self._hang_after, self._backoff = hang_after, backoff
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ros1-keeper", daemon=True)
        self._started = threading.Lock()

    def start(self) -> bool:
        """Whether this was the first time, and it was not ended before."""
        if self._ended.is_set() or not self._started.acquire(blocking=False):
            return False
        self._thread.start()
        return True

    def end(self) -> None:
        """Let the node say goodbye to the graph."""
        self._ended.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(5.0)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def _run(self) -> None:
        pause = self._backoff[0]
        while not self.ended:
            was_up, why = self._run_once()
            if self.ended:
                return
            if _TAKEN in why:
                # who came back would be pushed out again, and so on for ever
                self._fault("name taken", f"another node is called /{self._name} now: this one has left the graph")
                return
            self._fault("restarted", f"the ROS node /{self._name} is started again: {why}")
            self.restarts += 1
            pause = self._backoff[0] if was_up else min(pause * 2, self._backoff[1])
            self._ended.wait(pause * random.uniform(0.5, 1.0))

    def _run_once(self) -> tuple[bool, str]:
        """From the start of a process to its end; whether it ever was a node, and what ended it."""
        try:
            process = self._begin()
        except OSError as error:
            return False, str(error)
        wrong = None
        while wrong is None and not self.ended and not process.gone.wait(PING):
            wrong = process.watch(self._hang_after)
        was_up = process.up
        self._went_down(process)
        process.end(2.0 if self.ended else 0.0)
        if process.garbled:
            self._fault("not a frame", f"{process.garbled} frames of /{self._name} said nothing")
        last = process.last_words[-1] if process.last_words else "it ended without a word"
        return was_up, wrong or process.why or last
