"""What a decode worker runs: it takes jobs, decodes them and leaves the pictures in memory that it shares.

A script of its own, started by headway.scoring.decoding_pool: so a worker imports neither the main module of whoever
started it nor what the rest of this package needs, but numpy and what the frames it is given need.

A job is one camera of one episode. It comes as two files over the socket `sys.argv[1]`, which all workers listen to:
a connection, and memory. The memory begins with a header of int64, then the pickled frames; when these are read, slots
for pictures take their place. Over the connection the worker sends (pictures, ending): where each picture lies, and
None or how the job ended. It gets back the places that have been read. It sends no more before all it sent has been
read, so that sending never waits; and a job goes on only while it has a place, so that none stands in another's way.
"""

import mmap
import os
import selectors
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from headway.errors import VideoError

# the header's numbers: who took the job; whether it is being decoded at this moment; bytes of pickled frames; which
# episode in order; bytes that pictures may take, but one always may; pictures that were delivered before a worker died
TAKEN_BY, AT_WORK, PACKED, TURN, ROOM, SKIP = range(6)
HEADER = 4096
# of a slot: whole lines of a processor's cache
ALIGNED = 64

END, DECLINED = "end", "declined"
"""Endings beside an exception: there are no more pictures; the frames cannot be unpickled here."""


class Job:
    """One camera of one episode, decoded a picture at a time into `memory`."""

    def __init__(self, connection: Connection, memory: int):
        self.connection = connection
        self._file = memory
        self._header = header_of(memory)
        self._header[TAKEN_BY] = os.getpid()
        self.turn, self._room, self._skip = (int(self._header[field]) for field in (TURN, ROOM, SKIP))
        self._size = 0
        self._free: list[int] = []
        self._given = 0
        self._told = 0
        self._ready: list[tuple[int, tuple[int, ...], str]] = []
        self._late: Any = None
        self._ending: object = None
        self._pictures: Iterator[Any] = iter(())
        self._header[AT_WORK] = 1
        try:
            self._pictures = iter(ForkingPickler.loads(os.pread(memory, int(self._header[PACKED]), HEADER)))
        except Exception:  # noqa: BLE001 - made in a main module, say; whatever it is, it cannot be had here
            self._ending = DECLINED
        self._header[AT_WORK] = 0

    @property
    def waiting(self) -> int:
        """Pictures that are decoded and not read yet."""
        return self._given

    @property
    def can_go_on(self) -> bool:
        return self._ending is None and self._late is None and (bool(self._free) or not self._given)

    def step(self) -> None:
        """Decode one picture more."""
        picture = None
        self._header[AT_WORK] = 1
        try:
            picture = next(self._pictures)
        except StopIteration:
            self._ending = END
        except BaseException as error:  # noqa: BLE001 - raised again where the pictures are wanted
            self._ending = portable(error)
        self._header[AT_WORK] = 0
        if picture is None:
            return
        if self._skip:
            self._skip -= 1
        else:
            self._keep(picture)

    def tell(self) -> bool:
        """Send what is ready, if all that was sent has been read; True once the job's ending is told."""
        if self._told or not (self._ready or self._ending is not None):
            return False
        ending = self._ending if self._late is None else None
        self.connection.send((self._ready, ending))
        self._told, self._ready = len(self._ready), []
        return ending is not None

    def hear(self) -> None:
        """Take back places that have been read. Raises EOFError or OSError when nobody wants the job any more."""
        places = self.connection.recv()
        self._free.extend(places)
        self._given -= len(places)
        self._told -= len(places)
        if self._late is not None and not self._given:
            picture, self._late = self._late, None
            self._keep(picture)

    def close(self) -> None:
        # what a generator does at its end may fail like anything else, and nobody is there to be told
        with suppress(Exception):
            getattr(self._pictures, "close", bool)()
        self.connection.close()
        os.close(self._file)
        # its map holds on to the memory
        self._header = np.zeros_like(self._header)

    def _keep(self, picture: Any) -> None:
        size = -(-max(picture.nbytes, 1) // ALIGNED) * ALIGNED
        if size != self._size:
            if self._given:
                # of another size than those before; they have to be read first
                self._late = picture
                return
            self._size = size
            self._free = [HEADER + slot * size for slot in reversed(range(max(1, self._room // size)))]
        # the place that was freed last: so memory that is not needed is never touched
        place = self._free.pop()
        # not through a map: touching new pages of one took longer than decoding some pictures
        os.pwrite(self._file, np.ascontiguousarray(picture), place)
        self._given += 1
        self._ready.append((place, picture.shape, picture.dtype.str))


def header_of(memory: int) -> np.ndarray:
    """The numbers at the beginning of a job's memory, int64 (6,), as both processes see and change them."""
    return np.frombuffer(mmap.mmap(memory, HEADER), np.int64, 6)


def portable(error: BaseException) -> Exception:
    """The error as another process can have it: itself, or a VideoError that names its type and text."""
    try:
        again = ForkingPickler.loads(ForkingPickler.dumps(error))
        if isinstance(error, Exception) and type(again) is type(error) and str(again) == str(error):
            return error
    except Exception:  # noqa: BLE001 - whatever its own __reduce__ or __init__ raises
        pass
    return VideoError(" ".join(f"{type(error).__name__}: {error}".split()))


class Worker:
    """Goes on with the earliest episode's jobs that can; takes another when none can."""

    def __init__(self, offers: socket.socket):
        self._offers = offers
        # recv_fds of Python 3.12 does not heed its flags
        offers.setblocking(False)
        self._jobs: list[Job] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(offers, selectors.EVENT_READ)

    def run(self) -> None:
        while True:
            able = [job for job in self._jobs if job.can_go_on]
            job = min(able, key=lambda one: (one.turn, one.waiting)) if able else None
            for key, _ in self._selector.select(0 if job else None):
                if key.data is not None:
                    self._try(key.data, key.data.hear)
                elif job is None:
                    self._take()
            if job is not None and job in self._jobs and job.can_go_on:
                job.step()
                self._try(job, lambda: None)

    def _try(self, job: Job, act: Callable[[], None]) -> None:
        """Do that and tell what is new; give the job up when nobody wants it any more, or all of it is told."""
        try:
            act()
            done = job.tell()
        except (EOFError, OSError):
            done = True
        if done:
            self._jobs.remove(job)
            self._selector.unregister(job.connection)
            job.close()

    def _take(self) -> None:
        try:
            _, files, _, _ = socket.recv_fds(self._offers, 1, 2)
        except BlockingIOError:
            # another worker was quicker
            return
        if len(files) != 2:
            sys.exit()
        job = Job(Connection(files[0]), files[1])
        self._jobs.append(job)
        self._selector.register(job.connection, selectors.EVENT_READ, job)
        self._try(job, lambda: None)


def end_with_parent() -> None:
    """End at once when whoever started this process ends, even in the middle of a picture: its pipe is closed then."""
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    Worker(socket.socket(fileno=int(sys.argv[1]))).run()
