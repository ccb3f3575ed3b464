"""An arm of three joints and a gripper that chases its commands, filmed; written as a LeRobot dataset."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headway.episodes import ArrayFrames, Episode

FPS = 20.0
TIME = 80
NAMES = ("base.pos", "shoulder.pos", "elbow.pos", "gripper.pos")


def arm(index: int, seed: int | None = None, hold: int = 0) -> Episode:
    """One sound episode, the last `hold` frames of which the arm holds still."""
    rng = np.random.default_rng(index if seed is None else seed)
    seconds = np.minimum(np.arange(TIME), TIME - 1 - hold) / FPS
    phase, height = rng.uniform(0, 6, 3), rng.uniform(0.6, 1.0, 3)
    joints = height * np.sin(seconds[:, None] * rng.uniform(1.2, 2.0, 3) + phase)
    closed = (np.arange(TIME) >= 30).astype(float)
    action = np.column_stack([joints, closed]).astype(np.float32)
    state = action.copy()
    # two frames late
    state[2:] = action[:-2]
    pixels = np.full((TIME, 64, 64, 3), 90, np.uint8)
    pixels[:, ::8] = 140
    for picture, (base, shoulder, _, _) in zip(pixels, state, strict=True):
        x, y = round(24 + 20 * float(base)), round(24 + 20 * float(shoulder))
        picture[y : y + 16, x : x + 16] = (240, 230, 40)
    return Episode(
        index=index,
        first_frame=index * TIME,
        fps=FPS,
        cameras={"top": ArrayFrames(pixels)},
        instruction="wave",
        state=state,
        action=action,
        state_names=NAMES,
        action_names=NAMES,
        recording=f"arm-{index}",
    )


@pytest.fixture(scope="session")
def make_arm():
    return arm


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Path:
    """Four sound episodes; one of them ends with two seconds of holding still."""
    from headway_datasets.lerobot_writer import LeRobotWriter

    root = tmp_path_factory.mktemp("checks") / "arm"
    names = {"state": NAMES, "action": NAMES}
    with LeRobotWriter(root, FPS, {"top": (64, 64)}, 4, None, 4, names=names) as writer:
        for index in range(4):
            writer.add(arm(index, hold=40 if index == 3 else 0))
    return root


class Faulty:
    """A copy of a written dataset, and ways to break it."""

    def __init__(self, written: Path, root: Path):
        self.root = root
        shutil.copytree(written, root)

    def numbers(self, key: str, change) -> None:
        """`change` gets (time of all episodes, ...) of a column and alters it in place."""
        (path,) = (self.root / "data").rglob("*.parquet")
        table = pq.read_table(path)
        column = table[key].combine_chunks()
        nested = pa.types.is_nested(column.type)
        flat = column.flatten() if nested else column
        values = np.array(flat.to_numpy(zero_copy_only=False)).reshape(len(table), -1)
        change(values if nested else values[:, 0])
        shaped = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1]) if nested else None
        new = pa.array(values[:, 0]) if shaped is None else shaped.cast(column.type)
        pq.write_table(table.set_column(table.column_names.index(key), key, new), path)

    @property
    def video(self) -> Path:
        (path,) = (self.root / "videos").rglob("*.mp4")
        return path

    def pictures(self, change) -> None:
        """`change` gets all pictures (time of all episodes, height, width, 3) and gives back those to be encoded."""
        from headway_datasets.video import VideoFrames, encode_video

        before = np.stack(list(VideoFrames(self.video, 4 * TIME, "all")))
        encode_video(self.video, change(before), FPS)


@pytest.fixture
def faulty(written, tmp_path) -> Faulty:
    return Faulty(written, tmp_path / "faulty")


@pytest.fixture(scope="session")
def rows_of():
    """Checks every episode of a dataset, or of episodes in memory."""

    def rows(source) -> list[dict]:
        from headway.checks import check_row, read_numbers
        from headway.checks.numbers import numbers_of
        from headway.encoders.cache import default_cache
        from headway_datasets.opening import open_dataset

        if isinstance(source, Path):
            source = open_dataset(source)
            numbers = read_numbers(source)
        else:
            numbers = numbers_of(source)
        return [check_row(episode, numbers, default_cache()) for episode in source]

    return rows


@pytest.fixture(scope="session")
def without_state():
    def strip(episode: Episode) -> Episode:
        return replace(episode, state=None, action=None, state_names=None, action_names=None)

    return strip
