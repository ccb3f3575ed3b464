"""The whole way on recordings that were not made for this software; skipped where they are absent."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real recordings are not at {REAL}")


@pytest.fixture
def headway(capfd):
    """Run one command in this process: its exit status and what it printed."""
    import sys

    from headway.cli import main

    def run(*arguments):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as left:
            patch.setattr(sys, "argv", ["headway", *map(str, arguments)])
            main()
        return left.value.code or 0, capfd.readouterr().out

    return run


def test_the_whole_folder_is_scored_and_reported(headway, tmp_path):
    status, told = headway("score", REAL, "--estimator", "clock", "--out", tmp_path / "s")
    assert status == 0
    assert "next: headway report" in told
    rows = pq.read_table(tmp_path / "s" / "episodes.parquet").to_pylist()
    assert sorted(row["length"] for row in rows) == [32, 50, 50, 1277]
    assert all(row["instruction"] is None for row in rows)
    status, _ = headway("report", tmp_path / "s", "--out", tmp_path / "real.html")
    assert status == 0
    page = (tmp_path / "real.html").read_text()
    assert page.count("data:video/mp4") + page.count("video/mp4") >= 1
    assert len(page) < 50e6


def test_three_cameras_with_key_frames_go_through_training_and_scoring_and_say_what_that_proves(headway, tmp_path):
    clean, run = REAL / "clean-table", tmp_path / "run"
    options = ("--cameras", "cam_high,cam_left_wrist,cam_right_wrist", "--epochs", 2, "--out", run)
    status, told = headway("train", "sarm", clean, *options)
    assert status == 0
    assert "one episode proves nothing about accuracy" in told
    status, told = headway(
        "score", clean, "--estimator", f"sarm:{run}", "--task", "clean the table", "--stride", 10, "--out", tmp_path / "s"
    )
    assert status == 0
    assert "one episode proves nothing about accuracy" in told
    assert "in-sample: 1 of 1 episodes" in told
    frames = pq.read_table(tmp_path / "s" / "frames.parquet").to_pandas()
    assert len(frames) == 1277
    assert frames.progress_sparse.between(0, 1).all()
    assert frames.looked_at.sum() == 129
    assert frames.stage.between(0, 15).all()
