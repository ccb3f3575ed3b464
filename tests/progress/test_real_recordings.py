"""The whole way on recordings that were not made for this software; skipped where they are absent."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real recordings are not at {REAL}")


def test_the_whole_folder_is_scored_and_reported(headway, tmp_path):
    scored = headway("score", REAL, "--estimator", "clock", "--out", tmp_path / "s")
    assert scored.returncode == 0, scored.stderr
    assert "next: headway report" in scored.stdout
    rows = pq.read_table(tmp_path / "s" / "episodes.parquet").to_pylist()
    assert sorted(row["length"] for row in rows) == [32, 50, 50, 1277]
    assert all(row["instruction"] is None for row in rows)
    reported = headway("report", tmp_path / "s", "--out", tmp_path / "real.html")
    assert reported.returncode == 0, reported.stderr
    assert 100_000 < (tmp_path / "real.html").stat().st_size < 50_000_000


def test_three_cameras_with_key_frames_go_through_training_and_scoring_and_say_what_that_proves(headway, tmp_path):
    clean, run = REAL / "clean-table", tmp_path / "run"
    options = ("--cameras", "cam_high,cam_left_wrist,cam_right_wrist", "--epochs", 2, "--out", run)
    trained = headway("train", "sarm", clean, *options)
    assert trained.returncode == 0, trained.stderr
    assert "one episode proves nothing about accuracy" in trained.stdout
    judge = ("--estimator", f"sarm:{run}", "--task", "clean the table", "--stride", 10)
    scored = headway("score", clean, *judge, "--out", tmp_path / "s")
    assert scored.returncode == 0, scored.stderr
    assert "one episode proves nothing about accuracy" in scored.stdout
    assert "in-sample: 1 of 1 episodes" in scored.stdout
    frames = pq.read_table(tmp_path / "s" / "frames.parquet").to_pandas()
    assert len(frames) == 1277
    assert frames.progress_sparse.between(0, 1).all()
    assert frames.looked_at.sum() == 129
    assert frames.stage.between(0, 15).all()
