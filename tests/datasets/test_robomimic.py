"""The robomimic reader on files as robomimic, LIBERO and RoboCasa lay them out, written with h5py alone."""

import json

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.errors import DatasetError, InvalidValue, UnknownName, VideoError
from headway_datasets.opening import open_dataset
from headway_datasets.robomimic_writer import write_robomimic

ENV_ARGS = {"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 20, "has_renderer": False}}


def pixels(number, length):
    return np.random.default_rng(number).integers(0, 256, (length, 12, 16, 3), dtype=np.uint8)


@pytest.fixture
def robosuite(tmp_path):
    """As robomimic's dataset_states_to_obs.py writes it; the second demo never succeeds."""
    path = tmp_path / "image.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(ENV_ARGS)
        data.attrs["total"] = 13
        for number, (name, length) in enumerate({"demo_2": 8, "demo_10": 5}.items()):
            demo = data.create_group(name)
            demo.attrs["num_samples"] = length
            demo.attrs["model_file"] = "<mujoco/>"
            rng = np.random.default_rng(number)
            demo["actions"] = rng.uniform(-1, 1, (length, 7))
            demo["rewards"] = np.where((np.arange(length) == length - 2) & (number == 0), 1.0, 0.0)
            demo["dones"] = (np.arange(length) == length - 1).astype(np.int64)
            demo["states"] = rng.normal(size=(length, 32))
            for group in ("obs", "next_obs"):
                obs = demo.create_group(group)
                obs.create_dataset("agentview_image", data=pixels(number, length), compression="gzip")
                obs["robot0_eye_in_hand_image"] = pixels(50 + number, length)
                obs["agentview_depth"] = rng.random((length, 12, 16, 1), np.float32)
                obs["object"] = np.full((length, 2), 9.0)
                obs["robot0_gripper_qpos"] = np.full((length, 2), 2.0)
                obs["robot0_eef_pos"] = np.full((length, 3), 1.0) + np.arange(length)[:, None]
        mask = file.create_group("mask")
        mask["train"] = np.array([b"demo_2"])
    return path


@pytest.fixture
def libero(tmp_path):
    """As LIBERO's create_dataset.py writes it: upside down, and the task in `problem_info`."""
    path = tmp_path / "KITCHEN_SCENE_demo.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(ENV_ARGS)
        data.attrs["macros_image_convention"] = "opengl"
        data.attrs["problem_info"] = json.dumps({"language_instruction": '"open the drawer"'})
        demo = data.create_group("demo_0")
        demo.attrs["num_samples"] = 6
        demo.attrs["init_state"] = np.zeros(4)
        demo["actions"] = np.zeros((6, 7))
        demo["rewards"] = demo["dones"] = np.array([0, 0, 0, 0, 0, 1], np.uint8)
        obs = demo.create_group("obs")
        obs["agentview_rgb"] = pixels(0, 6)
        obs["eye_in_hand_rgb"] = pixels(1, 6)
        obs["gripper_states"] = np.full((6, 2), 2.0)
        obs["ee_pos"] = np.full((6, 3), 1.0)
    return path


def error_of(path):
    with pytest.raises(DatasetError) as caught:
        list(open_dataset(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_robosuite_file_is_read(robosuite):
    source = open_dataset(robosuite)
    assert source.format == "robomimic-hdf5"
    assert source.cameras == ("agentview", "robot0_eye_in_hand")
    assert len(source) == 2
    assert source.stage_names is None
    first, second = source
    assert (first.index, first.first_frame, len(first), first.fps) == (0, 0, 8, 20)
    assert (second.index, second.first_frame, len(second)) == (1, 8, 5)
    assert (first.success, second.success) == (True, False)
    assert (first.instruction, first.stages, first.truth, first.kind) == (None,) * 4
    np.testing.assert_array_equal(np.stack(list(first.camera("agentview"))), pixels(0, 8))
    np.testing.assert_array_equal(np.stack(list(second.camera("robot0_eye_in_hand"))), pixels(51, 5))
    assert first.state_names == tuple(
        [f"robot0_eef_pos.{k}" for k in range(3)] + ["robot0_gripper_qpos.0"] + ["robot0_gripper_qpos.1"]
    )
    np.testing.assert_array_equal(first.state[3], [4, 4, 4, 2, 2])
    np.testing.assert_array_equal(first.environment_state, np.full((8, 2), 9))
    assert source.names["environment_state"] == ["object.0", "object.1"]
    with h5py.File(robosuite) as file:
        np.testing.assert_array_equal(first.action, file["data/demo_2/actions"][()].astype(np.float32))


def test_a_libero_file_is_turned_the_right_way_up_and_says_its_task(libero):
    source = open_dataset(libero)
    found = source.episode(0)
    assert source.cameras == ("agentview", "eye_in_hand")
    assert found.instruction == "open the drawer"
    assert found.success is True
    np.testing.assert_array_equal(np.stack(list(found.camera("agentview"))), pixels(0, 6)[:, ::-1])
    np.testing.assert_array_equal(found.state[0], [1, 1, 1, 2, 2])
    assert found.environment_state is None


def test_robocasa_says_the_task_of_each_demo(robosuite):
    with h5py.File(robosuite, "r+") as file:
        file["data"].attrs["lang"] = "tidy up"
        file["data/demo_10"].attrs["ep_meta"] = json.dumps({"lang": "close the door", "layout_id": 3})
    assert [episode.instruction for episode in open_dataset(robosuite)] == ["tidy up", "close the door"]


def test_pictures_can_be_read_again_and_in_part(robosuite):
    frames = open_dataset(robosuite).episode(0).camera("agentview")
    started = iter(frames)
    next(started)
    assert len(list(frames)) == len(list(frames)) == 8
    assert frames.identity == open_dataset(robosuite).episode(0).camera("agentview").identity
    assert frames.identity != open_dataset(robosuite).episode(1).camera("agentview").identity
    np.testing.assert_array_equal(next(started), pixels(0, 8)[1])


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ({"demo_2": np.linspace(0, 1, 8)}, [None, None]),
        ({"demo_2": np.zeros(8)}, [None, None]),
        ({"demo_2": np.full(8, np.nan)}, [None, None]),
        ({"demo_10": None}, [True, None]),
    ],
)
def test_success_is_unknown_unless_rewards_are_sparse_and_some_demo_has_one(robosuite, rewards, expected):
    with h5py.File(robosuite, "r+") as file:
        for name, values in rewards.items():
            del file[f"data/{name}/rewards"]
            if values is not None:
                file[f"data/{name}/rewards"] = values
    assert [episode.success for episode in open_dataset(robosuite)] == expected


def test_frames_per_second_that_are_not_stated_are_asked_for_and_kept_with_the_path(robosuite):
    with h5py.File(robosuite, "r+") as file:
        file["data"].attrs["env_args"] = json.dumps({"env_name": "Lift", "env_kwargs": {}})
    assert "?fps=20'" in error_of(robosuite)
    source = open_dataset(f"{robosuite}?fps=12.5")
    assert source.episode(0).fps == 12.5
    assert open_dataset(source.root.resolve()).fps == 12.5
    assert source.fingerprint != open_dataset(f"{robosuite}?fps=10").fingerprint
    assert source.episode(0).recording == open_dataset(f"{robosuite}?fps=10").episode(0).recording


def test_frames_per_second_that_contradict_the_file_are_refused(robosuite):
    assert open_dataset(f"{robosuite}?fps=20").fps == 20
    with pytest.raises(InvalidValue, match="20 frames per second by itself, not 10"):
        open_dataset(f"{robosuite}?fps=10")


def test_cameras_are_renamed_and_unknown_ones_told(robosuite):
    source = open_dataset(robosuite, cameras=["top"], rename={"agentview": "top"})
    assert list(source.episode(0).cameras) == ["top"]
    with pytest.raises(UnknownName, match="'front'; available: agentview"):
        open_dataset(robosuite, rename={"front": "top"})


def test_another_layout_says_what_was_found_and_what_is_expected(tmp_path):
    path = tmp_path / "aloha.hdf5"
    with h5py.File(path, "w") as file:
        file["action"] = np.zeros((4, 14), np.float32)
        file["observations/images/top"] = pixels(0, 4)
    message = error_of(path)
    assert "holds action float32 (4, 14), observations" in message
    assert "expected data/demo_N with actions and obs/*_image" in message
    with h5py.File(path, "w") as file:
        file["data/episode_1/x"] = 1
    assert "data holds episode_1; expected data/demo_N" in error_of(path)
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros(3)
    assert "holds data float64 (3,); expected" in error_of(path)
    (tmp_path / "many").mkdir()
    path.rename(tmp_path / "many/task.hdf5")
    assert f"one at a time, such as {tmp_path}/many/task.hdf5" in error_of(tmp_path / "many")


def test_a_file_without_pictures_says_how_to_make_them(robosuite):
    with h5py.File(robosuite, "r+") as file:
        for demo in file["data"].values():
            del demo["obs/agentview_image"], demo["obs/robot0_eye_in_hand_image"]
    message = error_of(robosuite)
    assert "has no camera" in message
    assert "object float64 (8, 2)" in message
    with h5py.File(robosuite, "r+") as file:
        del file["data/demo_10/obs"]
    assert "dataset_states_to_obs.py" in error_of(robosuite)


def replace(name, values):
    def damage(file):
        del file[name]
        file[name] = values

    return damage


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (replace("data/demo_10/actions", np.zeros((4, 7))), "promises num_samples 5 and holds 4"),
        (replace("data/demo_10/actions", np.zeros((5, 7, 2))), "(time, dim) needed"),
        (replace("data/demo_10/actions", np.array([b"a"] * 5)), "rows of numbers needed"),
        (replace("data/demo_10/rewards", np.array([b"a"] * 5)), "rows of numbers needed"),
        (replace("data/demo_10/obs/agentview_image", pixels(0, 4)), "uint8 (5, height, width, 3) needed"),
        (replace("data/demo_10/obs/agentview_image", np.zeros((5, 12, 16, 3))), "obs/agentview_image of demo_10 is"),
        (replace("data/demo_10/obs/robot0_eef_pos", np.zeros((3, 3))), "observations of different length"),
        (replace("data/demo_10/obs/object", np.zeros((3, 2))), "parts of different length"),
        (replace("data/demo_10", np.zeros(3)), "data/demo_10 is no group"),
        (lambda file: file["data"].attrs.update({"env_args": "{"}), "env_args of /data is not readable JSON"),
        (lambda file: file["data/demo_10"].attrs.update({"ep_meta": "[" * 100_000}), "ep_meta"),
    ],
)
def test_what_does_not_fit_together_is_told_in_one_line(robosuite, damage, words):
    with h5py.File(robosuite, "r+") as file:
        damage(file)
    assert words in error_of(robosuite)


def test_nothing_outside_the_file_is_followed(robosuite, tmp_path):
    with h5py.File(tmp_path / "other.hdf5", "w") as other:
        other["secret"] = pixels(0, 5)
    (tmp_path / "bytes").write_bytes(b"x" * 5 * 12 * 16 * 3)
    layout = h5py.VirtualLayout((5, 12, 16, 3), np.uint8)
    layout[:] = h5py.VirtualSource(tmp_path / "other.hdf5", "secret", (5, 12, 16, 3))
    name = "data/demo_10/obs/agentview_image"
    for make in (
        lambda file: file.__setitem__(name, h5py.ExternalLink(str(tmp_path / "other.hdf5"), "/secret")),
        lambda file: file.create_virtual_dataset(name, layout),
        lambda file: file.create_dataset(
            name, (5, 12, 16, 3), np.uint8, external=[(str(tmp_path / "bytes"), 0, 5 * 12 * 16 * 3)]
        ),
    ):
        with h5py.File(robosuite, "r+") as file:
            del file[name]
            make(file)
        assert "lies in another file, which is not followed" in error_of(robosuite)


def test_pictures_cut_short_after_opening_are_told(robosuite):
    frames = open_dataset(robosuite).episode(0).camera("robot0_eye_in_hand")
    with h5py.File(robosuite, "r+") as file:
        del file["data/demo_2/obs/robot0_eye_in_hand_image"]
        file["data/demo_2/obs/robot0_eye_in_hand_image"] = pixels(0, 3)
    with pytest.raises(VideoError, match="holds 3 of the 8 frames"):
        list(frames)
    with h5py.File(robosuite, "r+") as file:
        del file["data/demo_2/obs"]
    with pytest.raises(VideoError, match="episode 0, camera robot0_eye_in_hand"):
        list(frames)


@pytest.fixture(scope="module")
def ours(tmp_path_factory, episode):
    path = tmp_path_factory.mktemp("ours") / "ours.hdf5"
    write_robomimic(path, [episode(number, 10 + number) for number in range(2)])
    return path


def told(path):
    """Read everything; the one line that says what is wrong, or None. Any other error is a failure."""
    message = None
    try:
        for found in open_dataset(path):
            for frames in found.cameras.values():
                assert len(list(frames)) == len(found)
    except DatasetError as error:
        message = str(error)
    assert "\n" not in (message or "")
    return message


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_anywhere_is_told(ours, tmp_path, share):
    content = ours.read_bytes()
    path = tmp_path / "cut.hdf5"
    path.write_bytes(content[: int(share * len(content))])
    assert told(path)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("truth_progress", np.linspace(0, 1, 10), "holds float64, float32 needed"),
        ("truth_success", np.zeros(9, bool), "of one length, got 10, 10 and 9"),
        ("truth_stage", None, "lacks stage"),
        ("episode", np.array('{"kind": 7}', dtype=h5py.string_dtype()), "has kind 7, not a text"),
    ],
)
def test_a_damaged_group_of_ours_is_told(ours, tmp_path, name, values, words):
    path = tmp_path / "damaged.hdf5"
    path.write_bytes(ours.read_bytes())
    with h5py.File(path, "r+") as file:
        del file[f"data/demo_0/headway/{name}"]
        if values is not None:
            file[f"data/demo_0/headway/{name}"] = values
    assert words in told(path)


VALUES = st.sampled_from(
    [
        np.zeros((0, 3)),
        np.zeros((10, 2), np.complex64),
        np.zeros(10),
        np.full((10, 3), np.inf),
        np.array(3),
        np.array([b"text"] * 10),
        np.array("text", dtype=h5py.string_dtype()),
        np.array("[1, 2", dtype=h5py.string_dtype()),
        np.array('{"stages": [["a", 0]], "truth": 3, "success": "no"}', dtype=h5py.string_dtype()),
        np.array('{"stages": [["a", 5, 2]], "kind": 7}', dtype=h5py.string_dtype()),
        np.array('{"truth": {"stage_names": 1}}', dtype=h5py.string_dtype()),
        np.array('{"state_names": ["a"]}', dtype=h5py.string_dtype()),
        np.zeros((10, 64, 64, 3), np.float32),
        np.zeros((10, 3, 64, 64), np.uint8),
        np.zeros((10, 64, 64, 3), np.uint8),
        None,
        "group",
        "soft link to nowhere",
        "link to itself",
        "reference",
    ]
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.sampled_from(
        [
            "data",
            "data/demo_0",
            "data/demo_0/obs",
            "data/demo_0/actions",
            "data/demo_0/rewards",
            "data/demo_0/obs/top_image",
            "data/demo_0/obs/robot0_state",
            "data/demo_0/obs/object",
            "data/demo_0/headway",
            "data/demo_0/headway/episode",
            "data/demo_0/headway/truth_progress",
            "data/demo_0/headway/truth_stage",
            "data/demo_1/obs/top_image",
            "data/demo_1/headway/truth_success",
        ]
    ),
    value=VALUES,
)
def test_whatever_lies_in_a_place_it_is_read_or_told(ours, tmp_path, place, value):
    path = tmp_path / "hostile.hdf5"
    path.write_bytes(ours.read_bytes())
    with h5py.File(path, "r+") as file:
        del file[place]
        if isinstance(value, np.ndarray):
            file[place] = value
        elif value == "group":
            file.create_group(place)
        elif value == "soft link to nowhere":
            file[place] = h5py.SoftLink("/nowhere")
        elif value == "link to itself":
            file[place] = file[place.rpartition("/")[0] or "/"]
        elif value == "reference":
            file.create_dataset(place, data=file.ref, dtype=h5py.ref_dtype)
    told(path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.sampled_from(["data", "data/demo_0"]),
    name=st.sampled_from(["env_args", "num_samples", "ep_meta", "problem_info", "lang", "macros_image_convention"]),
    value=st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats()
    | st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)
    | st.sampled_from(['{"env_kwargs": 3}', '{"env_kwargs": {"control_freq": -1}}', '{"lang": {}}', "[" * 9999])
    | st.lists(st.integers(0, 9), min_size=1, max_size=3),
)
def test_whatever_an_attribute_says_it_is_read_or_told(ours, tmp_path, place, name, value):
    path = tmp_path / "hostile.hdf5"
    path.write_bytes(ours.read_bytes())
    with h5py.File(path, "r+") as file:
        file[place].attrs[name] = h5py.Empty("f") if value is None else value
    told(path)
