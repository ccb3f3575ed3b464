import numpy as np
import pytest

from headway.errors import InvalidValue
from headway.metrics.language import confusion_margin, confusion_matrix


def test_a_matrix_by_hand():
    final = np.array([[0.9, 0.1, 0.2], [0.7, 0.3, 0.2], [0.0, 0.8, 0.4], [0.5, 0.5, 0.6]])
    matrix = confusion_matrix(final, np.array([0, 0, 1, 2]))
    assert matrix == pytest.approx(np.array([[0.8, 0.2, 0.2], [0.0, 0.8, 0.4], [0.5, 0.5, 0.6]]))
    assert confusion_margin(matrix) == pytest.approx((0.8 + 0.8 + 0.6) / 3 - (0.2 + 0.2 + 0 + 0.4 + 0.5 + 0.5) / 6)


def test_an_estimator_that_is_deaf_to_text_has_no_margin_and_a_perfect_one_the_whole():
    rng = np.random.default_rng(0)
    tasks = np.repeat(np.arange(4), 5)
    deaf = np.repeat(rng.random(20)[:, None], 4, axis=1)
    assert confusion_margin(confusion_matrix(deaf, tasks)) == pytest.approx(0)
    assert confusion_margin(confusion_matrix(np.eye(4)[tasks], tasks)) == 1
    assert confusion_margin(confusion_matrix(1 - np.eye(4)[tasks], tasks)) == -1


def test_rows_are_videos_and_columns_texts():
    matrix = confusion_matrix(np.array([[0.9, 0.1], [0.6, 0.5]]), np.array([0, 1]))
    assert matrix[0, 1] == 0.1
    assert matrix[1, 0] == 0.6


def test_what_is_not_known_is_left_out_and_a_cell_without_anything_is_nan():
    final = np.array([[0.9, np.nan], [0.5, 0.2], [0.1, 0.7]])
    assert confusion_matrix(final, np.array([0, 0, 1])) == pytest.approx(np.array([[0.7, 0.2], [0.1, 0.7]]))
    lacking = confusion_matrix(final[:1], np.array([0]))
    assert np.isnan(lacking).tolist() == [[False, True], [True, True]]
    assert np.isnan(confusion_margin(lacking))
    assert np.isnan(confusion_margin(np.array([[0.5, 0.1], [np.nan, 0.5]])))


def test_one_task_cannot_be_confused():
    assert np.isnan(confusion_margin(confusion_matrix(np.array([[0.9]]), np.array([0]))))


@pytest.mark.parametrize(
    ("final", "tasks"),
    [(np.zeros((2, 2)), [0]), (np.zeros(2), [0, 1]), (np.zeros((1, 2)), [2]), (np.zeros((1, 2)), [-1])],
)
def test_a_matrix_that_does_not_fit_is_refused(final, tasks):
    with pytest.raises(InvalidValue):
        confusion_matrix(final, np.array(tasks))


def test_a_margin_needs_as_many_texts_as_tasks():
    with pytest.raises(InvalidValue, match=r"got \(2, 3\)"):
        confusion_margin(np.zeros((2, 3)))
