from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau

from headway import controls
from headway.controls import missing_curve
from headway.episodes import ProgressCurve
from headway.evaluation.breakdown import gain_shares
from headway.evaluation.figures import FIGURES
from headway.evaluation.judge import judge, verdict
from headway.evaluation.reference import LABELS, MARKS, NOTHING, TRUTH, WORDS, judged_by, references
from headway.evaluation.run import Evaluation
from headway.evaluation.statistics import statistics
from headway.metrics.errors import pooled_pearson
from headway.metrics.gains import gain_correlation, gain_sign, weight_correlation, zero_weight_agreement
from headway.metrics.success import auroc, average_precision, brier, expected_calibration_error, f1

STAGES = ("right", "down")


def judged(name, episodes, curves, look_ahead=5, **changes):
    return judge(name, references(episodes, STAGES), curves, look_ahead, **changes)


def control(made, episodes):
    return judged(made.name, episodes, list(made.estimate(episodes)))


def noisy(episodes, success=False, seed=0):
    """Truth with noise; success, where asked for, is 1 - progress, so that a mix-up with progress shows."""
    rng = np.random.default_rng(seed)
    curves = []
    for episode in episodes:
        values = np.clip(episode.truth.progress + rng.normal(0, 0.1, len(episode)), 0, 1).astype(np.float32)
        curves.append(
            ProgressCurve(values, np.ones(len(values), bool), "noisy", success=1 - values if success else None)
        )
    return curves


def test_the_oracle_is_right_and_a_clock_is_not_once_episodes_fail(make_sliders):
    episodes = make_sliders(5, failing=5)
    oracle, clock = control(controls.oracle(), episodes), control(controls.clock(), episodes)
    for name in ("mae", "mae_expert", "mae_imperfect", "mae_failed", "rmse", "bins_mae", "boundary_error"):
        assert oracle[name].value == 0, name
    for name in ("success_auroc", "success_ap", "success_f1", "tau_all", "tau_failed", "pairs_right", "class_accuracy"):
        assert oracle[name].value == 1, name
    for name in ("pearson", "pearson_episode", "gain_correlation", "gain_sign", "weight_correlation"):
        assert oracle[name].value == pytest.approx(1), name
    assert oracle["kinds_ranked"].value == 1, "experts succeed, those who give up do not"
    assert clock["voc_success"].value == clock["voc_failed"].value == 1, "whatever happens"
    assert clock["mae_imperfect"].value > 0.1
    assert clock["tau_failed"].value < 0.7
    assert oracle["false_per_failed"].value == oracle["misses"].value == 0
    assert clock["false_per_failed"].value > 0, "its progress reaches 0.9 in failures too"


def test_each_figure_by_hand_on_two_episodes(make_slider):
    good, bad = make_slider(0), make_slider(1, stop_at=0.4)
    flat = [
        ProgressCurve(np.full(len(e), 0.4, np.float32), np.ones(len(e), bool), "flat", stage=np.zeros(len(e), int))
        for e in (good, bad)
    ]
    flat = [replace(curve, stage_names=STAGES) for curve in flat]
    row = judged("flat", [good, bad], flat)
    assert row["mae_expert"].value == pytest.approx(np.abs(good.truth.progress - 0.4).mean())
    assert row["mae_imperfect"].value == pytest.approx(np.abs(bad.truth.progress - 0.4).mean())
    assert row["mae"].value == pytest.approx((row["mae_expert"].value + row["mae_imperfect"].value) / 2)
    assert row["stage_accuracy"].value == 1, "the imperfect one never leaves the first stage"
    assert row["success_auroc"].value == 0.5
    assert row["margin"].value == pytest.approx(0)
    assert row["bins_mae"].value == pytest.approx((2 + 0) / 2), "0.4 is mark 3, the truth has 5 and 3"
    assert row["non_positive"].value == 1
    assert np.isnan(row["gain_correlation"].value)
    assert "all alike" in row.figures["gain_correlation"].reason


def test_each_figure_is_the_one_of_its_own_module(make_sliders):
    episodes = make_sliders(4, failing=4)
    curves = noisy(episodes, success=True)
    row = judged("noisy", episodes, curves)
    estimated, true = [c.values for c in curves], [e.truth.progress for e in episodes]
    assert row["pearson"].value == pytest.approx(pooled_pearson(estimated, true))
    assert row["gain_correlation"].value == pytest.approx(gain_correlation(estimated, true, 5))
    assert row["gain_sign"].value == pytest.approx(gain_sign(estimated, true, 5))
    assert row["weight_correlation"].value == pytest.approx(weight_correlation(estimated, true, 5))
    assert row["zero_weights"].value == pytest.approx(zero_weight_agreement(estimated, true, 5))
    last = np.array([c.success[-5:].mean() for c in curves])
    done = np.array([e.truth.succeeded for e in episodes])
    assert row["success_head_auroc"].value == pytest.approx(auroc(last, done)) == 0
    assert row["success_auroc"].value == 1
    assert row["success_ece"].value == pytest.approx(expected_calibration_error(last, done))
    assert row["success_brier"].value == pytest.approx(brier(last, done))
    assert row["success_f1"].value == pytest.approx(f1(last, done, 0.5))
    assert row["success_ap"].value == pytest.approx(average_precision(last, done))


def test_order_is_told_of_successes_and_of_failures_apart(make_sliders):
    episodes = make_sliders(3, failing=3)
    curves = []
    for number, episode in enumerate(episodes):
        # successes rise in two steps with a fall between, failures fall all the way
        end = 0.2 - 0.2 * episode.truth.progress[-1]
        shape = [0.2, 0.2, 0.6, 0.5, 0.9] if number < 3 else [0.9, 0.7, 0.5, 0.3, end]
        values = np.repeat(shape, len(episode))[:: len(shape)].astype(np.float32)
        curves.append(ProgressCurve(values, np.ones(len(episode), bool), "steps"))
    row = judged("steps", episodes, curves)
    time = [np.arange(len(episode)) for episode in episodes[:3]]
    good = [curve.values for curve in curves[:3]]
    assert row["voc_failed"].value < -0.8 < 0.8 < row["voc_success"].value
    assert row["tau_failed"].value == -1, "the failure that got furthest ends lowest"
    assert row["tau_all"].value > 0
    tau_b = np.mean([kendalltau(*pair).statistic for pair in zip(good, time, strict=True)])
    assert row["tau_b_success"].value == pytest.approx(tau_b)
    assert row["tau_a_success"].value < tau_b - 0.05, "its ties count against it"
    assert row["drawdown_success"].value == pytest.approx(0.1)
    assert row["bumps_success"].value == 1


def test_a_wrong_scale_costs_error_but_none_after_the_monotone_map(make_sliders):
    episodes = make_sliders(6, failing=6)
    squeezed = [ProgressCurve(0.5 + 0.4 * e.truth.progress, np.ones(len(e), bool), "squeezed") for e in episodes]
    row = judged("squeezed", episodes, squeezed)
    assert row["mae_imperfect"].value > 0.2
    assert row["mae_imperfect_isotonic"].value < 0.03
    clock = control(controls.clock(), episodes)
    assert clock["mae_imperfect_isotonic"].value > 3 * row["mae_imperfect_isotonic"].value, (
        "no map tells a clock which episodes fail"
    )


def test_every_interval_holds_its_figure_and_has_width(make_sliders):
    episodes = make_sliders(6, failing=6)
    row = judged("noisy", episodes, noisy(episodes, success=True))
    for name in ("pearson", "mae_imperfect_isotonic", "gain_sign", "weight_correlation", "success_ece", "tau_all"):
        assert row[name].low < row[name].value < row[name].high, name


def test_an_episode_without_a_curve_is_counted_and_changes_no_figure(make_sliders):
    episodes = make_sliders(5, failing=5)
    curves = noisy(episodes, success=True)
    before = judged("noisy", episodes, curves)
    after = judged("noisy", [*episodes, episodes[9]], [*curves, missing_curve(len(episodes[9]), "noisy", "no text")])
    assert (before.unscored, after.unscored) == (0, 1)
    for name in FIGURES:
        assert after[name].value == pytest.approx(before[name].value, nan_ok=True), name


def test_a_curve_with_a_gap_counts_where_most_of_it_is_known(make_sliders):
    episodes = make_sliders(5, failing=5)
    curves = noisy(episodes)
    gap = curves[0].values.copy()
    gap[3] = np.nan
    row = judged("noisy", episodes, [replace(curves[0], values=gap, reason="one frame is black"), *curves[1:]])
    whole = judged("noisy", episodes, curves)
    assert row["mae"].value == pytest.approx(whole["mae"].value, abs=0.01)
    assert row["tau_all"].value == whole["tau_all"].value
    half = curves[0].values.copy()
    half[: len(half) // 2] = np.nan
    row = judged("noisy", episodes, [replace(curves[0], values=half, reason="dark"), *curves[1:]])
    without = judged("noisy", episodes[1:], curves[1:])
    assert row["mae"].value == pytest.approx(without["mae"].value), "half of a curve says little of its error"
    assert row["tau_all"].value == whole["tau_all"].value, "and its end is known"


def test_without_a_single_curve_nothing_is_defined(make_sliders):
    episodes = make_sliders(2, failing=2)
    row = judged("none", episodes, [missing_curve(len(e), "none", "no text") for e in episodes])
    assert row.unscored == 4
    assert all(np.isnan(row[name].value) for name in FIGURES), "who says nothing raises no false alarm, nor none"
    assert all(row.figures[name].reason for name in FIGURES)


def test_success_is_judged_on_the_episodes_that_have_one(make_sliders):
    episodes = make_sliders(4, failing=4)
    curves = noisy(episodes, success=True)
    some = [replace(curve, success=None) if i in (0, 7) else curve for i, curve in enumerate(curves)]
    row, kept = judged("some", episodes, some), judged("kept", episodes[1:7], curves[1:7])
    assert row["success_ece"].value == pytest.approx(kept["success_ece"].value)
    assert row["success_auroc"].value == 1


def test_what_is_known_decides_what_can_be_told(make_sliders):
    episodes = make_sliders(4, failing=4)
    marked = [replace(e, truth=None, kind=None) for e in episodes]
    labelled = [replace(e, stages=None) for e in marked]
    bare = [replace(e, success=None) for e in labelled]
    known = {}
    for words, group in ((TRUTH, episodes), (MARKS, marked), (LABELS, labelled), (NOTHING, bare)):
        assert judged_by(references(group, STAGES)) == WORDS[words]
        row = judged("noisy", group, noisy(episodes))
        known[words] = {name for name in FIGURES if not np.isnan(row[name].value)}
    assert known[TRUTH] > known[MARKS] > known[LABELS] > known[NOTHING]
    assert "mae" in known[MARKS]
    assert known[MARKS].isdisjoint({"mae_expert", "kinds_ranked"}), "nobody says who made them"
    assert {"success_auroc", "voc_success", "pairs_right", "false_per_failed"} <= known[LABELS]
    assert known[LABELS].isdisjoint({"mae", "tau_failed", "delay_median", "stage_accuracy"})
    assert known[NOTHING] == {"voc", "monotonicity"}
    row = judged("noisy", bare, noisy(episodes))
    assert "headway label" in row.figures["success_auroc"].reason
    assert "simulated" in row.figures["mae"].reason


def test_marks_tell_progress_stages_and_the_moment_of_success(make_sliders):
    episodes = make_sliders(3, failing=2)
    true = references(episodes, STAGES)
    marked = references([replace(e, truth=None) for e in episodes], STAGES)
    for one, other in zip(true[:3], marked[:3], strict=True):
        assert np.nanmax(np.abs(one.progress - other.progress)) < 0.05
        assert (one.stage == other.stage).mean() > 0.95
        assert abs(int(one.done.argmax()) - int(other.done.argmax())) <= 1
        assert other.success is True
    assert [each.success for each in marked[3:]] == [False, False]


def test_a_figure_that_a_clock_reaches_says_nothing(make_sliders):
    episodes = make_sliders(12, failing=12)
    ours = judged("noisy", episodes, noisy(episodes))
    blind = [control(made, episodes) for made in (controls.clock(), controls.constant(), controls.random())]
    assert all(each.is_control for each in blind)
    assert not ours.is_control
    order = verdict(ours, blind, "voc_success")
    assert (order.control, order.told) == ("clock", False)
    for name in ("success_auroc", "tau_all", "tau_failed", "mae_imperfect"):
        found = verdict(ours, blind, name)
        assert found.told, name
        assert found.lead.value > 0
        assert found.lead.low <= found.lead.value <= found.lead.high
    assert verdict(ours, blind, "voc_failed") is None, "neither way is better"


def test_a_lead_over_too_few_episodes_is_not_told(make_sliders):
    for episodes in (
        make_sliders(1),
        make_sliders(0, failing=1),
        make_sliders(1, failing=1),
        make_sliders(12, failing=1),
    ):
        ours, blind = judged("noisy", episodes, noisy(episodes)), control(controls.constant(), episodes)
        for name in ("mae_failed", "success_auroc", "margin", *(("mae", "rmse") if len(episodes) < 4 else ())):
            found = verdict(ours, [blind], name)
            assert found is None or not found.told, (len(episodes), name)
    many = make_sliders(12, failing=6)
    ours, blind = judged("noisy", many, noisy(many)), control(controls.constant(), many)
    assert all(verdict(ours, [blind], name).told for name in ("mae", "success_auroc", "margin"))


def test_scores_are_a_control_by_what_made_them(make_sliders):
    episodes = make_sliders(2, failing=2)
    curves = [replace(curve, in_sample=number < 3) for number, curve in enumerate(noisy(episodes))]
    blind = judged("tidy", episodes, curves, made_by="untrained:sarm:tidy")
    ours = judged("clock", episodes, curves, made_by="sarm:tidy")
    assert (blind.is_control, ours.is_control) == (True, False)
    assert ours.in_sample == 3


def test_the_shares_without_gain_are_told_for_episodes_of_two_tasks(make_sliders):
    one, other = make_sliders(2), make_sliders(2, seed=1)
    finer = [
        replace(e, truth=replace(e.truth, stage=np.minimum((3 * e.truth.progress).astype(int), 2), **three))
        for e, three in zip(other, [{"stage_names": ("a", "b", "c"), "proportions": (0.3, 0.3, 0.4)}] * 2, strict=True)
    ]
    episodes = [*one, *finer]
    curves = {"noisy": noisy(episodes)}
    found = gain_shares(Evaluation("two", "", references(episodes, None), curves, [], 5))
    assert found["true"].overall[-1] == 0
    assert not len(found["true"].by_stage), "their stages are not the same ones"
    found = gain_shares(Evaluation("one", "", references(one, None), {"noisy": noisy(one)}, [], 5))
    assert len(found["true"].by_stage) == 2


def test_an_equal_estimator_has_no_lead_at_all(make_sliders):
    episodes = make_sliders(4, failing=4)
    ours = judged("noisy", episodes, noisy(episodes))
    found = verdict(ours, [ours], "mae")
    assert (found.lead.value, found.lead.low, found.lead.high, found.told) == (0, 0, 0, False)


def test_only_the_figures_asked_for_are_computed(make_sliders):
    episodes = make_sliders(2, failing=2)
    row = judged("noisy", episodes, noisy(episodes), figures=("mae", "voc"))
    assert row.figures.keys() == {"mae", "voc"}


def test_a_clock_that_is_better_is_marked_as_better(make_sliders):
    episodes = make_sliders(12, failing=12)
    ours, clock = judged("noisy", episodes, noisy(episodes)), control(controls.clock(), episodes)
    found = verdict(ours, [clock], "voc_success")
    assert found.worse
    assert found.mark == "▼"
    assert verdict(ours, [clock], "mae_imperfect").mark == ""
    assert verdict(ours, [ours], "mae").mark == "≈"


def test_stages_are_matched_by_name_not_by_number(make_sliders):
    episodes = make_sliders(2, failing=2)
    curves = [
        replace(curve, stage=1 - episode.truth.stage, stage_names=("down", "right"))
        for episode, curve in zip(episodes, noisy(episodes), strict=True)
    ]
    assert judged("named", episodes, curves)["stage_accuracy"].value == 1
    swapped = [replace(curve, stage_names=STAGES) for curve in curves]
    assert judged("swapped", episodes, swapped)["stage_accuracy"].value == 0


def test_an_offset_in_each_episode_costs_the_pooled_correlation_alone(make_sliders):
    episodes = make_sliders(6)
    shares = np.linspace(0, 0.5, 6)
    curves = [
        ProgressCurve((0.5 * e.truth.progress + share).astype(np.float32), np.ones(len(e), bool), "off")
        for e, share in zip(episodes, shares, strict=True)
    ]
    row = judged("off", episodes, curves)
    assert row["pearson_episode"].value == pytest.approx(1)
    assert row["pearson"].value < 0.8


def test_who_says_what_of_success(make_slider):
    failed = make_slider(0, stop_at=0.7)
    (by_truth,) = references([replace(failed, success=True)], STAGES)
    assert by_truth.success is False, "the simulator knows better than a label"
    whole, cut = (replace(make_slider(n, stop_at=s), truth=None, success=None) for n, s in ((1, 1.0), (2, 0.3)))
    done, unknown = references([whole, cut], STAGES)
    assert done.success is True
    assert unknown.success is None, "an annotator in a hurry is no failure"


def test_a_boundary_found_where_there_is_none_is_counted(make_sliders):
    episodes = make_sliders(3)
    flicker = []
    for curve, episode in zip(noisy(episodes), episodes, strict=True):
        stage = episode.truth.stage.copy()
        stage[3] = 1
        flicker.append(replace(curve, stage=stage, stage_names=STAGES))
    row = judged("flicker", episodes, flicker)
    assert row["boundary_error"].value == 0
    assert row["boundaries_extra"].value == 2


def test_figures_from_counts_are_those_of_the_library_on_any_resample(make_sliders):
    episodes = make_sliders(6, failing=6)
    rng = np.random.default_rng(3)
    # in tenths, so that episodes tie; two of which nothing is known
    said = np.round(rng.random(12), 1).astype(np.float32)
    said[[2, 9]] = np.nan
    curves = [
        replace(curve, success=np.full(len(curve), value, np.float32))
        for curve, value in zip(noisy(episodes), said, strict=True)
    ]
    found = statistics(references(episodes, STAGES), curves, 5)
    done = np.array([episode.success for episode in episodes])
    for draw in range(20):
        picked = rng.integers(12, size=12) if draw else np.arange(12)
        assert found["success_ap"](picked) == pytest.approx(average_precision(said[picked], done[picked]), nan_ok=True)
        assert found["success_f1"](picked) == pytest.approx(f1(said[picked], done[picked], 0.5), nan_ok=True)


def test_a_lead_within_noise_is_no_lead(make_sliders):
    """Two draws of the same noise: one of them comes out ahead, by chance."""
    episodes = make_sliders(6, failing=6)
    one, other = (judged("noisy", episodes, noisy(episodes, seed=seed), figures=("mae",)) for seed in (0, 1))
    leads = [verdict(one, [other], "mae"), verdict(other, [one], "mae")]
    assert max(each.lead.value for each in leads) > 0
    assert [each.mark for each in leads] == ["≈", "≈"]
