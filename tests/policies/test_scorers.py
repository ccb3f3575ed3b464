from dataclasses import replace

import numpy as np
import pytest

from headway.controls import clock
from headway.ensemble import Rule
from headway.errors import InvalidValue
from headway_envs.recording import Recorder, RecordingOptions
from headway_policies.scorers import EnsembleScorer, EstimatorScorer, TruthScorer, final_progress, time_averaged
from headway_policies.signature import signature_of
from headway_policies.state_progress import StateProgressConfig, learn_progress


@pytest.fixture(scope="module")
def lifts():
    recorder = Recorder("lift", RecordingOptions(robot="gripper", cameras=()))
    return [recorder.record(seed) for seed in range(8)]


@pytest.fixture(scope="module")
def with_pictures():
    recorder = Recorder("lift", RecordingOptions(robot="gripper", cameras=("front",), size=16))
    return [recorder.record(seed) for seed in (30, 31)]


def test_any_estimator_is_a_scorer_of_rollouts_with_pictures(with_pictures):
    scores = EstimatorScorer(clock()).score(with_pictures)
    assert [len(values) for values in scores] == [len(one) for one in with_pictures]
    assert np.allclose(scores[0], np.linspace(0, 1, len(scores[0])), atol=0.02)


def test_an_estimator_without_pictures_says_so(lifts):
    with pytest.raises(InvalidValue, match="without pictures"):
        EstimatorScorer(clock()).score(lifts)


def test_the_oracle_is_the_truth(lifts):
    assert np.array_equal(TruthScorer().score(lifts)[1], lifts[1].truth.progress)


def test_progress_learnt_from_states_holds_on_layouts_it_has_not_seen(lifts):
    taught, others = lifts[:6], lifts[6:]
    labels = [one.truth.progress for one in taught]
    scorer = learn_progress(taught, labels, signature_of("lift", "gripper"), StateProgressConfig(steps=300))
    for scores, episode in zip(scorer.score(others), others, strict=True):
        assert scores.min() >= 0
        assert scores.max() <= 1
        assert np.corrcoef(scores, episode.truth.progress)[0, 1] > 0.9
    unknown = [replace(one, truth=None) for one in others]
    assert all(np.array_equal(*pair) for pair in zip(scorer.score(unknown), scorer.score(others), strict=True))


def test_learning_progress_needs_a_label_for_every_frame(lifts):
    with pytest.raises(InvalidValue, match="one label for each"):
        learn_progress(lifts[:1], [np.zeros(3)], signature_of("lift", "gripper"))


class Always:
    def __init__(self, value):
        self.value = value

    def score(self, episodes):
        return [np.full(len(one), self.value) for one in episodes]


def test_an_ensemble_gives_little_where_its_members_disagree(lifts):
    members = (Always(0.9), Always(0.5))
    assert EnsembleScorer(members, Rule(1.0)).score(lifts)[0] == pytest.approx(0.5)
    assert EnsembleScorer(members, Rule(None)).score(lifts)[0] == pytest.approx(0.5)
    assert EnsembleScorer(members, Rule(0.0)).score(lifts)[0] == pytest.approx(0.7)
    assert EnsembleScorer((Always(0.7), Always(0.7)), Rule(1.0)).score(lifts)[0] == pytest.approx(0.7)
    with pytest.raises(InvalidValue, match="at least two"):
        EnsembleScorer((Always(0.5),))


def test_the_final_progress_is_of_the_last_known_frames():
    each = [np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0, np.nan]), np.full(3, np.nan), np.array([0.3])]
    assert np.allclose(final_progress(each), [0.6, np.nan, 0.3], equal_nan=True)


def test_who_gets_there_sooner_gets_more_and_ending_early_costs_nothing():
    quick, slow = np.r_[np.zeros(10), np.ones(10)], np.r_[np.zeros(20), np.ones(10)]
    never, unknown = np.zeros(40), np.full(10, np.nan)
    held = np.r_[quick, np.ones(20)]
    assert np.allclose(time_averaged([quick, slow, never, unknown], 40), [0.75, 0.5, 0.0, np.nan], equal_nan=True)
    assert time_averaged([held], 40) == time_averaged([quick], 40)
