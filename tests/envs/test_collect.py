import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from headway.errors import HeadwayError, InvalidValue, OutputError, UnknownName
from headway_datasets.opening import open_dataset
from headway_envs.collect import collect
from headway_envs.parts import save_part
from headway_envs.recording import RecordingOptions, ValueOptions
from headway_envs.seeds import collection_seeds, split_seeds
from headway_envs.tasks import TASKS

GRIPPER = RecordingOptions(robot="gripper", size=32)


def made(out, episodes=2, **settings):
    settings = {"mix": "expert=2,drop=1", "options": GRIPPER, "workers": 1, "show_progress": False} | settings
    return collect("tidy-drawer", episodes, out, **settings)


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_collection_is_a_dataset_with_the_truth_beside_it(tmp_path, can_draw):
    out = tmp_path / "demos"
    collection = made(out, 3, seed=5)
    assert collection.fresh
    assert collection.episodes == {"expert": 2, "drop": 1}
    assert collection.successes == {"expert": 2, "drop": 0}
    assert [path.name for path in tmp_path.iterdir()] == ["demos"], "nothing else is left"
    table = pq.read_table(out / "data")
    assert table.num_rows == collection.frames
    columns = {"observation.state", "observation.environment_state", "action"}
    columns |= {"truth.progress", "truth.stage", "truth.success", "truth.imperfection"}
    assert columns <= set(table.column_names)
    notes = json.loads((out / "meta" / "headway.json").read_text())
    assert (notes["task_id"], notes["robot"], notes["seed"]) == ("tidy-drawer", "gripper", 5)
    assert notes["task_version"] == TASKS["tidy-drawer"].version
    assert notes["proportions"] == list(TASKS["tidy-drawer"].proportions)
    assert notes["layout_seeds"] == list(collection_seeds(5, 3))
    assert "progress = P_{k-1} + a_k f" in notes["scale"]


def test_what_was_collected_is_read_back_with_all_of_its_truth(tmp_path, can_draw):
    options = RecordingOptions(robot="gripper", size=32, value=ValueOptions(1, seconds=4))
    made(tmp_path / "demos", 2, mix="expert=1,drop=1", options=options)
    source = open_dataset(tmp_path / "demos")
    for episode in source:
        truth = episode.truth
        at_work = truth.imperfection[:, truth.imperfections.index("drop")]
        assert at_work.any() == (episode.kind == "drop")
        assert not np.isnan(truth.value[0])
        assert np.isnan(truth.value).mean() > 0.9
        assert truth.value_interval.shape == (len(episode), 2)


def test_lerobot_opens_a_collection_with_labels_and_value(tmp_path, can_draw):
    datasets = pytest.importorskip("lerobot.datasets.lerobot_dataset")
    options = RecordingOptions(size=32, cameras=("front", "wrist"), value=ValueOptions(1, seconds=5))
    made(tmp_path / "demos", 1, mix="drop=1", options=options)
    dataset = datasets.LeRobotDataset("local/demos", root=tmp_path / "demos")
    assert dataset.meta.names["action"][0] == "base_yaw.pos"
    row = dataset[0]
    assert row["observation.state"].shape == (20,)
    assert row["truth.imperfection"].shape == (len(dataset.meta.names["truth.imperfection"]),)
    assert float(row["truth.value"]) in (0.0, 1.0)
    assert row["observation.images.wrist"].shape == (3, 32, 32)


def test_any_number_of_workers_collects_the_same_bytes(tmp_path, can_draw):
    alone = made(tmp_path / "alone", 3, seed=9, workers=1)
    together = made(tmp_path / "together", 3, seed=9, workers=2)
    assert alone.frames == together.frames
    assert contents(tmp_path / "alone") == contents(tmp_path / "together")


def test_the_arm_collects_the_same_bytes_twice(tmp_path, can_draw):
    options = RecordingOptions(size=32, variation="mild")
    for name in ("one", "two"):
        made(tmp_path / name, 2, options=options)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_finished_collection_is_left_alone_and_said_to_be_there(tmp_path, can_draw):
    first = made(tmp_path / "demos")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "demos").rglob("*")}
    again = made(tmp_path / "demos")
    assert not again.fresh
    assert (again.frames, dict(again.episodes)) == (first.frames, dict(first.episodes))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "demos").rglob("*")} == before
    with pytest.raises(OutputError, match="holds a collection with other settings"):
        made(tmp_path / "demos", seed=1)
    with pytest.raises(OutputError, match="holds a collection with other settings"):
        made(tmp_path / "demos", options=replace(GRIPPER, paraphrase=True))


def test_a_killed_collection_goes_on_and_ends_with_the_same_bytes(tmp_path, can_draw, monkeypatch):
    made(tmp_path / "whole", 8)
    program = (
        "from pathlib import Path; from headway_envs.collect import collect; "
        "from headway_envs.recording import RecordingOptions\n"
        "if __name__ == '__main__':\n"
        f"    collect('tidy-drawer', 8, Path({str(tmp_path / 'demos')!r}), mix='expert=2,drop=1', workers=1, "
        "options=RecordingOptions(robot='gripper', size=32))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    running = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL)
    parts = tmp_path / ".demos.collecting" / "parts"
    deadline = time.monotonic() + 60
    while len(list(parts.glob("0*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in parts.glob("0*.npz")}
    assert 2 <= len(kept) < 8, "killed in the middle"
    assert not (tmp_path / "demos").exists()
    seen = set()

    def watch(path, trajectory):
        seen.add(path.name)
        save_part(path, trajectory)

    monkeypatch.setattr("headway_envs.collect.save_part", watch)
    made(tmp_path / "demos", 8)
    assert not seen & set(kept), "what was there is not recorded again"
    assert contents(tmp_path / "demos") == contents(tmp_path / "whole")
    assert not (tmp_path / ".demos.collecting").exists()


def test_a_split_brings_its_seeds_and_its_variation(tmp_path, can_draw):
    made(tmp_path / "demos", 2, split="test-ood")
    notes = json.loads((tmp_path / "demos" / "meta" / "headway.json").read_text())
    assert notes["layout_seeds"] == list(split_seeds("test-ood", 2))
    assert (notes["split"], notes["variation"]) == ("test-ood", "ood")
    with pytest.raises(InvalidValue, match="has its own seeds and variation; leave --seed and --variation out"):
        made(tmp_path / "other", 2, split="test-ood", seed=3)


def test_a_taken_folder_is_refused_and_left_alone(tmp_path, can_draw):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        made(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_unwritable_place_is_refused(tmp_path, can_draw):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        made(tmp_path / "file" / "demos")


@pytest.mark.parametrize(
    ("task", "mix", "error", "message"),
    [
        ("fold-shirt", None, UnknownName, "unknown task 'fold-shirt'; available: insert-peg, lift"),
        ("lift", "expert=.5,clumsy=.5", UnknownName, "unknown kind of demonstrator 'clumsy'"),
        ("lift", "wrong-order=1", InvalidValue, "wrong-order"),
        ("lift", "drop+drop=1", InvalidValue, "drop"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_before_anything_is_made(tmp_path, task, mix, error, message):
    with pytest.raises(error, match=message) as caught:
        collect(task, 2, tmp_path / "demos", mix=mix, options=GRIPPER)
    assert isinstance(caught.value, HeadwayError)
    assert "\n" not in str(caught.value)
    assert list(Path(tmp_path).iterdir()) == []
