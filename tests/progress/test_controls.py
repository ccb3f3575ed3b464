from dataclasses import replace

import numpy as np
import pytest

from headway.controls import clock
from headway.errors import CheckpointError, DatasetError, InvalidValue, UnknownName
from headway.estimator import Estimator
from headway.learned.pixels import load_pixels, train_pixels
from headway.specs import make_estimator


def estimate(spec, episode):
    (curve,) = make_estimator(spec).estimate([episode])
    return curve


def test_every_control_is_an_estimator_and_reads_no_picture(make_slider):
    episode = make_slider()

    class Unreadable:
        def __len__(self):
            return len(episode)

        def __iter__(self):
            raise AssertionError("a control looked at a picture")

    blind = replace(episode, cameras={"top": Unreadable()})
    for spec in ("clock", "constant", "random", "oracle"):
        estimator = make_estimator(spec)
        assert isinstance(estimator, Estimator)
        assert not estimator.needs.pictures
        assert len(estimate(spec, blind)) == len(episode)


def test_a_clock_runs_from_zero_to_one(make_slider):
    assert estimate("clock", make_slider()).values == pytest.approx(np.linspace(0, 1, len(make_slider())))


def test_a_clock_on_one_frame_has_not_begun(make_slider):
    episode = make_slider(seconds=0.1, hold=0)
    assert len(episode) == 1
    assert next(clock().estimate([episode])).values.tolist() == [0]


def test_constants_and_seeds_are_read_from_the_spec(make_slider):
    assert set(estimate("constant:0.7", make_slider()).values) == {np.float32(0.7)}
    first, again, other = (estimate(spec, make_slider()).values for spec in ("random", "random", "random:1"))
    assert (first == again).all()
    assert (first != other).any()
    assert make_estimator("constant:0.7").fingerprint != make_estimator("constant").fingerprint


def test_the_oracle_without_truth_is_nan_and_says_why(make_slider):
    curve = estimate("oracle", replace(make_slider(), truth=None))
    assert np.isnan(curve.values).all()
    assert "carries no truth" in curve.reason


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("clokc", UnknownName, "unknown estimator 'clokc'; available: classifier, clock, constant, ensemble,"),
        ("constant:much", InvalidValue, "needs a number after the colon, got 'much'"),
        ("constant:1.5", InvalidValue, r"must lie in \[0, 1\], got 1.5"),
        ("sarm", InvalidValue, "needs the folder of a training run"),
        ("untrained:clock", InvalidValue, "needs an estimator with a network"),
        ("pixels:nowhere", CheckpointError, "nowhere holds no pixels"),
    ],
)
def test_a_wrong_spec_is_one_clear_line(spec, error, message):
    with pytest.raises(error, match=message):
        make_estimator(spec)


def test_pixel_distance_never_compares_an_episode_with_its_own_goal(make_sliders, tmp_path):
    episodes = make_sliders(3, failing=1)
    train_pixels(episodes, "top", tmp_path)
    pixels = load_pixels(tmp_path)
    assert len(pixels.goals) == 3, "failures are no goals"
    own = next(pixels.estimate([episodes[0]]))
    shown = next(pixels.estimate([replace(episodes[0], recording="elsewhere")]))
    # with its own last picture among the goals the distance at the end shrinks
    assert shown.values[-1] > own.values[-1] > 0.3
    assert own.values[0] == 0


def test_pixel_distance_needs_two_successes(make_sliders, tmp_path):
    with pytest.raises(DatasetError, match="at least two episodes labelled a success, found 1"):
        train_pixels(make_sliders(1, failing=2), "top", tmp_path)
