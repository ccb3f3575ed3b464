"""Pseudo-progress from which lerobot's own rule computes our weights, held against lerobot itself."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway_policies.lerobot_weighting import KAPPA, MEAN, SPREAD, balancing_gains, write_pseudo_progress

WEIGHT = st.floats(0, 1, width=32) | st.sampled_from([0.0, 1.0, 1e-6, float("nan")])
EPISODES = st.lists(st.lists(WEIGHT, min_size=1, max_size=40), min_size=1, max_size=6)


def written(folder, weights, chunk, first=0):
    episode = np.repeat(np.arange(len(weights)), [len(each) for each in weights])
    index, weight = first + np.arange(len(episode)), np.concatenate(weights).astype(np.float64)
    write_pseudo_progress(folder / "p.parquet", index, episode, weight, chunk)
    last = np.r_[episode[1:] != episode[:-1], True]
    return folder / "p.parquet", index, np.nan_to_num(weight), last


def lerobots(path, chunk):
    """What `lerobot-train --sample_weighting.type=rabc ...` makes for a policy of this chunk size."""
    from lerobot.utils.sample_weighting import SampleWeightingConfig, make_sample_weighter

    config = SampleWeightingConfig(type="rabc", progress_path=str(path), kappa=KAPPA)
    policy = SimpleNamespace(config=SimpleNamespace(chunk_size=chunk))
    return make_sample_weighter(config, policy, torch.device("cpu"))


@settings(max_examples=60)
@given(weights=EPISODES, chunk=st.integers(1, 60), first=st.sampled_from([0, 1000]))
def test_lerobots_weights_are_ours_for_all_frames_but_the_last_of_an_episode(weights, chunk, first):
    if not any(weight > 0 for each in weights for weight in each[:-1]):
        return
    with tempfile.TemporaryDirectory() as folder:
        path, index, weight, last = written(Path(folder), weights, chunk, first)
        weighter = lerobots(path, chunk)
    raw = weighter._compute_weights(np.array([weighter._compute_delta(int(at)) for at in index], dtype=np.float32))
    assert raw[~last] == pytest.approx(weight[~last], abs=1e-6)
    assert raw[last] == pytest.approx(0, abs=1e-6)
    assert (raw[~last & (weight == 0)] == 0).all()
    assert (raw[~last & (weight == 1)] == 1).all()
    # what a training step is given: divided by the batch's mean
    given_weight, _ = weighter.compute_batch_weights({"index": torch.as_tensor(index)})
    ours = np.where(last, 0, weight)
    assert given_weight.numpy() == pytest.approx(ours * len(ours) / (ours.sum() + 1e-6), rel=1e-4, abs=1e-4)


def test_long_episodes_and_many_lose_nothing_to_rounding(tmp_path):
    rng = np.random.default_rng(0)
    weights = [rng.random(length) ** 3 for length in (3000, 1, 2, 1500)]
    path, index, weight, last = written(tmp_path, weights, 2)
    weighter = lerobots(path, 2)
    raw = weighter._compute_weights(np.array([weighter._compute_delta(int(at)) for at in index], dtype=np.float32))
    assert raw[~last] == pytest.approx(weight[~last], abs=1e-6)


def test_the_table_has_lerobots_columns_and_no_frame_of_the_dataset_twice(tmp_path):
    path, index, *_ = written(tmp_path, [[0.5] * 4, [1.0] * 3], 2)
    table = pq.read_table(path)
    assert table.column_names == ["index", "episode_index", "frame_index", "progress_sparse"]
    assert table["index"].to_pylist() == list(range(table.num_rows))
    assert table["episode_index"].to_pylist()[: len(index)] == [0] * 4 + [1] * 3
    assert set(table["episode_index"].to_pylist()[len(index) :]) == {2}
    assert table["frame_index"].to_pylist()[: len(index)] == [0, 1, 2, 3, 0, 1, 2]
    assert table["progress_sparse"].null_count == 0


@given(st.lists(st.floats(-0.001, 1.000001), min_size=1, max_size=300).map(np.array))
def test_the_rows_added_bring_mean_and_spread_to_what_the_rule_needs_and_are_few(gain):
    added = balancing_gains(gain)
    both = np.r_[gain, added]
    assert both.mean() == pytest.approx(MEAN, abs=1e-9)
    assert both.std() == pytest.approx(SPREAD, abs=1e-9)
    assert added[-1] == 0
    assert len(added) <= 4.1 * len(gain) + 8


def test_nothing_to_learn_from_and_no_chunk_are_refused(tmp_path):
    for weights in ([[0.0, 0.0, 1.0]], [[np.nan] * 4], [[1.0]]):
        with pytest.raises(InvalidValue, match="nothing to learn from"):
            written(tmp_path, weights, 2)
    with pytest.raises(InvalidValue, match="at least 1, got 0"):
        written(tmp_path, [[1.0] * 3], 0)
    assert not (tmp_path / "p.parquet").exists()
