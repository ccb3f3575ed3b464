"""A toy task that trains in seconds: a square goes right along the top, then down along the right edge."""

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "egl")
# the tests run on all cores already, and their processes as well
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest
import torch

from headway.episodes import ArrayFrames, Episode, Stage, Truth

torch.set_num_threads(1)
# whoever runs the tests in the background has them ignore Ctrl-C, and so would every command that they start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# how long an example takes tells of the machine, and of what else runs on it
hypothesis.settings.register_profile("headway", deadline=None)
hypothesis.settings.load_profile("headway")

SIDE = 32
SQUARE = 8
STAGES = ("right", "down")
PROPORTIONS = (0.5, 0.5)
INSTRUCTION = "move the square to the corner"


def slider(
    index: int = 0,
    first_frame: int = 0,
    seconds: float = 4.0,
    fps: float = 10.0,
    stop_at: float = 1.0,
    hold: int = 6,
    seed: int | None = None,
) -> Episode:
    """One episode. `stop_at` is the true progress at which the square halts for good; 1 is a success."""
    rng = np.random.default_rng(index if seed is None else seed)
    moving = round(seconds * fps)
    progress = np.minimum(np.arange(moving + hold) / moving, stop_at).astype(np.float32)
    pixels = rng.integers(60, 90, (len(progress), SIDE, SIDE, 3), dtype=np.uint8)
    reach = SIDE - SQUARE
    for picture, value in zip(pixels, progress, strict=True):
        x, y = round(min(2 * value, 1) * reach), round(max(2 * value - 1, 0) * reach)
        picture[y : y + SQUARE, x : x + SQUARE] = (230, 40, 40)
    stage = (progress >= 0.5).astype(np.int64)
    done = stop_at >= 1
    turn = int(stage.argmax()) if stage.any() else len(progress)
    marks = [Stage("right", 0, turn)]
    if turn < len(progress):
        marks.append(Stage("down", turn, moving if done else len(progress)))
    return Episode(
        index=index,
        first_frame=first_frame,
        fps=fps,
        cameras={"top": ArrayFrames(pixels)},
        instruction=INSTRUCTION,
        state=progress[:, None] + rng.normal(0, 0.01, (len(progress), 1)).astype(np.float32),
        action=rng.normal(0, 1, (len(progress), 2)).astype(np.float32),
        stages=tuple(marks),
        success=done,
        truth=Truth(progress, stage, progress >= 1, STAGES, PROPORTIONS),
        kind="expert" if done else "abandon",
        recording=f"toy-{index if seed is None else seed}",
    )


def sliders(number: int, failing: int = 0, seed: int = 0) -> list[Episode]:
    """`number` successes of different speed, then `failing` episodes that halt somewhere."""
    rng = np.random.default_rng(seed)
    episodes: list[Episode] = []
    for index in range(number + failing):
        first = 0 if not episodes else episodes[-1].first_frame + len(episodes[-1])
        stop = 1.0 if index < number else float(rng.uniform(0.2, 0.9))
        episodes.append(slider(index, first, rng.uniform(3, 5), stop_at=stop, seed=1000 * seed + index))
    return episodes


@dataclass
class ToySource:
    """A Source over episodes in memory."""

    episodes: Sequence[Episode]
    root: Path
    format: str = "toy"
    fingerprint: str = "toy"
    stage_names: tuple[str, ...] | None = STAGES
    dense_stage_names: tuple[str, ...] | None = None

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(self.episodes[0].cameras)

    @property
    def episode_indices(self) -> Sequence[int]:
        return [episode.index for episode in self.episodes]

    def __len__(self) -> int:
        return len(self.episodes)

    def episode(self, index: int) -> Episode:
        return next(episode for episode in self.episodes if episode.index == index)

    def __iter__(self) -> Iterator[Episode]:
        return iter(self.episodes)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Features of test episodes are kept where the tests' other files are."""
    before = os.environ.get("HEADWAY_CACHE")
    os.environ["HEADWAY_CACHE"] = str(tmp_path_factory.mktemp("features"))
    yield
    os.environ.pop("HEADWAY_CACHE")
    if before is not None:
        os.environ["HEADWAY_CACHE"] = before


@pytest.fixture
def toy_source(tmp_path: Path) -> ToySource:
    return ToySource(sliders(4, failing=2), tmp_path / "toy")


@pytest.fixture
def make_slider():
    return slider


@pytest.fixture
def make_sliders():
    return sliders


@pytest.fixture
def make_source():
    return ToySource


@pytest.fixture(scope="session")
def session_sliders():
    return sliders
