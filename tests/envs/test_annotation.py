from itertools import pairwise

import numpy as np

from headway.episodes import Stage, Truth
from headway_envs.annotation import annotated_stages, hurried_stages

NAMES = ("a", "b", "c")


def made_truth(stage, done_from=None):
    stage = np.array(stage)
    success = np.arange(len(stage)) >= (len(stage) if done_from is None else done_from)
    return Truth(np.zeros(len(stage), np.float32), stage, success, NAMES, (0.2, 0.3, 0.5))


def marks(truth, fps=20):
    return [(stage.name, stage.start, stage.end) for stage in annotated_stages(truth, fps)]


def test_marks_follow_the_true_stages_and_end_when_the_task_is_done():
    truth = made_truth([0] * 10 + [1] * 20 + [2] * 25, done_from=45)
    assert marks(truth) == [("a", 0, 10), ("b", 10, 30), ("c", 30, 45)]


def test_marks_keep_what_fell_back_and_lose_what_flickers():
    truth = made_truth([0] * 10 + [1] * 3 + [0] * 7 + [1] * 20 + [0] * 10)
    assert marks(truth) == [("a", 0, 20), ("b", 20, 40), ("a", 40, 50)]


def test_what_flickers_is_a_matter_of_seconds_not_of_frames():
    stage = [0] * 20 + [1] * 7 + [0] * 20
    assert len(marks(made_truth(stage), fps=20)) == 3
    assert len(marks(made_truth(stage), fps=30)) == 1


def test_a_flicker_at_the_very_start_joins_what_follows():
    assert marks(made_truth([1] * 2 + [0] * 10)) == [("a", 0, 12)]


def test_an_episode_shorter_than_the_shortest_mark_has_one():
    assert marks(made_truth([0, 0, 1])) == [("a", 0, 3)]


def test_an_episode_that_is_done_from_its_first_frame_has_a_mark_too():
    assert marks(made_truth([2] * 8, done_from=0)) == [("c", 0, 1)]


def test_what_was_done_and_undone_again_is_marked_to_the_end():
    truth = made_truth([0] * 10 + [1] * 10 + [2] * 20 + [0] * 10)
    truth.success[30:40] = True
    assert marks(truth) == [("a", 0, 10), ("b", 10, 20), ("c", 20, 40), ("a", 40, 50)]


def test_a_hurried_annotator_is_off_by_a_third_of_a_second_and_leaves_one_mark_of_twenty_out():
    careful = (Stage("a", 0, 60), Stage("b", 60, 62), Stage("a", 62, 150), Stage("c", 150, 300))
    rng = np.random.default_rng(0)
    drawn = [hurried_stages(careful, 300, 30.0, rng) for _ in range(2000)]
    assert 0.04 < 1 - np.mean([any(stage.name == "c" for stage in marks) for marks in drawn]) < 0.06
    ends = np.array([next((s.end for s in marks if s.start == 0 and s.name == "a"), 60) for marks in drawn])
    assert (np.abs(ends - 60) <= 9).all()
    assert len(np.unique(ends)) > 15
    for marks in drawn:
        assert all(first.end <= second.start for first, second in pairwise(marks))
        assert all(stage.end <= 300 for stage in marks)
        assert all(stage.start == 0 for stage in marks[:1] if stage.name == "a" and stage.end < 100)
