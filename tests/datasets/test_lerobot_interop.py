"""What we write lerobot opens, and what lerobot writes we read: against the installed lerobot itself."""

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headway.errors import VideoError
from headway_datasets import lerobot_layout
from headway_datasets.lerobot_v3 import LeRobotV3
from headway_datasets.lerobot_writer import LeRobotWriter, write_dataset


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_lerobot_opens_what_we_write_with_the_same_pictures_and_numbers(lerobot, tmp_path, episode, codec):
    episodes = [episode(index, length, ("top", "wrist")) for index, length in enumerate((20, 13, 31))]
    write_dataset(tmp_path / "data", episodes, codec=codec)
    theirs = lerobot.LeRobotDataset("local/test", root=tmp_path / "data", video_backend="pyav")
    ours = LeRobotV3(tmp_path / "data")
    assert (len(theirs), theirs.meta.total_episodes) == (64, 3)
    for found in ours:
        pictures = list(zip(*found.cameras.values(), strict=True))
        for frame in (len(found) - 1, 0, 7):
            item = theirs[found.first_frame + frame]
            assert item["task"] == found.instruction
            assert item["episode_index"] == found.index
            assert item["frame_index"] == frame
            np.testing.assert_array_equal(item["observation.state"], found.state[frame])
            np.testing.assert_array_equal(item["action"], found.action[frame])
            assert item["truth.progress"] == pytest.approx(found.truth.progress[frame])
            assert item["truth.stage"] == found.truth.stage[frame]
            assert bool(item["truth.success"]) == found.truth.success[frame]
            for name, picture in zip(found.cameras, pictures[frame], strict=True):
                np.testing.assert_array_equal(_pixels(item[f"observation.images.{name}"]), picture)
    row = theirs.meta.episodes[1]
    assert row["sparse_subtask_names"] == ["open", "pick"]
    assert row["sparse_subtask_end_frames"] == [8, 13]
    assert (row["success"], row["kind"]) == (False, "drop")


def test_lerobot_opens_several_files_and_chunks(lerobot, tmp_path, episode, is_frame, monkeypatch):
    monkeypatch.setattr(lerobot_layout, "FILES_IN_CHUNK", 2)
    sizes = {"state_dim": 3, "environment_state_dim": 5, "action_dim": 2}
    with LeRobotWriter(tmp_path / "data", 10, {"top": (64, 64)}, **sizes, file_mb=0.001) as writer:
        for index in range(5):
            writer.add(episode(index))
    assert (tmp_path / "data/data/chunk-001/file-001.parquet").exists()
    assert (tmp_path / "data/videos/observation.images.top/chunk-001/file-000.mp4").exists()
    theirs = lerobot.LeRobotDataset("local/test", root=tmp_path / "data", video_backend="pyav")
    for found in LeRobotV3(tmp_path / "data"):
        item = theirs[found.first_frame + 11]
        np.testing.assert_array_equal(item["observation.state"], found.state[11])
        np.testing.assert_array_equal(_pixels(item["observation.images.top"]), list(found.camera("top"))[11])
        assert all(is_frame(picture, 100 * found.index + number) for number, picture in enumerate(found.camera("top")))


def test_lerobot_finds_the_statistics_it_normalises_by(lerobot, tmp_path, episode):
    episodes = [episode(index) for index in range(3)]
    write_dataset(tmp_path / "data", episodes)
    stats = lerobot.LeRobotDataset("local/test", root=tmp_path / "data").meta.stats
    states = np.concatenate([written.state for written in episodes])
    np.testing.assert_allclose(stats["observation.state"]["mean"], states.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(stats["observation.state"]["std"], states.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(stats["action"]["max"], np.max([e.action.max(axis=0) for e in episodes], axis=0))
    assert stats["observation.images.top"]["mean"].shape == (3, 1, 1)
    pixels = np.concatenate([written.camera("top").pixels for written in episodes]) / 255
    np.testing.assert_allclose(stats["observation.images.top"]["mean"].ravel(), pixels.mean(axis=(0, 1, 2)), rtol=1e-6)
    columns = pq.read_schema(tmp_path / "data/meta/episodes/chunk-000/file-000.parquet").names
    assert {f"stats/action/{name}" for name in ("min", "max", "mean", "std", "count", "q01", "q99")} <= set(columns)


@pytest.fixture
def recorded(lerobot, tmp_path, scene):
    """Three episodes by lerobot's own writer: one camera in its default AV1 video, one of stored pictures."""
    picture = {"shape": (64, 64, 3), "names": ["height", "width", "channels"]}
    features = {
        "observation.images.top": {"dtype": "video", **picture},
        "observation.image": {"dtype": "image", **picture},
        "observation.state": {"dtype": "float32", "shape": (3,), "names": ["a", "b", "c"]},
        "action": {"dtype": "float32", "shape": (1,), "names": ["grip"]},
    }
    dataset = lerobot.LeRobotDataset.create("local/test", 10, features, root=tmp_path / "data", use_videos=True)
    for index, length in enumerate((20, 13, 31)):
        for number, frame in enumerate(scene(length, first=100 * index)):
            dataset.add_frame(
                {
                    "observation.images.top": frame,
                    "observation.image": frame[::-1].copy(),
                    "observation.state": np.full(3, number + index, np.float32),
                    "action": np.array([number], np.float32),
                    "task": ["fold the towel", "pour"][index % 2],
                }
            )
        dataset.save_episode()
    dataset.finalize()
    return tmp_path / "data"


def test_what_lerobot_writes_is_read_frame_by_frame(recorded, scene, is_frame):
    source = LeRobotV3(recorded)
    assert source.cameras == ("top", "image")
    with av.open(str(recorded / "videos/observation.images.top/chunk-000/file-000.mp4")) as container:
        straight = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(straight) == 64
    for found, length in zip(source, (20, 13, 31), strict=True):
        assert len(found) == length
        assert found.instruction == ["fold the towel", "pour"][found.index % 2]
        np.testing.assert_array_equal(found.action[:, 0], np.arange(length))
        np.testing.assert_array_equal(found.state[:, 2], np.arange(length) + found.index)
        assert found.success is None
        assert found.stages is None
        pictures = list(found.camera("top"))
        np.testing.assert_array_equal(pictures, straight[found.first_frame : found.first_frame + length])
        assert all(is_frame(picture, 100 * found.index + number) for number, picture in enumerate(pictures))
        np.testing.assert_array_equal(list(found.camera("image")), scene(length, first=100 * found.index)[:, ::-1])


def test_a_stored_picture_that_is_damaged_names_episode_and_frame(recorded):
    path = recorded / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    cells = table["observation.image"].to_pylist()
    cells[22]["bytes"] = b"no picture"
    place = table.schema.get_field_index("observation.image")
    field = table.schema.field(place)
    pq.write_table(table.set_column(place, field, [pa.array(cells, field.type)]), path)
    source = LeRobotV3(recorded)
    assert len(list(source.episode(0).camera("image"))) == 20
    with pytest.raises(VideoError, match="episode 1, camera image: frame 2 "):
        list(source.episode(1).camera("image"))


def _pixels(tensor):
    """lerobot's float (channel, height, width) as uint8 (height, width, channel)."""
    return (tensor.numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)
