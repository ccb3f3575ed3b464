"""When frames were recorded, what values are called, and how long a video is said to be."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headway_datasets.lerobot_writer import LeRobotWriter
from headway_datasets.opening import open_dataset

NAMES = {"state": ("x", "y", "z"), "action": ("push", "turn")}


@pytest.fixture
def root(tmp_path, episode):
    with LeRobotWriter(tmp_path / "demos", 10, {"top": (64, 64)}, 3, 5, 2, names=NAMES) as writer:
        writer.add(episode(0))
        writer.add(episode(1))
    return tmp_path / "demos"


def table_of(root):
    (path,) = (root / "data").rglob("*.parquet")
    return path, pq.read_table(path)


def test_timestamps_are_read_as_recorded(root):
    path, table = table_of(root)
    times = table["timestamp"].to_numpy().copy()
    times[25:] += 0.5
    pq.write_table(table.set_column(table.column_names.index("timestamp"), "timestamp", [times]), path)
    source = open_dataset(root)
    assert source.episode(0).timestamps == pytest.approx(np.arange(20) / 10)
    assert source.episode(0).timestamps.dtype == np.float64
    assert source.episode(1).timestamps == pytest.approx(np.arange(20) / 10 + 0.5 * (np.arange(20) >= 5))


@pytest.mark.parametrize("change", ["missing", "text"])
def test_a_dataset_without_times_that_are_numbers_has_none(root, change):
    path, table = table_of(root)
    place = table.column_names.index("timestamp")
    texts = pa.array(["now"] * len(table))
    pq.write_table(
        table.remove_column(place) if change == "missing" else table.set_column(place, "timestamp", texts), path
    )
    assert open_dataset(root).episode(1).timestamps is None


def test_names_are_read_and_lists_that_do_not_fit_are_not(root):
    episode = open_dataset(root).episode(0)
    assert (episode.state_names, episode.action_names) == (NAMES["state"], NAMES["action"])
    info = json.loads((root / "meta" / "info.json").read_text())
    info["features"]["observation.state"]["names"] = {"motors": ["a", "b", "c"]}
    info["features"]["action"]["names"] = ["all"]
    (root / "meta" / "info.json").write_text(json.dumps(info))
    episode = open_dataset(root).episode(0)
    assert (episode.state_names, episode.action_names) == (("a", "b", "c"), None)


def test_a_video_says_how_many_frames_its_dataset_declares(root):
    assert open_dataset(root).episode(1).cameras["top"].declared == 20
    (path,) = (root / "meta" / "episodes").rglob("*.parquet")
    table = pq.read_table(path)
    name = "videos/observation.images.top/to_timestamp"
    ends = table[name].to_numpy() + np.array([0.3, np.nan])
    pq.write_table(table.set_column(table.column_names.index(name), name, [ends]), path)
    source = open_dataset(root)
    assert [source.episode(index).cameras["top"].declared for index in (0, 1)] == [23, None]
