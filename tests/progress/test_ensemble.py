"""Ensembles: their algebra, their specs, and what they do where members disagree or have nothing to say."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from headway.controls import missing_curve
from headway.encoders.cache import FeatureCache
from headway.ensemble import Ensemble, Rule, StreamingEnsemble, combine, parse
from headway.episodes import ProgressCurve
from headway.errors import InvalidValue, UnknownName
from headway.estimator import Estimator, Needs, Reading, StreamingEstimator
from headway.learned.checkpoint import save_learned
from headway.learned.cross_fit import train_members
from headway.learned.inputs import InputConfig
from headway.learned.members import Workshop
from headway.learned.method import TaskEpisodes, TrainingConfig
from headway.learned.sarm import Sarm
from headway.specs import make_estimator

UNIT = st.floats(0, 1, width=32)
MEMBERS = arrays(np.float32, st.tuples(st.integers(2, 5), st.integers(1, 6)), elements=UNIT)
K = st.floats(0, 5)


def curve(values, **parts):
    values = np.asarray(values, np.float32)
    reason = "nothing seen" if np.isnan(values).any() else None
    return ProgressCurve(values, np.ones(len(values), bool), "x", **{"reason": reason, **parts})


@dataclass
class Steady:
    """An estimator that always says the same, offline and live."""

    value: float
    stage: str | None = None
    success: float | None = None
    name: str = "steady"
    needs: Needs = field(default_factory=Needs)
    strides: tuple = ()

    @property
    def fingerprint(self):
        return f"{self.name}-{self.value}"

    def estimate(self, episodes, stride=1):
        for episode in episodes:
            self.strides += (stride,)
            yield curve(np.full(len(episode), self.value), in_sample=self.value > 0.5)

    def stream(self, instruction=None):
        return self

    def push(self, frames, time, state=None):
        return Reading(time, self.value, self.stage, self.success)


@given(MEMBERS, K)
def test_progress_is_the_mean_less_k_standard_deviations_within_the_unit_interval(members, k):
    got = combine([curve(row) for row in members], Rule(k), "f")
    expected = members.astype(float).mean(axis=0) - k * members.astype(float).std(axis=0)
    np.testing.assert_allclose(got.values, expected.clip(0, 1), atol=1e-6)
    np.testing.assert_allclose(got.raw, members.astype(float).mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(got.uncertainty, members.astype(float).std(axis=0, ddof=0), atol=1e-6)


@given(MEMBERS, K, K)
def test_more_caution_never_gives_more(members, one, other):
    low, high = Rule(max(one, other)).progress(members), Rule(min(one, other)).progress(members)
    assert (low <= high + 1e-6).all()
    assert (high <= members.mean(axis=0) + 1e-6).all()


@given(MEMBERS)
def test_the_worst_case_is_the_lowest_member(members):
    got = combine([curve(row, success=row) for row in members], Rule(None), "f")
    np.testing.assert_array_equal(got.values, members.min(axis=0))
    np.testing.assert_array_equal(got.success, members.min(axis=0))


@given(MEMBERS, K, st.randoms(use_true_random=False))
def test_the_order_of_members_means_nothing(members, k, random):
    order = list(range(len(members)))
    random.shuffle(order)
    np.testing.assert_allclose(Rule(k).progress(members[order]), Rule(k).progress(members), atol=1e-5)


@given(arrays(np.float32, 5, elements=UNIT), st.integers(2, 4), K)
def test_members_that_agree_are_believed(values, count, k):
    got = combine([curve(values)] * count, Rule(k), "f")
    np.testing.assert_allclose(got.values, values, atol=1e-5)
    np.testing.assert_allclose(got.uncertainty, 0, atol=1e-6)


def test_a_member_that_disagrees_raises_the_uncertainty_and_lowers_progress(make_slider):
    episode = make_slider()
    agreed, disputed = (
        next(make_estimator(spec).estimate([episode]))
        for spec in ("ensemble:constant:0.9+constant:0.9+constant:0.9", "ensemble:constant:0.9+constant:0.9+constant:0")
    )
    assert agreed.uncertainty.max() == pytest.approx(0, abs=1e-6)
    assert disputed.uncertainty.min() == pytest.approx(np.std([0.9, 0.9, 0]), abs=1e-6)
    assert (disputed.values < agreed.values - 0.3).all()


def test_success_is_the_mean_of_the_members_that_tell_it():
    told = [curve([0.5], success=np.float32([0.2])), curve([0.5]), curve([0.5], success=np.float32([0.8]))]
    assert combine(told, Rule(1.0), "f").success == pytest.approx([0.5])
    assert combine(told, Rule(None), "f").success == pytest.approx([0.2])
    assert combine([curve([0.5])] * 2, Rule(1.0), "f").success is None


def test_stages_are_those_of_the_mean_probability_when_all_count_the_same():
    one = np.float32([[0.9, 0.1, 0.0], [0.0, 0.3, 0.7]])
    other = np.float32([[0.3, 0.7, 0.0], [0.0, 0.1, 0.9]])
    parts = [{"stage_names": ("a", "b"), "stage_probability": p, "stage": p.argmax(axis=1)} for p in (one, other)]
    got = combine([curve([0, 1], **part) for part in parts], Rule(), "f")
    np.testing.assert_allclose(got.stage_probability, (one + other) / 2)
    assert got.stage.tolist() == [0, 1]  # the class after the last stage is "done"
    assert got.stage_names == ("a", "b")
    for other_names in ({**parts[1], "stage_names": ("a", "c")}, {}):
        mixed = combine([curve([0, 1], **parts[0]), curve([0, 1], **other_names)], Rule(), "f")
        assert (mixed.stage, mixed.stage_names, mixed.stage_probability) == (None, None, None)


@pytest.mark.parametrize("rule", [Rule(1.0), Rule(None)])
def test_where_a_member_has_nothing_to_say_the_ensemble_has_not_and_says_why(rule):
    got = combine([curve([0.1, 0.5]), curve([0.2, np.nan])], rule, "f")
    assert np.isnan(got.values).tolist() == [False, True]
    assert got.reason == "nothing seen"
    missing = combine([curve([0.1, 0.5]), missing_curve(2, "x", "no truth")], rule, "f")
    assert np.isnan(missing.values).all()
    assert missing.reason == "no truth"
    assert not missing.looked_at.any()


def test_what_members_know_of_their_making_is_passed_on(make_slider):
    members = (Steady(0.2), Steady(0.9))
    ensemble = Ensemble("ensemble:a+b", members)
    (got,) = ensemble.estimate([make_slider()], stride=3)
    assert got.in_sample
    assert [member.strides for member in members] == [(3,), (3,)]
    assert not next(Ensemble("e", (Steady(0.2), Steady(0.3))).estimate([make_slider()])).in_sample
    assert isinstance(ensemble, Estimator)


def test_it_needs_what_any_of_its_members_needs():
    members = (Steady(0.2, needs=Needs(pictures=False, truth=True)), Steady(0.2, needs=Needs(instruction=True)))
    assert Ensemble("e", members).needs == Needs(pictures=True, instruction=True, truth=True)


def test_its_fingerprint_follows_members_and_rule():
    prints = {
        make_estimator(spec).fingerprint
        for spec in (
            "ensemble:constant+random",
            "ensemble:constant+random:1",
            "ensemble@0.5:constant+random",
            "ensemble-min:constant+random",
            "ensemble:random+random",
        )
    }
    assert len(prints) == 5
    assert make_estimator("ensemble:constant+random").fingerprint in prints


def test_episodes_are_asked_for_one_after_another(make_slider):
    asked = []

    def episodes():
        for number in range(3):
            asked.append(number)
            yield make_slider(number)

    curves = make_estimator("ensemble:random+constant").estimate(episodes())
    next(curves)
    assert asked == [0]


def test_a_stream_combines_what_members_say():
    names = {"stage": "a", "success": 0.4}
    ensemble = StreamingEnsemble("e", (Steady(0.4, **names), Steady(0.8, "a")), Rule(0.5))
    reading = ensemble.stream("tidy up").push({}, 1.5)
    assert reading.progress == pytest.approx(0.6 - 0.5 * 0.2)
    assert (reading.time, reading.stage, reading.success) == (1.5, "a", pytest.approx(0.4))
    assert reading.uncertainty == pytest.approx(0.2)
    worst = StreamingEnsemble("e", (Steady(0.4, **names), Steady(0.8, "b", 0.9)), Rule(None)).stream().push({}, 0)
    assert (worst.progress, worst.stage, worst.success) == (0.4, None, pytest.approx(0.4))


def test_it_streams_only_when_all_members_do():
    assert not isinstance(make_estimator("ensemble:clock+constant"), StreamingEstimator)
    assert isinstance(StreamingEnsemble("e", (Steady(0), Steady(1))), StreamingEstimator)


WORDS = st.text("abcxyz0189:./-", min_size=1, max_size=12)


@given(st.lists(WORDS, min_size=2, max_size=4), st.none() | K)
def test_a_spec_is_read_back_as_it_was_written(parts, k):
    head = "ensemble" if k is None else f"ensemble@{k!r}"
    assert parse(f"{head}:{'+'.join(parts)}") == (Rule(1.0 if k is None else k), tuple(parts))
    assert parse(f"ensemble-min:{'+'.join(parts)}") == (Rule(None), tuple(parts))


@given(st.text("ensmbl-@:+i.0a", max_size=24))
def test_any_other_spec_is_refused_in_one_line(spec):
    name = spec.partition(":")[0].partition("@")[0]
    members = spec.partition(":")[2].split("+")
    if name in ("ensemble", "ensemble-min") and len(members) > 1 and all(members):
        return
    with pytest.raises(InvalidValue) as refusal:
        parse(spec)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("ensemble", "at least two"),
        ("ensemble:clock", "at least two"),
        ("ensemble:clock+", "at least two"),
        ("ensemble@-1:clock+constant", "number from 0"),
        ("ensemble@inf:clock+constant", "number from 0"),
        ("ensemble@:clock+constant", "number from 0"),
        ("ensemble-min@1:clock+constant", "takes no number"),
        ("ensemble:clock+clok", "unknown estimator 'clok'"),
    ],
)
def test_a_spec_that_makes_no_ensemble_says_why(spec, words):
    with pytest.raises((InvalidValue, UnknownName), match=words):
        make_estimator(spec)


def test_trained_members_stream_what_they_score(tmp_path, make_sliders, make_slider):
    method = Sarm(InputConfig(("top",), image_size=32), TrainingConfig(epochs=1, validation=0))
    members = train_members(
        method, [TaskEpisodes(make_sliders(3), ("right", "down"))], Workshop(FeatureCache(tmp_path))
    )
    save_learned(tmp_path, method, members)
    ensemble = make_estimator(f"ensemble:sarm:{tmp_path}+untrained:sarm:{tmp_path}")
    episode = replace(make_slider(3, seconds=1.0), recording="other")
    (scored,) = ensemble.estimate([episode])
    stream = ensemble.stream(episode.instruction)
    live = [stream.push({"top": picture}, t / episode.fps) for t, picture in enumerate(episode.cameras["top"])]
    np.testing.assert_allclose([reading.progress for reading in live], scored.values, atol=1e-5)
    np.testing.assert_allclose([reading.uncertainty for reading in live], scored.uncertainty, atol=1e-5)
    np.testing.assert_allclose([reading.success for reading in live], scored.success, atol=1e-5)
    assert scored.stage_names == ensemble.stage_names == ("right", "down")
