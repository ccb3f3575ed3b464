"""What is trusted and what is not, on curves whose worth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from headway.edited_clips import edited_clip, phase
from headway.encoders.cache import FeatureCache
from headway.episodes import ArrayFrames
from headway.learned.inputs import InputConfig
from headway.learned.targets import StageScale, fit_scale, label, progress_of
from headway.trust import (
    CONTROLS,
    HeldOut,
    Trust,
    check_edits,
    check_held_out,
    check_marks,
    check_success,
    pixel_curves,
)

STAGES = ("right", "down")


@pytest.fixture(scope="module")
def episodes(session_sliders):
    return session_sliders(8, failing=4)


@pytest.fixture(scope="module")
def scale(episodes) -> StageScale:
    return fit_scale(episodes, STAGES)


@pytest.fixture(scope="module")
def pixels(episodes, tmp_path_factory):
    return pixel_curves(episodes, InputConfig(("top",)), FeatureCache(tmp_path_factory.mktemp("cache")))


def hold(episodes, curves, pixels) -> list[HeldOut]:
    return [
        HeldOut(episode, np.asarray(curve, float), seen, episode.index % 2)
        for episode, curve, seen in zip(episodes, curves, pixels, strict=True)
    ]


def true(episodes):
    return [episode.truth.progress for episode in episodes]


def noise(episodes):
    rng = np.random.default_rng(1)
    return [rng.random(len(episode)) for episode in episodes]


def clocks(episodes):
    return [np.linspace(0, 1, len(episode)) for episode in episodes]


def without_labels(episodes):
    return [replace(episode, stages=None, success=None) for episode in episodes]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(("curves", "trusted"), [(true, True), (noise, False)])
def test_the_truth_is_trusted_and_noise_is_not(episodes, scale, pixels, marked, curves, trusted):
    shown = episodes if marked else without_labels(episodes)
    trust = check_held_out(hold(shown, curves(episodes), pixels), scale if marked else None)
    assert [check.name for check in trust.checks] == (["marks", "success"] if marked else ["edits"])
    assert trust.deserved == trusted
    assert (trust.reason == "") == trusted


def test_a_clock_is_not_trusted_against_marks(episodes, scale, pixels):
    trust = check_held_out(hold(episodes, clocks(episodes), pixels), scale)
    assert "clock" in trust.checks[0].unbeaten
    assert trust.checks[0].ours == pytest.approx(trust.checks[0].controls["clock"])
    assert not trust.deserved


def test_the_error_to_the_marks_by_hand(episodes, scale, pixels):
    curves = [np.full(len(episode), 0.25) for episode in episodes]
    check = check_marks(hold(episodes, curves, pixels), scale)
    expected = [np.nanmean(np.abs(progress_of(label(episode, scale), scale) - 0.25)) for episode in episodes]
    assert check.ours == pytest.approx(np.mean(expected))
    assert check.lead["clock"].value == pytest.approx(check.controls["clock"] - check.ours)


def test_frames_that_the_marks_do_not_tell_do_not_count(episodes, scale, pixels):
    annotated = [progress_of(label(episode, scale), scale) for episode in episodes]
    unknown = [np.isnan(progress) for progress in annotated]
    assert any(each.any() for each in unknown)
    right = [np.where(mask, 0.0, progress) for mask, progress in zip(unknown, annotated, strict=True)]
    wrong_elsewhere = [np.where(mask, 1.0, progress) for mask, progress in zip(unknown, annotated, strict=True)]
    for curves in (right, wrong_elsewhere):
        assert check_marks(hold(episodes, curves, pixels), scale).ours == pytest.approx(0)


def test_the_best_that_time_alone_can_tell_is_not_trusted(session_sliders):
    """A network that sees nothing but how long it has been running learns the usual progress at each second."""
    episodes = session_sliders(16, seed=4)
    scale = fit_scale(episodes, STAGES)
    annotated = [progress_of(label(episode, scale), scale) for episode in episodes]
    table = np.full((len(annotated), max(map(len, annotated))), np.nan)
    for row, progress in zip(table, annotated, strict=True):
        row[: len(progress)] = progress
        row[len(progress) :] = 1.0
    usual = [np.nanmean(table[1 - episode.index % 2 :: 2], axis=0)[: len(episode)] for episode in episodes]
    nothing = [np.zeros(len(episode)) for episode in episodes]
    check = check_marks(hold(episodes, usual, nothing), scale)
    assert "seconds" in check.unbeaten
    assert check.controls["seconds"] == pytest.approx(check.ours, abs=0.03), "a mean for a median"


def test_edits_are_the_correlation_of_ranks_with_the_phase(episodes, pixels):
    successes = [episode for episode in episodes if episode.success]
    curves = noise(successes)
    check = check_edits(hold(successes, curves, pixels[: len(successes)]))
    told, phases = [], []
    for episode, values in zip(successes, curves, strict=True):
        rng = np.random.default_rng([0, episode.index])
        for _ in range(2):
            shown = edited_clip(len(episode), rng)
            told.append(values[shown])
            phases.append(phase(shown, len(episode)))
    assert check.ours == pytest.approx(spearmanr(np.concatenate(told), np.concatenate(phases)).statistic, abs=1e-3)


def test_edits_leave_labelled_failures_out_and_tell_a_constant_no_order(episodes, pixels):
    constant = [np.full(len(episode), 0.5) for episode in episodes]
    check = check_edits(hold(episodes, constant, pixels))
    assert check.episodes == sum(episode.success for episode in episodes)
    assert check.ours == 0
    assert check.unbeaten


def test_success_needs_both_kinds_and_no_control_ahead(episodes, pixels):
    succeeded = [episode.success for episode in episodes]
    right = [np.full(len(e), 0.9 if good else 0.2) for e, good in zip(episodes, succeeded, strict=True)]
    wrong = [1 - curve for curve in right]
    assert check_success(hold(episodes, right, pixels)).ours == 1
    assert not check_success(hold(episodes, right, pixels)).unbeaten
    assert set(check_success(hold(episodes, wrong, pixels)).unbeaten) == set(CONTROLS)
    assert check_success(hold(episodes, right, pixels)[:10]) is None, "two failures are too few"


def test_being_behind_pixels_at_telling_success_costs_the_trust(episodes, scale, pixels):
    curves = true(episodes)
    # right everywhere, but for the last five frames of two failures, on which success is judged
    spoilt = [c if e.index not in (9, 10) else np.r_[c[:-5], np.ones(5)] for c, e in zip(curves, episodes, strict=True)]
    trust = check_held_out(hold(episodes, spoilt, [np.array(c) for c in curves]), scale)
    assert "pixels" in trust.checks[1].unbeaten
    assert not trust.deserved


def test_being_ahead_by_less_than_chance_is_enough_for_success_but_not_for_the_marks(episodes, scale, pixels):
    """One failure of four that the control takes for a success: better, but not in 95 % of resamples."""
    succeeded = np.array([episode.success for episode in episodes])
    ours = [np.full(len(e), 0.9 if good else 0.2) for e, good in zip(episodes, succeeded, strict=True)]
    control = [*ours[:-1], np.full(len(episodes[-1]), 0.95)]
    check = check_success(hold(episodes, ours, control))
    assert check.lead["pixels"].value > 0
    assert check.lead["pixels"].low == 0
    assert "pixels" not in check.unbeaten
    alike = check_marks(hold(episodes, ours, [ours[0] * 0 + 0.89, *ours[1:]]), scale)
    assert "pixels" in alike.unbeaten


def test_an_episode_without_a_curve_enters_no_check_and_no_episode_means_no_trust(episodes, scale, pixels):
    held = hold(episodes, true(episodes), pixels)
    gap = HeldOut(episodes[0], np.full(len(episodes[0]), np.nan), pixels[0], 0)
    assert check_held_out([gap, *held[1:]], scale).checks[0].episodes == len(held) - 1
    nothing = check_held_out([gap], scale)
    assert not nothing.deserved
    assert nothing.reason == "there is nothing to check it on"


def test_what_was_found_survives_json(episodes, scale, pixels):
    for curves in (true, noise):
        trust = check_held_out(hold(episodes, curves(episodes), pixels), scale)
        back = Trust.from_json(json.loads(json.dumps(trust.to_json())))
        assert back == trust
        assert back.reason == trust.reason


def test_an_episodes_own_last_frame_is_not_among_the_goals_of_its_pixel_curve(session_sliders, tmp_path):
    episodes = session_sliders(3, seed=8)
    odd = episodes[0].cameras["top"].pixels.copy()
    odd[-1] = 255
    episodes[0] = replace(episodes[0], cameras={"top": ArrayFrames(odd)})
    inputs = InputConfig(("top",))
    curves = pixel_curves(episodes, inputs, FeatureCache(tmp_path))
    assert [len(curve) for curve in curves] == [len(episode) for episode in episodes]
    assert curves[0][-1] == 0, "white is far from the others' ends; it would be near to a goal with its own in"
    assert min(curve.min() for curve in curves) >= 0


def test_labelled_successes_alone_are_the_goals_of_the_pixel_control(session_sliders, tmp_path):
    episodes = session_sliders(4, failing=3, seed=9)
    unsure = [e if e.success else replace(e, success=None) for e in episodes]
    inputs, cache = InputConfig(("top",)), FeatureCache(tmp_path)
    for given, alone in zip(
        pixel_curves(unsure, inputs, cache)[:4], pixel_curves(episodes, inputs, cache), strict=False
    ):
        np.testing.assert_array_equal(given, alone)
    unlabelled = [replace(e, success=None) for e in episodes]
    assert not np.array_equal(pixel_curves(unlabelled, inputs, cache)[0], pixel_curves(episodes, inputs, cache)[0])
