import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway.signals.weights.exponential import aw_bc, awr, gvl, rwr, topreward
from headway.signals.weights.gains import gains
from headway.signals.weights.look_ahead import references
from headway.signals.weights.outcome import advantage_flag, pessimistic, softmin, success_filter
from headway.signals.weights.schemes import BY_EPISODE, SCHEMES, choose_scheme
from headway.signals.weights.scored import ScoredFrames

# its statistics run, so that they depend on the order frames are met in
ORDERED = {"rabc-paper"}
VALUE = st.floats(0, 1) | st.just(float("nan"))
CURVES = st.lists(st.lists(VALUE, min_size=1, max_size=25), min_size=1, max_size=5)
OUTCOMES = st.lists(st.sampled_from([0.0, 1.0, 0.3, 0.8, float("nan")]), min_size=5, max_size=5)


def scored(curves, outcomes, make_frames):
    frames = make_frames(curves, outcomes[: len(curves)])
    doubt = np.linspace(0, 0.3, len(frames))
    return ScoredFrames(frames.progress, frames.episode, frames.fps, frames.success, uncertainty=doubt)


@pytest.mark.parametrize("name", SCHEMES)
@settings(max_examples=40)
@given(curves=CURVES, outcomes=OUTCOMES, look_ahead=st.integers(1, 30))
def test_a_weight_lies_in_zero_to_one_or_is_unknown_where_scores_are(name, curves, outcomes, look_ahead, make_frames):
    frames = scored(curves, outcomes, make_frames)
    assume(not np.isnan(frames.progress).all() and not np.isnan(frames.success).all())
    weight = SCHEMES[name](frames, look_ahead)
    assert weight.shape == (len(frames),)
    known = weight[~np.isnan(weight)]
    assert ((known >= 0) & (known <= 1)).all()
    # a frame has no weight only where something that the scheme goes by is unknown in its episode
    unknown = np.isnan(frames.over_frames(frames.success)) if name == "filter" else np.isnan(frames.progress)
    without = np.zeros(len(frames), bool)
    for bound in frames.bounds:
        without[bound] = unknown[bound].any()
    assert not np.isnan(weight[~without]).any()


@pytest.mark.parametrize("name", sorted(set(SCHEMES) - ORDERED))
@settings(max_examples=20)
@given(seed=st.integers(0, 1000), episodes=st.integers(2, 6), look_ahead=st.integers(1, 30))
def test_weights_do_not_depend_on_the_order_of_episodes(name, seed, episodes, look_ahead, make_frames):
    rng = np.random.default_rng(seed)
    curves = [np.cumsum(rng.normal(0.03, 0.05, length)).clip(0, 1) for length in rng.permutation(40)[:episodes] + 1]
    outcomes = np.r_[1.0, rng.choice([0, 1, np.nan], episodes - 1)]
    frames = scored(curves, outcomes, make_frames)
    order = rng.permutation(episodes)
    rows = np.concatenate([np.arange(frames.bounds[n].start, frames.bounds[n].stop) for n in order])
    mixed = ScoredFrames(
        frames.progress[rows], frames.episode[rows], 20.0, outcomes[order], uncertainty=frames.uncertainty[rows]
    )
    # who stands for good work may hang on a tie
    assume(set(order[references(mixed)].tolist()) == set(references(frames).tolist()))
    np.testing.assert_allclose(SCHEMES[name](mixed, look_ahead), SCHEMES[name](frames, look_ahead)[rows], atol=1e-6)


def test_exponential_weights_by_hand():
    gain = np.array([1.0, 0.0, -0.5, np.nan])
    assert gvl(gain, temperature=2) == pytest.approx([1, np.exp(-2), np.exp(-3), np.nan], nan_ok=True)
    # a step that loses everything still gets 0.736 of 2 (measured on the published settings)
    assert 2 * topreward(np.array([-1.0])) == pytest.approx(0.736, abs=1e-3)
    assert topreward(np.array([0.0, 0.1, 0.4])).tolist() == [1, 1, 1]


def test_rwr_weighs_by_how_an_episode_ends(make_frames):
    weight = rwr(
        make_frames([[0, 1.0, 1, 1, 1, 1], [0.2, 0.5, 0.5, 0.5, 0.5, 0.5], [np.nan, np.nan]]), temperature=0.25
    )
    assert weight[:6] == pytest.approx(1)
    assert weight[6:12] == pytest.approx(np.exp(-2))
    assert np.isnan(weight[12:]).all()


def test_awr_compares_a_frame_with_others_at_like_progress_and_stops_at_its_ceiling(make_frames):
    """The second half is slow for everybody, which costs nobody anything."""
    second = np.linspace(0.5, 1, 201)[1:]
    quick, slow = np.linspace(0, 0.5, 41), np.linspace(0, 0.5, 81)
    frames = make_frames([np.r_[quick, second], np.r_[slow, second]])
    gain, weight = gains(frames.progress, frames.episode, 5), awr(frames, 5)
    assert gain[241 + 40] > gain[100], "even the slow one gains more in its first half"
    assert weight[10] > weight[100] > weight[241 + 40]
    assert weight[100] == pytest.approx(1 / 20, rel=1e-6)
    assert weight.max() <= 1
    assert awr(make_frames([quick, quick]), 5)[:30] == pytest.approx(1 / 20)


def test_aw_bc_does_not_hold_the_length_of_an_episode_against_it(make_frames):
    frames = make_frames([np.linspace(0, 1, 40), np.linspace(0, 1, 120)])
    weight = aw_bc(frames, 4)
    assert weight[5:30].mean() == pytest.approx(weight[50:140].mean(), rel=0.1)
    gain = gains(frames.progress, frames.episode, 4)
    scaled = gain * np.repeat([40 / 80, 120 / 80], [40, 120])
    by_hand = (scaled - (scaled.mean() - 2 * scaled.std())) / (4 * scaled.std())
    assert weight == pytest.approx(by_hand.clip(0, 1))


def test_the_filter_goes_by_outcomes_alone_and_needs_one(make_frames):
    curves = [[0.9, 0.9], [0.1, 0.1], [0.5]]
    assert success_filter(make_frames(curves, [0, 1, np.nan])) == pytest.approx([0, 0, 1, 1, np.nan], nan_ok=True)
    with pytest.raises(InvalidValue, match="nobody knows which episodes succeeded"):
        success_filter(make_frames(curves, np.nan))


def test_softmin_weighs_an_episode_by_its_weakest_part(make_frames):
    good = np.linspace(0, 1, 41)
    stalled = np.r_[np.linspace(0, 0.5, 21), np.full(10, 0.5), np.linspace(0.525, 1, 20)]
    weight = softmin(make_frames([good, stalled]), 10)
    assert weight[:41] == pytest.approx(1, abs=1e-6)
    assert weight[41:] == pytest.approx(0, abs=0.01)


def test_softmin_forgives_a_success_that_holds_still_when_done_and_no_failure(make_frames, make_ramp):
    held = make_ramp(60, hold=20)
    assert softmin(make_frames([held]), 10)[0] > 0.9
    assert softmin(make_frames([held, held], [1, 0]), 10)[-1] == pytest.approx(0, abs=0.01)


def test_softmin_does_not_overlook_what_is_left_at_the_end(make_frames):
    fallen = np.r_[np.linspace(0, 1, 21), np.linspace(0.9, 0.3, 7)]
    assert softmin(make_frames([np.linspace(0, 1, 21), fallen], [1, 0]), 10)[-1] == pytest.approx(0, abs=0.01)


def test_three_in_ten_frames_are_flagged_and_those_that_gain_most(make_frames):
    rng = np.random.default_rng(0)
    frames = make_frames([np.cumsum(rng.uniform(0, 0.02, 100)).clip(0, 1) for _ in range(10)])
    flag = advantage_flag(frames, 5)
    assert set(flag.tolist()) == {0.0, 1.0}
    assert flag.mean() == pytest.approx(0.3, abs=0.01)
    gain = gains(frames.progress, frames.episode, 5)
    assert gain[flag == 1].mean() > gain[flag == 0].mean()


def test_doubt_lowers_weights_and_none_of_it_leaves_those_of_rabc_auto(make_frames):
    curve = np.linspace(0, 1, 40)
    sure = make_frames([curve, curve], uncertainty=np.zeros(80))
    assert pessimistic(sure, 5) == pytest.approx(SCHEMES["rabc-auto"](sure, 5))
    doubtful = make_frames([curve, curve], uncertainty=np.r_[np.zeros(40), np.full(40, 0.064)])
    weight = pessimistic(doubtful, 5)
    assert weight[:34] == pytest.approx(SCHEMES["rabc-auto"](sure, 5)[:34])
    assert weight[40:74] == pytest.approx(0.5 * SCHEMES["rabc-auto"](sure, 5)[40:74], abs=0.01)
    with pytest.raises(InvalidValue, match="score with an ensemble"):
        pessimistic(make_frames([curve]), 5)


def test_schemes_that_weigh_episodes_look_no_frames_ahead(make_frames):
    frames = make_frames([np.linspace(0, 1, 30), np.linspace(0, 0.4, 30)], [1, 0])
    for name in BY_EPISODE:
        assert np.array_equal(SCHEMES[name](frames, 0), SCHEMES[name](frames, 17))
        assert len(np.unique(SCHEMES[name](frames, 0)[:30])) == 1


def test_auto_trusts_clear_progress_and_falls_back_on_outcomes_where_noise_hides_it(make_frames):
    rng = np.random.default_rng(0)
    clear = [np.linspace(0, 1, 100)] * 6
    assert choose_scheme(make_frames(clear), 10).scheme == "rabc-awr"
    hidden = [rng.uniform(0, 1, 100) for _ in range(6)]
    assert choose_scheme(make_frames(hidden, [1, 1, 1, 0, 0, 0]), 10).scheme == "filter"
    assert choose_scheme(make_frames(hidden, np.nan), 10).scheme == "rwr"


def test_frames_of_one_episode_that_do_not_lie_together_are_refused():
    with pytest.raises(InvalidValue, match="must lie together"):
        ScoredFrames(np.zeros(3), np.array([0, 1, 0]), 20.0, np.ones(2))
    with pytest.raises(InvalidValue, match="each of 1 episodes, got shape \\(2,\\)"):
        ScoredFrames(np.zeros(3), np.zeros(3, int), 20.0, np.ones(2))
    with pytest.raises(InvalidValue, match="progress must have one value for each of 3 frames"):
        ScoredFrames(np.zeros(2), np.zeros(3, int), 20.0, np.ones(1))
