"""`headway filter` from end to end, on a dataset of the toy task."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from headway.tables import read_scores
from headway_datasets.lerobot_v3 import LeRobotV3
from headway_datasets.lerobot_writer import write_dataset
from headway_datasets.robomimic_writer import write_robomimic


@pytest.fixture(scope="module")
def root(tmp_path_factory, session_sliders):
    """Five successes, of which one waits a long time at the end, and three failures."""
    root = tmp_path_factory.mktemp("toy") / "demos"
    write_dataset(root, [replace(each, stages=None) for each in session_sliders(5, failing=3, seed=4)])
    return root


@pytest.fixture(scope="module")
def scores(root, headway, tmp_path_factory):
    out = tmp_path_factory.mktemp("scores") / "oracle"
    assert headway("score", root, "--estimator", "oracle", "--out", out).returncode == 0
    return out


def rows(scores):
    return pq.read_table(scores / "episodes.parquet").to_pylist()


def digests(root):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


def test_the_kept_episodes_are_a_dataset_of_their_own_that_report_and_weights_work_on(root, scores, headway, tmp_path):
    before = digests(root)
    out = tmp_path / "good"
    done = headway("filter", root, "--from", scores, "--keep", "final > 0.9 and drawdown < 0.3", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "5 of 8 episodes stay" in done.stdout
    assert "3 go: 3 --keep" in done.stdout
    assert f"next: headway report {out}/scores" in done.stdout
    assert digests(root) == before
    kept = [row["episode_index"] for row in rows(scores) if row["final"] > 0.9]
    source, result = LeRobotV3(root), LeRobotV3(out)
    assert len(result) == len(kept)
    for number, index in enumerate(kept):
        np.testing.assert_array_equal(result.episode(number).action, source.episode(index).action)
    assert headway("report", out / "scores").returncode == 0
    assert headway("weights", out, "--from", out / "scores", "--out", tmp_path / "w.parquet").returncode == 0
    assert len(pq.read_table(tmp_path / "w.parquet")) == sum(map(len, result))


def test_a_dry_run_says_what_would_go_and_why_and_writes_nothing(root, scores, headway, tmp_path):
    out = tmp_path / "good"
    done = headway("filter", root, "--from", scores, "--keep", "success > 0.5", "--out", out, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("unknown: success is missing") == 8
    assert "0 of 8 episodes stay" in done.stdout
    assert "nothing was written" in done.stdout
    done = headway("filter", root, "--from", scores, "--top", "2", "--drop-segments", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "is not among the best 2" in done.stdout
    assert "6 go: 6 --top" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("top", "count"), [("50%", 2), ("100%", 5), ("3", 3), ("99", 5), ("1%", 1)])
def test_the_best_are_those_by_rank_among_what_the_condition_leaves(root, scores, headway, tmp_path, top, count):
    out = tmp_path / "keep.json"
    options = ["--keep", "final > 0.9", "--top", top, "--format", "keep-list", "--out", out]
    done = headway("filter", root, "--from", scores, *options)
    assert done.returncode == 0, done.stderr
    ranked = sorted((row["rank"], row["episode_index"]) for row in rows(scores) if row["final"] > 0.9)
    assert json.loads(out.read_text()) == sorted(index for _, index in ranked[:count])


def test_weights_are_zero_for_all_that_goes_and_the_cuts_lie_beside(root, scores, headway, tmp_path):
    out = tmp_path / "weights.parquet"
    options = ["--keep", "final > 0.5", "--drop-segments", "--format", "weights", "--out", out]
    done = headway("filter", root, "--from", scores, *options)
    assert done.returncode == 0, done.stderr
    table, source = pq.read_table(out), LeRobotV3(root)
    assert table.column_names == ["index", "weight"]
    np.testing.assert_array_equal(table["index"], np.arange(sum(map(len, source))))
    weight = table["weight"].to_numpy()
    record = json.loads((tmp_path / "weights.cuts.json").read_text())
    gone = {each["episode"] for each in record["gone"]}
    assert gone
    assert record["cuts"]
    for episode in source:
        expected = np.full(len(episode), float(episode.index not in gone))
        for cut in record["cuts"]:
            if cut["episode"] == episode.index:
                expected[cut["from"] : cut["to"]] = 0
        np.testing.assert_array_equal(weight[episode.first_frame : episode.first_frame + len(episode)], expected)


def test_stretches_are_cut_out_as_named_and_nothing_jumps(root, scores, headway, tmp_path):
    out = tmp_path / "good"
    done = headway("filter", root, "--from", scores, "--drop-segments", "idle,after-success", "--out", out)
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "cuts.json").read_text())
    assert {cut["why"] for cut in record["cuts"]} <= {"idle", "after-success", "too short"}
    source, result, new = LeRobotV3(root), LeRobotV3(out), read_scores(out / "scores")
    assert len(result) == len(record["episodes"])
    for episode, origin in zip(result, record["episodes"], strict=True):
        old = source.episode(origin["from_episode"])
        np.testing.assert_array_equal(episode.action, old.action[origin["from"] : origin["to"]])
        assert new.curve(episode.index) == pytest.approx(old.truth.progress[origin["from"] : origin["to"]])
    assert not np.isnan(new.episodes["final"].to_numpy()).any()


def test_episodes_without_scores_go_and_it_says_so(root, headway, tmp_path):
    done = headway("score", root, "--estimator", "oracle", "--episodes", "0:3", "--out", tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "keep.json"
    options = ["--keep", "final >= 0", "--format", "keep-list", "--out", out]
    done = headway("filter", root, "--from", tmp_path / "scores", *options)
    assert done.returncode == 0, done.stderr
    assert "5 go: 5 not among the scores" in done.stdout
    assert json.loads(out.read_text()) == [0, 1, 2]


def test_a_robomimic_file_is_filtered_into_a_lerobot_dataset(headway, tmp_path, make_sliders):
    episodes = make_sliders(2, failing=2)
    write_robomimic(tmp_path / "demos.hdf5", episodes)
    done = headway("score", tmp_path / "demos.hdf5", "--estimator", "oracle", "--out", tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    options = ["--keep", "success_label", "--drop-segments", "idle", "--out", tmp_path / "good"]
    done = headway("filter", tmp_path / "demos.hdf5", "--from", tmp_path / "scores", *options)
    assert done.returncode == 0, done.stderr
    assert "2 encoded anew" in done.stdout
    result = LeRobotV3(tmp_path / "good")
    for new, old in zip(result, episodes, strict=False):
        np.testing.assert_array_equal(new.action, old.action)
        assert new.stages == old.stages
    assert headway("report", tmp_path / "good/scores").returncode == 0


def test_scores_of_another_dataset_are_refused(scores, headway, tmp_path, make_sliders):
    write_dataset(tmp_path / "other", make_sliders(2))
    done = headway("filter", tmp_path / "other", "--from", scores, "--top", "1", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "holds the scores of another dataset" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "nothing to filter by"),
        (["--keep", "final > 0"], "say where to write with --out"),
        (["--keep", "finale > 0", "--dry-run"], "'finale': there is no such column of numbers, texts or truth values"),
        (["--keep", "final.__class__", "--dry-run"], "this is not allowed"),
        (["--top", "0%", "--dry-run"], "--top needs a share such as 70%"),
        (["--top", "most", "--dry-run"], "--top needs a share such as 70%"),
        (["--top", "2.5", "--dry-run"], "--top needs a share such as 70%"),
        (["--drop-segments", "idel", "--dry-run"], "unknown kind of segment 'idel'"),
        (["--drop-segments", "--format", "keep-list", "--dry-run"], "a keep-list names whole episodes"),
        (["--keep", "final > 2", "--out", "OUT/none"], "nothing is left"),
        (["--keep", "final > 0", "--out", "OUT"], "already exists"),
        (["--keep", "final > 0", "--out", "OUT/good.hdf5"], "is a LeRobot v3 folder, not a file such as good.hdf5"),
        (["--keep", "final > 0", "--out", "ROOT/good"], "lies within the dataset"),
    ],
)
def test_what_cannot_be_done_is_one_line(root, scores, headway, tmp_path, options, words):
    places = {"OUT": str(tmp_path), "ROOT": str(root)}
    given = [reduce_places(option, places) for option in options]
    done = headway("filter", root, "--from", scores, *given)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert not list(tmp_path.iterdir())


def reduce_places(option, places):
    for name, place in places.items():
        option = option.replace(name, place)
    return option


def test_half_a_second_is_as_many_frames_in_every_episode(headway, make_slider, tmp_path):
    """Of 46 frames at 15 a second, 46 / (46 / 15) is a little less than 15."""
    first, episodes = 0, []
    for number, moving in enumerate((23, 25)):
        episodes.append(make_slider(number, first, seconds=moving / 15, fps=15.0, hold=23))
        first += len(episodes[-1])
    write_dataset(tmp_path / "demos", episodes)
    assert [len(each) / (len(each) / 15) < 15 for each in episodes] == [True, False]
    assert headway("score", tmp_path / "demos", "--estimator", "oracle", "--out", tmp_path / "s").returncode == 0
    options = ["--drop-segments", "after-success", "--format", "weights", "--out", tmp_path / "w.parquet"]
    assert headway("filter", tmp_path / "demos", "--from", tmp_path / "s", *options).returncode == 0
    cuts = json.loads((tmp_path / "w.cuts.json").read_text())["cuts"]
    begins = [int((each.truth.progress >= 0.9).argmax()) for each in episodes]
    assert {cut["from"] - begin for cut, begin in zip(cuts, begins, strict=True)} == {8}


def test_labelled_successes_that_lose_their_end_are_told(root, headway, tmp_path):
    """A clock that runs backwards sees every episode fall."""
    scores = tmp_path / "scores"
    assert headway("score", root, "--estimator", "reversed:clock", "--out", scores).returncode == 0
    done = headway("filter", root, "--from", scores, "--drop-segments", "regressing", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "5 of 5 episodes labelled successes lose their end" in done.stdout
    oracle = headway("score", root, "--estimator", "oracle", "--out", tmp_path / "oracle")
    assert oracle.returncode == 0
    done = headway("filter", root, "--from", tmp_path / "oracle", "--drop-segments", "--dry-run")
    assert "lose their end" not in done.stdout


def test_checks_alone_have_no_progress_to_rank_or_cut_by(root, headway, tmp_path):
    scores = tmp_path / "scores"
    assert headway("score", root, "--estimator", "none", "--out", scores).returncode == 0
    for option in (("--top", "50%"), ("--drop-segments",)):
        done = headway("filter", root, "--from", scores, *option, "--dry-run")
        assert done.returncode == 1
        assert "has no progress of any episode" in done.stderr
    done = headway("filter", root, "--from", scores, "--keep", "defects > 0", "--dry-run")
    assert done.returncode == 0
    assert "0 of 8 episodes stay" in done.stdout
    assert "nothing would be: choose another filter" in done.stdout
