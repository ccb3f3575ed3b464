import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway.metrics.detection import detections
from headway.metrics.intervals import bootstrap

episode = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, n - 1), unique=True, max_size=4).map(sorted),
        st.none() | st.integers(0, n - 1),
        st.just(n),
        st.sampled_from([10.0, 20.0]),
    )
)


def test_figures_by_hand():
    found = detections(
        # on time, late, early (and again in time), never; then two failures, one of which alarms twice
        fired=[[50], [70, 90], [30, 60], [], [10, 80], []],
        success_frame=[50, 60, 50, 50, None, None],
        length=[100, 100, 100, 100, 100, 500],
        fps=10,
    )
    assert found.delay == pytest.approx([0, 1, -2, np.nan, np.nan, np.nan], nan_ok=True)
    summary = found.summary()
    assert (summary.succeeded, summary.failed) == (4, 2)
    assert summary.delay_median == pytest.approx(0.5)
    assert summary.delay_p95 == pytest.approx(0.95)
    assert summary.early == summary.missed == 0.25
    assert summary.false_alarms == 0.5
    assert summary.false_per_failed == 1
    assert summary.false_per_minute == pytest.approx(2)


@given(st.lists(episode, max_size=12))
def test_figures_by_a_loop_over_the_episodes(episodes):
    summary = detections(*([e[i] for e in episodes] for i in range(4))).summary()
    good = [e for e in episodes if e[1] is not None]
    bad = [e for e in episodes if e[1] is None]
    delays = [(f[0] - t) / fps for f, t, _, fps in good if f and f[0] >= t]
    assert summary.delay_median == pytest.approx(np.median(delays) if delays else np.nan, nan_ok=True)
    if good:
        assert summary.early == pytest.approx(np.mean([bool(f) and f[0] < t for f, t, _, _ in good]))
        assert summary.missed == pytest.approx(np.mean([not f for f, _, _, _ in good]))
    if bad:
        fires = sum(len(f) for f, _, _, _ in bad)
        assert summary.false_per_failed == pytest.approx(fires / len(bad))
        assert summary.false_per_minute == pytest.approx(fires / sum(n / fps / 60 for _, _, n, fps in bad))


def test_without_successes_or_failures_their_figures_are_not_defined():
    failures = detections([[3]], [None], [10], 10).summary()
    assert np.isnan([failures.delay_median, failures.early, failures.missed]).all()
    successes = detections([[3]], [3], [10], 10).summary()
    assert np.isnan([successes.false_alarms, successes.false_per_failed, successes.false_per_minute]).all()
    assert successes.delay_median == 0
    assert detections([], [], [], 10).summary().succeeded == 0


def test_episodes_can_be_drawn_anew():
    rng = np.random.default_rng(0)
    fired = [[t] if t < 40 else [] for t in rng.integers(0, 60, 200)]
    found = detections(fired, [None] * 200, [60] * 200, 10)
    alarms = bootstrap(lambda picked: found.summary(picked).false_alarms, 200)
    assert alarms.low < alarms.value == np.mean([bool(f) for f in fired]) < alarms.high


@pytest.mark.parametrize(
    ("fired", "success_frame", "length", "message"),
    [
        ([[10]], [None], [10], "frame 10 lies outside episode 0, which has 10 frames"),
        ([[]], [12], [10], "frame 12 lies outside"),
        ([[5, 5]], [None], [10], "must rise"),
        ([[5]], [None], [10, 10], "one of each"),
    ],
)
def test_what_does_not_fit_is_refused(fired, success_frame, length, message):
    with pytest.raises(InvalidValue, match=message):
        detections(fired, success_frame, length, 10)
