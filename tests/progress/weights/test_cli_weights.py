"""`headway weights`, and its table in `headway report`, as a user meets them."""

import sys
from dataclasses import replace
from typing import get_args

import numpy as np
import pyarrow.parquet as pq
import pytest

from headway.cli.show_weights import bars
from headway.cli.weights import SchemeName
from headway.signals.weights import gains, rabc, read_weights
from headway.signals.weights.schemes import SCHEMES


@pytest.fixture(scope="module")
def demos(tmp_path_factory, session_sliders):
    """A LeRobot dataset of the toy task: four successes, two failures."""
    from headway_datasets.lerobot_writer import write_dataset

    root = tmp_path_factory.mktemp("weights") / "demos"
    write_dataset(root, session_sliders(4, failing=2))
    return root


@pytest.fixture(scope="module")
def scores(demos, headway, tmp_path_factory):
    """Scores by the simulator's truth."""
    out = tmp_path_factory.mktemp("weights") / "scores"
    assert headway("score", demos, "--estimator", "oracle", "--out", out).returncode == 0
    return out


def well(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(done):
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("headway: ")]
    return line


def test_every_scheme_has_a_name_on_the_command_line():
    assert set(get_args(SchemeName)) == {"auto", *SCHEMES}


def test_by_default_scheme_and_look_ahead_are_chosen_and_told(headway, demos, scores, tmp_path):
    told = well(headway("weights", demos, "--from", scores, "--out", tmp_path / "w.parquet"))
    assert "look-ahead 2 frames (0.20 s)" in told
    assert "scheme rabc-awr: " in told
    assert "success: 6 episodes labelled, 0 estimated, 0 unknown" in told
    assert "frames by weight: 0 |" in told
    index, weight = read_weights(tmp_path / "w.parquet")
    frames = pq.read_table(scores / "frames.parquet").to_pandas()
    assert index.tolist() == frames["index"].tolist()
    moving = frames["progress_sparse"].diff().shift(-1) > 0.01
    # a usual frame weighs a quarter, and what stands still next to nothing of that
    assert weight[moving].min() >= 1 / 16
    assert np.median(weight[moving]) > 3 * np.median(weight[~moving])
    halted = (frames["episode_index"] >= 4) & ~moving
    assert weight[halted].mean() < 0.1
    done = (frames["episode_index"] < 4) & (frames["progress_sparse"] == 1)
    assert weight[done].min() > np.median(weight[moving]) / 2, "holding still is right when all is done"


def test_lerobots_rule_and_a_look_ahead_can_be_asked_for(headway, demos, scores, tmp_path):
    command = ("weights", demos, "--from", scores, "--out", tmp_path / "w.parquet")
    told = well(headway(*command, "--scheme", "rabc", "--look-ahead", 5))
    assert "quick successes" not in told, "nothing was chosen"
    frames = pq.read_table(scores / "frames.parquet").to_pandas()
    expected = rabc(gains(frames["progress_sparse"].to_numpy(), frames["episode_index"].to_numpy(), 5))
    assert read_weights(tmp_path / "w.parquet")[1] == pytest.approx(expected, abs=1e-6)
    assert "at least 1 frame, got -3" in refused(headway(*command, "--look-ahead", -3))


def test_the_commands_told_are_those_that_train(headway, demos, scores, tmp_path):
    out = tmp_path / "w.parquet"
    told = well(headway("weights", demos, "--from", scores, "--out", out))
    assert "--policy.type=headway_act --policy.discover_packages_path=headway_policies.lerobot_policies" in told
    assert f"--policy.weights_path={out} --policy.fallback_weight=0" in told
    assert f"--dataset.root={demos}" in told
    assert f"headway report {scores} --weights {out}" in told
    assert "--for-lerobot CHUNK_SIZE" in told
    assert "headway policy train" not in told, "nobody recorded it in a task of ours"


def test_the_file_for_lerobot_gives_lerobot_these_weights(headway, demos, scores, tmp_path):
    import torch
    from lerobot.rewards.sarm.rabc import RABCWeights

    out, pseudo = tmp_path / "w.parquet", tmp_path / "w.chunk-12.parquet"
    command = ("weights", demos, "--from", scores, "--out", out, "--for-lerobot")
    told = well(headway(*command, 12))
    assert f"--sample_weighting.type=rabc --sample_weighting.progress_path={pseudo} --sample_weighting.kappa=1" in told
    assert "its chunk_size must be 12" in told
    theirs = RABCWeights(pseudo, chunk_size=12, kappa=1.0, device=torch.device("cpu"))
    index, weight = read_weights(out)
    given, _ = theirs.compute_batch_weights({"index": torch.as_tensor(index)})
    lasts = pq.read_table(scores / "frames.parquet").to_pandas().groupby("episode_index")["index"].max()
    weight[lasts] = 0
    assert given.numpy() == pytest.approx(weight * len(weight) / weight.sum(), abs=1e-4)
    assert "at least 1, got -1" in refused(headway(*command, -1))


def test_episodes_that_were_not_scored_have_no_weight(headway, demos, tmp_path):
    well(headway("score", demos, "--estimator", "oracle", "--episodes", "1,3", "--out", tmp_path / "s"))
    told = well(headway("weights", demos, "--from", tmp_path / "s", "--out", tmp_path / "w.parquet"))
    assert "success: 2 episodes labelled" in told
    index, weight = read_weights(tmp_path / "w.parquet")
    assert index.tolist() == list(range(len(index)))
    scored = pq.read_table(tmp_path / "s" / "frames.parquet")["index"].to_pylist()
    assert np.flatnonzero(~np.isnan(weight)).tolist() == scored
    assert len(index) > len(scored)


@pytest.fixture
def toy(toy_source, monkeypatch):
    """Opened instead of any dataset. The package's `weights` is the function; its module goes by its full name."""
    monkeypatch.setattr(sys.modules["headway.cli.weights"], "open_source", lambda dataset: toy_source)
    return toy_source


def test_a_label_comes_before_an_estimate_and_an_estimate_before_nothing(headway, toy, tmp_path):
    from headway.controls import Control
    from headway.estimator import Needs
    from headway.scoring import score

    class Telling(Control):
        def estimate(self, episodes, stride=1):
            for curve, episode in zip(super().estimate(episodes, stride), episodes, strict=True):
                doubt = np.full(len(curve.values), 0.2 if episode.index == 3 else 0.9, np.float32)
                yield curve if episode.index == 4 else replace(curve, success=doubt)

    # labelled: a success, and a failure that the estimate takes for a success
    toy.episodes[:] = [
        replace(episode, success=episode.success if episode.index in (0, 5) else None) for episode in toy.episodes
    ]
    judge = Telling("telling", Needs(pictures=False), lambda episode: np.linspace(0, 1, len(episode)))
    score(toy, judge, tmp_path / "scores")
    out = tmp_path / "w.parquet"
    told = well(headway("weights", "toy", "--from", tmp_path / "scores", "--scheme", "filter", "--out", out))
    assert "success: 2 episodes labelled, 3 estimated, 1 unknown" in told
    weight = read_weights(out)[1]
    ends = np.cumsum([len(episode) for episode in toy.episodes])
    found = [weight[end - 1] for end in ends]
    assert found == pytest.approx([1, 1, 1, 0, np.nan, 0], nan_ok=True)


def test_a_person_is_warned_of_weights_that_tell_nothing_apart(headway, toy, tmp_path):
    from headway import controls
    from headway.scoring import score

    score(toy, controls.clock(), tmp_path / "scores")
    command = ("weights", "toy", "--from", tmp_path / "scores", "--out", tmp_path / "w.parquet")
    assert "warning: the weights are nearly uniform" in well(headway(*command, "--scheme", "topreward"))
    assert "nearly uniform" in well(headway(*command, "--scheme", "rabc", "--look-ahead", 10))
    assert "warning" not in well(headway(*command, "--scheme", "filter"))


def test_scores_of_the_end_alone_are_too_few_to_weight_by(headway, toy, tmp_path):
    from headway.controls import Control
    from headway.estimator import Needs
    from headway.scoring import score

    class AtTheEnd(Control):
        def estimate(self, episodes, stride=1):
            for curve in super().estimate(episodes, stride):
                curve.values[:-1] = np.nan
                yield curve

    judge = AtTheEnd("end", Needs(pictures=False), lambda episode: np.ones(len(episode)))
    score(toy, judge, tmp_path / "scores")
    command = ("weights", "toy", "--from", tmp_path / "scores", "--out", tmp_path / "w.parquet")
    assert "too few to weight by" in refused(headway(*command))
    assert not (tmp_path / "w.parquet").exists()
    well(headway(*command, "--scheme", "filter"))


def test_an_ensemble_scheme_without_an_ensemble_is_refused_in_one_line(headway, demos, scores, tmp_path):
    command = ("weights", demos, "--from", scores, "--scheme", "ensemble", "--out", tmp_path / "w.parquet")
    assert "score with an ensemble" in refused(headway(*command))


def test_the_report_shows_the_weights(headway, demos, scores, tmp_path):
    out, page = tmp_path / "w.parquet", tmp_path / "page.html"
    well(headway("weights", demos, "--from", scores, "--out", out))
    well(headway("report", scores, "--weights", out, "--out", page))
    text = page.read_text()
    assert "Weights of the frames" in text
    assert "effective sample" in text
    frames = read_weights(out)[1]
    assert f"0.95 to 1.00: {(frames >= 0.95).sum():,} frames" in text
    assert text.count('"weight":"') == 6, "one packed curve an episode"
    well(headway("report", scores, "--out", page))
    assert "Weights of the frames" not in page.read_text()


def test_a_table_of_other_frames_is_no_part_of_a_report(headway, scores, tmp_path):
    from headway.signals.weights import write_weights

    write_weights(tmp_path / "w.parquet", np.arange(10), np.ones(10))
    told = refused(headway("report", scores, "--weights", tmp_path / "w.parquet", "--out", tmp_path / "page.html"))
    assert "lacks" in told
    assert "such as 10" in told


def test_a_histogram_in_the_terminal_shows_even_a_single_frame():
    assert bars(np.array([0, 1, 500, 1000])) == " ▁▄█"
    assert bars(np.zeros(3)) == "   "
