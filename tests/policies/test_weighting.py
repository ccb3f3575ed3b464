import numpy as np
import pytest

from headway.errors import InvalidValue
from headway_policies import weighting


def falling_after(frames, peak):
    return np.r_[np.linspace(0, 0.6, peak), np.linspace(0.6, 0.1, frames - peak)]


def test_curves_of_other_episodes_are_refused(make_episode):
    for episodes, progress in (([make_episode(0)], [np.zeros(2)]), ([], [])):
        with pytest.raises(InvalidValue, match="score these very episodes"):
            weighting.scored(episodes, progress)


def test_outcomes_are_the_labels_and_unknown_where_nobody_gave_one(make_episode):
    episodes = [make_episode(0, success=True), make_episode(1, success=False), make_episode(2, success=None)]
    frames = weighting.scored(episodes, [np.linspace(0, 1, 3)] * 3)
    assert frames.success == pytest.approx([1, 0, np.nan], nan_ok=True)
    assert (len(frames), frames.fps) == (9, 20)


def test_the_three_arms_differ_only_in_their_weights(make_episode):
    good, bad = np.linspace(0, 1, 60), falling_after(60, 30)
    episodes = [make_episode(0, good), make_episode(1, good), make_episode(2, bad, success=False)]
    arms = weighting.side_by_side(episodes, [good, good, bad])
    assert list(arms) == ["all", "success-filtered", "weighted"]
    assert arms["all"].tolist() == [1] * 180
    assert arms["success-filtered"].tolist() == [1] * 120 + [0] * 60
    weight = arms["weighted"]
    assert weight[:115].min() > 1 / 8, "what moves on as the best do counts"
    assert np.median(weight[60:115]) > 3 * weight[140:150].max(), "what is about to fall back counts less"
    assert weight[155:178].max() == 0, "what loses ground does not"


def test_a_frame_without_progress_gets_no_weight(make_episode):
    curve = np.linspace(0, 1, 40)
    curve[7] = np.nan
    weight = weighting.weighted(weighting.scored([make_episode(0, curve)], [curve]))
    assert np.isnan(weight[7])
    assert not np.isnan(weight[8:]).any()


def test_weights_do_not_depend_on_who_made_an_episode(make_episode):
    curve = np.linspace(0, 1, 20)
    by_kind = [[make_episode(0, curve, kind=kind, truth=curve)] for kind in ("expert", "drop", None)]
    first, *others = [weighting.side_by_side(episodes, [curve]) for episodes in by_kind]
    assert all(np.array_equal(first[arm], other[arm]) for other in others for arm in first)
