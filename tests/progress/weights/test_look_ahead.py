import numpy as np
import pytest

from headway.errors import InvalidValue
from headway.signals.weights.gains import gains
from headway.signals.weights.look_ahead import MOST, MOST_IN_A_STAGE, choose_look_ahead, references


def letting_go(frames, pause, stage_from=0.5):
    """Half way, the hand lets go for `pause` frames and nothing moves; the stage of each frame."""
    half = frames // 2
    curve = np.r_[np.linspace(0, 0.5, half), np.full(pause, 0.5), np.linspace(0.5, 1, half)[1:]]
    stage = np.r_[np.zeros(half, int), np.full(pause, 1), np.full(half - 1, 2)]
    return curve, stage


def test_the_look_ahead_sees_past_a_slow_phase(make_frames):
    curve, stage = letting_go(200, 18)
    for columns in ({}, {"stage": np.tile(stage, 8)}):
        frames = make_frames([curve] * 8, **columns)
        chosen = choose_look_ahead(frames)
        assert chosen.met
        assert chosen.frames > 18
        gain = gains(frames.progress, frames.episode, chosen.frames)
        working = np.tile(np.arange(len(curve)) < len(curve) - 1, 8)
        assert (gain[working] <= 0).mean() <= MOST
        assert ((gain <= 0) & working)[np.tile(stage == 1, 8)].mean() <= MOST_IN_A_STAGE


def test_a_short_phase_that_is_few_frames_of_all_counts_by_its_stage(make_frames):
    """16 of 1600 frames pause: hardly a share of all, but half of the stage in which one lets go."""
    curve, stage = letting_go(1600, 16)
    stage = np.where((np.arange(len(curve)) >= 784) & (np.arange(len(curve)) < 816), 1, stage)
    without = choose_look_ahead(make_frames([curve] * 4))
    by_stage = choose_look_ahead(make_frames([curve] * 4, stage=np.tile(stage, 4)))
    assert without.frames < 16 < by_stage.frames
    assert by_stage.worst_stage <= MOST_IN_A_STAGE
    unknown = choose_look_ahead(make_frames([curve] * 4, stage=np.full(4 * len(curve), -1)))
    assert unknown.frames == without.frames
    assert np.isnan(unknown.worst_stage)


def test_holding_still_when_done_asks_for_no_longer_look_ahead(make_frames, make_ramp):
    assert choose_look_ahead(make_frames([make_ramp(150, hold=60)] * 4)).frames == 4


def test_it_is_as_many_seconds_at_any_rate(make_frames):
    for fps in (10.0, 50.0):
        curve, _ = letting_go(round(10 * fps), round(0.9 * fps))
        assert choose_look_ahead(make_frames([curve] * 4, fps=fps)).frames == pytest.approx(fps, rel=0.26)


def test_failures_and_slow_successes_do_not_stretch_it(make_frames):
    quick, slow = np.linspace(0, 1, 100), np.repeat(np.linspace(0, 1, 20), 30)
    frames = make_frames([quick] * 4 + [slow] * 4 + [np.full(100, 0.2)] * 3, [1] * 8 + [0] * 3)
    assert references(frames).tolist() == [0, 1, 2, 3]
    assert choose_look_ahead(frames).frames == 4


def test_where_no_success_is_known_those_that_end_highest_stand_in(make_frames):
    curves = [np.linspace(0, end, 50) for end in (0.2, 0.9, 0.3, 1.0, np.nan)]
    assert set(references(make_frames(curves, np.nan)).tolist()) <= {1, 3}


def test_what_no_look_ahead_mends_is_said(make_frames):
    chosen = choose_look_ahead(make_frames([np.repeat([0.0, 0.5, 1.0], 60)] * 3))
    assert not chosen.met
    assert chosen.share > MOST
    assert chosen.frames == min(chosen.tried, key=lambda tried: (chosen.tried[tried], tried))
    assert f"look-ahead {chosen.frames} frames" in str(chosen)


def test_scores_without_progress_are_refused(make_frames):
    with pytest.raises(InvalidValue, match="no frame has any progress"):
        choose_look_ahead(make_frames([[np.nan, np.nan]]))
