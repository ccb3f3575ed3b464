import numpy as np
import pytest

from headway.episodes import Stage
from headway.errors import DatasetError, InvalidValue, UnknownName
from headway_datasets.lerobot_writer import write_dataset
from headway_datasets.opening import open_dataset
from headway_datasets.video import encode_video


@pytest.fixture
def lerobot(tmp_path, episode):
    fine = (Stage("reach", 0, 3), Stage("grip", 3, 8))
    episodes = [episode(index, names=("top", "wrist"), dense_stages=fine) for index in range(2)]
    write_dataset(tmp_path / "data", episodes)
    return tmp_path / "data"


def error_of(path):
    with pytest.raises(DatasetError) as caught:
        open_dataset(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_layout_is_recognised(tmp_path, lerobot, scene):
    (tmp_path / "films").mkdir()
    encode_video(tmp_path / "films/a.mp4", scene(5), fps=10)
    assert open_dataset(lerobot).format == "lerobot-v3"
    assert open_dataset(str(tmp_path / "films")).format == "video-folder"
    assert open_dataset(tmp_path / "films/a.mp4").format == "video-folder"
    # those of HDF5 and of older LeRobot are opened in the tests of their readers


def test_cameras_are_selected_and_ordered_after_renaming(lerobot, is_frame):
    source = open_dataset(lerobot, cameras=["hand", "top"], rename={"wrist": "hand"})
    assert source.cameras == ("hand", "top")
    found = source.episode(1)
    assert list(found.cameras) == ["hand", "top"]
    assert is_frame(next(iter(found.camera("hand"))), 107)
    whole = open_dataset(lerobot)
    assert source.fingerprint == whole.fingerprint
    assert source.stage_names == whole.stage_names == ("open", "pick")
    assert source.dense_stage_names == whole.dense_stage_names == ("reach", "grip")
    assert found.dense_stages == whole.episode(1).dense_stages
    assert len(source) == len(list(source)) == 2
    np.testing.assert_array_equal(found.state, whole.episode(1).state)


def test_an_unknown_camera_lists_those_there_are(lerobot):
    with pytest.raises(UnknownName, match="'front'; available: top, wrist"):
        open_dataset(lerobot, cameras=["front"])
    with pytest.raises(UnknownName, match="'wrist'; available: hand, top"):
        open_dataset(lerobot, cameras=["wrist"], rename={"wrist": "hand"})
    with pytest.raises(InvalidValue, match="once each"):
        open_dataset(lerobot, cameras=["top", "top"])


def test_a_missing_path_says_what_may_be_given(tmp_path):
    message = error_of(tmp_path / "none")
    assert message.startswith(f"there is nothing at {tmp_path / 'none'}")
    assert "LeRobot v3.0" in message


def test_a_hub_name_is_not_downloaded_but_the_command_is_given():
    message = error_of("lerobot/pusht")
    assert "no lerobot/pusht on this disk" in message
    assert "hf download --repo-type dataset lerobot/pusht --local-dir pusht" in message


def test_an_empty_folder_and_an_unknown_layout_say_what_was_found(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "is empty" in error_of(tmp_path / "empty")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/model.safetensors").touch()
    message = error_of(tmp_path / "other")
    assert "no known layout (found: model.safetensors)" in message
    assert "a folder of videos" in message
    assert "a robomimic file" in message
    assert "a Minari dataset" in message
    assert "no known kind" in error_of(tmp_path / "other/model.safetensors")


@pytest.mark.parametrize("name", ["a.hdf5", "a.h5", "A.HDF5"])
def test_a_file_that_only_looks_like_hdf5_is_told(tmp_path, name):
    (tmp_path / name).write_bytes(b"something else")
    assert "cannot be read as HDF5" in error_of(tmp_path / name)


def test_a_rate_is_refused_where_the_layout_has_its_own(tmp_path, lerobot, scene):
    encode_video(tmp_path / "a.mp4", scene(5), fps=10)
    for path in (lerobot, tmp_path / "a.mp4"):
        with pytest.raises(InvalidValue, match=r"leave \?fps= away"):
            open_dataset(f"{path}?fps=10")
    assert error_of(f"{tmp_path}/none?fps=10").startswith(f"there is nothing at {tmp_path}/none;")


def test_a_folder_whose_name_ends_like_a_rate_is_opened_as_it_is(tmp_path, scene):
    folder = tmp_path / "films?fps=10"
    folder.mkdir()
    encode_video(folder / "a.mp4", scene(5), fps=10)
    assert open_dataset(folder).format == "video-folder"


def test_a_half_written_lerobot_dataset_is_recognised_as_one(lerobot):
    (lerobot / "meta/info.json").unlink()
    assert "meta/info.json is missing" in error_of(lerobot)


def test_a_folder_called_data_is_no_lerobot_dataset(tmp_path, scene):
    (tmp_path / "data").mkdir()
    encode_video(tmp_path / "data/front.mp4", scene(5), fps=10)
    assert open_dataset(tmp_path).cameras == ("front",)
