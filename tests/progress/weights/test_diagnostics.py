import numpy as np
import pytest

from headway.signals.weights.diagnostics import diagnose
from headway.signals.weights.exponential import topreward


def test_the_effective_sample_is_kishs():
    found = diagnose(np.array([1, 1, 0, 0, np.nan]))
    assert (found.frames, found.weighted, found.effective, found.zeros, found.ones) == (5, 4, 2, 0.5, 0.5)
    assert diagnose(np.full(7, 0.3)).effective == pytest.approx(7)
    assert diagnose(np.array([0.9, 0.3])).effective == pytest.approx(1.2**2 / 0.9)


def test_the_histogram_counts_every_weighted_frame_once():
    found = diagnose(np.array([0, 0.04, 0.06, 0.97, 1, np.nan]))
    assert found.histogram.sum() == 5
    assert found.histogram[[0, 1, 19]].tolist() == [2, 1, 2]


def test_uniform_weights_are_called_plain_cloning():
    assert any("this is plain cloning" in warning for warning in diagnose(np.full(10, 0.4)).warnings)
    assert not diagnose(np.linspace(0, 1, 100)).warnings


def test_weights_at_their_ceiling_are_called_so():
    weight = topreward(np.r_[np.full(70, 0.1), np.full(30, -1.5)])
    assert any("70% of the weights are at their ceiling" in warning for warning in diagnose(weight).warnings)


def test_too_little_to_learn_from_is_said():
    for weight in (np.zeros(50), np.r_[np.zeros(99), 1], np.full(3, np.nan)):
        assert any("next to nothing is left to learn from" in warning for warning in diagnose(weight).warnings)
    assert diagnose(np.zeros(50)).ones == 0


def test_frames_without_a_weight_are_counted():
    (warning,) = diagnose(np.array([*[0.1, 0.9] * 5, np.nan, np.nan])).warnings
    assert warning.startswith("2 frames have no weight (null)")
