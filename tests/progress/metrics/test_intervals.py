import time
import tracemalloc

import numpy as np
import pytest

from headway.metrics.intervals import bootstrap, bootstrap_mean


@pytest.mark.parametrize("episodes", [1, 7, 5000])
def test_the_interval_of_a_mean_is_the_one_that_resampling_indices_gives(episodes):
    values = np.random.default_rng(0).random(episodes)
    slow = bootstrap(lambda picked: float(values[picked].mean()), episodes, seed=3)
    # more draws than one block of numbers holds, and no more episodes for those without a figure
    fast = bootstrap_mean(np.r_[values, np.nan], seed=3)
    assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high))


def test_a_mean_of_nothing_is_nan():
    assert str(bootstrap_mean(np.full(3, np.nan))) == "-"
    assert np.isnan(bootstrap_mean(np.zeros(0)).low)


def test_a_hundred_thousand_episodes_are_resampled_at_once_but_not_all_in_memory():
    values = np.random.default_rng(0).random(100_000)
    tracemalloc.start()
    begun = time.process_time()
    estimate = bootstrap_mean(values)
    taken, peak = time.process_time() - begun, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 5
    assert peak < 200e6
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * np.sqrt(1 / 12 / 100_000), rel=0.15)
