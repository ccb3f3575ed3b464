"""The success classifier on the toy task: its labels, its balance, and what it tells."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from headway.episodes import ArrayFrames, Episode
from headway.errors import DatasetError, InvalidValue
from headway.learned.classifier import Classifier, entropy
from headway.learned.inputs import InputConfig
from headway.learned.method import Knowledge, Step, TaskEpisodes, TrainingConfig, prepare
from headway.learned.train_member import make_reader
from headway.learned.wrong_text import Negatives
from headway.specs import untrained

INPUTS = InputConfig(("top",), image_size=32)
TRAINING = TrainingConfig(epochs=30, batch=4, validation=0.2)


def bare(episodes):
    return [replace(episode, stages=None) for episode in episodes]


@pytest.fixture(scope="module")
def classifier(learn, session_sliders):
    return learn(Classifier(INPUTS, TRAINING), bare(session_sliders(8, failing=6)))


def labels_of(episode):
    labels = Classifier(INPUTS).label(episode, 0, Knowledge())
    return None if labels is None else labels["done"]


def test_the_end_of_a_success_is_done_its_first_half_is_not_and_nobody_knows_the_rest(make_slider):
    success = replace(make_slider(), stages=None)  # 46 frames at 10 a second
    done = labels_of(success)
    assert (done[:23] == 0).all()
    assert np.isnan(done[23:41]).all()
    assert (done[41:] == 1).all()
    assert (labels_of(replace(success, success=False)) == 0).all()
    assert labels_of(replace(success, success=None)) is None


def test_marks_tell_since_when_a_success_is_done(make_slider):
    marked = make_slider(hold=12)
    assert np.flatnonzero(labels_of(marked) == 1)[0] == marked.stages[-1].end == 40
    early = make_slider(hold=60)
    done = labels_of(early)
    assert (done[:40] == 0).all()
    assert (done[40:] == 1).all()
    to_the_end = make_slider(hold=0)
    assert (labels_of(to_the_end) == 1).sum() == 5


def test_one_frame_that_succeeded_is_done(make_slider):
    assert labels_of(replace(make_slider(seconds=0.1, hold=0), stages=None)).tolist() == [1]


def test_it_tells_done_frames_of_episodes_it_never_saw(classifier, unseen, one):
    for episode in unseen:
        curve = one(classifier, episode)
        assert (curve.success[-1] > 0.5) == episode.success
        assert curve.values[len(episode) // 3] < 0.3
    blind = untrained(classifier)
    assert max(one(blind, e).values.max() - one(blind, e).values.min() for e in unseen) < 0.5
    assert classifier.members[0].calibration.failed is not None


def test_the_wrong_instruction_on_a_done_frame_is_not_done(classifier, unseen, one):
    success = next(episode for episode in unseen if episode.success)
    wrong = replace(success, instruction="fold the towel on the shelf")
    assert classifier.needs.instruction
    assert one(classifier, success).values[-1] > 0.8
    assert one(classifier, wrong).values[-1] < 0.4


def test_progress_is_the_sigmoid_of_the_raw_score(classifier, unseen, one):
    curve = one(classifier, unseen[0])
    np.testing.assert_allclose(curve.values, 1 / (1 + np.exp(-curve.raw.astype(float))), atol=1e-6)


def test_a_value_does_not_depend_on_later_frames(classifier, unseen, one):
    episode = unseen[0]
    pixels = np.stack(list(episode.cameras["top"]))
    whole = one(classifier, episode)
    for length in (1, 9, 30):
        cut = Episode(0, 0, episode.fps, {"top": ArrayFrames(pixels[:length])}, episode.instruction)
        np.testing.assert_allclose(one(classifier, cut).values, whole.values[:length], atol=1e-5)


def test_the_stream_says_what_scoring_says(classifier, unseen, one):
    episode = unseen[1]
    stream = classifier.stream(episode.instruction)
    live = [stream.push({"top": picture}, t / episode.fps) for t, picture in enumerate(episode.cameras["top"])]
    curve = one(classifier, episode)
    np.testing.assert_allclose([reading.progress for reading in live], curve.values, atol=1e-5)
    np.testing.assert_allclose([reading.success for reading in live], curve.success, atol=1e-5)


def test_the_entropy_of_a_class_is_over_its_own_frames():
    logits = torch.tensor([2.0, -1.0, 0.5])
    chosen = np.array([True, False, True])
    done = entropy(logits, chosen, 1.0, 1.0)
    assert done.count == 2
    assert float(done.total) == pytest.approx(np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-0.5)))
    other = entropy(logits, ~chosen, 0.0, 0.5)
    assert (other.count, other.weight) == (1, 0.5)
    assert float(other.total) == pytest.approx(np.log1p(np.exp(-1.0)))


def test_a_step_draws_as_many_frames_of_either_class_and_none_that_is_unlabelled(workshop, make_slider):
    method = Classifier(INPUTS, frames=3, wrong_text=1.0)
    reader = make_reader(method, workshop)
    seen = {}

    class Spy(torch.nn.Module):
        def encode(self, frames, state):
            return torch.zeros(len(frames), 4)

        def judge(self, windows, padding, text):
            seen["texts"] = text
            return {"logit": torch.zeros(len(windows))}

    episodes = bare([make_slider(1), make_slider(2, stop_at=0.5)])
    lessons = [reader.read(episode, number, 0, Knowledge()) for number, episode in enumerate(episodes)]

    def terms(share, rngs):
        negatives = Negatives(reader.texts, ((),), share)
        step = prepare(method, Step(lessons, rngs, negatives, Knowledge(), torch.device("cpu")))
        return {name: term.count for name, term in method.terms(Spy(), step).items()}

    rngs = [np.random.default_rng(0), np.random.default_rng(1)]
    assert terms(0.0, rngs) == {"done": 3, "not_done": 6, "wrong_text": 0}
    assert terms(1.0, rngs) == {"done": 0, "not_done": 6, "wrong_text": 3}
    assert (seen["texts"] != torch.as_tensor(lessons[0].clip.text)).any(dim=1).all()
    every = terms(1.0, [None, None])
    assert every["done"] == 5
    assert every["wrong_text"] == 0


def test_without_a_success_there_is_nothing_to_learn_from(make_sliders):
    failed = [TaskEpisodes(make_sliders(0, failing=2))]
    with pytest.raises(DatasetError, match="none of the 2 training episodes is labelled a success"):
        Classifier(INPUTS).study(failed)


def test_settings_out_of_range_are_refused():
    with pytest.raises(InvalidValue, match="frames"):
        Classifier(INPUTS, frames=0)
