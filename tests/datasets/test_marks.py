"""Marks kept apart from their dataset: the folder, a dataset seen with them, and installed where lerobot finds them."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.episodes import Stage
from headway.errors import DatasetError, InvalidValue, OutputError, Unsupported
from headway.label.marks import EpisodeMarks, Marks, marks_of
from headway_datasets.installed_marks import install_marks
from headway_datasets.lerobot_writer import write_dataset
from headway_datasets.marks import MarkedSource, read_marks, with_marks, write_marks
from headway_datasets.opening import open_dataset

NAMES = ("reach", "grip", "lift")
LENGTH = 20


@st.composite
def stages(draw, length):
    """Stages in order, with gaps, in which a name may come again; or None."""
    cuts = draw(st.lists(st.integers(0, length), unique=True, max_size=8).map(sorted))
    kept = [Stage(draw(st.sampled_from(NAMES)), *pair) for pair in pairwise(cuts) if draw(st.booleans())]
    return tuple(kept) or None


@st.composite
def all_marks(draw):
    episodes = {}
    for index in draw(st.sets(st.integers(0, 10**6), max_size=4)):
        length = draw(st.integers(1, 500))
        fps = draw(st.floats(0.5, 120))
        found = EpisodeMarks(
            length, fps, draw(stages(length)), draw(st.none() | st.booleans()), draw(st.none() | st.text())
        )
        episodes[index] = found
    return Marks(NAMES, episodes, draw(st.text()), "0123456789abcdef")


@given(marks=all_marks())
@settings(max_examples=40, deadline=None)
def test_a_folder_gives_back_the_marks_that_were_written_over_others(tmp_path_factory, marks):
    folder = tmp_path_factory.getbasetemp() / "round-trip"
    write_marks(folder, marks)
    assert read_marks(folder) == marks


def test_the_folder_holds_lerobots_columns_and_mean_shares_of_time(tmp_path):
    first = EpisodeMarks(20, 10.0, (Stage("reach", 0, 5), Stage("grip", 5, 20)), True)
    second = EpisodeMarks(30, 10.0, (Stage("reach", 10, 25), Stage("grip", 25, 30)))
    write_marks(tmp_path, Marks(NAMES, {7: second, 2: first}, "person", "f"))
    rows = pq.read_table(tmp_path / "episodes.parquet").to_pylist()
    assert [row["episode_index"] for row in rows] == [2, 7]
    assert rows[1]["sparse_subtask_names"] == ["reach", "grip"]
    assert rows[1]["sparse_subtask_start_frames"] == [10, 25]
    assert rows[1]["sparse_subtask_end_times"] == [2.5, 3.0]
    assert (rows[0]["success"], rows[1]["success"]) == (True, None)
    shares = json.loads((tmp_path / "temporal_proportions_sparse.json").read_text())
    assert list(shares.items()) == [("reach", pytest.approx(0.5)), ("grip", pytest.approx(0.5))]


@pytest.mark.parametrize("damage", ["no folder", "json", "column", "overlap", "name"])
def test_a_damaged_folder_is_told_of_in_one_line(tmp_path, damage):
    if damage != "no folder":
        write_marks(tmp_path, Marks(NAMES, {0: EpisodeMarks(20, 10.0, (Stage("reach", 0, 5),))}, "person", "f"))
    path = tmp_path / "episodes.parquet"
    if damage == "json":
        (tmp_path / "marks.json").write_text('{"made_by": "person", "stage_names": 3}')
    elif damage == "column":
        pq.write_table(pa.table({"episode_index": [0]}), path)
    elif damage == "overlap":
        bad = {
            "sparse_subtask_names": ["reach"] * 2,
            "sparse_subtask_start_frames": [0, 3],
            "sparse_subtask_end_frames": [9, 8],
        }
        rows = pq.read_table(path).to_pylist()
        pq.write_table(pa.Table.from_pylist([rows[0] | bad]), path)
    elif damage == "name":
        (tmp_path / "marks.json").write_text('{"made_by": "a", "stage_names": ["b"], "dataset_fingerprint": "f"}')
    with pytest.raises(DatasetError) as told:
        read_marks(tmp_path)
    assert str(tmp_path) in str(told.value)
    assert "\n" not in str(told.value)


def test_stages_that_do_not_fit_are_refused():
    with pytest.raises(InvalidValue, match="within the episode's 20 frames"):
        EpisodeMarks(20, 10.0, (Stage("reach", 0, 21),))
    with pytest.raises(InvalidValue, match="named twice"):
        Marks(("reach", "reach"), {}, "person", "f")
    with pytest.raises(InvalidValue, match="'fly'"):
        Marks(NAMES, {3: EpisodeMarks(20, 10.0, (Stage("fly", 0, 2),))}, "person", "f")


@pytest.fixture
def videos(tmp_path, scene, save_video):
    folder = tmp_path / "videos"
    folder.mkdir()
    for index in range(3):
        save_video(folder / f"{index}.mp4", scene(LENGTH, first=30 * index))
    (folder / "episodes.csv").write_text(
        "video,success,stages\n0.mp4,true,reach:0-8\n1.mp4,false,open:0-9\n2.mp4,,grip:4-20\n"
    )
    return folder


def marked(source, stages, success=None, index=0):
    return Marks(NAMES, {index: marks_of(source.episode(index), stages, success)}, "person", source.fingerprint)


def test_marks_take_the_place_of_what_a_folder_of_videos_says(videos):
    source = open_dataset(videos)
    mine = (Stage("reach", 2, 9), Stage("grip", 9, 12), Stage("reach", 12, 20))
    seen = with_marks(source, marked(source, mine, False))
    assert seen.stage_names == NAMES
    assert (seen.episode(0).stages, seen.episode(0).success) == (mine, False)
    assert seen.episode(1).stages is None, "its stages are of another annotation"
    assert seen.episode(1).success is False
    assert seen.episode(2).stages == (Stage("grip", 4, 20),)
    assert [episode.index for episode in seen] == [0, 1, 2]
    np.testing.assert_array_equal(
        next(iter(seen.episode(0).cameras["camera"])), next(iter(source.episode(0).cameras["camera"]))
    )


def test_success_alone_leaves_stages_as_they_are_and_the_fingerprint_tells_marks_apart(videos):
    source = open_dataset(videos)
    failed, succeeded = (with_marks(source, marked(source, None, success)) for success in (False, True))
    assert failed.episode(0).stages == source.episode(0).stages
    assert failed.stage_names == source.stage_names
    assert failed.episode(1).stages == source.episode(1).stages
    assert len({source.fingerprint, failed.fingerprint, succeeded.fingerprint}) == 3


def test_marks_of_other_recordings_are_refused(videos, scene, save_video):
    source = open_dataset(videos)
    marks = marked(source, (Stage("grip", 0, 20),), index=2)
    save_video(videos / "2.mp4", scene(LENGTH, first=7))
    with pytest.raises(DatasetError, match="not the recording that was marked"):
        with_marks(open_dataset(videos), marks).episode(2)
    save_video(videos / "2.mp4", scene(LENGTH - 1))
    with pytest.raises(DatasetError, match="has 19 frames, the marked one has 20"):
        with_marks(open_dataset(videos), marks).episode(2)
    with pytest.raises(DatasetError, match="episode 2 is marked, but"):
        MarkedSource(open_dataset(videos / "0.mp4"), marks)


def test_a_folder_of_videos_takes_no_marks_in(videos):
    source = open_dataset(videos)
    with pytest.raises(Unsupported, match="video-folder"):
        install_marks(marked(source, None, True), source)


@pytest.fixture
def recorded(tmp_path, episode):
    """Makes a LeRobot dataset of three episodes and opens it."""

    def make(**changes):
        root = tmp_path / "lerobot"
        write_dataset(root, [episode(index, LENGTH, truth=None, **changes) for index in range(3)])
        return open_dataset(root)

    return make


MINE = (Stage("reach", 0, 5), Stage("grip", 5, 15), Stage("lift", 15, 20))


def test_installed_marks_are_what_lerobot_and_we_see(recorded, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    source = recorded(stages=None, success=None)
    before = pq.read_table(source.root / "meta/episodes/chunk-000/file-000.parquet")
    marks = marked(source, MINE, True, index=1)
    stamped = install_marks(marks, source)
    ours = open_dataset(source.root)
    assert ours.stage_names == NAMES
    assert [episode.stages for episode in ours] == [None, MINE, None]
    assert [episode.success for episode in ours] == [None, True, None]
    assert stamped.fingerprint == ours.fingerprint
    after = pq.read_table(source.root / "meta/episodes/chunk-000/file-000.parquet")
    kept = [name for name in before.column_names if not name.startswith("sparse_") and name != "success"]
    assert after.select(kept).equals(before.select(kept))
    lerobot = pytest.importorskip("lerobot.datasets.lerobot_dataset")
    theirs = lerobot.LeRobotDataset("local/test", root=source.root, video_backend="pyav")
    row = theirs.meta.episodes[1]
    assert row["sparse_subtask_names"] == list(NAMES)
    assert row["sparse_subtask_start_frames"] == [0, 5, 15]
    assert row["sparse_subtask_end_times"] == [0.5, 1.5, 2.0]
    assert theirs.meta.episodes[0]["sparse_subtask_names"] is None
    assert len(theirs) == 3 * LENGTH
    annotator = pytest.importorskip("lerobot.data_processing.sarm_annotations.subtask_annotation")
    assert list(annotator.load_annotations_from_dataset(source.root, "sparse")) == [1]
    shares = json.loads((source.root / "meta/temporal_proportions_sparse.json").read_text())
    assert list(shares.items()) == [("reach", 0.25), ("grip", 0.5), ("lift", 0.25)]


def test_only_what_headway_installed_is_replaced_unasked(recorded):
    source = recorded(stages=(Stage("reach", 0, 9), Stage("grip", 9, 20)))
    marks = marked(source, MINE)
    with pytest.raises(OutputError, match="episode 0 has another's stages"):
        install_marks(marks, source)
    assert open_dataset(source.root).fingerprint == source.fingerprint
    marks = install_marks(marks, source, replace_others=True)
    assert open_dataset(source.root).episode(1).stages == (Stage("reach", 0, 9), Stage("grip", 9, 20)), "not marked"
    nudged = replace(MINE[0], end=6), replace(MINE[1], start=6), MINE[2]
    own = replace(marks.episodes[0], stages=nudged)
    install_marks(marks.with_episode(0, own), source)
    assert open_dataset(source.root).episode(0).stages == nudged
    with pytest.raises(OutputError, match="episode 1 has another's success"):
        install_marks(marked(source, None, True, index=1), source)


def test_a_run_cut_off_half_way_is_whole_after_the_next(recorded, monkeypatch):
    source = recorded(stages=None)
    marks = marked(source, MINE)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("headway_datasets.installed_marks.write_json", interrupted)
        with pytest.raises(KeyboardInterrupt):
            install_marks(marks, source)
    install_marks(marked(source, MINE), source)
    assert open_dataset(source.root).episode(0).stages == MINE
    assert (source.root / "meta/temporal_proportions_sparse.json").exists()


def test_two_annotations_of_different_stages_are_never_mixed(recorded):
    source = recorded(stages=(Stage("open", 0, 20),))
    with pytest.raises(DatasetError, match=r"episode 1 has the stage 'open'.*mark that episode too"):
        install_marks(marked(source, MINE), source, replace_others=True)


def test_older_annotation_columns_follow(recorded):
    """lerobot's annotator writes the columns twice; its older ones must not go on telling the old marks."""
    source = recorded(stages=None)
    path = source.root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    for name, values in (("names", [["reach"]] * 3), ("start_frames", [[0]] * 3), ("end_frames", [[20]] * 3)):
        table = table.drop_columns(f"sparse_subtask_{name}").append_column(f"subtask_{name}", pa.array(values))
    pq.write_table(table, path)
    source = open_dataset(source.root)
    assert source.episode(0).stages == (Stage("reach", 0, 20),)
    install_marks(marked(source, MINE), source, replace_others=True)
    row, other = pq.read_table(path).to_pylist()[:2]
    assert row["subtask_names"] == row["sparse_subtask_names"] == list(NAMES)
    assert other["subtask_start_frames"] == other["sparse_subtask_start_frames"] == [0]
    assert open_dataset(source.root).episode(1).stages == (Stage("reach", 0, 20),)
