"""Labels, on episodes short enough to work out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from headway.episodes import ArrayFrames, Episode, Stage
from headway.errors import DatasetError, UnknownName
from headway.learned.targets import StageScale, fit_scale, is_complete, label

NAMES = ("open", "pick", "place")


def episode(time: int, *marks: tuple[str, int, int], success: bool | None = True, index: int = 0) -> Episode:
    frames = {"top": ArrayFrames(np.zeros((time, 4, 4, 3), np.uint8))}
    stages = tuple(Stage(*mark) for mark in marks)
    return Episode(index, 0, 10.0, frames, stages=stages, success=success)


FULL = episode(12, ("open", 0, 2), ("pick", 2, 6), ("place", 6, 10))


def scale_of(*episodes: Episode) -> StageScale:
    return fit_scale(episodes, NAMES)


def test_proportions_are_the_mean_of_each_episodes_own_not_the_ratio_of_sums():
    short = episode(12, ("open", 0, 2), ("pick", 2, 6), ("place", 6, 10))  # .2 .4 .4
    long = episode(101, ("open", 0, 80), ("pick", 80, 90), ("place", 90, 100))  # .8 .1 .1
    assert scale_of(short, long).proportions == pytest.approx((0.5, 0.25, 0.25))


def test_only_complete_successes_in_order_measure_the_scale():
    failed = replace(FULL, success=False)
    partial = episode(12, ("open", 0, 2), ("pick", 2, 12))
    disordered = episode(12, ("pick", 0, 4), ("open", 4, 6), ("place", 6, 10))
    assert scale_of(FULL, failed, partial, disordered) == scale_of(FULL)
    assert not any(is_complete(e, NAMES) for e in (failed, partial, disordered))


def test_without_a_complete_success_there_is_no_scale():
    with pytest.raises(DatasetError, match="none of the 1 training episodes is a complete, marked success"):
        scale_of(replace(FULL, success=False))


def test_a_success_rises_linearly_within_each_stage_and_is_done_after_the_last():
    targets = label(FULL, scale_of(FULL))
    assert targets.stage.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3]
    assert targets.within.tolist() == [0, 0.5, 0, 0.25, 0.5, 0.75, 0, 0.25, 0.5, 0.75, 0, 0]
    progress = scale_of(FULL).progress(targets.stage, targets.within)
    # 10 frames from 0 to 1, then done
    assert progress == pytest.approx(np.minimum(np.arange(12) / 10, 1))


def test_marks_that_end_with_the_video_still_show_one_frame_of_done():
    whole = episode(10, ("open", 0, 2), ("pick", 2, 6), ("place", 6, 10))
    assert label(whole, scale_of(FULL)).stage.tolist()[-2:] == [2, 3]


def test_a_complete_run_that_nobody_judged_counts_as_done_and_a_partial_one_does_not():
    unjudged = replace(FULL, success=None)
    assert label(unjudged, scale_of(FULL)).stage[-1] == 3
    partial = episode(12, ("open", 0, 2), ("pick", 2, 12), success=None)
    assert label(partial, scale_of(FULL)).stage[-1] == 1


def test_a_stage_never_finished_is_known_up_to_half_its_usual_length_only():
    abandoned = episode(12, ("open", 0, 2), ("pick", 2, 12), success=False)
    within = label(abandoned, scale_of(FULL)).within
    # picking usually takes 4 frames: 2 of them are labelled at that pace, the rest is unknown
    assert within[2:4].tolist() == [0, 0.25]
    assert np.isnan(within[4:]).all()


def test_a_stage_fallen_back_into_has_a_known_stage_but_unknown_progress():
    fell = episode(12, ("open", 0, 2), ("pick", 2, 6), ("open", 6, 9), ("pick", 9, 12), success=False)
    targets = label(fell, scale_of(FULL))
    assert targets.stage[6:9].tolist() == [0] * 3
    assert np.isnan(targets.within[6:9]).all()
    # picking ended by falling back, so it was not finished either
    assert np.isnan(targets.within[4:6]).all()


def test_a_stage_fallen_back_into_and_never_finished_counts_as_not_begun():
    fell = episode(12, ("open", 0, 2), ("pick", 2, 6), ("open", 6, 12), success=False)
    assert label(fell, scale_of(FULL)).within[6:].tolist() == [0] * 6


def test_a_failure_is_never_done_even_when_its_marks_reach_the_last_stage():
    failed = replace(FULL, success=False)
    assert 3 not in label(failed, scale_of(FULL)).stage


def test_frames_nobody_marked_have_no_stage():
    gap = episode(12, ("open", 1, 2), ("pick", 4, 6), ("place", 6, 10), success=False)
    assert label(gap, scale_of(FULL)).stage[[0, 2, 3]].tolist() == [-1, -1, -1]


def test_an_unknown_stage_name_lists_the_known_ones():
    with pytest.raises(UnknownName, match="unknown stage in episode 0: 'shut'; available: open, pick, place"):
        label(episode(5, ("shut", 0, 5)), scale_of(FULL))


def test_the_scale_runs_from_zero_to_one():
    scale = scale_of(FULL)
    assert scale.starts == pytest.approx([0, 0.2, 0.6, 1])
    assert scale.widths == pytest.approx([0.2, 0.4, 0.4, 0])
