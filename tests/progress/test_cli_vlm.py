"""The commands that ask a vision-language model, against the pixel-reading server, over HTTP."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from headway.tables import read_scores
from headway_envs.vlm_server import serving
from headway_envs.vlm_server.script import Fault, Script
from headway_envs.vlm_server.server import PixelServer


@pytest.fixture(scope="module")
def demos(tmp_path_factory, session_sliders) -> Path:
    from headway_datasets.lerobot_writer import write_dataset

    root = tmp_path_factory.mktemp("vlm") / "demos"
    write_dataset(root, session_sliders(3, failing=2))
    return root


@pytest.fixture
def server() -> Iterator[PixelServer]:
    with serving() as running:
        yield running


def asked(server: PixelServer) -> int:
    return sum(request.number is not None for request in server.requests)


def spec(server: PixelServer, method: str = "gvl", settings: str = "?frames=10&permutations=2") -> str:
    return f"{method}:slider@{server.base_url}{settings}"


def test_scores_are_tables_like_any_other_and_a_second_run_sends_nothing(headway, demos, server, tmp_path):
    done = headway("score", demos, "--estimator", spec(server), "--out", tmp_path / "scores", "--price", "1,2")
    assert done.returncode == 0, done.stderr
    assert asked(server) == 10
    assert "requests, 0 answered from the cache" in done.stdout
    assert ", $0.0" in done.stdout
    scores = read_scores(tmp_path / "scores")
    rows = scores.episodes.to_pylist()
    assert [row["success_label"] for row in sorted(rows, key=lambda row: row["rank"])] == [True] * 3 + [False] * 2
    assert max(row["truth_mae"] for row in rows) < 0.1
    assert scores.frames["looked_at"].to_numpy().sum() == 50
    assert scores.run["facts"][0]["outcomes"] == {"read": 100}
    assert scores.run["facts"][0]["spent"]["requests"] >= 10
    again = headway("score", demos, "--estimator", spec(server), "--out", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    assert asked(server) == 10
    assert "0 requests, 10 answered from the cache" in again.stdout
    assert read_scores(tmp_path / "again").frames.equals(scores.frames)
    assert headway("report", tmp_path / "again").returncode == 0


def test_a_dry_run_tells_what_it_would_take_and_does_nothing(headway, demos, server, tmp_path):
    out = tmp_path / "scores"
    done = headway("score", demos, "--estimator", spec(server), "--out", out, "--dry-run", "--price", "1,2")
    assert done.returncode == 0, done.stderr
    assert "would score 5 episodes" in done.stdout
    assert "about 10 requests with 110 pictures" in done.stdout
    assert "at that price at most $" in done.stdout
    assert not out.exists()
    assert server.requests == []


def test_a_run_that_broke_goes_on_without_asking_again_for_what_it_has(headway, demos, tmp_path):
    broken = True

    def fault(number: int) -> Fault | None:
        # eight are under way at once: the ninth is sent when the first reply is there
        return Fault.RATE_LIMIT if broken and number >= 8 else None

    # so long a wait is not waited for
    with serving(Script(faults=fault, retry_after="600")) as server:
        done = headway("score", demos, "--estimator", spec(server), "--out", tmp_path / "scores")
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert len([line for line in done.stderr.splitlines() if line.startswith("headway: ")]) == 1
        broken = False
        done = headway("score", demos, "--estimator", spec(server), "--out", tmp_path / "scores")
        assert done.returncode == 0, done.stderr
    scores = read_scores(tmp_path / "scores")
    assert len(scores.episodes) == 5
    # those under way at the break may have been lost, but what had come is not asked for again
    assert scores.run["facts"][-1]["spent"]["requests"] < 10
    # what each sitting read is told, the first one's too where it finished an episode
    assert sum(facts["outcomes"].get("read", 0) for facts in scores.run["facts"]) == 100


def test_a_refused_episode_has_a_reason_and_no_rank_and_the_others_are_scored(headway, demos, tmp_path):
    with serving(Script(faults=[Fault.REFUSAL])) as server:
        out = tmp_path / "scores"
        done = headway("score", demos, "--estimator", spec(server, settings="?permutations=1"), "--out", out)
        assert done.returncode == 1
        assert "1 of 5 episodes have no score" in done.stderr
        assert "refused 30" in done.stdout
        assert "20% refused, with which it is" in done.stdout
    rows = read_scores(out).episodes.to_pylist()
    refused = [row for row in rows if row["rank"] is None]
    assert len(refused) == 1
    assert refused[0]["reason"].startswith("no completion for")
    assert refused[0]["final"] is None


def test_a_rubric_ranks_by_the_end_alone(headway, demos, server, tmp_path):
    done = headway("score", demos, "--estimator", spec(server, "rubric", ""), "--out", tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    rows = read_scores(tmp_path / "scores").episodes.to_pylist()
    assert {row["final"] for row in rows if row["success_label"]} == {1.0}
    assert all(row["mean"] is None and row["rank"] is not None for row in rows)
    column = pq.read_table(tmp_path / "scores" / "frames.parquet")["progress_sparse"].to_numpy()
    assert (~np.isnan(column)).sum() == 5


def test_another_instruction_and_examples_reach_the_model(headway, demos, server, tmp_path):
    arguments = ["--task", "park the square", "--examples", f"{demos}:0,1", "--episodes", "2"]
    settings = "?frames=5&permutations=1"
    done = headway("score", demos, "--estimator", spec(server, "gvl", settings), *arguments, "--out", tmp_path / "s")
    assert done.returncode == 0, done.stderr
    request = next(request for request in server.requests if request.number is not None)
    assert "The task now is: park the square." in request.text
    assert request.labels == (*range(1, 11), None, *range(11, 16))
    refused = headway("score", demos, "--estimator", "clock", "--examples", demos, "--out", tmp_path / "c")
    assert refused.returncode == 1
    assert "--examples and --goal are for gvl" in refused.stderr


def test_what_a_method_remarks_is_told_and_kept(headway, demos, server, tmp_path):
    for method, words in (
        ("topreward", "form: after a chat template, weaker than the exact one"),
        ("verifier", "probability on letters: 0.97"),
    ):
        out = tmp_path / method
        done = headway(
            "score", demos, "--estimator", spec(server, method, "?frames=4"), "--episodes", "0", "--out", out
        )
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
        assert words.partition(":")[0].replace(" ", "_") in read_scores(out).run["facts"][0]["notes"]


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        ("gvl:", "needs a model"),
        ("gvl:@http://127.0.0.1:9/v1", "needs a model before the @"),
        ("gvl:m@http://127.0.0.1:9/v1?frame=3", "unknown setting of gvl 'frame'"),
        ("gvl:m@http://127.0.0.1:9/v1?frames=many", "gvl's frames must be a whole number"),
        ("gvl:m@http://127.0.0.1:9/v1?frames=1", "at least 2 frames"),
        ("verifier:m@http://127.0.0.1:9/v1?criteria=9", "1 to 3 criteria"),
        ("topreward:m@http://127.0.0.1:9/v1?curve=steep", "probability or minmax"),
    ],
)
def test_a_spec_that_is_wrong_is_one_clear_line(headway, demos, estimator, words, tmp_path):
    done = headway("score", demos, "--estimator", estimator, "--out", tmp_path / "scores")
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_s_marks_are_exact_and_sarm_trains_on_them(headway, demos, server, tmp_path, session_sliders):
    from headway_datasets.marks import read_marks

    marks = tmp_path / "marks"
    by = f"slider@{server.base_url}"
    done = headway("annotate", demos, "--subtasks", "right;down", "--with", by, "--out", marks)
    assert done.returncode == 0, done.stderr
    found = read_marks(marks)
    assert found.stage_names == ("right", "down")
    for index, episode in enumerate(session_sliders(3, failing=2)):
        own = [(stage.name, stage.start) for stage in episode.stages]
        theirs = [(stage.name, stage.start) for stage in found.episodes[index].stages]
        assert [name for name, _ in theirs] == [name for name, _ in own]
        assert max(abs(a[1] - b[1]) for a, b in zip(own, theirs, strict=True)) <= 2
    before = asked(server)
    again = headway("annotate", demos, "--subtasks", "right;down", "--with", by, "--out", marks)
    assert again.returncode == 0
    assert "finished before" in again.stdout
    assert asked(server) == before
    run = tmp_path / "run"
    trained = headway("train", "sarm", demos, "--marks", marks, "--epochs", "1", "--image-size", "32", "--out", run)
    assert trained.returncode == 0, trained.stderr
    other = headway("annotate", demos, "--subtasks", "one;two", "--with", by, "--out", marks)
    assert other.returncode == 1
    assert "holds marks of another run" in other.stderr


def test_ctrl_c_stops_at_once_though_the_server_is_silent(demos, tmp_path):
    with serving(Script(faults=lambda number: Fault.TIMEOUT, slow_s=60)) as server:
        command = [Path(sys.executable).parent / "headway", "score", demos, "--estimator", spec(server), "--out"]
        running = subprocess.Popen([*command, tmp_path / "scores"], stderr=subprocess.PIPE, text=True)
        begun = time.monotonic()
        while not asked(server) and time.monotonic() - begun < 60:
            time.sleep(0.1)
        assert asked(server)
        running.send_signal(signal.SIGINT)
        stopped = time.monotonic()
        _, told = running.communicate(timeout=30)
    # a reply would have taken a minute
    assert time.monotonic() - stopped < 20
    assert running.returncode == 130
    assert "headway: interrupted" in told
    assert "Traceback" not in told


def test_a_second_run_into_the_same_folder_is_told_to_wait(headway, demos, tmp_path):
    from filelock import FileLock

    with serving(Script(faults=[Fault.RATE_LIMIT], retry_after="600")) as server:
        begun = ["score", demos, "--estimator", spec(server), "--out", tmp_path / "scores"]
        assert headway(*begun).returncode == 1
        with FileLock(tmp_path / "scores" / "parts" / ".lock"):
            done = headway(*begun)
    assert done.returncode == 1
    assert "another headway score is writing" in done.stderr


def test_examples_are_few_and_successes(headway, demos, server, tmp_path):
    for examples, words in ((f"{demos}:4", "episode 4 failed"), (f"{demos}:0,9", "unknown episode '9'")):
        done = headway("score", demos, "--estimator", spec(server), "--examples", examples, "--out", tmp_path / "s")
        assert done.returncode == 1
        assert words in done.stderr
    assert server.requests == []


def test_two_methods_of_one_model_do_not_share_a_default_folder():
    from headway.cli.options import default_out

    specs = [f"{method}:Qwen/X@http://h/v1{more}" for method in ("gvl", "rubric") for more in ("", "?frames=5")]
    assert len({default_out("scores", "demos/tidy", each) for each in specs}) == 4
    assert str(default_out("scores", "demos/tidy", specs[1])) == "scores/tidy-gvl-X-frames-5"
