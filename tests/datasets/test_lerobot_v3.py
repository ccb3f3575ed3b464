import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headway.episodes import Stage
from headway.errors import DatasetError, InvalidValue, UnknownName, VideoError
from headway_datasets.lerobot_v3 import LeRobotV3, camera_name
from headway_datasets.lerobot_writer import write_dataset

EPISODES = "meta/episodes/chunk-000/file-000.parquet"
DATA = "data/chunk-000/file-000.parquet"
VIDEO = "videos/observation.images.top/chunk-000/file-000.mp4"


@pytest.fixture(scope="module")
def written(tmp_path_factory, episode):
    root = tmp_path_factory.mktemp("lerobot") / "data"
    write_dataset(root, [episode(index, names=("top", "wrist")) for index in range(4)])
    return root


@pytest.fixture
def root(written, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(written, tmp_path / "data")


def change_info(root, **changes):
    path = root / "meta/info.json"
    info = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in info.items() if value is not None}))


def change_column(path, name, change):
    table = pq.read_table(path)
    column = pa.array(change(table[name].to_pylist()), table.schema.field(name).type)
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, column), path)


def add_columns(root, **columns):
    table = pq.read_table(root / EPISODES)
    kept = [name for name in table.column_names if "subtask" not in name]
    table = table.select(kept)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, root / EPISODES)


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def error_of(read):
    with pytest.raises(DatasetError) as caught:
        read()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_cameras_can_be_renamed_and_wrong_names_list_the_right_ones(root):
    source = LeRobotV3(root, rename={"wrist": "hand"})
    assert source.cameras == ("top", "hand")
    assert list(source.episode(1).cameras) == ["top", "hand"]
    with pytest.raises(UnknownName, match=r"'front'; available: top, wrist"):
        LeRobotV3(root, rename={"front": "hand"})
    with pytest.raises(InvalidValue, match="would both be called 'top'"):
        LeRobotV3(root, rename={"wrist": "top"})


def test_an_unknown_episode_says_which_there_are(root):
    with pytest.raises(UnknownName, match="available: 0 to 3"):
        LeRobotV3(root).episode(9)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("observation.images.top", "top"),
        ("observation.images.left.wrist", "left.wrist"),
        ("observation.image", "image"),
        ("observation.image.front", "front"),
        ("pixels", "pixels"),
    ],
)
def test_a_camera_goes_by_what_follows_the_prefix(key, name):
    assert camera_name(key) == name


def test_a_missing_info_says_that_it_is_missing(root):
    (root / "meta/info.json").unlink()
    assert "meta/info.json is missing" in error_of(lambda: LeRobotV3(root))


@pytest.mark.parametrize("content", ["", '{"fps": 10', "[1]"])
def test_an_unreadable_info_is_named(root, content):
    (root / "meta/info.json").write_text(content)
    assert "info.json" in error_of(lambda: LeRobotV3(root))


@pytest.mark.parametrize("changes", [{"fps": 0}, {"fps": "fast"}, {"features": []}, {"data_path": None}])
def test_an_info_that_says_nothing_of_use_is_named(root, changes):
    change_info(root, **changes)
    assert "meta/info.json" in error_of(lambda: LeRobotV3(root))


@pytest.mark.parametrize("version", ["v2.1", "v1.6", None])
def test_another_version_is_named_with_the_converter(root, version):
    change_info(root, codebase_version=version)
    message = error_of(lambda: LeRobotV3(root))
    assert (version or "no stated version") in message
    assert "convert_dataset_v21_to_v30" in message


@pytest.mark.parametrize("file", [EPISODES, "meta/tasks.parquet"])
def test_a_parquet_file_without_its_footer_says_that_recording_was_not_finished(root, file):
    cut(root / file)
    message = error_of(lambda: LeRobotV3(root))
    assert file in message
    assert "finalize()" in message


def test_a_data_file_without_its_footer_is_named_when_an_episode_is_asked_for(root):
    cut(root / DATA)
    source = LeRobotV3(root)
    message = error_of(lambda: source.episode(0))
    assert DATA in message
    assert "finalize()" in message


@pytest.mark.parametrize("file", [VIDEO, DATA, "meta/tasks.parquet"])
def test_a_missing_file_is_named_on_opening(root, file):
    (root / file).unlink()
    assert f"{file} is missing" in error_of(lambda: LeRobotV3(root))


def test_a_missing_episode_table_is_named(root):
    shutil.rmtree(root / "meta/episodes")
    assert "no episode table" in error_of(lambda: LeRobotV3(root))


@pytest.mark.parametrize("field", ["total_episodes", "total_frames"])
def test_numbers_that_disagree_are_both_named(root, field):
    change_info(root, **{field: 5000})
    message = error_of(lambda: LeRobotV3(root))
    assert f"promises {field} 5000" in message


def test_an_episode_without_frames_is_named(root):
    change_column(root / EPISODES, "length", lambda lengths: [20, 20, 0, 20])
    assert "episode 2 has no frames" in error_of(lambda: LeRobotV3(root))


def test_an_episode_whose_rows_are_missing_is_named(root):
    change_column(root / DATA, "episode_index", lambda numbers: [min(number, 2) for number in numbers])
    source = LeRobotV3(root)
    assert "holds 0 of episode 3's 20 frames" in error_of(lambda: source.episode(3))


def test_a_truncated_video_fails_on_its_own_and_the_numbers_stay_readable(root):
    cut(root / VIDEO, 0.6)
    episode = LeRobotV3(root).episode(2)
    assert episode.state.shape == (20, 3)
    assert len(list(episode.camera("wrist"))) == 20
    with pytest.raises(VideoError, match=r"episode 2, camera top: .*file-000\.mp4"):
        list(episode.camera("top"))


def test_a_video_with_the_last_episode_missing_spoils_only_that_one(root, episode, is_frame):
    other = root.parent / "other"
    write_dataset(other, [episode(index, names=("top", "wrist")) for index in range(3)])
    shutil.copy(other / VIDEO, root / VIDEO)
    source = LeRobotV3(root)
    assert all(is_frame(picture, 200 + i) for i, picture in enumerate(source.episode(2).camera("top")))
    with pytest.raises(VideoError, match=r"episode 3, camera top: .* holds 0 of the 20 frames"):
        list(source.episode(3).camera("top"))


def test_truth_without_its_stage_names_is_half_written(root):
    (root / "meta/headway.json").unlink()
    source = LeRobotV3(root)
    assert "meta/headway.json" in error_of(lambda: source.episode(0))


def test_annotation_of_lerobots_older_columns_is_read(root):
    names = [["a", "b"], ["a"], None, ["b"]]
    add_columns(
        root,
        subtask_names=names,
        subtask_start_frames=[[0, 5], [0], None, [3]],
        subtask_end_frames=[[5, 25], [9], None, [9]],
    )
    (root / "meta/temporal_proportions_sparse.json").unlink()
    (root / "meta/headway.json").write_text(json.dumps({"stage_names": ["b", "a"], "proportions": [0.5, 0.5]}))
    source = LeRobotV3(root)
    assert [[stage.name for stage in found.stages or ()] for found in source] == [["a", "b"], ["a"], [], ["b"]]
    assert source.episode(0).stages[-1].end == 20
    assert source.stage_names == ("b", "a")


def test_the_older_columns_are_read_where_no_sparse_ones_are_and_never_as_dense(root):
    marks = {"subtask_names": [["a"]] * 4, "subtask_start_frames": [[0]] * 4, "subtask_end_frames": [[9]] * 4}
    add_columns(root, **marks)
    source = LeRobotV3(root)
    assert (source.episode(1).stages, source.episode(1).dense_stages) == ((Stage("a", 0, 9),), None)
    assert source.dense_stage_names is None
    sparse = {f"sparse_{name}": values for name, values in marks.items()} | {"sparse_subtask_names": [["b"]] * 4}
    add_columns(root, **marks, **sparse)
    assert LeRobotV3(root).episode(1).stages == (Stage("b", 0, 9),)


def test_dense_annotation_is_read_in_its_declared_order_or_that_of_the_most_complete_episode(root):
    add_columns(
        root,
        dense_subtask_names=[["b", "a"], ["a", "b", "c"], None, ["a"]],
        dense_subtask_start_frames=[[0, 5], [0, 5, 9], None, [0]],
        dense_subtask_end_frames=[[5, 9], [5, 9, 25], None, [4]],
    )
    source = LeRobotV3(root)
    assert source.dense_stage_names == ("a", "b", "c")
    assert source.stage_names is None
    assert source.episode(1).dense_stages == (Stage("a", 0, 5), Stage("b", 5, 9), Stage("c", 9, 20))
    assert source.episode(2).dense_stages is None
    before = source.fingerprint
    (root / "meta/temporal_proportions_dense.json").write_text('{"c": 0.2, "a": 0.8}')
    assert LeRobotV3(root).dense_stage_names == ("c", "a", "b")
    assert LeRobotV3(root).fingerprint != before


@pytest.mark.parametrize(
    ("names", "starts", "ends", "message"),
    [
        (["a", "b"], [0, 5], [9, 12], "stage 'b' (frames 5 to 12) overlaps 'a'"),
        (["a", "b"], [0, 5], [5, 3], "stage 'b' ends at frame 3, before it starts at 5"),
        (["a", "b"], [0], [5, 9], "has 2 stages but 1 starts and 2 ends"),
        (["a", None], [0, 5], [5, 9], "the stage at frames 5 to 9 has no name"),
        (["a", "b"], [0.0, float("nan")], [5.0, 9.0], "starts or ends at no frame number"),
        (["a", "b"], [0, None], [5, 9], "starts or ends at no frame number"),
        (["a", "b"], [0.0, float("inf")], [5.0, 9.0], "starts or ends at no frame number"),
        ("a", 0, 9, "no lists of names, first and end frames"),
    ],
)
@pytest.mark.parametrize("granularity", ["sparse", "dense"])
def test_a_wrong_annotation_is_one_line_that_names_episode_and_granularity(
    root, granularity, names, starts, ends, message
):
    parts = {"names": names, "start_frames": starts, "end_frames": ends}
    add_columns(root, **{f"{granularity}_subtask_{name}": [None, None, part, None] for name, part in parts.items()})
    found = error_of(lambda: LeRobotV3(root))
    assert message in found
    assert ("episode 2, dense annotation" in found) == (granularity == "dense")
    assert "episode 2" in found


@pytest.mark.parametrize("content", ["[]", "{", '"a"'])
def test_proportions_that_are_no_object_are_named(root, content):
    (root / "meta/temporal_proportions_dense.json").write_text(content)
    assert "temporal_proportions_dense.json" in error_of(lambda: LeRobotV3(root))


def test_the_order_of_stages_is_declared_by_the_proportions_or_found(root):
    columns = {
        "sparse_subtask_names": [["b", "a"], ["a", "b", "c"], ["b", "a"], ["a"]],
        "sparse_subtask_start_frames": [[0, 5], [0, 5, 9], [0, 5], [0]],
        "sparse_subtask_end_frames": [[5, 9], [5, 9, 12], [5, 9], [4]],
    }
    add_columns(root, **columns)
    (root / "meta/headway.json").unlink()
    (root / "meta/temporal_proportions_sparse.json").write_text('{"c": 0.2, "b": 0.3, "a": 0.5}')
    assert LeRobotV3(root).stage_names == ("c", "b", "a")
    (root / "meta/temporal_proportions_sparse.json").unlink()
    assert LeRobotV3(root).stage_names == ("a", "b", "c")


def test_overlapping_annotation_names_the_episode(root):
    add_columns(
        root,
        sparse_subtask_names=[["a", "b"]] * 4,
        sparse_subtask_start_frames=[[0, 5], [0, 5], [0, 5], [0, 5]],
        sparse_subtask_end_frames=[[5, 9], [5, 9], [15, 19], [5, 9]],
    )
    assert "episode 2: stage 'b'" in error_of(lambda: LeRobotV3(root))


def test_a_dataset_without_pictures_is_refused(root):
    features = json.loads((root / "meta/info.json").read_text())["features"]
    change_info(root, features={key: entry for key, entry in features.items() if entry["dtype"] != "video"})
    assert "no camera" in error_of(lambda: LeRobotV3(root))


def test_depth_cameras_are_left_out(root):
    features = json.loads((root / "meta/info.json").read_text())["features"]
    features["observation.images.wrist"]["info"]["is_depth_map"] = True
    change_info(root, features=features)
    assert LeRobotV3(root).cameras == ("top",)


def test_the_fingerprint_moves_with_the_folder_and_changes_with_the_content(root):
    before = LeRobotV3(root).fingerprint
    moved = root.rename(root.with_name("elsewhere"))
    (moved / "sarm_progress.parquet").write_bytes(b"scores are no part of the dataset")
    assert LeRobotV3(moved).fingerprint == before
    change_column(moved / EPISODES, "success", lambda labels: [True] * len(labels))
    relabelled = LeRobotV3(moved).fingerprint
    assert relabelled != before
    content = bytearray((moved / VIDEO).read_bytes())
    content[len(content) // 2] ^= 1
    (moved / VIDEO).write_bytes(content)
    assert LeRobotV3(moved).fingerprint not in (before, relabelled)


def test_numbers_are_read_when_an_episode_is_asked_for_and_pictures_when_iterated(root):
    source = LeRobotV3(root)
    episodes = list(source)
    (root / VIDEO).unlink()
    assert np.isfinite(episodes[3].state).all()
    with pytest.raises(VideoError, match="No such file"):
        next(iter(episodes[3].camera("top")))
