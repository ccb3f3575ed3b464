import numpy as np
import pytest

from headway.errors import OutputError
from headway_envs.parts import Parts, load_part, save_part
from headway_envs.recording import Recorder, RecordingOptions


@pytest.fixture(scope="module")
def trajectory():
    recorder = Recorder("stack-three", RecordingOptions(robot="gripper", cameras=()))
    made = recorder.record(3, "drop")
    frames = {"front": np.random.default_rng(0).integers(0, 255, (len(made), 16, 16, 3)).astype(np.uint8)}
    import dataclasses

    return dataclasses.replace(made, frames=frames)


def test_a_part_comes_back_to_the_last_bit(tmp_path, trajectory):
    save_part(tmp_path / "one.npz", trajectory)
    back = load_part(tmp_path / "one.npz")
    for name in ("state", "environment_state", "action"):
        assert getattr(back, name).tobytes() == getattr(trajectory, name).tobytes()
        assert getattr(back, name).dtype == getattr(trajectory, name).dtype
    for name in ("progress", "stage", "success", "imperfection"):
        assert np.array_equal(getattr(back.truth, name), getattr(trajectory.truth, name))
    assert back.truth.value is None
    assert back.truth.imperfections == trajectory.truth.imperfections
    assert back.truth.proportions == trajectory.truth.proportions
    assert (back.seed, back.kind, back.fps, back.instruction) == (3, "drop", 20, trajectory.instruction)
    assert np.array_equal(back.frames["front"], trajectory.frames["front"])


def test_only_whole_parts_count(tmp_path, trajectory):
    parts = Parts(tmp_path / "demos", {"seed": 0})
    save_part(parts.path(1), trajectory)
    parts.path(2).with_name(".000002.npz.abcd.part").write_bytes(b"half")
    assert parts.missing(4) == [0, 2, 3]


def test_other_settings_are_refused_and_the_same_are_taken_up(tmp_path):
    first = Parts(tmp_path / "demos", {"seed": 0, "mix": {"expert": 1.0}, "cameras": ("front",)})
    first.path(0).write_bytes(b"x")
    again = Parts(tmp_path / "demos", {"seed": 0, "mix": {"expert": 1.0}, "cameras": ("front",)})
    assert again.missing(1) == []
    with pytest.raises(OutputError, match=r"\.demos\.collecting holds an unfinished collection with other settings"):
        Parts(tmp_path / "demos", {"seed": 1})


def test_what_a_killed_run_left_of_its_dataset_is_removed_but_no_part(tmp_path):
    parts = Parts(tmp_path / "demos", {"seed": 0})
    parts.path(0).write_bytes(b"x")
    (parts.folder / ".dataset.1234.partial" / "dataset").mkdir(parents=True)
    fresh = parts.fresh_dataset()
    assert not fresh.exists()
    assert sorted(path.name for path in parts.folder.iterdir()) == ["parts", "settings.json"]
    assert parts.missing(1) == []
