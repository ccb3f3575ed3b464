"""Worker processes that decode, and what this process has in its hands of one job of theirs."""

import os
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from headway.episodes import Array
from headway.errors import Unsupported
from headway.machine import CODEC_THREADS
from headway.scoring import decoding_worker
from headway.scoring.decoding_worker import AT_WORK, HEADER, PACKED, ROOM, SKIP, TAKEN_BY, TURN, header_of

# seconds without a word after which it is seen whether the workers still live
PATIENCE = 1.0
# seconds that a worker has to end in
GRACE = 5.0
# Python's exit status after an error that nobody caught
FAILED = 1
ONE_THREAD = dict.fromkeys(
    (CODEC_THREADS, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)


class Link:
    """One job in a worker's hands: its connection and the memory in which its pictures lie."""

    def __init__(self, connection: Connection, memory: int):
        self._connection = connection
        self._file = memory
        self._header = header_of(memory)

    @property
    def taken_by(self) -> int:
        """Process id of the worker that took the job; 0 when none has."""
        return int(self._header[TAKEN_BY])

    @property
    def at_work(self) -> bool:
        """Whether its worker was decoding this very job when last seen."""
        return bool(self._header[AT_WORK])

    def heard(self) -> bool:
        """Wait for a message, PATIENCE long; whether there is one, or an end of it all."""
        return self._connection.poll(PATIENCE)

    def receive(self) -> Any:
        """(pictures, ending), see `decoding_worker`. Raises EOFError or OSError when the worker is gone."""
        return self._connection.recv()

    def take(self, place: int, shape: tuple[int, ...], kind: str) -> Array:
        """A copy of the picture at that place, which goes back to the worker."""
        picture = np.empty(shape, np.dtype(kind))
        os.preadv(self._file, [picture], place)
        # a worker that is done with the job, or gone, is in no need of it
        with suppress(OSError):
            self._connection.send([place])
        return picture

    def close(self) -> None:
        """Give the job up; its worker goes on with others."""
        self._connection.close()
        os.close(self._file)
        # its map holds on to the memory
        self._header = np.zeros_like(self._header)


class Workers:
    """Up to `number` worker processes, each begun when there is a job for it. They end with this process.

    A job lies in a socket that all listen to until one of them takes it. Nothing that they share has a name, so nothing
    is left behind, whoever is killed.
    """

    def __init__(self, number: int):
        self._number = number
        self._running: dict[int, subprocess.Popen] = {}
        self._ended: dict[int, int] = {}
        self._lock = RLock()
        self._offers, self._listen = socket.socketpair()
        self.closed = False

    @property
    def running(self) -> list[int]:
        """Process ids."""
        return list(self._running)

    def give(self, packed: bytes, turn: int, room: int, skip: int) -> Link:
        """Offer a job: pickled frames of the `turn`-th episode, with `room` bytes for pictures and `skip` left out.

        Raises Unsupported where the system grants no more processes, files or memory.
        """
        try:
            with self._lock:
                if len(self._running) < self._number:
                    self._start()
            return self._offered(packed, turn, room, skip)
        except OSError as error:
            raise Unsupported(
                f"this machine grants no worker that decodes video ({error.strerror or error}); decode in this process"
            ) from error

    def live(self, link: Link) -> bool:
        """Whether the job is still to be taken, or its worker lives. When all workers died another is begun.

        Raises Unsupported when one could not even begin.
        """
        with self._lock:
            for number, process in list(self._running.items()):
                if process.poll() is not None:
                    self._forget(number)
            if FAILED in self._ended.values():
                raise Unsupported(
                    f"a worker that decodes video gave up with exit status {FAILED}; decode in this process, or see "
                    f"what it says: {sys.executable} -P {decoding_worker.__file__} 0"
                )
            if not self._running and not self.closed:
                self._start()
            return not self.closed and link.taken_by in {0, *self._running}

    def end_of(self, number: int) -> int | None:
        """The exit status of the worker with that process id, or minus the signal it died by; None when it lives.

        When all workers died another is begun.
        """
        with self._lock:
            process = self._running.get(number)
            if process is not None:
                # its files are closed a moment before it is seen to have ended
                with suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
                    self._forget(number)
            if not self._running and not self.closed:
                self._start()
            return self._ended.get(number)

    def close(self) -> None:
        """End all workers, whatever they are at."""
        with self._lock:
            self.closed = True
            for number, process in list(self._running.items()):
                assert process.stdin is not None
                process.stdin.close()
                try:
                    process.wait(GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                self._running.pop(number)
            self._offers.close()
            self._listen.close()

    def _forget(self, number: int) -> None:
        process = self._running.pop(number)
        self._ended[number] = process.returncode
        assert process.stdin is not None
        process.stdin.close()

    def _start(self) -> None:
        places = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        process = subprocess.Popen(
            # -P: what lies beside the script is not to be taken for modules of those names
            [sys.executable, "-P", decoding_worker.__file__, str(self._listen.fileno())],
            pass_fds=[self._listen.fileno()],
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": places},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # Ctrl-C is this process's to answer
            process_group=0,
        )
        self._running[process.pid] = process

    def _offered(self, packed: bytes, turn: int, room: int, skip: int) -> Link:
        memory = _memory()
        os.ftruncate(memory, HEADER)
        os.pwrite(memory, packed, HEADER)
        header = np.zeros(6, np.int64)
        header[[PACKED, TURN, ROOM, SKIP]] = len(packed), turn, room, skip
        os.pwrite(memory, header.tobytes(), 0)
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._offers, [b"j"], [theirs.fileno(), memory])
        return Link(Connection(ours.detach()), memory)


def _memory() -> int:
    """A file without a name, in memory where the system knows such files."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("headway-pictures")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
