"""What holds of every layout: a round trip through a writer loses nothing, and the commands work on all of them."""

import dataclasses
import sys

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from gymnasium.spaces import Box, Dict

from headway.cli import main
from headway.episodes import Stage
from headway_datasets.lerobot_writer import write_dataset
from headway_datasets.opening import open_dataset
from headway_datasets.robomimic_writer import write_robomimic

WRITERS = {"lerobot": write_dataset, "demos.hdf5": write_robomimic}
SAME = ("index", "first_frame", "fps", "instruction", "stages", "dense_stages", "success", "kind", "recording")
ARRAYS = ("state", "environment_state", "action")
COLOURS_LOST = 6.0


@pytest.fixture
def whole(episode):
    """Episodes with everything, of different length, some unannotated."""
    fine = (Stage("reach", 0, 3), Stage("grip", 3, 8))
    episodes = [episode(number, length, ("top", "wrist")) for number, length in enumerate((20, 13, 31))]
    episodes[1] = dataclasses.replace(episodes[1], stages=None, success=None, kind=None)
    return [dataclasses.replace(each, dense_stages=fine if each.index else None) for each in episodes]


def assert_same(found, written, lossless):
    for name in SAME:
        assert getattr(found, name) == getattr(written, name), name
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name), name)
        assert getattr(found, name).dtype == np.float32
    for name in ("progress", "stage", "success"):
        np.testing.assert_array_equal(getattr(found.truth, name), getattr(written.truth, name), name)
    for name in ("stage_names", "proportions", "imperfections"):
        assert getattr(found.truth, name) == getattr(written.truth, name), name
    assert list(found.cameras) == list(written.cameras)
    for name, frames in written.cameras.items():
        ours, theirs = (np.stack(list(each)).astype(float) for each in (found.cameras[name], frames))
        assert ours.shape == theirs.shape
        if lossless:
            np.testing.assert_array_equal(ours, theirs)
        else:
            assert np.abs(ours - theirs).mean() < COLOURS_LOST


@pytest.mark.parametrize("name", WRITERS)
def test_a_round_trip_loses_nothing(tmp_path, whole, name):
    WRITERS[name](tmp_path / name, whole)
    source = open_dataset(tmp_path / name)
    assert source.stage_names == ("open", "pick")
    assert source.dense_stage_names == ("reach", "grip")
    starts = np.cumsum([0, *map(len, whole)])
    for written, found, start in zip(whole, source, starts, strict=False):
        expected = dataclasses.replace(written, first_frame=int(start), recording=found.recording)
        assert_same(found, expected, lossless=name != "lerobot")
    assert len({found.recording for found in source}) == len(whole)


def test_a_dataset_that_goes_from_one_layout_into_another_and_back_stays_itself(tmp_path, whole):
    write_dataset(tmp_path / "first", whole)
    first = open_dataset(tmp_path / "first")
    write_robomimic(tmp_path / "second.hdf5", first)
    second = open_dataset(tmp_path / "second.hdf5")
    for before, after in zip(first, second, strict=True):
        assert_same(after, before, lossless=True)
        np.testing.assert_array_equal(after.timestamps, before.timestamps)
    assert (second.stage_names, second.dense_stage_names) == (first.stage_names, first.dense_stage_names)
    write_dataset(tmp_path / "third", second)
    for before, after in zip(first, open_dataset(tmp_path / "third"), strict=True):
        assert_same(after, before, lossless=False)


def test_a_recording_is_known_again_in_another_layout_by_what_was_sensed_and_done(tmp_path, whole):
    write_dataset(tmp_path / "first", whole)
    first = list(open_dataset(tmp_path / "first"))
    write_robomimic(tmp_path / "second.hdf5", [dataclasses.replace(each, recording=None) for each in first])
    with h5py.File(tmp_path / "second.hdf5", "r+") as file:
        for demo in file["data"].values():
            del demo["headway"]
    second = list(open_dataset(tmp_path / "second.hdf5"))
    assert [each.recording for each in second] == [each.recording for each in first]
    assert [each.stages for each in second] == [None] * 3


@pytest.fixture
def places(tmp_path, episode, save_v21, save_minari):
    """One dataset of each layout, as given on the command line, by the name of its format."""
    episodes = [episode(number, 12 + number, stages=None) for number in range(2)]
    for name, write in WRITERS.items():
        write(tmp_path / name, episodes)
    bare = [dataclasses.replace(each, environment_state=None, truth=None, kind=None) for each in episodes]
    space = Dict({"pixels": Box(0, 255, (48, 64, 3), np.uint8)})

    def observations(number, length):
        return {"pixels": np.random.default_rng(number).integers(0, 256, (length + 1, 48, 64, 3), dtype=np.uint8)}

    return {
        "lerobot-v3": tmp_path / "lerobot",
        "lerobot-v2.1": save_v21(tmp_path / "v21", bare),
        "robomimic-hdf5": tmp_path / "demos.hdf5",
        "minari": f"{save_minari('pixels', space, observations)}?fps=10",
    }


def run(*arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["headway", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    out = capsys.readouterr()
    assert not left.value.code, out.err
    return out.out


@pytest.mark.parametrize("name", ["lerobot-v3", "lerobot-v2.1", "robomimic-hdf5", "minari"])
def test_scoring_reporting_and_weighting_work_on_every_layout(tmp_path, places, name, monkeypatch, capsys):
    source = open_dataset(places[name])
    assert source.format == name
    command = {"monkeypatch": monkeypatch, "capsys": capsys}
    run("score", places[name], "--estimator", "clock", "--out", tmp_path / "s", **command)
    frames = pq.read_table(tmp_path / "s/frames.parquet")
    assert frames["index"].to_pylist() == list(range(sum(map(len, source))))
    lasts = [index for index, frame in enumerate(frames["frame_index"].to_pylist()) if frame == 0][1:]
    progress = frames["progress_sparse"].to_pylist()
    assert [progress[index - 1] for index in lasts] == [1.0] * (len(source) - 1)
    run("report", tmp_path / "s", "--out", tmp_path / "page.html", **command)
    assert (tmp_path / "page.html").stat().st_size > 10_000
    run("weights", places[name], "--from", tmp_path / "s", "--out", tmp_path / "w.parquet", **command)
    assert pq.read_table(tmp_path / "w.parquet").num_rows == len(progress)


@pytest.mark.parametrize("name", ["lerobot-v3", "lerobot-v2.1", "robomimic-hdf5", "minari"])
def test_judging_and_filtering_work_on_every_layout(tmp_path, places, name, monkeypatch, capsys):
    source = open_dataset(places[name])
    command = {"monkeypatch": monkeypatch, "capsys": capsys}
    run("evaluate", places[name], "--estimators", "clock", "--out", tmp_path / "e", **command)
    assert (tmp_path / "e/evaluation.html").exists()
    scores = tmp_path / "e/scores/clock"
    run("filter", places[name], "--from", scores, "--keep", "episode_index == 1", "--out", tmp_path / "f", **command)
    kept = open_dataset(tmp_path / "f")
    left, (found,) = source.episode(1), kept
    assert (len(found), found.instruction, found.success) == (len(left), left.instruction, left.success)
    np.testing.assert_array_equal(found.action, left.action)
    assert pq.read_table(tmp_path / "f/scores/frames.parquet")["index"].to_pylist() == list(range(len(found)))
