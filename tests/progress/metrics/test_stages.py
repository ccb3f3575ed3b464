import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway.metrics.stages import boundary_errors, stage_accuracies

episodes = st.lists(
    st.integers(0, 14).flatmap(
        lambda n: st.tuples(*[st.lists(st.integers(-1, 2), min_size=n, max_size=n)] * 2),
    ),
    min_size=1,
    max_size=6,
).map(lambda rows: ([np.array(a, int) for a, _ in rows], [np.array(b, int) for _, b in rows]))


def stages(*turns, length=100):
    """0 up to the first turn, then 1 and so on."""
    return np.searchsorted(turns, np.arange(length), side="right")


def crossings(stage, level, rising):
    return [
        t
        for t in range(1, len(stage))
        if min(stage[t], stage[t - 1]) >= 0 and (stage[t] >= level) == rising and (stage[t - 1] >= level) != rising
    ]


def paired_greedily(estimated, true):
    """(sum of distances, pairs, missed, extra) of one episode, one pair at a time."""
    total = pairs = missed = extra = 0
    for level in (1, 2):
        for rising in (True, False):
            ours, theirs = crossings(estimated, level, rising), crossings(true, level, rising)
            while ours and theirs:
                distance, a, b = min((abs(a - b), a, b) for a in ours for b in theirs)
                ours.remove(a)
                theirs.remove(b)
                total, pairs = total + distance, pairs + 1
            missed, extra = missed + len(theirs), extra + len(ours)
    return total, pairs, missed, extra


@given(episodes)
def test_boundaries_are_paired_the_closest_first(rows):
    estimated, true = rows
    found = boundary_errors(estimated, true)
    expected = np.array([paired_greedily(e, t) for e, t in zip(estimated, true, strict=True)]).T
    assert found.paired.tolist() == expected[1].tolist()
    assert found.missed.tolist() == expected[2].tolist()
    assert found.extra.tolist() == expected[3].tolist()
    with np.errstate(invalid="ignore"):
        assert found.error == pytest.approx(expected[0] / expected[1], nan_ok=True)


def test_without_falls_the_error_is_that_of_the_first_frame_of_each_stage():
    found = boundary_errors([stages(22, 70)], [stages(20, 76)])
    assert found.error[0] == pytest.approx((2 + 6) / 2)
    assert (found.paired[0], found.missed[0], found.extra[0]) == (2, 0, 0)


def test_a_stage_that_is_never_reached_is_missed_and_one_too_many_is_extra():
    stuck, whole = stages(20), stages(20, 60)
    assert (boundary_errors([stuck], [whole]).missed[0], boundary_errors([whole], [stuck]).extra[0]) == (1, 1)
    nothing = boundary_errors([stages()], [whole])
    assert np.isnan(nothing.error[0])
    assert nothing.missed[0] == 2


def test_a_fall_is_a_boundary_of_its_own():
    true = np.repeat([0, 1, 0, 1], 25)
    late = np.repeat([0, 1, 0, 1], [27, 25, 25, 23])
    found = boundary_errors([late, stages(25)], [true, true])
    assert found.error[0] == 2
    assert found.paired[0] == 3
    # who does not see the fall misses it and the second rise
    assert (found.error[1], found.missed[1]) == (0, 2)


def test_flicker_is_extra_and_the_closest_crossing_counts():
    flicker = stages(50)
    flicker[10:12] = 1
    found = boundary_errors([flicker], [stages(52)])
    assert (found.error[0], found.extra[0], found.missed[0]) == (2, 2, 0)


def test_a_jump_over_a_stage_passes_both_boundaries():
    assert boundary_errors([np.repeat([0, 2], 50)], [stages(40, 60)]).error[0] == 10


def test_boundaries_of_other_episodes_do_not_count():
    # the end of one episode lies beside the beginning of the next
    found = boundary_errors([stages(99), stages()], [stages(), stages(1)])
    assert found.paired.tolist() == [0, 0]
    assert (found.extra.tolist(), found.missed.tolist()) == ([1, 0], [0, 1])


def test_accuracy_is_over_the_frames_whose_stage_is_known():
    true = np.array([-1, 0, 0, 1])
    assert stage_accuracies([np.array([-1, 0, 1, 1]), true], [true, np.full(4, -1)]) == pytest.approx(
        [2 / 3, np.nan], nan_ok=True
    )
    assert stage_accuracies([np.full(4, -2)], [true])[0] == 0


def test_stages_that_do_not_fit_are_refused():
    with pytest.raises(InvalidValue, match="frames"):
        boundary_errors([stages(5)], [stages(5, length=99)])
    with pytest.raises(InvalidValue, match="whole numbers"):
        boundary_errors([np.array([0.0, 1.0])], [np.array([0.0, np.nan])])
