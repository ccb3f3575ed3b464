"""Shards of a dataset, scored apart and merged: the bytes of one run, and every wrong set of shards is told."""

import json
import shutil
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import controls
from headway.cli.options import parse_shard
from headway.errors import DatasetError, InvalidValue, OutputError, VideoError
from headway.estimator import Needs
from headway.scoring import ScoreOptions, merging, score
from headway.scoring.shards import merge_shards

TABLES = ("frames.parquet", "episodes.parquet")


class Patchy:
    """The oracle with dense progress; one episode cannot be decoded."""

    name = fingerprint = "patchy"
    needs = Needs(pictures=False, truth=True)

    def estimate(self, episodes, stride=1):
        for episode in episodes:
            if episode.index == 1:
                raise VideoError("cam.mp4 ends after 3 of 40 frames; record it again")
            for curve in controls.oracle().estimate([episode]):
                yield replace(curve, dense=curve.values**2)


def shards_of(source, folder, count, estimator=None, **options):
    made = []
    for number in range(1, count + 1):
        chosen = ScoreOptions(shard=(number, count), **options)
        made.append(score(source, estimator or controls.oracle(), folder / f"{number}", chosen))
    return made


@pytest.mark.parametrize("rows", [merging.ROWS, 1, 60])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_merged_shards_have_the_bytes_of_one_run(toy_source, tmp_path, monkeypatch, count, rows):
    monkeypatch.setattr(merging, "ROWS", rows)
    whole = score(toy_source, Patchy(), tmp_path / "whole")
    assert (pq.ParquetFile(whole / "frames.parquet").num_row_groups > 1) == (rows <= 60)
    parts = shards_of(toy_source, tmp_path, count, Patchy())
    merged = merge_shards(parts[::-1], tmp_path / "merged")
    for table in TABLES:
        assert (merged / table).read_bytes() == (whole / table).read_bytes()
    one, other = (json.loads((folder / "run.json").read_text()) for folder in (whole, merged))
    for told in ("identity", "estimator", "dataset", "stage_names", "episodes", "frames", "unscored", "in_sample"):
        assert one[told] == other[told]
    assert merge_shards(parts, merged) == merged
    assert score(toy_source, Patchy(), merged) == merged, "a run without shards takes it for its own"


@given(count=st.integers(1, 40), episodes=st.integers(1, 40))
def test_every_episode_is_in_exactly_one_shard(count, episodes):
    wanted = range(100, 100 + episodes)
    if count > episodes:
        with pytest.raises(InvalidValue, match="without any"):
            [ScoreOptions(shard=(number, count)).wanted(wanted) for number in range(1, count + 1)]
        return
    parts = [list(ScoreOptions(shard=(number, count)).wanted(wanted)) for number in range(1, count + 1)]
    assert [index for part in parts for index in part] == list(wanted)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_wrong_sets_of_shards_are_one_clear_line(toy_source, tmp_path):
    first, second, third = shards_of(toy_source, tmp_path / "a", 3)
    out = tmp_path / "merged"
    with pytest.raises(DatasetError, match=r"of 3 shards 1 is missing: 2; run headway score --shard 2/3"):
        merge_shards([first, third], out)
    shutil.copytree(first, tmp_path / "copy")
    with pytest.raises(DatasetError, match=r"copy and .*a/1 are both shard 1/3"):
        merge_shards([first, second, tmp_path / "copy", third], out)
    other = shards_of(toy_source, tmp_path / "b", 3, stride=2)
    with pytest.raises(DatasetError, match=r"another run than .*\(other options\)"):
        merge_shards([first, second, other[2]], out)
    clock = shards_of(toy_source, tmp_path / "c", 2, controls.clock())
    with pytest.raises(DatasetError, match=r"other estimator, number of shards: 2 and 3"):
        merge_shards([first, clock[1]], out)
    whole = score(toy_source, controls.oracle(), tmp_path / "whole")
    with pytest.raises(DatasetError, match="not of a shard"):
        merge_shards([whole], out)
    with pytest.raises(InvalidValue, match="takes the folders"):
        merge_shards([], out)
    assert not out.exists()
    with pytest.raises(OutputError, match="is not empty"):
        merge_shards([first, second, third], tmp_path / "a")
    with pytest.raises(OutputError, match="another run"):
        merge_shards([first, second, third], clock[0])


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/", "/2", "-1/2", "1/2/3", "²/3"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(InvalidValue, match="--shard needs I/N"):
        parse_shard(text)


def test_on_the_command_line(headway, tmp_path):
    demos, merged = tmp_path / "demos", tmp_path / "merged"
    assert headway("collect", "push-to-goal", "--episodes", 3, "--out", demos).returncode == 0
    for shard in ("1/2", "2/2"):
        done = headway("score", demos, "--estimator", "clock", "--shard", shard, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "next: headway merge" in done.stdout
    parts = [tmp_path / "scores" / f"demos-clock-{number}-of-2" for number in (1, 2)]
    done = headway("merge", *parts, "--out", merged)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(merged / "episodes.parquet")["episode_index"].to_pylist() == [0, 1, 2]
    refused = headway("score", demos, "--shard", "1/2")
    assert refused.returncode == 1
    assert "--shard, --engine ray and --fast need an --estimator" in refused.stderr
