"""What every trained estimator does alike: causal, streaming, strided, cross-fitted."""

from dataclasses import replace

import numpy as np
import pytest

from headway.episodes import ArrayFrames, Episode
from headway.errors import DatasetError, InvalidValue, UnknownName
from headway.learned.cross_fit import assign_folds
from headway.learned.estimator import Learned
from headway.specs import untrained

NAMES = ("right", "down")


def test_later_frames_never_change_earlier_values(sarm, unseen, one):
    episode = unseen[0]
    pixels = np.stack(list(episode.cameras["top"]))
    garbage = np.random.default_rng(0).integers(0, 255, (15, *pixels.shape[1:]), dtype=np.uint8)
    longer = Episode(0, 0, episode.fps, {"top": ArrayFrames(np.concatenate([pixels, garbage]))}, episode.instruction)
    short = replace(longer, cameras={"top": ArrayFrames(pixels)})
    before, after = one(sarm, short), one(sarm, longer)
    assert not sarm.needs.whole_episode
    np.testing.assert_allclose(after.values[: len(pixels)], before.values, atol=1e-5)
    np.testing.assert_allclose(after.success[: len(pixels)], before.success, atol=1e-5)


@pytest.mark.parametrize("fps", [10.0, 12.0])
def test_streaming_gives_the_offline_numbers(sarm, make_slider, one, fps):
    episode = make_slider(3, fps=fps)
    stream = sarm.stream(episode.instruction)
    readings = [stream.push({"top": frame}, t / fps) for t, frame in enumerate(episode.cameras["top"])]
    offline = one(sarm, episode)
    np.testing.assert_allclose([r.progress for r in readings], offline.values, atol=1e-5)
    np.testing.assert_allclose([r.success for r in readings], offline.success, atol=1e-5)
    np.testing.assert_allclose([r.uncertainty for r in readings], offline.uncertainty, atol=1e-4)
    assert [NAMES.index(r.stage) for r in readings] == offline.stage.tolist()


def test_a_stream_encodes_each_frame_once_and_judges_one_window(sarm, make_slider, monkeypatch):
    network = sarm.members[0].network
    encoded, judged = [], []
    encode, judge = network.encode, network.judge

    def counted_encode(frames, state):
        encoded.append(len(frames))
        return encode(frames, state)

    def counted_judge(windows, padding, text):
        judged.append(len(windows))
        return judge(windows, padding, text)

    monkeypatch.setattr(network, "encode", counted_encode)
    monkeypatch.setattr(network, "judge", counted_judge)
    stream = sarm.stream()
    frame = next(iter(make_slider().cameras["top"]))
    for t in range(200):
        stream.push({"top": frame}, t / 10)
    assert encoded == judged == [1] * 200
    assert len(stream._features) < 50


def test_a_stream_without_its_camera_says_which_it_was_trained_with(sarm, make_slider):
    frame = next(iter(make_slider().cameras["top"]))
    with pytest.raises(UnknownName, match="unknown camera 'top'; available: wrist"):
        sarm.stream().push({"wrist": frame}, 0.0)


def test_a_stride_keeps_the_values_at_the_frames_it_looks_at_and_marks_the_others(sarm, unseen, one):
    every, fifth = one(sarm, unseen[0]), one(sarm, unseen[0], stride=5)
    looked = np.flatnonzero(fifth.looked_at)
    assert looked.tolist() == [*range(0, len(every) - 1, 5), len(every) - 1]
    np.testing.assert_allclose(fifth.values[looked], every.values[looked], atol=1e-5)
    middle = (fifth.values[0] + fifth.values[5]) / 2
    assert fifth.values[2:4].mean() == pytest.approx(middle, abs=1e-5)


def test_folds_without_enough_complete_successes_are_refused_before_training(learn, method, make_sliders):
    with pytest.raises(DatasetError, match="one of 2 folds would have nothing to learn from"):
        learn(method, make_sliders(1, failing=5), folds=2)


def test_a_cross_fit_judges_every_episode_by_a_member_that_never_saw_it(learn, method, make_sliders):
    episodes = make_sliders(6, failing=2)
    estimator = learn(replace(method, training=replace(method.training, epochs=1)), episodes, folds=2)
    curves = list(estimator.estimate(episodes))
    assert not any(curve.in_sample for curve in curves)
    for episode, curve in zip(episodes, curves, strict=True):
        assert episode.recording not in estimator.members[curve.fold].trained_on
    assert {curve.fold for curve in curves} == {0, 1}


def test_an_episode_every_member_was_trained_on_is_marked_in_sample(sarm, make_sliders, one):
    assert one(sarm, make_sliders(10, failing=4)[0]).in_sample
    elsewhere = replace(make_sliders(1)[0], recording="another")
    assert not one(sarm, elsewhere).in_sample


def test_folds_spread_successes_evenly_and_cover_everything(make_sliders):
    episodes = make_sliders(9, failing=6)
    fold_of = assign_folds(episodes, 3, seed=0)
    successes = np.array([episode.success for episode in episodes])
    assert [int(successes[fold_of == fold].sum()) for fold in range(3)] == [3, 3, 3]
    assert np.bincount(fold_of).tolist() == [5, 5, 5]


def test_impossible_numbers_of_folds_are_refused(learn, method, make_sliders):
    with pytest.raises(InvalidValue, match="needs 1 to 4 folds for 4 episodes, got 5"):
        learn(method, make_sliders(4), folds=5)


def test_an_untrained_network_has_the_shape_but_not_the_weights(sarm, unseen, one):
    blind = untrained(sarm)
    assert isinstance(blind, Learned)
    assert blind.fingerprint != sarm.fingerprint
    error = np.abs(one(blind, unseen[0]).values - unseen[0].truth.progress).mean()
    assert error > 0.15


def test_a_success_threshold_pools_the_failures_that_members_were_calibrated_on(learn, method, make_sliders):
    training = replace(method.training, epochs=1, validation=0.4)
    estimator = learn(replace(method, training=training), make_sliders(10, failing=10), folds=2)
    failed = [member.calibration.failed for member in estimator.members]
    pooled = sorted(failed[0].maxima + failed[1].maxima)
    assert len(pooled) == 4
    assert estimator.success_threshold(0.2) == pooled[-1]
    assert estimator.success_threshold(0.4) == pooled[-2]
    with pytest.raises(InvalidValue, match=r"after 4 failed calibration episodes; the smallest possible is 1/5"):
        estimator.success_threshold(0.1)


def test_without_failed_calibration_episodes_there_is_no_threshold(sarm):
    with pytest.raises(InvalidValue, match="was calibrated on no failed episode"):
        sarm.success_threshold(0.1)
