"""Heads on the toy task: what they learn, and what is taught of progress, success and preference."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headway.episodes import ArrayFrames, Episode
from headway.errors import DatasetError, InvalidValue
from headway.learned.checkpoint import load_learned, save_learned
from headway.learned.heads import BINS, Heads, preference_term, progress_term, stage_term, success_term, two_hot
from headway.learned.inputs import InputConfig
from headway.learned.method import Knowledge, Step, TaskEpisodes, TrainingConfig, prepare
from headway.learned.targets import Scales, fit_scale
from headway.learned.train_member import make_reader
from headway.learned.trunk import TrunkConfig
from headway.learned.wrong_text import Negatives

NAMES = ("right", "down")
# a frozen encoder and a small trunk train in seconds
METHOD = Heads(
    InputConfig(("top",), encoder="pixels"),
    TrainingConfig(epochs=50, batch=6, learning_rate=2e-3, validation=0),
    trunk=TrunkConfig(width=64, layers=1),
)


@pytest.fixture(scope="session")
def heads(learn, session_sliders):
    return learn(METHOD, session_sliders(10, failing=4))


@pytest.fixture(scope="session")
def unmarked_heads(learn, session_sliders):
    return learn.tasks(METHOD, [TaskEpisodes([bare(episode) for episode in session_sliders(10, failing=4)])])


def bare(episode: Episode) -> Episode:
    """Without marks and without truth."""
    return replace(episode, stages=None, truth=None)


def test_it_learns_progress_and_success_of_episodes_it_never_saw(heads, unseen, one):
    errors = []
    for episode in unseen:
        curve = one(heads, episode)
        errors.append(np.abs(curve.values - episode.truth.progress).mean())
        assert (curve.success[-1] > 0.5) == episode.success
        assert curve.stage is None
        assert (curve.uncertainty >= 0).all()
    assert np.mean(errors) < 0.05


def test_it_learns_without_any_stage_mark(unmarked_heads, unseen, one):
    errors = []
    for episode in unseen:
        curve = one(unmarked_heads, bare(episode))
        errors.append(np.abs(curve.values - episode.truth.progress).mean())
        assert (curve.success[-1] > 0.5) == episode.success
    assert np.mean(errors) < 0.1


def test_a_trajectory_that_got_further_has_the_higher_score(heads, unseen, one):
    ends = [(float(episode.truth.progress[-1]), one(heads, episode).raw[-1]) for episode in unseen]
    pairs = [(a, b) for a in ends for b in ends if a[0] > b[0] + 0.2]
    assert len(pairs) > 20
    assert np.mean([better[1] > worse[1] for better, worse in pairs]) > 0.8


def test_the_wrong_instruction_on_the_right_video_scores_low(heads, unseen, one):
    success = next(episode for episode in unseen if episode.success)
    right, wrong = one(heads, success), one(heads, replace(success, instruction="fold the towel on the shelf"))
    assert right.values[-1] > 0.9
    assert wrong.values[-1] < 0.3
    assert right.raw[-1] > wrong.raw[-1]
    assert wrong.success[-1] < 0.5


@pytest.mark.parametrize("sampling", ["strided", "shuffled"])
def test_streaming_gives_the_offline_numbers(heads, learn, make_sliders, make_slider, one, sampling):
    method = replace(METHOD, sampling="shuffled", training=replace(METHOD.training, epochs=2))
    estimator = heads if sampling == "strided" else learn(method, make_sliders(4, failing=2))
    episode = make_slider(3)
    stream = estimator.stream(episode.instruction)
    readings = [stream.push({"top": frame}, t / 10) for t, frame in enumerate(episode.cameras["top"])]
    offline = one(estimator, episode)
    np.testing.assert_allclose([r.progress for r in readings], offline.values, atol=1e-5)
    np.testing.assert_allclose([r.success for r in readings], offline.success, atol=1e-5)
    np.testing.assert_allclose([r.uncertainty for r in readings], offline.uncertainty, atol=1e-5)
    assert np.ptp(offline.values) > 0.01


def test_later_frames_never_change_earlier_values(heads, unseen, one):
    episode = unseen[0]
    pixels = np.stack(list(episode.cameras["top"]))
    garbage = np.random.default_rng(0).integers(0, 255, (15, *pixels.shape[1:]), dtype=np.uint8)
    longer = Episode(0, 0, episode.fps, {"top": ArrayFrames(np.concatenate([pixels, garbage]))}, episode.instruction)
    before, after = one(heads, replace(longer, cameras={"top": ArrayFrames(pixels)})), one(heads, longer)
    for name in ("values", "success", "raw", "uncertainty"):
        np.testing.assert_allclose(getattr(after, name)[: len(pixels)], getattr(before, name), atol=1e-5)


def test_padding_changes_nothing(heads):
    network = heads.members[0].network
    windows = torch.randn(3, 9, network.norm.normalized_shape[0])
    padding = torch.zeros(3, 9, dtype=torch.bool)
    padding[:, 1:4] = True
    other = torch.where(padding[..., None], torch.full_like(windows, 99.0), windows)
    text = torch.zeros(3, 256)
    with torch.inference_mode():
        got, expected = network.judge(other, padding, text), network.judge(windows, padding, text)
    for name, output in expected.items():
        torch.testing.assert_close(got[name], output)


def test_a_saved_estimator_gives_the_same_numbers(heads, unmarked_heads, unseen, one, tmp_path):
    for number, estimator in enumerate((heads, unmarked_heads)):
        folder = tmp_path / str(number)
        save_learned(folder, estimator.method, estimator.members)
        loaded, episode = load_learned("heads", folder), unseen[0]
        assert loaded.method == estimator.method
        for name in ("values", "success", "raw"):
            np.testing.assert_array_equal(getattr(one(loaded, episode), name), getattr(one(estimator, episode), name))


@given(st.floats(0, 1, width=32))
def test_two_hot_targets_keep_the_progress_in_at_most_two_neighbouring_bins(progress):
    (spread,) = two_hot(torch.tensor([progress], dtype=torch.float64))
    assert spread.min() >= 0
    assert float(spread.sum()) == pytest.approx(1)
    assert float(spread @ torch.linspace(0, 1, BINS, dtype=torch.float64)) == pytest.approx(progress, abs=1e-6)
    used = np.flatnonzero(spread.numpy())
    assert used[-1] - used[0] <= 1


def test_progress_is_read_as_mean_and_spread_of_the_bins():
    logits = np.full((2, BINS), -50, np.float32)
    logits[0, [0, 9]] = 0
    logits[1, 3] = 0
    outputs = {"progress": logits, "success": np.array([1.0, 2.0]), "preference": np.array([5.0, 6.0])}
    verdict = METHOD.read(outputs, Knowledge())
    np.testing.assert_allclose(verdict.progress, [0.5, 3 / 9], atol=1e-6)
    np.testing.assert_allclose(verdict.uncertainty, [0.5, 0], atol=1e-3)
    assert verdict.success_logit.tolist() == [1, 2]
    assert verdict.raw.tolist() == [5, 6]


def test_the_losses_are_what_the_formulas_say_and_leave_out_what_is_unknown():
    logits, nan = torch.randn(3, BINS), float("nan")
    log_p = logits.log_softmax(dim=1)
    by_hand = -log_p[0, 0] - (0.25 * log_p[2, 3] + 0.75 * log_p[2, 4])
    term = progress_term(logits, torch.tensor([0.0, nan, 3.75 / 9]))
    torch.testing.assert_close(term.total, by_hand)
    assert term.count == 2
    term = success_term(torch.tensor([0.3, -0.2, 1.0]), torch.tensor([1.0, nan, 0.0]))
    assert float(term.total) == pytest.approx(np.log(1 + np.exp(-0.3)) + np.log(1 + np.exp(1.0)))
    assert term.count == 2
    term = preference_term(torch.tensor([2.0, -1.0]), torch.tensor([0.5, 1.0]))
    assert float(term.total) == pytest.approx(-np.log(1 / (1 + np.exp(-1.5))) - np.log(1 / (1 + np.exp(2.0))))
    assert term.count == 2


def test_where_only_the_stage_is_known_its_bins_together_are_taught():
    logits, nan = torch.randn(3, BINS), float("nan")
    # centres 0, 1/9, ...; from 2/9 to 4/9 takes the bins 2, 3 and 4, from .30 to .31 only the one that holds it, 3
    term = stage_term(logits, torch.tensor([2 / 9, nan, 0.30]), torch.tensor([4 / 9, nan, 0.31]))
    probability = logits.softmax(dim=1)
    torch.testing.assert_close(term.total, -probability[0, 2:5].sum().log() - probability[2, 3].log())
    assert term.count == 2


def test_nothing_known_still_gives_a_loss_with_a_gradient():
    logits = torch.randn(2, BINS, requires_grad=True)
    nothing = torch.full((2,), float("nan"))
    terms = [progress_term(logits, nothing), success_term(logits[:, 0], nothing), preference_term(*logits[:0, :2].T)]
    terms.append(stage_term(logits, nothing, nothing))
    assert [term.count for term in terms] == [0, 0, 0, 0]
    sum(term.total for term in terms).backward()
    assert not logits.grad.any()


def test_marks_teach_their_progress_and_success_only_where_it_is_sure(make_slider):
    episodes = [make_slider(0), make_slider(1, stop_at=0.7)]
    knowledge = METHOD.study([TaskEpisodes(episodes, NAMES)])
    success, failure = (METHOD.label(episode, 0, knowledge) for episode in episodes)
    np.testing.assert_allclose(success["progress"], episodes[0].truth.progress, atol=0.08)
    done = np.arange(len(episodes[0])) >= episodes[0].stages[-1].end
    np.testing.assert_array_equal(success["done"] == 1, done)
    np.testing.assert_array_equal(success["done"] == 0, success["progress"] < 0.5)
    assert (failure["done"] == 0).all()
    assert np.isnan(failure["progress"][-1]), "how far an unfinished stage got is unknown"
    # but not which stage it is: the second of two, which takes the second half
    assert failure["floor"][-1] == pytest.approx(0.5, abs=0.1)
    assert failure["ceiling"][-1] == 1
    assert np.isnan(failure["floor"][0])
    assert np.isnan(success["floor"]).all()
    assert failure["progress"][0] == 0


def test_without_marks_successes_are_taught_time_and_failures_no_progress(make_slider):
    success, failure = bare(make_slider(0)), bare(make_slider(1, stop_at=0.5))
    knowledge = METHOD.study([TaskEpisodes([success, failure])])
    assert knowledge == Knowledge()
    labels = METHOD.label(success, 0, knowledge)
    np.testing.assert_allclose(labels["progress"], np.arange(len(success)) / (len(success) - 1), atol=1e-6)
    assert np.flatnonzero(labels["done"] == 1).tolist() == list(range(len(success) - 5, len(success)))
    labels = METHOD.label(failure, 0, knowledge)
    assert np.isnan(labels["progress"]).all()
    assert (labels["done"] == 0).all()
    assert METHOD.label(replace(success, success=None), 0, knowledge) is None


def test_truth_teaches_true_progress_and_success(make_slider):
    episode = replace(make_slider(1, stop_at=0.7), stages=None)
    method = replace(METHOD, teacher="truth")
    labels = method.label(episode, 0, method.study([TaskEpisodes([episode])]))
    np.testing.assert_allclose(labels["progress"], episode.truth.progress, atol=1e-6)


def test_nothing_to_learn_from_is_one_clear_line(make_slider):
    with pytest.raises(DatasetError, match="label which episodes succeeded"):
        METHOD.study([TaskEpisodes([replace(bare(make_slider(0)), success=None)])])
    with pytest.raises(InvalidValue, match="sampling must be strided, random or shuffled, got 'sorted'"):
        replace(METHOD, sampling="sorted")


class Spy(torch.nn.Module):
    """Stands in for a network: remembers the present of every window and its text."""

    def encode(self, pictures, state):
        return pictures.flatten(1)

    def judge(self, windows, padding, text):
        self.windows, self.padding, self.text = windows, padding, text
        count = len(windows)
        return {
            "progress": torch.zeros(count, BINS),
            "success": torch.zeros(count),
            "preference": torch.arange(count).float(),
        }


def test_every_window_and_every_side_of_a_pair_shows_the_frames_it_is_taught_by(workshop, make_sliders, monkeypatch):
    """Among several lessons and pairs no window, text or label may slip to another row."""
    method, kept = replace(METHOD, wrong_text=0.5), {}
    episodes = make_sliders(3, failing=2)
    reader = make_reader(method, workshop)
    knowledge = Knowledge(Scales((fit_scale(episodes, NAMES),)))
    lessons = [reader.read(episode, number, 0, knowledge) for number, episode in enumerate(episodes)]

    def keep(logits, progress):
        kept["progress"] = progress.numpy()
        return progress_term(logits, progress)

    monkeypatch.setattr("headway.learned.heads.progress_term", keep)
    monkeypatch.setattr("headway.learned.runs.augment", lambda pictures, rng, plain: pictures.float())
    spy = Spy()
    rngs = [np.random.default_rng(seed) for seed in range(5)]
    negatives = Negatives(reader.texts, ((),), 0.5)
    terms = method.terms(spy, prepare(method, Step(lessons, rngs, negatives, knowledge, torch.device("cpu"))))
    known = np.concatenate([lesson.clip.features[0].reshape(len(lesson.clip), -1) for lesson in lessons])
    labels = np.concatenate([lesson.labels["progress"] for lesson in lessons])
    shown = [int(np.abs(known - present.numpy()).sum(axis=1).argmin()) for present in spy.windows[:, -1]]
    right = (spy.text == torch.as_tensor(lessons[0].clip.text)).all(dim=1).numpy()
    worth = np.where(right, labels[shown], 0)
    own = len(kept["progress"])
    np.testing.assert_array_equal(kept["progress"], worth[:own])
    assert terms["progress"].count == (~np.isnan(worth[:own])).sum()
    better, worse = worth[own::2], worth[own + 1 :: 2]
    assert terms["preference"].count == len(better) > 10
    # the spy gives each row a score one above the row before, so each worse side scores one above its better
    assert float(terms["preference"].total) == pytest.approx(len(better) * np.log(1 + np.e), rel=1e-5)
    assert (spy.windows[spy.padding] == spy.windows[0, 0]).all(), "what is padding holds the very first frame"
    unknown = np.isnan(better - worse)
    assert (better > worse)[~unknown].all()
    assert unknown.sum() < len(better) / 2, "only a success and a failure may be compared without known progress"


@pytest.mark.parametrize(
    ("sampling", "falls", "jumps"), [("strided", False, False), ("random", False, True), ("shuffled", True, True)]
)
def test_sampling_decides_what_histories_are_learned_from(workshop, make_slider, sampling, falls, jumps):
    method = replace(METHOD, sampling=sampling, rewind=0.0, wrong_text=0.0)
    reader = make_reader(method, workshop)
    knowledge = method.study([TaskEpisodes([make_slider(0, seconds=8.0)], NAMES)])
    lesson = reader.read(make_slider(0, seconds=8.0), 0, 0, knowledge)
    spy, none = Spy(), Negatives(reader.texts, ((),), 0.0)
    step = Step([lesson], [np.random.default_rng(0)], none, knowledge, torch.device("cpu"))
    method.terms(spy, prepare(method, step))
    known = lesson.clip.features[0].reshape(len(lesson.clip), -1)
    steps = []
    for window, padding in zip(spy.windows[: len(known) // lesson.clip.gap], spy.padding, strict=False):
        shown = window[1:][~padding[1:]].numpy()
        steps += np.diff([int(np.abs(known - picture).sum(axis=1).argmin()) for picture in shown]).tolist()
    assert (min(steps) < 0) == falls
    assert (max(steps) > lesson.clip.gap) == jumps


def test_in_validation_nothing_is_drawn_and_the_same_terms_come(workshop, make_sliders):
    episodes = make_sliders(2)
    reader = make_reader(METHOD, workshop)
    knowledge = METHOD.study([TaskEpisodes(episodes, NAMES)])
    lessons = [reader.read(episode, number, 0, knowledge) for number, episode in enumerate(episodes)]
    bare = Step(lessons, [None, None], Negatives(reader.texts, ((),), 1.0), knowledge, torch.device("cpu"))
    step = prepare(METHOD, bare)
    first, second = METHOD.terms(Spy(), step), METHOD.terms(Spy(), step)
    assert {name: term.count > 0 for name, term in first.items()} == {
        "progress": True,
        "stage": False,
        "success": True,
        "preference": False,
    }
    assert all(float(first[name].total) == float(second[name].total) for name in first)
