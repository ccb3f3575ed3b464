"""`headway policy train`, `eval` and `compare` as a user meets them, on a tiny collection."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headway.signals.weights import write_weights
from headway_datasets.opening import open_dataset
from headway_datasets.video import probe
from headway_envs.collect import collect
from headway_envs.recording import RecordingOptions
from headway_envs.seeds import unseen_seeds
from headway_policies.checkpoint import load_policy
from headway_policies.rollout import evaluate

QUICK = ("--steps", 120, "--batch", 64, "--width", 64, "--chunk", 4, "--executed", 2)
POLICY = ("config.json", "policy.safetensors", "training.json")


def one_line(done) -> str:
    told = [line for line in done.stderr.splitlines() if line.startswith("headway: ")]
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert len(told) == 1, done.stderr
    return told[0]


def well(done) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bytes_of(run):
    assert {path.name for path in run.iterdir() if path.is_file()} == set(POLICY)
    return [(run / name).read_bytes() for name in POLICY]


@pytest.fixture(scope="session")
def demos(tmp_path_factory):
    """Eight expert demonstrations of lift by the gripper."""
    out = tmp_path_factory.mktemp("policy") / "demos"
    options = RecordingOptions(robot="gripper", size=32)
    collect("lift", 8, out, mix="expert=1", options=options, workers=1, show_progress=False)
    return out


@pytest.fixture(scope="session")
def frames(demos):
    return sum(len(episode) for episode in open_dataset(demos))


@pytest.fixture(scope="session")
def trained(headway, demos):
    out = demos.parent / "plain"
    told = well(headway("policy", "train", demos, "--out", out, *QUICK))
    assert f"next: headway policy eval {out}" in told
    return out


@pytest.fixture(scope="session")
def other(headway, demos, frames):
    """Learnt from the first half of the episodes' frames, by weight."""
    table = demos.parent / "half.parquet"
    weight = np.where(np.arange(frames) < frames // 2, 0.5, np.nan)
    weight[:10] = 0
    write_weights(table, np.arange(frames), weight)
    out = demos.parent / "half"
    told = well(headway("policy", "train", demos, "--weights", table, "--out", out, *QUICK))
    assert f"trained on {frames // 2 - 10} frames of 8 episodes; 10 weigh 0, {frames - frames // 2} have no" in told
    return out


@pytest.fixture
def copy(trained, tmp_path):
    """The run without what was evaluated, to be changed."""
    out = tmp_path / "copy"
    out.mkdir()
    for name in POLICY:
        shutil.copy(trained / name, out / name)
    return out


def test_the_same_command_says_that_it_is_done_and_changes_nothing(headway, demos, trained):
    before = [(trained / name).stat().st_mtime_ns for name in POLICY]
    told = well(headway("policy", "train", demos, "--out", trained, *QUICK))
    assert "holds this very policy, trained before" in told
    assert [(trained / name).stat().st_mtime_ns for name in POLICY] == before


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(headway, demos, trained, tmp_path):
    well(headway("policy", "train", demos, "--out", tmp_path / "again", *QUICK))
    well(headway("policy", "train", demos, "--out", tmp_path / "other", *QUICK, "--seed", 1))
    first = [(trained / name).read_bytes() for name in POLICY]
    assert bytes_of(tmp_path / "again") == first
    assert bytes_of(tmp_path / "other")[1] != first[1]


def test_a_killed_training_goes_on_to_the_same_bytes(headway, demos, tmp_path):
    long = ("--steps", 300, "--batch", 64, "--width", 32)
    program = [sys.executable, "-c", "from headway.cli import main; main()"]
    arguments = [*program, "policy", "train", str(demos), "--out", str(tmp_path / "killed"), *map(str, long)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    state = tmp_path / "killed" / "training.state"
    while not state.is_file() and child.poll() is None:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert state.is_file()
    assert not (tmp_path / "killed" / "config.json").exists(), "it was killed too late to show anything"
    told = one_line(headway("policy", "eval", tmp_path / "killed"))
    assert "is not finished" in told
    well(headway("policy", "train", demos, "--out", tmp_path / "killed", *long))
    well(headway("policy", "train", demos, "--out", tmp_path / "whole", *long))
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_weights_decide_what_is_learnt(headway, demos, frames, trained, other, tmp_path):
    """Weights of 1 are no weights; frames without a weight might as well not be there."""
    table = tmp_path / "ones.parquet"
    write_weights(table, np.arange(frames), np.ones(frames))
    well(headway("policy", "train", demos, "--weights", table, "--out", tmp_path / "ones", *QUICK))
    assert (tmp_path / "ones" / POLICY[1]).read_bytes() == (trained / POLICY[1]).read_bytes()
    assert (other / POLICY[1]).read_bytes() != (trained / POLICY[1]).read_bytes()
    half = pq.read_table(demos.parent / "half.parquet")
    pq.write_table(half.take(np.random.default_rng(0).permutation(frames)), table)
    well(headway("policy", "train", demos, "--weights", table, "--out", tmp_path / "mixed", *QUICK))
    assert (tmp_path / "mixed" / POLICY[1]).read_bytes() == (other / POLICY[1]).read_bytes(), "rows in any order"


def test_episodes_are_chosen_by_number_and_their_weights_with_them(headway, demos, frames, tmp_path):
    lengths = [len(episode) for episode in open_dataset(demos)]
    weight = np.repeat([0.2, 0.9] * 4, lengths)
    table = tmp_path / "w.parquet"
    write_weights(table, np.arange(frames), weight)
    weight[lengths[0] :] = np.nan
    single = tmp_path / "first.parquet"
    write_weights(single, np.arange(frames), weight)
    chosen = ("--weights", table, "--episodes", "0")
    well(headway("policy", "train", demos, *chosen, "--out", tmp_path / "chosen", *QUICK))
    well(headway("policy", "train", demos, "--weights", single, "--out", tmp_path / "weighed", *QUICK))
    assert (tmp_path / "chosen" / POLICY[1]).read_bytes() == (tmp_path / "weighed" / POLICY[1]).read_bytes()


def test_a_run_acts_in_value_rollouts_too(trained):
    assert load_policy(trained).signature.action == ("hand.x", "hand.y", "hand.z", "grip")


def test_evaluating_says_how_often_it_succeeds_and_where_it_fails(headway, trained, tmp_path):
    out = tmp_path / "found"
    told = well(headway("policy", "eval", trained, "--rollouts", 6, "--seconds", 4, "--out", out))
    results = json.loads((out / "results.json").read_text())
    expected = evaluate(load_policy(trained), "lift", unseen_seeds(6), "gripper", seconds=4)
    assert [row["steps"] for row in results["layouts"]] == [rollout.steps for rollout in expected]
    assert [row["success"] for row in results["layouts"]] == [rollout.success for rollout in expected]
    done = sum(rollout.success for rollout in expected)
    assert f"{done} of 6" in told
    assert sum(results["failures_end_in"].values()) == 6 - done
    assert set(results["failures_end_in"]) == {"reach", "grasp", "lift"} or len(results["failures_end_in"]) > 1
    assert results["success"] == done / 6
    low, high = results["success_interval_95_wilson"]
    assert low <= done / 6 <= high
    again = well(headway("policy", "eval", trained, "--rollouts", 6, "--seconds", 4, "--out", out))
    assert "all 6 rollouts were there before" in again


def test_an_evaluation_that_was_cut_off_goes_on(headway, trained, tmp_path):
    arguments = ("policy", "eval", trained, "--seconds", 2)
    well(headway(*arguments, "--rollouts", 6, "--out", tmp_path / "whole"))
    well(headway(*arguments, "--rollouts", 3, "--out", tmp_path / "parts"))
    lines = tmp_path / "parts" / "rollouts.jsonl"
    content = lines.read_text().splitlines(keepends=True)
    # changed, so that a rollout made anew would show; and the last line as a kill leaves it
    marked = content[1].replace('"steps": 40', '"steps": 39')
    assert marked != content[1]
    lines.write_text(content[0] + marked + content[2] + content[3][:20])
    well(headway(*arguments, "--rollouts", 6, "--out", tmp_path / "parts"))
    whole, parts = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "parts"))
    seed = json.loads(marked)["layout_seed"]
    assert [row for row in parts["layouts"] if row["layout_seed"] == seed] == [json.loads(marked)]
    again = well(headway(*arguments, "--rollouts", 6, "--out", tmp_path / "parts"))
    assert "all 6 rollouts were there before" in again
    other = [[row for row in found["layouts"] if row["layout_seed"] != seed] for found in (whole, parts)]
    assert other[0] == other[1]
    assert len(other[0]) == 5


def test_the_best_and_the_worst_are_filmed(headway, trained, tmp_path):
    arguments = ("policy", "eval", trained, "--rollouts", 5, "--seconds", 3, "--out", tmp_path, "--video", 1)
    told = well(headway(*arguments))
    assert "2 videos, best-* and worst-*" in told
    rows = json.loads((tmp_path / "results.json").read_text())["layouts"]
    ranked = sorted(rows, key=lambda row: (-row["progress"], row["steps"], row["layout_seed"]))
    videos = {path.name.split("-")[0]: path for path in tmp_path.glob("*.mp4")}
    for name, row in (("best", ranked[0]), ("worst", ranked[-1])):
        assert videos[name].name == f"{name}-1-layout-{row['layout_seed'] - unseen_seeds(1)[0]}.mp4"
        # one picture before the first step
        assert probe(videos[name]).frames == row["steps"] + 1
    before = videos["best"].stat().st_mtime_ns
    well(headway(*arguments))
    assert videos["best"].stat().st_mtime_ns == before


def test_comparing_gives_figures_and_an_honest_verdict(headway, trained, other, tmp_path):
    arguments = ("policy", "compare", trained, other, "--rollouts", 8, "--seconds", 4)
    told = well(headway(*arguments, "--out", tmp_path / "found.json"))
    found = json.loads((tmp_path / "found.json").read_text())
    outcomes = [
        [row["success"] for row in json.loads((run / "evaluation-4s" / "results.json").read_text())["layouts"]]
        for run in (trained, other)
    ]
    alone = [sum(a and not b for a, b in zip(one, two, strict=True)) for one, two in (outcomes, outcomes[::-1])]
    assert [found["first"], found["second"]] == alone
    assert found["both"] + found["first"] + found["second"] + found["neither"] == 8
    for words in ("exact McNemar p", "plain", "half", "says nothing about two recipes", "next: "):
        assert words in told
    well(headway("policy", "compare", trained, other, "--rollouts", 8, "--seconds", 4))


@pytest.fixture(scope="session")
def seeing(headway, demos):
    out = demos.parent / "seeing"
    arguments = ("--policy", "image", "--steps", 12, "--batch", 8, "--width", 32, "--image-size", 16)
    well(headway("policy", "train", demos, "--out", out, *arguments))
    return out


def test_a_policy_that_sees_trains_acts_and_compares_by_the_same_commands(headway, trained, seeing):
    told = well(headway("policy", "eval", seeing, "--rollouts", 2, "--seconds", 1))
    assert "of 2" in told
    told = well(headway("policy", "compare", seeing, trained, "--rollouts", 6, "--seconds", 1))
    assert "Not distinguishable" in told


def spoil(path, **changes):
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | changes))


def test_what_cannot_be_trained_is_one_line_and_leaves_nothing(headway, demos, frames, tmp_path):
    def told(*arguments, dataset=demos):
        line = one_line(headway("policy", "train", dataset, "--out", tmp_path / "run", *QUICK, *arguments))
        assert not (tmp_path / "run").exists()
        return line

    table = tmp_path / "w.parquet"
    assert "there is no table of weights" in told("--weights", table)
    table.write_text("no parquet")
    assert "is no table of weights" in told("--weights", table)
    pq.write_table(pa.table({"frame": [1], "weight": [0.5]}), table)
    assert "is no table of weights" in told("--weights", table)
    write_weights(table, np.arange(frames - 3), np.ones(frames - 3))
    assert f"lacks 3 of its frames, such as frame {frames - 3}" in told("--weights", table)
    write_weights(table, np.arange(frames + 2), np.ones(frames + 2))
    assert "has 2 frames that it lacks" in told("--weights", table)
    write_weights(table, np.arange(frames), np.full(frames, 1.5))
    assert "gives frame 0 the weight 1.5" in told("--weights", table)
    write_weights(table, np.r_[np.arange(frames), 3], np.ones(frames + 1))
    assert "more than one weight for frame 3" in told("--weights", table)
    write_weights(table, np.arange(frames), np.full(frames, np.nan))
    assert "nothing to learn from" in told("--weights", table)
    assert "'top'" in told("--policy", "image", "--cameras", "top")
    assert "--seed" in told("--seed", "-1")
    assert "carries out 1 to 4" in told("--executed", 9)
    assert "nowhere" in told(dataset=tmp_path / "nowhere")

    changed = tmp_path / "changed"
    shutil.copytree(demos, changed)
    spoil(changed / "meta" / "headway.json", task_version=0)
    assert "version 0 of lift" in told(dataset=changed)
    spoil(changed / "meta" / "headway.json", task_id="metaworld/drawer-open")
    assert "policies act in lift" in told(dataset=changed)
    spoil(changed / "meta" / "headway.json", task_id="stack-three", task_version=2)
    assert "must have shape" in told(dataset=changed)
    (changed / "meta" / "headway.json").unlink()
    assert "does not say in which simulated task" in told(dataset=changed)


def test_another_training_is_not_put_into_a_taken_folder(headway, demos, trained, tmp_path):
    before = bytes_of_files(trained)
    told = one_line(headway("policy", "train", demos, "--out", trained, *QUICK, "--seed", 3))
    assert "holds a training with another config" in told
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    assert "is not empty" in one_line(headway("policy", "train", demos, "--out", tmp_path / "mine", *QUICK))
    assert bytes_of_files(trained) == before


def bytes_of_files(run):
    return [(run / name).read_bytes() for name in POLICY]


def test_what_cannot_be_evaluated_or_compared_is_one_line(headway, demos, trained, copy, tmp_path):
    assert "holds no run" in one_line(headway("policy", "eval", tmp_path / "nowhere"))
    assert "holds no run" in one_line(headway("policy", "compare", trained, tmp_path / "nowhere"))
    assert "same policy to the last bit" in one_line(headway("policy", "compare", trained, copy))
    assert "at least one unseen seed" in one_line(headway("policy", "eval", copy, "--rollouts", 0))
    assert "--video" in one_line(headway("policy", "eval", copy, "--video", -1))
    assert "'wild'" in one_line(headway("policy", "eval", copy, "--variation", "wild"))

    recorded = json.loads((copy / "training.json").read_text())["recorded"]
    spoil(copy / "training.json", recorded=recorded | {"robot": "arm"})
    assert "their robot is 'gripper' and 'arm'" in one_line(headway("policy", "compare", trained, copy))
    assert "does not fit lift with the robot 'arm'" in one_line(headway("policy", "eval", copy, "--rollouts", 1))
    spoil(copy / "training.json", recorded=recorded | {"task_id": "stack-three"})
    assert "their task_id is 'lift' and 'stack-three'" in one_line(headway("policy", "compare", trained, copy))
    spoil(copy / "training.json", recorded=recorded)
    (copy / "policy.safetensors").write_bytes(b"half")
    assert "damaged" in one_line(headway("policy", "eval", copy))
    (copy / "config.json").write_text("{")
    assert "damaged" in one_line(headway("policy", "eval", copy))


def test_an_evaluation_of_another_policy_is_not_gone_on_with(headway, trained, other, tmp_path):
    arguments = ("--rollouts", 1, "--seconds", 0.5, "--out", tmp_path / "found")
    well(headway("policy", "eval", trained, *arguments))
    told = one_line(headway("policy", "eval", other, *arguments))
    assert "holds an evaluation with another policy" in told
    (tmp_path / "found" / "rollouts.jsonl").write_text("{}x\n")
    assert "is damaged" in one_line(headway("policy", "eval", trained, *arguments))


@pytest.mark.parametrize("command", ["train", "eval", "compare"])
def test_each_command_shows_an_example(headway, command):
    told = well(headway("policy", command, "--help"))
    assert f"headway policy {command} " in told.split("For example")[1]
