"""The one thread in which the estimator runs, a call at a time, so that the server goes on answering."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import Request

from headway.errors import HeadwayError
from headway.estimator import Estimator, Waiting
from headway.serve.metrics import Metrics
from headway.serve.pictures import PictureError
from headway.serve.problems import CLIENT_GONE, Problem

log = logging.getLogger("headway.serve")


class GivenUp(Exception):
    """Nobody waits for the answer any more."""


class Call:
    """A piece of work; `check` is to be called now and then while it lasts."""

    def __init__(self, stopping: threading.Event):
        self._stopping = stopping
        self._unwanted = threading.Event()

    def give_up(self) -> None:
        self._unwanted.set()

    def check(self) -> None:
        """Raises GivenUp when the client has left, Problem when the server is being stopped."""
        if self._stopping.is_set():
            raise Problem(503, "the server is being stopped")
        if self._unwanted.is_set():
            raise GivenUp


class Worker:
    """Runs the estimator's calls in the order in which they came."""

    def __init__(self, estimator: Estimator, metrics: Metrics):
        self._estimator, self._metrics = estimator, metrics
        self._pool = ThreadPoolExecutor(1, "headway-estimator")
        self._stopping = threading.Event()

    async def run[T](self, work: Callable[[Call], T], frames: int, request: Request) -> T:
        """What `work` returns. It is left out, or cut short where it checks, when the client leaves before.

        Raises Problem: 422 or 413 for what the estimator refuses, 500 when it fails, 503 when the server stops.
        """
        call = Call(self._stopping)
        job = asyncio.get_running_loop().run_in_executor(self._pool, self._guarded, work, frames, call)
        leaving = asyncio.ensure_future(_left(request))
        waited: set[asyncio.Future[Any]] = {job, leaving}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            call.give_up()
            # also when nobody waits: what it works on is in use until then
            return await job
        except GivenUp:
            raise Problem(CLIENT_GONE, "the client left") from None
        finally:
            leaving.cancel()

    def stop(self) -> None:
        """Give up what is waiting, and what is under way as soon as it checks."""
        self._stopping.set()
        self._pool.shutdown(wait=False)
        if isinstance(self._estimator, Waiting):
            self._estimator.stop()

    def _guarded[T](self, work: Callable[[Call], T], frames: int, call: Call) -> T:
        call.check()
        started = time.perf_counter()
        try:
            found = work(call)
        except (Problem, GivenUp):
            raise
        except PictureError as error:
            raise Problem(413 if error.reason == "too_large" else 422, str(error)) from None
        except HeadwayError as error:
            raise Problem(422, str(error)) from None
        except Exception as error:
            log.exception("the estimator %s failed", self._estimator.name)
            kind = type(error).__name__
            raise Problem(500, f"the estimator failed with {kind}; the server's log tells more") from None
        self._metrics.model(frames, time.perf_counter() - started)
        return found


async def _left(request: Request) -> None:
    """Returns when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
