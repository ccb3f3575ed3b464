import dataclasses
import json
import os
import resource
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from headway.episodes import ArrayFrames, Stage
from headway.errors import InvalidValue, OutputError, UnknownName
from headway_datasets.lerobot_v3 import LeRobotV3
from headway_datasets.lerobot_writer import LeRobotWriter, write_dataset


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_what_is_written_is_read_back(tmp_path, episode, is_frame, codec):
    episodes = [episode(index, length, ("top", "wrist")) for index, length in enumerate((20, 13, 31))]
    write_dataset(tmp_path / "data", episodes, codec=codec, task_id="test")
    source = LeRobotV3(tmp_path / "data")
    assert source.cameras == ("top", "wrist")
    assert source.stage_names == ("open", "pick")
    first_frame = 0
    for written, found in zip(episodes, source, strict=True):
        assert found.first_frame == first_frame
        first_frame += len(written)
        for name in ("index", "fps", "instruction", "stages", "success", "kind"):
            assert getattr(found, name) == getattr(written, name), name
        for name in ("state", "environment_state", "action"):
            assert getattr(found, name).dtype == np.float32
            np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
        for name in ("progress", "stage", "success"):
            np.testing.assert_array_equal(getattr(found.truth, name), getattr(written.truth, name))
        assert found.truth.stage_names == ("open", "pick")
        assert found.truth.proportions == (0.4, 0.6)
        for place, name in enumerate(("top", "wrist")):
            pictures = list(found.camera(name))
            assert len(pictures) == len(written)
            numbers = [100 * written.index + 7 * place + index for index in range(len(written))]
            assert all(is_frame(picture, number) for picture, number in zip(pictures, numbers, strict=True))


def test_parts_that_are_missing_stay_missing(tmp_path, episode):
    nothing = dict.fromkeys(
        ("state", "environment_state", "action", "stages", "dense_stages", "success", "truth", "kind", "instruction")
    )
    write_dataset(tmp_path / "data", [episode(0, **nothing)])
    source = LeRobotV3(tmp_path / "data")
    found = source.episode(0)
    assert all(getattr(found, name) is None for name in nothing)
    assert source.stage_names is None
    assert source.dense_stage_names is None
    assert not list((tmp_path / "data/meta").glob("*proportions*"))
    assert not (tmp_path / "data/meta/headway.json").exists()


def test_a_single_number_of_state_keeps_its_axis(tmp_path, episode):
    write_dataset(tmp_path / "data", [episode(0, action=np.arange(20, dtype=np.float32)[:, None])])
    np.testing.assert_array_equal(LeRobotV3(tmp_path / "data").episode(0).action, np.arange(20)[:, None])


def test_unannotated_episodes_may_stand_beside_annotated_ones(tmp_path, episode):
    write_dataset(tmp_path / "data", [episode(0, stages=None, success=None), episode(1), episode(2, stages=())])
    source = LeRobotV3(tmp_path / "data")
    assert [found.stages and len(found.stages) for found in source] == [None, 2, ()]
    assert [found.success for found in source] == [None, False, True]
    assert source.stage_names == ("open", "pick")


def test_dense_stages_are_written_beside_the_others_and_declared(tmp_path, episode):
    fine = [(Stage("reach", 0, 2), Stage("grip", 2, 8), Stage("pull", 8, 10)), (Stage("reach", 1, 9),), None]
    fine.append((Stage("reach", 0, 10), Stage("grip", 10, 18), Stage("pull", 18, 20)))
    episodes = [episode(index, dense_stages=stages) for index, stages in enumerate(fine)]
    episodes[3] = dataclasses.replace(episodes[3], stages=None)
    write_dataset(tmp_path / "data", episodes)
    source = LeRobotV3(tmp_path / "data")
    assert [found.dense_stages for found in source] == fine
    assert [found.stages for found in source] == [each.stages for each in episodes]
    assert (source.stage_names, source.dense_stage_names) == (("open", "pick"), ("reach", "grip", "pull"))
    declared = json.loads((tmp_path / "data/meta/temporal_proportions_dense.json").read_text())
    assert list(declared) == ["reach", "grip", "pull"]
    assert declared == pytest.approx({"reach": 0.35, "grip": 0.5, "pull": 0.15})
    again = tmp_path / "again"
    write_dataset(again, source)
    assert [found.dense_stages for found in LeRobotV3(again)] == fine


def test_dense_stages_may_be_all_the_annotation_there_is(tmp_path, episode):
    fine = (Stage("reach", 0, 2), Stage("grip", 2, 20))
    write_dataset(tmp_path / "data", [episode(0, stages=None, truth=None, dense_stages=fine)])
    source = LeRobotV3(tmp_path / "data")
    assert (source.stage_names, source.dense_stage_names) == (None, ("reach", "grip"))
    assert not (tmp_path / "data/meta/temporal_proportions_sparse.json").exists()


def test_a_new_file_is_begun_once_one_is_large_enough(tmp_path, episode, is_frame):
    sizes = {"state_dim": 3, "environment_state_dim": 5, "action_dim": 2}
    with LeRobotWriter(tmp_path / "data", 10, {"top": (64, 64)}, **sizes, file_mb=0.001) as writer:
        for index in range(5):
            writer.add(episode(index))
    assert len(list((tmp_path / "data/videos/observation.images.top/chunk-000").iterdir())) > 2
    assert len(list((tmp_path / "data/data/chunk-000").iterdir())) > 2
    for found in LeRobotV3(tmp_path / "data"):
        np.testing.assert_array_equal(found.state, episode(found.index).state)
        assert all(is_frame(picture, 100 * found.index + i) for i, picture in enumerate(found.camera("top")))


def test_free_metadata_and_stages_are_in_headway_json(tmp_path, episode):
    write_dataset(tmp_path / "data", [episode(0)], task_id="tidy-drawer", task_version=2)
    content = json.loads((tmp_path / "data/meta/headway.json").read_text())
    assert content == {
        "task_id": "tidy-drawer",
        "task_version": 2,
        "stage_names": ["open", "pick"],
        "proportions": [0.4, 0.6],
    }


def test_a_folder_that_holds_something_is_never_touched(tmp_path, episode):
    (tmp_path / "data").mkdir()
    write_dataset(tmp_path / "data", [episode(0)])
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*"))
    with pytest.raises(OutputError, match="already exists and is not empty"):
        write_dataset(tmp_path / "data", [episode(0)])
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")) == before


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_an_interrupted_run_leaves_nothing(tmp_path, episode, interruption):
    def episodes():
        yield episode(0)
        raise interruption

    with pytest.raises(interruption):
        write_dataset(tmp_path / "data", episodes())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": 20.0}, "has 20 frames per second, the dataset 10"),
        ({"state": None}, r"observation\.state of shape None, the dataset was declared with \(3,\)"),
        ({"truth": None}, "lacks truth"),
        ({"cameras": {"wrist": ArrayFrames(np.zeros((20, 64, 64, 3), np.uint8))}}, r"cameras \['wrist'\]"),
        ({"cameras": {"top": ArrayFrames(np.zeros((20, 32, 32, 3), np.uint8))}}, r"frame 0 has shape \(32, 32, 3\)"),
    ],
)
def test_an_episode_unlike_the_first_is_refused_and_nothing_is_left(tmp_path, episode, changes, message):
    with pytest.raises(InvalidValue, match=message):
        write_dataset(tmp_path / "data", [episode(0), episode(1, **changes)])
    assert list(tmp_path.iterdir()) == []


def test_true_stages_must_be_the_same_in_all_episodes(tmp_path, episode):
    other = dataclasses.replace(episode(1).truth, stage_names=("pick", "open"))
    with pytest.raises(InvalidValue, match="true stages"):
        write_dataset(tmp_path / "data", [episode(0), episode(1, truth=other)])


def test_after_an_error_no_half_of_a_dataset_can_be_finished(tmp_path, episode):
    sizes = {"state_dim": 3, "environment_state_dim": 5, "action_dim": 2}
    with LeRobotWriter(tmp_path / "data", 10, {"top": (64, 64)}, **sizes) as writer:
        writer.add(episode(0))
        with pytest.raises(InvalidValue):
            writer.add(episode(1, fps=20.0))
        with pytest.raises(OutputError, match="nothing can be added"):
            writer.add(episode(2))
    assert list(tmp_path.iterdir()) == []


def test_wrong_declarations_are_refused_at_once(tmp_path):
    with pytest.raises(InvalidValue, match="63x64; video needs an even height and width"):
        LeRobotWriter(tmp_path / "data", 10, {"top": (63, 64)})
    with pytest.raises(InvalidValue, match="at least one camera"):
        LeRobotWriter(tmp_path / "data", 10, {})
    with pytest.raises(UnknownName, match="video codec 'gif'"):
        LeRobotWriter(tmp_path / "data", 10, {"top": (64, 64)}, codec="gif")
    with pytest.raises(OutputError, match="no episode"):
        write_dataset(tmp_path / "data", [])


WRITE = textwrap.dedent("""
    import resource, sys
    import numpy as np
    from headway.episodes import ArrayFrames, Episode
    from headway.errors import OutputError
    from headway_datasets.lerobot_writer import write_dataset

    limit, root = int(sys.argv[1]), sys.argv[2]
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    rng = np.random.default_rng(0)

    def episodes():
        for index in range(8):
            pixels = rng.integers(0, 256, (40, 96, 96, 3), dtype=np.uint8)
            yield Episode(index=index, first_frame=0, fps=10, cameras={"top": ArrayFrames(pixels)})

    try:
        write_dataset(root, episodes())
    except OutputError as error:
        print(error)
""")


def write_elsewhere(root, limit=0, wrapper=()):
    path = os.pathsep.join(path for path in sys.path if path)
    command = [*wrapper, sys.executable, "-c", WRITE, str(limit), str(root)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs limits on file sizes")
@pytest.mark.parametrize("limit", [20_000, 300_000])
def test_a_file_that_cannot_grow_is_one_line_and_leaves_nothing(tmp_path, limit):
    done = write_elsewhere(tmp_path / "data", limit)
    assert done.stdout.startswith("no room left on the disk")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    mount = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        f'mount -t tmpfs -o size=100k none {tmp_path} && "$@" && ls -A {tmp_path}',
        "sh",
    ]
    try:
        possible = subprocess.run([*mount, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        possible = False
    if not possible:
        pytest.skip("a small file system cannot be mounted here")
    done = write_elsewhere(tmp_path / "data", wrapper=mount)
    assert done.stdout.startswith("no room left on the disk")
    assert done.stdout.count("\n") == 1, "`ls` found something left"
    assert done.stderr == ""
