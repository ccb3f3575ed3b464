import numpy as np
import pytest

from headway_datasets.stats import NAMES, PictureStats, column_stats, merge_stats, picture_sample


@pytest.fixture(scope="module")
def lerobot_stats():
    return pytest.importorskip("lerobot.datasets.compute_stats")


@pytest.mark.parametrize("shape", [(5000,), (5000, 4)])
def test_statistics_of_numbers_are_those_lerobot_computes(lerobot_stats, shape):
    values = np.random.default_rng(0).uniform(-1, 1, size=shape).astype(np.float32)
    ours = column_stats(values)
    theirs = lerobot_stats.get_feature_stats(values, axis=0, keepdims=values.ndim == 1)
    assert set(ours) == set(theirs) == set(NAMES)
    for name in NAMES:
        assert ours[name].shape == theirs[name].shape
        np.testing.assert_allclose(ours[name], theirs[name], atol=0.03)


def test_statistics_of_pictures_are_those_lerobot_computes(lerobot_stats):
    pictures = np.random.default_rng(0).integers(0, 256, (20, 32, 48, 3), dtype=np.uint8)
    pictures[..., 1] //= 3
    collected = PictureStats()
    for picture in pictures:
        collected.add(picture)
    ours = collected.stats()
    theirs = lerobot_stats.get_feature_stats(pictures.transpose(0, 3, 1, 2), axis=(0, 2, 3), keepdims=True)
    for name in set(NAMES) - {"count"}:
        np.testing.assert_allclose(ours[name], theirs[name][0] / 255, atol=1.5 / 255)
    assert ours["count"] == theirs["count"] == [20]
    assert ours["mean"].shape == (3, 1, 1)


def test_merging_episodes_gives_what_lerobot_aggregates(lerobot_stats):
    rng = np.random.default_rng(0)
    parts = [column_stats(rng.normal(loc=mean, size=(length, 3))) for mean, length in ((0, 50), (3, 200), (-1, 10))]
    ours = merge_stats(merge_stats(parts[0], parts[1]), parts[2])
    theirs = lerobot_stats.aggregate_stats([{"action": part} for part in parts])["action"]
    for name in NAMES:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9)


def test_picture_statistics_come_from_frames_all_over_the_episode():
    assert picture_sample(30) == set(range(30))
    sample = picture_sample(1000)
    assert len(sample) == 177
    assert {0, 999} <= sample
