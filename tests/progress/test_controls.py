from dataclasses import replace

import numpy as np
import pytest

from headway.controls import backwards, clock
from headway.episodes import ProgressCurve
from headway.errors import CheckpointError, DatasetError, InvalidValue, UnknownName
from headway.estimator import Estimator, Needs, Waiting
from headway.learned.pixels import load_pixels, train_pixels
from headway.metrics.order import value_order_correlation
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
        ("untrained", InvalidValue, "needs the spec of another estimator, such as untrained:sarm:runs/tidy"),
        ("reversed", InvalidValue, "needs the spec of another estimator, such as reversed:sarm:runs/tidy"),
        ("reversed:clokc", UnknownName, "unknown estimator 'clokc'"),
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


def test_backwards_a_clock_is_turned_round_and_the_truth_is_not(make_slider):
    episode = make_slider()
    assert estimate("reversed:clock", episode).values == pytest.approx(1 - estimate("clock", episode).values)
    assert (estimate("reversed:oracle", episode).values == episode.truth.progress).all()
    assert (estimate("reversed:reversed:random", episode).values == estimate("random", episode).values).all()
    together = estimate("ensemble:clock+reversed:clock", episode)
    assert together.raw == pytest.approx(0.5)
    assert (estimate("reversed:ensemble:clock+oracle", episode).raw[::-1] != together.raw).any()


class Looking:
    """Finds the red square and says how far along it is; goes by nothing else."""

    name, fingerprint, needs = "looking", "looking", Needs()

    def estimate(self, episodes, stride=1):
        for episode in episodes:
            corners = [np.argwhere(picture[..., 0] > 200).min(axis=0).sum() for picture in episode.camera("top")]
            values = np.array(corners, np.float32) / 48
            yield ProgressCurve(values, np.ones(len(values), bool), self.fingerprint)


def test_backwards_who_looks_says_the_same_and_in_the_order_shown_its_correlation_is_the_negative(make_slider):
    episode = make_slider()
    (forwards,) = Looking().estimate([episode])
    (back,) = backwards(Looking()).estimate([episode])
    assert (back.values == forwards.values).all()
    order = value_order_correlation(back.values)
    assert order > 0.9
    assert value_order_correlation(back.values[::-1]) == pytest.approx(-order)
    turned = estimate("reversed:clock", episode).values
    assert value_order_correlation(turned) == pytest.approx(-1), "who counts is found out"


class Staged:
    """Says of each frame what its state says, looking at every `stride`-th; notes what it was shown."""

    name, fingerprint, needs, stage_names = "staged", "staged-1", Needs(state=True), ("a", "b")
    at_once = 3

    def __init__(self):
        self.shown, self.stopped = [], False

    def estimate(self, episodes, stride=1):
        for episode in episodes:
            self.shown.append(episode)
            looked_at = np.arange(len(episode)) % stride == 0
            values = episode.state[:, 0].clip(0, 1)
            yield ProgressCurve(
                values,
                looked_at,
                self.fingerprint,
                stage=(values > 0.5).astype(int),
                stage_names=self.stage_names,
                stage_probability=np.stack([1 - values, values], axis=1),
                success=values,
                fold=2,
                in_sample=episode.recording == "toy-0",
            )

    def facts(self):
        return {"asked": len(self.shown)}

    def stop(self):
        self.stopped = True


def test_backwards_every_part_of_a_curve_belongs_to_its_own_frame(make_slider):
    inner = Staged()
    estimator = backwards(inner)
    episode = make_slider(seconds=4, hold=7)
    (curve,) = estimator.estimate([episode], stride=10)
    (shown,) = inner.shown
    assert (np.stack(list(shown.camera("top"))) == np.stack(list(episode.camera("top")))[::-1]).all()
    values = episode.state[:, 0].clip(0, 1)
    assert (curve.values == values).all()
    assert (curve.success == values).all()
    assert (curve.stage == (values > 0.5)).all()
    assert (curve.stage_probability[:, 1] == values).all()
    assert np.flatnonzero(curve.looked_at).tolist() == [6, 16, 26, 36, 46], "counted from the end"
    assert curve.fold == 2
    assert curve.in_sample, "it still knows what it was trained on"
    assert curve.fingerprint == estimator.fingerprint != inner.fingerprint


def test_backwards_an_estimator_needs_the_whole_episode_and_waits_as_before():
    inner = Staged()
    estimator = backwards(inner)
    assert isinstance(estimator, Estimator)
    assert estimator.name == "reversed:staged"
    assert estimator.stage_names == ("a", "b")
    assert estimator.needs == Needs(state=True, whole_episode=True)
    assert isinstance(estimator, Waiting)
    assert estimator.at_once == 3
    assert estimator.facts() == {"asked": 0}
    estimator.stop()
    assert inner.stopped
    assert not isinstance(backwards(clock()), Waiting)
    assert not backwards(clock()).needs.pictures


def test_backwards_a_trained_estimator_composes(make_sliders, tmp_path):
    train_pixels(make_sliders(3), "top", tmp_path)
    specs = [f"reversed:pixels:{tmp_path}", f"ensemble:clock+reversed:pixels:{tmp_path}"]
    specs += [f"reversed:ensemble:clock+pixels:{tmp_path}"]
    made = [make_estimator(spec) for spec in specs]
    assert len({estimator.fingerprint for estimator in made}) == 3
    for spec, estimator in zip(specs, made, strict=True):
        assert estimator.name == spec
        (curve,) = estimator.estimate(make_sliders(1))
        assert not np.isnan(curve.values).any()
