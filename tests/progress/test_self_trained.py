"""`headway score DATASET` with nothing else said: what is chosen, what is trusted, and that nothing is in-sample."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from headway import self_trained
from headway.encoders.on_disk import KNOWN, NEEDED, pretrained_on_disk
from headway.episodes import ArrayFrames, Stage
from headway.learned.inputs import InputConfig
from headway.self_trained import make_plan


@pytest.fixture(autouse=True, scope="module")
def empty_hub(tmp_path_factory):
    """A hub cache of the tests' own, so that what this machine has fetched does not matter."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("hub")
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(root))
        yield root


def put_into_hub(root: Path, name: str, files) -> None:
    folder = root / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    for file in files:
        (snapshot / file).write_text("{}")


def plan_of(make_source, episodes, tmp_path, stages=("right", "down")):
    return make_plan(make_source(episodes, tmp_path, stage_names=stages), episodes)


def test_an_encoder_counts_only_when_it_lies_whole_on_disk(empty_hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert pretrained_on_disk() is None
    put_into_hub(tmp_path, KNOWN[0], NEEDED[:2])
    assert pretrained_on_disk() is None
    put_into_hub(tmp_path, KNOWN[3], NEEDED)
    assert pretrained_on_disk() == KNOWN[3]
    put_into_hub(tmp_path, KNOWN[1], NEEDED)
    assert pretrained_on_disk() == KNOWN[1]


def test_the_encoder_on_disk_is_taken(make_source, make_sliders, tmp_path, monkeypatch):
    assert plan_of(make_source, make_sliders(8), tmp_path).method.inputs.encoder == "tiny"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    put_into_hub(tmp_path, KNOWN[0], NEEDED)
    assert plan_of(make_source, make_sliders(8), tmp_path).method.inputs.encoder == KNOWN[0]


def test_marks_make_it_sarm_and_none_make_it_vip(make_source, make_sliders, tmp_path):
    assert plan_of(make_source, make_sliders(8), tmp_path).method.name == "sarm"
    bare = [replace(episode, stages=None) for episode in make_sliders(8)]
    assert plan_of(make_source, bare, tmp_path, None).method.name == "vip"


def test_too_few_complete_marks_make_it_vip_and_are_told(make_source, make_sliders, tmp_path):
    episodes = [e if e.index < 3 else replace(e, stages=None) for e in make_sliders(10)]
    plan = plan_of(make_source, episodes, tmp_path)
    assert plan.method.name == "vip"
    assert "3 of 10 episodes" in plan.remark
    failures = make_sliders(3, failing=7)
    assert plan_of(make_source, failures, tmp_path).method is None or "3 of 10" in plan.remark


@pytest.mark.parametrize(("dense", "kept"), [(8, ("right", "down")), (2, None), (0, None)])
def test_dense_marks_are_learned_from_where_enough_are_complete(make_source, make_sliders, tmp_path, dense, kept):
    episodes = [replace(e, dense_stages=e.stages if e.index < dense else None) for e in make_sliders(8)]
    source = make_source(episodes, tmp_path, dense_stage_names=("right", "down") if dense else None)
    plan = make_plan(source, episodes)
    assert plan.method.name == "sarm"
    assert plan.task.dense_stages == kept
    plan.method.study([plan.task])


@pytest.mark.parametrize(("episodes", "folds"), [(6, 3), (7, 3), (8, 4), (30, 4)])
def test_folds_grow_with_the_episodes(make_source, make_sliders, tmp_path, episodes, folds):
    assert plan_of(make_source, make_sliders(episodes), tmp_path).folds == folds


def test_too_few_episodes_or_only_failures_leave_nothing_to_train(make_source, make_sliders, tmp_path):
    few = plan_of(make_source, make_sliders(5), tmp_path)
    assert few.method is None
    assert "5 episodes" in few.obstacle
    failing = plan_of(make_source, make_sliders(1, failing=9), tmp_path)
    assert failing.method is None
    assert "failures" in failing.obstacle


def test_a_copy_of_a_recording_is_trained_on_once_and_an_unknown_one_never(make_source, make_sliders, tmp_path):
    episodes = make_sliders(8)
    copies = [replace(episode, index=100 + episode.index) for episode in episodes]
    unknown = replace(episodes[0], index=200, recording=None)
    task = plan_of(make_source, [*episodes, *copies, unknown], tmp_path).task
    assert [episode.index for episode in task.episodes] == list(range(8))


def test_epochs_fit_the_pictures_that_can_be_shown(make_source, make_slider, tmp_path, monkeypatch):
    episodes = [make_slider(index, seconds=3.4, hold=6) for index in range(8)]
    assert {len(episode) for episode in episodes} == {40}
    # 40 frames at 10 Hz, one every 4: 11 places; 8 episodes, each in 3 of 4 folds
    for shown, epochs in ((264 * 50, 50), (264 * 51 - 1, 50), (264, 20), (264 * 5000, 100)):
        monkeypatch.setattr(self_trained, "SHOWN", shown)
        assert plan_of(make_source, episodes, tmp_path).method.training.epochs == epochs


# --- the command, on data small enough to train on in seconds


def noisy(episode):
    rng = np.random.default_rng(episode.index + 77)
    return replace(episode, cameras={"top": ArrayFrames(rng.integers(0, 255, (len(episode), 32, 32, 3), np.uint8))})


def bare(episode):
    return replace(episode, stages=None, success=None)


def shuffled(episodes):
    """Marks and labels that have nothing to do with the pictures."""
    rng = np.random.default_rng(5)
    labels = rng.permutation([episode.success for episode in episodes])
    for episode, success in zip(episodes, labels, strict=True):
        first, turn, end = np.sort(rng.choice(np.arange(1, len(episode) - 2), 3, replace=False)).tolist()
        marks = (Stage("right", first, turn), Stage("down", turn, end))
        yield replace(episode, stages=marks if success else marks[:1], success=bool(success))


@pytest.fixture(scope="module")
def quick():
    """Small pictures and two folds; `quick(epochs)` says how long each network is trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(self_trained, "InputConfig", partial(InputConfig, image_size=32))
        patch.setattr(self_trained, "FOLDS", 2)
        yield lambda epochs: patch.setattr(self_trained, "EPOCHS", (epochs, epochs))


@pytest.fixture(scope="module")
def scored(tmp_path_factory, session_sliders, headway, quick):
    """Make a dataset of sliders, score it, and give back both folders and what was said."""
    from headway_datasets.lerobot_writer import write_dataset

    def run(name, episodes, epochs):
        root = tmp_path_factory.mktemp(name)
        write_dataset(root / "demos", list(episodes))
        quick(epochs)
        return root, headway("score", "demos", "--out", "scores", cwd=root)

    return run


@pytest.fixture(scope="module")
def marked(scored, session_sliders):
    return scored("marked", session_sliders(12, failing=6), 60)


def status_and_line(done) -> tuple[int, str]:
    told = [line for line in done.stderr.splitlines() if line.startswith("headway: ")]
    assert "Traceback" not in done.stderr
    assert len(told) == 1, done.stderr
    return done.returncode, told[0]


def test_marked_sliders_are_trusted_and_it_says_what_it_did(marked):
    root, done = marked
    assert done.returncode == 0, done.stderr
    assert "sarm was trained on 18 episodes in 2 folds with the encoder tiny" in done.stdout
    assert "by a network that never saw it" in done.stdout
    assert "not known" not in done.stdout, "there are marks, successes and failures"
    rows = pq.read_table(root / "scores" / "episodes.parquet").to_pylist()
    assert np.mean([row["truth_mae"] for row in rows]) < 0.06
    check = json.loads((root / "scores" / "check.json").read_text())
    assert check["trust"]["deserved"]
    assert [row["name"] for row in check["trust"]["checks"]] == ["marks", "success"]


def test_no_scored_episode_trained_its_network(marked, session_sliders):
    from headway_datasets.opening import open_dataset

    root, _ = marked
    recordings = {episode.index: episode.recording for episode in open_dataset(root / "demos")}
    members = json.loads((root / "scores.estimator" / "config.json").read_text())["members"]
    frames = pq.read_table(root / "scores" / "frames.parquet").to_pandas()
    rows = pq.read_table(root / "scores" / "episodes.parquet").to_pylist()
    assert not any(row["in_sample"] for row in rows)
    assert {row["fold"] for row in rows} == {0, 1}
    for row in rows:
        assert set(frames.fold[frames.episode_index == row["episode_index"]]) == {row["fold"]}
        seen_by = [recordings[row["episode_index"]] in member["trained_on"] for member in members]
        assert not seen_by[row["fold"]]
        assert sum(seen_by) == 1


def test_a_finished_run_says_so_and_stays_as_it_is(marked, headway):
    root, _ = marked
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    again = headway("score", "demos", "--out", "scores", cwd=root)
    assert again.returncode == 0, again.stderr
    assert "was finished before" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_the_kept_estimator_is_a_spec(marked, headway):
    root, _ = marked
    spec = ("--estimator", "sarm:scores.estimator", "--episodes", "0:2", "--out", "other")
    assert headway("score", "demos", *spec, cwd=root).returncode == 0
    other = pq.read_table(root / "other" / "frames.parquet").to_pandas()
    frames = pq.read_table(root / "scores" / "frames.parquet").to_pandas()
    np.testing.assert_allclose(other.progress_sparse, frames.progress_sparse[: len(other)], atol=1e-5)


def test_another_run_in_the_same_folders_is_refused_before_any_training(marked, headway, tmp_path):
    root, _ = marked
    status, line = status_and_line(headway("score", "demos", "--out", "scores", "--stride", 2, cwd=root))
    assert (status, "other options" in line, "--out" in line) == (1, True, True)
    for folder in ("full", "taken.estimator"):
        (root / folder).mkdir()
        (root / folder / "letter.txt").write_text("mine")
        out = folder.removesuffix(".estimator")
        status, line = status_and_line(headway("score", "demos", "--out", out, cwd=root))
        assert (status, "not empty" in line) == (1, True)
        assert [path.name for path in (root / folder).iterdir()] == ["letter.txt"]


def test_marks_and_labels_that_say_nothing_of_the_pictures_are_not_trusted(scored, session_sliders):
    root, done = scored("shuffled", shuffled(session_sliders(12)), 4)
    check_abstained(root, done, "sarm")


def test_without_marks_sliders_are_trusted_on_edited_clips(scored, session_sliders):
    root, done = scored("bare", map(bare, session_sliders(16)), 40)
    assert done.returncode == 0, done.stderr
    assert "vip was trained on 16 episodes" in done.stdout
    assert "not known: which episodes succeeded" in done.stdout
    assert "not known: the task's own scale" in done.stdout
    rows = pq.read_table(root / "scores" / "episodes.parquet").to_pylist()
    assert np.mean([row["truth_mae"] for row in rows]) < 0.15


def test_noise_is_not_trusted_and_an_interrupted_run_goes_on(session_sliders, scored, headway, monkeypatch):
    from headway.cli import score_default

    check = score_default.check_held_out

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(score_default, "check_held_out", interrupted)
    root, done = scored("noise", (noisy(bare(episode)) for episode in session_sliders(8)), 2)
    assert done.returncode == 130
    assert not (root / "scores").exists()
    monkeypatch.setattr(score_default, "check_held_out", check)
    weights = sorted((root / "scores.estimator").glob("member-*.safetensors"))
    before = [path.stat().st_mtime_ns for path in weights]
    done = headway("score", "demos", "--out", "scores", cwd=root)
    assert [path.stat().st_mtime_ns for path in weights] == before, "it is not trained again"
    check_abstained(root, done, "vip")
    again = headway("score", "demos", "--out", "scores", cwd=root)
    assert "was finished before" in again.stdout
    assert status_and_line(again) == status_and_line(done)


def test_a_handful_of_episodes_is_not_even_tried(scored, session_sliders):
    root, done = scored("few", session_sliders(3), 1)
    status, line = status_and_line(done)
    assert status == 1
    assert "no trustworthy progress: 3 episodes cannot train and check" in line
    assert "more episodes" in line
    assert not list((root / "scores.estimator").glob("member-*"))
    assert pq.read_table(root / "scores" / "frames.parquet")["progress_sparse"].to_pandas().isna().all()


def check_abstained(root: Path, done, method: str) -> None:
    status, line = status_and_line(done)
    assert status == 1
    assert "no trustworthy progress: on held-out episodes it does not beat" in line
    assert "what would help: more episodes" in line
    assert ("stage marks" in line) == (method == "vip")
    assert "headway fetch facebook/dinov2-small" in line
    frames = pq.read_table(root / "scores" / "frames.parquet").to_pandas()
    rows = pq.read_table(root / "scores" / "episodes.parquet").to_pylist()
    assert frames.progress_sparse.isna().all()
    assert frames["index"].tolist() == list(range(len(frames)))
    assert all(row["reason"].startswith("no trustworthy progress") for row in rows)
    assert all(row["final"] is None and row["rank"] is None and row["length"] for row in rows)
    assert not json.loads((root / "scores" / "check.json").read_text())["trust"]["deserved"]
