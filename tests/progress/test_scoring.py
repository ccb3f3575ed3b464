"""Scoring, with the real files and a real estimator; faults are put in, not imagined."""

import json
import os
import subprocess
from dataclasses import replace
from itertools import islice

import numpy as np
import pyarrow.parquet as pq
import pytest

from headway import controls
from headway.checks import read_numbers
from headway.encoders.cache import default_cache
from headway.episodes import ProgressCurve
from headway.errors import DatasetError, InvalidValue, OutputError, VideoError
from headway.estimator import Needs
from headway.scoring import PARTS, ScoreOptions, score
from headway.scoring.episode import score_episode
from headway.scoring.parts import Parts
from headway.tables import DENSE_FRAME_SCHEMA, EPISODE_SCHEMA, FRAME_SCHEMA, read_scores


class Breaks:
    """A clock that breaks at one episode, as a killed process would."""

    name = fingerprint = "clock"
    needs = Needs(pictures=False)

    def __init__(self, at: int):
        self.at, self.judged = at, []

    def estimate(self, episodes, stride=1):
        for episode in episodes:
            if episode.index == self.at:
                raise KeyboardInterrupt
            self.judged.append(episode.index)
            yield from controls.clock().estimate([episode])


def test_the_folder_holds_exactly_the_three_tables_with_the_declared_columns(toy_source, tmp_path):
    out = score(toy_source, controls.clock(), tmp_path / "scores")
    assert sorted(path.name for path in out.iterdir()) == ["episodes.parquet", "frames.parquet", "run.json"]
    scores = read_scores(out)
    assert scores.frames.schema.equals(FRAME_SCHEMA)
    assert scores.episodes.schema.equals(EPISODE_SCHEMA)
    index = scores.frames["index"].to_numpy()
    assert (index == np.arange(sum(len(e) for e in toy_source))).all()
    for episode in toy_source:
        assert scores.curve(episode.index) == pytest.approx(np.linspace(0, 1, len(episode)))
    assert scores.run["estimator"] == "clock"
    assert scores.run["stage_names"] == ["right", "down"]


def test_lerobots_own_reader_takes_the_table(toy_source, tmp_path):
    import torch
    from lerobot.rewards.sarm.rabc import RABCWeights

    out = score(toy_source, controls.oracle(), tmp_path / "scores")
    weights = RABCWeights(out / "frames.parquet", chunk_size=5, device=torch.device("cpu"))
    got, stats = weights.compute_batch_weights({"index": torch.arange(20)})
    assert got.shape == (20,)
    assert stats["num_full_weight"] == 20
    assert len(weights.progress_lookup) == sum(len(e) for e in toy_source)


class Dense:
    """The oracle, and its square on the dense scale; some episodes cannot be read, some it gives no dense progress."""

    name = fingerprint = "dense"
    needs = Needs(pictures=False, truth=True)

    def __init__(self, unreadable=(), without=()):
        self.unreadable, self.without = unreadable, without

    def estimate(self, episodes, stride=1):
        for episode in episodes:
            if episode.index in self.unreadable:
                raise VideoError("cam.mp4 ends after 3 of 40 frames; record it again")
            for curve in controls.oracle().estimate([episode]):
                yield curve if episode.index in self.without else replace(curve, dense=curve.values**2)


def test_dense_progress_is_a_column_right_after_the_sparse_and_is_read_back(toy_source, tmp_path):
    scores = read_scores(score(toy_source, Dense(unreadable=(0, 3)), tmp_path / "s"))
    assert scores.frames.schema.equals(DENSE_FRAME_SCHEMA)
    assert scores.frames.schema.names[3:6] == ["progress_sparse", "progress_dense", "success"]
    assert (scores.frames["index"].to_numpy() == np.arange(sum(len(e) for e in toy_source))).all()
    for episode in toy_source:
        curve = scores.progress_curve(episode.index)
        assert curve.dense.dtype == np.float32
        failed = episode.index in (0, 3)
        expected = np.full(len(episode), np.nan) if failed else episode.truth.progress**2
        np.testing.assert_array_equal(curve.dense, expected.astype(np.float32))
        assert (curve.reason is not None) == failed
    assert scores.frames["progress_dense"].null_count == 0, "lerobot tells a missing value by NaN"
    assert scores.run["unscored"] == [0, 3]


def test_no_dense_progress_leaves_the_column_out(toy_source, tmp_path):
    scores = read_scores(score(toy_source, controls.oracle(), tmp_path / "s"))
    assert "progress_dense" not in scores.frames.column_names
    assert scores.progress_curve(0).dense is None


def test_dense_progress_for_some_of_the_scored_episodes_is_refused(toy_source, tmp_path):
    with pytest.raises(InvalidValue, match=r"dense gave dense progress for some .* none for episode 4"):
        score(toy_source, Dense(without=(4,)), tmp_path / "s")


@pytest.mark.parametrize("change", ["more", "moved", "renamed"])
def test_a_frames_table_with_any_other_column_is_damaged(toy_source, tmp_path, change):
    out = score(toy_source, Dense(), tmp_path / "s")
    table = pq.read_table(out / "frames.parquet")
    names = table.column_names
    changed = {
        "more": lambda: table.append_column("more", table["index"]),
        "moved": lambda: table.select([*(name for name in names if name != "progress_dense"), "progress_dense"]),
        "renamed": lambda: table.rename_columns(["progress_fine" if n == "progress_dense" else n for n in names]),
    }[change]()
    pq.write_table(changed, out / "frames.parquet")
    with pytest.raises(DatasetError, match="are damaged"):
        read_scores(out)


def test_lerobots_own_reader_takes_the_dense_column(toy_source, tmp_path):
    import torch
    from lerobot.rewards.sarm.rabc import RABCWeights

    out = score(toy_source, Dense(unreadable=(1,)), tmp_path / "scores")
    read = {
        head: RABCWeights(out / "frames.parquet", chunk_size=5, head_mode=head, device=torch.device("cpu"))
        for head in ("sparse", "dense")
    }
    known = [episode for episode in toy_source if episode.index != 1]
    index = np.concatenate([episode.first_frame + np.arange(len(episode)) for episode in known])
    truth = np.concatenate([episode.truth.progress for episode in known])
    for head, values in (("sparse", truth), ("dense", truth**2)):
        assert read[head].progress_lookup == pytest.approx(dict(zip(index.tolist(), values.tolist(), strict=True)))
    without = score(toy_source, controls.oracle(), tmp_path / "without")
    with pytest.raises(ValueError, match="Column 'progress_dense' not found"):
        RABCWeights(without / "frames.parquet", chunk_size=5, head_mode="dense")


def test_ranks_put_failures_last_and_follow_the_final_progress(toy_source, tmp_path):
    rows = read_scores(score(toy_source, controls.oracle(), tmp_path / "s")).episodes.to_pylist()
    by_rank = sorted(rows, key=lambda row: row["rank"])
    assert [row["success_label"] for row in by_rank] == [True] * 4 + [False] * 2
    assert by_rank[4]["truth_final"] >= by_rank[5]["truth_final"]


def test_a_run_cut_short_goes_on_where_it_stopped(toy_source, tmp_path):
    out = tmp_path / "scores"
    with pytest.raises(KeyboardInterrupt):
        score(toy_source, Breaks(at=3), out)
    with pytest.raises(DatasetError, match=r"holds no finished scores \(run.json is missing\)"):
        read_scores(out)
    rest = Breaks(at=-1)
    score(toy_source, rest, out)
    assert rest.judged == [3, 4, 5]
    whole = read_scores(score(toy_source, controls.clock(), tmp_path / "whole"))
    assert read_scores(out).frames.equals(whole.frames)


def test_a_finished_run_is_left_as_it_is(toy_source, tmp_path):
    out = score(toy_source, controls.clock(), tmp_path / "scores")
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    again = Breaks(at=-1)
    score(toy_source, again, out)
    assert again.judged == []
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_another_runs_scores_are_never_replaced(toy_source, tmp_path):
    out = score(toy_source, controls.clock(), tmp_path / "scores")
    with pytest.raises(OutputError, match=r"scores of another run \(other estimator\)"):
        score(toy_source, controls.constant(), out)
    with pytest.raises(OutputError, match=r"other options"):
        score(toy_source, controls.clock(), out, ScoreOptions(stride=2))
    with pytest.raises(KeyboardInterrupt):
        score(toy_source, Breaks(at=2), tmp_path / "unfinished")
    with pytest.raises(OutputError, match=r"other estimator"):
        score(toy_source, controls.constant(), tmp_path / "unfinished")


def test_a_folder_with_other_things_in_it_is_not_written_to(toy_source, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("important")
    with pytest.raises(OutputError, match="is not empty and holds no scores of Headway"):
        score(toy_source, controls.clock(), tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_an_unreadable_video_costs_one_episode_and_the_reason_is_in_the_table(toy_source, tmp_path):
    class Broken(Breaks):
        def estimate(self, episodes, stride=1):
            for episode in episodes:
                if episode.index == 2:
                    raise VideoError("cam.mp4 ends after 3 of 40 frames; record it again")
                yield from controls.clock().estimate([episode])

    scores = read_scores(score(toy_source, Broken(at=-1), tmp_path / "s"))
    rows = scores.episodes.to_pylist()
    assert rows[2]["reason"] == "cam.mp4 ends after 3 of 40 frames; record it again"
    assert rows[2]["rank"] is None
    assert sorted(row["rank"] for row in rows if row["rank"]) == [1, 2, 3, 4, 5]
    assert np.isnan(scores.curve(2)).all()
    assert scores.run["unscored"] == [2]
    assert not np.isnan(scores.curve(3)).any()


def test_chosen_episodes_keep_their_own_indices(toy_source, tmp_path):
    scores = read_scores(score(toy_source, controls.clock(), tmp_path / "s", ScoreOptions(episodes=(1, 4))))
    assert scores.episodes["episode_index"].to_pylist() == [1, 4]
    assert scores.frames["index"][0].as_py() == toy_source.episode(1).first_frame


def test_the_task_given_replaces_the_instruction(toy_source, tmp_path):
    scores = read_scores(score(toy_source, controls.clock(), tmp_path / "s", ScoreOptions(task="wave")))
    assert set(scores.episodes["instruction"].to_pylist()) == {"wave"}


def test_a_missing_thing_is_null_in_the_tables(toy_source, tmp_path, make_source):
    bare = [replace(e, instruction=None, success=None, truth=None, kind=None, stages=None) for e in toy_source]
    source = make_source(bare, tmp_path / "bare", fingerprint="bare", stage_names=None)
    scores = read_scores(score(source, controls.clock(), tmp_path / "s"))
    for column in ("instruction", "success_label", "truth_final", "kind", "success", "stage", "fold"):
        assert scores.episodes[column].null_count == len(bare)
    assert scores.run["stage_names"] is None


def test_damaged_tables_are_one_clear_line(toy_source, tmp_path):
    out = score(toy_source, controls.clock(), tmp_path / "scores")
    frames = out / "frames.parquet"
    frames.write_bytes(frames.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"are damaged .* delete the folder and score again"):
        read_scores(out)
    with pytest.raises(DatasetError, match="is not a folder of scores"):
        read_scores(tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_one_clear_line_and_damages_nothing(toy_source, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine does not let root mount a small disk")
    try:
        with pytest.raises(OutputError, match=r"no room left on the disk while writing .*; free some space"):
            score(toy_source, controls.clock(), disk / "scores")
        left = [path.name for path in (disk / "scores" / PARTS).iterdir() if path.name != ".lock"]
        assert left
        assert not [name for name in left if name.endswith(".part")]
        for name in left:
            path = disk / "scores" / PARTS / name
            assert json.loads(path.read_text()) if name.endswith("json") else len(pq.read_table(path))
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_an_out_below_a_file_is_one_clear_line(toy_source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        score(toy_source, controls.clock(), tmp_path / "file" / "scores")


def test_a_part_damaged_by_a_power_cut_is_scored_again(toy_source, tmp_path):
    out = tmp_path / "scores"
    with pytest.raises(KeyboardInterrupt):
        score(toy_source, Breaks(at=3), out)
    part = out / PARTS / "episode-000001.parquet"
    part.write_bytes(part.read_bytes()[:100])
    rest = Breaks(at=-1)
    score(toy_source, rest, out)
    assert rest.judged == [1, 3, 4, 5]
    whole = read_scores(score(toy_source, controls.clock(), tmp_path / "whole"))
    assert read_scores(out).frames.equals(whole.frames)


def test_a_run_killed_before_it_wrote_anything_goes_on(toy_source, tmp_path):
    (tmp_path / "scores" / PARTS).mkdir(parents=True)
    (tmp_path / "scores" / PARTS / ".identity.json.ab12.part").write_text("{")
    score(toy_source, controls.clock(), tmp_path / "scores")
    assert read_scores(tmp_path / "scores").run["episodes"] == 6


@pytest.mark.parametrize("content", ["[]", "{}", '{"identity": 3}', "{"])
def test_a_damaged_run_json_is_one_clear_line(toy_source, tmp_path, content):
    out = score(toy_source, controls.clock(), tmp_path / "scores")
    (out / "run.json").write_text(content)
    with pytest.raises(DatasetError, match=r"are damaged .* delete the folder and score again"):
        read_scores(out)
    with pytest.raises(OutputError):
        score(toy_source, controls.clock(), out)


def test_renamed_cameras_make_another_run(toy_source, tmp_path):
    out = score(toy_source, controls.clock(), tmp_path / "scores")
    with pytest.raises(OutputError, match="other options"):
        score(toy_source, controls.clock(), out, ScoreOptions(rename="a=b,b=a"))


class Counted:
    """Frames that count how often they are gone through."""

    def __init__(self, frames, identity="counted"):
        self.frames, self.identity, self.passes = frames, identity, 0
        self.declared = len(frames)

    def __len__(self):
        return len(self.frames)

    def __iter__(self):
        self.passes += 1
        return iter(self.frames)


class Looks:
    """Judges by how bright a picture is, and looks at every one, or at the first few."""

    name = fingerprint = "looks"
    needs = Needs()

    def __init__(self, at=None):
        self.at = at

    def estimate(self, episodes, stride=1):
        for episode in episodes:
            seen = [picture.mean() / 255 for picture in islice(episode.camera("top"), self.at)]
            values = np.resize(np.array(seen, np.float32), len(episode))
            yield ProgressCurve(values, np.ones(len(episode), bool), "looks")


@pytest.mark.parametrize(("looks_at", "passes"), [(None, 1), (3, 2)])
def test_pictures_are_decoded_once_for_the_estimator_and_the_checks(
    toy_source, tmp_path, monkeypatch, looks_at, passes
):
    monkeypatch.setenv("HEADWAY_CACHE", str(tmp_path / "cache"))
    episode = toy_source.episode(0)
    frames = Counted(episode.camera("top"))
    counted = replace(episode, cameras={"top": frames})
    numbers, cache = read_numbers(toy_source), default_cache()
    part = score_episode(counted, Looks(looks_at), ScoreOptions(), numbers, cache)
    assert frames.passes == passes, "a second pass only where the first was not gone through to its end"
    again = Counted(episode.camera("top"), identity=None)
    alone = score_episode(replace(episode, cameras={"top": again}), Looks(looks_at), ScoreOptions(), numbers, cache)
    assert again.passes == 2, "what nobody can tell apart is not kept"
    assert part.equals(alone, check_metadata=True)
    assert score_episode(counted, Looks(), ScoreOptions(), numbers, cache).num_rows == len(episode)
    assert frames.passes == passes + 1


def test_without_room_for_facts_the_tables_are_the_same(toy_source, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWAY_CACHE", str(tmp_path / "cache"))
    kept = score(toy_source, Looks(), tmp_path / "kept")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEADWAY_CACHE", str(tmp_path / "file"))
    bare = score(toy_source, Looks(), tmp_path / "bare")
    for name in ("frames.parquet", "episodes.parquet"):
        assert (kept / name).read_bytes() == (bare / name).read_bytes()


def test_an_error_while_a_part_is_written_ends_the_run_and_what_was_written_stays(toy_source, tmp_path, monkeypatch):
    def full(parts, index, part, write=Parts.write):
        if index == 2:
            raise OutputError("no room left")
        write(parts, index, part)

    monkeypatch.setattr(Parts, "write", full)
    with pytest.raises(OutputError, match="no room left"):
        score(toy_source, controls.clock(), tmp_path / "s")
    assert sorted(path.name for path in (tmp_path / "s" / PARTS).glob("*.parquet")) == [
        "episode-000000.parquet",
        "episode-000001.parquet",
    ]
