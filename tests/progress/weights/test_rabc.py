"""RA-BC as published and as lerobot has it, and where it degenerates; the figures are those of its own rule."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.signals.weights.diagnostics import diagnose
from headway.signals.weights.gains import gains
from headway.signals.weights.rabc import rabc, rabc_paper
from headway.signals.weights.rabc_auto import rabc_auto

GAIN = st.lists(st.floats(-1, 1) | st.just(float("nan")), min_size=1, max_size=50).map(np.array)


def test_weights_by_hand():
    gain = np.array([0.5, 0.005, 0.0, -0.1, np.nan])
    mean, spread = gain[:4].mean(), gain[:4].std()
    soft = (np.array([0.005, 0.0]) - (mean - 2 * spread)) / (4 * spread + 1e-6)
    assert rabc(gain) == pytest.approx([1, *soft, 0, np.nan], nan_ok=True)


def test_nothing_known_gives_no_weight_at_all():
    assert np.isnan(rabc(np.full(3, np.nan))).all()
    assert np.isnan(rabc_paper(np.full(3, np.nan))).all()


def test_weights_are_lerobots_own_wherever_progress_is_known(tmp_path):
    """Held against lerobot's RABCWeights, read from a table as lerobot reads it."""
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


@given(GAIN, st.floats(0, 0.1))
def test_losing_ground_weighs_nothing_and_a_gain_above_kappa_all(gain, kappa):
    for weight in (rabc(gain, kappa), rabc_paper(gain, kappa)):
        assert np.array_equal(np.isnan(weight), np.isnan(gain))
        assert (weight[gain < 0] == 0).all()
        assert (weight[gain > kappa] == 1).all()


@given(GAIN, st.integers(0, 5))
def test_the_papers_running_statistics_are_welfords(gain, seed):
    expected = np.full(len(gain), np.nan)
    number, mean, squares = 0, 0.0, 0.0
    for at in np.random.default_rng(seed).permutation(len(gain)):
        if np.isnan(gain[at]):
            continue
        number += 1
        step = gain[at] - mean
        mean += step / number
        squares += step * (gain[at] - mean)
        low, spread = max(mean, 0.0), max((squares / number) ** 0.5, 1e-6)
        soft = min(max((gain[at] - (low - 2 * spread)) / (4 * spread + 1e-6), 0), 1)
        expected[at] = 1 if gain[at] > 0.2 else soft if gain[at] >= 0 else 0
    assert rabc_paper(gain, 0.2, seed=seed) == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_on_a_short_task_the_published_rule_is_plain_cloning_and_ours_is_not(make_frames, make_ramp):
    """300 frames, look-ahead 50: 99 % ones, whatever the frames between are spent on."""
    quick = [make_ramp(300) for _ in range(50)]
    assert (rabc(gains(make_frames(quick).progress, make_frames(quick).episode, 50)) == 1).mean() > 0.985
    # the other half dawdle, at a quarter of the speed
    frames = make_frames([*quick, *[make_ramp(1200)] * 50])
    slow = np.arange(len(frames)) >= 50 * 300
    published, ours = rabc(gains(frames.progress, frames.episode, 50)), rabc_auto(frames, 50)
    assert diagnose(published).effective > 0.98 * len(frames)
    assert published[slow].mean() > 0.99
    assert ours[~slow].mean() > 0.95
    assert ours[slow].mean() < 0.6


def test_holding_still_when_done_weighs_nothing_as_published_and_all_as_ours(make_frames, make_ramp):
    """300 frames, the last 30 at rest, look-ahead 50."""
    frames = make_frames([make_ramp(300, hold=30)] * 50)
    held = np.tile(np.arange(300) >= 270, 50)
    assert rabc(gains(frames.progress, frames.episode, 50))[held].max() == 0
    assert rabc_auto(frames, 50)[held].min() == 1


def test_jitter_takes_the_weight_of_moving_frames_as_published_and_hardly_as_ours(make_frames, make_ramp):
    """2700 frames, the last 150 at rest, look-ahead 25, noise of .03: 41 % of the moving frames weigh nothing."""
    rng = np.random.default_rng(0)
    frames = make_frames([make_ramp(2700, hold=150) + rng.normal(0, 0.03, 2700) for _ in range(20)], fps=30.0)
    moving = np.tile(np.arange(2700) < 2550, 20)
    published, ours = rabc(gains(frames.progress, frames.episode, 25)), rabc_auto(frames, 25)
    assert (published[moving] == 0).mean() == pytest.approx(0.41, abs=0.02)
    assert published[moving].mean() - published[~moving].mean() < 0.12
    assert (ours[moving] == 0).mean() < 0.2
    assert ours[moving].mean() > 0.8
