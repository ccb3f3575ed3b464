"""The command line as a user meets it: its exit status, what it prints, and what it leaves on disk."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from headway import cli

COMMANDS = tuple(cli.COMMANDS)


@pytest.fixture(scope="module")
def demos(tmp_path_factory, session_sliders) -> Path:
    """A LeRobot dataset of the toy task, written by our own writer."""
    from headway_datasets.lerobot_writer import write_dataset

    root = tmp_path_factory.mktemp("cli") / "demos"
    write_dataset(root, session_sliders(4, failing=2))
    return root


def check_one_line(done, *words: str, status: int = 1) -> None:
    told = [line for line in done.stderr.splitlines() if line.startswith("headway: ")]
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert len(told) == 1, done.stderr
    for word in words:
        assert word in told[0], told[0]


def test_the_installed_command_runs_and_exits_with_its_status():
    command = Path(sys.executable).parent / "headway"
    listed = subprocess.run([command, "tasks"], capture_output=True, text=True, timeout=60)
    assert listed.returncode == 0
    assert [line.split("\t")[0] for line in listed.stdout.splitlines()][:2] == ["lift", "place-in-bin"]
    assert subprocess.run([command, "report", "nowhere"], capture_output=True, timeout=60).returncode == 1


def test_help_lists_every_command_with_one_line_each(headway):
    done = headway("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert any(line.strip().startswith(command + " ") for line in done.stdout.splitlines())


def test_the_list_says_of_every_command_what_its_own_help_says_first():
    for name, command in cli.COMMANDS.items():
        assert command.summary == (command.load().__doc__ or "").splitlines()[0], name


@pytest.mark.parametrize("command", COMMANDS)
def test_each_commands_help_shows_an_example(headway, command):
    done = headway(command, "--help")
    assert done.returncode == 0
    assert f"headway {command}" in done.stdout.split("For example:")[1]


def test_an_unknown_command_or_option_is_a_usage_error(headway):
    check_one_line(headway("socre"), "unknown command 'socre'; available: demo, tasks", status=2)
    assert headway("score", "x", "--estimtor", "clock").returncode == 2


def test_scoring_weighting_and_reporting_one_after_another(headway, demos, tmp_path):
    scored = headway("score", demos, "--estimator", "clock", "--out", tmp_path / "s")
    assert scored.returncode == 0, scored.stderr
    assert f"--sample_weighting.progress_path={tmp_path / 's' / 'frames.parquet'}" in scored.stdout
    assert "next: headway report" in scored.stdout

    weighted = headway("weights", demos, "--from", tmp_path / "s", "--look-ahead", 5, "--out", tmp_path / "w.parquet")
    assert weighted.returncode == 0, weighted.stderr
    table = pq.read_table(tmp_path / "w.parquet").to_pandas()
    assert list(table.columns) == ["index", "weight"]
    assert table.weight.between(0, 1).all()

    reported = headway("report", tmp_path / "s", "--out", tmp_path / "page.html")
    assert reported.returncode == 0, reported.stderr
    assert "<video" in (tmp_path / "page.html").read_text() or "video" in (tmp_path / "page.html").read_text()

    again = headway("score", demos, "--estimator", "clock", "--out", tmp_path / "s")
    assert again.returncode == 0
    assert "was finished before and is left as it is" in again.stdout


def test_scoring_writes_nothing_into_the_dataset_unless_told_to_install(headway, demos, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in demos.rglob("*")}
    assert headway("score", demos, "--estimator", "clock", "--out", tmp_path / "s").returncode == 0
    assert {path: path.stat().st_mtime_ns for path in demos.rglob("*")} == before

    installed = headway("score", demos, "--estimator", "clock", "--out", tmp_path / "s", "--install")
    place = demos / "sarm_progress.parquet"
    try:
        assert installed.returncode == 0, installed.stderr
        assert place.read_bytes() == (tmp_path / "s" / "frames.parquet").read_bytes()
        # our own is replaced, another program's is not
        assert headway("score", demos, "--estimator", "oracle", "--out", tmp_path / "o", "--install").returncode == 0
        theirs = pq.read_table(place).replace_schema_metadata({"reward_model_path": "theirs"})
        pq.write_table(theirs, place)
        kept = place.read_bytes()
        refused = headway("score", demos, "--estimator", "clock", "--out", tmp_path / "s", "--install")
        check_one_line(refused, "was written by another program and is not replaced")
        assert place.read_bytes() == kept
    finally:
        place.unlink(missing_ok=True)


def test_a_trained_run_is_a_spec_and_scores_held_out(headway, demos, tmp_path):
    run = tmp_path / "run"
    trained = headway("train", "sarm", demos, "--folds", 2, "--epochs", 2, "--image-size", 32, "--out", run)
    assert trained.returncode == 0, trained.stderr
    assert f"--estimator sarm:{run}" in trained.stdout
    # one line for both folds, which two processes trained
    assert len(re.findall(r"waited for input in \d+\.\d % of the training time", trained.stdout)) == 1
    scored = headway("score", demos, "--estimator", f"sarm:{run}", "--out", tmp_path / "s", "--episodes", "0:3")
    assert scored.returncode == 0, scored.stderr
    assert "in-sample" not in scored.stdout
    rows = pq.read_table(tmp_path / "s" / "episodes.parquet").to_pylist()
    assert [row["episode_index"] for row in rows] == [0, 1, 2]
    assert {row["fold"] for row in rows} <= {0, 1}
    check_one_line(headway("train", "sarm", demos, "--out", run), "already holds a trained estimator")


def test_a_false_positive_rate_says_which_episodes_succeed_or_why_it_cannot(headway, demos, tmp_path):
    run, scores = tmp_path / "run", tmp_path / "s"
    options = ("--epochs", 1, "--image-size", 32, "--validation", 0.5)
    assert headway("train", "sarm", demos, "--out", run, *options).returncode == 0
    command = ("score", demos, "--estimator", f"sarm:{run}", "--out", scores)
    told = headway(*command, "--false-positive-rate", 0.5)
    assert told.returncode == 0, told.stderr
    found = json.loads((scores / "success.json").read_text())
    frames = pq.read_table(scores / "frames.parquet").to_pandas()
    highest = frames.groupby("episode_index")["success"].max()
    assert found["episodes"] == highest.index[highest > found["threshold"]].tolist()
    assert "the same policy in the same scene" in told.stdout
    check_one_line(headway(*command, "--false-positive-rate", 0.1), "cannot be promised after 1 failed", "1/2 = 0.5")
    clock = headway("score", demos, "--estimator", "clock", "--out", tmp_path / "c", "--false-positive-rate", 0.1)
    check_one_line(clock, "needs a trained estimator with a success head")


def test_scores_of_an_estimator_on_its_own_training_data_are_called_in_sample(headway, demos, tmp_path):
    run = tmp_path / "run"
    options = ("--epochs", 1, "--image-size", 32, "--episodes", "0:4")
    assert headway("train", "sarm", demos, "--out", run, *options).returncode == 0
    scored = headway("score", demos, "--estimator", f"sarm:{run}", "--out", tmp_path / "s")
    assert "in-sample: 4 of 6 episodes" in scored.stdout
    run_json = json.loads((tmp_path / "s" / "run.json").read_text())
    assert run_json["in_sample"] == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["score", "nowhere", "--estimator", "clock"], ["nowhere"]),
        (["score", "DEMOS", "--estimator", "clokc"], ["unknown estimator 'clokc'", "clock"]),
        (["score", "DEMOS", "--estimator", "sarm:nowhere"], ["nowhere holds no sarm", "headway train sarm"]),
        (["score", "DEMOS", "--estimator", "clock", "--cameras", "wrist"], ["'wrist'", "top"]),
        (["score", "DEMOS", "--estimator", "clock", "--rename", "wrist=top"], ["'wrist'", "top"]),
        (["score", "DEMOS", "--estimator", "clock", "--rename", "wrist"], ["OLD=NEW"]),
        (["score", "DEMOS", "--estimator", "clock", "--episodes", "4:9000x"], ["--episodes needs A:B"]),
        (["score", "DEMOS", "--estimator", "clock", "--episodes", "99"], ["unknown episode '99'", "0 to 5"]),
        (["score", "DEMOS", "--estimator", "clock", "--stride", "0"], ["--stride must be at least 1"]),
        (["score", "DEMOS", "--estimator", "clock", "--device", "cuda:7"], ["--device cuda:7 cannot be used here"]),
        (["score", "DEMOS", "--estimator", "clock", "--out", "/proc/scores"], ["/proc/scores", "--out"]),
        (["score", "DEMOS", "--estimator", "random:-1"], ["needs a whole number from 0"]),
        (["score", "DEMOS", "--estimator", "clock", "--out", "/dev/full"], ["/dev/full", "--out"]),
        (["train", "sarm", "--out", "x"], ["at least one DATASET"]),
        (["train", "sarm", "DEMOS", "--out", "/dev/full/x"], ["/dev/full/x", "--out"]),
        (["train", "sarm", "DEMOS", "--out", "x", "--seed", "-1"], ["--seed must be 0 or more"]),
        (["report", "nowhere"], ["nowhere is not a folder of scores"]),
        (["collect", "wash-up", "--episodes", "1", "--out", "x"], ["unknown task 'wash-up'", "tidy-drawer"]),
        (["train", "sarm", "DEMOS", "--out", "x", "--folds", "9"], ["needs 1 to 6 folds"]),
        (["train", "sarm", "DEMOS", "--out", "x", "--epochs", "0"], ["--epochs must be at least 1"]),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_status_one(headway, arguments, words, demos, tmp_path):
    done = headway(*[str(demos) if argument == "DEMOS" else argument for argument in arguments], cwd=tmp_path)
    check_one_line(done, *words)


def test_weights_of_another_datasets_scores_are_refused(headway, demos, tmp_path, session_sliders):
    from headway_datasets.lerobot_writer import write_dataset

    write_dataset(tmp_path / "other", session_sliders(2, seed=5))
    assert headway("score", tmp_path / "other", "--estimator", "clock", "--out", tmp_path / "s").returncode == 0
    done = headway("weights", demos, "--from", tmp_path / "s", "--out", tmp_path / "w.parquet")
    check_one_line(done, "holds the scores of another dataset")


def test_the_scores_of_a_stride_are_marked_as_interpolated(headway, demos, tmp_path):
    assert headway("score", demos, "--estimator", "oracle", "--out", tmp_path / "s").returncode == 0
    table = pq.read_table(tmp_path / "s" / "frames.parquet").to_pandas()
    assert table.looked_at.all()
    assert np.isfinite(table.progress_sparse).all()


def test_a_run_trained_on_one_dataset_is_held_out_on_another(headway, demos, tmp_path, session_sliders):
    from headway_datasets.lerobot_writer import write_dataset

    run = tmp_path / "run"
    assert headway("train", "sarm", demos, "--out", run, "--epochs", 1, "--image-size", 32).returncode == 0
    write_dataset(tmp_path / "other", session_sliders(2, seed=5))
    scored = headway("score", tmp_path / "other", "--estimator", f"sarm:{run}", "--out", tmp_path / "s")
    assert scored.returncode == 0
    assert "in-sample" not in scored.stdout


def test_an_episode_named_twice_is_scored_once(headway, demos, tmp_path):
    done = headway("score", demos, "--estimator", "clock", "--episodes", "2,0,2", "--out", tmp_path / "s")
    assert done.returncode == 0
    assert pq.read_table(tmp_path / "s" / "episodes.parquet")["episode_index"].to_pylist() == [0, 2]


def test_pixels_are_learnt_from_the_episodes_asked_for(headway, demos, tmp_path):
    assert headway("train", "pixels", demos, "--episodes", "0:2", "--out", tmp_path / "run").returncode == 0
    assert len(json.loads((tmp_path / "run" / "config.json").read_text())["of"]) == 2


def test_scores_without_any_progress_give_no_weights(headway, demos, tmp_path, session_sliders):
    from dataclasses import replace

    from headway_datasets.lerobot_writer import write_dataset

    write_dataset(tmp_path / "real", [replace(episode, truth=None) for episode in session_sliders(2)])
    headway("score", tmp_path / "real", "--estimator", "oracle", "--out", tmp_path / "s")
    done = headway("weights", tmp_path / "real", "--from", tmp_path / "s", "--out", tmp_path / "w.parquet")
    check_one_line(done, "holds no progress to weight by")
    assert not (tmp_path / "w.parquet").exists()


def test_correcting_a_mark_does_not_make_training_data_look_held_out(headway, tmp_path, session_sliders):
    from dataclasses import replace

    from headway_datasets.lerobot_writer import write_dataset

    episodes = session_sliders(2, seed=9)
    write_dataset(tmp_path / "before", episodes)
    write_dataset(tmp_path / "after", [replace(episode, instruction="move it, please") for episode in episodes])
    run = tmp_path / "run"
    headway("train", "sarm", tmp_path / "before", "--out", run, "--epochs", 1, "--image-size", 32)
    done = headway("score", tmp_path / "after", "--estimator", f"sarm:{run}", "--out", tmp_path / "s")
    assert "in-sample: 2 of 2 episodes" in done.stdout
