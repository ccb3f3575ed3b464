"""`headway tasks` and `headway collect` as a user meets them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from headway_datasets.opening import open_dataset

COMMAND = Path(sys.executable).parent / "headway"
SMALL = ("--robot", "gripper", "--size", 32, "--workers", 1)


def one_line(done) -> str:
    told = [line for line in done.stderr.splitlines() if line.startswith("headway: ")]
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert len(told) == 1, done.stderr
    return told[0]


def test_tasks_come_one_a_line_with_what_to_say_and_metaworlds_below(headway):
    done = headway("tasks")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert all(len(row) == 2 and row[1] for row in rows)
    own = [name for name, _ in rows if not name.startswith("metaworld/")]
    assert own == [
        "lift",
        "place-in-bin",
        "stack-three",
        "tidy-drawer",
        "sort-by-colour",
        "push-to-goal",
        "insert-peg",
        "press-three-times",
    ]
    assert len(rows) == 58
    assert sum("its expert succeeds in" in text for _, text in rows) in range(1, 15)


def test_who_reads_only_the_first_task_sees_no_complaint():
    done = subprocess.run(f"{COMMAND} tasks | head -1", shell=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "lift\tlift the red cube\n"
    assert done.stderr == ""


def test_collecting_says_what_came_out_and_what_to_do_next_and_again_that_it_is_there(headway, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    out = tmp_path / "demos"
    arguments = ("collect", "lift", "--episodes", 3, "--mix", "expert=2,hesitate+jitter=1", "--out", out, *SMALL)
    done = headway(*arguments, "--variation", "mild", "--value-rollouts", 2)
    assert done.returncode == 0, done.stderr
    assert "hesitate+jitter" in done.stdout
    assert f"3 episodes, {pq.read_table(out / 'data').num_rows} frames, are in {out}" in done.stdout
    assert f"next: headway train sarm {out}" in done.stdout
    assert {episode.kind for episode in open_dataset(out)} == {"expert", "hesitate+jitter"}
    notes = json.loads((out / "meta" / "headway.json").read_text())
    assert (notes["variation"], notes["value"]["rollouts"]) == ("mild", 2)
    assert notes["value"]["policy"] == "expert disturbed by 0.004 m"

    again = headway(*arguments, "--variation", "mild", "--value-rollouts", 2)
    assert again.returncode == 0
    assert "were collected before" in again.stdout
    assert "holds a collection with other settings" in one_line(headway(*arguments))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["wash-up"], ["unknown task 'wash-up'", "tidy-drawer"]),
        (["lift", "--mix", "wrong-order=1"], ["wrong-order", "lift"]),
        (["lift", "--mix", "clumsy=1"], ["'clumsy'", "hesitate"]),
        (["lift", "--mix", "expert=x"], ["--mix has 'expert=x'"]),
        (["lift", "--variation", "wild"], ["'wild'", "mild, none, ood"]),
        (["lift", "--split", "holdout"], ["'holdout'", "test-ood"]),
        (["lift", "--split", "test", "--seed", "4"], ["leave --seed and --variation out"]),
        (["lift", "--robot", "humanoid"], ["'humanoid'", "arm, gripper"]),
        (["lift", "--action-space", "torque"], ["'torque'", "joint-target"]),
        (["lift", "--cameras", "front,top"], ["'top'", "front, wrist"]),
        (["lift", "--cameras", ","], ["camera"]),
        (["lift", "--episodes", "0"], ["1 to 100000 episodes"]),
        (["lift", "--disturbance", "nan"], ["disturbance"]),
        (["lift", "--value-rollouts", "-1"], ["--value-rollouts"]),
        (["lift", "--value-rollouts", "2", "--value-policy", "nowhere"], ["nowhere", "no policy"]),
        (["lift", "--workers", "-2"], ["--workers"]),
        (["lift", "--size", "5000"], ["pixels"]),
    ],
)
def test_what_cannot_be_collected_is_one_line_and_leaves_nothing(headway, tmp_path, arguments, words):
    episodes = [] if "--episodes" in arguments else ["--episodes", 2]
    told = one_line(headway("collect", *arguments, *episodes, "--out", tmp_path / "demos"))
    for word in words:
        assert word in told, told
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_one_line(headway, tmp_path):
    (tmp_path / "file").write_text("")
    told = one_line(headway("collect", "lift", "--episodes", 1, "--out", tmp_path / "file" / "demos", *SMALL))
    assert "cannot be written" in told


def test_a_machine_without_gl_is_one_line_that_says_what_to_install(tmp_path):
    environment = os.environ | {"__EGL_VENDOR_LIBRARY_FILENAMES": "/nonexistent", "MUJOCO_GL": "egl"}
    arguments = [COMMAND, "collect", "lift", "--episodes", "1", "--out", tmp_path / "demos"]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120)
    told = one_line(done)
    assert "no OpenGL context" in told
    assert "apt-get install" in told
    assert not (tmp_path / "demos").exists()


@pytest.mark.skipif(sys.modules.get("metaworld") is not None, reason="Meta-World is here")
def test_a_task_of_metaworld_says_how_to_set_it_up(headway, tmp_path):
    told = one_line(headway("collect", "metaworld/drawer-open", "--episodes", 1, "--out", tmp_path / "demos"))
    assert "setup-metaworld" in told
