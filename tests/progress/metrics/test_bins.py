import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_confusion_matrix

from headway.errors import InvalidValue
from headway.metrics.bins import FIVE_BIN_EDGES, ROLLOUT_CLASSES, class_matrix, five_bin_mae, five_bins, rollout_class

NAN = float("nan")


@given(st.floats(0, 1))
def test_a_mark_is_the_nearest_one_as_robometer_rounds(progress):
    if progress not in FIVE_BIN_EDGES:
        assert five_bins(np.array([progress]))[0] == 1 + round(4 * progress)


def test_marks_by_hand():
    assert five_bins(np.array([0, 0.12, 0.125, 0.5, 0.8, 0.875, 1, NAN])) == pytest.approx(
        [1, 1, 2, 3, 4, 5, 5, NAN], nan_ok=True
    )
    # where a mark stands for what it is called after, the middle is kept from `perfect`
    assert five_bins(np.array([0.9, 1.0]), edges=(0.01, 0.4, 0.7, 0.95)).tolist() == [4, 5]


def test_error_of_marks_by_hand():
    progress, marks = np.array([0.0, 0.5, 1.0, NAN, 0.3]), np.array([2.0, 3, 2, 5, NAN])
    assert five_bin_mae(progress, marks) == pytest.approx((1 + 0 + 3) / 3)
    assert np.isnan(five_bin_mae(np.array([NAN]), np.array([3])))


def test_what_is_no_mark_is_refused():
    with pytest.raises(InvalidValue, match="whole numbers 1 to 5"):
        five_bin_mae(np.array([0.5]), np.array([0]))
    with pytest.raises(InvalidValue, match="four rising edges"):
        five_bins(np.array([0.5]), edges=(0.5, 0.2, 0.7, 0.9))


@pytest.mark.parametrize(
    ("curve", "kind"),
    [
        ([0, 0, 0.2, 0.5, 0.6, 0.9], "success"),
        # the end is high, its last third (two of six) is not
        ([0, 0.3, 0.5, 0.6, 0.3, 0.85], "partial success"),
        ([0, 0, 0, 0, 0.3, 0.85], "failure"),
        # not ABOVE 0.8
        ([0.8] * 6, "partial success"),
        ([0.4] * 3, "partial success"),
        ([0.39] * 3, "failure"),
        # a third of four frames is two, rounded up
        ([0, 0, 0.3, 0.9], "failure"),
        ([0.9], "success"),
    ],
)
def test_rollouts_by_hand(curve, kind):
    assert ROLLOUT_CLASSES[int(rollout_class([np.array(curve)])[0])] == kind


def test_a_rollout_that_is_not_known_throughout_has_no_class():
    assert np.isnan(rollout_class([np.array([0.1, NAN]), np.zeros(0)])).all()


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, 2.0, NAN])] * 2), max_size=20))
def test_the_matrix_is_torchmetrics_with_the_truth_in_rows(rows):
    estimated, true = np.array(rows, float).reshape(-1, 2).T
    known = ~np.isnan(estimated + true)
    expected = multiclass_confusion_matrix(
        torch.tensor(estimated[known].astype(int)), torch.tensor(true[known].astype(int)), 3
    )
    assert class_matrix(estimated, true).tolist() == expected.tolist()
