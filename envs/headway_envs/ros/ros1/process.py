"""The process that runs `sidecar`, from its start to its end; `ros1.py` starts another one after it."""

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlparse

from headway.errors import Unsupported
from headway_envs.ros.ros1.sidecar.frames import DEPTH, FrameError, Mailbox, encode, receive, send

SCRIPT = Path(__file__).with_name("sidecar")
PING = 0.25
"""Seconds between questions whether it lives."""
STARTING = 20.0
"""Seconds that a Python may take to start on a busy machine."""
STUCK = 15.0
"""Seconds that joining a graph, or anything else that is asked of it, may take."""
_PIPE_BYTES = 1 << 20
_PROBE = "import importlib.util, sys; sys.exit(importlib.util.find_spec('rospy') is None)"


def check_ros1(python: str) -> None:
    """Raises Unsupported, with what to do, when a Python is missing or has no rospy."""
    install = "install ROS 1 (scripts/install_ros1.sh on Debian and Ubuntu) or source its setup.bash first"
    try:
        done = subprocess.run([python, "-c", _PROBE], stdin=subprocess.DEVNULL, capture_output=True, timeout=STARTING)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise Unsupported(f"{python} cannot be run ({error}), so there is no rospy; {install}") from None
    if done.returncode != 0:
        raise Unsupported(f"{python} has no rospy; {install}")


class Process:
    """Starts at once. Frames go in by `tell` and `publish`, and come out by `take`, which a thread of its own calls.

    Args:
        python: the interpreter that has rospy.
        name: of the node.
        master_uri: of the graph.
        take: is given every frame and its size; must not wait.

    Attributes:
        up: whether it became a node; whoever takes the frames sets it, and `left` once it is given up.
        gone: set when no more frames will come.
        why: what it said when it had lost the graph.
        last_words: the last lines that ROS printed.
        garbled: how many frames said nothing.

    Raises:
        OSError: the interpreter cannot be run.
    """

    def __init__(self, python: str, name: str, master_uri: str, take: Callable[["Process", dict[str, Any], int], None]):
        self.last_words: deque[str] = deque(maxlen=20)
        self.why = ""
        self.up = self.left = False
        self.gone = threading.Event()
        self.garbled = 0
        self._take = take
        self._waiting = Mailbox()
        self._began = time.monotonic()
        self._heard: float | None = None
        self._busy = 0.0
        self._popen = subprocess.Popen(
            [python, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(master_uri),
            bufsize=0,
            start_new_session=True,  # Ctrl-C in a terminal is for us to handle
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        for pipe in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError, AttributeError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._intake, self._outlet = self._popen.stdin, os.fdopen(os.dup(self._popen.stdout.fileno()), "rb")
        self._popen.stdout.close()
        self._threads = [
            threading.Thread(target=work, name=f"ros1-{work.__name__.strip('_')}", daemon=True)
            for work in (self._read, self._write, self._listen)
        ]
        self.tell("hello", name=name, master_uri=master_uri)
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def tell(self, op: str, **values: Any) -> None:
        """Send a frame that must not be lost. Raises FrameError for what no frame can hold."""
        self._waiting.put(encode({"op": op, **values}))

    def publish(self, topic: str, pieces: list[bytes]) -> None:
        """Send a frame with a message, in which newer ones of the topic may take its place."""
        self._waiting.put(pieces, topic, depth_of(pieces))

    def discard(self, topic: str) -> None:
        """Take back what waits on a topic."""
        self._waiting.discard(topic)

    def watch(self, patience: float) -> str | None:
        """Ask whether it lives; what is wrong if it has not answered for this long."""
        self.tell("ping")
        silent = time.monotonic() - (self._began if self._heard is None else self._heard)
        if silent > (STARTING if self._heard is None else patience):
            return f"did not answer for {silent:.1f} s"
        return f"has been busy for {self._busy:.0f} s" if self._busy > STUCK else None

    def end(self, patience: float) -> None:
        """Let it say goodbye to the graph for this long, then kill it."""
        self._waiting.close()
        if patience > 0:
            # the writer closes the pipe when it is done; a process that hangs never lets it
            self.gone.wait(patience)
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(2.0)

    def _read(self) -> None:
        with self._outlet as outlet:
            while True:
                try:
                    got = receive(outlet)
                except FrameError:
                    self.garbled += 1
                    continue
                except (OSError, ValueError):
                    break
                if got is None:
                    break
                self._heard = time.monotonic()
                self._hear(*got)
        self.gone.set()

    def _hear(self, frame: dict[str, Any], size: int) -> None:
        if frame["op"] == "pong":
            self._busy = float(frame["busy"])
        elif frame["op"] == "lost":
            self.why = str(frame["why"])
        else:
            self._take(self, frame, size)

    def _write(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._intake as intake:
            while (pieces := self._waiting.take()) is not None:
                send(cast(BinaryIO, intake), pieces)

    def _listen(self) -> None:
        """What ROS prints, in case somebody has to be told why it ended."""
        assert self._popen.stderr is not None
        with contextlib.suppress(OSError, ValueError), self._popen.stderr as stream:
            for line in os.fdopen(os.dup(stream.fileno()), "r", errors="replace"):
                if line.strip():
                    self.last_words.append(line.strip()[:300])


def depth_of(pieces: list[bytes]) -> int:
    """How many messages like this one may wait: of those that hold bytes, the newest."""
    return 1 if len(pieces) > 1 else DEPTH


def _environment(master_uri: str) -> dict[str, str]:
    """A master on this machine means that everything stays on it, unless the variables of ROS say otherwise."""
    environment = {**os.environ, "ROS_MASTER_URI": master_uri}
    near = urlparse(master_uri).hostname in ("localhost", "127.0.0.1")
    if near and not {"ROS_IP", "ROS_HOSTNAME"} & environment.keys():
        environment["ROS_IP"] = "127.0.0.1"
    return environment
