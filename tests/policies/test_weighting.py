import numpy as np
import pytest

from headway.errors import InvalidValue
from headway_policies import weighting


def test_the_success_filter_follows_the_label_and_leaves_unjudged_episodes_without_a_weight(make_episode):
    episodes = [make_episode(0, success=True), make_episode(1, success=False), make_episode(2, success=None)]
    weight = weighting.success_filtered(episodes)
    assert weight[:6].tolist() == [1, 1, 1, 0, 0, 0]
    assert np.isnan(weight[6:]).all()


def test_frames_that_lose_progress_weigh_nothing_and_frames_that_gain_weigh_one(make_episode):
    rising, falling = np.linspace(0, 1, 10), np.linspace(1, 0, 10)
    weight = weighting.weighted([make_episode(0, rising), make_episode(1, falling)], [rising, falling], look_ahead=3)
    assert weight[:9].tolist() == [1] * 9
    assert weight[10:19].tolist() == [0] * 9


def test_the_gain_never_looks_into_the_next_episode(make_episode):
    low, high = np.full(6, 0.1), np.full(6, 0.9)
    weight = weighting.weighted([make_episode(0, low), make_episode(1, high)], [low, high], look_ahead=4)
    assert (weight[:6] == weight[6]).all()


def test_a_frame_without_progress_gets_no_weight(make_episode):
    curve = np.array([0.0, np.nan, 0.4, 0.6, 0.8])
    weight = weighting.weighted([make_episode(0, curve)], [curve], look_ahead=1)
    assert np.isnan(weight).tolist() == [True, True, False, False, False]


def test_curves_of_other_episodes_are_refused(make_episode):
    with pytest.raises(InvalidValue, match="score these very episodes"):
        weighting.weighted([make_episode(0)], [np.zeros(2)])


def test_weights_do_not_depend_on_who_made_an_episode(make_episode):
    curve = np.linspace(0, 1, 20)
    by_kind = [[make_episode(0, curve, kind=kind, truth=curve)] for kind in ("expert", "drop", None)]
    for make in (weighting.plain, weighting.success_filtered, weighting.weighted_by_truth):
        first, *others = [make(episodes) for episodes in by_kind]
        assert all(np.array_equal(first, other) for other in others)


def test_the_three_arms_differ_only_in_their_weights(make_episode):
    curve = np.array([0.0, 0.4, 0.2, 0.2])
    arms = weighting.side_by_side([make_episode(0, curve, success=False)], [curve], look_ahead=1)
    assert list(arms) == ["all", "success-filtered", "weighted"]
    assert arms["all"].tolist() == [1, 1, 1, 1]
    assert arms["success-filtered"].tolist() == [0, 0, 0, 0]
    assert arms["weighted"][[0, 1]].tolist() == [1, 0]


def test_weights_by_truth_need_a_simulated_episode(make_episode):
    with pytest.raises(InvalidValue, match="episode 3 has no true progress"):
        weighting.weighted_by_truth([make_episode(3)])


def test_a_longer_look_ahead_sees_past_a_short_pause():
    pause = np.concatenate([np.linspace(0, 0.5, 20), np.full(5, 0.5), np.linspace(0.5, 1, 20)])
    shares = weighting.stalled_shares([pause], [3, 10])
    assert shares[3] > 0.05
    assert shares[10] == 0


def test_standing_still_when_all_is_done_is_not_counted_as_stalled():
    held = np.concatenate([np.linspace(0, 1, 20), np.ones(30)])
    assert weighting.stalled_shares([held], [5]) == {5: 0}


def test_the_share_is_undefined_where_no_frame_has_progress():
    assert np.isnan(weighting.stalled_shares([np.full(5, np.nan)], [2])[2])
