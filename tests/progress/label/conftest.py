"""The page served for real, on a port of its own, to a real browser."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from headway.episodes import Stage
from headway.label.desk import Desk
from headway.label.films import Films
from headway.label.marks import Marks, marks_of
from headway.label.server import make_app
from headway.local_page import listen
from headway_datasets.marks import read_marks, write_marks


@dataclass
class Served:
    """A page being served: its address, its desk, and the folder its marks go to."""

    address: str
    port: int
    desk: Desk
    folder: Path
    failing: bool = False

    def kept(self) -> Marks:
        return read_marks(self.folder)

    def stages(self, index: int = 0) -> list[tuple[str, int, int]] | None:
        marks = self.kept().episodes.get(index)
        return None if marks is None else [(each.name, each.start, each.end) for each in marks.stages or ()]


@pytest.fixture
def serve(tmp_path: Path, make_source) -> Iterator[Callable[..., Served]]:
    """Serves episodes to be marked; the marks are really written."""
    stops = []

    def start(episodes, names=("right", "down"), proposed=None, name="toy") -> Served:
        source = make_source(episodes, tmp_path / name)
        folder = tmp_path / "marks"
        marks = Marks(names, {}, "person", source.fingerprint)
        write_marks(folder, marks)

        def save(fresh: Marks) -> None:
            # below a file nothing can be written
            write_marks(folder / "marks.json" / "below" if served.failing else folder, fresh)

        desk = Desk(source, marks, proposed, save)
        own = listen(0)
        port = own.getsockname()[1]
        served = Served(f"http://127.0.0.1:{port}/", port, desk, folder)
        stops.append(_in_thread(desk, own, port))
        return served

    yield start
    for stop in stops:
        stop()


def _in_thread(desk: Desk, own, port: int) -> Callable[[], None]:
    loop = asyncio.new_event_loop()
    films = Films(desk.read)
    runner = web.AppRunner(make_app(desk, films, port), shutdown_timeout=0.1)
    ready = threading.Event()

    async def begin() -> None:
        await runner.setup()
        await web.SockSite(runner, own).start()
        ready.set()

    def run() -> None:
        loop.run_until_complete(begin())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)

    def stop() -> None:
        films.stop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)

    return stop


@pytest.fixture
def unmarked(make_sliders):
    """Episodes that nobody marked."""
    return [replace(episode, stages=None, success=None) for episode in make_sliders(3)]


@pytest.fixture
def proposal():
    """Makes a model's marks of episodes: `stages` of the first, and success."""

    def make(episodes, stages, success=True, names=("right", "down")) -> Marks:
        marks = marks_of(episodes[0], tuple(Stage(*each) for each in stages), success)
        return Marks(names, {episodes[0].index: marks}, "gvl:model", "toy")

    return make
