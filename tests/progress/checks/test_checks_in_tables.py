"""The checks in tables, on the command line, in the report and in the documents."""

import json
import shlex
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from headway import controls
from headway.checks import DEFECTS, RISKS, check_fields, defect_words
from headway.errors import DatasetError, OutputError
from headway.scoring import score
from headway.tables import EPISODE_SCHEMA, read_scores
from headway_datasets.opening import open_dataset

DOCUMENT = Path(__file__).parents[3] / "docs" / "checks.md"
COLUMNS = [field.name for field in check_fields()]


def test_every_estimators_scores_carry_the_checks_with_what_they_mean(written, tmp_path):
    clock = read_scores(score(open_dataset(written), controls.clock(), tmp_path / "clock")).episodes
    oracle = read_scores(score(open_dataset(written), controls.oracle(), tmp_path / "oracle")).episodes
    assert clock.select(COLUMNS).equals(oracle.select(COLUMNS))
    assert clock.column_names[-len(COLUMNS) - 1 :] == [*COLUMNS, "reason"]
    stored = pq.read_schema(tmp_path / "clock" / "episodes.parquet")
    for field in check_fields():
        metadata = stored.field(field.name).metadata
        assert {key: metadata[key] for key in (b"meaning", b"unit", b"source")} == field.metadata
        assert all(len(text) > 3 for text in field.metadata.values())
    assert clock["defects"].to_pylist() == [0] * 4
    assert min(clock["risk_lag"].to_pylist()) == pytest.approx(0.1)


def test_an_undecodable_video_is_a_defect_and_the_others_are_scored(faulty, tmp_path):
    faulty.pictures(lambda pictures: pictures[:-7])
    scores = read_scores(score(open_dataset(faulty.root), controls.clock(), tmp_path / "scores"))
    assert scores.episodes["defect_video_length"].to_pylist() == [0, 0, 0, 7]
    assert scores.episodes["final"].null_count == 0, "a clock needs no picture"


def test_scores_of_an_older_version_are_told_from_damaged_ones(written, tmp_path):
    out = score(open_dataset(written), controls.clock(), tmp_path / "scores")
    table = pq.read_table(out / "episodes.parquet")
    pq.write_table(table.drop_columns(COLUMNS), out / "episodes.parquet")
    with pytest.raises(DatasetError, match="older version; delete the folder and score again"):
        read_scores(out)
    pq.write_table(table.drop_columns(COLUMNS[:1]), out / "episodes.parquet")
    with pytest.raises(DatasetError, match="damaged"):
        read_scores(out)


def test_scores_with_other_definitions_are_not_resumed(written, tmp_path):
    out = score(open_dataset(written), controls.clock(), tmp_path / "scores")
    run = json.loads((out / "run.json").read_text())
    del run["identity"]["checks"]
    (out / "run.json").write_text(json.dumps(run))
    with pytest.raises(OutputError, match="other checks"):
        score(open_dataset(written), controls.clock(), out)


def test_none_checks_alone_and_tells_what_it_found(headway, faulty, tmp_path):
    def change(pictures):
        pictures[80:160] = 0
        return pictures

    faulty.pictures(change)
    out = tmp_path / "scores"
    done = headway("score", faulty.root, "--estimator", "none", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "1 of 4 episodes has defects" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("black video")]
    assert line.split() == ["black", "video", "1", "80", "frames", "1"]
    assert "gripper chatter" in done.stdout
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("next: ")]
    dry = headway(*shlex.split(told.removeprefix("next: headway ").replace("DIR", str(tmp_path / "kept"))))
    assert dry.returncode == 0, dry.stderr
    assert "3 of 4 episodes stay" in dry.stdout
    scores = read_scores(out)
    assert scores.episodes["reason"].to_pylist() == ["no estimator: checks alone"] * 4
    assert np.isnan(scores.frames["progress_sparse"].to_numpy()).all()
    assert scores.episodes["rank"].null_count == 4
    assert headway("score", faulty.root, "--estimator", "none", "--out", out).returncode == 0
    assert scores.episodes.schema.equals(EPISODE_SCHEMA)
    reported = headway("report", out, "--out", tmp_path / "page.html")
    assert reported.returncode == 0, reported.stderr
    page = (tmp_path / "page.html").read_text()
    assert "black video (80 frames), frozen video (80 frames)" in page
    assert "<h2>Risks</h2>" in page
    assert "gripper chatter" in page
    assert "Checks alone: no estimator was asked" in page
    assert "No score for" not in page


def test_a_folder_of_videos_says_what_cannot_be_known(headway, written, tmp_path):
    (video,) = (written / "videos").rglob("*.mp4")
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "one.mp4").write_bytes(video.read_bytes())
    done = headway("score", folder, "--estimator", "none", "--out", tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    assert "cannot be known here: NaN or infinite values, joint that never moves" in done.stdout
    row = read_scores(tmp_path / "scores").episodes.to_pylist()[0]
    assert row["defects"] == 0
    assert row["defect_dead_joint"] is None
    assert row["risk_jerk"] is None
    assert row["risk_blur"] is not None


@pytest.mark.parametrize(
    "option", [("--stride", "2"), ("--install",), ("--dry-run",), ("--false-positive-rate", "0.1")]
)
def test_none_takes_no_option_of_an_estimator(headway, written, tmp_path, option):
    done = headway("score", written, "--estimator", "none", "--out", tmp_path / "s", *option)
    assert done.returncode == 1
    assert "checks the data alone" in done.stderr


def test_defects_are_told_in_words():
    row = {"defect_dead_joint": 1, "defect_black_video": 1200, "defect_frozen_video": 0, "defect_nonfinite": None}
    assert defect_words(row) == "joint that never moves (1 joint), black video (1,200 frames)"
    assert defect_words({}) == ""


def test_the_document_says_what_the_code_says():
    """docs/checks.md has exactly these rows."""
    text = DOCUMENT.read_text()
    for prefix, checks in (("defect", DEFECTS), ("risk", RISKS)):
        rows = [line for line in text.splitlines() if line.startswith(f"| `{prefix}_")]
        expected = [
            f"| `{prefix}_{check.name}` | {check.unit} | {check.meaning.replace('|', chr(92) + '|')} | {check.source} |"
            for check in checks
        ]
        assert rows == expected
