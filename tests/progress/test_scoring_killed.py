"""A run killed with -9 at the worst moments, in a process of its own: it goes on, and ends with the same bytes."""

import subprocess
import sys

import numpy as np
import pytest

from headway.scoring import PARTS, score
from headway.specs import make_estimator
from headway_datasets.opening import open_dataset
from headway_datasets.video import encode_video

TABLES = ("frames.parquet", "episodes.parquet")

# what dies where: each replaces one function by itself, called so many times, then death
MOMENTS = {
    "an episode under way": ("headway.scoring.local", "score_episode", 3),
    "a part half written": ("headway.files", "os.fsync", 4),
    "all parts there, no table": ("headway.scoring.run", "write_tables", 1),
    "one table there": ("headway.scoring.merging", "write_table", 1),
    "no run.json": ("headway.scoring.merging", "write_json", 1),
    "parts not taken away": ("headway.scoring.run", "shutil.rmtree", 1),
}

SCRIPT = """
import importlib, os, signal, sys
from pathlib import Path
from headway.scoring import score
from headway.controls import clock
from headway_datasets.opening import open_dataset

demos, out, module, name, count = sys.argv[1:]
owner = importlib.import_module(module)
*path, name = name.split(".")
for part in path:
    owner = getattr(owner, part)
real, calls = getattr(owner, name), 0

def dies(*arguments, **settings):
    global calls
    calls += 1
    if calls == int(count):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **settings)

setattr(owner, name, dies)
score(open_dataset(demos), clock(), Path(out))
"""


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed") / "demos"
    folder.mkdir()
    for number in range(4):
        pictures = np.random.default_rng(number).integers(0, 255, (12, 32, 32, 3), np.uint8)
        encode_video(folder / f"{number}.mp4", pictures, 10)
    return folder


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_the_worst_moment_goes_on_and_ends_with_the_same_bytes(demos, tmp_path, moment):
    module, name, count = MOMENTS[moment]
    out = tmp_path / "scores"
    command = [sys.executable, "-c", SCRIPT, str(demos), str(out), module, name, str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    kept = {path.name: path.stat().st_mtime_ns for path in (out / PARTS).glob("episode-*.parquet")}
    source, estimator = open_dataset(demos), Watched(make_estimator("clock"))
    score(source, estimator, out)
    whole = score(source, make_estimator("clock"), tmp_path / "whole")
    for table in TABLES:
        assert (out / table).read_bytes() == (whole / table).read_bytes()
    assert len(kept) + len(estimator.judged) == 4, "what was finished is not done again"
    assert sorted(path.name for path in out.iterdir()) == ["episodes.parquet", "frames.parquet", "run.json"]


class Watched:
    """An estimator that notes what it is asked."""

    def __init__(self, estimator):
        self.estimator, self.judged = estimator, []
        self.name, self.fingerprint, self.needs = estimator.name, estimator.fingerprint, estimator.needs

    def estimate(self, episodes, stride=1):
        for episode in episodes:
            self.judged.append(episode.index)
            yield from self.estimator.estimate([episode], stride)
