"""SARM on the toy task: what it learns, and what its labels, windows and texts are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from headway.episodes import ArrayFrames, Episode, Stage
from headway.errors import DatasetError
from headway.learned.inputs import load_clip
from headway.learned.method import Knowledge, Lesson, Step, TaskEpisodes, prepare
from headway.learned.runs import draw_run
from headway.learned.sarm import Sarm, stage_terms
from headway.learned.targets import Scales, fit_scale
from headway.learned.train_member import make_reader
from headway.learned.wrong_text import Negatives

NAMES = ("right", "down")


def test_it_learns_progress_stage_and_success_of_episodes_it_never_saw(sarm, unseen, one):
    errors, stages = [], []
    for episode in unseen:
        curve = one(sarm, episode)
        errors.append(np.abs(curve.values - episode.truth.progress).mean())
        stages.append((curve.stage == episode.truth.stage).mean())
        assert (curve.success[-1] > 0.5) == episode.success
        assert not curve.in_sample
    assert np.mean(errors) < 0.06
    assert np.mean(stages) > 0.93


def test_the_wrong_instruction_on_the_right_video_scores_low(sarm, unseen, one):
    success = next(episode for episode in unseen if episode.success)
    wrong = replace(success, instruction="fold the towel on the shelf")
    assert one(sarm, success).values[-1] > 0.9
    assert one(sarm, wrong).values[-1] < 0.3


def test_playing_a_success_backwards_takes_progress_back_down(sarm, unseen, one):
    success = next(episode for episode in unseen if episode.success)
    pixels = np.stack(list(success.cameras["top"]))
    there_and_back = np.concatenate([pixels, pixels[::-1][: len(pixels) // 2]])
    curve = one(sarm, Episode(0, 0, 10.0, {"top": ArrayFrames(there_and_back)}, success.instruction))
    assert curve.values[len(pixels) - 1] > 0.9
    assert curve.values[-1] < 0.7


def test_padding_changes_nothing(sarm):
    network = sarm.members[0].network
    windows = torch.randn(3, 9, network.norm.normalized_shape[0])
    padding = torch.zeros(3, 9, dtype=torch.bool)
    padding[:, 1:4] = True
    text = torch.zeros(3, 256)
    other = torch.where(padding[..., None], torch.full_like(windows, 99.0), windows)
    with torch.inference_mode():
        got, expected = network.judge(other, padding, text), network.judge(windows, padding, text)
    for name, output in expected.items():
        torch.testing.assert_close(got[name], output)


def test_the_loss_leaves_out_what_is_unknown():
    logits, within_all = torch.randn(4, 3), torch.rand(4, 2)
    stage, within = torch.tensor([0, 1, -1, 2]), torch.tensor([0.5, float("nan"), 0.9, 0.0])
    terms = stage_terms("", logits, within_all, stage, within)
    entropy = torch.nn.functional.cross_entropy(logits[[0, 1, 3]], stage[[0, 1, 3]], reduction="sum")
    torch.testing.assert_close(terms["stage"].total, entropy)
    torch.testing.assert_close(terms["within"].total, (within_all[0, 0] - 0.5) ** 2)
    assert (terms["stage"].count, terms["within"].count, terms["within"].weight) == (3, 1, 4.0)


def test_a_batch_with_nothing_known_within_a_stage_still_has_a_loss():
    terms = stage_terms("", torch.randn(2, 3), torch.rand(2, 2), torch.tensor([2, 2]), torch.tensor([0.0, 0.0]))
    assert torch.isfinite(terms["within"].total)
    assert terms["within"].count == 0


class Spy(torch.nn.Module):
    """Stands in for a network: remembers the picture and the text of every window."""

    dense = None

    def __init__(self, classes: int):
        super().__init__()
        self.classes = classes

    def encode(self, pictures, state):
        # where the square is tells which frame it was
        return (pictures[:, 0, :, :, 0] - pictures[:, 0, :, :, 2]).flatten(1)

    def judge(self, windows, padding, text):
        self.presents, self.texts = windows[:, -1], text
        return {"stage": torch.zeros(len(windows), self.classes), "within": torch.zeros(len(windows), self.classes - 1)}


@pytest.fixture
def teach(workshop, monkeypatch):
    """What one step would teach of an episode: the network's stand-in and the labels that reached the loss."""

    def taught(method, episode, negatives=None, seed=0):
        knowledge = Knowledge(Scales((fit_scale([episode], NAMES),)))
        lesson = make_reader(method, workshop).read(episode, 0, 0, knowledge)
        kept = {}

        def keep_labels(kind, logits, within_all, stage, within):
            kept["stage"], kept["within"] = stage.numpy(), within.numpy()
            return {}

        monkeypatch.setattr("headway.learned.sarm.stage_terms", keep_labels)
        monkeypatch.setattr("headway.learned.runs.augment", lambda pictures, rng, plain: pictures.float())
        spy = Spy(3)
        none = Negatives(make_reader(method, workshop).texts, ((),), 0.0)
        rngs = [np.random.default_rng(seed)]
        step = Step([lesson], rngs, negatives or none, knowledge, torch.device("cpu"))
        method.terms(spy, prepare(method, step))
        return spy, kept, lesson

    return taught


def test_rewound_windows_are_taught_the_label_of_the_picture_they_end_on(teach, method, make_slider):
    """The present picture alone decides the label: where the square is, that is the label."""
    always = replace(method, rewind=1.0, inputs=replace(method.inputs, history=4))
    falls = 0
    for seed in range(5):
        spy, kept, lesson = teach(always, make_slider(1), seed=seed)
        red = lesson.clip.features[0][..., 0].astype(np.float32) - lesson.clip.features[0][..., 2]
        known = lesson.labels["stage"] + np.nan_to_num(lesson.labels["within"])
        frames = [
            int(np.abs(red.reshape(len(red), -1) - picture.numpy()).sum(axis=1).argmin()) for picture in spy.presents
        ]
        np.testing.assert_allclose(kept["stage"] + np.nan_to_num(kept["within"]), known[frames])
        falls += (np.diff(frames) < 0).sum()
    # of windows in the order of their turning points, some end earlier than the one before
    assert falls > 3


def test_wrong_text_is_drawn_a_window_at_a_time_and_nothing_is_done_then(teach, method, workshop, make_slider):
    negatives = Negatives(make_reader(method, workshop).texts, ((),), 0.5)
    wrong, seen = 0, 0
    for seed in range(10):
        spy, kept, lesson = teach(replace(method, rewind=0.0), make_slider(1, hold=0), negatives, seed)
        other = (spy.texts != torch.as_tensor(lesson.clip.text)).any(dim=1).numpy()
        assert (kept["stage"][other] == 0).all()
        assert (kept["within"][other] == 0).all()
        assert kept["stage"][~other].max() > 0
        wrong, seen = wrong + other.sum(), seen + len(other)
    assert 0.3 < wrong / seen < 0.7


def test_an_episode_without_an_instruction_gets_no_wrong_one(teach, method, workshop, make_slider):
    negatives = Negatives(make_reader(method, workshop).texts, ((),), 1.0)
    spy, kept, _ = teach(method, replace(make_slider(1), instruction=None), negatives)
    assert not spy.texts.any()
    assert kept["stage"].max() > 0


def test_dense_marks_teach_a_second_pair_of_heads(learn, method, make_sliders, one):
    """The dense stages halve the sparse ones, so dense progress is progress too."""

    def densely(episode):
        marks = []
        for stage in episode.stages:
            middle = (stage.start + stage.end) // 2
            marks += [Stage(f"{stage.name} 1", stage.start, middle), Stage(f"{stage.name} 2", middle, stage.end)]
        return replace(episode, dense_stages=tuple(marks))

    episodes = [densely(episode) for episode in make_sliders(8)]
    dense_names = ("right 1", "right 2", "down 1", "down 2")
    knowledge = method.study([TaskEpisodes(episodes, NAMES, dense_names)])
    assert knowledge.dense is not None
    assert knowledge.dense.names == dense_names
    learned = learn.with_dense(method, episodes, dense_names)
    episode = densely(make_sliders(1, seed=5)[0])
    curve = one(learned, episode)
    assert np.abs(curve.dense - episode.truth.progress).mean() < 0.1
    assert curve.stage_names == NAMES


def test_several_tasks_share_one_network_and_the_other_tasks_words_score_low(learn, method, make_sliders, one):
    """The same pictures mirrored are another task, with stages of its own."""

    def mirrored(episode):
        pixels = np.stack(list(episode.cameras["top"]))[:, ::-1, ::-1].copy()
        marks = tuple(replace(stage, name={"right": "left", "down": "up"}[stage.name]) for stage in episode.stages)
        return replace(
            episode,
            cameras={"top": ArrayFrames(pixels)},
            stages=marks,
            instruction="bring the square home",
            recording=f"mirrored-{episode.recording}",
        )

    tasks = [
        TaskEpisodes(make_sliders(8, failing=2), NAMES),
        TaskEpisodes([mirrored(episode) for episode in make_sliders(8, failing=2, seed=1)], ("left", "up")),
    ]
    learned = learn.tasks(replace(method, wrong_text=0.3), tasks)
    assert learned.stage_names == ("right", "down", "left", "up")
    first, second = make_sliders(1, seed=8)[0], mirrored(make_sliders(1, seed=9)[0])
    for episode, other in ((first, second), (second, first)):
        right, wrong = one(learned, episode), one(learned, replace(episode, instruction=other.instruction))
        assert right.values[-1] > 0.8
        assert wrong.values[-1] < 0.4
        assert [learned.stage_names[number] for number in right.stage[[0, -1]]] == [
            stage.name for stage in (episode.stages[0], episode.stages[-1])
        ]


def test_datasets_without_marks_are_one_clear_line(method, make_sliders):
    with pytest.raises(DatasetError, match="SARM learns from stage marks, and a dataset carries none"):
        method.study([TaskEpisodes(make_sliders(2), None)])


def test_the_teacher_truth_needs_truth_and_no_marks(learn, method, make_sliders, unseen, one):
    bare = [replace(episode, stages=None) for episode in make_sliders(8, failing=3)]
    learned = learn(replace(method, teacher="truth"), bare)
    episode = unseen[0]
    assert np.abs(one(learned, episode).values - episode.truth.progress).mean() < 0.06
    with pytest.raises(DatasetError, match="carries no truth"):
        Sarm(method.inputs, teacher="truth").study([TaskEpisodes([replace(bare[0], truth=None)], NAMES)])


def test_state_is_used_when_asked_for_and_missing_state_is_one_clear_line(learn, method, make_sliders, one):
    stateful = replace(
        method, inputs=replace(method.inputs, use_state=True), training=replace(method.training, epochs=2)
    )
    learned = learn(stateful, make_sliders(4))
    assert learned.members[0].sizes.state_dim == 1
    assert learned.needs.state
    episode = make_sliders(1, seed=3)[0]
    moved = replace(episode, state=episode.state + 5)
    assert not np.allclose(one(learned, episode).values, one(learned, moved).values)
    with pytest.raises(DatasetError, match="episode 0 has no state; this estimator was trained with it"):
        one(learned, replace(episode, state=None))
    with pytest.raises(DatasetError, match="episode 0 has no state; train without --state"):
        learn(stateful, [replace(e, state=None) for e in make_sliders(4)])


def test_several_cameras_are_all_looked_at(learn, method, make_sliders, one):
    def with_side(episode):
        pixels = np.stack(list(episode.cameras["top"]))
        return replace(episode, cameras={"top": ArrayFrames(pixels), "side": ArrayFrames(pixels[:, ::-1].copy())})

    both = replace(
        method, inputs=replace(method.inputs, cameras=("top", "side")), training=replace(method.training, epochs=2)
    )
    learned = learn(both, [with_side(episode) for episode in make_sliders(4)])
    episode = with_side(make_sliders(1, seed=3)[0])
    black = ArrayFrames(np.zeros((len(episode), 32, 32, 3), np.uint8))
    assert not np.allclose(
        one(learned, episode).values, one(learned, replace(episode, cameras={**episode.cameras, "side": black})).values
    )


def test_every_frame_of_a_run_is_shown_once_and_windows_look_back_only(workshop, method, make_slider):
    reader = make_reader(method, workshop)
    clip = load_clip(make_slider(0), method.inputs, reader.encoder, reader.texts, workshop.cache)
    run = draw_run(clip, 3, np.random.default_rng(0))
    assert (np.diff(run.kept[1:]) == clip.gap).all()
    assert (run.windows[:, 0] == 0).all()
    assert run.windows[:, -1].tolist() == list(range(1, len(run.kept)))
    assert run.windows[0].tolist() == [0, -1, -1, 1]


def test_lessons_keep_the_labels_of_the_frames_they_keep(workshop, method, make_slider):
    episode = make_slider(0)
    knowledge = Knowledge(Scales((fit_scale([episode], NAMES),)))
    lesson = make_reader(method, workshop).read(episode, 0, 0, knowledge)
    assert isinstance(lesson, Lesson)
    every = method.label(episode, 0, knowledge)
    np.testing.assert_array_equal(lesson.labels["stage"], every["stage"][lesson.clip.frames])
    assert len(lesson.clip) < len(episode) or method.inputs.keep(episode.fps) == 1
