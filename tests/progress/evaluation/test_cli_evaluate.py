"""`headway evaluate` as a user meets it, on a written dataset with truth and failures."""

import csv
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headway.episodes import ProgressCurve
from headway.estimator import Needs
from headway.specs import make_estimator
from headway.tables import read_scores
from headway_datasets.lerobot_writer import write_dataset

SPECS = "oracle,reversed:clock"


@pytest.fixture(scope="module")
def demos(tmp_path_factory, session_sliders):
    root = tmp_path_factory.mktemp("evaluate") / "demos"
    write_dataset(root, session_sliders(5, failing=4))
    return root


@pytest.fixture(scope="module")
def done(demos, headway, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated") / "out"
    ran = headway("evaluate", demos, "--estimators", SPECS, "--out", out, "--stress", "truncate,black")
    assert ran.returncode == 0, ran.stderr
    return out, ran


def test_it_prints_figures_beside_controls_and_marks_those_that_say_nothing(done):
    _, ran = done
    lines = {line.split("  ")[1].strip("\u00a0 ↑↓"): line for line in ran.stdout.splitlines() if line.startswith("  ")}
    assert "▼" in lines["VOC success"] or "≈" in lines["VOC success"], "a clock's order is as good as the truth's"
    assert not set("≈▼") & set(lines["MAE failed"])
    assert re.search(r"oracle is better than every control in \d+ of \d+ figures", ran.stdout)
    assert "Under stress" in ran.stdout
    assert re.search(r"MAE failed\W+0\.00 ", ran.stdout)
    assert "gives no probability of success" in ran.stdout
    assert "next: open" in ran.stdout


def test_json_and_csv_tell_the_same_and_json_is_strict(done):
    out, _ = done
    told = json.loads((out / "evaluation.json").read_text(), parse_constant=pytest.fail)
    assert told["judged_by"] == "the simulator's truth"
    assert set(told["estimators"]) == {"oracle", "reversed:clock", "clock", "constant", "random"}
    oracle = told["estimators"]["oracle"]
    assert oracle["figures"]["mae"] == {"value": 0, "low": 0, "high": 0}
    assert oracle["against_controls"]["voc_success"]["informative"] is False
    assert oracle["against_controls"]["mae_failed"]["informative"] is True
    assert told["estimators"]["reversed:clock"]["control"] is True
    assert told["estimators"]["constant"]["figures"]["voc"]["value"] is None
    rows = list(csv.DictReader((out / "evaluation.csv").open()))
    (row,) = [row for row in rows if (row["estimator"], row["figure"]) == ("oracle", "success_auroc")]
    assert (row["value"], row["better"]) == ("1.0", "higher")
    assert row["best_control"] in told["estimators"]
    (row,) = [row for row in rows if (row["estimator"], row["figure"]) == ("oracle", "success_ece")]
    assert row["value"] == ""
    assert "no probability" in row["reason"]


def test_a_clock_that_runs_backwards_is_turned_round(done):
    told = json.loads((done[0] / "evaluation.json").read_text())
    assert told["estimators"]["reversed:clock"]["figures"]["voc_success"]["value"] == pytest.approx(-1)


def test_stress_is_held_against_the_truth_of_what_is_shown(done):
    told = json.loads((done[0] / "evaluation.json").read_text())["stress"]
    cut, black = told["oracle"]
    assert (cut["stress"], cut["error"]) == ("truncate", 0)
    assert cut["final"] == pytest.approx(cut["true_final"])
    assert cut["true_final"] < 0.9
    clock = told["clock"][0]
    assert clock["error"] > 0.1, "a clock reaches 1 wherever it is cut off"
    assert black["error"] == 0, "the oracle does not look"


def test_the_page_stands_alone_and_shows_every_section(done):
    text = (done[0] / "evaluation.html").read_text()
    assert "default-src 'none'" in text
    assert "<script" not in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    for heading in (
        "All figures",
        "What cannot be known here",
        "By kind of episode",
        "Under stress",
        "The worst episodes",
    ):
        assert heading in text
    assert ">nan" not in text.lower()
    assert text.count("<polyline") > 20


def test_a_second_run_scores_nothing_again_and_scores_can_be_given_as_a_folder(done, demos, headway):
    out, _ = done
    finished = {path: path.stat().st_mtime_ns for path in out.rglob("run.json")}
    assert len(finished) > 5
    again = headway("evaluate", demos, "--estimators", SPECS, "--out", out)
    assert again.returncode == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("run.json")} == finished
    folder = out / "scores" / "oracle"
    other = headway("evaluate", demos, "--estimators", folder, "--out", out.parent / "other", "--stress", "truncate")
    assert other.returncode == 0, other.stderr
    assert f"left out: {folder} under stress" in other.stdout, "a folder of scores cannot be asked anything more"
    told = json.loads((out.parent / "other" / "evaluation.json").read_text())
    assert told["estimators"]["oracle"]["figures"]["mae"]["value"] == 0
    assert told["estimators"]["oracle"]["spec"] == str(out / "scores" / "oracle")


def test_it_says_whose_scores_are_of_episodes_it_was_trained_on_or_are_missing(done, demos, headway, tmp_path):
    copied = tmp_path / "tidy"
    shutil.copytree(done[0] / "scores" / "clock", copied)
    episodes = pq.read_table(copied / "episodes.parquet")
    seen = pa.array([number < 7 for number in range(len(episodes))])
    place = episodes.column_names.index("in_sample")
    pq.write_table(episodes.set_column(place, episodes.schema.field(place), seen), copied / "episodes.parquet")
    ran = headway("evaluate", demos, "--estimators", copied, "--out", tmp_path / "out")
    assert ran.returncode == 0, ran.stderr
    assert "tidy: was trained on 7 of 9 episodes" in ran.stdout
    assert "trained on 7 of them" in (tmp_path / "out" / "evaluation.html").read_text()
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text())["estimators"]["tidy"]
    assert (told["figures"]["in_sample"], told["control"]) == (7, True), (
        "they are a clock's, whatever the folder's name"
    )


def test_scores_of_another_dataset_are_refused(done, session_sliders, headway, tmp_path):
    write_dataset(tmp_path / "else", session_sliders(2, failing=1, seed=7))
    ran = headway(
        "evaluate", tmp_path / "else", "--estimators", done[0] / "scores" / "oracle", "--out", tmp_path / "out"
    )
    assert ran.returncode == 1
    assert "are of another dataset than" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_with_nothing_but_video_it_says_what_cannot_be_known(session_sliders, headway, tmp_path):
    bare = [replace(e, truth=None, stages=None, success=None, kind=None) for e in session_sliders(3, failing=2)]
    write_dataset(tmp_path / "bare", bare)
    ran = headway("evaluate", tmp_path / "bare", "--estimators", "clock", "--out", tmp_path / "out")
    assert ran.returncode == 0, ran.stderr
    assert "judged by nothing but video" in ran.stdout
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert any("mae" in names for names in told["unknown"].values())
    assert told["estimators"]["clock"]["figures"]["voc"]["value"] == 1


class Listens:
    """Says 0.9 of an episode that is told what it shows: "push" of an even number, anything else of an odd one."""

    name = fingerprint = "listens"
    needs = Needs(pictures=False, instruction=True)

    def estimate(self, episodes, stride=1):
        for episode in episodes:
            right = (episode.instruction == "push") == (episode.index % 2 == 0)
            values = np.full(len(episode), 0.9 if right else 0.2, np.float32)
            yield ProgressCurve(values, np.ones(len(episode), bool), "listens")


def test_two_tasks_give_a_confusion_matrix_for_who_listens(session_sliders, headway, tmp_path, monkeypatch):
    told = ["push" if number % 2 == 0 else "pull" for number in range(8)]
    episodes = session_sliders(6, failing=2)
    shown = [replace(e, instruction=text, truth=None) for e, text in zip(episodes, told, strict=True)]
    write_dataset(tmp_path / "two", shown)
    monkeypatch.setattr(
        "headway.specs.make_estimator",
        lambda spec, device="cpu": Listens() if spec == "listens" else make_estimator(spec, device),
    )
    ran = headway("evaluate", tmp_path / "two", "--estimators", "listens", "--out", tmp_path / "out")
    assert ran.returncode == 0, ran.stderr
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())["language"]
    assert found.keys() == {"listens"}
    assert np.allclose(found["listens"]["matrix"], [[0.9, 0.2], [0.2, 0.9]])
    assert found["listens"]["margin"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--estimators", ","], "needs at least one"),
        (["--estimators", "clock,clok"], "unknown estimator 'clok'"),
        (["--estimators", "clock", "--stress", "shaken"], "unknown stress 'shaken'"),
        (["--estimators", "clock", "--stress", "camera"], "has one camera"),
        (["--estimators", "clock", "--look-ahead", "-3"], "look-ahead"),
    ],
)
def test_bad_input_gets_one_clear_line(demos, headway, tmp_path, arguments, words):
    ran = headway("evaluate", demos, *arguments, "--out", tmp_path / "out")
    assert ran.returncode == 1
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith("headway: ")]
    assert words in line
    assert not (tmp_path / "out").exists(), "nothing is scored before everything can be"


def test_scores_are_kept_one_folder_a_spec(done):
    out, _ = done
    kept = {path.parent.name for path in (out / "scores").glob("*/run.json")}
    assert {"oracle", "clock", "reversed-clock", "oracle-truncate"} <= kept
    assert read_scores(out / "scores" / "oracle").run["estimator"] == "oracle"
