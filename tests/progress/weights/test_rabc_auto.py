"""What a failure teaches and what it does not: the rules that the published RA-BC has no word for."""

import numpy as np
import pytest

from headway.signals.weights.rabc_auto import rabc_auto
from headway.signals.weights.scored import ScoredFrames

TIME, LOOK_AHEAD = 100, 10


def weights_of(curve, success):
    """The weights of one episode beside five steady successes, which say what is fast enough."""
    steady = np.linspace(0, 1, TIME)
    curves = [*[steady] * 5, np.asarray(curve, float)]
    frames = ScoredFrames(
        np.concatenate(curves),
        np.repeat(np.arange(6), [len(values) for values in curves]),
        20.0,
        np.array([1.0] * 5 + [float(success)]),
    )
    return rabc_auto(frames, LOOK_AHEAD)[5 * TIME :]


def test_what_a_failure_loses_again_was_never_gained_but_a_success_may_fall_back_on_its_way():
    falls = np.r_[np.linspace(0, 0.6, 60), np.linspace(0.6, 0.2, 40)]
    failed = weights_of(falls, success=False)
    # up to 0.2 it is kept, beyond that it is lost
    assert failed[:14].min() == 1
    assert failed[22:].max() == 0
    recovers = np.r_[falls, np.linspace(0.2, 1, 80)]
    succeeded = weights_of(recovers, success=True)
    assert succeeded[:48].min() == 1
    assert succeeded[65:85].max() == 0
    assert succeeded[105:].min() == 1


@pytest.mark.parametrize(("final", "believed"), [(0.7, 1.0), (0.875, 0.5), (0.96, 0.0), (1.0, 0.0)])
def test_an_estimate_that_takes_a_known_failure_for_done_is_not_believed(final, believed):
    rising = np.r_[np.linspace(0, final, TIME - 5), np.full(5, final)]
    assert weights_of(rising, success=False)[10:50] == pytest.approx(believed, abs=0.02)
    assert weights_of(rising, success=True)[10:50].min() == 1


def test_where_nobody_knows_how_it_ended_the_estimate_is_believed():
    holds = np.r_[np.linspace(0, 1, TIME), np.full(30, 1.0)]
    assert weights_of(holds, success=np.nan).min() == 1
    assert weights_of(holds * 0.7, success=np.nan)[110:].max() == 0


def test_holding_still_after_success_counts_and_standing_still_before_it_does_not():
    waits = np.r_[np.linspace(0, 0.5, 50), np.full(40, 0.5), np.linspace(0.5, 1, 50), np.full(30, 1.0)]
    weight = weights_of(waits, success=True)
    assert weight[55:75].max() == 0
    assert weight[140:].min() == 1


def test_jitter_of_an_estimate_is_smoothed_away_instead_of_taken_for_falling_back():
    rng = np.random.default_rng(0)
    curves = [np.linspace(0, 1, 200) + rng.normal(0, 0.02, 200) for _ in range(6)]
    frames = ScoredFrames(np.concatenate(curves), np.repeat(np.arange(6), 200), 20.0, np.ones(6))
    # over 10 frames progress rises by 0.05, less than two standard deviations of a difference of two frames
    assert (rabc_auto(frames, LOOK_AHEAD) == 0).mean() < 0.02
