import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway.signals.weights import at_ceiling, awr, gains, rabc, topreward, write_weights


def test_gains_look_ahead_within_the_episode_and_stop_at_its_last_frame():
    progress = np.array([0, 0.1, 0.3, 0.6, 0.5, 0.9])
    episode = np.array([0, 0, 0, 0, 1, 1])
    assert gains(progress, episode, 2) == pytest.approx([0.3, 0.5, 0.3, 0, 0.4, 0])


def test_a_gain_with_an_unknown_end_is_unknown():
    got = gains(np.array([0, np.nan, 0.2, 0.3]), np.zeros(4, int), 1)
    assert np.isnan(got).tolist() == [True, True, False, False]


def test_a_look_ahead_of_nothing_is_refused():
    with pytest.raises(InvalidValue, match="at least 1 frame, got 0"):
        gains(np.zeros(3), np.zeros(3, int), 0)


def test_weights_by_hand():
    gain = np.array([0.5, 0.005, 0.0, -0.1, np.nan])
    mean, spread = gain[:4].mean(), gain[:4].std()
    soft = (np.array([0.005, 0.0]) - (mean - 2 * spread)) / (4 * spread + 1e-6)
    assert rabc(gain) == pytest.approx([1, *soft, 0, np.nan], nan_ok=True)


def test_nothing_known_gives_no_weight_at_all():
    assert np.isnan(rabc(np.full(3, np.nan))).all()


def test_weights_are_lerobots_own_wherever_progress_is_known(tmp_path, make_sliders):
    """Held against lerobot's RABCWeights, read from a table as lerobot reads it."""
    import pyarrow as pa
    import torch
    from lerobot.rewards.sarm.rabc import RABCWeights

    rng = np.random.default_rng(0)
    lengths = [40, 3, 1, 60]
    episode = np.repeat(np.arange(4), lengths)
    # slow and noisy, so that all three branches of the rule occur
    progress = np.concatenate([np.linspace(0, 0.3, n) + rng.normal(0, 0.01, n) for n in lengths]).clip(0, 1)
    progress = progress.astype(np.float32)
    progress[[5, 70]] = np.nan
    index = np.arange(len(progress))
    frame = np.concatenate([np.arange(n) for n in lengths])
    table = {"index": index, "episode_index": episode, "frame_index": frame, "progress_sparse": progress}
    pq.write_table(pa.table(table), tmp_path / "p.parquet")
    theirs = RABCWeights(tmp_path / "p.parquet", chunk_size=10, device=torch.device("cpu"))
    weight, _ = theirs.compute_batch_weights({"index": torch.as_tensor(index)})
    ours = rabc(gains(progress, episode, 10))
    filled = np.where(np.isnan(ours), theirs.fallback_weight, ours)
    assert {0.0, 1.0} < set(np.round(filled, 6)), "all branches of the rule occur"
    assert weight.numpy() == pytest.approx(filled * len(filled) / (filled.sum() + 1e-6), abs=1e-5)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50), st.floats(0, 0.1))
def test_weights_lie_between_zero_and_one_and_losing_ground_weighs_nothing(values, kappa):
    gain = np.array(values)
    weight = rabc(gain, kappa)
    assert ((weight >= 0) & (weight <= 1)).all()
    assert (weight[gain < 0] == 0).all()
    assert (weight[gain > kappa] == 1).all()


def test_the_table_has_an_index_and_a_weight_and_null_where_there_is_none(tmp_path):
    write_weights(tmp_path / "w.parquet", np.arange(3), np.array([0.5, np.nan, 1]))
    table = pq.read_table(tmp_path / "w.parquet")
    assert table.to_pydict() == {"index": [0, 1, 2], "weight": [0.5, None, 1.0]}


def test_exponential_weights_by_hand():
    gain = np.array([1.0, 0.0, -0.5, np.nan])
    assert awr(gain, temperature=2) == pytest.approx([1, np.exp(-2), np.exp(-3), np.nan], nan_ok=True)
    # a step that loses everything still gets 0.736 of 2 (measured on the published settings)
    assert 2 * topreward(np.array([-1.0])) == pytest.approx(0.736, abs=1e-3)


def test_topreward_s_published_settings_saturate_wherever_nothing_is_lost():
    gain = np.array([0.0, 0.1, 0.4, -0.2, np.nan])
    assert topreward(gain)[:3].tolist() == [1, 1, 1]
    assert at_ceiling(topreward(gain)) == 0.75
    assert at_ceiling(awr(gain)) == 0.25
    assert np.isnan(at_ceiling(np.full(2, np.nan)))


def test_a_person_is_warned_of_weights_that_tell_nothing_apart(headway, toy_source, tmp_path, monkeypatch):
    from headway import controls
    from headway.scoring import score

    # the package's `weights` is the function; its module goes by its full name
    module = sys.modules["headway.cli.weights"]
    monkeypatch.setattr(module, "open_source", lambda dataset: toy_source)
    score(toy_source, controls.clock(), tmp_path / "scores")
    done = headway(
        "weights", "toy", "--from", tmp_path / "scores", "--scheme", "topreward", "--out", tmp_path / "w.parquet"
    )
    assert done.returncode == 0, done.stderr
    assert "warning: 100% of the weights are at their ceiling" in done.stdout
    done = headway("weights", "toy", "--from", tmp_path / "scores", "--out", tmp_path / "w.parquet")
    assert "warning" not in done.stdout


def test_scores_of_the_end_alone_are_too_few_to_weight_by(headway, toy_source, tmp_path, monkeypatch):
    from headway.controls import Control
    from headway.estimator import Needs
    from headway.scoring import score

    class AtTheEnd(Control):
        def estimate(self, episodes, stride=1):
            for curve in super().estimate(episodes, stride):
                curve.values[:-1] = np.nan
                yield curve

    monkeypatch.setattr(sys.modules["headway.cli.weights"], "open_source", lambda dataset: toy_source)
    judge = AtTheEnd("end", Needs(pictures=False), lambda episode: np.ones(len(episode)))
    score(toy_source, judge, tmp_path / "scores")
    done = headway("weights", "toy", "--from", tmp_path / "scores", "--out", tmp_path / "w.parquet")
    assert done.returncode == 1
    assert "too few to weight by" in done.stderr
    assert not (tmp_path / "w.parquet").exists()
