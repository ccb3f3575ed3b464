"""Scoring under Ray on real videos, one of them damaged: the same bytes, whatever is killed on the way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from headway.checks import ChecksAlone, read_numbers
from headway.cli.options import open_source
from headway.encoders.cache import default_cache
from headway.errors import CheckpointError, DatasetError, InvalidValue, UnknownName, Unsupported, VideoError
from headway.scoring import PARTS, ScoreOptions, Work, score
from headway.scoring.episode import score_episode
from headway.scoring.parts import Parts
from headway.scoring.ray_cluster import cluster
from headway.scoring.ray_engine import ray_engine, share_out
from headway.scoring.ray_steps import Decode, Job, Judge, decoded, outcomes, packed, portable, unpacked, with_pictures
from headway.specs import make_estimator

TABLES = ("frames.parquet", "episodes.parquet")
EPISODES = 8
DAMAGED = 2
PLENTY = 1 << 30
# how long this machine may take for what takes seconds; nothing depends on it where all goes well
PATIENCE = 300


@dataclass
class Demos:
    """Episodes of two cameras of different size in videos of their own, and a SARM that was trained on such."""

    videos: Path
    run: Path

    @property
    def open(self) -> Callable:
        return partial(open_source, str(self.videos))

    def make(self, spec: str) -> Callable:
        return partial(make_estimator, spec.replace("RUN", str(self.run)), "cpu")


@pytest.fixture(scope="module")
def demos(tmp_path_factory, session_sliders, headway) -> Demos:
    from headway_datasets.lerobot_writer import write_dataset
    from headway_datasets.video import encode_video

    root = tmp_path_factory.mktemp("ray")
    write_dataset(root / "lessons", session_sliders(3, failing=1))
    options = ("--epochs", 1, "--image-size", 32, "--validation", 0)
    assert headway("train", "sarm", root / "lessons", "--out", root / "run", *options).returncode == 0
    rng = np.random.default_rng(0)
    for episode in session_sliders(EPISODES - 2, failing=2, seed=3):
        folder = root / "videos" / f"episode-{episode.index}"
        folder.mkdir(parents=True)
        encode_video(folder / "top.mp4", episode.cameras["top"], 10)
        wrist = rng.integers(0, 255, (len(episode), 24, 48, 3), dtype=np.uint8)
        encode_video(folder / "wrist.mp4", wrist, 10)
    damaged = root / "videos" / f"episode-{DAMAGED}" / "top.mp4"
    content = bytearray(damaged.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = rng.bytes(2000)
    damaged.write_bytes(content)
    return Demos(root / "videos", root / "run")


@pytest.fixture(scope="module")
def plain(demos, tmp_path_factory) -> dict[str, bytes]:
    """Both tables by the local engine, with features of its own."""
    out = tmp_path_factory.mktemp("plain") / "scores"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWAY_CACHE", str(out.parent / "cache"))
        # names and reasons in the tables are those of the paths that were given
        patch.chdir(demos.run.parent)
        score(open_source("videos"), make_estimator("sarm:run"), out)
    return tables(out)


@pytest.fixture(scope="module")
def ray(tmp_path_factory):
    """A cluster of this machine's, for all tests that need one, whose processes have a feature cache of their own."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWAY_CACHE", str(tmp_path_factory.mktemp("rays-features")))
        with cluster() as ray:
            yield ray


def tables(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in TABLES}


def processes(mark: str, title: str = "") -> dict[int, str]:
    """Titles of the living processes that have `mark` in their environment and `title` in their command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            marked = mark.encode() in (folder / "environ").read_bytes()
        except OSError:
            continue
        if marked and title in command:
            found[int(folder.name)] = command
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


# what the processes do, in this one


def begun(demos, spec: str, out: Path, options: ScoreOptions | None = None) -> tuple[Work, Callable]:
    source, make = demos.open(), ChecksAlone if spec == "none" else demos.make(spec)
    return Work(source, make(), options or ScoreOptions(), read_numbers(source), Parts(out, {})), make


def judged(job: Job, index: int) -> object:
    """What comes back of one episode."""
    ((number, outcome),) = outcomes(Judge(job)(Decode(job)({"episode": np.array([index])})))
    assert number == index
    return outcome


@pytest.mark.parametrize("largest", [PLENTY, 0], ids=["handed on", "decoded where it is judged"])
@pytest.mark.parametrize("spec", ["sarm:RUN", "clock", "none", "reversed:sarm:RUN", "ensemble:sarm:RUN+clock"])
def test_what_comes_back_is_the_local_part_to_the_last_byte(demos, tmp_path, monkeypatch, spec, largest):
    pytest.importorskip("ray")
    monkeypatch.chdir(tmp_path)
    work, make = begun(demos, spec, tmp_path / "s", ScoreOptions(task="move it", stride=2 if "sarm" in spec else 1))
    job = Job.of(work, make, demos.open, 1, largest)
    for index in (0, DAMAGED):
        monkeypatch.setenv("HEADWAY_CACHE", str(tmp_path / f"ray-{index}"))
        handed_on = unpacked(Decode(job)({"episode": np.array([index])})) is not None
        assert handed_on == (largest == PLENTY and index != DAMAGED)
        part = judged(job, index)
        monkeypatch.setenv("HEADWAY_CACHE", str(tmp_path / f"local-{index}"))
        local = score_episode(work.source.episode(index), make(), work.options, work.numbers, default_cache())
        assert as_file(part) == as_file(local)
        if "sarm" in spec and index == DAMAGED:
            assert b"cannot be decoded" in part.schema.metadata[b"headway_episode"]


def test_torch_has_as_many_threads_as_where_the_run_was_begun(demos, tmp_path):
    job = Job.of(*begun(demos, "clock", tmp_path / "s"), demos.open, 3, 0)
    before = torch.get_num_threads()
    try:
        job.made()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def as_file(part: pa.Table) -> bytes:
    file = pa.BufferOutputStream()
    pq.write_table(part, file)
    return file.getvalue().to_pybytes()


def test_the_pictures_handed_on_are_the_cameras_own(demos):
    episode = demos.open().episode(1)
    found = with_pictures(episode, unpacked(packed(1, decoded(episode, PLENTY))))
    for name, frames in episode.cameras.items():
        other = found.camera(name)
        assert (other.identity, len(other), other.label) == (frames.identity, len(frames), frames.label)
        pictures = list(other)
        assert all(picture.flags.writeable for picture in pictures)
        np.testing.assert_array_equal(pictures, list(frames))
    assert found.camera("top").pictures.shape[1:] != found.camera("wrist").pictures.shape[1:]


class Counted:
    """Frames that count what is decoded of them, and that change their size where told."""

    identity = None

    def __init__(self, length: int, smaller_at: int | None = None):
        self.length, self.smaller_at, self.count = length, smaller_at, 0

    def __len__(self):
        return self.length

    def __iter__(self):
        for number in range(self.length):
            self.count += 1
            yield np.zeros((1 if number == self.smaller_at else 8, 8, 3), np.uint8)


def test_of_an_episode_that_is_too_large_only_the_first_picture_is_decoded(make_slider):
    top, wrist = Counted(46), Counted(46)
    episode = replace(make_slider(), cameras={"top": top, "wrist": wrist})
    assert decoded(episode, 2 * 46 * 8 * 8 * 3 - 1) is None
    assert (top.count, wrist.count) == (1, 1)
    assert decoded(episode, 2 * 46 * 8 * 8 * 3) is not None


def test_pictures_that_change_their_size_are_not_handed_on(make_slider):
    assert decoded(replace(make_slider(), cameras={"top": Counted(46, smaller_at=9)}), PLENTY) is None


def test_another_dataset_or_estimator_on_a_machine_is_refused(demos, tmp_path):
    pytest.importorskip("ray")
    job = Job.of(*begun(demos, "clock", tmp_path / "s"), demos.open, 1, 0)
    other = judged(replace(job, dataset="0123"), 0)
    assert isinstance(other, DatasetError)
    assert "is another dataset than here; mount or copy the same one" in str(other)
    other = judged(replace(job, make=demos.make("constant")), 0)
    assert isinstance(other, CheckpointError)
    assert "constant" in str(other)
    other = judged(replace(job, folder=tmp_path / "nowhere"), 0)
    assert isinstance(other, DatasetError)
    assert "has no folder" in str(other)


def test_errors_travel_as_they_are_and_bugs_with_their_place():
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    for error in (VideoError("cam.mp4 ends; record it again"), UnknownName("camera", "x", ["top"], "Look again")):
        found = cloudpickle.loads(portable(error))
        assert (type(found), str(found)) == (type(error), str(error))
        assert not hasattr(found, "__notes__")

    class Awkward(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} {two}")

    for bug, words in ((ZeroDivisionError("by zero"), "by zero"), (Awkward("left", "right"), "left right")):
        found = cloudpickle.loads(portable(bug))
        assert words in str(found)
    with pytest.raises(Awkward) as raised:
        raise Awkward("left", "right")
    assert "raised in a process of Ray on" in str(cloudpickle.loads(portable(raised.value)))


# how a cluster is shared out


@pytest.mark.parametrize(
    ("machines", "threads", "actors", "device", "expected"),
    [
        ([{"CPU": 3}], 2, None, "cpu", (1, 2, 0, 1)),
        ([{"CPU": 2}], 1, None, "cpu", (1, 1, 0, 1)),
        ([{"CPU": 1}], 1, None, "cpu", (1, 0, 0, 1)),
        ([{"CPU": 8}], 1, None, "cpu", (4, 1, 0, 4)),
        ([{"CPU": 8}], 1, 6, "cpu", (6, 1, 0, 2)),
        ([{"CPU": 8}], 8, 3, "cpu", (3, 2, 0, 2)),
        ([{"CPU": 4}], 1, 9, "cpu", (9, 0, 0, 4)),
        ([{"CPU": 16}, {"CPU": 16}], 7, None, "cpu", (4, 7, 0, 4)),
        ([{"CPU": 16, "GPU": 2}, {"CPU": 32}], 16, None, "cuda", (2, 1, 1, 46)),
        ([{"CPU": 16, "GPU": 2}], 16, 5, "cuda", (2, 1, 1, 14)),
    ],
)
def test_whatever_judges_leaves_a_core_to_decode(machines, threads, actors, device, expected):
    share = share_out([{**one, "object_store_memory": 800.0} for one in machines], threads, actors, device, 100)
    assert (share.actors, share.cpus, share.gpus, share.decoders) == expected
    assert (share.threads, share.largest) == (threads, 100)
    assert share.actors * share.cpus + 1 <= sum(one["CPU"] for one in machines)


def test_there_are_no_more_actors_than_episodes():
    for device in ("cpu", "cuda"):
        assert share_out([{"CPU": 64, "GPU": 8}], 1, None, device, 3).actors == 3


def test_a_gpu_that_nobody_has_is_not_waited_for():
    with pytest.raises(Unsupported, match="none of the 2 machines of the Ray cluster has a GPU; use --device cpu"):
        share_out([{"CPU": 4}, {"CPU": 4}], 1, None, "cuda", 100)


# what cannot be done


def test_ray_is_imported_only_by_a_run():
    code = "import sys, headway.scoring, headway.scoring.ray_engine; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE).returncode == 0


def test_without_ray_one_line_says_how_to_get_it(demos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    make = demos.make("clock")
    with pytest.raises(Unsupported, match=r"needs Ray: install it with `pip install 'headway\[ray\]'`"):
        score(demos.open(), make(), tmp_path / "s", engine=ray_engine(make, demos.open))


def test_settings_that_cannot_work_are_refused_at_once(demos):
    with pytest.raises(InvalidValue, match="--device cuda:1 with --engine ray"):
        ray_engine(demos.make("clock"), demos.open, device="cuda:1")
    with pytest.raises(InvalidValue, match="got 0 actors"):
        ray_engine(demos.make("clock"), demos.open, actors=0)


def test_an_address_where_nobody_listens_is_one_line_and_takes_no_minute(demos, tmp_path):
    make = demos.make("clock")
    with pytest.raises(Unsupported, match=r"no Ray cluster can be reached at 127.0.0.1:9 \(.*refused.*\)"):
        score(demos.open(), make(), tmp_path / "s", engine=ray_engine(make, demos.open, "127.0.0.1:9"))
    with pytest.raises(InvalidValue, match=r"HOST:PORT.*got 'ray://head:10001'"):
        score(demos.open(), make(), tmp_path / "s", engine=ray_engine(make, demos.open, "ray://head:10001"))


def test_an_estimator_that_waits_for_a_server_is_refused(demos, tmp_path):
    make = demos.make("gvl:some-model@http://127.0.0.1:9/v1")
    with pytest.raises(Unsupported, match=r"waits for a server.*use --engine local"):
        score(demos.open(), make(), tmp_path / "s", engine=ray_engine(make, demos.open))


# under Ray

DIES = partial(os._exit, 3)
DRIVER = """
import os, signal, sys
from functools import partial
from pathlib import Path
from headway.cli.options import open_source
from headway.scoring import score
from headway.scoring.ray_engine import ray_engine
from headway.specs import make_estimator

spec, out, address, last = sys.argv[1:]
opening, making = partial(open_source, "videos"), partial(make_estimator, spec, "cpu")


def dies(done, total):
    if done == int(last):
        os.kill(os.getpid(), signal.SIGKILL)


score(opening(), making(), Path(out), on_episode=dies, engine=ray_engine(making, opening, address or None, actors=1))
"""


def test_killed_at_either_end_a_run_goes_on_and_ends_with_the_local_bytes(demos, plain, ray, tmp_path):
    cache, out = f"HEADWAY_CACHE={os.environ['HEADWAY_CACHE']}", tmp_path / "scores"
    # somebody else's cluster, and paths that are not absolute
    address = ray.get_runtime_context().gcs_address
    driver = [sys.executable, "-c", DRIVER, "sarm:run", out, address, "2"]
    done = subprocess.run(driver, cwd=demos.run.parent, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGKILL, "", "")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in out.joinpath(PARTS).glob("episode-*")}
    assert len(before) == 2
    wait_for(lambda: not processes(cache, "Judge"))

    calls, killed = [], []

    def kills(done: int, total: int) -> None:
        calls.append((done, total))
        if done == 3:
            killed.extend(processes(cache, "Judge"))
            for number in killed:
                os.kill(number, signal.SIGKILL)
        if done == total:
            assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in before} == before
            assert not set(killed) & set(processes(cache, "Judge"))

    # the cluster's processes start where it was started, and take the paths from here
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(demos.run.parent)
        make, opening = partial(make_estimator, "sarm:run", "cpu"), partial(open_source, "videos")
        score(opening(), make(), out, on_episode=kills, engine=ray_engine(make, opening, actors=1))
    assert calls == [(count, EPISODES) for count in range(2, EPISODES + 1)]
    assert len(killed) == 1
    assert tables(out) == plain


def test_an_error_of_a_process_is_this_processes_own(demos, ray, tmp_path, capfd):
    make = demos.make("clock")
    with pytest.raises(CheckpointError) as raised:
        score(demos.open(), make(), tmp_path / "s", engine=ray_engine(demos.make("constant"), demos.open))
    assert str(raised.value).count("\n") == 0
    assert "is another estimator than here" in str(raised.value)
    assert raised.value.__cause__ is None
    assert capfd.readouterr() == ("", "")
    wait_for(lambda: not processes(f"HEADWAY_CACHE={os.environ['HEADWAY_CACHE']}", "Judge"))


def test_an_episode_that_kills_its_process_each_time_ends_the_run(demos, ray, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("headway.scoring.ray_engine.RETRIES", 1)
    with pytest.raises(
        Unsupported, match=r"Ray gave up \(.*\), as it does when a process dies 2 times over one"
    ) as raised:
        score(demos.open(), demos.make("clock")(), tmp_path / "s", engine=ray_engine(demos.make("clock"), DIES))
    assert str(raised.value).count("\n") == 0
    assert capfd.readouterr() == ("", "")


def test_a_driver_that_is_killed_takes_its_own_cluster_with_it(demos, tmp_path):
    pytest.importorskip("ray")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    driver = [sys.executable, "-c", DRIVER, "clock", tmp_path / "s", "", "1"]
    cache = {"HEADWAY_CACHE": str(tmp_path)}
    done = subprocess.run(driver, cwd=demos.run.parent, env=environment | cache, timeout=PATIENCE)
    assert done.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "s" / PARTS).glob("episode-*"))) == 1
    # Ray's two agents, which do nothing any more, are sometimes there for another minute
    wait_for(lambda: not [title for title in processes(f"HEADWAY_CACHE={tmp_path}").values() if "Agent" not in title])
