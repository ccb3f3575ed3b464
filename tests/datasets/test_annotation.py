import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.annotation import mean_proportions
from headway.episodes import Stage
from headway.errors import DatasetError, InvalidValue, UnknownName
from headway_datasets.annotation import declared_proportions, stage_order, stages_from_marks


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


def run(names, lengths):
    """One annotation: the stages one after the other."""
    ends = [sum(lengths[: number + 1]) for number in range(len(lengths))]
    return tuple(Stage(name, end - length, end) for name, length, end in zip(names, lengths, ends, strict=True))


def test_proportions_are_the_mean_of_each_episodes_own_and_not_of_summed_lengths():
    short, long = run(["open", "pick"], [5, 5]), run(["open", "pick"], [90, 10])
    assert mean_proportions([short, long], ["open", "pick"]) == pytest.approx((0.7, 0.3))
    assert mean_proportions([short, long], ["pick", "wipe", "open"]) == pytest.approx((0.3, 0, 0.7))


def test_a_stage_that_comes_again_counts_each_time():
    assert mean_proportions([run(["a", "b", "a"], [2, 5, 3])], ["a", "b"]) == pytest.approx((0.5, 0.5))


@given(st.lists(st.lists(st.integers(1, 10**5), min_size=3, max_size=3), min_size=1), st.integers(2, 9))
def test_a_scale_sums_to_one_and_does_not_depend_on_how_slowly_an_episode_was_done(lengths, slower):
    names = ["a", "b", "c"]
    shares = mean_proportions([run(names, each) for each in lengths], names)
    assert sum(shares) == pytest.approx(1)
    lengths[0] = [length * slower for length in lengths[0]]
    assert mean_proportions([run(names, each) for each in lengths], names) == pytest.approx(shares)


@pytest.mark.parametrize("annotations", [[], [()], [run(["a"], [3]), ()]])
def test_no_marks_have_no_proportions(annotations):
    with pytest.raises(InvalidValue, match="at least one episode, and a mark in each"):
        mean_proportions(annotations, ["a"])


def test_a_stage_of_another_task_is_named():
    with pytest.raises(UnknownName, match="unknown stage 'b'; available: a"):
        mean_proportions([run(["a", "b"], [3, 3])], ["a"])


def test_a_dataset_declares_the_proportions_of_its_complete_episodes():
    short, long, partial = run(["open", "pick"], [5, 5]), run(["open", "pick"], [90, 10]), run(["open"], [50])
    assert declared_proportions([partial, short, (), long]) == pytest.approx({"open": 0.7, "pick": 0.3})
    assert list(declared_proportions([partial, short])) == ["open", "pick"]
    assert declared_proportions([]) == declared_proportions([()]) == {}


def test_where_no_episode_is_complete_all_that_are_annotated_count():
    assert declared_proportions([run(["a", "b"], [1, 3]), run(["c"], [7])]) == {"a": 0.125, "b": 0.375, "c": 0.5}
