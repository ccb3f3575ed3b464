from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import controls
from headway.checks import ChecksAlone
from headway.errors import InvalidValue
from headway.replay import replay
from headway.scoring import score
from headway.signals.badness import CAP, excess, of_checks, of_progress, together
from headway.tables import read_scores


def test_excess_is_counted_in_the_deviations_of_a_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(5, 2, 20_000)
    known = excess(np.concatenate([values, [9.0, 11.0]]))[-2:]
    assert known == pytest.approx([2, 3], abs=0.2)


def test_the_usual_stays_with_the_good_ones_where_most_others_are_worse() -> None:
    rng = np.random.default_rng(0)
    good, worse = rng.normal(10, 0.5, 45), rng.uniform(12, 40, 40)
    found = excess(np.concatenate([good, worse]))
    # by the median and its absolute deviation the least of the worse would be nothing unusual
    assert found[:45].max() < found[45:].min()


def test_the_usual_is_the_mean_of_the_shortest_half() -> None:
    # of 1, 2 and 3; its half length of 1 is 0.6745 deviations
    assert excess(np.array([10.0, 2.0, 50.0, 1.0, 3.0])) == pytest.approx([8 * 0.6745, 0, CAP, 0, 0.6745])


def test_what_lies_below_the_usual_is_no_fault_and_nothing_exceeds_the_cap() -> None:
    found = excess(np.array([1.0, 1.1, 0.9, 1.0, -50.0, 1e9]))
    assert found[4] == 0
    assert found[5] == CAP


def test_a_deviation_is_never_less_than_the_least_that_counts() -> None:
    values = np.array([0.0, 0.0001, 0.0002, 0.0001, 0.04])
    assert excess(values)[4] == CAP
    assert excess(values, 0.02)[4] == pytest.approx(2, abs=0.01)


def test_where_over_half_are_one_value_the_others_still_differ() -> None:
    found = excess(np.array([0.0] * 9 + [1.0, 3.0]))
    assert (found[:9] == 0).all()
    assert 0 < found[9] < found[10] < CAP


def test_values_all_alike_tell_nothing_and_unknown_stays_unknown() -> None:
    assert excess(np.full(5, 3.7)).tolist() == [0] * 5
    found = excess(np.array([1.0, np.nan, 1.2, 1.1]))
    assert np.isnan(found).tolist() == [False, True, False, False]
    assert np.isnan(excess(np.full(3, np.nan))).all()
    assert excess(np.array([])).shape == (0,)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), st.floats(0.1, 10), st.floats(-100, 100))
def test_excess_keeps_the_order_and_does_not_depend_on_the_order_of_episodes(
    values: list[float], scale: float, shift: float
) -> None:
    given_values = np.array(values)
    found = excess(given_values, 0.01)
    assert (np.diff(found[np.argsort(given_values)]) >= 0).all()
    assert excess(given_values[::-1], 0.01)[::-1] == pytest.approx(found)
    assert (found >= 0).all()
    assert (found <= CAP).all()


def test_parts_add_up_as_squares_and_unknown_ones_are_left_out() -> None:
    found = together(np.array([3.0, np.nan, np.nan]), np.array([4.0, 2.0, np.nan]))
    assert found[:2].tolist() == [5, 2]
    assert np.isnan(found[2])
    with pytest.raises(InvalidValue, match="same episodes"):
        together(np.zeros(3), np.zeros(1))


@pytest.fixture
def mixed(make_slider, make_source, tmp_path: Path):
    """Seven experts, one that halts half way, one that goes slower for a while, in this order."""
    episodes, first = [], 0
    for index in range(9):
        seconds = 8.0 if index == 8 else 4.0 + 0.1 * (index % 3)
        episode = make_slider(index, first, seconds, stop_at=0.5 if index == 7 else 1.0)
        first += len(episode)
        episodes.append(episode)
    return make_source(episodes, tmp_path / "mixed")


def test_progress_tells_who_halts_and_who_takes_long(mixed, tmp_path: Path) -> None:
    score(mixed, controls.oracle(), tmp_path / "scores")
    found = of_progress(read_scores(tmp_path / "scores"))
    assert found[7:].min() > 3 * found[:7].max()


def test_an_episode_that_breaks_off_is_told_by_where_it_ends_alone(mixed, tmp_path: Path) -> None:
    episodes = list(mixed)[:7]
    episodes[3] = replay(episodes[3], np.arange(20))
    score(replace(mixed, episodes=episodes), controls.oracle(), tmp_path / "scores")
    found = of_progress(read_scores(tmp_path / "scores"))
    assert found[3] > 3 * np.delete(found, 3).max()


def test_a_clock_does_not_tell_who_halts(mixed, tmp_path: Path) -> None:
    score(mixed, controls.clock(), tmp_path / "scores")
    found = of_progress(read_scores(tmp_path / "scores"))
    assert found[7] <= found[:7].max()
    assert found[8] > CAP


def test_an_episode_without_an_estimate_has_no_badness_of_progress(mixed, tmp_path: Path) -> None:
    score(mixed, ChecksAlone(), tmp_path / "scores")
    scores = read_scores(tmp_path / "scores")
    assert np.isnan(of_progress(scores)).all()
    assert np.isfinite(of_checks(scores)).all()


def test_a_trembling_hand_and_a_broken_recording_are_seen_by_the_checks(mixed, make_source, tmp_path: Path) -> None:
    smooth = [replace(episode, action=np.stack([episode.state[:, 0], 2 * episode.state[:, 0]], 1)) for episode in mixed]
    noise = np.random.default_rng(5).normal(0, 0.3, smooth[3].action.shape).astype(np.float32)
    smooth[3] = replace(smooth[3], action=smooth[3].action + noise)
    gap = smooth[5].action.copy()
    gap[3, 0] = np.nan
    smooth[5] = replace(smooth[5], action=gap)
    score(make_source(smooth, tmp_path / "other"), controls.clock(), tmp_path / "scores")
    found = of_checks(read_scores(tmp_path / "scores"))
    assert found[3] > 1.5 * found[[0, 1, 2, 4, 6]].max()
    assert found[5] >= CAP
