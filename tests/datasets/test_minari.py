"""The Minari reader on datasets that minari itself wrote."""

import json
import shutil

import h5py
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Text, Tuple
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.errors import DatasetError, InvalidValue, UnknownName
from headway_datasets.opening import open_dataset

PIXELS = Box(0, 255, (48, 64, 3), np.uint8)
SPACE = Dict(
    {
        "pixels": PIXELS,
        "agent": Dict({"qpos": Box(-9, 9, (2,), np.float64), "grip": Discrete(3)}),
        "desired_goal": Box(-9, 9, (3,), np.float64),
        "mission": Text(30),
    }
)


def pictures(number, length):
    """Smooth, so that JPEG changes little."""
    rows = np.linspace(0, 200, 48)[None, :, None, None] + 3 * np.arange(length + 1)[:, None, None, None] + 5 * number
    return np.broadcast_to(rows, (length + 1, 48, 64, 3)).astype(np.uint8)


def observations(number, length):
    rng = np.random.default_rng(number)
    agent = {"qpos": rng.normal(size=(length + 1, 2)), "grip": np.arange(length + 1) % 3}
    goal = np.full((length + 1, 3), 7.0)
    return {
        "pixels": pictures(number, length),
        "agent": agent,
        "desired_goal": goal,
        "mission": ["go to the red door"] * (length + 1),
    }


def infos(number, length):
    """The second episode never succeeds; the first does so at its last step."""
    return {"success": (np.arange(length + 1) == length) & (number == 0), "other": np.zeros(length + 1)}


def at(root, fps=20):
    return f"{root}?fps={fps}"


def error_of(path):
    with pytest.raises(DatasetError) as caught:
        list(open_dataset(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("jpeg", [False, True])
def test_what_minari_wrote_is_read_without_the_last_observation(save_minari, jpeg):
    root = save_minari("whole", SPACE, observations, infos=infos, jpeg_encoding=jpeg)
    source = open_dataset(at(root))
    assert (source.format, source.cameras, len(source)) == ("minari", ("pixels",), 2)
    first_frame = 0
    for number, (found, length) in enumerate(zip(source, (5, 7), strict=True)):
        seen = observations(number, length)
        assert (found.index, found.first_frame, len(found), found.fps) == (number, first_frame, length, 20)
        first_frame += length
        assert found.instruction == "go to the red door"
        assert found.success is (number == 0)
        shown = np.stack(list(found.camera("pixels"))).astype(int)
        assert np.abs(shown - pictures(number, length)[:-1]).max() <= (3 if jpeg else 0)
        np.testing.assert_array_equal(found.state[:, 0], seen["agent"]["grip"][:-1])
        np.testing.assert_array_equal(found.state[:, 1:], seen["agent"]["qpos"][:-1].astype(np.float32))
        assert found.state_names == ("agent.grip.0", "agent.qpos.0", "agent.qpos.1")
        np.testing.assert_array_equal(found.environment_state, np.full((length, 3), 7))
        assert found.action.shape == (length, 2)
        assert found.action_names is None
        assert (found.stages, found.truth, found.kind) == (None, None, None)


def test_minari_itself_reads_the_same(save_minari):
    root = save_minari("same", SPACE, observations, jpeg_encoding=True)
    import minari

    for theirs, ours in zip(
        minari.load_dataset("test/same-v0").iterate_episodes(), open_dataset(at(root)), strict=True
    ):
        shown = np.stack(list(ours.camera("pixels"))).astype(int)
        # two JPEG decoders may round a colour differently
        assert np.abs(shown - theirs.observations["pixels"][:-1]).max() <= 2
        np.testing.assert_array_equal(ours.action, theirs.actions)
        assert ours.success is None


def test_pictures_that_are_the_whole_observation_are_the_camera(save_minari):
    root = save_minari("flat", PIXELS, pictures, jpeg_encoding=False)
    source = open_dataset(at(root))
    assert source.cameras == ("camera",)
    assert source.episode(0).state is None
    assert open_dataset(at(root), rename={"camera": "top"}).cameras == ("top",)
    with pytest.raises(UnknownName, match="'top'"):
        open_dataset(at(root), rename={"top": "camera"})


def test_actions_of_several_parts_stand_side_by_side(save_minari):
    space = Dict({"arm": Box(-1, 1, (2,), np.float32), "grip": Discrete(2)})
    both = Tuple((PIXELS, Box(-9, 9, (2,), np.float64)))
    root = save_minari(
        "parts",
        both,
        lambda number, length: (pictures(number, length), np.ones((length + 1, 2))),
        action_space=space,
        actions=lambda number, length: {
            "arm": np.full((length, 2), 0.5, np.float32),
            "grip": np.ones(length, np.int64),
        },
    )
    found = open_dataset(at(root)).episode(0)
    np.testing.assert_array_equal(found.action, np.tile([0.5, 0.5, 1], (5, 1)))
    assert found.action_names == ("arm.0", "arm.1", "grip.0")
    assert list(found.cameras) == ["_index_0"]
    np.testing.assert_array_equal(found.state, np.ones((5, 2)))


def test_it_is_known_by_its_folder_its_data_and_its_file(save_minari):
    root = save_minari("places", SPACE, observations)
    found = [open_dataset(at(path)) for path in (root, root / "data", root / "data/main_data.hdf5")]
    assert {source.format for source in found} == {"minari"}
    assert len({source.fingerprint for source in found}) == 1
    assert open_dataset(found[0].root.resolve()).fps == 20


def test_frames_per_second_come_from_the_metadata_or_the_path(save_minari):
    root = save_minari("rate", SPACE, observations)
    assert f"'{root}?fps=20'" in error_of(root)
    for wrong in ("0", "-1", "nan", "fast", ""):
        with pytest.raises(InvalidValue, match="needs a number above 0"):
            open_dataset(at(root, wrong))
    path = root / "data/metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fps": 5}))
    assert open_dataset(root).episode(0).fps == 5


def test_without_pictures_it_says_what_there_is_and_what_to_do(save_minari):
    root = save_minari("blind", Box(-9, 9, (4,), np.float64), lambda number, length: np.zeros((length + 1, 4)))
    message = error_of(at(root))
    assert "has no camera: its observations are observation float64 (6, 4)" in message
    assert "AddRenderObservation" in message


def test_another_storage_is_named(save_minari):
    root = save_minari("arrow", SPACE, observations, data_format="arrow")
    assert "stored as arrow; hdf5 is read" in error_of(at(root))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.pop("episode_1"), "promises total_episodes 2 and holds 1"),
        (lambda file: file["episode_1"].pop("actions"), "expected actions in it"),
        (lambda file: file["episode_1"].pop("observations"), "expected observations in it"),
        (lambda file: file["episode_1/observations"].pop("mission"), "lacks the observations mission"),
        (lambda file: file["episode_1/actions"].resize((3, 2)), "promises total_steps 7 and holds 3"),
        (lambda file: file["episode_1/observations/desired_goal"].resize((3, 3)), "observations of another length"),
        (lambda file: file["episode_1/observations/desired_goal"].resize((20, 3)), "observations of another length"),
    ],
)
def test_what_does_not_fit_together_is_told(save_minari, damage, words):
    root = save_minari("broken", SPACE, observations)
    with h5py.File(root / "data/main_data.hdf5", "r+") as file:
        damage(file)
    assert words in error_of(at(root))


def test_broken_metadata_are_told(save_minari):
    root = save_minari("meta", SPACE, observations)
    (root / "data/metadata.json").write_text("{")
    assert "metadata.json is not readable JSON" in error_of(at(root))
    (root / "data/main_data.hdf5").unlink()
    (root / "data/metadata.json").write_text('{"data_format": "hdf5"}')
    assert "without main_data.hdf5" in error_of(at(root))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.sampled_from(["", "/observations", "/observations/pixels", "/observations/agent", "/actions", "/infos"]),
    value=st.sampled_from(
        [np.zeros((0, 3)), np.zeros(6), np.array(3), np.array([b"\xff\xd8\xff"] * 6), "group", "loop"]
    ),
    episode=st.integers(0, 1),
    share=st.floats(0, 1),
)
def test_whatever_lies_in_a_place_it_is_read_or_told(save_minari, tmp_path, place, value, episode, share):
    root = tmp_path / "minari/test/hostile-v0"
    if not root.exists():
        save_minari("hostile", SPACE, observations, infos=infos)
        shutil.copy(root / "data/main_data.hdf5", tmp_path / "good.hdf5")
    path, name = root / "data/main_data.hdf5", f"episode_{episode}{place}"
    shutil.copy(tmp_path / "good.hdf5", path)
    with h5py.File(path, "r+") as file:
        del file[name]
        if isinstance(value, np.ndarray):
            file[name] = value
        elif value == "group":
            file.create_group(name)
        else:
            file[name] = file[name.rpartition("/")[0] or "/"]
    if share > 0.7:
        path.write_bytes(path.read_bytes()[: int(share * 0.9 * path.stat().st_size)])
    message = ""
    try:
        for found in open_dataset(at(root)):
            assert len(list(found.camera("pixels"))) == len(found)
    except DatasetError as error:
        message = str(error)
    assert "\n" not in message
