import pytest

from headway.episodes import Stage
from headway.errors import DatasetError
from headway_datasets.annotation import mean_proportions, stage_order, stages_from_marks


def test_ends_shared_with_the_next_start_stay_as_they_are():
    stages = stages_from_marks([("open", 0, 40), ("pick", 40, 90)], length=100, where="episode 0")
    assert stages == (Stage("open", 0, 40), Stage("pick", 40, 90))


def test_inclusive_ends_that_overlap_by_one_frame_are_understood():
    stages = stages_from_marks([("open", 0, 41), ("pick", 40, 90)], length=100, where="episode 0")
    assert stages == (Stage("open", 0, 41), Stage("pick", 41, 90))


def test_marks_are_sorted_clamped_and_dropped_when_no_frame_is_left():
    marks = [("place", 90, 130), ("open", -5, 40), ("nothing", 60, 60), ("after", 120, 140)]
    stages = stages_from_marks(marks, length=100, where="episode 0")
    assert stages == (Stage("open", 0, 40), Stage("place", 90, 100))


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ([("open", 0, 50), ("pick", 40, 90)], r"episode 4: stage 'pick' .* overlaps 'open'"),
        ([("open", 50, 10)], "ends at frame 10, before it starts at 50"),
        ([("", 0, 10)], "has no name"),
    ],
)
def test_a_wrong_mark_names_episode_and_stage(marks, message):
    with pytest.raises(DatasetError, match=message):
        stages_from_marks(marks, length=100, where="episode 4")


def test_the_order_of_stages_is_that_of_the_most_complete_episode_and_a_success_first():
    partial = (Stage("pick", 0, 5),)
    failed = (Stage("pick", 0, 5), Stage("open", 5, 9))
    done = (Stage("open", 0, 5), Stage("pick", 5, 9), Stage("open", 9, 12))
    assert stage_order([partial, failed, done], [None, False, True]) == ("open", "pick")
    assert stage_order([failed, (Stage("wipe", 0, 3),)], [None, None]) == ("pick", "open", "wipe")
    assert stage_order([], []) is None


def test_proportions_are_the_mean_of_each_episodes_own_and_not_of_summed_lengths():
    short = (Stage("open", 0, 5), Stage("pick", 5, 10))
    long = (Stage("open", 0, 90), Stage("pick", 90, 100))
    partial = (Stage("open", 0, 50),)
    assert mean_proportions([short, long, partial]) == pytest.approx({"open": 0.7, "pick": 0.3})
    assert mean_proportions([]) == {}
