import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.episodes import Stage
from headway.errors import DatasetError, HeadwayError, UnknownName
from headway_datasets.lerobot_v3 import LeRobotV3
from headway_datasets.lerobot_v21 import LeRobotV21
from headway_datasets.opening import open_dataset

LENGTHS = (20, 13, 31)


@pytest.fixture
def episodes(episode):
    bare = {"environment_state": None, "stages": None, "success": None, "truth": None, "kind": None}
    return [episode(number, length, ("top", "wrist"), **bare) for number, length in enumerate(LENGTHS)]


@pytest.fixture
def root(tmp_path, save_v21, episodes):
    return save_v21(tmp_path / "data", episodes)


def error_of(root):
    with pytest.raises(DatasetError) as caught:
        open_dataset(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_lines(path, change):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(change(row)) + "\n" for row in rows))


@pytest.mark.parametrize(("version", "chunk"), [("v2.1", 1000), ("v2.0", 2)])
def test_what_lies_there_is_read(tmp_path, save_v21, episodes, is_frame, version, chunk):
    source = open_dataset(save_v21(tmp_path / "data", episodes, version, chunk))
    assert source.format == "lerobot-v2.1"
    assert source.cameras == ("top", "wrist")
    assert source.episode_indices == (0, 1, 2)
    first_frame = 0
    for written, found in zip(episodes, source, strict=True):
        assert (found.first_frame, found.fps, found.instruction) == (first_frame, 10, written.instruction)
        first_frame += len(written)
        np.testing.assert_array_equal(found.state, written.state)
        np.testing.assert_array_equal(found.action, written.action)
        np.testing.assert_allclose(found.timestamps, np.arange(len(written)) / 10, atol=1e-6)
        for place, name in enumerate(("top", "wrist")):
            numbers = [100 * written.index + 7 * place + index for index in range(len(written))]
            pictures = list(found.camera(name))
            assert len(pictures) == len(written)
            assert all(is_frame(picture, number) for picture, number in zip(pictures, numbers, strict=True))
    with pytest.raises(UnknownName, match="'3'"):
        source.episode(3)


def test_lerobots_own_converter_makes_the_same_episodes_of_it(root):
    from lerobot.scripts.convert_dataset_v21_to_v30 import convert_dataset

    before = [(episode, [list(frames) for frames in episode.cameras.values()]) for episode in LeRobotV21(root)]
    convert_dataset("local/data", root=root, push_to_hub=False)
    after = LeRobotV3(root)
    assert open_dataset(root).format == "lerobot-v3"
    assert len(after) == len(before)
    for (old, pictures), new in zip(before, after, strict=True):
        for name in ("index", "first_frame", "fps", "instruction", "recording", "success", "stages"):
            assert getattr(old, name) == getattr(new, name), name
        for name in ("state", "action", "timestamps"):
            np.testing.assert_array_equal(getattr(old, name), getattr(new, name))
        for frames, again in zip(pictures, new.cameras.values(), strict=True):
            np.testing.assert_array_equal(np.stack(frames), np.stack(list(again)))


def test_marks_and_success_in_the_list_of_episodes_are_read(root):
    marks = {"sparse_subtask_names": ["open", "pick"], "sparse_subtask_start_frames": [0, 5]}
    marks |= {"sparse_subtask_end_frames": [5, 12], "success": True, "kind": "expert"}
    change_lines(root / "meta/episodes.jsonl", lambda row: row | (marks if row["episode_index"] == 1 else {}))
    source = LeRobotV21(root)
    assert source.stage_names == ("open", "pick")
    assert source.episode(1).stages == (Stage("open", 0, 5), Stage("pick", 5, 12))
    assert [(episode.success, episode.kind) for episode in source] == [(None, None), (True, "expert"), (None, None)]


def test_cameras_are_renamed(root):
    assert LeRobotV21(root, {"wrist": "hand"}).cameras == ("top", "hand")


@pytest.mark.parametrize(
    "file",
    [
        "meta/episodes.jsonl",
        "meta/tasks.jsonl",
        "data/chunk-000/episode_000001.parquet",
        "videos/chunk-000/observation.images.top/episode_000002.mp4",
    ],
)
def test_a_missing_file_is_named(root, file):
    (root / file).unlink()
    assert f"{file} is missing" in error_of(root)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"length": 0}, "has no frames"),
        ({"length": "20"}, "line 1 of meta/episodes.jsonl has no episode_index and length"),
        ({"length": 21}, "promises total_frames 64, meta/episodes.jsonl has 63"),
        ({"episode_index": 1}, "lists an episode twice"),
        ({"success": "yes"}, "success or kind of another type"),
    ],
)
def test_a_wrong_list_of_episodes_is_told(root, change, words):
    change_lines(root / "meta/episodes.jsonl", lambda row: row | change)
    assert words in error_of(root)


def test_a_wrong_path_or_chunk_size_is_told(root):
    info = json.loads((root / "meta/info.json").read_text())
    for change in ({"data_path": "data/{nothing}"}, {"data_path": "{video_key.x}"}, {"chunks_size": 0}):
        (root / "meta/info.json").write_text(json.dumps(info | change))
        assert "meta/info.json has" in error_of(root)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["meta/info.json", "meta/episodes.jsonl", "meta/tasks.jsonl"]),
    content=st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)).map(
        lambda value: json.dumps(value).encode()
    ),
    at=st.integers(0, 1000),
    whole=st.booleans(),
)
def test_whatever_the_metadata_hold_the_dataset_opens_or_says_what_is_wrong(root, name, content, at, whole):
    path = root / name
    good = path.read_bytes()
    path.write_bytes(content if whole else good[:at] + content + good[at:])
    message = ""
    try:
        list(LeRobotV21(root))
    except HeadwayError as error:
        message = str(error)
    finally:
        path.write_bytes(good)
    assert "\n" not in message


def test_episodes_listed_in_any_order_come_in_theirs(root):
    path = root / "meta/episodes.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    source = LeRobotV21(root)
    assert [episode.index for episode in source] == [0, 1, 2]
    assert [episode.first_frame for episode in source] == [0, 20, 33]
