from dataclasses import replace

import numpy as np
import pytest

from headway.episodes import ArrayFrames, ProgressCurve, Stage
from headway.errors import InvalidValue, UnknownName


def test_parts_of_different_length_are_refused_and_the_message_lists_their_lengths(make_slider):
    episode = make_slider()
    with pytest.raises(InvalidValue, match=rf"different length.*camera top': {len(episode)}.*state': 3"):
        replace(episode, state=np.zeros((3, 1), np.float32))


def test_stages_that_overlap_or_run_past_the_end_are_refused(make_slider):
    episode = make_slider()
    with pytest.raises(InvalidValue, match="stage 'b' runs from frame 4 to 9"):
        replace(episode, stages=(Stage("a", 0, 5), Stage("b", 4, 9)))
    with pytest.raises(InvalidValue, match=f"must end within the episode's {len(episode)} frames"):
        replace(episode, stages=(Stage("a", 0, len(episode) + 1),))


def test_a_stage_may_come_again_because_robots_fall_back(make_slider):
    marks = (Stage("a", 0, 5), Stage("b", 5, 9), Stage("a", 9, 12))
    assert replace(make_slider(), stages=marks).stages == marks


def test_dense_stages_are_held_to_the_same_rules_on_their_own(make_slider):
    fine = (Stage("reach", 0, 3), Stage("grip", 3, 46))
    episode = replace(make_slider(), dense_stages=fine)
    assert episode.dense_stages == fine
    assert "stages=2, dense_stages=2" in repr(episode)
    with pytest.raises(InvalidValue, match="dense stage 'b' runs from frame 4 to 9"):
        replace(episode, dense_stages=(Stage("a", 0, 5), Stage("b", 4, 9)))
    with pytest.raises(InvalidValue, match=r"dense stage 'a' .* must end within the episode's 46 frames"):
        replace(episode, dense_stages=(Stage("a", 0, 47),))


def test_a_stage_needs_at_least_one_frame():
    with pytest.raises(InvalidValue, match="needs 0 <= start < end"):
        Stage("a", 3, 3)


def test_an_unknown_camera_names_those_there_are(make_slider):
    with pytest.raises(UnknownName, match=r"unknown camera in episode 0: 'wrist'; available: top"):
        make_slider().camera("wrist")


def test_an_episode_without_frames_is_refused(make_slider):
    empty = ArrayFrames(np.zeros((0, 4, 4, 3), np.uint8))
    with pytest.raises(InvalidValue, match="has no frames"):
        replace(make_slider(), cameras={"top": empty}, state=None, action=None, truth=None, stages=None)


def test_frames_must_be_uint8_rgb():
    with pytest.raises(InvalidValue, match=r"got float64 \(2, 4, 4, 3\)"):
        ArrayFrames(np.zeros((2, 4, 4, 3)))


def test_a_repr_shows_shapes_and_never_the_arrays(make_slider):
    shown = repr(make_slider())
    assert "state=(46, 1)" in shown
    assert "array(" not in shown


def curve(values, **parts) -> ProgressCurve:
    values = np.asarray(values, np.float32)
    return ProgressCurve(values, np.ones(len(values), bool), "test", **parts)


def test_progress_outside_zero_to_one_is_refused():
    with pytest.raises(InvalidValue, match=r"must lie in \[0, 1\], got 0 to 1\.5"):
        curve([0, 1.5])


def test_missing_values_need_a_reason():
    with pytest.raises(InvalidValue, match="1 values are NaN; say why"):
        curve([0, np.nan])
    assert curve([0, np.nan], reason="too dark").reason == "too dark"


def test_columns_of_another_length_are_refused():
    with pytest.raises(InvalidValue, match="2 values has success of length 3"):
        curve([0, 1], success=np.zeros(3))


def test_dense_progress_is_held_to_the_same_rules():
    with pytest.raises(InvalidValue, match=r"dense progress must lie in \[0, 1\], got -0\.1 to 0"):
        curve([0, 1], dense=np.array([0, -0.1], np.float32))
    with pytest.raises(InvalidValue, match="1 dense values are NaN; say why"):
        curve([0, 1], dense=np.array([0, np.nan], np.float32))
    with pytest.raises(InvalidValue, match="2 values has dense of length 3"):
        curve([0, 1], dense=np.zeros(3, np.float32))
    assert np.isnan(curve([0, 1], dense=np.array([0, np.nan]), reason="no dense marks").dense[1])


def test_timestamps_must_be_as_many_as_frames_and_names_as_many_as_values(make_slider):
    episode = make_slider()
    times = np.arange(len(episode)) / episode.fps
    assert replace(episode, timestamps=times, action_names=("x", "y")).timestamps is times
    with pytest.raises(InvalidValue, match=r"different length .*'timestamps': 3"):
        replace(episode, timestamps=times[:3])
    with pytest.raises(InvalidValue, match="names 3 values of its action, which has 2"):
        replace(episode, action_names=("x", "y", "z"))
    with pytest.raises(InvalidValue, match="names 1 values of its state, which has 0"):
        replace(episode, state=None, state_names=("x",))
