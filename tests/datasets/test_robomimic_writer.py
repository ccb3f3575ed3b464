import dataclasses
import json
import os
import resource
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest

from headway.episodes import ArrayFrames, Stage
from headway.errors import InvalidValue, OutputError, VideoError
from headway_datasets.opening import open_dataset
from headway_datasets.robomimic_writer import write_robomimic


@pytest.fixture
def path(tmp_path):
    return tmp_path / "demos.hdf5"


def test_an_episode_without_anything_stays_without_anything(path, episode):
    nothing = dict.fromkeys(
        ("state", "environment_state", "action", "stages", "dense_stages", "success", "truth", "kind", "instruction")
    )
    write_robomimic(path, [episode(0, **nothing)])
    source = open_dataset(path)
    assert all(getattr(source.episode(0), name) is None for name in nothing)
    assert source.stage_names is source.dense_stage_names is None
    with h5py.File(path) as file:
        assert "rewards" not in file["data/demo_0"]


def test_unannotated_episodes_may_stand_beside_annotated_ones(path, episode):
    fine = (Stage("reach", 0, 3), Stage("grip", 3, 8))
    marks = [{"stages": None, "success": None}, {"dense_stages": fine}, {"stages": ()}]
    write_robomimic(path, [episode(number, **changes) for number, changes in enumerate(marks)])
    source = open_dataset(path)
    assert [found.stages and len(found.stages) for found in source] == [None, 2, ()]
    assert [found.dense_stages for found in source] == [None, fine, None]
    assert [found.success for found in source] == [None, False, True]
    assert (source.stage_names, source.dense_stage_names) == (("open", "pick"), ("reach", "grip"))


def test_all_that_truth_and_recording_have_comes_back(path, episode):
    whole = episode(0)
    length = len(whole)
    rng = np.random.default_rng(0)
    value = rng.random(length).astype(np.float32)
    value[3] = np.nan
    truth = dataclasses.replace(
        whole.truth,
        imperfection=rng.random((length, 2)) > 0.5,
        imperfections=("drop", "hesitate"),
        value=value,
        value_interval=rng.random((length, 2)).astype(np.float32),
    )
    times = np.cumsum(rng.uniform(0.05, 0.2, length))
    names = {"state_names": ("x", "y", "z"), "action_names": ("push", "turn")}
    write_robomimic(path, [dataclasses.replace(whole, truth=truth, timestamps=times, recording="abc", **names)])
    found = open_dataset(path).episode(0)
    for field in dataclasses.fields(truth):
        np.testing.assert_array_equal(getattr(found.truth, field.name), getattr(truth, field.name), field.name)
    np.testing.assert_array_equal(found.timestamps, times)
    assert found.timestamps.dtype == np.float64
    assert (found.recording, found.state_names, found.action_names) == ("abc", ("x", "y", "z"), ("push", "turn"))


def test_the_layout_is_robomimics(path, episode):
    episodes = [episode(0, 20, ("top", "wrist")), episode(1, 13, ("top", "wrist"), truth=None)]
    write_robomimic(path, episodes, env_args={"env_name": "Lift", "type": 1, "env_kwargs": {"robots": "Panda"}})
    with h5py.File(path) as file:
        data = file["data"]
        assert data.attrs["total"] == 33
        env_args = json.loads(data.attrs["env_args"])
        assert env_args["env_kwargs"] == {"robots": "Panda", "control_freq": 10.0}
        assert (env_args["env_name"], env_args["type"]) == ("Lift", 1)
        for name, written in zip(("demo_0", "demo_1"), episodes, strict=True):
            demo, length = data[name], len(written)
            assert demo.attrs["num_samples"] == length
            assert json.loads(demo.attrs["ep_meta"]) == {"lang": written.instruction}
            assert sorted(demo["obs"]) == ["object", "robot0_state", "top_image", "wrist_image"]
            assert demo["obs/top_image"].dtype == np.uint8
            assert demo["obs/top_image"].chunks == (1, 64, 64, 3)
            assert demo["actions"].shape == (length, 2)
            np.testing.assert_array_equal(demo["dones"], np.arange(length) == length - 1)
        np.testing.assert_array_equal(data["demo_0/rewards"], episodes[0].truth.success)
        np.testing.assert_array_equal(data["demo_1/rewards"], np.zeros(13))


def test_what_an_environment_says_of_itself_is_no_rate(path, episode):
    write_robomimic(path, [episode(0)], env_args={"env_kwargs": {"control_freq": 99}})
    assert open_dataset(path).episode(0).fps == 10


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fps": 20.0}, "episode 1 has 20 frames per second, the first episode 10"),
        ({"cameras": {"other": ArrayFrames(np.zeros((20, 64, 64, 3), np.uint8))}}, "episode 1 has cameras"),
        ({"cameras": {}}, "has no camera"),
    ],
)
def test_episodes_that_differ_are_refused_and_leave_nothing(path, episode, changes, words):
    with pytest.raises(InvalidValue, match=words):
        write_robomimic(path, [episode(0), dataclasses.replace(episode(1), **changes)])
    assert list(path.parent.iterdir()) == []


def test_pictures_that_cannot_be_decoded_or_change_their_size_leave_nothing(path, episode):
    class Broken:
        identity = None

        def __len__(self):
            return 20

        def __iter__(self):
            yield np.zeros((64, 64, 3), np.uint8)
            yield np.zeros((32, 32, 3), np.uint8)

    with pytest.raises(VideoError, match="episode 0, camera top: frame 1 is"):
        write_robomimic(path, [episode(0, cameras={"top": Broken()})])
    assert list(path.parent.iterdir()) == []


def test_a_place_that_is_taken_is_left_alone(path, episode):
    path.write_text("mine")
    with pytest.raises(OutputError, match="already exists"):
        write_robomimic(path, [episode(0)])
    assert path.read_text() == "mine"
    with pytest.raises(OutputError, match="no episode"):
        write_robomimic(path.with_name("none.hdf5"), [])
    with pytest.raises(InvalidValue, match="'a/b' cannot be a name in HDF5"):
        write_robomimic(path.with_name("slash.hdf5"), [episode(0, names=("a/b",))])
    assert [child.name for child in path.parent.iterdir()] == ["demos.hdf5"]


WRITE = textwrap.dedent("""
    import resource, sys
    import numpy as np
    from headway.episodes import ArrayFrames, Episode
    from headway.errors import OutputError
    from headway_datasets.robomimic_writer import write_robomimic

    limit, path = int(sys.argv[1]), sys.argv[2]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 96, 96, 3), dtype=np.uint8)
    try:
        write_robomimic(path, [Episode(0, 0, 10.0, {"top": ArrayFrames(pixels)})])
    except OutputError as error:
        print(error)
""")


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs limits on file sizes")
@pytest.mark.parametrize("limit", [0, 1000, 300_000])
def test_a_file_that_cannot_grow_is_one_line_and_leaves_nothing(path, limit):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    command = [sys.executable, "-c", WRITE, str(limit), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout.startswith("no room left on the disk"), done
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert list(path.parent.iterdir()) == []
